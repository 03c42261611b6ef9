"""What all roles of the stream engine share: bytes in → events, commands → bytes out.

What comes in goes through an Intake, which calls the methods "of the peer" in its order; what
leaves is queued. No sockets, no clock.

Bytes of the peer never raise: its faults end in one terminal event, StreamFailed, after the events
for what came before them, and the goodbye is in data_to_send(). LocalProtocolError is for our
caller alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from emp.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError, StreamError
from emp.stanza import Stanza
from emp.stream import faults
from emp.stream.acks import ASK_BYTES, Acks
from emp.stream.events import (
    Compute,
    Event,
    Resumed,
    StanzaSkipped,
    StanzasReceived,
    StartTLS,
    StreamClosed,
    StreamFailed,
    StreamOpened,
)
from emp.stream.framing import TCP, Framing, as_message, refuse_oversized
from emp.stream.header import StreamHeader
from emp.stream.intake import Intake
from emp.stream.limits import Limits, PeerLimits
from emp.stream.management import Management
from emp.stream.parser import Received
from emp.stream.state import Done, Phase, Signal, move
from emp.view import CLASSES, of_element, wire_texts
from emp.xml import Element

_from_element = of_element
_STANZAS = frozenset(CLASSES.values())


class Stream(ABC):
    """The base of ClientStream, ComponentStream and ServerStream; features see it as well."""

    def __init__(
        self, limits: Limits, phase: Phase, done: Done, acks: Acks, framing: Framing = TCP
    ) -> None:
        self.done = done
        self.acks = acks
        self.framing = framing
        self.detail = ""  # XML that makes our next stream error more precise
        self.limits = limits
        self.phase = phase
        self.was_ready = False  # stanzas flow, or did
        self._intake = Intake(self, framing, limits)
        self._footer = framing.closing
        self._header_sent = False
        self._out: list[str] = []  # encoded all at once: see send()
        self._events: list[Event] = []  # of the present call
        self.peer_limits = PeerLimits()
        """What the peer has announced (XEP-0478)."""
        self.features: frozenset[str] = frozenset()
        """Clark names of the stream features that the peer has offered last."""
        self.bindings: Mapping[str, bytes] = {}
        """Types of channel binding that TLS gives here, with their data."""

    # -- for our caller ----------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether stanzas may be sent."""
        return self.phase is Phase.READY

    @property
    def closed(self) -> bool:
        """Whether the stream is over: what comes in is ignored."""
        return self.phase is Phase.CLOSED

    @property
    def idle(self) -> bool:
        """Whether nothing is half received."""
        return self._intake.idle

    @property
    def closing(self) -> bool:
        """Whether our </stream:stream> is sent and the peer's awaited."""
        return self.phase is Phase.CLOSING

    @property
    def management(self) -> Management:
        """The books of what goes through the stream."""
        return self.acks.management

    @property
    def ack_requested(self) -> bool:
        """Whether the peer was asked what it has, and has not answered."""
        return self.acks.requested

    def expect_answers(self, awaits: Callable[[str], bool]) -> None:
        """Lets results of our IQ requests be as large as `answer_bytes`.

        awaits: whether the result of a request with this id is awaited.
        """
        self._intake.expect_answers(awaits)

    def start(self) -> None:
        """Queues our stream header. LocalProtocolError for a second time, and for servers."""
        self._signal(Signal.STARTED)
        self._send_header()

    def receive_data(self, data: bytes) -> list[Event]:
        """What happened by these bytes of the peer, any number of them, in order."""
        if self.phase is Phase.CLOSED or not data:
            return []
        events: list[Event] = []
        self._events = events
        try:  # _reported() would cost two calls for every read
            self._intake.receive(data)
        except (RemoteProtocolError, StreamError, AuthenticationError) as error:
            self._fail(error)
        return events

    def receive_messages(self, messages: Sequence[bytes]) -> list[Event]:
        """As receive_data(), for several messages of a framing that has messages."""
        return self._reported(lambda: self._intake.receive_all(messages))

    def receive_fault(self, error: RemoteProtocolError) -> list[Event]:
        """What it means that the peer broke the rules of what is below the stream."""
        return self._reported(lambda: self._fail(error))

    def receive_eof(self) -> list[Event]:
        """What it means that the peer sends no more bytes."""
        return self._reported(self._ended)

    def data_to_send(self) -> bytes:
        """Everything that was queued since the last call."""
        data = "".join(self._out).encode()
        self._out.clear()
        return data

    def messages_to_send(self) -> list[bytes]:
        """As data_to_send(), for a framing that has messages: each is one XML document."""
        messages = [as_message(each.encode()) for each in self._out]
        self._out.clear()
        return messages

    def send(self, stanzas: Iterable[Stanza]) -> None:
        """Queues stanzas. LocalProtocolError unless the stream is ready, or if one is no XML;
        StanzasTooLarge, and nothing is queued, if the peer has said that it does not take one.

        They are kept until they are acknowledged, to be sent once more if need be: do not change
        them afterwards.
        """
        if self.phase is not Phase.READY:
            raise LocalProtocolError("the stream is not ready for stanzas")
        # The hot path: what it costs per stanza is to append its text and itself to a list. Texts
        # are joined, encoded and accounted for once for the batch.
        batch = list(stanzas)
        written = wire_texts(batch)
        if self.peer_limits.max_bytes is not None:
            refuse_oversized(self.framing, batch, written, self.peer_limits.max_bytes)
        size = sum(map(len, written)) if self.management.active else 0
        if size <= ASK_BYTES:
            self._out += written
            self.acks.wrote(batch, size)
            return
        step = -(-len(batch) * ASK_BYTES // size)  # rounded up
        for start in range(0, len(batch), step):  # with questions between them
            self._out += written[start : start + step]
            part = batch[start : start + step]
            self.acks.wrote(part, size * len(part) // len(batch))

    def handled(self, number: int) -> None:
        """All stanzas up to `number` are handled, as `management.received` counts them: queues an
        acknowledgement if one is due. At any time, and repeatedly."""
        self.acks.handled(number, writable=self.phase is Phase.READY)

    def request_ack(self) -> None:
        """Asks the peer whether it is there, and what it has: <r/> (XEP-0198 §4), or a ping whose
        answer is not reported. Nothing unless the stream is ready, and nothing by servers without
        XEP-0198."""
        if self.phase is Phase.READY:
            self.acks.request()

    def tls_established(self, bindings: Mapping[str, bytes] | None = None) -> None:
        """The transport has done the TLS handshake, after StartTLS or before the first byte.

        bindings: type of channel binding (RFC 5929, RFC 9266) → its data, as far as TLS gives them.
        """
        self.bindings = dict(bindings or {})
        restart = self.phase is Phase.TLS
        self._signal(Signal.TLS_DONE)
        self.done |= Done.SECURE | Done.TRUSTED
        if restart:
            self._new_stream()

    def computed(self) -> list[Event]:
        """The work of the last Compute is done: what happens now, as receive_data() tells it.

        LocalProtocolError if there was none. Nothing happens on a stream that is over.
        """
        if self.phase is not Phase.CLOSED and not self._intake.paused:
            raise LocalProtocolError("there was nothing to compute")
        return self._reported(self._intake.resume)

    def close(self) -> None:
        """Queues </stream:stream>; what the peer sends before its own is still delivered."""
        if self.phase in (Phase.CLOSING, Phase.CLOSED):
            return
        if self._header_sent and self.phase is not Phase.TLS:
            if self.phase is Phase.READY:
                self.acks.farewell()
            self._send_footer()
            self._signal(Signal.CLOSE_SENT)
        else:
            self._signal(Signal.OVER)

    def fail(self, condition: str, text: str = "") -> None:
        """Queues a stream error (RFC 6120 §4.9.3) and ends the stream; no event follows."""
        if self.phase is not Phase.CLOSED:
            self._send_error(condition, text)
            self._end(orderly=False)

    # -- for features ------------------------------------------------------------------------

    def queue(self, data: str) -> None:
        """Queues XML that is escaped already: one element."""
        self._out.append(data)

    def emit(self, event: Event) -> None:
        """Reports something to our caller."""
        self._events.append(event)

    def expect_silence(self, *, whitespace: bool) -> None:
        """RemoteProtocolError if anything follows the present element in the same read.

        What was sent in clear, or before authentication, must never count as sent afterwards.
        whitespace: whether that may follow.
        """
        self._intake.expect_silence(whitespace=whitespace)

    def start_tls(self) -> None:
        """Hands over to the transport."""
        self._signal(Signal.TLS_WANTED)
        self.emit(StartTLS())

    def compute(self, work: Callable[[], None], resume: Callable[[], None]) -> None:
        """Has slow work done elsewhere, then calls resume(); meanwhile nothing else happens."""
        self._intake.pause(resume)
        self.emit(Compute(work))

    def restart(self) -> None:
        """A new stream over the same connection, after SASL (RFC 6120 §6.4.6)."""
        self._signal(Signal.RESTARTED)
        self._new_stream()

    def become_ready(self) -> None:
        """The negotiation is over."""
        self.was_ready = True
        self._intake.flow()
        self._signal(Signal.NEGOTIATED)

    def take_up(self, resend: Iterable[Stanza]) -> None:
        """The stream is ready, as part of an earlier session; `resend` goes out once more."""
        jid = self.management.jid
        assert jid is not None
        self.done |= Done.BOUND
        self.become_ready()
        self.emit(Resumed(jid))
        again = wire_texts(resend)
        if again:
            self._out += again
            self.acks.request()

    # -- for the roles -----------------------------------------------------------------------

    @abstractmethod
    def _header_received(self, header: StreamHeader) -> None:
        """The peer's header is complete."""

    @abstractmethod
    def _negotiate(self, element: Element) -> None:
        """An element at the top level came before the stream was ready."""

    @abstractmethod
    def _header(self) -> str:
        """Our stream header."""

    @abstractmethod
    def _restarted(self) -> None:
        """The stream begins anew: forget what belongs to the old one."""

    def _manage(self, element: Element) -> None:
        """An element that is neither a stanza nor an error came after the stream was ready."""
        raise faults.unexpected(element)

    def _wanted(self, stanzas: list[Stanza]) -> list[Stanza]:
        """Those of the stanzas received that are for our caller."""
        return stanzas

    # -- of the peer: what Intake tells ------------------------------------------------------

    def peer_opened(self, header: StreamHeader) -> None:
        """The peer's header is complete."""
        self._signal(Signal.HEADER_RECEIVED)
        self.emit(StreamOpened(header.id, header.from_, header.to, header.version, header.lang))
        if self.phase is not Phase.CLOSING:  # else we have said goodbye
            self._header_received(header)

    def peer_negotiates(self, element: Element) -> None:
        """An element came before the stream was ready."""
        if element.tag == faults.ERROR:
            raise faults.parse(element)
        if self.phase is not Phase.CLOSING:
            self._negotiate(element)

    def peer_sent(self, received: list[Received]) -> None:
        """Elements and stanzas came after the stream was ready. The list is ours from now on."""
        if _STANZAS.issuperset(map(type, received)):  # the hot path: a call for all of them
            self._deliver(received)  # type: ignore[arg-type]  # cast() is a call
            return
        rest = iter(received)
        stanzas: list[Stanza] = []
        while self.phase is not Phase.CLOSED:
            try:
                for each in rest:
                    # What was skipped is no element, and seen to be none.
                    stanzas.append(
                        each if isinstance(each, Stanza) else _from_element(cast(Element, each))
                    )
            except LocalProtocolError:
                self._deliver(stanzas)
                stanzas = []
                if isinstance(each, StanzaSkipped):
                    self.acks.skipped()
                    self.emit(each)
                    continue
                element = cast(Element, each)
                if element.tag == faults.ERROR:
                    raise faults.parse(element) from None
                self._manage(element)
            else:
                self._deliver(stanzas)
                return

    def peer_closed(self) -> None:
        """The peer's footer came."""
        if self.phase is Phase.CLOSING:
            self.acks.goodbye()
        self._send_footer()
        self._over(StreamClosed())

    # -- inside ------------------------------------------------------------------------------

    def _reported(self, act: Callable[[], None]) -> list[Event]:
        """What happens by that; nothing on a stream that is over."""
        if self.phase is Phase.CLOSED:
            return []
        events: list[Event] = []
        self._events = events
        try:
            act()
        except (RemoteProtocolError, StreamError, AuthenticationError) as error:
            self._fail(error)
        return events

    def _deliver(self, stanzas: list[Stanza]) -> None:
        if not stanzas:
            return
        stanzas = self._wanted(self.acks.received(stanzas))
        events = self._events
        # One batch per read, whatever stood in between.
        if events and isinstance(last := events[-1], StanzasReceived):
            last.stanzas.extend(stanzas)
        elif stanzas:
            events.append(StanzasReceived(stanzas))

    def _new_stream(self) -> None:
        self._intake.begin()
        self._header_sent = False
        self._restarted()

    def _signal(self, signal: Signal) -> None:
        self.phase = move(self.phase, signal)

    def _ended(self) -> None:
        if self.phase is Phase.CLOSING and self.idle:
            self._over(StreamClosed())  # RFC 6120 §4.4: we may close without the peer's footer
        else:
            text = "the connection ended in the middle of the stream"
            self._send_footer()
            self._over(StreamFailed(RemoteProtocolError("undefined-condition", text)))

    def _fail(self, error: RemoteProtocolError | StreamError | AuthenticationError) -> None:
        if isinstance(error, RemoteProtocolError):
            # Its text may quote the peer's own words: for us only.
            self._send_error(error.condition, "")
        else:
            self._send_footer()
        self._over(StreamFailed(error))

    def _over(self, event: StreamClosed | StreamFailed) -> None:
        self._end(orderly=isinstance(event, StreamClosed))
        self.emit(event)

    def _end(self, *, orderly: bool) -> None:
        """A session that one side has closed in order is over; any other may go on (XEP-0198 §7).

        Only one that came about on this stream: what failed before changes nothing.
        """
        closing = self.phase is Phase.CLOSING
        self._signal(Signal.OVER)
        if self.was_ready or self.management.active:  # SASL2 enables before the stream is ready
            if orderly or closing:
                self.management.abandon()
            else:
                self.management.interrupt()

    def _send_header(self) -> None:
        self._header_sent = True
        self.queue(self._header())

    def _send_error(self, condition: str, text: str) -> None:
        if self.phase in (Phase.START, Phase.TLS, Phase.CLOSING):
            return
        if not self._header_sent:
            self._send_header()  # RFC 6120 §4.9.1.2: errors too need a stream around them
        self.queue(faults.written(condition, text, self.detail))
        self._send_footer()

    def _send_footer(self) -> None:
        if self._header_sent and self.phase not in (Phase.TLS, Phase.CLOSING):
            self._out.append(self._footer)
