"""XEP-0198 over sockets: sessions that go on over another connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emp.config import ConnectionSettings
from emp.errors import ConnectionFailed
from emp.net import XMPPStream, open_stream
from emp.stanza import Message, Stanza
from emp.stream.management import UNACKNOWLEDGED, Management
from tests.emp.net.support import PATIENCE, Sink, client, dev_server, opened, turns

if TYPE_CHECKING:
    from tools.servers import Server


class Ear(Sink):
    """A sink that handles what it hears, and knows what it has heard already."""

    def __init__(self, management: Management) -> None:
        super().__init__()
        self.management = management
        self.stream: XMPPStream | None = None
        self.heard: list[str] = []  # bodies, in order
        self._last = self._next = self._generation = 0
        self._news = asyncio.Event()

    def stanzas_received(self, stanzas: list[Stanza]) -> None:
        super().stanzas_received(stanzas)
        if self.management.generation != self._generation:
            self._generation = self.management.generation
            self._next = self.management.origin
        for stanza in stanzas:
            self._next += 1
            if self._next > self._last:
                self._last = self._next
                if isinstance(stanza, Message) and stanza.body is not None:
                    self.heard.append(stanza.body)
        self._news.set()

    def handle(self) -> None:
        """All of it."""
        self.management.handled = self._last
        if self.stream is not None:
            self.stream.handled(self._last)

    async def has_heard(self, count: int) -> list[str]:
        async with asyncio.timeout(PATIENCE):
            while len(self.heard) < count:
                self._news.clear()
                await self._news.wait()
        return self.heard

    def once_more(self) -> None:
        """The next stream ends by itself."""
        self._end = asyncio.get_running_loop().create_future()


Connect = Callable[..., Awaitable[XMPPStream]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """open_stream, and the end of what a test that fails leaves open: uvloop would wait for it."""
    streams: list[XMPPStream] = []

    async def connect(*args: Any, **more: Any) -> XMPPStream:
        streams.append(await open_stream(*args, **more))
        return streams[-1]

    yield connect
    for stream in streams:
        stream.abort()
    await turns()


async def until(condition: Callable[[], bool]) -> None:
    """Waits for something that no event tells of."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.001)


async def test_enabled_and_acknowledged(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        books, sink = Management(), Sink()
        async with opened(client(server), sink, management=books) as stream:
            assert stream.management is books
            assert not stream.resumed
            assert books.active
            assert books.jid == stream.jid
            assert books.max_seconds == server.resumable.seconds
            stream.send([Message(stream.jid, "1")] * 40)
            assert len(books.unacknowledged) > 30
            await until(lambda: not books.unacknowledged)
        assert books.id is None
        assert books.take_lost() == []


@pytest.mark.parametrize("changes", [{"server": False}, {"client": False}])
async def test_without_it(tmp_path: Path, changes: dict[str, bool]) -> None:
    async with dev_server(tmp_path, management=changes.get("server", True)) as server:
        settings = client(server, management=changes.get("client", True), keepalive=0.01)
        sink, books = Sink(), Management()
        async with opened(settings, sink, management=books) as stream:
            assert not books.active
            stream.send([Message(stream.jid, "1")])
            await until(lambda: not books.unacknowledged)  # a ping has proved it
            stream.send([Message(stream.jid, "2")])
            server.cut("romeo@im.test")
            await sink.end()
        assert books.id is None
        assert len(books.take_lost()) <= 1


async def test_cut_and_resumed(tmp_path: Path, connect: Connect) -> None:
    async with dev_server(tmp_path) as server:
        books = Management()
        ear = Ear(books)
        stream = await connect(client(server, resource="balcony"), ear, management=books)
        jid = stream.jid
        async with opened(client(server, "juliet"), Sink()) as juliet:
            juliet.send([Message(jid, str(number)) for number in range(3)])
            await ear.has_heard(3)
            stream.send([Message(juliet.jid, "lost on the way")])
            server.cut(str(jid))
            error = await ear.end()
            assert isinstance(error, ConnectionFailed)
            assert books.id is not None
            assert not books.active
            juliet.send([Message(jid, str(number)) for number in range(3, 6)])
            ear.once_more()
            stream = await connect(client(server, resource="balcony"), ear, management=books)
            assert stream.resumed
            assert stream.jid == jid
            ear.stream = stream
            assert await ear.has_heard(6) == ["0", "1", "2", "3", "4", "5"]
            ear.handle()
            await until(lambda: not books.unacknowledged)
            assert books.take_lost() == []
            # Nobody noticed: no second presence, no second resource.
            (resource,) = server.hub.accounts["romeo"].resources.values()
            assert resource.presence is not None
            await stream.close()


async def test_no_presence_on_resumption(tmp_path: Path, connect: Connect) -> None:
    seen: list[bytes] = []
    async with dev_server(tmp_path, tap=lambda way, jid, wire: seen.append(wire)) as server:
        books, sink = Management(), Sink()
        await connect(client(server), sink, management=books)
        await until(lambda: not books.unacknowledged)
        seen.clear()
        server.cut("romeo@im.test")
        await sink.end()
        async with opened(client(server), Sink(), management=books) as stream:
            assert stream.resumed
            assert not [wire for wire in seen if b"<presence" in wire]


async def test_what_was_written_into_a_dead_connection_arrives(
    tmp_path: Path, connect: Connect
) -> None:
    """The peer's socket is gone, and we do not know it yet."""
    async with dev_server(tmp_path) as server:
        books, romeo = Management(), Ear(Management())
        sink = Sink()
        async with opened(client(server, "juliet"), romeo, management=romeo.management) as juliet:
            stream = await connect(client(server), sink, management=books)
            server.cut("romeo@im.test")
            stream.send([Message(juliet.jid, str(number)) for number in range(100)])
            await sink.end()
            assert len(books.unacknowledged) >= 100
            async with opened(client(server), Sink(), management=books) as again:
                assert again.resumed
                assert await romeo.has_heard(100) == [str(number) for number in range(100)]
                await until(lambda: not books.unacknowledged)


async def test_too_late(tmp_path: Path, connect: Connect) -> None:
    async with dev_server(tmp_path, resume_seconds=0.01) as server:
        books, sink = Management(), Sink()
        stream = await connect(client(server, resource="a"), sink, management=books)
        await until(lambda: not books.unacknowledged)
        server.cut("romeo@im.test")
        with_loss = [Message("juliet@im.test", str(number)) for number in range(2)]
        stream.send(with_loss)
        await sink.end()
        await until(lambda: not server.hub.accounts["romeo"].resources)
        async with opened(client(server, resource="a"), Sink(), management=books) as stream:
            assert not stream.resumed
            assert books.active
            lost = books.take_lost()
            assert [each.stanza for each in lost] == with_loss
            assert all(each.certain for each in lost)  # the server said how much it had


async def test_writers_wait_at_the_bound(tmp_path: Path) -> None:
    """Acknowledgements make room: the sink hears of both."""
    async with dev_server(tmp_path) as server:
        sink = Sink()
        async with opened(client(server), sink) as stream:
            await until(lambda: not stream.management.unacknowledged)
            stream.send([Message("juliet@im.test", "x", type="headline")] * (UNACKNOWLEDGED - 1))
            assert not stream.write_blocked
            stream.send([Message("juliet@im.test", "x", type="headline")])
            assert stream.write_blocked
            assert await sink.flow() == "paused"
            assert await sink.flow() == "resumed"
            assert not stream.write_blocked


async def test_what_was_handled_is_not_sent_again(tmp_path: Path, connect: Connect) -> None:
    async with dev_server(tmp_path) as server:
        books = Management()
        ear = Ear(books)
        ear.stream = stream = await connect(client(server), ear, management=books)
        async with opened(client(server, "juliet"), Sink()) as juliet:
            juliet.send([Message(stream.jid, str(number)) for number in range(5)])
            await ear.has_heard(5)
            ear.handle()
            juliet.send([Message(stream.jid, "5")])
            await ear.has_heard(6)
            server.cut(str(stream.jid))
            await ear.end()
            ear.batches.clear()
            ear.once_more()
            async with opened(client(server), ear, management=books):
                again = await ear.stanza("message")
                while again.body != "5":  # type: ignore[attr-defined]
                    again = await ear.stanza("message")
                assert [s.kind for batch in ear.batches for s in batch] == ["message"]
                assert ear.heard == [str(number) for number in range(6)]


# -- the servers of the world ---------------------------------------------------------------------


def settings_for(server: Server, node: str) -> ConnectionSettings:
    return ConnectionSettings(
        name=node,
        kind="client",
        node=node,
        host=server.domain,
        password=server.account(node),
        server=server.host,
        port=server.client_port,
        ca_file=server.ca_file,
        resource=f"sm-{node}",
        connect_timeout=PATIENCE,
    )


def cut(stream: XMPPStream) -> None:
    """The connection breaks, without a word from either side."""
    assert stream._transport is not None
    stream._transport.abort()


async def test_real_servers_resume(real_server: Server, connect: Connect) -> None:
    """Numbered messages both ways, over a connection that breaks again and again."""
    first, second = real_server.users[:2]
    books = [Management(), Management()]
    ears = [Ear(each) for each in books]
    settings = [settings_for(real_server, first), settings_for(real_server, second)]
    streams = [
        await connect(each, ear, management=ear.management)
        for each, ear in zip(settings, ears, strict=True)
    ]
    for ear, stream in zip(ears, streams, strict=True):
        ear.stream = stream
        assert stream.management.active
        assert stream.management.id is not None
    jids = [stream.jid for stream in streams]
    for round_ in range(5):
        for side in (0, 1):
            messages = [
                Message(jids[1 - side], str(number))
                for number in range(round_ * 20, round_ * 20 + 20)
            ]
            streams[side].send(messages)
        side = round_ % 2
        if round_ > 1:
            await ears[side].has_heard(len(ears[side].heard) + 5)
            ears[side].handle()
        cut(streams[side])
        await ears[side].end()
        assert books[side].id is not None
        ears[side].once_more()
        streams[side] = await connect(settings[side], ears[side], management=books[side])
        assert streams[side].resumed
        assert streams[side].jid == jids[side]
        ears[side].stream = streams[side]
    for ear in ears:
        heard = await ear.has_heard(100)
        if real_server.name == "ejabberd":
            # It lets what is sent during a resumption overtake what it kept for it.
            heard = sorted(heard, key=int)
        assert heard == [str(number) for number in range(100)]
        ear.handle()
    for number, stream in enumerate(streams):
        await until(lambda number=number: not books[number].unacknowledged)
        await stream.close()
        assert ears[number].ends[-1] is None
        assert books[number].take_lost() == []
        assert books[number].id is None


async def test_real_servers_know_nothing_of_a_session(
    real_server: Server, connect: Connect
) -> None:
    node = real_server.users[0]
    books, sink = Management(), Sink()
    books.enable("nobody knows this", 300, None)
    books.record([Message("a@b.test", "x")])
    stream = await connect(settings_for(real_server, node), sink, management=books)
    assert not stream.resumed
    assert books.active
    assert books.id not in (None, "nobody knows this")
    assert len(books.take_lost()) == 1
    await stream.close()


async def test_real_servers_route_a_component_to_itself(real_server: Server) -> None:
    domain = real_server.components[0]
    settings = ConnectionSettings(
        name="c",
        kind="component",
        host=domain,
        secret=real_server.component_secret,
        server=real_server.host,
        port=real_server.component_port,
        keepalive=0.05,
        ping_timeout=PATIENCE,
        connect_timeout=PATIENCE,
    )
    sink = Sink()
    async with opened(settings, sink) as stream:
        user = f"{real_server.users[0]}@{real_server.domain}"
        stream.send([Message(user, "x", type="headline", from_=domain)])
        await until(lambda: not stream.management.unacknowledged)
        assert not stream._engine.ack_requested
        assert sink.batches == []
        assert stream.management.received == 0
