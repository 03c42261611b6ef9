"""The stream header (RFC 6120 §4.7): found in the bytes, parsed by itself.

Also what header and body have in common: the options of libxml2, and what its errors mean.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from lxml import etree

from emp import ns
from emp.errors import RemoteProtocolError
from emp.names import raise_overlooked
from emp.stream.limits import violation
from emp.xml import escape

ROOT: Final = f"{{{ns.STREAM}}}stream"
WHITESPACE: Final = b" \t\r\n"

PARSER_OPTIONS: Final[dict[str, Any]] = {
    "resolve_entities": False,
    "load_dtd": False,
    "no_network": True,
    "huge_tree": False,
}

# Prefixes of these may become a declaration; nothing else with `<?` may.
_XML_DECLARATION: Final = b"<?xml"
_DECLARATION: Final = re.compile(
    rb"<\?xml\s+version\s*=\s*(?:'1\.[0-9]+'|\"1\.[0-9]+\")"
    rb"(?:\s+encoding\s*=\s*(?:'(?P<a>[^'<>]*)'|\"(?P<b>[^\"<>]*)\"))?"
    rb"(?:\s+standalone\s*=\s*(?:'(?:yes|no)'|\"(?:yes|no)\"))?\s*\?>"
)
# A start tag up to, but without, its closing `>`. Nothing is tried twice: linear on any input. The
# group is not possessive as well: see emp.stream.shortcut.
_START_TAG: Final = re.compile(rb"<(?:[^<>\"']++|\"[^\"<]*+\"|'[^'<]*+')*")

_CONDITIONS: Final[dict[int, str]] = {
    etree.ErrorTypes.ERR_UNDECLARED_ENTITY: "restricted-xml",
    etree.ErrorTypes.WAR_UNDECLARED_ENTITY: "restricted-xml",
}
"""RFC 6120 §4.9.3 conditions of libxml2's errors; all others are not-well-formed."""

_RESOURCE_LIMIT: Final = 114
"""XML_ERR_RESOURCE_LIMIT; lxml has no name. Older versions of libxml2 have another one for the
depth."""

_RESERVED: Final = re.compile("xml namespace URI|xmlns namespace name")
"""What libxml2 says of a declaration of http://www.w3.org/XML/1998/namespace, or that of xmlns.
Servers make one of `<xml:foo/>` and `xml:foo=''`, which anybody may write."""


@dataclass(frozen=True, slots=True)
class StreamHeader:
    """What the peer's stream start tag says (RFC 6120 §4.7). `namespace`: of the content."""

    namespace: str | None
    id: str | None
    from_: str | None
    to: str | None
    version: str | None
    lang: str | None


def find_start_tag(buffer: bytes) -> tuple[int, int]:
    """Start and end of the root's start tag in `buffer`; end is 0 while it is not complete."""
    at = 0
    if buffer.startswith(_XML_DECLARATION):
        at = skip_declaration(buffer)
        if not at:
            return 0, 0
    elif _XML_DECLARATION.startswith(buffer):
        return 0, 0
    if not buffer.startswith(b"<", at):
        if at == len(buffer):
            return 0, 0
        if buffer[at] in (0xFE, 0xFF):  # the byte order mark of UTF-16
            raise RemoteProtocolError("unsupported-encoding", "not UTF-8")
        raise RemoteProtocolError("not-well-formed", "not an XML stream")
    if buffer.startswith((b"<!", b"<?"), at):
        raise RemoteProtocolError("restricted-xml", "nothing may precede the stream header")
    match = _START_TAG.match(buffer, at)
    end = match.end() if match else at
    if buffer.startswith(b">", end):
        return at, end + 1
    if b"<" in buffer[end:]:
        raise RemoteProtocolError("not-well-formed", "bad stream header")
    return at, 0


def skip_declaration(buffer: bytes) -> int:
    """Where the XML declaration and white space after it end; 0 while it is not complete."""
    end = buffer.find(b"?>") + 2
    if end < 2:
        return 0
    declaration = _DECLARATION.fullmatch(buffer, 0, end)
    if declaration is None:
        condition = "not-well-formed" if buffer[5:6].isspace() else "restricted-xml"
        raise RemoteProtocolError(condition, "bad XML declaration")
    encoding = declaration["a"] or declaration["b"] or b"UTF-8"
    if encoding.upper() != b"UTF-8":
        raise RemoteProtocolError("unsupported-encoding", "not UTF-8")
    return len(buffer) - len(buffer[end:].lstrip(WHITESPACE))


def parse_start_tag(tag: bytes) -> etree._Element:
    """The root element; only its name, attributes and namespaces may be looked at."""
    try:
        tag.decode()
    except UnicodeDecodeError as error:
        raise RemoteProtocolError("unsupported-encoding", "not UTF-8") from error
    if tag.endswith(b"/>"):
        raise RemoteProtocolError("bad-format", "the stream is empty")
    # As an empty element it is a document, which lxml judges whole, namespaces included.
    try:
        parser = etree.XMLParser(**PARSER_OPTIONS)
        root = etree.fromstring(tag[:-1] + b"/>", parser)
        raise_overlooked(parser)
    except etree.XMLSyntaxError as error:
        fault = fault_of(error)
        fault.limit = None  # those are limits of a stanza, which can be skipped
        raise fault from error
    if root.tag != ROOT:
        right = root.tag.startswith(f"{{{ns.STREAM}}}")
        raise RemoteProtocolError("bad-format" if right else "invalid-namespace", root.tag)
    return root


def synthetic_header(root: etree._Element) -> bytes:
    """The peer's root again, nothing but its name and namespaces, content in jabber:client."""
    name = f"{root.prefix}:stream" if root.prefix else "stream"
    for prefix, uri in root.nsmap.items():
        uri = ns.CLIENT if uri == ns.COMPONENT else uri
        name += f" xmlns{':' + prefix if prefix else ''}='{escape(uri)}'"
    return f"<{name}>".encode()


def fault_of(error: Any) -> RemoteProtocolError:
    """The fault for an XMLSyntaxError."""
    return fault_by_code(error.code, error.msg)


def is_in_text(code: int, message: str | None) -> bool:
    """Whether an error of libxml2 is about the characters of a text."""
    types = etree.ErrorTypes
    return code == types.ERR_MISPLACED_CDATA_END or (
        code == types.ERR_INVALID_CHAR and (message or "").startswith("PCDATA")
    )


def fault_by_code(code: int, message: str | None) -> RemoteProtocolError:
    """The fault for an error of libxml2. Its message may quote the peer, so it stays here."""
    message = message or ""
    types = etree.ErrorTypes
    if code == types.ERR_NAME_TOO_LONG:
        return violation("name_bytes", message)
    if code == _RESOURCE_LIMIT or message.startswith("Excessive depth"):
        return violation("depth" if "depth" in message else "text_bytes", message)
    condition = _CONDITIONS.get(code, "not-well-formed")
    reserved = code == types.NS_ERR_XML_NAMESPACE and _RESERVED.match(
        message.removeprefix("reuse of the ")
    )
    return RemoteProtocolError(condition, message, limit="reserved_namespace" if reserved else None)
