"""The life of a connection: connect, stay connected, connect again, until told to stop.

    connecting ──► connected ──► waiting ──► connecting …      stopped: because we were told to
         └───────────────────────► waiting                     failed: only the operator can help

One task runs it. Every failure, of whatever kind, ends in one place, and `actors.reconnect` decides
there what comes next.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Protocol

from actors.base import logger
from actors.messages import ConnectionChanged, ConnectionProgressed
from actors.reconnect import Reconnection
from emp.config import ConnectionSettings
from emp.errors import (
    ConfigError,
    ConnectionFailed,
    EmpError,
    RemoteProtocolError,
    StreamError,
)
from emp.events import Connected, ConnectionEvent, Disconnected, Resumed
from emp.net import ESTABLISHED, StreamSink, XMPPStream, open_stream
from emp.sasl import Memory
from emp.stream.management import Management
from emp.tokens import TokenStore

GOODBYE = 1.0
"""Seconds for the server's good-bye, however long it took to get that far."""


class Owner(StreamSink, Protocol):
    """The connection actor, as seen from here."""

    def stream_opened(self, stream: XMPPStream, /) -> None:
        """There is a stream; `stream.resumed` says whether the session goes on."""

    def stream_closed(self, refused: bool, unreadable: str = "", /) -> None:
        """There is none any more. `refused`: the server ended it with an error; `unreadable`: we
        did, for what came; the condition of RFC 6120 §4.9.3."""

    def gave_up(self, reason: str, /) -> None:
        """There will be none unless the operator acts."""

    def tell_supervisor(self, message: ConnectionChanged | ConnectionProgressed, /) -> None:
        """Pass it on."""


class Life:
    """One connection through all its streams. `incarnation` is that of the actor."""

    def __init__(
        self, name: str, settings: ConnectionSettings, incarnation: int, owner: Owner
    ) -> None:
        self.name, self.settings, self.incarnation = name, settings, incarnation
        self.management = Management()
        self.memory = Memory()
        self.tokens = _tokens(settings)
        self.reconnection = Reconnection()
        self.failures: Counter[str] = Counter()  # by step
        self.violations: Counter[str] = Counter()  # by limit, or by condition of RFC 6120 §4.9.3
        self.stream: XMPPStream | None = None
        self.state, self.reason, self.since = "starting", "", time.time()
        self._owner = owner
        self._stopping = False
        self._other_host: str | None = None
        self._step_began = 0.0
        self._ended: asyncio.Future[EmpError | None] | None = None
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # -- what the actor does with it ----------------------------------------------------------

    def begin(self) -> None:
        """Connect, unless that is under way."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._live())

    @property
    def over(self) -> bool:
        """Whether nobody tries to connect any more."""
        return self.state in ("failed", "stopped")

    def hurry(self) -> None:
        """Connect now: what waits does not wait any longer, what is connected connects anew."""
        self.reconnection.forgive()
        self.begin()
        self._hurry.set()
        if self.stream is not None:
            self._closing = asyncio.get_running_loop().create_task(self.stream.close(GOODBYE))

    def ended(self, error: EmpError | None) -> None:
        """The stream is over: what `StreamSink.stream_lost` hears."""
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(error)

    async def stop(self, seconds: float) -> None:
        """Say good-bye, for `seconds` at most, and connect no more."""
        self._stopping = True
        if self.stream is not None:
            await self.stream.close(max(seconds, GOODBYE))
        if self._task is not None:
            self._task.cancel()
        self._change("stopped", "the service is stopping")

    def abort(self) -> None:
        """Leave without a word."""
        self._stopping = True
        if self._task is not None:
            self._task.cancel()
        if self.stream is not None:
            self.stream.abort()

    # -- inside -------------------------------------------------------------------------------

    async def _live(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping:
            failure = await self._one_stream()
            if self._stopping:
                return
            if failure is not None:
                self.failures[failure.step] += 1
                if isinstance(violation := failure.__cause__, RemoteProtocolError):
                    self.violations[violation.limit or violation.condition] += 1
            delay = self.reconnection.after(failure, loop.time())
            if delay is None:
                self._give_up(failure)
                return
            reason = str(failure) if failure is not None else "the server closed the stream"
            self._hurry.clear()
            self._change("waiting", reason, retry_in=delay)
            try:
                async with asyncio.timeout(delay):
                    await self._hurry.wait()
            except TimeoutError:
                pass

    async def _one_stream(self) -> ConnectionFailed | None:
        """From connecting to the end; returns why it ended (None: closed in order)."""
        loop = asyncio.get_running_loop()
        error: EmpError | None
        began = None
        try:
            self._ended = loop.create_future()
            await self._open()
            began = loop.time()
            error = await self._ended
        except EmpError as failure:
            error = failure
        except Exception as fault:  # noqa: BLE001 - a bug of ours; giving up helps nobody
            logger.exception("%s: the connection failed; trying again", self.name)
            error = EmpError(repr(fault))
            if self.stream is not None:  # it would go on without us
                self.stream.abort()
        finally:
            self.stream = None
        if began is not None:
            self.reconnection.closed(loop.time() - began)
        if error is not None and not isinstance(error, ConnectionFailed):
            error = ConnectionFailed(ESTABLISHED, str(error))
        self._other_host = error.other_host if error is not None else None
        cause = error.__cause__ if error is not None else None
        unreadable = cause.condition if isinstance(cause, RemoteProtocolError) else ""
        try:
            self._owner.stream_closed(isinstance(cause, StreamError), unreadable)
        except Exception:  # noqa: BLE001 - as above
            logger.exception("%s: the end of the connection was not handled", self.name)
        return error

    async def _open(self) -> None:
        self._step_began = asyncio.get_running_loop().time()
        self._change("connecting", "")
        stream = await open_stream(
            self.settings,
            self._owner,
            progress=self._progress,
            management=self.management,
            memory=self.memory,
            tokens=self.tokens,
            available=False,
            other_host=self._other_host or self.management.location,
        )
        self.stream = stream
        self.reconnection.opened()
        self._owner.stream_opened(stream)
        if self.settings.kind == "client" and self.settings.presence and not stream.resumed:
            self._progress("presence", self.settings.show or "available")
        event = Resumed if stream.resumed else Connected
        detail = f"{stream.jid}, resumed" if stream.resumed else str(stream.jid)
        self._change("connected", detail, event(self.name, stream.jid))

    def _give_up(self, failure: ConnectionFailed | None) -> None:
        assert failure is not None  # an orderly end is never final
        self._change(
            "failed",
            f"{failure.step}: {failure.reason}",
            Disconnected(self.name, str(failure), final=True),
            remedy=failure.remedy,
        )
        self._owner.gave_up(str(failure))

    def _change(
        self,
        state: str,
        detail: str,
        event: ConnectionEvent | None = None,
        retry_in: float | None = None,
        remedy: str | None = None,
    ) -> None:
        if self.state == "connected" and event is None:
            event = Disconnected(self.name, detail, final=state == "stopped")
        self.state, self.reason, self.since = state, detail, time.time()
        self._owner.tell_supervisor(
            ConnectionChanged(self.name, self.incarnation, state, detail, retry_in, remedy, event)
        )

    def _progress(self, step: str, detail: str) -> None:
        now = asyncio.get_running_loop().time()
        seconds, self._step_began = now - self._step_began, now
        self._owner.tell_supervisor(
            ConnectionProgressed(self.name, self.incarnation, step, detail, seconds)
        )


def _tokens(settings: ConnectionSettings) -> TokenStore:
    try:
        return TokenStore(settings.token_file)
    except ConfigError as error:  # it was in order when the application started
        logger.warning("%s: tokens are kept in memory only: %s", settings.name, error)
        return TokenStore()
