"""Wire form of stanzas: the pieces from which it is put together as text.

A stanza built as text costs a tenth of one built as a tree. All that goes into it comes through
escape() or serialize(), so the text is always one well-formed element.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable
from typing import Any, Final

from lxml import etree

from emp import ns
from emp.errors import LocalProtocolError, RemoteProtocolError
from emp.xml import Element, Payload, as_element, escape, escape_text, inheriting, parse, serialize

BODY: Final = f"{{{ns.CLIENT}}}body"
THREAD: Final = f"{{{ns.CLIENT}}}thread"
LANG: Final = f"{{{ns.XML}}}lang"

# Name of the payload (Clark), text of the thread, text of the body; each None where there is none.
Contents = tuple[str | None, str | None, str | None]
NOTHING: Final[Contents] = (None, None, None)

# 96 bits: nobody guesses the id of a request to answer it in another's name (RFC 6120 §8.1.3).
ID_BYTES: Final = 12

_DECLARATION: Final = f' xmlns="{ns.CLIENT}"'.encode()
_START: Final = re.compile(rb"<(?:message|presence|iq)(?=[\s/>])").match


def make_id() -> str:
    """A random id that nobody can guess."""
    return secrets.token_urlsafe(ID_BYTES)


def parse_any(wire: bytes) -> tuple[Element, bool]:
    """The tree of a stanza, with or without xmlns="jabber:client".

    Also whether the bytes fit into client and component streams as they are, that is, leave all
    declarations of jabber:client to the stream. RemoteProtocolError as emp.xml.parse.
    """
    if _START(wire) is None:
        return parse(wire), False
    fits = ns.CLIENT.encode() not in wire
    try:
        return parse_neutral(wire), fits
    except RemoteProtocolError:
        if fits:
            raise
        return parse(wire), False  # if it declares its namespace itself, a second time is too much


def parse_neutral(wire: bytes) -> Element:
    """The tree of wire bytes: declares the namespace that they leave to the stream.

    RemoteProtocolError as emp.xml.parse.
    """
    start = _START(wire)
    if start is None:
        raise RemoteProtocolError("not-well-formed", "not a stanza")
    return parse(wire[: start.end()] + _DECLARATION + wire[start.end() :])


def texts(**children: str | None) -> str:
    """Children that hold a text, None leaves one out. LocalProtocolError as escape_text()."""
    try:
        return "".join(
            [
                f"<{name}>{escape_text(text)}</{name}>"
                for name, text in children.items()
                if text is not None
            ]
        )
    except AttributeError:
        name, value = next(
            (name, value)
            for name, value in children.items()
            if value is not None and not isinstance(value, str)
        )
        payload = ", and a payload comes behind it" if isinstance(value, etree._Element) else ""
        raise LocalProtocolError(f"{name} is a text{payload}: not {value!r:.80}") from None


def render(
    payloads: Iterable[Payload],
    is_payload: Callable[[Any], bool],
    thread: str | None = None,
    body: str | None = None,
) -> tuple[str, Contents]:
    """Payloads as text, and the Contents of a stanza that holds them, the thread and the body.

    A payload without a namespace gets jabber:client, as in emp.xml.build. is_payload tells by the
    tag which children count as the payload. LocalProtocolError for what cannot be XML.
    """
    elements = [inheriting(as_element(payload), ns.CLIENT) for payload in payloads]
    name: Any = next((element.tag for element in elements if is_payload(element.tag)), None)
    if thread is None:
        thread = next((element.text or "" for element in elements if element.tag == THREAD), None)
    if body is None:
        body = text_of(elements, BODY)
    return "".join([serialize(element) for element in elements]), (name, thread, body)


def text_of(children: Iterable[Element], tag: str) -> str | None:
    """Text of the child of that name; that without xml:lang first (RFC 6121 §5.2.3)."""
    found: str | None = None
    for child in children:
        if child.tag == tag:
            if not child.keys() or child.get(LANG) is None:
                return child.text or ""
            if found is None:
                found = child.text or ""
    return found


def compose(
    kind: str,
    type: str | None,
    id: str | None,
    from_text: str | None,
    to_text: str | None,
    lang: str | None,
    inner: str,
) -> str:
    """The wire text. inner is XML already; None leaves an attribute out."""
    head = f"<{kind}"
    if type is not None:
        head = f'{head} type="{escape(type)}"'
    if id is not None:
        head = f'{head} id="{escape(id)}"'
    if from_text is not None:
        head = f'{head} from="{escape(from_text)}"'
    if to_text is not None:
        head = f'{head} to="{escape(to_text)}"'
    if lang is not None:
        head = f'{head} xml:lang="{escape(lang)}"'
    return f"{head}>{inner}</{kind}>" if inner else f"{head}/>"
