"""Sessions of the development server that outlive their connections: whose, how long, and then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from emp.devserver import resumption, session
from emp.devserver.resumption import Kept, Sessions
from emp.errors import ConnectionFailed
from emp.jid import JID
from emp.net import XMPPStream, open_stream
from emp.stanza import Iq, Message, Presence
from emp.stream.management import Management
from emp.xml import E
from tests.emp.devserver.world import JULIET, ROMEO, World, condition
from tests.emp.net.support import PATIENCE, Sink, client, dev_server, opened, turns

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


class Connection:
    """One that holds a session, or did."""

    def __init__(self) -> None:
        self.let_go_of = 0

    def let_go(self) -> None:
        self.let_go_of += 1


class Night:
    """A world in which romeo can sleep."""

    def __init__(self, seconds: float = 1000.0) -> None:
        self.world = World()
        self.flushed = 0
        self.sessions = Sessions(self.world.hub, self._flush, seconds)
        self.connection = Connection()
        self.books = Management()
        resource = self.world.connect(ROMEO)
        self.kept = self.sessions.keep(resource, self.books, self.connection)
        self.books.enable(self.kept.id, 1000, None)

    def _flush(self) -> None:
        self.flushed += 1

    def sleep(self) -> None:
        self.books.interrupt()
        self.sessions.sleep(self.kept)

    def take(self, account: str = "romeo@im.test", id: str | None = None) -> Kept | int | None:
        return self.sessions.take(JID.parse(account), id or self.kept.id, Connection())


async def test_who_sleeps_keeps_the_place_and_the_mail() -> None:
    night = Night()
    night.world.connect(JULIET)
    night.world.subscribe(JULIET, ROMEO)
    night.sleep()
    assert night.world.take(JULIET) == []
    for number in range(3):
        night.world.send(JULIET, Message(ROMEO, str(number), type="chat"))
    assert night.world.take(ROMEO) == []
    assert [each.body for each in night.books.unacknowledged] == [  # type: ignore[attr-defined]
        "0",
        "1",
        "2",
    ]
    taken = night.take()
    assert taken is night.kept
    assert night.kept.timer is None
    night.sessions.close()


async def test_a_second_connection_takes_the_session_from_the_first() -> None:
    night = Night()
    assert night.take() is night.kept
    assert night.connection.let_go_of == 1
    assert not night.books.active


async def test_nobody_gets_the_session_of_somebody_else() -> None:
    night = Night()
    assert night.take("juliet@im.test") is None
    assert night.take(id="unknown") is None
    assert night.connection.let_go_of == 0
    night.sessions.end(night.kept)
    assert night.take("juliet@im.test") is None


async def test_ids_are_new_and_long() -> None:
    ids = {Night().kept.id for _ in range(20)}
    assert len(ids) == 20
    assert min(map(len, ids)) >= 32


async def test_what_becomes_of_the_mail_in_the_end() -> None:
    night = Night()
    night.world.connect(JULIET)
    night.world.subscribe(JULIET, ROMEO)
    night.sleep()
    night.world.send(JULIET, Message(ROMEO, "later", type="chat"))
    night.world.send(JULIET, Message(ROMEO, "now or never", type="groupchat"))
    night.world.send(JULIET, Iq("get", E.query(xmlns="urn:x"), to=ROMEO, id="q"))
    night.books.received = night.books.handled = 5
    night.sessions.end(night.kept)
    night.sessions.end(night.kept)
    assert night.flushed == 1
    heard = night.world.take(JULIET)
    assert [each.kind for each in heard] == ["presence", "message", "iq"]
    assert heard[0].type == "unavailable"
    assert [condition(each) for each in heard[1:]] == ["service-unavailable"] * 2
    assert night.take() == 5  # h
    night.world.connect(ROMEO, priority=None)
    night.world.send(ROMEO, Presence())
    (message,) = [each for each in night.world.take(ROMEO) if isinstance(each, Message)]
    assert message.body == "later"


async def test_time_runs_out() -> None:
    night = Night(seconds=0.001)
    night.sleep()
    await until(lambda: not night.world.hub.accounts["romeo"].resources)
    assert night.take() == 0


async def test_too_much_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumption, "ASLEEP_STANZAS", 3)
    night = Night()
    night.world.connect(JULIET)
    night.sleep()
    for number in range(5):
        night.world.send(JULIET, Message(ROMEO, str(number), type="chat"))
    assert night.world.hub.accounts["romeo"].resources  # not while somebody is sending
    await until(lambda: not night.world.hub.accounts["romeo"].resources)
    assert len(night.world.hub.accounts["romeo"].offline) == 5


async def test_how_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumption, "REMEMBERED", 2)
    night = Night()
    ids = [night.kept.id]
    night.sessions.end(night.kept)
    for number in range(2):
        resource = night.world.connect(f"romeo@im.test/{number}")
        kept = night.sessions.keep(resource, Management(), Connection())
        ids.append(kept.id)
        night.sessions.end(kept)
    assert [night.take(id=id) for id in ids] == [None, 0, 0]


async def test_a_client_that_begins_anew_gets_its_resource() -> None:
    night = Night()
    night.sessions.make_room(JID.parse("romeo@im.test"), "garden")
    assert night.world.hub.accounts["romeo"].resources  # somebody holds it
    night.sleep()
    night.sessions.make_room(JID.parse("romeo@im.test"), "other")
    night.sessions.make_room(JID.parse("juliet@im.test"), "garden")
    assert night.world.hub.accounts["romeo"].resources
    night.sessions.make_room(JID.parse("romeo@im.test"), "garden")
    assert not night.world.hub.accounts["romeo"].resources


# -- over sockets ---------------------------------------------------------------------------------


async def test_resumed_while_the_first_connection_still_seems_to_be_there(
    tmp_path: Path, connect: Connect
) -> None:
    async with dev_server(tmp_path) as server:
        books, first, second = Management(), Sink(), Sink()
        stream = await connect(client(server), first, management=books)
        await until(lambda: not books.unacknowledged)
        twin = Management()  # what the client knows, without what happens to the first connection
        twin.enable(books.id, 120, None)
        twin.jid = books.jid
        twin.sent = twin.acknowledged = books.sent
        async with opened(client(server), second, management=twin) as other:
            assert other.resumed
            error = await first.end()
            assert isinstance(error, ConnectionFailed)
            assert "conflict" in error.reason
            assert error.permanent
            other.send([Message(stream.jid, "still here")])
            assert (await second.stanza("message")).from_ == stream.jid
            assert len(server.hub.accounts["romeo"].resources) == 1
        assert not server.hub.accounts["romeo"].resources


async def test_a_client_without_resumption_leaves_at_once(tmp_path: Path, connect: Connect) -> None:
    async with dev_server(tmp_path) as server:
        sink = Sink()
        await connect(client(server, management=False), sink)
        assert server.hub.accounts["romeo"].resources
        server.cut("romeo@im.test")
        await sink.end()
        await until(lambda: not server.hub.accounts["romeo"].resources)


async def test_who_says_good_bye_does_not_sleep(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        async with opened(client(server), Sink()) as stream:
            pass
        assert not server.hub.accounts["romeo"].resources
        assert stream.management.id is None


async def test_cut_is_for_those_it_names(tmp_path: Path, connect: Connect) -> None:
    async with dev_server(tmp_path) as server:
        sinks = {name: Sink() for name in ("a", "b")}
        streams = [
            await connect(client(server, resource=name), sink) for name, sink in sinks.items()
        ]
        async with opened(client(server, "juliet"), Sink()) as juliet:
            server.cut("romeo@im.test/a")
            assert await sinks["a"].end() is not None
            assert sinks["b"].ends == []
            server.cut("romeo@im.test")
            assert await sinks["b"].end() is not None
            juliet.send([Message(juliet.jid, "x")])
        for stream in streams:
            assert stream.management.id is not None


async def test_a_client_that_acknowledges_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    monkeypatch.setattr(session, "UNACKNOWLEDGED_MAX", 10)
    async with dev_server(tmp_path) as server:
        sink = Sink()
        stream = await connect(client(server), sink)
        async with opened(client(server, "juliet"), Sink()) as juliet:
            juliet.send([Message(stream.jid, "x", type="chat") for _ in range(20)])
            error = await sink.end()
            assert isinstance(error, ConnectionFailed)
            assert "resource-constraint" in error.reason
            assert not server.hub.accounts["romeo"].resources


async def test_the_server_stops_while_somebody_sleeps(tmp_path: Path, connect: Connect) -> None:
    async with dev_server(tmp_path) as server:
        sink = Sink()
        await connect(client(server), sink)
        server.cut("romeo@im.test")
        await sink.end()
        await until(lambda: not server.sessions)
