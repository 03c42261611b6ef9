"""What stands below the root of a stream, as libxml2 reads it.

A pull parser of lxml's own is primed with a *synthetic* header: the peer's namespace declarations,
with jabber:component:accept replaced by jabber:client, so that stanzas are in jabber:client
whatever the stream. The parser reports the ends of elements with the few names that may stand at
the top level; libxml2 filters them by pointer, so that nothing in Python runs for the rest of a
stanza: some 2 µs for one of 300 bytes.

Invariant: after each feed the root is empty, or holds nothing but one open element. libxml2 appends
text to the last node with a cached length, so that a root with texts must never be half emptied.

Errors of namespaces do not stop libxml2, they only show in its log, which is looked at after each
feed. Which stanzas were complete before such an error is found by parsing once more, tag by tag,
what came since nothing was open; to keep that short, a piece is fed up to the end of its last
stanza first, and the rest by itself. Where ends cannot be guessed, and where something is open that
is large, a Scanner tells where it ends: so what is kept stays small, and limits of size are exact.

Who breaks a limit of a stanza is told by `fault`, whose `limit` is set then; what was fed of that
stanza is `held`, and what was not fed `unfed`.

Two properties of lxml need care with peers that mean harm. Names stay in memory (emp.names), so the
parser is primed anew from time to time, whenever nothing is open. And moving a node costs lxml the
square of the number of its descendants, so that large elements are copied out of the stream.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

from lxml import etree

from emp import names, ns
from emp.errors import RemoteProtocolError
from emp.names import LXML
from emp.stream.header import (
    ROOT,
    WHITESPACE,
    fault_by_code,
    fault_of,
    is_in_text,
    synthetic_header,
)
from emp.stream.leaving import (
    COMPONENT_ANY,
    CROWD_BYTES,
    copy_large,
    is_crowd,
    rename,
    take_out,
)
from emp.stream.limits import Limits, violation
from emp.stream.places import PIECE_BYTES, STEP, end_of, whole_characters
from emp.stream.pull import new_parser
from emp.stream.scanner import Scanner
from emp.xml import Element

# Bytes of one stream that are counted at once for emp.names.
SHARE_BYTES: Final = 131_072

# libxml2 ≥ 2.13 logs the first 100 errors only: a parser that has tolerated that many of them is
# replaced as soon as nothing is open, and until then stanzas are searched for what it may miss.
TOLERATED_ERRORS: Final = 50
# It logs 100 warnings too, but older ones keep all of them for ever.
LOG_ENTRIES: Final = 500

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
    f"{{{ns.CSI}}}*",
    f"{{{ns.FRAMING}}}*",
)
# … and in a component's stream, from servers that declare its namespace on each stanza.
_COMPONENT_LEVEL: Final = (
    *(f"{{{ns.COMPONENT}}}{kind}" for kind in STANZA_KINDS),
    f"{{{ns.COMPONENT}}}handshake",
)

_SPACE: Final = 0x20

# Servers pass these on, so any user could end our stream with one.
_TOLERATED: Final = names.TOLERATED | names.VALIDITY
_RESULTS: Final = (f"{{{ns.CLIENT}}}iq", f"{{{ns.COMPONENT}}}iq")
# What an undeclared prefix leaves in the tree: looked for when the log is full.
_UNDECLARED_PREFIX: Final = etree.XPath(
    "boolean(.//*[contains(local-name(), ':')] | .//@*[contains(local-name(), ':')])"
)

_tail_of = attrgetter("tail")

Awaits = Callable[[str], bool]
"""Whether the result of an IQ request with this id is awaited."""


class Body:
    """The body of one stream. Never raises: what is wrong is in `fault`."""

    def __init__(self, limits: Limits, root: Element, awaits: Awaits) -> None:
        """root: the peer's header. Our dictionary must be lent to lxml."""
        self.ended = False  # the root's end tag came after the elements returned
        self.fault: RemoteProtocolError | None = None
        self.awaits = awaits
        self.held = b""  # of a stanza that broke a limit, and what is behind it
        self._limits = limits
        self._allowed = limits.stanza_bytes  # of what is open
        self._watched = min(PIECE_BYTES, limits.stanza_bytes)  # bytes that may pend unscanned
        self._scanner: Scanner | None = None  # of what is pending
        self._section = b""  # that is being fed
        component = ns.COMPONENT in root.nsmap.values()
        self._tags = _TOP_LEVEL + _COMPONENT_LEVEL if component else _TOP_LEVEL
        self._synthetic = synthetic_header(root)
        # Any: the stubs know neither slices of elements nor error codes.
        self._parser: Any
        self._root: Any
        self._dictionary: Any
        self._share = SHARE_BYTES  # what may be fed until it is counted
        self._states = names.states()
        self._in_text = False  # whether the fault is about the characters of one
        self._logged = 0  # entries of the parser's log that were judged
        self._tolerated = 0  # errors among them
        self._ends: list[Any] = []  # events of the present piece, up to its last byte
        self._closed = False  # the last byte of the present piece has completed something
        self._pending = bytearray()  # fed since nothing was open, up to the last piece
        self._delivered = 0  # elements returned out of what is pending
        self._unrested_bytes = 0  # fed since nothing was open: no element is longer
        self._likely_end = b"</message>"
        self._has_many_attributes = etree.XPath(f"boolean(.//@*[{limits.attributes + 1}])")
        # An element with too many attributes is at least that long: ` a=""` for each.
        self._attributes_bytes = 5 * limits.attributes
        self._prime()

    @property
    def resting(self) -> bool:
        """Whether nothing is open, and all that was fed is judged: what comes next stands at the
        top level. One-sided: False may be wrong, until the next element is complete."""
        return not self._pending

    def receive(self, piece: bytes) -> list[Element]:
        """The top-level elements that the piece completes, detached and in jabber:client.

        Afterwards `ended` and `fault` may be new; they come after the elements.
        """
        states = self._states
        theirs = states.get(LXML)
        states[LXML] = self._dictionary
        try:
            return self._receive(piece)
        finally:
            states[LXML] = theirs

    def _prime(self) -> None:
        """A new document, in the dictionary of the day."""
        self._count()  # a share in advance, so that many short streams count too
        self._states[LXML] = self._dictionary = names.present()
        parser = self._parser = new_parser(self._tags)
        parser.feed(self._synthetic + f"<message xmlns='{ns.CLIENT}'/>".encode())
        ((_, first),) = parser.read_events()
        root = first.getparent()
        root.clear()
        self._root = root
        self._logged = len(parser.feed_error_log)
        self._tolerated = 0

    # -- feeding -----------------------------------------------------------------------------

    def _receive(self, piece: bytes) -> list[Element]:
        if not piece:
            return []
        elements: list[Element] = []
        at = 0
        while True:
            end = self._next_cut(piece, at)
            section = piece[at:end] if end - at < len(piece) else piece
            if section:
                found = self._feed(section)
                elements += found
            else:  # what is open is as large as it may be, and goes on
                found = []
                self.fault = self._too_large()
            if self.fault:
                if self.fault.limit:
                    given = self._delivered + len(found)
                    self._hold(bytes(self._pending) + piece[at:], given)
                return elements
            at = end
            if at >= len(piece) or self.ended:
                return elements

    def _next_cut(self, piece: bytes, at: int) -> int:
        """Up to where to feed next: where nothing is open, if that can be told."""
        end = len(piece)
        if self._pending and len(self._pending) + end - at > self._watched:
            return self._scanned_cut(piece, at)
        if piece[-1] <= _SPACE:  # keepalives behind a stanza: where it ends, nothing is open
            end = len(piece.rstrip(WHITESPACE))
            if end <= at:
                return len(piece)
        likely = self._likely_end
        cut = piece.rfind(likely, at, end) + len(likely)
        return cut if at + len(likely) <= cut < end else end

    def _scanned_cut(self, piece: bytes, at: int) -> int:
        """The next end of an element, or as far as what is open may go on."""
        scanner = self._scanner
        if scanner is None:
            scanner = self._scanner = Scanner()
            pending, begin = bytes(self._pending), 0
            while end := scanner.scan(pending, begin):
                begin = end
        # Of a fault libxml2 is to say so; should it not, what is open may be no larger.
        if not scanner.open and scanner.fault is None:
            scanner.size = 0
        stop = at + self._allowed - scanner.size
        if stop <= at and self._is_awaited():
            self._allowed = self._limits.answer_bytes
            stop = at + self._allowed - scanner.size
        stop = len(piece) if stop >= len(piece) else whole_characters(piece, stop)
        if stop <= at:
            return at
        end = scanner.scan(piece[at:stop])
        return at + end if end else stop

    def _is_awaited(self) -> bool:
        """Whether what is open is an answer to us, which may be larger."""
        if self._allowed >= self._limits.answer_bytes or not len(self._root):
            return False
        last = self._root[-1]
        return (
            last.tag in _RESULTS
            and last.get("type") == "result"
            and self.awaits(last.get("id") or "")
        )

    def _too_large(self) -> RemoteProtocolError:
        scanner = self._scanner
        if scanner is not None and scanner.fault is not None:
            return scanner.fault
        answer = self._allowed > self._limits.stanza_bytes
        return violation("answer_bytes" if answer else "stanza_bytes", "the stanza is too long")

    def _hold(self, data: bytes, given: int) -> None:
        """`data` is behind all that was judged; the first elements in it were given out."""
        scanner = Scanner()
        begin = 0
        for _ in range(given):
            begin = scanner.scan(data, begin)
        self.held = data[begin:]

    def _feed(self, piece: bytes) -> list[Element]:
        if not self._pending and piece[0] <= _SPACE and not piece.strip(WHITESPACE):
            return []  # keepalive (RFC 6120 §4.6.1)
        self._share -= len(piece)
        self._section = piece
        raised: Any = None
        try:
            self._feed_libxml2(piece)
        except etree.XMLSyntaxError as error:
            raised = error
        log = self._parser.feed_error_log
        if len(log) != self._logged and self._judge(log):
            return self._replay(piece)
        if raised is not None and not self.fault:  # there was no place in the log
            self._blame(raised.code, raised.msg)
        elements = self._collect(len(piece))
        if not self.fault:
            self._account(piece, elements)
        elif self._in_text and not len(self._root):
            # Nor may there be a text. libxml2 reports long ones in parts, so it depends on the
            # chunks what it says first.
            self.fault = _text_between()
        return elements

    def _feed_libxml2(self, piece: bytes) -> None:
        """The last byte by itself, if a tag may end with it, to see whether one does. That can't
        be seen from the bytes: in `<iq id='>` none does, and libxml2 takes its time to say that
        there is a mistake in `<iq id<'></iq>`."""
        self._ends = []
        self._closed = False
        parser = self._parser
        if piece.endswith(b">"):
            if len(piece) > 1:
                parser.feed(piece[:-1])
                self._ends += parser.read_events()
            parser.feed(b">")
            ends = [*parser.read_events()]
            self._closed = bool(ends)
            self._ends += ends
        else:
            parser.feed(piece)

    def _judge(self, log: Any) -> bool:
        """Whether there is an error of namespaces in the log; sets `fault` for those of syntax."""
        entries = list(log)[self._logged :]
        self._logged = len(log)
        for entry in entries:
            if entry.level == etree.ErrorLevels.FATAL:
                # The first one is the cause. lxml does not raise for undeclared entities, and what
                # it raises for others names the first error of all, which may be a tolerated one.
                self._blame(entry.type, entry.message)
                return False
            if entry.level == etree.ErrorLevels.ERROR:
                if entry.type not in _TOLERATED:
                    self._blame(entry.type, entry.message)
                    return True
                self._tolerated += 1
        return False

    def _blame(self, code: int, message: str | None) -> None:
        self.fault = fault_by_code(code, message)
        self._in_text = is_in_text(code, message)

    def _collect(self, size: int) -> list[Element]:
        """Detaches what is complete. `size`: of the piece, in bytes."""
        root = self._root
        self._ends += self._parser.read_events()
        ends = [element for _, element in self._ends]
        self._ends = []
        children = root[:]
        second = next(root.iterchildren(ROOT), None) is not None  # a stream in the stream
        if second or ends != children or root.text or any(map(_tail_of, children)):
            complete = self._sort_out(children, ends)
        else:
            complete = children
        large = 0
        foreign = next(root.iterchildren(COMPONENT_ANY), None) is not None
        if complete:
            self._check_size(complete, size)
            if self._unrested_bytes + size > CROWD_BYTES and is_crowd(root):
                large = copy_large(complete)
        del ends, children  # of what is copied no reference may be left: see below
        take_out(complete)
        if large:
            del root[:large]  # frees them; with a reference it would be moved out
        if len(root):  # one is open; or there is a fault, and no feed any more
            root.text = None
        else:
            root.clear()
        if foreign:
            rename(complete)
        return complete

    def _sort_out(self, children: list[Element], ends: list[Element]) -> list[Element]:
        """The complete children before the first fault, where the simple case does not hold."""
        done = set(ends)
        self.ended = self._root in done
        if self.ended:
            self.fault = None  # only what follows the end can be wrong
        complete: list[Element] = []
        fault: RemoteProtocolError | None = _text_fault(self._root.text)
        for child in children:
            if fault:
                break
            if child in done and child.tag != ROOT:
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

    def _may_be_top(self, element: Element) -> bool:
        tag = element.tag
        namespace, _, _ = tag.rpartition("}")
        return tag != ROOT and (tag in self._tags or namespace + "}*" in self._tags)

    def _check_size(self, complete: list[Element], size: int) -> None:
        """Cuts `complete` before the first stanza that breaks a limit, which becomes the fault."""
        if self._unrested_bytes + size > self._attributes_bytes and self._has_many_attributes(
            self._root
        ):
            self._cut(complete, self._has_many_attributes, _too_many_attributes)
        if self._tolerated >= TOLERATED_ERRORS:
            self._cut(complete, _UNDECLARED_PREFIX, self._undeclared_prefix)

    def _cut(
        self,
        complete: list[Element],
        breaks: etree.XPath,
        error: Callable[[], RemoteProtocolError],
    ) -> None:
        for number, element in enumerate(complete):
            if breaks(element):
                del complete[number:]
                self.ended = False
                self.fault = error()
                return

    def _undeclared_prefix(self) -> RemoteProtocolError:
        # Perhaps it is declared as what may not be declared, which was not logged either.
        reserved = ns.XML.encode() in self._pending + self._section
        limit = "reserved_namespace" if reserved else None
        return RemoteProtocolError("not-well-formed", "undeclared prefix", limit=limit)

    def _account(self, piece: bytes, complete: list[Element]) -> None:
        """Keeps what is open, forgets it where nothing is."""
        self._unrested_bytes += len(piece)
        if not complete:
            self._pending += piece
            return
        if self._closed and not len(self._root):
            self._unrested_bytes = 0
            self._pending.clear()
            self._delivered = 0
            self._scanner = None
            self._allowed = self._limits.stanza_bytes
            if self._tolerated >= TOLERATED_ERRORS or self._logged >= LOG_ENTRIES:
                self._prime()
            elif self._share <= 0:
                self._count()
                if self._dictionary is not names.present():
                    self._prime()
            return
        self._likely_end = end_of(complete[-1])
        self._pending += piece
        self._delivered += len(complete)

    def _count(self) -> None:
        names.parsed(SHARE_BYTES - min(self._share, 0))
        self._share = SHARE_BYTES

    def _replay(self, piece: bytes) -> list[Element]:
        """The stanzas that were complete before an error of namespaces, which is `fault`."""
        error, self.fault = self.fault, None
        fault: RemoteProtocolError | None = None
        data = bytes(self._pending + piece)
        self._prime()
        elements: list[Element] = []
        for step in STEP.findall(data):
            try:
                self._feed_libxml2(step)
            except etree.XMLSyntaxError as raised:
                fault = fault_of(raised)
            log = self._parser.feed_error_log
            if (len(log) != self._logged and self._judge(log)) or fault:
                break
            elements += self._collect(len(data))
            if self.fault:
                break
        self.fault = self.fault or fault or error
        return elements[self._delivered :]


def _too_many_attributes() -> RemoteProtocolError:
    return violation("attributes", "too many attributes")


def _text_fault(text: str | None) -> RemoteProtocolError | None:
    return _text_between() if text is not None and text.strip(" \t\r\n") else None


def _text_between() -> RemoteProtocolError:
    return RemoteProtocolError("bad-format", "text between stanzas")
