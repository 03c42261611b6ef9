"""XML of a stream: bytes in, complete top-level elements out, whatever the chunks are.

Strategy. The header is collected until its start tag is complete and parsed by itself. What follows
passes the byte guard, and is cut into pieces. Where nothing is open, stanzas that are plain are
taken as they are (emp.stream.shortcut); all the rest is for libxml2 to judge (emp.stream.body). A
stanza that breaks a limit is skipped: what libxml2 had of it already, and what comes up to its end,
goes through emp.stream.skipping, and behind it libxml2 begins anew.

The parser never raises: what is wrong is in `fault`, to be reported after the returned elements.
"""

from typing import Final, TypeAlias

from emp import ns
from emp.errors import RemoteProtocolError
from emp.names import Lent
from emp.stanza import Stanza
from emp.stream.body import Awaits, Body
from emp.stream.events import StanzaSkipped
from emp.stream.guard import ByteGuard
from emp.stream.header import WHITESPACE, StreamHeader, find_start_tag, parse_start_tag
from emp.stream.limits import Limits, violation
from emp.stream.places import PIECE_BYTES, pieces_of
from emp.stream.scanner import Scanner
from emp.stream.shortcut import ATTRIBUTES, sort
from emp.stream.skipping import Skipper
from emp.view import wire_texts
from emp.xml import Element

Received: TypeAlias = Element | Stanza | StanzaSkipped
"""What comes out of a parser. Elements only unless it may be `quick`."""

# Bytes that continue something: with fewer it is not worth looking for what is plain behind it.
_WORTH: Final = 1024
# Pieces of a flood. If three quarters of one are odd, the look was in vain, and half again as slow
# as none: then the next piece is taken unseen, then 3, 7 and always 15 …
_FLOOD: Final = 8192
_UNSEEN: Final = 15
# Bytes of the smallest piece: a character has four.
_LEAST: Final = 16


class StreamParser:
    """The parser of one stream; a restart needs a new one."""

    def __init__(self, limits: Limits) -> None:
        self.header: StreamHeader | None = None
        self.ended = False  # </stream:stream> came after the elements returned
        self.fault: RemoteProtocolError | None = None
        # Stanzas flow: plain ones may come as Stanzas, and what breaks a limit is skipped.
        self.quick = False
        self.stalled = False  # `fault` came before `quick` was set, and go_on() may undo it
        self._awaits: Awaits = awaits_nothing
        self._takes_plain = False  # … because they mean what they seem to
        self._vain = 0  # pieces to be taken unseen after the last look …
        self._unseen = 0  # … and how many of them are still to come
        self._limits = limits
        # None of them holds a stanza that is too large.
        self._piece_bytes = max(min(PIECE_BYTES, limits.stanza_bytes), _LEAST)
        self._head = b""  # of a header that is not complete yet
        self._guard = ByteGuard()
        self._root: Element
        self._body: Body
        self._skipper: Skipper | None = None
        self._unread = b""  # behind what is stalled

    @property
    def awaits(self) -> Awaits:
        """Whether the result of an IQ request with this id is awaited."""
        return self._awaits

    @awaits.setter
    def awaits(self, awaits: Awaits) -> None:
        self._awaits = awaits
        if self.header is not None:
            self._body.awaits = awaits

    @property
    def idle(self) -> bool:
        """Whether nothing is half received."""
        if self.header is None:
            return not self._head
        return self._resting and not self._guard.holds

    @property
    def _resting(self) -> bool:
        """As Body.resting."""
        return self._skipper is None and self._body.resting

    def receive(self, data: bytes) -> list[Received]:
        """What `data` completes at the top level: elements, detached and in jabber:client, or
        stanzas, or what was skipped.

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
        return self._receive_body(self._guard.pass_(data))

    def go_on(self) -> list[Received]:
        """What there is behind the stanza that has broken a limit, now that it may be skipped; only
        where `stalled`."""
        self.stalled = False
        data, self._unread = self._skip() + self._unread, b""
        return self._receive_body(data)

    def _receive_body(self, data: bytes) -> list[Received]:
        """data: from the guard."""
        if len(data) <= self._piece_bytes:
            received = self._receive_piece(data)
        else:
            received = []
            pieces = pieces_of(data, self._piece_bytes)
            for piece in pieces:
                received += self._receive_piece(piece)
                if self.fault or self.ended:
                    break
            if self.stalled:
                self._unread += b"".join(pieces)
        guard = self._guard
        if guard.fault and not self.fault and not self.ended:
            self.fault = guard.fault
        return received

    def _receive_header(self, data: bytes) -> bytes:
        """What follows the header; before it is complete, nothing."""
        buffer = self._head + data if self._head else data.lstrip(WHITESPACE)
        limit = self._limits.header_bytes
        start, end = find_start_tag(buffer[:limit])
        if not end:
            if len(buffer) > limit:
                raise violation("header_bytes", "the stream header is too long")
            self._head = buffer
            return b""
        self._head = b""
        with Lent(0):  # Body counts
            self._root = root = parse_start_tag(buffer[start:end])
            if len(root.nsmap) > self._limits.namespaces:
                raise violation("namespaces", "too many namespaces in the stream header")
        self._new_body()
        self.header = StreamHeader(
            namespace=root.nsmap.get(None),
            id=root.get("id"),
            from_=root.get("from"),
            to=root.get("to"),
            version=root.get("version"),
            lang=root.get(f"{{{ns.XML}}}lang"),
        )
        self._takes_plain = (
            self.header.namespace in (ns.CLIENT, ns.COMPONENT)
            and self._limits.attributes >= ATTRIBUTES
        )
        return buffer[end:]

    def _new_body(self) -> None:
        with Lent(0):
            self._body = Body(self._limits, self._root, self._awaits)

    def _receive_piece(self, piece: bytes) -> list[Received]:
        if not piece:
            return []
        resting = self._resting
        if (
            not (self.quick and self._takes_plain)
            or self._skipper is not None
            or (not resting and len(piece) < _WORTH)
        ):
            return self._receive_odd(piece)
        if len(piece) >= _FLOOD and self._unseen:
            self._unseen -= 1
            return self._receive_odd(piece)
        runs = sort(piece)
        if len(piece) >= _FLOOD:
            odd = sum(len(run) for run in runs if isinstance(run, bytes))
            self._vain = min(2 * self._vain + 1, _UNSEEN) if odd > len(piece) * 3 // 4 else 0
            self._unseen = self._vain
        if len(runs) == 1 and isinstance(runs[0], list) and resting:
            return runs[0]  # type: ignore[return-value]  # a list of ours, and of nobody else
        received: list[Received] = []
        for run in runs:
            if isinstance(run, bytes):
                received += self._receive_odd(run)
            elif self._resting:
                received += run
            else:
                # Something is open. Nothing in the run closes it, for each of these is well-formed
                # by itself: they are part of it.
                received += self._receive_odd("".join(wire_texts(run)).encode())
            if self.fault or self.ended:
                break
        return received

    def _receive_odd(self, data: bytes) -> list[Received]:
        if self._skipper is None:
            received: list[Received] = [*self._receive_xml(data)]
            if self.fault is None or not self.stalled or not self.quick:
                return received
            self.stalled = False
            data = self._skip()
        else:
            received = []
        scanner: Scanner | None = None
        at = 0
        while at < len(data) and not self.fault and not self.ended:
            if self._skipper is not None:
                if at:
                    data, at = data[at:], 0
                skipper = self._skipper
                end = skipper.skip(data)
                self.fault = skipper.fault
                if self.fault or not end:
                    break
                received.append(skipper.skipped())
                self._skipper = None
                self._new_body()
                at, scanner = end, Scanner()
                continue
            # Who has sent one may have sent hundreds of them: each by itself, or all the rest would
            # be parsed for each.
            assert scanner is not None
            end = scanner.scan(data, at) or len(data)
            received += self._receive_xml(data[at:end])
            at = end
            if self.stalled:
                self.stalled = False
                data, at = self._skip() + data[at:], 0
        return received

    def _receive_xml(self, data: bytes) -> list[Element]:
        """As libxml2 reads it."""
        body = self._body
        elements = body.receive(data)
        self.fault, self.ended = body.fault, body.ended
        self.stalled = body.fault is not None and body.fault.limit is not None
        return elements

    def _skip(self) -> bytes:
        """From now on the stanza is skipped for which `fault` is set; returns where that begins."""
        fault, self.fault = self.fault, None
        assert fault is not None
        self._skipper = Skipper(fault, self._root.nsmap)
        return self._body.held


def awaits_nothing(id: str) -> bool:
    """No answer is."""
    return False
