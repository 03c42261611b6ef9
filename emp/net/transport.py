"""One XMPP stream over one TCP connection: an asyncio.Protocol around the stream engine.

The life of the object, seen by its methods:

    attach → negotiate (emp.net.negotiation, which hears of StartTLS, Authenticated, Ready)
        → data_received …, send …, close → _finish, from whichever end comes first
        → connection_lost

What arrives goes through the engine in one call and to the sink as one batch; what leaves is one
write. All else that costs time per stanza is the engine's.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from emp.config import ConnectionSettings
from emp.errors import ConnectionFailed, LocalProtocolError
from emp.jid import JID
from emp.net import failures, sockets, tls
from emp.net.negotiation import Negotiation, Progress, first_presence
from emp.net.pulse import Pulse
from emp.net.shell import Shell
from emp.net.sink import StreamSink
from emp.net.trust import Trust
from emp.stanza import Presence, Stanza
from emp.stream import ClientStream, ComponentStream
from emp.stream.engine import Stream
from emp.stream.events import (
    Compute,
    Event,
    Ready,
    Resumed,
    StanzaSkipped,
    StanzasReceived,
    StartTLS,
    StreamClosed,
    StreamFailed,
)
from emp.stream.management import UNACKNOWLEDGED, Management

if TYPE_CHECKING:
    from emp.net.websocket import Wire

WRITE_HIGH_WATER = 262_144
"""Bytes in the outgoing buffer at which the sink is asked to wait: 800 stanzas of 300 bytes."""

HOPELESS = 16 * UNACKNOWLEDGED
"""Stanzas without acknowledgement at which the peer is given up. Senders wait at a sixteenth of
that; beyond it are what was on its way, and what nobody can hold back, such as refusals."""

PROGRESS_BYTES = 65_536
"""Bytes of one stanza that prove that the peer is there: at the default times of `keepalive` and
`ping_timeout` that is 1 KB/s."""

CLOSE_SECONDS = 5.0
"""For the peer to answer our </stream:stream>, and for the last bytes to leave."""

DISCARD_SECONDS = 1.0
"""For our stream error to leave after a failed negotiation; nothing depends on it."""


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
        # None: open_stream succeeded, and ends go to the sink.
        self._negotiation: Negotiation | None = Negotiation(
            settings, self, upgrade=wire is not None
        )
        self._lost: asyncio.Future[None] = self._loop.create_future()  # the socket is closed
        self._ready = False  # the sink gets what arrives
        self._closing = False  # we said </stream:stream>
        self._ended = False
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
        if awaits := getattr(sink, "awaits", None):
            engine.expect_answers(awaits)
        self._counted = 0  # bytes received when something was heard last
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
                self._give_up(f"{self.peer} acknowledges nothing")

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
        self._give_up("aborted on this side")

    # -- what asyncio calls -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._use(cast(asyncio.Transport, transport))
        sockets.set_options(transport.get_extra_info("socket"))

    def _received(self, data: bytes) -> None:
        if self._ended:
            return
        self.bytes_received += len(data)
        if self._negotiation is not None:
            self._negotiation.heard(data)
        events = self._wire.receive_data(data)
        # Some bytes of a stanza that never ends are no sign of life; many are.
        if events or self._wire.idle or self.bytes_received - self._counted >= PROGRESS_BYTES:
            self._pulse.heard = self._loop.time()
            self._counted = self.bytes_received
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
            case StanzaSkipped():
                if skipped := getattr(self._sink, "stanza_skipped", None):
                    skipped(event)
                return
        if self._negotiation is not None:
            self._negotiation.told(event)
        elif isinstance(event, StreamClosed):
            self._finish(None)
            self._shut_down()
        elif isinstance(event, StreamFailed):
            how = failures.failed(event.error, failures.ESTABLISHED, self._settings, self.peer)
            self._finish(how)
            self._shut_down()

    def _computed(self, work: asyncio.Future[None]) -> None:
        if not self._ended and not work.cancelled():
            work.result()
            self._happened(self._engine.computed())

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
        """As Negotiation has it. For `open_stream`."""
        assert self._negotiation is not None
        await self._negotiation.attach(sock, trust, until, progress)

    async def negotiate(self, trust: Trust | None, progress: Progress, *, available: bool) -> None:
        """From the first header to the last step; raises ConnectionFailed. For `open_stream`."""
        assert self._negotiation is not None
        await self._negotiation.run(trust, progress)
        settings = self._settings
        if settings.kind == "client" and available and settings.presence and not self.resumed:
            self.send([first_presence(settings)])
            progress("presence", "available")
        self._negotiation = None
        self._tell_flow()
        self._pulse.start(self._engine.peer_limits.idle_seconds)

    # -- for Negotiation --------------------------------------------------------------------------

    @property
    def place(self) -> tuple[str, int] | None:
        """The address and port at the other end, while there is one."""
        transport = self._transport
        place = transport.get_extra_info("peername") if transport is not None else None
        return None if place is None else (place[0], place[1])

    def nudge(self) -> None:
        """Write white space, which says nothing on a stream."""
        if self._transport is not None:
            self._transport.write(b"\r\n\r\n")

    def begin(self) -> None:
        """Send our stream header."""
        self._engine.start()
        self._flush()

    async def start_tls(self, trust: Trust, timeout: float) -> ssl.SSLObject:
        """The handshake, in at most `timeout` seconds. OSError. Then either the server is not to
        be trusted, or `tls_established` and `go_on` follow."""
        return await self._start_tls(
            trust.context,
            server_hostname=trust.name,
            timeout=timeout,
            shutdown_timeout=tls.SHUTDOWN_SECONDS,
        )

    def tls_established(self, bindings: Mapping[str, bytes]) -> None:
        """TLS stands, and the server is who it should be; as Stream has it."""
        self._engine.tls_established(bindings)

    def go_on(self) -> None:
        """Say what is to be said under TLS, and hear what came right behind the handshake."""
        self._flush()
        self._take_early()

    # -- the end ----------------------------------------------------------------------------------

    def _failed(self, reason: str) -> ConnectionFailed:
        return ConnectionFailed(failures.ESTABLISHED, reason)

    def _finish(self, failure: ConnectionFailed | None) -> None:
        """The stream is over: tell whoever waits. The first reason counts."""
        if self._ended:
            return
        self._ended = True
        self._pulse.stop()
        self._engine.receive_eof()
        if self._negotiation is not None:
            self._negotiation.over(failure)
        else:
            self._sink.stream_lost(failure)

    def _give_up(self, reason: str) -> None:
        self._finish(self._failed(reason))
        if self._transport is not None:
            self._transport.abort()

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
        self._give_up(f"{self.peer} does not answer: nothing came for {seconds}")


def _says_more(event: Event) -> bool:
    """Whether it tells better than we could how a connection has ended."""
    return isinstance(event, StreamFailed) and isinstance(event.error, failures.LineFault)
