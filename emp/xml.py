"""XML elements: build, escape, parse and serialise, safely.

Everything here works on lxml elements. Text reaches XML through `escape` or the tree, never by
bare concatenation; characters that XML does not have are refused with LocalProtocolError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

from lxml import etree

from emp import ns
from emp.errors import FORBIDDEN_CHARACTERS, LocalProtocolError, RemoteProtocolError

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


# -- escaping -------------------------------------------------------------------------------------

_TEXT_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_ESCAPES: Final = _TEXT_ESCAPES | {'"': "&quot;", "'": "&apos;", "\t": "&#9;", "\n": "&#10;"}
_TEXT_TABLE: Final = str.maketrans(_TEXT_ESCAPES)
_TABLE: Final = str.maketrans(_ESCAPES)


# ASCII that must be escaped in content or between double quotes, or that XML does not have.
_UNPLAIN: Final = bytes(range(0x20)) + b'<>&"'


def is_plain(text: str) -> bool:
    """True if the text may stand as it is in element content and in a double-quoted attribute.

    Quick and one-sided: line breaks and most odd characters just take the long way of escape().
    """
    if text.isascii():
        # One pass in C: bytes.translate() deletes nothing and gives back the same object.
        data = text.encode()
        return data.translate(None, _UNPLAIN) is data
    # No character that is printable for Python is one that XML does not have.
    return text.isprintable() and not ("<" in text or "&" in text or ">" in text or '"' in text)


def _refuse_forbidden(text: str) -> None:
    if found := FORBIDDEN_CHARACTERS.search(text):
        code = ord(found[0])
        raise LocalProtocolError(
            f"U+{code:04X} at offset {found.start()}: XML does not have that character"
        )


def escape(text: str) -> str:
    """The text, fit for element content and for an attribute in either kind of quotes.

    LocalProtocolError if it holds a character that XML 1.0 does not have (NUL, surrogates, …).
    """
    if is_plain(text) and "'" not in text:
        return text
    _refuse_forbidden(text)
    return text.translate(_TABLE)


def escape_text(text: str) -> str:
    """As escape(), but fit for element content only: quotes, tabs and line feeds stay readable."""
    if is_plain(text):
        return text
    _refuse_forbidden(text)
    return text.translate(_TEXT_TABLE)


# -- building -------------------------------------------------------------------------------------

AttributeValue: TypeAlias = object  # str, int, bool, JID, …; None leaves the attribute out


def _attribute_text(value: AttributeValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def adopt(parent: Element, child: Element) -> None:
    """Append the child; if it has no namespace it gets its parent's, with its like descendants.

    A child that stands elsewhere already is copied.
    """
    if child.getparent() is not None or child.tail:
        child = copy(child)
        child.tail = None
    parent.append(child)
    namespace = etree.QName(parent).namespace
    if namespace:
        _inherit(child, namespace)


def inheriting(element: Element, namespace: str) -> Element:
    """The element itself, or, if it has no namespace, a copy that has got this one."""
    if element.tag[:1] == "{":
        return element
    element = copy(element)
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
    attributes: None leaves one out, True and False are "true" and "false"; one trailing
    underscore of the name is dropped (from_, class_).
    LocalProtocolError for names, characters or children that cannot be XML.
    """
    try:
        if xmlns is None and tag[:1] == "{":
            xmlns = etree.QName(tag).namespace
        elif xmlns:
            tag = f"{{{xmlns}}}{tag}"
        element = etree.Element(tag, nsmap=_default_namespace(xmlns))
        for name, value in attributes.items():
            if value is not None:
                element.set(name.removesuffix("_"), _attribute_text(value))
        for child in children:
            _add(element, child)
    except ValueError as error:  # lxml's verdict on names and characters
        raise LocalProtocolError(str(error)) from error
    return element


def _add(element: Element, child: object) -> None:
    if child is None:
        return
    if isinstance(child, str):
        _append_text(element, child)
    elif isinstance(child, Mapping):
        for name, value in child.items():
            if value is not None:
                element.set(name, _attribute_text(value))
    elif isinstance(child, etree._Element | Renderable):
        adopt(element, as_element(child))
    elif isinstance(child, Iterable):
        for each in child:
            _add(element, each)
    else:
        raise LocalProtocolError(f"cannot stand in XML: {child!r:.200}")


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


# Namespace names that are no URI: libxml2 objects, XML does not (Namespaces in XML §3), and the
# parser of streams lets them pass, so that what came by a stream must be parsed here as well.
_TOLERATED: Final = frozenset({etree.ErrorTypes.WAR_NS_URI, etree.ErrorTypes.WAR_NS_URI_RELATIVE})


def _parser(*, recover: bool = False) -> etree.XMLParser:
    # huge_tree=False keeps libxml2's own bounds: depth 256, 10 MB of text.
    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        recover=recover,
    )


_PARSER: Final = _parser()


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
    if b"<!" in rest or rest.count(b"<?") > (_DECLARATION.match(rest) is not None):
        raise RemoteProtocolError(
            "restricted-xml", "XMPP has no DTD, comment or processing instruction"
        )
    if b"\0" in data:  # also every UTF-16 or UTF-32 text
        raise RemoteProtocolError("not-well-formed", "NUL")
    try:
        return etree.fromstring(data.strip(), _PARSER)
    except etree.XMLSyntaxError as error:
        if getattr(error, "code", None) in _TOLERATED:
            parser = _parser(recover=True)
            element = etree.fromstring(data.strip(), parser)
            if all(entry.type in _TOLERATED for entry in parser.error_log):
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
                if "xmlns" not in rest or (_CLIENT_DECLARED not in rest and _is_sound(element)):
                    return f"{start[: -len(_CLIENT_DECLARATION)]}{rest}"
        elif _CLIENT_DECLARED not in text and _is_sound(element):
            return text
    return _write(element)


def _is_sound(top: Element) -> bool:
    """True if the prefixes in the tree say what its names say, so that libxml2 writes it right.

    When an element gets another parent, or none, lxml drops declarations that an ancestor has too,
    even where the element uses that prefix for something else. Then the tree says {jabber:client}x
    and its serialisation {urn:evil}x: what one process has judged is not what the next one gets.
    Stanzas are taken out of their stream, so peers could make use of it.
    """
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


_Scope: TypeAlias = dict[str, str]  # prefix → namespace, of what is written so far


def _write(top: Element) -> str:
    """The long way, by names alone, for trees that libxml2 does not write as we need them.

    All elements are written without prefix. Prefixes are declared as in the tree, because values
    such as xsi:type="xs:string" refer to them, and for attributes; never for jabber:client, as
    then elements would be in it in a component's stream too.
    """
    parts: list[str] = []
    # Work list instead of recursion: a tree that was built here may be of any depth.
    pending: list[tuple[Element, str, _Scope] | str] = [(top, ns.CLIENT, {"xml": ns.XML})]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            parts.append(item)
            continue
        element, default, scope = item
        if not isinstance(element.tag, str):
            raise LocalProtocolError("XMPP has no comment, processing instruction or entity")
        namespace, _, name = element.tag.rpartition("}")
        namespace = namespace[1:]
        parts.append(f"<{name}")
        if namespace != default:
            parts.append(f' xmlns="{escape(namespace)}"')
        scope = _write_declarations(element, scope, parts)
        scope = _write_attributes(element, scope, parts)
        if element.text is None and not len(element):
            parts.append("/>")
            continue
        parts.append(f">{escape_text(element.text or '')}")
        pending.append(f"</{name}>")
        for child in reversed(element):
            if child.tail:
                pending.append(escape_text(child.tail))
            pending.append((child, namespace, scope))
    return "".join(parts)


def _declare(prefix: str, uri: str, scope: _Scope, parts: list[str]) -> _Scope:
    parts.append(f' xmlns:{prefix}="{escape(uri)}"')
    return scope | {prefix: uri}


def _write_declarations(element: Element, scope: _Scope, parts: list[str]) -> _Scope:
    for prefix, uri in element.nsmap.items():
        if prefix and uri != ns.CLIENT and scope.get(prefix) != uri:
            scope = _declare(prefix, uri, scope, parts)
    return scope


def _write_attributes(element: Element, scope: _Scope, parts: list[str]) -> _Scope:
    attributes: Any = element.items()  # str to str, whatever the stubs say
    for key, value in attributes:
        uri, _, name = key.rpartition("}")
        if uri:
            prefix = next((prefix for prefix, bound in scope.items() if bound == uri[1:]), None)
            if prefix is None:
                prefix = f"ns{len(scope)}"
                while prefix in scope:
                    prefix += "_"
                scope = _declare(prefix, uri[1:], scope, parts)
            name = f"{prefix}:{name}"
        parts.append(f' {name}="{escape(value)}"')
    return scope
