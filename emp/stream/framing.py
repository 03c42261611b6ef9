"""How a stream is cut on its way: as one endless document (TCP), or one document a message
(WebSocket, RFC 7395). Everything else about a stream is the same.

A framing is a record without state. What differs: how a stream begins and ends, who parses what
comes in, and whether the engine's caller deals in bytes or in messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from lxml import etree

from emp import names, ns
from emp.errors import RemoteProtocolError, StanzasTooLarge, StreamError
from emp.stanza import Stanza
from emp.stream.body import Awaits
from emp.stream.guard import ByteGuard
from emp.stream.header import (
    PARSER_OPTIONS,
    WHITESPACE,
    StreamHeader,
    fault_of,
    skip_declaration,
)
from emp.stream.limits import Limits, violation
from emp.stream.parser import Received, StreamParser, awaits_nothing
from emp.stream.skipping import Skipper
from emp.xml import Element, parse

WHITESPACES: Final = tuple(bytes((each,)) for each in WHITESPACE)
_OPEN: Final = f"{{{ns.FRAMING}}}open"
_CLOSE: Final = f"{{{ns.FRAMING}}}close"
_STANZA: Final = re.compile(rb"<(?:message|presence|iq)(?=[\s/>])")
_OF_STREAM: Final = re.compile(rb"<stream:[a-z]+")
_CLIENT: Final = f" xmlns='{ns.CLIENT}'".encode()
_STREAM: Final = f" xmlns:stream='{ns.STREAM}'".encode()


class Parser(Protocol):
    """What the engine wants of a parser; see StreamParser."""

    @property
    def header(self) -> StreamHeader | None: ...

    @property
    def ended(self) -> bool: ...

    @property
    def fault(self) -> RemoteProtocolError | StreamError | None: ...

    @property
    def idle(self) -> bool: ...

    quick: bool
    """Whether stanzas flow: they may be given as Stanza instead of Element, where that costs less,
    and what breaks a limit is skipped."""

    awaits: Awaits
    """Whether the result of an IQ request with this id is awaited."""

    @property
    def stalled(self) -> bool:
        """Whether the fault is a broken limit that came before `quick` was set."""

    def go_on(self) -> list[Received]:
        """What there is behind the stanza that broke it; only where stalled."""

    def receive(self, data: bytes, /) -> list[Received]: ...


@dataclass(frozen=True, slots=True)
class Framing:
    """One way to cut a stream.

    messages: the engine takes and gives whole messages. TLS is below them then, and there is no
    STARTTLS (RFC 7395 §3.9). parser: of one stream. opening: what begins it, from the namespace of
    its content and the other attributes as text; closing: what ends it.
    """

    messages: bool
    parser: Callable[[Limits], Parser]
    opening: Callable[[str, str], str]
    closing: str


class MessageParser:
    """The parser of one stream of messages; each of them is one element (RFC 7395 §3.3.3).

    An element has its message to itself, which libxml2 parses as the document that it is: so two
    elements, half of one, or text beside one are no XML, and nothing is left over between messages.
    """

    idle = True
    """Nothing is ever half received."""

    stalled = False
    """What broke a limit has its message to itself."""

    def __init__(self, limits: Limits) -> None:
        self.header: StreamHeader | None = None
        self.ended = False
        self.fault: RemoteProtocolError | StreamError | None = None
        self.quick = False  # no stanza is plain, for each declares its namespace
        self.awaits: Awaits = awaits_nothing
        self._limits = limits
        self._attributes = etree.XPath(f"boolean(.//@*[{limits.attributes + 1}])")
        self._parser = names.DocumentParser(encoding="utf-8", **PARSER_OPTIONS)

    def receive(self, data: bytes) -> list[Received]:
        """The element that is the message, none for <open/>, <close/> and white space.

        Afterwards `header`, `ended` and `fault` may be new.
        """
        if self.fault or self.ended or is_blank(data):
            return []
        try:
            data = self._guarded(data)
            element = self._document(data)
            if element.tag == _CLOSE:
                self._closed(element)
            elif self.header is None:
                self.header = _header(element)
            else:
                return [element]
        except StreamError as error:
            self.fault = error
        except RemoteProtocolError as fault:
            self.fault = fault
            if self.quick and fault.limit:
                return self._skip(data, fault)
        return []

    def _skip(self, data: bytes, violation: RemoteProtocolError) -> list[Received]:
        """What it was that has broken a limit, unless it ends the stream all the same."""
        skipper = Skipper(violation, {})
        end = skipper.skip(data)
        if skipper.fault is None and (not end or data[end:].strip(WHITESPACE)):
            skipper.fault = RemoteProtocolError("not-well-formed", "not one element")
        self.fault = skipper.fault
        return [] if self.fault else [skipper.skipped()]

    def go_on(self) -> list[Received]:
        """Never needed."""
        return []

    def _closed(self, element: Element) -> None:
        elsewhere = element.get("see-other-uri")
        if elsewhere:  # §3.6.1
            raise StreamError("see-other-host", "", elsewhere)
        self.ended = True

    def _guarded(self, data: bytes) -> bytes:
        """The message without declaration, if it may be parsed at all."""
        if self.header is None and len(data) > self._limits.header_bytes:
            raise violation("header_bytes", "the stream header is too long")
        if data.startswith(b"<?xml"):
            data = data[skip_declaration(data) :]
        elif data[:1] in WHITESPACES:  # as around an element of a stream
            data = data.lstrip(WHITESPACE)
        if not data.startswith(b"<"):
            raise RemoteProtocolError("not-well-formed", "a message must begin with <")
        guard = ByteGuard()
        data = guard.pass_(data)
        if guard.fault:
            raise guard.fault
        if guard.holds:
            raise RemoteProtocolError("not-well-formed", "half a message")
        return data

    def _document(self, data: bytes) -> Element:
        limits = self._limits
        if len(data) > limits.stanza_bytes:
            answer = self._is_awaited(data)
            if not answer or len(data) > limits.answer_bytes:
                limit = "answer_bytes" if answer else "stanza_bytes"
                raise violation(limit, "the stanza is too long")
        element = self._parse(data)
        # An element with too many attributes is at least that long: ` a=""` for each.
        if len(data) > 5 * limits.attributes and self._attributes(element):
            raise violation("attributes", "too many attributes")
        return element

    def _is_awaited(self, data: bytes) -> bool:
        """Whether it is an answer to us, which may be larger."""
        skipper = Skipper(violation("stanza_bytes", ""), {})
        skipper.skip(data)
        stanza = skipper.stanza
        return (
            stanza is not None
            and (stanza.kind, stanza.type) == ("iq", "result")
            and self.awaits(stanza.id or "")
        )

    def _parse(self, data: bytes) -> Element:
        try:
            return self._parser(data)
        except etree.XMLSyntaxError as error:
            fault = fault_of(error)
        try:
            return parse(data)  # which knows what libxml2 objects to, and XML does not
        except RemoteProtocolError:
            raise fault from None


def is_blank(message: bytes) -> bool:
    """Whether there is nothing in it. RFC 7395 §3.8 wants pings of the WebSocket to keep a line
    alive; some servers send white space, as on TCP."""
    return not message or (message[:1] in WHITESPACES and not message.strip(WHITESPACE))


def _header(element: Element) -> StreamHeader:
    """What <open/> says (RFC 7395 §3.4)."""
    if element.tag != _OPEN:
        # Not by etree.QName, which objects to namespaces that are no URI.
        right = element.tag.startswith(_OPEN.removesuffix("open"))
        raise RemoteProtocolError("bad-format" if right else "invalid-namespace", element.tag)
    return StreamHeader(
        namespace=ns.CLIENT,
        id=element.get("id"),
        from_=element.get("from"),
        to=element.get("to"),
        version=element.get("version"),
        lang=element.get(f"{{{ns.XML}}}lang"),
    )


def as_message(xml: bytes) -> bytes:
    """An element of ours as a document of its own, with the declarations that a stream makes for
    all of its elements."""
    start = _STANZA.match(xml)
    if start is not None:
        return xml[: start.end()] + _CLIENT + xml[start.end() :]
    start = _OF_STREAM.match(xml)
    if start is not None:
        return xml[: start.end()] + _STREAM + xml[start.end() :]
    return xml


def refuse_oversized(
    framing: Framing, batch: Sequence[Stanza], written: Sequence[str], limit: int
) -> None:
    """StanzasTooLarge if a stanza of `batch` has more than `limit` bytes on its way (XEP-0478).

    written: the same stanzas as XML.
    """
    pieces = [each.encode() for each in written]
    if framing.messages:
        pieces = [as_message(each) for each in pieces]
    sizes = [len(each) for each in pieces]
    oversized = [stanza for stanza, size in zip(batch, sizes, strict=True) if size > limit]
    if oversized:
        raise StanzasTooLarge(oversized, max(sizes), limit)


TCP: Final = Framing(
    messages=False,
    parser=StreamParser,
    opening=lambda content, attributes: (
        f"<?xml version='1.0'?><stream:stream{attributes}"
        f" xmlns='{content}' xmlns:stream='{ns.STREAM}'>"
    ),
    closing="</stream:stream>",
)

WEBSOCKET: Final = Framing(
    messages=True,
    parser=MessageParser,
    opening=lambda content, attributes: f"<open xmlns='{ns.FRAMING}'{attributes}/>",
    closing=f"<close xmlns='{ns.FRAMING}'/>",
)
