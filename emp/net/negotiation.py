"""The way to a stream that is ready: TLS, our header, and the steps behind it with their deadlines.

The engine speaks the protocol and reports how far it has come; here is how long each step may take,
and at which one it failed. `open_stream` waits in `attach` and `run`; `told` and `over` are called
meanwhile, by whoever feeds the engine.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from emp.config import ConnectionSettings
from emp.errors import ConnectionFailed
from emp.net import binding, failures, tls
from emp.net.trust import Trust
from emp.stanza import Presence
from emp.stream.events import (
    Authenticated,
    Event,
    Ready,
    Resumed,
    StartTLS,
    StreamClosed,
    StreamFailed,
    StreamOpened,
)

if TYPE_CHECKING:
    from emp.net.transport import XMPPStream

Progress = Callable[[str, str], None]
"""Is told of every step that is done, by its name, and of something to say about it."""


class Negotiation:
    """That of one stream. Whatever it awaits raises ConnectionFailed."""

    def __init__(self, settings: ConnectionSettings, stream: XMPPStream, *, upgrade: bool) -> None:
        """upgrade: whether HTTP comes first, to become something else."""
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._stream = stream
        self._upgrade = upgrade
        self._secured = False  # by TLS
        self._step = ""
        self._deadline = 0.0  # of the step
        self._events: deque[Event] = deque()
        self._news: asyncio.Future[None] | None = None  # somebody waits for the next of them
        self._over = False  # the connection is
        self._failure: ConnectionFailed | None = None  # how

    def told(self, event: Event) -> None:
        """The engine has reported that."""
        self._events.append(event)
        self._wake()

    def over(self, failure: ConnectionFailed | None) -> None:
        """The connection is over; None: in order. What was reported before still counts."""
        self._over, self._failure = True, failure
        self._wake()

    # -- TLS --------------------------------------------------------------------------------------

    async def attach(
        self, sock: socket.socket, trust: Trust | None, until: float, progress: Progress
    ) -> None:
        """Gives the stream a connected socket. With `trust`: TLS from the first byte (XEP-0368),
        until that time of the event loop."""
        stream = self._stream
        if trust is None:
            await self._loop.create_connection(lambda: stream, sock=sock)
            progress("connect", stream.peer)
            return
        try:
            transport, _ = await self._loop.create_connection(
                lambda: stream,
                sock=sock,
                ssl=trust.context,
                server_hostname=trust.name,
                ssl_handshake_timeout=self._left(until),
                ssl_shutdown_timeout=tls.SHUTDOWN_SECONDS,
            )
        except OSError as error:
            raise tls.handshake_failed(error, stream.peer, trust.ca_file) from None
        progress("connect", stream.peer)
        progress("secure", self._protected(transport.get_extra_info("ssl_object"), trust))

    async def _secure(self, trust: Trust) -> str:
        """The TLS handshake (RFC 6120 §5.4.3); returns the version of TLS."""
        stream = self._stream
        try:
            connection = await stream.start_tls(trust, self._left(self._deadline))
        except OSError as error:
            raise tls.handshake_failed(error, stream.peer, trust.ca_file) from None
        version = self._protected(connection, trust)
        stream.go_on()
        return version

    def _protected(self, connection: ssl.SSLObject, trust: Trust) -> str:
        """TLS stands. Who is there is made sure before a byte is sent; returns the version."""
        trust.verify(connection)
        self._stream.tls_established(binding.bindings(connection))
        self._secured = True
        return str(connection.version()).replace("TLSv", "TLS ")

    def _left(self, until: float) -> float:
        return max(until - self._loop.time(), 0.001)

    # -- the steps --------------------------------------------------------------------------------

    async def run(self, trust: Trust | None, progress: Progress) -> None:
        """From our header to Ready or Resumed. trust: what the server must prove, None where TLS is
        not going to be asked of it."""
        stream = self._stream
        self._enter(self._first())
        if self._over:  # the peer has hung up already
            raise self._ended()
        stream.begin()
        while True:
            event = await self._next()
            match event:
                case StartTLS() if trust is not None:
                    progress("secure", await self._secure(trust))
                    self._enter("authenticate")
                case Authenticated():
                    progress("authenticate", event.mechanism)
                    self._enter("bind")
                case Ready():
                    progress("bind", str(event.jid))
                    break
                case Resumed():
                    progress("bind", f"{event.jid}, resumed")
                    break
                case StreamOpened() if self._step == "upgrade":
                    progress("upgrade", "WebSocket")
                    self._enter("authenticate")
                case StreamOpened():
                    continue
                case _:
                    what = type(event).__name__
                    raise ConnectionFailed(self._step, f"{stream.peer}: {what} at the wrong time")
        if self._events or self._over:  # the end came in the same read as Ready
            await self._next()

    def _first(self) -> str:
        if self._upgrade:
            return "upgrade"
        clear = self._settings.kind == "client" and not self._secured
        return "secure" if clear else "authenticate"

    def _enter(self, step: str) -> None:
        self._step = step
        self._deadline = self._loop.time() + self._settings.connect_timeout

    async def _next(self) -> Event:
        """What happens next. ConnectionFailed if that is the end, or nothing in time."""
        while not self._events:
            if self._over:
                raise self._ended()
            await self._wait()
        event = self._events.popleft()
        peer = self._stream.peer
        if isinstance(event, StreamFailed):
            raise failures.failed(event.error, self._step, self._settings, peer)
        if isinstance(event, StreamClosed):
            raise ConnectionFailed(self._step, f"{peer} closed the stream")
        return event

    async def _wait(self) -> None:
        self._news = self._loop.create_future()
        try:
            async with asyncio.timeout_at(self._deadline):
                await self._news
        except TimeoutError:
            reason = f"{self._stream.peer} did not answer in {self._settings.connect_timeout:g} s"
            raise ConnectionFailed(self._step, reason) from None
        finally:
            self._news = None

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _ended(self) -> ConnectionFailed:
        return failures.at_step(self._failure, self._step, self._stream.peer)


def first_presence(settings: ConnectionSettings) -> Presence:
    """What makes a client available (RFC 6121 §4.2), as the settings want it."""
    return Presence(show=settings.show, status=settings.status, priority=settings.priority)
