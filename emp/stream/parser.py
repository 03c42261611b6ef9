"""XML of a stream: bytes in, complete top-level elements out, whatever the chunks are.

Strategy. The header is collected until its start tag is complete and parsed by itself. What follows
passes the byte guard, and is cut into pieces. Where nothing is open, stanzas that are plain are
taken as they are (emp.stream.shortcut); all the rest is for libxml2 to judge (emp.stream.body).

The parser never raises: what is wrong is in `fault`, to be reported after the returned elements.
"""

from typing import Final, TypeAlias

from emp import ns
from emp.errors import RemoteProtocolError
from emp.names import Lent
from emp.stanza import Stanza
from emp.stream.body import Body
from emp.stream.guard import ByteGuard
from emp.stream.header import WHITESPACE, StreamHeader, find_start_tag, parse_start_tag
from emp.stream.limits import Limits, violation
from emp.stream.places import PIECE_BYTES, pieces_of
from emp.stream.shortcut import ATTRIBUTES, sort
from emp.view import wire_texts
from emp.xml import Element

Received: TypeAlias = Element | Stanza
"""What comes out of a parser. Stanza only where it may be `quick`."""

# Bytes that continue something: with fewer it is not worth looking for what is plain behind it.
_WORTH: Final = 1024
# Pieces of a flood. If three quarters of one are odd, the look was in vain, and half again as slow
# as none: then the next piece is taken unseen, then 3, 7 and always 15 …
_FLOOD: Final = 8192
_UNSEEN: Final = 15


class StreamParser:
    """The parser of one stream; a restart needs a new one."""

    def __init__(self, limits: Limits) -> None:
        self.header: StreamHeader | None = None
        self.ended = False  # </stream:stream> came after the elements returned
        self.fault: RemoteProtocolError | None = None
        self.quick = False  # plain stanzas may come as Stanzas
        self._takes_plain = False  # … because they mean what they seem to
        self._vain = 0  # pieces to be taken unseen after the last look …
        self._unseen = 0  # … and how many of them are still to come
        self._limits = limits
        self._head = b""  # of a header that is not complete yet
        self._guard = ByteGuard()
        self._body: Body

    @property
    def idle(self) -> bool:
        """Whether nothing is half received."""
        if self.header is None:
            return not self._head
        return self._body.resting and not self._guard.holds

    def receive(self, data: bytes) -> list[Received]:
        """What `data` completes at the top level: elements, detached and in jabber:client, or
        stanzas.

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
        guard = self._guard
        data = guard.pass_(data)
        if len(data) <= PIECE_BYTES:
            received = self._receive_piece(data)
        else:
            received = []
            for piece in pieces_of(data, PIECE_BYTES):
                received += self._receive_piece(piece)
                if self.fault or self.ended:
                    break
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
            root = parse_start_tag(buffer[start:end])
            if len(root.nsmap) > self._limits.namespaces:
                raise violation("namespaces", "too many namespaces in the stream header")
            self._body = Body(self._limits, root)
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

    def _receive_piece(self, piece: bytes) -> list[Received]:
        if not piece:
            return []
        body = self._body
        if not (self.quick and self._takes_plain) or (not body.resting and len(piece) < _WORTH):
            return [*self._receive_odd(piece)]
        if len(piece) >= _FLOOD and self._unseen:
            self._unseen -= 1
            return [*self._receive_odd(piece)]
        runs = sort(piece)
        if len(piece) >= _FLOOD:
            odd = sum(len(run) for run in runs if isinstance(run, bytes))
            self._vain = min(2 * self._vain + 1, _UNSEEN) if odd > len(piece) * 3 // 4 else 0
            self._unseen = self._vain
        if len(runs) == 1 and isinstance(runs[0], list) and body.resting:
            return runs[0]  # type: ignore[return-value]  # a list of ours, and of nobody else
        received: list[Received] = []
        for run in runs:
            if isinstance(run, bytes):
                received += self._receive_odd(run)
            elif body.resting:
                received += run
            else:
                # Something is open. Nothing in the run closes it, for each of these is well-formed
                # by itself: they are part of it.
                received += self._receive_odd("".join(wire_texts(run)).encode())
            if self.fault or self.ended:
                break
        return received

    def _receive_odd(self, piece: bytes) -> list[Element]:
        body = self._body
        elements = body.receive(piece)
        self.fault = body.fault
        self.ended = body.ended
        return elements
