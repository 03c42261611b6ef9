"""What was sent and did not arrive comes back to whoever sent it: once, and not in a circle."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from thespian.actors import ActorAddress, ActorExitRequest

from actors.component import NoAnswer
from actors.flow import WINDOW
from actors.ledger import HELD_STANZAS, OVERFULL
from actors.messages import AskRoster, Ref, RosterGiven, StopActor
from actors.outbox import TRIES
from actors.reports import PAUSE
from actors.requests import RosterRequests
from emp import ns
from emp.events import Connected, Disconnected, Resumed, SendFailed
from emp.stanza import Iq, Message
from emp.stream.limits import PeerLimits
from emp.stream.management import UNACKNOWLEDGED
from emp.xml import E
from tests.actors.test_sessions import WATCHER, hear, message, news, speak
from tests.actors.world import SECONDS, World, world

STUBBORN = """
from actors import Component
from emp.routing import Routes

class Watcher(Component):
    failures = 0
    def on_send_failed(self, failure):
        self.failures += 1
        self.send(failure.stanza)
    def echo(self, body):
        return body

routes = Routes()
routes.message("[body]").to(Watcher.echo)
"""

PARTING = """
def shutdown(self):
    self.say("bar@localhost", "good-bye")

Watcher.shutdown = shutdown
"""


async def failures(here: World, count: int) -> list[SendFailed]:
    found: list[SendFailed] = []
    while len(found) < count:
        each = await news(here)
        found += [each] if isinstance(each, SendFailed) else []
    return found


def bodies(found: list[SendFailed]) -> list[str | None]:
    return [each.stanza.body for each in found if isinstance(each.stanza, Message)]


def service_is_away(here: World) -> Any:
    """Cut it, and have it wait for long; returns the connection."""
    connection = here.actor("main")
    connection.life.reconnection.after = lambda failure, now: SECONDS
    here.server.cut(here.service)
    return connection


async def test_who_sends_again_what_fails_at_once_does_not_spin(tmp_path: Path) -> None:
    async with world(tmp_path, STUBBORN, "component") as here:
        here.actor("main").stream._engine.peer_limits = PeerLimits(max_bytes=100)
        speak(here, Message("bar@localhost", "x" * 100, from_="main.localhost"))
        await asyncio.sleep(1.5 * PAUSE)
        assert here.actor("Watcher").component.failures == 2


async def test_a_stop_without_a_stream_reports_what_is_in_doubt(tmp_path: Path) -> None:
    async with world(tmp_path, WATCHER) as here:
        await news(here)
        speak(here, message("one", "bar@localhost"), message("two", "bar@localhost"))
        await asyncio.sleep(0)
        service_is_away(here)
        assert isinstance(await news(here), Disconnected)
        speak(here, message("three", "bar@localhost"))
        heard = here.actor("Watcher").component.news
        await here.boot.shut_down(SECONDS)
        found = [heard.get_nowait() for _ in range(heard.qsize())]
        found = [each for each in found if isinstance(each, SendFailed)]
        assert bodies(found) == ["one", "two", "three"]
        assert [each.uncertain for each in found] == [True, True, False]


async def test_what_a_shutdown_hook_sends_in_vain_comes_back(tmp_path: Path) -> None:
    source = WATCHER + PARTING
    async with world(tmp_path, source) as here:
        await news(here)
        service_is_away(here)
        assert isinstance(await news(here), Disconnected)
        component = here.actor("Watcher").component
        await here.boot.shut_down(SECONDS)
        found = [component.news.get_nowait() for _ in range(component.news.qsize())]
        assert bodies(found) == ["good-bye"]


async def test_at_the_end_nobody_sends_again_and_it_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with world(tmp_path, STUBBORN) as here:
        service_is_away(here)
        await here.until("waiting", "main")
        speak(here, message("one", "bar@localhost"), message("two", "bar@localhost"))
        component = here.actor("Watcher").component
        await here.boot.shut_down(SECONDS)
        assert component.failures == 2
        assert capsys.readouterr().err.count("on_send_failed failed") == 1


async def test_a_connection_actor_that_dies_takes_nothing_with_it(tmp_path: Path) -> None:
    async with world(tmp_path, WATCHER) as here:
        await news(here)
        connection, watcher = here.actor("main"), here.actor("Watcher")
        lane = watcher.lanes[connection.incarnation]
        speak(here, message("on its way", "bar@localhost"))
        watcher._flush()
        lane.outflow._sent += WINDOW  # no credit any more
        speak(here, message("waiting", "bar@localhost"))
        connection.send(connection.myAddress, ActorExitRequest())
        found = await failures(here, 2)
        assert bodies(found) == ["on its way", "waiting"]
        assert [each.uncertain for each in found] == [True, False]


async def test_a_connection_that_is_stopped_has_nothing_to_report(tmp_path: Path) -> None:
    async with world(tmp_path, WATCHER) as here, here.user() as bar:
        await news(here)
        bar.say(message("there?"))
        assert await hear(bar) == "there?"
        heard = here.actor("Watcher").component.news
        await here.ask(StopActor("main"))
        assert isinstance(await news(here), Disconnected)
        await asyncio.sleep(0.05)
        assert heard.empty()


async def test_what_is_sent_again_and_then_is_not_is_still_in_doubt(tmp_path: Path) -> None:
    """The server has the first one, perhaps: to say that it was not sent would be wrong."""
    async with world(tmp_path, WATCHER, management=False) as here:
        await news(here)
        connection = here.actor("main")
        speak(here, Iq("result", id="1", to="bar@localhost"))
        speak(here, Message("bar@localhost", type="error"))
        speak(here, message("in doubt", "bar@localhost"))
        async with asyncio.timeout(SECONDS):
            while connection.management.sent < 4:  # with our presence
                await asyncio.sleep(0)
        service_is_away(here)
        assert isinstance(await news(here), Disconnected)
        connection._write([message("never sent", "bar@localhost")], here.actor("Watcher").ref)
        found = await failures(here, 2)
        assert [each.stanza.type for each in found] == ["error", "normal"]
        assert [each.uncertain for each in found] == [True, True]
        connection._report(connection.outbox.take_offline(), "it was not to be")
        found = await failures(here, 2)
        assert [each.stanza.kind for each in found] == ["iq", "message"]
        assert [each.uncertain for each in found] == [True, False]


async def test_who_starts_after_a_resumption_hears_of_a_connection(tmp_path: Path) -> None:
    async with world(tmp_path, WATCHER) as here:
        await news(here)
        here.server.cut(here.service)
        await news(here)
        assert isinstance(await news(here), Resumed)
        old = here.actor("Watcher")
        old.send(old.myAddress, ActorExitRequest())
        async with asyncio.timeout(SECONDS):
            await here.until("died", "Watcher")
            await here.until("started", "Watcher")
        assert isinstance(await news(here), Connected)


async def test_acknowledgements_are_read_though_the_books_are_full(tmp_path: Path) -> None:
    async with world(tmp_path, WATCHER) as here:
        await news(here)
        connection = here.actor("main")
        connection.ledger.admit([message(0)] * HELD_STANZAS, 1)
        connection._pause_or_resume()
        assert connection.paused
        connection._write([message(each, "bar@localhost") for each in range(UNACKNOWLEDGED)])
        assert connection.management.full
        assert not connection.paused
        async with asyncio.timeout(SECONDS):
            while connection.management.full:
                await asyncio.sleep(0)
        connection.ledger.handled(list(connection.ledger.held))


async def test_a_server_that_acknowledges_nothing_fills_no_memory(tmp_path: Path) -> None:
    async with world(tmp_path, WATCHER) as here:
        await news(here)
        connection = here.actor("main")
        connection.ledger.admit([message(0)] * OVERFULL * HELD_STANZAS, 1)
        connection._write([message(each, "bar@localhost") for each in range(UNACKNOWLEDGED)])
        held = len(connection.ledger.held)
        connection.stanzas_received([message("one more")])
        assert len(connection.ledger.held) == held
        assert connection.counts["refused"] == 1
        connection.ledger.handled(list(connection.ledger.held))


async def test_a_session_that_no_stream_survives_is_given_up(tmp_path: Path) -> None:
    """As where the server ends the stream for one of the stanzas that are sent again."""
    async with world(tmp_path, WATCHER) as here:
        await news(here)
        speak(here, message("poison", "bar@localhost"))
        await asyncio.sleep(0)
        connection = service_is_away(here)
        await news(here)
        connection._acknowledged = connection.management.acknowledged
        for _ in range(TRIES):
            assert connection.management.id is not None
            connection.stream_closed(True)
        assert connection.management.id is None
        assert bodies(await failures(here, 1)) == ["poison"]


@pytest.mark.parametrize("text", ["", "x" * 300_000])
async def test_who_asks_what_cannot_be_sent_need_not_wait(tmp_path: Path, text: str) -> None:
    async with world(tmp_path, WATCHER) as here:
        await news(here)
        stream = here.actor("main").stream
        stream._engine.peer_limits = PeerLimits(max_bytes=262_144)
        stream._ended = not text  # as between the end of a stream and the news of it
        ask = Iq("get", E(f"{{{ns.PING}}}ping", text), to="localhost")
        began = asyncio.get_running_loop().time()
        with pytest.raises(NoAnswer, match="takes 262144 at most" if text else "being lost"):
            await here.actor("Watcher").ask_iq(ask, SECONDS)
        assert asyncio.get_running_loop().time() - began < SECONDS / 2
        assert len(here.actor("main").requests) == 0
        stream._ended = False


async def test_what_was_sent_stays_as_it_was(tmp_path: Path) -> None:
    async with world(tmp_path, WATCHER) as here, here.user() as bar:
        await news(here)
        mine = message("one", "bar@localhost/test")
        speak(here, mine)
        mine.body = "two"
        speak(here, mine)
        mine.body = "three"
        assert [await hear(bar), await hear(bar)] == ["one", "two"]


async def test_an_end_that_cannot_be_handled_is_not_the_end(tmp_path: Path) -> None:
    async with world(tmp_path, WATCHER) as here, here.user() as bar:
        await news(here)
        here.actor("main")._session_over = None
        here.server.cut(here.service)
        assert isinstance(await news(here), Disconnected)
        assert isinstance(await news(here), Resumed)
        bar.say(message("there?"))
        assert await hear(bar) == "there?"


def test_the_roster_goes_to_those_who_still_wait() -> None:
    given: list[tuple[AskRoster, RosterGiven]] = []
    requests = RosterRequests(lambda asked, answer: given.append((asked, answer)))
    asker = Ref("A", ActorAddress("A"), 1)
    for token in range(3):
        requests.add(AskRoster(asker, 2, token, 5.0), now=4.0 * token)
    assert len(requests) == 2
    requests.give(())
    assert [answer.token for _, answer in given] == [1, 2]
    assert len(requests) == 0
