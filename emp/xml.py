"""XML elements: build, escape, parse and serialise, safely.

Everything here works on lxml elements. Text reaches XML through `escape` or the tree, never by
bare concatenation; characters that XML does not have are refused with LocalProtocolError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

from lxml import etree

from emp import ns
from emp.errors import LocalProtocolError, RemoteProtocolError
from emp.escaping import escape as escape
from emp.escaping import escape_text as escape_text
from emp.escaping import is_plain as is_plain
from emp.lexical import text_of
from emp.names import TOLERATED, VALIDITY, DocumentParser, Lent, twin
from emp.writer import PREFIXES, Writer

Element: TypeAlias = etree._Element


@runtime_checkable
class Renderable(Protocol):
    """An object that shows itself as an element."""

    def to_xml(self) -> Element: ...


# What may stand where an element is wanted.
Payload: TypeAlias = Element | Renderable


def clark(namespace: str | None, name: str) -> str:
    """The name in Clark's notation: "{namespace}name", or "name" without a namespace."""
    return f"{{{namespace}}}{name}" if namespace else name


def as_element(payload: object) -> Element:
    """The element itself, or what the object's to_xml() gives. LocalProtocolError for the rest."""
    if isinstance(payload, etree._Element) and isinstance(payload.tag, str):  # not a comment
        return payload
    if isinstance(payload, Renderable):
        return as_element(payload.to_xml())
    raise LocalProtocolError(f"neither an element nor an object with to_xml(): {payload!r:.200}")


# -- building -------------------------------------------------------------------------------------

AttributeValue: TypeAlias = object  # what emp.lexical knows; None leaves the attribute out


def adopt(parent: Element, child: Element) -> None:
    """Append the child; if it has no namespace it gets its parent's, with its like descendants.

    A child that stands elsewhere already is copied.
    """
    if child.getparent() is not None or child.tail:
        child = twin(child)
    parent.append(child)
    # etree.QName fails for a namespace with a brace, which peers may well use.
    namespace, _, _ = parent.tag.rpartition("}")
    if namespace and child.tag[:1] != "{":
        _inherit(child, namespace[1:])


def inheriting(element: Element, namespace: str) -> Element:
    """The element itself, or, if it has no namespace, a copy that has got this one."""
    if element.tag[:1] == "{":
        return element
    element = twin(element)
    _inherit(element, namespace)
    return element


def _inherit(element: Element, namespace: str) -> None:
    pending = [element]
    while pending:
        current = pending.pop()
        if isinstance(current.tag, str) and current.tag[0] != "{":
            current.tag = f"{{{namespace}}}{current.tag}"
            pending.extend(current)


def _append_text(parent: Element, text: str) -> None:
    if len(parent):
        last = parent[-1]
        last.tail = (last.tail or "") + text
    else:
        parent.text = (parent.text or "") + text


def _default_namespace(namespace: str | None) -> Any:
    # Any, because the stubs of lxml do not know that the prefix may be None.
    return {None: namespace} if namespace else None


def build(
    tag: str,
    *children: object,
    xmlns: str | None = None,
    **attributes: AttributeValue,
) -> Element:
    """One element.

    tag: local name or Clark name; xmlns: its namespace, which children without one inherit.
    children: elements, str, objects with to_xml(), iterables of these, None (nothing), and
    mappings, which are attributes (for names that are no Python names).
    attributes: as XMPP writes the value (True is "true", a datetime that of XEP-0082), None leaves
    one out; one trailing underscore of the name is dropped (from_, class_).
    LocalProtocolError for names, characters or children that cannot be XML.
    """
    try:
        with Lent():
            return _build(tag, children, xmlns, attributes)
    except ValueError as error:  # lxml's verdict on names and characters
        raise LocalProtocolError(str(error)) from error


def _build(
    tag: str,
    children: tuple[object, ...],
    xmlns: str | None,
    attributes: Mapping[str, AttributeValue],
) -> Element:
    if xmlns is None and tag[:1] == "{":
        xmlns = etree.QName(tag).namespace
    elif xmlns:
        tag = f"{{{xmlns}}}{tag}"
    element = etree.Element(tag, nsmap=_default_namespace(xmlns))
    for name, value in attributes.items():
        if value is not None:
            element.set(name.removesuffix("_"), value if type(value) is str else text_of(value))
    for child in children:
        _add(element, child)
    return element


def _add(element: Element, child: object) -> None:
    if child is None:
        return
    if isinstance(child, str):
        _append_text(element, child)
    elif isinstance(child, Mapping):
        for name, value in child.items():
            if value is not None:
                element.set(name, value if type(value) is str else text_of(value))
    elif isinstance(child, etree._Element | Renderable):
        adopt(element, as_element(child))
    elif isinstance(child, Iterable) and not isinstance(child, bytes):
        for each in child:
            _add(element, each)
    else:
        raise LocalProtocolError(f"cannot stand in XML: {child!r:.200}. Text is a str")


class _Builder:
    """E.query(xmlns=…), E("any-name", …): see build()."""

    __slots__ = ()

    def __call__(self, tag: str, *children: object, **attributes: Any) -> Element:
        return build(tag, *children, **attributes)

    def __getattr__(self, name: str) -> Callable[..., Element]:
        if name.startswith("__"):  # copy, pickle and others ask for what is not there
            raise AttributeError(name)
        tag = name.removesuffix("_")

        def make(*children: object, **attributes: Any) -> Element:
            return build(tag, *children, **attributes)

        return make


E: Final = _Builder()


# -- parsing --------------------------------------------------------------------------------------

_CDATA: Final = re.compile(rb"<!\[CDATA\[.*?\]\]>", re.DOTALL)
_DECLARATION: Final = re.compile(rb"\s*<\?xml\s[^>]*\?>")


# huge_tree=False keeps libxml2's own bounds: depth 256, 10 MB of text.
_OPTIONS: Final[dict[str, Any]] = {
    "encoding": "utf-8",
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "dtd_validation": False,
    "attribute_defaults": False,
    "huge_tree": False,
}
_parser: Final = DocumentParser(**_OPTIONS)


def parse(source: bytes | str) -> Element:
    """The one element that the text is.

    source: UTF-8 or str, with or without an XML declaration.
    RemoteProtocolError with the condition (RFC 6120 §4.9.3) "restricted-xml" for a DTD, comment
    or processing instruction (§11.1), else "not-well-formed".
    """
    try:
        data = source.encode() if isinstance(source, str) else source
        data.decode()
    except UnicodeError as error:
        raise RemoteProtocolError("not-well-formed", "not UTF-8") from error
    # A raw "<" begins markup wherever it stands, except in CDATA; so "<!" and "<?" that remain
    # are exactly the markup that XMPP does not have. libxml2 shall not even see it.
    rest = _CDATA.sub(b"", data) if b"<![CDATA[" in data else data
    if b"<!" in rest or (
        b"<?" in rest and rest.count(b"<?") > (_DECLARATION.match(rest) is not None)
    ):
        raise RemoteProtocolError(
            "restricted-xml", "XMPP has no DTD, comment or processing instruction"
        )
    if b"\0" in data:  # also every UTF-16 or UTF-32 text
        raise RemoteProtocolError("not-well-formed", "NUL")
    try:
        return _parser(data.strip())
    except etree.XMLSyntaxError as error:
        if getattr(error, "code", None) in TOLERATED | VALIDITY:
            with Lent(len(data)):
                parser = etree.XMLParser(**_OPTIONS, recover=True)
                element = etree.fromstring(data.strip(), parser)
            # Warnings, such as that of an unknown value of xml:space, are no errors there either.
            if all(
                entry.type in TOLERATED | VALIDITY or entry.level == etree.ErrorLevels.WARNING
                for entry in parser.error_log
            ):
                return element
        raise RemoteProtocolError("not-well-formed", str(error)) from error


# -- serialising ----------------------------------------------------------------------------------

# Nodes that etree.tostring writes wrongly or that XMPP does not have: elements without a
# namespace (libxml2 does not write xmlns="" below a default namespace), comments, PIs, entities.
_DELICATE: Final = ("{}*", etree.Comment, etree.PI, etree.Entity)
_CLIENT_PREFIX: Final = f"{{{ns.CLIENT}}}"
_XML_PREFIX: Final = f"{{{ns.XML}}}"
_CLIENT_DECLARATION: Final = f' xmlns="{ns.CLIENT}"'
_CLIENT_DECLARED: Final = f'="{ns.CLIENT}"'


def serialize(element: Element) -> str:
    """The element as text that means the same wherever jabber:client is the default namespace.

    An element in jabber:client is written without declaration, all others declare theirs. The
    text behind the element is not part of it. LocalProtocolError for comments, processing
    instructions and entity references.
    """
    if next(element.iter(*_DELICATE), None) is None:
        text = etree.tostring(element, encoding="unicode", with_tail=False)
        tag = element.tag
        if tag[: len(_CLIENT_PREFIX)] == _CLIENT_PREFIX:
            start = f"<{tag[len(_CLIENT_PREFIX) :]}{_CLIENT_DECLARATION}"
            if text.startswith(start):
                rest = text[len(start) :]
                if "xmlns" not in rest or (
                    _CLIENT_DECLARED not in rest and _is_sound(element, text)
                ):
                    return f"{start[: -len(_CLIENT_DECLARATION)]}{rest}"
        elif _CLIENT_DECLARED not in text and _is_sound(element, text):
            return text
    return Writer(element).text()


def _is_sound(top: Element, text: str) -> bool:
    """True if the prefixes in the tree say what its names say, so that libxml2 writes it right.

    When an element gets another parent, or none, lxml drops declarations that an ancestor has too,
    even where the element uses that prefix for something else. Then the tree says {jabber:client}x
    and its serialisation {urn:evil}x: what one process has judged is not what the next one gets.
    Stanzas are taken out of their stream, so peers could make use of it.
    """
    if text.count("xmlns:") > PREFIXES:
        return False
    for element in top.iter():
        namespace, _, _ = element.tag.rpartition("}")
        if element.nsmap.get(element.prefix) != namespace[1:]:
            return False
        keys: Any = element.keys()  # str, whatever the stubs say
        for key in keys:
            # lxml does not tell the prefixes of attributes.
            if key[0] == "{" and not key.startswith(_XML_PREFIX):
                return False
    return True
