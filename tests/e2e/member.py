"""An account at this end: a stream with a client session on it, without actors."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from emp.config import ConnectionSettings
from emp.errors import EmpError
from emp.net import XMPPStream, open_stream
from emp.session import ClientSession
from emp.stanza import Iq, Stanza
from tests.e2e.person import STEP_SECONDS
from tests.e2e.place import Place


class Member:
    """What the connection actor does with a session, in few words.

    `sent` is what the session said first on each stream. Routed stanzas wait in `next()`.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings
        self.session = ClientSession(settings)
        self.sent: list[Stanza] = []
        self.stream: XMPPStream | None = None
        self._routed: asyncio.Queue[Stanza] = asyncio.Queue()
        self._changed = asyncio.Event()
        self.acknowledges = True

    # -- emp.net.StreamSink -----------------------------------------------------------------------

    def stanzas_received(self, stanzas: list[Stanza]) -> None:
        for stanza in stanzas:
            verdict = self.session.receive(stanza)
            if verdict.replies:
                self.say(*verdict.replies)
            if verdict.route:
                self._routed.put_nowait(stanza)
        self._handled()
        self._changed.set()

    def _handled(self) -> None:
        """What was routed counts as handled: else the server sends it again one day."""
        if self.stream is not None and self.acknowledges:
            self.stream.handled(self.stream.management.received)

    def stream_lost(self, error: EmpError | None) -> None:
        self._changed.set()

    def write_paused(self) -> None:
        pass

    def write_resumed(self) -> None:
        pass

    # -- for tests --------------------------------------------------------------------------------

    @property
    def jid(self) -> str:
        assert self.stream is not None
        return str(self.stream.jid)

    async def open(self) -> None:
        """A new stream."""
        self.stream = stream = await open_stream(self.settings, self, available=False)
        self.sent = self.session.opened(stream.jid, stream.resumed, stream.features)
        stream.send(self.sent)
        for nonza in self.session.nonzas():
            stream.send_nonza(nonza)
        self._handled()

    async def close(self) -> None:
        if self.stream is not None:
            await self.stream.close(STEP_SECONDS)

    def say(self, *stanzas: Stanza) -> None:
        assert self.stream is not None
        self.stream.send(stanzas)

    async def next(self, fits: Callable[[Stanza], bool]) -> Stanza:
        """The next stanza of that kind that was routed; others are forgotten."""
        async with asyncio.timeout(STEP_SECONDS):
            while not fits(stanza := await self._routed.get()):
                pass
            return stanza

    async def ask(self, iq: Iq) -> Stanza:
        """The answer to a request."""
        self.say(iq)
        return await self.next(lambda each: each.kind == "iq" and each.id == iq.id)

    async def until(self, condition: Callable[[], object]) -> None:
        """Something is so, at the latest after some of the next stanzas."""
        async with asyncio.timeout(STEP_SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@contextlib.asynccontextmanager
async def member(place: Place, name: str, **more: Any) -> AsyncIterator[Member]:
    """`name`'s account with a stream, which is closed at the end."""
    someone = Member(place.settings(name, **more))
    await someone.open()
    try:
        yield someone
    finally:
        await someone.close()
