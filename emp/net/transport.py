"""One XMPP stream over one TCP connection: an asyncio.Protocol around the stream engine.

The life of the object, seen by its methods:

    connection_made → data_received … (negotiate: StartTLS, Authenticated, Ready) → data_received …
        → _finish, from whichever end comes first → connection_lost

What arrives goes through the engine in one call and to the sink as one batch; what leaves is one
write. All else that costs time per stanza is the engine's.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from emp.config import ConnectionSettings
from emp.errors import ConnectionFailed, EmpError, LocalProtocolError
from emp.jid import JID
from emp.net import binding, failures, sockets, tls
from emp.net.pulse import Pulse
from emp.net.shell import Shell
from emp.net.trust import Trust
from emp.stanza import Presence, Stanza
from emp.stream import ClientStream, ComponentStream
from emp.stream.engine import Stream
from emp.stream.events import (
    Authenticated,
    Compute,
    Event,
    Ready,
    Resumed,
    StanzasReceived,
    StartTLS,
    StreamClosed,
    StreamFailed,
    StreamOpened,
)
from emp.stream.management import UNACKNOWLEDGED, Management

if TYPE_CHECKING:
    from emp.net.websocket import Wire

WRITE_HIGH_WATER = 262_144
"""Bytes in the outgoing buffer at which the sink is asked to wait: 800 stanzas of 300 bytes."""

HOPELESS = 16 * UNACKNOWLEDGED
"""Stanzas without acknowledgement at which the peer is given up. Senders wait at a sixteenth of
that; beyond it are what was on its way, and what nobody can hold back, such as refusals."""

CLOSE_SECONDS = 5.0
"""For the peer to answer our </stream:stream>, and for the last bytes to leave."""

DISCARD_SECONDS = 1.0
"""For our stream error to leave after a failed negotiation; nothing depends on it."""

ABORT_TURNS = 4
"""Turns of the event loop in which an aborted connection closes its socket; TLS takes two."""

Progress = Callable[[str, str], None]


class StreamSink(Protocol):
    """Who takes what a stream brings. Called from the event loop; none of these may block.

    Stanzas can arrive before `open_stream` has returned the stream; an end that comes after a
    successful `open_stream` comes here, once, and nothing follows it.
    """

    def stanzas_received(self, stanzas: list[Stanza], /) -> None:
        """A batch in the order of arrival, never empty."""

    def stream_lost(self, error: EmpError | None, /) -> None:
        """The end. None: closed in order by both sides. Else ConnectionFailed, step "stream"."""

    def write_paused(self) -> None:
        """The outgoing buffer is full: send no more than what is on the way already."""

    def write_resumed(self) -> None:
        """There is room again."""


class XMPPStream(Shell):
    """A stream as `emp.net.open_stream` returns it: ready for stanzas.

    `jid`: the full JID of a client, the domain of a component. Not thread-safe.
    """

    jid: JID

    def __init__(
        self,
        settings: ConnectionSettings,
        engine: ClientStream | ComponentStream,
        sink: StreamSink,
        wire: Wire | None = None,
    ) -> None:
        """wire: what stands between the engine and the socket; None for nothing."""
        super().__init__(WRITE_HIGH_WATER)
        self.peer = settings.server or settings.host
        self._settings = settings
        self._engine = engine
        self._wire: Stream | Wire = wire or engine
        self._sink = sink
        self._events: deque[Event] = deque()  # of the negotiation
        self._news: asyncio.Future[None] | None = None  # somebody waits for the next of them
        self._lost: asyncio.Future[None] = self._loop.create_future()  # the socket is closed
        self._ready = False  # the sink gets what arrives
        self._handed_over = False  # open_stream succeeded: ends go to the sink
        self._secured = False  # by TLS
        self._closing = False  # we said </stream:stream>
        self._ended = False
        self._failure: ConnectionFailed | None = None
        self._read_paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._buffer_full = False
        self._told_blocked = False  # the sink was
        self._pulse = Pulse(
            self,
            engine,
            keepalive=settings.keepalive,
            ping_timeout=settings.ping_timeout,
            clock=self._loop,
        )
        self.resumed = False
        """Whether the session is an earlier one that goes on (XEP-0198 §5)."""
        self.bytes_received = 0
        """Bytes that came in, decrypted."""

    # -- what users call --------------------------------------------------------------------------

    def send(self, stanzas: Sequence[Stanza]) -> None:
        """Send stanzas with one write. Raises LocalProtocolError when the stream is over."""
        if self._ended or self._closing:
            raise LocalProtocolError("the stream is closed")
        self._engine.send(stanzas)
        self._flush()
        if not self._pulse.watching:
            self._pulse.wrote()
        if self._engine.management.full:
            self._tell_flow()
            if len(self._engine.management.unacknowledged) > HOPELESS:
                self._finish(self._failed(f"{self.peer} acknowledges nothing"))
                self.abort()

    def send_nonza(self, xml: str) -> None:
        """Send an element that is no stanza, such as those of XEP-0352. Raises LocalProtocolError
        when the stream is over."""
        if self._ended or self._closing:
            raise LocalProtocolError("the stream is closed")
        self._engine.queue(xml)
        self._flush()

    @property
    def features(self) -> frozenset[str]:
        """Clark names of the stream features that the server has offered last."""
        return self._engine.features

    def handled(self, number: int) -> None:
        """All stanzas up to `number` are handled, as `management` counts them: they may be
        acknowledged. At any time, also when the stream is over."""
        self._engine.handled(number)
        if not self._ended:
            self._flush()

    @property
    def management(self) -> Management:
        """The books of what goes through the stream, and through the next one."""
        return self._engine.management

    @property
    def write_blocked(self) -> bool:
        """Whether senders should wait: the outgoing buffer is full, or too much of what was sent
        is not acknowledged. The sink hears of every change."""
        return self._buffer_full or self._engine.management.full

    def pause_reading(self) -> None:
        """Take nothing more off the socket: TCP slows the peer down. Any time, and repeatedly."""
        self._read_paused = True
        self._apply_reading()

    def resume_reading(self) -> None:
        """Undo pause_reading(). Any time, and repeatedly."""
        self._read_paused = False
        self._pulse.heard = self._loop.time()  # what was not read cannot have been heard
        self._apply_reading()

    async def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """Say goodbye, wait up to `timeout` seconds for the peer's, and close the connection.

        Clients send unavailable presence first (RFC 6121 §4.5). Stanzas that arrive meanwhile still
        reach the sink, unless reading is paused: then the peer's goodbye cannot be seen either.
        """
        if not self._ended and not self._closing:
            if self._settings.kind == "client" and self._engine.ready:
                self._engine.send([Presence(type="unavailable")])
            self._closing = True
            self._pulse.stop()
            self._engine.close()
            self._flush()
        if not self._lost.done():
            await asyncio.wait([self._lost], timeout=timeout)
        if not self._lost.done():
            self._finish(self._failed(f"{self.peer} did not close the stream in {timeout:g} s"))
            await self._dispose()

    def abort(self) -> None:
        """Close the connection at once, whatever is under way."""
        self._finish(self._failed("aborted on this side"))
        if self._transport is not None:
            self._transport.abort()

    # -- what asyncio calls -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._use(cast(asyncio.Transport, transport))
        sockets.set_options(transport.get_extra_info("socket"))

    def _received(self, data: bytes) -> None:
        if self._ended:
            return
        self.bytes_received += len(data)
        events = self._wire.receive_data(data)
        if events or self._wire.idle:  # bytes of a stanza that never ends are no sign of life
            self._pulse.heard = self._loop.time()
        self._happened(events)

    def _happened(self, events: list[Event]) -> None:
        self._flush()
        for event in events:
            if type(event) is StanzasReceived and self._ready:
                self._sink.stanzas_received(event.stanzas)
                if self._ended:
                    return
            else:
                self._control(event)
        if self._told_blocked:  # there may have been acknowledgements
            self._tell_flow()

    def eof_received(self) -> None:
        if not self._ended:
            for event in self._wire.receive_eof():
                if isinstance(event, StreamClosed) or _says_more(event):
                    self._control(event)
            self._finish(self._failed(f"{self.peer} closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(failures.lost(exc, self.peer))
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None
        if not self._lost.done():
            self._lost.set_result(None)

    def pause_writing(self) -> None:
        self._buffer_full = True
        self._engine.acks.hush(True)
        self._tell_flow()

    def resume_writing(self) -> None:
        self._buffer_full = False
        self._engine.acks.hush(False)
        if not self._ended:
            self._flush()
        self._tell_flow()

    def _tell_flow(self) -> None:
        blocked = self.write_blocked
        if blocked is self._told_blocked or not self._ready or self._ended:
            return
        self._told_blocked = blocked
        if blocked:
            self._sink.write_paused()
        else:
            self._sink.write_resumed()

    # -- negotiation ------------------------------------------------------------------------------

    async def attach(
        self, sock: socket.socket, trust: Trust | None, until: float, progress: Progress
    ) -> None:
        """Take over a connected socket. With `trust`: TLS from the first byte (XEP-0368), until
        that time of the event loop. Raises ConnectionFailed. For `open_stream`."""
        if trust is None:
            await self._loop.create_connection(lambda: self, sock=sock)
            progress("connect", self.peer)
            return
        try:
            transport, _ = await self._loop.create_connection(
                lambda: self,
                sock=sock,
                ssl=trust.context,
                server_hostname=trust.name,
                ssl_handshake_timeout=max(until - self._loop.time(), 0.001),
                ssl_shutdown_timeout=CLOSE_SECONDS,
            )
        except OSError as error:
            raise tls.handshake_failed(error, self.peer, trust.ca_file) from None
        progress("connect", self.peer)
        progress("secure", self._protected(transport.get_extra_info("ssl_object"), trust))

    def _protected(self, connection: ssl.SSLObject, trust: Trust) -> str:
        """TLS stands. Who is there is made sure before a byte is sent; returns the version."""
        trust.verify(connection)
        self._engine.tls_established(binding.bindings(connection))
        self._secured = True
        return str(connection.version()).replace("TLSv", "TLS ")

    async def negotiate(self, trust: Trust | None, progress: Progress, *, available: bool) -> None:
        """From the first header to the last step; raises ConnectionFailed. For `open_stream`."""
        client = self._settings.kind == "client"
        step = "secure" if client and not self._secured else "authenticate"
        if self._wire is not self._engine:
            step = "upgrade"
        deadline = self._deadline()
        if self._ended:  # the peer has hung up already
            raise failures.at_step(self._failure, step, self.peer)
        self._engine.start()
        self._flush()
        while True:
            event = await self._next(step, deadline)
            match event:
                case StartTLS() if trust is not None:
                    progress("secure", await self._secure(trust, deadline))
                    step, deadline = "authenticate", self._deadline()
                case Authenticated():
                    progress("authenticate", event.mechanism)
                    step, deadline = "bind", self._deadline()
                case Ready():
                    progress("bind", str(event.jid))
                    break
                case Resumed():
                    progress("bind", f"{event.jid}, resumed")
                    break
                case StreamOpened() if step == "upgrade":
                    progress("upgrade", "WebSocket")
                    step, deadline = "authenticate", self._deadline()
                case StreamOpened():
                    continue
                case _:
                    what = type(event).__name__
                    raise ConnectionFailed(step, f"{self.peer}: {what} at the wrong time")
        if self._events or self._ended:  # the end came in the same read as Ready
            await self._next(step, deadline)
        if client and available and self._settings.presence and not self.resumed:
            self.send([first_presence(self._settings)])
            progress("presence", "available")
        self._handed_over = True
        self._tell_flow()
        self._pulse.start(self._engine.peer_limits.idle_seconds)

    def _deadline(self) -> float:
        return self._loop.time() + self._settings.connect_timeout

    async def _next(self, step: str, deadline: float) -> Event:
        while not self._events:
            if self._ended:
                raise failures.at_step(self._failure, step, self.peer)
            self._news = self._loop.create_future()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._news
            except TimeoutError:
                seconds = f"{self._settings.connect_timeout:g} s"
                raise ConnectionFailed(step, f"{self.peer} did not answer in {seconds}") from None
            finally:
                self._news = None
        event = self._events.popleft()
        if isinstance(event, StreamFailed):
            raise failures.failed(event.error, step, self._settings, self.peer)
        if isinstance(event, StreamClosed):
            raise ConnectionFailed(step, f"{self.peer} closed the stream")
        return event

    async def _secure(self, trust: Trust, deadline: float) -> str:
        """The TLS handshake (RFC 6120 §5.4.3); returns the version of TLS."""
        try:
            connection = await self._start_tls(
                trust.context,
                server_hostname=trust.name,
                timeout=max(deadline - self._loop.time(), 0.001),
                shutdown_timeout=CLOSE_SECONDS,
            )
        except OSError as error:
            raise tls.handshake_failed(error, self.peer, trust.ca_file) from None
        version = self._protected(connection, trust)
        self._flush()
        self._take_early()
        return version

    def _control(self, event: Event) -> None:
        """All but stanzas of a stream that is ready."""
        if self._ended:
            return
        match event:
            case StartTLS():
                self._expect_tls()
            case Compute():
                work = self._loop.run_in_executor(None, event.work)
                work.add_done_callback(self._computed)
                return
            case Ready() | Resumed():
                self.jid = event.jid
                self.resumed = isinstance(event, Resumed)
                self._ready = True
            case StreamClosed() if self._handed_over:
                self._finish(None)
                self._shut_down()
            case StreamFailed() if self._handed_over:
                self._finish(self._failed_by(event.error))
                self._shut_down()
        if not self._handed_over:
            self._events.append(event)
            self._wake()

    def _computed(self, work: asyncio.Future[None]) -> None:
        if not self._ended and not work.cancelled():
            work.result()
            self._happened(self._engine.computed())

    # -- the end ----------------------------------------------------------------------------------

    def _failed(self, reason: str, step: str = failures.ESTABLISHED) -> ConnectionFailed:
        return ConnectionFailed(step, reason)

    def _failed_by(self, error: EmpError) -> ConnectionFailed:
        return failures.failed(error, failures.ESTABLISHED, self._settings, self.peer)

    def _finish(self, failure: ConnectionFailed | None) -> None:
        """The stream is over: tell whoever waits. The first reason counts."""
        if self._ended:
            return
        self._ended = True
        self._failure = failure
        self._pulse.stop()
        self._engine.receive_eof()
        self._wake()
        if self._handed_over:
            self._sink.stream_lost(failure)

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _shut_down(self) -> None:
        """Let the last bytes leave, but not forever: the peer may have stopped reading."""
        if self._transport is None:
            return
        self._transport.close()
        self._timer = self._loop.call_later(CLOSE_SECONDS, self._transport.abort)

    async def discard(self) -> None:
        """Close after a failed negotiation, and wait until the socket is gone."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            self._engine.close()
            self._flush()
            transport.close()
            await asyncio.wait([self._lost], timeout=DISCARD_SECONDS)
        await self._dispose()

    async def _dispose(self) -> None:
        """Abort, and let the event loop do its part of it."""
        for _ in range(ABORT_TURNS):
            if self._transport is None:
                return
            self._transport.abort()
            await asyncio.sleep(0)
        self.connection_lost(None)  # start_tls() that failed kept it for itself

    # -- the socket -------------------------------------------------------------------------------

    @property
    def _held(self) -> bool:
        return self._read_paused

    def _flush(self) -> None:
        data = self._wire.data_to_send()
        if data and self._transport is not None:
            self._transport.write(data)

    # -- for Pulse --------------------------------------------------------------------------------

    @property
    def hears(self) -> bool:
        """Whether what the peer says would be noticed."""
        return not self._read_paused

    def ask(self) -> None:
        """Ask the peer what it has."""
        self._engine.request_ack()
        self._flush()

    def silent(self) -> None:
        """The peer was asked, and says nothing: it is gone, or as good as that."""
        seconds = f"{self._settings.ping_timeout:g} s"
        self._finish(self._failed(f"{self.peer} does not answer: nothing came for {seconds}"))
        if self._transport is not None:
            self._transport.abort()


def _says_more(event: Event) -> bool:
    """Whether it tells better than we could how a connection has ended."""
    return isinstance(event, StreamFailed) and isinstance(event.error, failures.LineFault)


def first_presence(settings: ConnectionSettings) -> Presence:
    """What makes a client available (RFC 6121 §4.2), as the settings want it."""
    return Presence(show=settings.show, status=settings.status, priority=settings.priority)
