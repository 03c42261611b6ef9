"""XML of a stream: bytes in, complete top-level elements out, whatever the chunks are.

Strategy. The header is collected until its start tag is complete and parsed by itself. The body is
parsed by an lxml pull parser of its own that was primed with a *synthetic* header: the peer's
namespace declarations, with jabber:component:accept replaced by jabber:client, so that stanzas are
in jabber:client whatever the stream. The parser reports the ends of elements with the few names
that may stand at the top level; libxml2 filters them by pointer, so that nothing in Python runs for
the rest of a stanza: some 2 µs for one of 300 bytes.

Invariant: after each feed the root is empty, or holds nothing but one open element. libxml2 appends
text to the last node with a cached length, so that a root with texts must never be half emptied.

Errors of namespaces do not stop libxml2, they only show in its log, which is looked at after each
feed. Which stanzas were complete before such an error is found by parsing once more, tag by tag,
what came since nothing was open; to keep that short, a piece is fed up to the end of its last
stanza first, and the rest by itself.

The parser never raises: what is wrong is in `fault`, to be reported after the returned elements.
"""

import re
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

from lxml import etree

from emp import ns
from emp.errors import RemoteProtocolError
from emp.stream.guard import ByteGuard
from emp.stream.limits import Limits
from emp.xml import escape

# One feed: what is counted against Limits.stanza_bytes at a time.
PIECE_BYTES: Final = 65_536

# Stanzas that share a parent once they are out of the stream, and so live as long as any of them.
HOLDER_SIZE: Final = 16
_HOLDER_NAMESPACES: Final[Any] = {None: ns.CLIENT}  # the stubs know no default namespace
# libxml2 ≥ 2.13 logs the first 100 errors only: a parser that has tolerated that many of them is
# replaced as soon as nothing is open, and until then stanzas are searched for what it may miss.
TOLERATED_ERRORS: Final = 50
# It logs 100 warnings too, but older ones keep all of them for ever.
LOG_ENTRIES: Final = 500

ROOT: Final = f"{{{ns.STREAM}}}stream"
STANZA_KINDS: Final = ("message", "iq", "presence")
# What may complete at the top level of a stream, the root itself included.
_TOP_LEVEL: Final = (
    *(f"{{{ns.CLIENT}}}{kind}" for kind in STANZA_KINDS),
    f"{{{ns.CLIENT}}}handshake",
    f"{{{ns.STREAM}}}*",
    f"{{{ns.TLS}}}*",
    f"{{{ns.SASL}}}*",
    f"{{{ns.SASL2}}}*",
    f"{{{ns.SM}}}*",
    f"{{{ns.FRAMING}}}*",
)
# … and in a component's stream, from servers that declare its namespace on each stanza.
_COMPONENT_LEVEL: Final = (
    *(f"{{{ns.COMPONENT}}}{kind}" for kind in STANZA_KINDS),
    f"{{{ns.COMPONENT}}}handshake",
)
_COMPONENT_ANY: Final = f"{{{ns.COMPONENT}}}*"
_COMPONENT_PREFIX: Final = f"{{{ns.COMPONENT}}}"

_WHITESPACE: Final = b" \t\r\n"
_SPACE: Final = 0x20
# Prefixes of these may become a declaration; nothing else with `<?` may.
_XML_DECLARATION: Final = b"<?xml"
_DECLARATION: Final = re.compile(
    rb"<\?xml\s+version\s*=\s*(?:'1\.[0-9]+'|\"1\.[0-9]+\")"
    rb"(?:\s+encoding\s*=\s*(?:'(?P<a>[^'<>]*)'|\"(?P<b>[^\"<>]*)\"))?"
    rb"(?:\s+standalone\s*=\s*(?:'(?:yes|no)'|\"(?:yes|no)\"))?\s*\?>"
)
# A start tag up to, but without, its closing `>`. Possessive: linear on any input.
_START_TAG: Final = re.compile(rb"<(?:[^<>\"']|\"[^\"<]*+\"|'[^'<]*+')*+")
# libxml2 reports a text when it sees the next `<`, and a tag when it sees its `>`.
_STEP: Final = re.compile(rb"[^<>]*+[<>]|[^<>]++\Z")

_CONDITIONS: Final[dict[int, str]] = {
    etree.ErrorTypes.ERR_UNDECLARED_ENTITY: "restricted-xml",
    etree.ErrorTypes.WAR_UNDECLARED_ENTITY: "restricted-xml",
    etree.ErrorTypes.ERR_NAME_TOO_LONG: "policy-violation",
    114: "policy-violation",  # XML_ERR_RESOURCE_LIMIT: depth, size of a text; lxml has no name
}
"""RFC 6120 §4.9.3 conditions of libxml2's errors; all others are not-well-formed."""

# Namespace names that are no URI. Servers pass them on, so any user could end our stream with one.
_TOLERATED: Final = frozenset({etree.ErrorTypes.WAR_NS_URI, etree.ErrorTypes.WAR_NS_URI_RELATIVE})
# What an undeclared prefix leaves in the tree: looked for when the log is full.
_UNDECLARED_PREFIX: Final = etree.XPath(
    "boolean(.//*[contains(local-name(), ':')] | .//@*[contains(local-name(), ':')])"
)

_tail_of = attrgetter("tail")


@dataclass(frozen=True, slots=True)
class StreamHeader:
    """What the peer's stream start tag says (RFC 6120 §4.7). `namespace`: of the content."""

    namespace: str | None
    id: str | None
    from_: str | None
    to: str | None
    version: str | None
    lang: str | None


class StreamParser:
    """The parser of one stream; a restart needs a new one."""

    def __init__(self, limits: Limits) -> None:
        self.header: StreamHeader | None = None
        self.ended = False  # </stream:stream> came after the elements returned
        self.fault: RemoteProtocolError | None = None
        self._limits = limits
        self._head = b""  # of a header that is not complete yet
        self._guard = ByteGuard()
        self._synthetic = b""
        self._tags = _TOP_LEVEL
        # Any: the stubs know neither slices of elements nor error codes.
        self._parser: Any
        self._root: Any
        self._logged = 0  # entries of the parser's log that were judged
        self._tolerated = 0  # errors among them
        self._pending = bytearray()  # fed since nothing was open, up to the last piece
        self._delivered = 0  # elements returned out of what is pending
        self._open_bytes = 0  # fed since the last element was complete
        self._likely_end = b"</message>"
        self._has_many_attributes = etree.XPath(f"boolean(.//@*[{limits.attributes + 1}])")
        # An element with too many attributes is at least that long: ` a=""` for each.
        self._attributes_bytes = 5 * limits.attributes

    @property
    def idle(self) -> bool:
        """Whether nothing is half received."""
        return not (self._head or self._pending or self._guard.holds)

    def receive(self, data: bytes) -> list[etree._Element]:
        """The top-level elements that `data` completes, detached and in jabber:client.

        Afterwards `header`, `ended` and `fault` may be new; the last two come after the elements.
        """
        if self.fault or self.ended:
            return []
        if self.header is None:
            try:
                data = self._receive_header(data)
            except RemoteProtocolError as fault:
                self.fault = fault
            if self.header is None:
                return []
        data = self._guard.pass_(data)
        if len(data) <= PIECE_BYTES:
            elements = self._receive_piece(data)
        else:
            elements = []
            for start in range(0, len(data), PIECE_BYTES):
                elements += self._receive_piece(data[start : start + PIECE_BYTES])
                if self.fault or self.ended:
                    break
        if not self.fault and not self.ended:
            self.fault = self._guard.fault
        return elements

    # -- header ------------------------------------------------------------------------------

    def _receive_header(self, data: bytes) -> bytes:
        """What follows the header; before it is complete, nothing."""
        buffer = self._head + data if self._head else data.lstrip(_WHITESPACE)
        limit = self._limits.header_bytes
        start, end = _find_start_tag(buffer[:limit])
        if not end:
            if len(buffer) > limit:
                raise RemoteProtocolError("policy-violation", "the stream header is too long")
            self._head = buffer
            return b""
        self._head = b""
        root = _parse_start_tag(buffer[start:end])
        self.header = StreamHeader(
            namespace=root.nsmap.get(None),
            id=root.get("id"),
            from_=root.get("from"),
            to=root.get("to"),
            version=root.get("version"),
            lang=root.get(f"{{{ns.XML}}}lang"),
        )
        if ns.COMPONENT in root.nsmap.values():
            self._tags = _TOP_LEVEL + _COMPONENT_LEVEL
        self._synthetic = _synthetic_header(root)
        self._prime()
        return buffer[end:]

    def _prime(self) -> None:
        parser: Any = etree.XMLPullParser(events=("end",), tag=self._tags, **_PARSER_OPTIONS)
        parser.feed(self._synthetic + f"<message xmlns='{ns.CLIENT}'/>".encode())
        ((_, first),) = parser.read_events()
        root = first.getparent()
        root.clear()
        self._parser = parser
        self._root = root
        self._logged = len(parser.feed_error_log)
        self._tolerated = 0

    # -- body --------------------------------------------------------------------------------

    def _receive_piece(self, piece: bytes) -> list[etree._Element]:
        if not piece:
            return []
        cut = piece.rfind(self._likely_end) + len(self._likely_end)
        if len(self._likely_end) <= cut < len(piece):
            elements = self._feed(piece[:cut])
            if not self.fault and not self.ended:
                elements += self._feed(piece[cut:])
            return elements
        return self._feed(piece)

    def _feed(self, piece: bytes) -> list[etree._Element]:
        if not self._pending and piece[0] <= _SPACE and not piece.strip(_WHITESPACE):
            return []  # keepalive (RFC 6120 §4.6.1)
        try:
            self._parser.feed(piece)
        except etree.XMLSyntaxError as error:
            self.fault = _fault_of(error)
        log = self._parser.feed_error_log
        if len(log) != self._logged and self._judge(log):
            return self._replay(piece)
        elements = self._collect(len(piece))
        if not self.fault:
            self._account(piece, elements)
        return elements

    def _judge(self, log: Any) -> bool:
        """Whether there is an error of namespaces in the log; sets `fault` for those of syntax."""
        entries = list(log)[self._logged :]
        self._logged = len(log)
        for entry in entries:
            if entry.level == etree.ErrorLevels.FATAL:
                # The first one is the cause. lxml does not raise for undeclared entities.
                self.fault = self.fault or _fault(entry.type, entry.message)
                return False
            if entry.level == etree.ErrorLevels.ERROR:
                if entry.type not in _TOLERATED:
                    return True
                self._tolerated += 1
        return False

    def _collect(self, size: int) -> list[etree._Element]:
        """Detaches what is complete. `size`: of the piece, in bytes."""
        root = self._root
        ends = [element for _, element in self._parser.read_events()]
        children = root[:]
        if ends != children or root.text or any(map(_tail_of, children)):
            complete = self._sort_out(children, ends)
        else:
            complete = children
        if complete:
            self._check_size(complete, size)
        foreign = next(root.iterchildren(_COMPONENT_ANY), None)
        _take_out(complete)
        if len(root):  # one is open; or there is a fault, and no feed any more
            root.text = None
        else:
            root.clear()
        if foreign is not None:
            _rename(complete)
        return complete

    def _sort_out(
        self, children: list[etree._Element], ends: list[etree._Element]
    ) -> list[etree._Element]:
        """The complete children before the first fault, where the simple case does not hold."""
        done = set(ends)
        self.ended = self._root in done
        if self.ended:
            self.fault = None  # only what follows the end can be wrong
        complete: list[etree._Element] = []
        fault: RemoteProtocolError | None = _text_fault(self._root.text)
        for child in children:
            if fault:
                break
            if child in done:
                complete.append(child)
            elif child is not children[-1] or self.ended or not self._may_be_top(child):
                fault = RemoteProtocolError("unsupported-stanza-type", str(child.tag))
                break
            fault = _text_fault(child.tail)
            child.tail = None
        if fault:
            self.ended = False
            self.fault = fault
        return complete

    def _may_be_top(self, element: etree._Element) -> bool:
        tag = element.tag
        namespace, _, _ = tag.rpartition("}")
        return tag != ROOT and (tag in self._tags or namespace + "}*" in self._tags)

    def _check_size(self, complete: list[etree._Element], size: int) -> None:
        """Cuts `complete` before the first stanza that breaks a limit, which becomes the fault."""
        if self._open_bytes + size > self._attributes_bytes and self._has_many_attributes(
            self._root
        ):
            self._cut(complete, self._has_many_attributes, "policy-violation", "attributes")
        if self._tolerated >= TOLERATED_ERRORS:
            self._cut(complete, _UNDECLARED_PREFIX, "not-well-formed", "undeclared prefix")

    def _cut(
        self, complete: list[etree._Element], breaks: etree.XPath, condition: str, what: str
    ) -> None:
        for number, element in enumerate(complete):
            if breaks(element):
                del complete[number:]
                self.ended = False
                self.fault = RemoteProtocolError(condition, what)
                return

    def _account(self, piece: bytes, complete: list[etree._Element]) -> None:
        """Counts what is open against the limit; forgets it where nothing is."""
        if not complete:
            self._pending += piece
            self._open_bytes += len(piece)
            if self._open_bytes > self._limits.stanza_bytes:
                self.fault = RemoteProtocolError("policy-violation", "the stanza is too long")
            return
        self._open_bytes = 0
        if not len(self._root) and piece.rstrip(_WHITESPACE).endswith(b">"):
            self._pending.clear()
            self._delivered = 0
            if self._tolerated >= TOLERATED_ERRORS or self._logged >= LOG_ENTRIES:
                self._prime()
            return
        self._likely_end = _end_of(complete[-1])
        self._pending += piece
        self._delivered += len(complete)
        if len(self._pending) > self._limits.stanza_bytes + PIECE_BYTES:
            # Only a stream whose ends cannot be guessed comes here. It loses the stanzas that came
            # in the same piece before an error of namespaces, nothing else.
            self._pending[:] = b" "
            self._delivered = 0

    def _replay(self, piece: bytes) -> list[etree._Element]:
        """The stanzas that were complete before an error of namespaces; sets `fault`."""
        fault = self.fault = None
        data = bytes(self._pending + piece)
        self._prime()
        elements: list[etree._Element] = []
        for step in _STEP.findall(data):
            try:
                self._parser.feed(step)
            except etree.XMLSyntaxError as error:
                fault = _fault_of(error)
                break
            log = self._parser.feed_error_log
            if len(log) != self._logged and self._judge(log):
                break
            elements += self._collect(len(data))
            if self.fault:
                break
        self.fault = (
            self.fault or fault or RemoteProtocolError("not-well-formed", "namespace error")
        )
        return elements[self._delivered :]


_PARSER_OPTIONS: Final[dict[str, Any]] = {
    "resolve_entities": False,
    "load_dtd": False,
    "no_network": True,
    "huge_tree": False,
}


def _fault_of(error: Any) -> RemoteProtocolError:
    """The fault for an XMLSyntaxError."""
    return _fault(error.code, error.msg)


def _fault(code: int, message: str | None) -> RemoteProtocolError:
    """The fault for an error of libxml2. Its message may quote the peer, so it stays here."""
    return RemoteProtocolError(_CONDITIONS.get(code, "not-well-formed"), message or "")


def _take_out(elements: list[etree._Element]) -> None:
    """Moves elements out of the stream's root, so that they do not pile up there.

    Into a parent that declares the default namespace, as the root does: an element without parent
    gets a prefix instead, serialises as <ns0:message xmlns:ns0=…>, and takes the long way out.
    """
    for start in range(0, len(elements), HOLDER_SIZE):
        holder = etree.Element("stanzas", nsmap=_HOLDER_NAMESPACES)
        holder.extend(elements[start : start + HOLDER_SIZE])


def _text_fault(text: str | None) -> RemoteProtocolError | None:
    if text is None or not text.strip(" \t\r\n"):
        return None
    return RemoteProtocolError("bad-format", "text between stanzas")


def _rename(elements: list[etree._Element]) -> None:
    """Into jabber:client what declares jabber:component:accept itself."""
    for element in elements:
        if element.tag.startswith(_COMPONENT_PREFIX):
            for each in element.iter(_COMPONENT_ANY):
                each.tag = f"{{{ns.CLIENT}}}" + each.tag.removeprefix(_COMPONENT_PREFIX)


def _end_of(element: etree._Element) -> bytes:
    """How elements like this one end, most likely."""
    if element.text is None and not len(element):
        return b"/>"
    return f"</{element.tag.rpartition('}')[2]}>".encode()


def _find_start_tag(buffer: bytes) -> tuple[int, int]:
    """Start and end of the root's start tag in `buffer`; end is 0 while it is not complete."""
    at = 0
    if buffer.startswith(_XML_DECLARATION):
        at = _skip_declaration(buffer)
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


def _skip_declaration(buffer: bytes) -> int:
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
    return len(buffer) - len(buffer[end:].lstrip(_WHITESPACE))


def _parse_start_tag(tag: bytes) -> etree._Element:
    """The root element; only its name, attributes and namespaces may be looked at."""
    try:
        tag.decode()
    except UnicodeDecodeError as error:
        raise RemoteProtocolError("bad-format", "not UTF-8") from error
    if tag.endswith(b"/>"):
        raise RemoteProtocolError("bad-format", "the stream is empty")
    # As an empty element it is a document, which lxml judges whole, namespaces included.
    try:
        root = etree.fromstring(tag[:-1] + b"/>", etree.XMLParser(**_PARSER_OPTIONS))
    except etree.XMLSyntaxError as error:
        raise _fault_of(error) from error
    if root.tag != ROOT:
        name = etree.QName(root)
        wrong = name.namespace != ns.STREAM
        raise RemoteProtocolError("invalid-namespace" if wrong else "bad-format", name.text)
    return root


def _synthetic_header(root: etree._Element) -> bytes:
    """The peer's root again, nothing but its name and namespaces, content in jabber:client."""
    name = f"{root.prefix}:stream" if root.prefix else "stream"
    for prefix, uri in root.nsmap.items():
        uri = ns.CLIENT if uri == ns.COMPONENT else uri
        name += f" xmlns{':' + prefix if prefix else ''}='{escape(uri)}'"
    return f"<{name}>".encode()
