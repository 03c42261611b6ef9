"""One XMPP stream over one TCP connection: an asyncio.Protocol around the stream engine.

The life of the object, seen by its methods:

    connection_made → data_received … (negotiate: StartTLS, Authenticated, Ready) → data_received …
        → _finish, from whichever end comes first → connection_lost

What arrives goes through the engine in one call and to the sink as one batch; what leaves is one
write. All else that costs time per stanza is the engine's.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from emp.config import ConnectionSettings
from emp.errors import ConnectionFailed, EmpError, LocalProtocolError
from emp.jid import JID
from emp.net import failures, names, sockets, tls
from emp.stanza import Presence, Stanza
from emp.stream import ClientStream, ComponentStream
from emp.stream.events import (
    Authenticated,
    Event,
    Ready,
    StanzasReceived,
    StartTLS,
    StreamClosed,
    StreamFailed,
    StreamOpened,
)

WRITE_HIGH_WATER = 262_144
"""Bytes in the outgoing buffer at which the sink is asked to wait: 800 stanzas of 300 bytes."""

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


class XMPPStream(asyncio.Protocol):
    """A stream as `emp.net.open_stream` returns it: ready for stanzas.

    `jid`: the full JID of a client, the domain of a component. Not thread-safe.
    """

    jid: JID

    def __init__(
        self, settings: ConnectionSettings, engine: ClientStream | ComponentStream, sink: StreamSink
    ) -> None:
        self.peer = settings.server or settings.host
        self._settings = settings
        self._engine = engine
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._events: deque[Event] = deque()  # of the negotiation
        self._news: asyncio.Future[None] | None = None  # somebody waits for the next of them
        self._lost: asyncio.Future[None] = self._loop.create_future()  # the socket is closed
        self._ready = False  # the sink gets what arrives
        self._handed_over = False  # open_stream succeeded: ends go to the sink
        self._closing = False  # we said </stream:stream>
        self._ended = False
        self._failure: ConnectionFailed | None = None
        self._read_paused = False
        self._securing = False
        self._early = b""  # decrypted before start_tls() returned
        self._last_write = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.write_blocked = False
        """True between write_paused() and write_resumed()."""
        self.bytes_received = 0
        """Bytes of XML that came in, decrypted."""

    # -- what users call --------------------------------------------------------------------------

    def send(self, stanzas: Sequence[Stanza]) -> None:
        """Send stanzas with one write. Raises LocalProtocolError when the stream is over."""
        if self._ended or self._closing:
            raise LocalProtocolError("the stream is closed")
        self._engine.send(stanzas)
        self._flush()

    def pause_reading(self) -> None:
        """Take nothing more off the socket: TCP slows the peer down. Any time, and repeatedly."""
        self._read_paused = True
        self._apply_reading()

    def resume_reading(self) -> None:
        """Undo pause_reading(). Any time, and repeatedly."""
        self._read_paused = False
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

    def data_received(self, data: bytes) -> None:
        if self._securing:  # TLS is up, but start_tls() has not returned yet
            self._early += data
            return
        if self._ended:
            return
        self.bytes_received += len(data)
        events = self._engine.receive_data(data)
        self._flush()
        for event in events:
            if type(event) is StanzasReceived and self._ready:
                self._sink.stanzas_received(event.stanzas)
                if self._ended:
                    return
            else:
                self._control(event)

    def eof_received(self) -> None:
        if not self._ended:
            for event in self._engine.receive_eof():
                if isinstance(event, StreamClosed):
                    self._control(event)
            self._finish(self._failed(f"{self.peer} closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        reason = failures.os_reason(exc) if isinstance(exc, OSError) else "connection closed"
        self._finish(self._failed(f"{self.peer}: {reason}"))
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None
        if not self._lost.done():
            self._lost.set_result(None)

    def pause_writing(self) -> None:
        self.write_blocked = True
        if self._ready and not self._ended:
            self._sink.write_paused()

    def resume_writing(self) -> None:
        self.write_blocked = False
        if self._ready and not self._ended:
            self._sink.write_resumed()

    # -- negotiation ------------------------------------------------------------------------------

    async def negotiate(self, context: ssl.SSLContext | None, progress: Progress) -> None:
        """From the first header to the last step; raises ConnectionFailed. For `open_stream`."""
        client = self._settings.kind == "client"
        step = "secure" if client else "authenticate"
        deadline = self._deadline()
        self._engine.start()
        self._flush()
        while True:
            event = await self._next(step, deadline)
            match event:
                case StartTLS() if context is not None:
                    detail = await self._secure(context, deadline)
                    progress("secure", detail)
                    step, deadline = "authenticate", self._deadline()
                case Authenticated():
                    progress("authenticate", event.mechanism)
                    step, deadline = "bind", self._deadline()
                case Ready():
                    progress("bind", str(event.jid))
                    break
                case StreamOpened():
                    continue
                case _:
                    what = type(event).__name__
                    raise ConnectionFailed(step, f"{self.peer}: {what} at the wrong time")
        if self._events or self._ended:  # the end came in the same read as Ready
            await self._next(step, deadline)
        if client:
            self.send([Presence()])
            progress("presence", "available")
        self._handed_over = True
        if self._settings.keepalive:
            self._timer = self._loop.call_later(self._settings.keepalive, self._keep_alive)

    def _deadline(self) -> float:
        return self._loop.time() + self._settings.connect_timeout

    async def _next(self, step: str, deadline: float) -> Event:
        while not self._events:
            if self._ended:
                reason = self._failure.reason if self._failure else f"{self.peer} closed the stream"
                raise ConnectionFailed(step, reason)
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

    async def _secure(self, context: ssl.SSLContext, deadline: float) -> str:
        """The TLS handshake (RFC 6120 §5.4.3); returns the version of TLS."""
        plain = self._transport
        assert plain is not None
        secured: asyncio.Transport | None = None
        try:
            secured = await self._loop.start_tls(
                plain,
                self,
                context,
                server_hostname=names.a_label(self._settings.host),
                ssl_handshake_timeout=max(deadline - self._loop.time(), 0.001),
                ssl_shutdown_timeout=CLOSE_SECONDS,
            )
        except ssl.SSLCertVerificationError as error:
            domain, ca_file = self._settings.host, self._settings.ca_file
            raise tls.refused(error, domain, ca_file) from None
        except ssl.SSLError as error:
            what = error.reason or str(error)
            reason = f"no TLS with {self.peer}: {what.lower().replace('_', ' ')}"
            raise ConnectionFailed("secure", reason) from None
        except OSError as error:  # ConnectionAbortedError is how asyncio says "handshake too slow"
            reason = f"{self.peer}: {failures.os_reason(error)} during the TLS handshake"
            raise ConnectionFailed("secure", reason) from None
        finally:
            self._securing = False
            if secured is None:  # whether connection_lost() comes now depends on the event loop
                plain.abort()
        if secured is None:  # documented: the transport was closing
            raise ConnectionFailed("secure", f"{self.peer} closed the connection")
        self._use(secured)
        self._engine.tls_established()
        self._flush()
        early, self._early = self._early, b""
        if early:
            self.data_received(early)
        version = secured.get_extra_info("ssl_object").version()
        return str(version).replace("TLSv", "TLS ")

    def _control(self, event: Event) -> None:
        """All but stanzas of a stream that is ready."""
        if self._ended:
            return
        match event:
            case StartTLS():
                # Nothing may be taken for clear text any more; start_tls() resumes.
                self._securing = True
                if self._transport is not None:
                    self._transport.pause_reading()
            case Ready():
                self.jid = event.jid
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
        if self._timer is not None:
            self._timer.cancel()
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

    def _use(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(WRITE_HIGH_WATER)
        self._apply_reading()

    def _apply_reading(self) -> None:
        transport = self._transport
        if transport is None or self._securing or transport.is_closing():
            return  # start_tls() pauses and resumes by itself; _use() catches up after it
        if self._read_paused:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def _flush(self) -> None:
        data = self._engine.data_to_send()
        if data and self._transport is not None:
            self._transport.write(data)
            self._last_write = self._loop.time()

    def _keep_alive(self) -> None:
        """Whitespace after silence (RFC 6120 §4.6.1). Looks at the clock, so that writing need not
        touch the timer."""
        if self._closing or self._transport is None:
            return
        wait = self._last_write + self._settings.keepalive - self._loop.time()
        if wait <= 0:
            if not self.write_blocked:  # else the peer has bytes to acknowledge anyway
                self._transport.write(b" ")
            self._last_write = self._loop.time()
            wait = self._settings.keepalive
        self._timer = self._loop.call_later(wait, self._keep_alive)
