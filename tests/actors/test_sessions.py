"""Connections that are lost and come back, as applications see it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from actors.ledger import UNACKNOWLEDGED
from actors.messages import Done, ReconnectConnection, Refused
from actors.outbox import OFFLINE_STANZAS
from emp import ns
from emp.events import Connected, Disconnected, Resumed, SendFailed
from emp.jid import JID
from emp.stanza import Iq, Message, Presence, Stanza
from emp.xep.roster import Item
from emp.xml import E
from tests.actors.world import SECONDS, User, World, world

WATCHER = """
import asyncio
from actors import Component
from emp.errors import EmpError
from emp.routing import Routes
from emp.stanza import Message

class Watcher(Component):
    def __init__(self):
        self.news = asyncio.Queue()
    def on_connected(self, event):
        self.news.put_nowait(event)
    async def on_resumed(self, event):
        self.news.put_nowait(event)
    def on_disconnected(self, event):
        self.news.put_nowait(event)
    def on_send_failed(self, failure):
        self.news.put_nowait(failure)
    def echo(self, body):
        return body
    async def names(self):
        return " ".join(sorted(str(jid) for jid in await self.roster(timeout=5)))

routes = Routes()
routes.message(body="roster").to(Watcher.names)
routes.message("[body]").to(Watcher.echo)
"""


def message(body: object, to: str = "foo@localhost/main") -> Message:
    return Message(to, str(body))


async def news(here: World) -> Any:
    """The next that the component hears."""
    async with asyncio.timeout(SECONDS):
        return await here.actor("Watcher").component.news.get()


def speak(here: World, *stanzas: Stanza) -> None:
    """Have the component send something by itself."""
    for stanza in stanzas:
        here.actor("Watcher").send_stanza(stanza)


async def hear(user: User) -> str:
    heard = await user.hear()
    assert isinstance(heard, Message)
    return heard.body or ""


@pytest.mark.parametrize("kind", ["client", "component"])
async def test_a_component_hears_that_it_is_connected(tmp_path: Path, kind: str) -> None:
    jid = JID.parse("foo@localhost/main" if kind == "client" else "main.localhost")
    async with world(tmp_path, WATCHER, kind) as here:
        assert await news(here) == Connected("main", jid)


@pytest.mark.parametrize("kind", ["client", "websocket"])
async def test_a_session_survives_its_connection(tmp_path: Path, kind: str) -> None:
    port: dict[str, Any] = {"websocket_port": 0} if kind == "websocket" else {}
    async with world(tmp_path, WATCHER, kind, **port) as here, here.user() as bar:
        assert isinstance(await news(here), Connected)
        here.server.cut(here.service)
        bar.say(*(message(number) for number in range(50)))
        assert [await hear(bar) for _ in range(50)] == [str(number) for number in range(50)]
        lost = await news(here)
        assert isinstance(lost, Disconnected)
        assert not lost.final
        assert await news(here) == Resumed("main", JID.parse(here.service))
        assert here.actor("Watcher").handled == 50


async def test_what_is_said_without_a_connection_arrives_later(tmp_path: Path) -> None:
    async with world(tmp_path, WATCHER) as here, here.user() as bar:
        await news(here)
        here.server.cut(here.service)
        assert isinstance(await news(here), Disconnected)
        speak(here, *(message(number, "bar@localhost/test") for number in range(20)))
        assert [await hear(bar) for _ in range(20)] == [str(number) for number in range(20)]
        assert isinstance(await news(here), Resumed)


async def test_without_resumption_what_is_in_doubt_is_given_back(tmp_path: Path) -> None:
    async with world(tmp_path, WATCHER, management=False) as here, here.user() as bar:
        await news(here)
        speak(here, message("once", "bar@localhost/test"))
        assert await hear(bar) == "once"
        here.server.cut(here.service)
        heard = [await news(here) for _ in range(3)]
        kinds = {type(each) for each in heard}
        assert kinds == {Disconnected, SendFailed, Connected}
        failure = next(each for each in heard if isinstance(each, SendFailed))
        assert isinstance(failure.stanza, Message)
        assert (failure.connection, failure.stanza.body) == ("main", "once")
        assert failure.uncertain


async def test_the_shelf_for_a_connection_that_is_away_has_a_bound(tmp_path: Path) -> None:
    async with world(tmp_path, WATCHER) as here:
        await news(here)
        connection = here.actor("main")
        watcher = here.actor("Watcher").ref
        await connection.stream.close(0.1)
        connection.stream = None
        stanzas = [message(number, "bar@localhost") for number in range(OFFLINE_STANZAS + 1)]
        connection._write(stanzas, watcher)
        failure = await news(here)
        while not isinstance(failure, SendFailed):
            failure = await news(here)
        assert isinstance(failure.stanza, Message)
        assert failure.stanza.body == "0"
        assert not failure.uncertain


async def test_a_fault_in_a_hook_harms_nobody(tmp_path: Path) -> None:
    source = WATCHER.replace(
        "    def on_connected(self, event):\n        self.news.put_nowait(event)",
        "    def on_connected(self, event):\n        raise SystemExit",
    ).replace("self.news.put_nowait(event)\n    def on_disc", "raise ValueError\n    def on_disc")
    async with world(tmp_path, source) as here, here.user() as bar:
        here.server.cut(here.service)
        assert isinstance(await news(here), Disconnected)
        bar.say(message("there?"))
        assert await hear(bar) == "there?"
        async with asyncio.timeout(SECONDS):
            while here.actor("Watcher").failed < 2:
                await asyncio.sleep(0)


async def test_the_operator_has_it_connect_anew(tmp_path: Path) -> None:
    async with world(tmp_path, WATCHER) as here, here.user() as bar:
        await news(here)
        assert await here.ask(ReconnectConnection("main")) == Done("main")
        assert isinstance(await news(here), Disconnected)
        assert isinstance(await news(here), Connected)
        bar.say(message("there?"))
        assert await hear(bar) == "there?"
        refused = await here.ask(ReconnectConnection("nobody"))
        assert isinstance(refused, Refused)
        assert refused.remedy == "known are main"


async def test_a_connection_that_gave_up_tells_and_tries_again_when_told(tmp_path: Path) -> None:
    async with world(tmp_path, WATCHER) as here:
        await news(here)
        (session,) = [each for each in here.server.sessions if each.is_of(here.service)]
        session.fail("conflict")  # as if somebody else had taken the place
        lost = await news(here)
        assert isinstance(lost, Disconnected)
        assert lost.final
        speak(here, message("into the void", "bar@localhost/test"))
        failure = await news(here)
        assert isinstance(failure, SendFailed)
        assert not failure.uncertain
        await here.ask(ReconnectConnection("main"))
        assert isinstance(await news(here), Connected)


async def test_the_roster_is_there_for_who_asks(tmp_path: Path) -> None:
    async with world(tmp_path, WATCHER, extra="roster = true") as here, here.user() as bar:
        bar.say(message("roster"))
        assert await hear(bar) == ""
        bar.say(Presence("foo@localhost", type="subscribe"))
        here.actor("Watcher").send_stanza(Presence("bar@localhost", type="subscribed"))
        roster = here.actor("main").session
        async with asyncio.timeout(SECONDS):
            while not roster.roster:
                await asyncio.sleep(0)
        bar.say(message("roster"))
        assert await hear(bar) == "bar@localhost"
        assert isinstance(roster.roster[JID.parse("bar@localhost")], Item)


async def test_who_wants_no_roster_is_told_so(tmp_path: Path) -> None:
    async with world(tmp_path, WATCHER) as here, here.user() as bar:
        bar.say(message("roster"))
        answer = await bar.hear()
        assert answer.type == "error"
        assert here.actor("Watcher").failed == 1


async def test_a_stranger_changes_no_roster(tmp_path: Path) -> None:
    """CVE-2015-8688."""
    async with world(tmp_path, WATCHER, extra="roster = true") as here, here.user() as bar:
        item = E.item(jid="mallory@localhost", subscription="both")
        push = Iq("set", E.query(item, xmlns=ns.ROSTER), to=here.service)
        answer = await bar.ask(push)
        assert answer.type == "error"
        assert here.actor("main").session.facts()["spoofed_pushes"] == 1
        assert not here.actor("main").session.roster


def session_of(here: World) -> Any:
    """The server's end of the service's stream."""
    return next(each for each in here.server.sessions if each.is_of(here.service))


def hand_over(here: World, *stanzas: Stanza) -> None:
    """Have the server send something to the service, in one go."""
    session = session_of(here)
    for stanza in stanzas:
        session.deliver(stanza)
    here.server.flush(None)


async def test_what_breaks_every_stream_of_a_session_ends_the_session(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would come again with each resumption, and nothing behind it be read."""
    async with world(tmp_path, WATCHER) as here, here.user() as bar:
        await news(here)
        bar.say(message("before"))
        assert await hear(bar) == "before"
        poison = Presence("foo@localhost/main")
        poison._text = "<presence to='foo@localhost/main'><unbound:x/></presence>"
        hand_over(here, poison)
        while not isinstance(await news(here), Connected):  # a new session
            pass
        bar.say(message("after"))
        assert await hear(bar) == "after"
        facts = here.actor("main").facts()
        assert facts["sessions_given_up"] == 1
        assert facts["violations"] == {"not-well-formed": 2}
    assert capsys.readouterr().err.count("the session is given up") == 1


async def test_two_faults_at_two_places_are_not_the_same(tmp_path: Path) -> None:
    async with world(tmp_path, WATCHER) as here:
        await news(here)
        connection = here.actor("main")
        management = connection.management
        for generation, received in enumerate((3, 4, 5), management.generation + 1):
            management.generation, management.received = generation, received
            connection.stream_closed(False, "not-well-formed")
        connection.stream_closed(False, "not-well-formed")  # no stream came about
        assert management.id is not None
        management.generation += 1
        connection.stream_closed(False, "restricted-xml")
        assert management.id is not None
        management.generation += 1
        connection.stream_closed(False, "restricted-xml")
        assert management.id is None


STUCK = """
import asyncio
from actors import Component
from emp.routing import Routes

class Stuck(Component):
    def __init__(self):
        self.gate = asyncio.Event()
        self.seen = 0
    async def stay(self, body):
        await self.gate.wait()
        return "at last"
    def count(self):
        self.seen += 1

routes = Routes()
routes.message(body="wait").to(Stuck.stay)
routes.message("[body]").to(Stuck.count)
"""


async def test_one_who_waits_does_not_hold_up_acknowledgements(tmp_path: Path) -> None:
    async with world(tmp_path, STUCK) as here, here.user() as bar, here.user("baz") as baz:
        connection, stuck = here.actor("main"), here.actor("Stuck").component
        management = connection.management
        bar.say(message("wait"))
        async with asyncio.timeout(SECONDS):
            while not connection.ledger.held:
                await asyncio.sleep(0)
        (number,) = connection.ledger.held
        for sent in range(UNACKNOWLEDGED, 10 * UNACKNOWLEDGED, UNACKNOWLEDGED):
            baz.say(*(message(each) for each in range(UNACKNOWLEDGED)))
            async with asyncio.timeout(SECONDS):
                while stuck.seen < sent or connection.ledger.total - management.handled > (
                    UNACKNOWLEDGED
                ):
                    await asyncio.sleep(0)
        assert list(connection.ledger.held) == [number]
        assert management.handled > number
        facts = connection.facts()
        assert (facts["not_handled"], facts["acknowledged_early"]) == (1, 1)
        here.server.cut(here.service)  # the server has forgotten it; we have not
        await here.until("connected", "main")
        stuck.gate.set()
        assert await hear(bar) == "at last"
        facts = connection.facts()
        assert (facts["not_handled"], facts["acknowledged_early"]) == (0, 0)
        assert facts["acknowledged_early_total"] >= 1
        assert bar.heard.empty()
