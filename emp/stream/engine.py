"""What all roles of the stream engine share: bytes in → events, commands → bytes out.

No sockets, no clock. Bytes of the peer never raise: its faults end in one terminal event,
StreamFailed, after the events for what came before them, and the goodbye is in data_to_send().
LocalProtocolError is for our caller alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Final

from emp import ns
from emp.errors import (
    AuthenticationError,
    LocalProtocolError,
    RemoteProtocolError,
    StreamError,
)
from emp.stanza import Stanza
from emp.stream.events import (
    Event,
    StanzasReceived,
    StartTLS,
    StreamClosed,
    StreamFailed,
    StreamOpened,
)
from emp.stream.limits import Limits
from emp.stream.parser import STANZA_KINDS, StreamHeader, StreamParser
from emp.stream.state import Done, Phase, Signal, move
from emp.xml import Element, escape

_FOOTER: Final = b"</stream:stream>"
_ERROR: Final = f"{{{ns.STREAM}}}error"
_STANZA_NAMES: Final = frozenset(f"{{{ns.CLIENT}}}{kind}" for kind in STANZA_KINDS)
_WHITESPACE: Final = b" \t\r\n"

_from_element = Stanza.from_element


class Stream(ABC):
    """The base of ClientStream, ComponentStream and ServerStream; features see it as well."""

    def __init__(self, limits: Limits, phase: Phase, done: Done) -> None:
        self.done = done
        self._limits = limits
        self._phase = phase
        self._parser = StreamParser(limits)
        self._opened = False  # the peer's header was reported
        self._header_sent = False
        self._was_ready = False
        self._out: list[bytes] = []
        self._events: list[Event] = []
        self._data = b""  # of the present call of receive_data
        self._more = False  # elements follow the present one

    # -- for our caller ----------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether stanzas may be sent."""
        return self._phase is Phase.READY

    @property
    def closed(self) -> bool:
        """Whether the stream is over: what comes in is ignored."""
        return self._phase is Phase.CLOSED

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

    def send(self, stanzas: Iterable[Stanza]) -> None:
        """Queues stanzas. LocalProtocolError unless the stream is ready, or if one is no XML."""
        if self._phase is not Phase.READY:
            raise LocalProtocolError("the stream is not ready for stanzas")
        self._out += [stanza.to_bytes() for stanza in stanzas]

    def tls_established(self) -> None:
        """The transport has done the TLS handshake, after StartTLS or before the first byte."""
        restart = self._phase is Phase.TLS
        self._signal(Signal.TLS_DONE)
        self.done |= Done.SECURE | Done.TRUSTED
        if restart:
            self._new_stream()

    def close(self) -> None:
        """Queues </stream:stream>; what the peer sends before its own is still delivered."""
        if self._phase in (Phase.CLOSING, Phase.CLOSED):
            return
        if self._header_sent and self._phase is not Phase.TLS:
            self._send_footer()
            self._signal(Signal.CLOSE_SENT)
        else:
            self._signal(Signal.OVER)

    def fail(self, condition: str, text: str = "") -> None:
        """Queues a stream error (RFC 6120 §4.9.3) and ends the stream; no event follows."""
        if self._phase is not Phase.CLOSED:
            self._send_error(condition, text)
            self._signal(Signal.OVER)

    # -- for features ------------------------------------------------------------------------

    def queue(self, data: str) -> None:
        """Queues XML that is escaped already."""
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

    def restart(self) -> None:
        """A new stream over the same connection, after SASL (RFC 6120 §6.4.6)."""
        self._signal(Signal.RESTARTED)
        self._new_stream()

    def become_ready(self) -> None:
        """The negotiation is over."""
        self._was_ready = True
        self._signal(Signal.NEGOTIATED)

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

    def _deliver(self, stanzas: list[Stanza]) -> None:
        if stanzas:
            self._events.append(StanzasReceived(stanzas))

    # -- inside ------------------------------------------------------------------------------

    def _receive(self, data: bytes) -> None:
        if self._phase in (Phase.START, Phase.TLS):
            raise RemoteProtocolError("policy-violation", "data where none may come")
        parser = self._parser
        elements = parser.receive(data)
        if not self._opened and parser.header is not None:
            self._open(parser.header)
        if elements:
            self._elements(elements)
        if self._parser is not parser or self._phase is Phase.CLOSED:
            return
        if parser.fault:
            raise parser.fault
        if parser.ended:
            self._send_footer()
            self._over(StreamClosed())

    def _open(self, header: StreamHeader) -> None:
        self._opened = True
        self._signal(Signal.HEADER_RECEIVED)
        self.emit(StreamOpened(header.id, header.from_, header.to, header.version, header.lang))
        self._header_received(header)

    def _elements(self, elements: list[Element]) -> None:
        if self._was_ready:
            try:
                stanzas = [_from_element(element) for element in elements]
            except LocalProtocolError:
                pass  # not all of them are stanzas: one by one
            else:
                self._deliver(stanzas)
                return
        last = len(elements) - 1
        stanzas = []
        for number, element in enumerate(elements):
            if self._was_ready and element.tag in _STANZA_NAMES:
                stanzas.append(_from_element(element))
                continue
            self._more = number < last
            self._deliver(stanzas)
            stanzas = []
            self._other(element)
            if self._phase is Phase.CLOSED:
                return
        self._deliver(stanzas)

    def _other(self, element: Element) -> None:
        if element.tag == _ERROR:
            raise _stream_error(element)
        if self._was_ready:
            raise unexpected(element)
        if self._phase is not Phase.CLOSING:
            self._negotiate(element)

    def _new_stream(self) -> None:
        self._parser = StreamParser(self._limits)
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
        self._signal(Signal.OVER)
        self.emit(event)

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
        self.queue(f"<stream:error><{condition} xmlns='{ns.STREAMS_ERROR}'/>{note}</stream:error>")
        self._send_footer()

    def _send_footer(self) -> None:
        if self._header_sent and self._phase not in (Phase.TLS, Phase.CLOSING):
            self._out.append(_FOOTER)


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
