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
from emp.net import binding, failures, strangers, tls
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
        self._heard = b""  # of the beginning
        self._place: tuple[str, int] | None = None  # where the peer is
        self._trust: Trust | None = None  # what it must prove

    def heard(self, data: bytes) -> None:
        """The peer has sent that: who it is, shows in the beginning."""
        if len(self._heard) < strangers.HEARD_BYTES:
            self._heard = (self._heard + data)[: strangers.HEARD_BYTES]
            self._wake()

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
        self._place, self._trust = stream.place, trust
        if self._over:  # the peer has hung up already
            raise await self._explained(self._ended())
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
                raise await self._explained(self._ended())
            if not (self._heard or self._upgrade):
                if await self._wait(self._loop.time() + strangers.NUDGE_SECONDS):
                    continue
                self._stream.nudge()
            if not await self._wait(self._deadline):
                seconds = f"{self._settings.connect_timeout:g} s"
                raise ConnectionFailed(
                    self._step, f"{self._stream.peer} did not answer in {seconds}"
                )
        event = self._events.popleft()
        peer = self._stream.peer
        if isinstance(event, StreamFailed):
            raise await self._explained(
                failures.failed(event.error, self._step, self._settings, peer)
            )
        if isinstance(event, StreamClosed):
            raise ConnectionFailed(self._step, f"{peer} closed the stream")
        return event

    async def _wait(self, until: float) -> bool:
        """For news, or that time of the event loop; returns whether there are some."""
        self._news = self._loop.create_future()
        try:
            async with asyncio.timeout_at(min(until, self._deadline)):
                await self._news
        except TimeoutError:
            return False
        finally:
            self._news = None
        return True

    async def _explained(self, failure: ConnectionFailed) -> ConnectionFailed:
        """The failure, or what it comes of where we are at the wrong port."""
        if self._upgrade:
            return failure
        fault = None
        if self._heard:
            fault = await self._recognised()
        elif self._over and self._place is not None:
            trust = self._trust if self._secured else None
            fault = await strangers.who_is_there(self._settings, *self._place, trust)
        if fault is None:
            return failure
        return failures.failed(fault, self._step, self._settings, self._stream.peer)

    async def _recognised(self) -> failures.LineFault | None:
        """Who has begun like that, if it is nobody whom we look for; with its last words."""
        until = self._loop.time() + strangers.LAST_WORDS
        while strangers.is_odd(self._heard, self._settings):
            told = self._over or strangers.has_said_all(self._heard)
            if told or not await self._wait(until):
                return strangers.fault_of(self._heard, self._settings)
        return None

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _ended(self) -> ConnectionFailed:
        return failures.at_step(self._failure, self._step, self._stream.peer)


def first_presence(settings: ConnectionSettings) -> Presence:
    """What makes a client available (RFC 6121 §4.2), as the settings want it."""
    return Presence(show=settings.show, status=settings.status, priority=settings.priority)
