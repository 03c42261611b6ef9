"""What the peer sends, on its way into the stream: in its order, and no more than may come now.

While a stream is negotiated its elements are judged one by one, for each may change what the next
one means: the stream begins anew, TLS takes over, an answer has to be computed. What is behind such
an element waits, or is a fault: it must never count as said afterwards (plaintext injection,
CVE-2011-0411). Once stanzas flow, a read is one call of the parser and one of the stream.

Faults of the peer leave here as the exceptions that the stream turns into its end.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from emp.errors import RemoteProtocolError
from emp.stanza import Stanza
from emp.stream.body import Awaits
from emp.stream.events import StanzaSkipped
from emp.stream.framing import Framing, Parser, is_blank
from emp.stream.header import WHITESPACE, StreamHeader
from emp.stream.limits import Limits, violation
from emp.stream.parser import Received, awaits_nothing
from emp.stream.state import Done, Phase
from emp.xml import Element

# While a password is salted (half a second at most) the peer has nothing to say: it awaits our
# answer. A whole stanza's worth of patience for whitespace and a stream error.
HELD_BYTES: Final = 65_536


class Receiver(Protocol):
    """What an Intake has to know of its stream, and what it tells it."""

    @property
    def phase(self) -> Phase: ...

    @property
    def done(self) -> Done: ...

    @property
    def was_ready(self) -> bool:
        """Whether stanzas flow, or did."""

    def peer_opened(self, header: StreamHeader) -> None:
        """The peer's header is complete."""

    def peer_negotiates(self, element: Element) -> None:
        """An element at the top level, before the stream was ready."""

    def peer_sent(self, received: list[Received]) -> None:
        """All that came afterwards, in one read. The list is theirs."""

    def peer_closed(self) -> None:
        """The peer's stream is over, in order."""


class Pause:
    """From Compute to computed(): what is to be done then, and what came meanwhile."""

    __slots__ = ("_size", "elements", "pieces", "resume")

    def __init__(self, resume: Callable[[], None]) -> None:
        self.resume = resume
        self.elements: list[Received] = []  # of the same read
        self.pieces: list[bytes] = []  # of later ones
        self._size = 0

    def hold(self, data: bytes) -> None:
        """Bytes, or a message. RemoteProtocolError for too many."""
        self.pieces.append(data)
        self._size += len(data) or 1
        if self._size > HELD_BYTES:
            raise violation("held_bytes", "data while an answer is due")


class Intake:
    """The incoming half of one connection, through all of its streams."""

    __slots__ = (
        "_awaits",
        "_behind",
        "_data",
        "_early_bytes",
        "_framing",
        "_limits",
        "_more",
        "_opened",
        "_parser",
        "_pause",
        "_stream",
    )

    def __init__(self, stream: Receiver, framing: Framing, limits: Limits) -> None:
        self._stream = stream
        self._framing = framing
        self._limits = limits
        self._early_bytes = 0  # that came before the peer, or we with it, were authenticated
        self._data = b""  # of the present read
        self._more = False  # elements follow the present one
        self._behind = False  # messages follow it, or what came while we computed
        self._pause: Pause | None = None
        self._awaits: Awaits = awaits_nothing
        self.begin()

    def begin(self) -> None:
        """A new stream: the peer's header comes next."""
        self._parser: Parser = self._framing.parser(self._limits)
        self._parser.awaits = self._awaits
        self._opened = False

    def flow(self) -> None:
        """Stanzas come from now on: what is negotiated needs elements, and a look at each."""
        self._parser.quick = True

    def expect_answers(self, awaits: Awaits) -> None:
        """awaits: whether the result of an IQ request with this id is awaited."""
        self._awaits = self._parser.awaits = awaits

    @property
    def idle(self) -> bool:
        """Whether nothing is half received."""
        return self._parser.idle

    @property
    def paused(self) -> bool:
        """Whether everything waits for resume()."""
        return self._pause is not None

    def receive(self, data: bytes) -> None:
        """Some bytes, or a message."""
        self._data = data
        if self._stream.phase is Phase.READY:
            self._parse(data)
        else:
            self._judge(data)
        self._data = b""

    def receive_all(self, pieces: Sequence[bytes]) -> None:
        """Several of them."""
        said = len(pieces)
        while said and is_blank(pieces[said - 1]):  # which is not said behind anything
            said -= 1
        for number, piece in enumerate(pieces, 1):
            if self._stream.phase is Phase.CLOSED:
                return
            self._behind = number < said
            self.receive(piece)

    def expect_silence(self, *, whitespace: bool) -> None:
        """RemoteProtocolError if anything follows the present element in the same read.

        whitespace: whether that may follow.
        """
        parser = self._parser
        data = self._data.rstrip(WHITESPACE) if whitespace else self._data
        last_tag = data[data.rfind(b"<") + 1 :]
        if (
            self._more
            or self._behind
            or parser.fault
            or parser.ended
            or not parser.idle
            or last_tag.find(b">") != len(last_tag) - 1
        ):
            raise RemoteProtocolError("policy-violation", "data before the stream restart")

    def pause(self, resume: Callable[[], None]) -> None:
        """What follows the present element waits for resume(), which calls that first."""
        self._pause = Pause(resume)

    def resume(self) -> None:
        """Goes on, with what came meanwhile. Only where `paused`."""
        pause, self._pause = self._pause, None
        assert pause is not None
        self._more = bool(pause.elements)
        self._behind = bool(pause.pieces)
        if self._stream.phase is Phase.NEGOTIATING:
            pause.resume()
        self._pass_on(self._parser, pause.elements)
        if pause.pieces:
            whole = self._framing.messages
            self.receive_all(pause.pieces if whole else [b"".join(pause.pieces)])

    # -- inside ------------------------------------------------------------------------------

    def _judge(self, data: bytes) -> None:
        """What may come at all, before stanzas flow and after they did."""
        stream = self._stream
        if stream.phase in (Phase.START, Phase.TLS):
            raise RemoteProtocolError("policy-violation", "data where none may come")
        if self._pause is not None:
            self._pause.hold(data)
        elif stream.was_ready or Done.AUTHENTICATED in stream.done:
            self._parse(data)
        else:
            self._parse_early(data)

    def _parse_early(self, data: bytes) -> None:
        """Up to the limit, that is, exactly, whatever the chunks are."""
        left = self._limits.early_bytes - self._early_bytes
        head, rest = data[:left], data[left:]
        self._early_bytes += len(head)
        if rest and self._framing.messages:
            raise violation("early_bytes", "too much before authentication")
        self._parse(head)
        stream = self._stream
        if not rest or stream.phase is Phase.CLOSED:
            return
        if (
            Done.AUTHENTICATED in stream.done
            or self._pause is not None
            or stream.phase is Phase.TLS  # its bytes are no business of ours
        ):
            self._judge(rest)
        else:
            raise violation("early_bytes", "too much before authentication")

    def _parse(self, data: bytes) -> None:
        parser = self._parser
        elements = parser.receive(data)
        if not self._opened and parser.header is not None:
            self._opened = True
            self._stream.peer_opened(parser.header)
        self._pass_on(parser, elements)

    def _pass_on(self, parser: Parser, elements: list[Received]) -> None:
        stream = self._stream
        while True:
            if elements:
                if stream.was_ready:
                    stream.peer_sent(elements)
                else:
                    self._negotiate(elements)
            if self._pause is not None:
                return  # the rest must wait
            if self._parser is not parser or stream.phase is Phase.CLOSED:
                return
            if not (parser.stalled and parser.quick):
                break
            elements = parser.go_on()  # stanzas flow since then
        if parser.fault:
            raise parser.fault
        if parser.ended:
            stream.peer_closed()

    def _negotiate(self, elements: list[Received]) -> None:
        """One by one, until stanzas flow."""
        stream = self._stream
        for number, element in enumerate(elements, 1):
            self._more = number < len(elements)
            # The parser is not quick yet.
            assert not isinstance(element, Stanza | StanzaSkipped)
            stream.peer_negotiates(element)
            if self._pause is not None:
                self._pause.elements = elements[number:]
                return
            if stream.phase is Phase.CLOSED:
                return
            if stream.was_ready:
                stream.peer_sent(elements[number:])
                return
