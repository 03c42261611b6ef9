"""What all roles of the stream engine share: bytes in → events, commands → bytes out.

No sockets, no clock. Bytes of the peer never raise: its faults end in one terminal event,
StreamFailed, after the events for what came before them, and the goodbye is in data_to_send().
LocalProtocolError is for our caller alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from emp import ns
from emp.errors import (
    AuthenticationError,
    LocalProtocolError,
    RemoteProtocolError,
    StanzasTooLarge,
    StreamError,
)
from emp.stanza import Stanza
from emp.stream.acks import Acks
from emp.stream.events import (
    Compute,
    Event,
    Resumed,
    StanzasReceived,
    StartTLS,
    StreamClosed,
    StreamFailed,
    StreamOpened,
)
from emp.stream.framing import TCP, Framing, Parser, as_message
from emp.stream.header import StreamHeader
from emp.stream.limits import Limits, PeerLimits, violation
from emp.stream.management import Management
from emp.stream.parser import STANZA_KINDS
from emp.stream.state import Done, Phase, Signal, move
from emp.xml import Element, escape

_ERROR: Final = f"{{{ns.STREAM}}}error"
_STANZA_NAMES: Final = frozenset(f"{{{ns.CLIENT}}}{kind}" for kind in STANZA_KINDS)
_WHITESPACE: Final = b" \t\r\n"

# While a password is salted (half a second at most) the peer has nothing to say: it awaits our
# answer. A whole stanza's worth of patience for whitespace and a stream error.
HELD_BYTES: Final = 65_536

_from_element = Stanza.from_element


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
        self._phase = phase
        self._parser: Parser = framing.parser(limits)
        self._footer = framing.closing.encode()
        self._opened = False  # the peer's header was reported
        self._header_sent = False
        self._was_ready = False
        self._out: list[bytes] = []
        self._events: list[Event] = []
        self._data = b""  # of the present call of receive_data
        self._more = False  # elements follow the present one
        self._behind = False  # messages follow it
        self._resume: Callable[[], None] | None = None  # what to do after Compute
        self._waiting: list[Element] = []  # elements that came before it was done
        self._held: list[bytes] = []  # and bytes, as many as these
        self._held_bytes = 0
        self._early_bytes = 0  # that came before the peer, or we with it, were authenticated
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
        return self._phase is Phase.READY

    @property
    def closed(self) -> bool:
        """Whether the stream is over: what comes in is ignored."""
        return self._phase is Phase.CLOSED

    @property
    def idle(self) -> bool:
        """Whether nothing is half received."""
        return self._parser.idle

    @property
    def closing(self) -> bool:
        """Whether our </stream:stream> is sent and the peer's awaited."""
        return self._phase is Phase.CLOSING

    @property
    def management(self) -> Management:
        """The books of what goes through the stream."""
        return self.acks.management

    @property
    def ack_requested(self) -> bool:
        """Whether the peer was asked what it has, and has not answered."""
        return self.acks.requested

    def start(self) -> None:
        """Queues our stream header. LocalProtocolError for a second time, and for servers."""
        self._signal(Signal.STARTED)
        self._send_header()

    def receive_data(self, data: bytes) -> list[Event]:
        """What happened by these bytes of the peer, any number of them, in order."""
        if self._phase is Phase.CLOSED or not data:
            return []
        events: list[Event] = []
        self._events = events
        self._data = data
        try:
            self._receive(data)
        except (RemoteProtocolError, StreamError, AuthenticationError) as error:
            self._fail(error)
        self._data = b""
        return events

    def receive_messages(self, messages: Sequence[bytes]) -> list[Event]:
        """As receive_data(), for several messages of a framing that has messages."""
        if self._phase is Phase.CLOSED:
            return []
        events: list[Event] = []
        self._events = events
        try:
            self._receive_all(messages)
        except (RemoteProtocolError, StreamError, AuthenticationError) as error:
            self._fail(error)
        self._data = b""
        return events

    def receive_fault(self, error: RemoteProtocolError) -> list[Event]:
        """What it means that the peer broke the rules of what is below the stream."""
        if self._phase is Phase.CLOSED:
            return []
        events: list[Event] = []
        self._events = events
        self._fail(error)
        return events

    def receive_eof(self) -> list[Event]:
        """What it means that the peer sends no more bytes."""
        if self._phase is Phase.CLOSED:
            return []
        events: list[Event] = []
        self._events = events
        if self._phase is Phase.CLOSING and self._parser.idle:
            self._over(StreamClosed())  # RFC 6120 §4.4: we may close without the peer's footer
        else:
            self._send_footer()
            self._over(
                StreamFailed(
                    RemoteProtocolError(
                        "undefined-condition", "the connection ended in the middle of the stream"
                    )
                )
            )
        return events

    def data_to_send(self) -> bytes:
        """Everything that was queued since the last call."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def messages_to_send(self) -> list[bytes]:
        """As data_to_send(), for a framing that has messages: each is one XML document."""
        messages = [as_message(each) for each in self._out]
        self._out.clear()
        return messages

    def send(self, stanzas: Iterable[Stanza]) -> None:
        """Queues stanzas. LocalProtocolError unless the stream is ready, or if one is no XML;
        StanzasTooLarge, and nothing is queued, if the peer has said that it does not take one.

        They are kept until they are acknowledged, to be sent once more if need be: do not change
        them afterwards.
        """
        if self._phase is not Phase.READY:
            raise LocalProtocolError("the stream is not ready for stanzas")
        batch = list(stanzas)
        written = [stanza.to_bytes() for stanza in batch]
        if self.peer_limits.max_bytes is not None:
            self._refuse_oversized(batch, written, self.peer_limits.max_bytes)
        self._out += written
        self.acks.wrote(batch)

    def handled(self, number: int) -> None:
        """All stanzas up to `number` are handled, as `management.received` counts them: queues an
        acknowledgement if one is due. At any time, and repeatedly."""
        self.acks.handled(number, writable=self._phase is Phase.READY)

    def request_ack(self) -> None:
        """Asks the peer whether it is there, and what it has: <r/> (XEP-0198 §4), or a ping whose
        answer is not reported. Nothing unless the stream is ready, and nothing by servers without
        XEP-0198."""
        if self._phase is Phase.READY:
            self.acks.request()

    def tls_established(self, bindings: Mapping[str, bytes] | None = None) -> None:
        """The transport has done the TLS handshake, after StartTLS or before the first byte.

        bindings: type of channel binding (RFC 5929, RFC 9266) → its data, as far as TLS gives them.
        """
        self.bindings = dict(bindings or {})
        restart = self._phase is Phase.TLS
        self._signal(Signal.TLS_DONE)
        self.done |= Done.SECURE | Done.TRUSTED
        if restart:
            self._new_stream()

    def computed(self) -> list[Event]:
        """The work of the last Compute is done: what happens now, as receive_data() tells it.

        LocalProtocolError if there was none. Nothing happens on a stream that is over.
        """
        if self._phase is Phase.CLOSED:
            return []
        if self._resume is None:
            raise LocalProtocolError("there was nothing to compute")
        resume, self._resume = self._resume, None
        waiting, self._waiting = self._waiting, []
        events: list[Event] = []
        self._events = events
        self._data = b""
        self._more = bool(waiting)
        try:
            if self._phase is Phase.NEGOTIATING:
                resume()
            self._go_on(self._parser, waiting)
            held, self._held, self._held_bytes = self._held, [], 0
            if held:
                self._receive_all(held if self.framing.messages else [b"".join(held)])
        except (RemoteProtocolError, StreamError, AuthenticationError) as error:
            self._fail(error)
        self._data = b""
        return events

    def close(self) -> None:
        """Queues </stream:stream>; what the peer sends before its own is still delivered."""
        if self._phase in (Phase.CLOSING, Phase.CLOSED):
            return
        if self._header_sent and self._phase is not Phase.TLS:
            if self._phase is Phase.READY:
                self.acks.farewell()
            self._send_footer()
            self._signal(Signal.CLOSE_SENT)
        else:
            self._signal(Signal.OVER)

    def fail(self, condition: str, text: str = "") -> None:
        """Queues a stream error (RFC 6120 §4.9.3) and ends the stream; no event follows."""
        if self._phase is not Phase.CLOSED:
            self._send_error(condition, text)
            self._end(orderly=False)

    # -- for features ------------------------------------------------------------------------

    def queue(self, data: str) -> None:
        """Queues XML that is escaped already: one element."""
        self._out.append(data.encode())

    def emit(self, event: Event) -> None:
        """Reports something to our caller."""
        self._events.append(event)

    def expect_silence(self, *, whitespace: bool) -> None:
        """RemoteProtocolError if anything follows the present element in the same read.

        What was sent in clear, or before authentication, must never count as sent afterwards
        (plaintext injection, CVE-2011-0411). whitespace: whether that may follow.
        """
        parser = self._parser
        data = self._data.rstrip(_WHITESPACE) if whitespace else self._data
        last_tag = data[data.rfind(b"<") + 1 :]
        if (
            self._more
            or self._behind
            or self._held
            or parser.fault
            or parser.ended
            or not parser.idle
            or last_tag.find(b">") != len(last_tag) - 1
        ):
            raise RemoteProtocolError("policy-violation", "data before the stream restart")

    def start_tls(self) -> None:
        """Hands over to the transport."""
        self._signal(Signal.TLS_WANTED)
        self.emit(StartTLS())

    def compute(self, work: Callable[[], None], resume: Callable[[], None]) -> None:
        """Has slow work done elsewhere, then calls resume(); meanwhile nothing else happens."""
        self._resume = resume
        self.emit(Compute(work))

    def restart(self) -> None:
        """A new stream over the same connection, after SASL (RFC 6120 §6.4.6)."""
        self._signal(Signal.RESTARTED)
        self._new_stream()

    def become_ready(self) -> None:
        """The negotiation is over."""
        self._was_ready = True
        self._signal(Signal.NEGOTIATED)

    def take_up(self, resend: Iterable[Stanza]) -> None:
        """The stream is ready, as part of an earlier session; `resend` goes out once more."""
        jid = self.management.jid
        assert jid is not None
        self.done |= Done.BOUND
        self.become_ready()
        self.emit(Resumed(jid))
        again = [stanza.to_bytes() for stanza in resend]
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
        raise unexpected(element)

    def _wanted(self, stanzas: list[Stanza]) -> list[Stanza]:
        """Those of the stanzas received that are for our caller."""
        return stanzas

    def _deliver(self, stanzas: list[Stanza]) -> None:
        if not stanzas:
            return
        stanzas = self._wanted(self.acks.received(stanzas))
        last = self._events[-1] if self._events else None
        if isinstance(last, StanzasReceived):  # one batch per read, whatever stood in between
            last.stanzas.extend(stanzas)
        elif stanzas:
            self._events.append(StanzasReceived(stanzas))

    # -- inside ------------------------------------------------------------------------------

    def _receive(self, data: bytes) -> None:
        if self._phase in (Phase.START, Phase.TLS):
            raise RemoteProtocolError("policy-violation", "data where none may come")
        if self._resume is not None:
            self._hold(data)
            return
        if self._was_ready or Done.AUTHENTICATED in self.done:
            self._parse(data)
        else:
            self._parse_early(data)

    def _parse_early(self, data: bytes) -> None:
        """Up to the limit, that is, exactly, whatever the chunks are."""
        left = self.limits.early_bytes - self._early_bytes
        head, rest = data[:left], data[left:]
        self._early_bytes += len(head)
        if rest and self.framing.messages:
            raise violation("early_bytes", "too much before authentication")
        self._parse(head)
        if not rest or self._phase is Phase.CLOSED:
            return
        if (
            Done.AUTHENTICATED in self.done
            or self._resume is not None
            or self._phase is Phase.TLS  # its bytes are no business of ours
        ):
            self._receive(rest)
        else:
            raise violation("early_bytes", "too much before authentication")

    def _parse(self, data: bytes) -> None:
        parser = self._parser
        elements = parser.receive(data)
        if not self._opened and parser.header is not None:
            self._open(parser.header)
        self._go_on(parser, elements)

    def _refuse_oversized(
        self, batch: Sequence[Stanza], written: Sequence[bytes], limit: int
    ) -> None:
        if self.framing.messages:
            written = [as_message(each) for each in written]
        oversized = [
            stanza for stanza, each in zip(batch, written, strict=True) if len(each) > limit
        ]
        if oversized:
            raise StanzasTooLarge(oversized, max(map(len, written)), limit)

    def _receive_all(self, pieces: Sequence[bytes]) -> None:
        for number, piece in enumerate(pieces, 1):
            if self._phase is Phase.CLOSED:
                return
            self._behind = number < len(pieces)
            self._data = piece
            self._receive(piece)

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        self._held_bytes += len(data) or 1
        if self._held_bytes > HELD_BYTES:
            raise violation("held_bytes", "data while an answer is due")

    def _go_on(self, parser: Parser, elements: list[Element]) -> None:
        if elements:
            self._elements(elements)
        if self._resume is not None:
            return  # the rest must wait for computed()
        if self._parser is not parser or self._phase is Phase.CLOSED:
            return
        if parser.fault:
            raise parser.fault
        if parser.ended:
            if self._phase is Phase.CLOSING:
                self.acks.goodbye()
            self._send_footer()
            self._over(StreamClosed())

    def _open(self, header: StreamHeader) -> None:
        self._opened = True
        self._signal(Signal.HEADER_RECEIVED)
        self.emit(StreamOpened(header.id, header.from_, header.to, header.version, header.lang))
        self._header_received(header)

    def _elements(self, elements: list[Element]) -> None:
        rest = iter(elements)
        if not self._was_ready:
            for number, element in enumerate(rest, 1):
                self._more = number < len(elements)
                self._other(element)
                if self._resume is not None:
                    self._waiting = elements[number:]
                    return
                if self._was_ready or self._phase is Phase.CLOSED:
                    break
        stanzas: list[Stanza] = []
        while self._phase is not Phase.CLOSED:
            try:
                for element in rest:  # the hot path: all of them are stanzas, most of the time
                    stanzas.append(_from_element(element))
            except LocalProtocolError:
                self._deliver(stanzas)
                stanzas = []
                self._other(element)
            else:
                self._deliver(stanzas)
                return

    def _other(self, element: Element) -> None:
        if element.tag == _ERROR:
            raise _stream_error(element)
        if self._was_ready:
            self._manage(element)
        elif self._phase is not Phase.CLOSING:
            self._negotiate(element)

    def _new_stream(self) -> None:
        self._parser = self.framing.parser(self.limits)
        self._opened = self._header_sent = False
        self._restarted()

    def _signal(self, signal: Signal) -> None:
        self._phase = move(self._phase, signal)

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
        closing = self._phase is Phase.CLOSING
        self._signal(Signal.OVER)
        if self._was_ready or self.management.active:  # SASL2 enables before the stream is ready
            if orderly or closing:
                self.management.abandon()
            else:
                self.management.interrupt()

    def _send_header(self) -> None:
        self._header_sent = True
        self.queue(self._header())

    def _send_error(self, condition: str, text: str) -> None:
        if self._phase in (Phase.START, Phase.TLS, Phase.CLOSING):
            return
        if not self._header_sent:
            self._send_header()  # RFC 6120 §4.9.1.2: errors too need a stream around them
        note = (
            f"<text xmlns='{ns.STREAMS_ERROR}' xml:lang='en'>{escape(text)}</text>" if text else ""
        )
        self.queue(
            f"<stream:error><{condition} xmlns='{ns.STREAMS_ERROR}'/>{note}{self.detail}"
            "</stream:error>"
        )
        self._send_footer()

    def _send_footer(self) -> None:
        if self._header_sent and self._phase not in (Phase.TLS, Phase.CLOSING):
            self._out.append(self._footer)


def unexpected(element: Element) -> RemoteProtocolError:
    """The fault of an element that may not stand at the top level now (RFC 6120 §4.9.3)."""
    if element.tag in _STANZA_NAMES:
        return RemoteProtocolError("not-authorized", "a stanza before the stream was negotiated")
    return RemoteProtocolError("unsupported-stanza-type", element.tag)


def _stream_error(element: Element) -> StreamError:
    """What <stream:error/> says (RFC 6120 §4.9.2)."""
    condition = text = ""
    other_host: str | None = None
    for child in element.iterchildren(f"{{{ns.STREAMS_ERROR}}}*"):
        name = child.tag.rpartition("}")[2]
        if name == "text":
            text = text or child.text or ""
        elif not condition:
            condition = name
            if name == "see-other-host":
                other_host = (child.text or "").strip() or None
    return StreamError(condition or "undefined-condition", text, other_host)
