"""Routes that are read anew in a running application."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from thespian.actors import ActorExitRequest

from actors.flow import WINDOW
from actors.messages import Done, Refused, ReloadRoutes, RoutesReloaded, StopActor
from emp.errors import ServiceUnavailable
from emp.stanza import Message, Stanza
from tests.actors.world import SECONDS, User, World, world

SOURCE = """
import asyncio
from actors import Component
from emp.routing import Routes

gate = asyncio.Event()

class Chat(Component):
    def one(self): return "one"
    def two(self): return "two"
    def three(self, body): return f"three {body}"
    def four(self, body): return f"four {body}"
    async def slow(self, body):
        await gate.wait()
        return body
    def passes(self): self.skip()

routes = Routes()
"""

ONE = "routes.message('[body]').to(Chat.one)\n"
TWO = "routes.message('[body]').to(Chat.two)\n"


class Reloading:
    def __init__(self, here: World, file: Path) -> None:
        self.here, self.file = here, file

    @property
    def module(self) -> Any:
        return sys.modules[type(self.here.actor("Chat").component).__module__]

    async def reload(self, text: str) -> Any:
        self.file.write_text(text)
        return await self.here.ask(ReloadRoutes())

    async def refused(self, text: str) -> str:
        """What is wrong with the routes; that they are not used goes without saying."""
        answer = await self.reload(text)
        assert isinstance(answer, Refused), answer
        return f"{answer.reason} {answer.remedy}"


@asynccontextmanager
async def running(tmp_path: Path, routes: str, kind: str = "client") -> AsyncIterator[Reloading]:
    async with world(tmp_path, SOURCE + routes, kind) as here:
        yield Reloading(here, here.boot.path)


def body(stanza: Stanza) -> str | None:
    assert isinstance(stanza, Message), stanza
    return stanza.body


async def until(condition: Any) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0)


async def test_other_routes_are_used(tmp_path: Path) -> None:
    async with running(tmp_path, ONE) as it, it.here.user() as bar:
        hello = Message(it.here.service, "hello")
        assert body(await bar.ask(hello)) == "one"
        assert await it.reload(SOURCE + TWO) == RoutesReloaded(1, (), ())
        assert body(await bar.ask(hello)) == "two"
        await it.here.until("reloaded", "router")


async def test_all_mistakes_are_told_and_nothing_changes(tmp_path: Path) -> None:
    mistakes = (
        "routes.message('[').to(Chat.one)\n"
        "routes.message('[body]').to(Chat.five)\n"
        "routes.iq_get('x:y').to(Chat.one)\n"
    )
    later = SOURCE.replace("def one(self)", "def five(self): pass\n    def one(self)")
    async with running(tmp_path, ONE) as it, it.here.user() as bar:
        text = await it.refused(later + mistakes)
        lines = later.count("\n")
        for number in (1, 2, 3):
            assert f"{it.file}:{lines + number}" in text
        assert "Chat.five is new" in text
        assert "restart" in text
        assert body(await bar.ask(Message(it.here.service, "hello"))) == "one"


async def test_what_cannot_be_used(tmp_path: Path) -> None:
    scope = "with routes.resource('another'):\n    " + TWO
    async with running(tmp_path, ONE) as it, it.here.user() as bar:
        assert "syntax error" in await it.refused("this is no Python")
        assert "ZeroDivisionError" in await it.refused(SOURCE + TWO + "1 / 0\n")
        assert "`routes`" in await it.refused("nothing = 0\n")
        text = await it.refused(SOURCE + TWO + scope)
        assert "the connections would be others: main has changed" in text
        assert "restart" in text
        needs = SOURCE.replace("def two(self)", "def two(self, x=None, *, nowhere)")
        assert "nowhere" not in await it.refused(needs + TWO + "1 / 0")
        assert isinstance(await it.reload(needs + TWO), RoutesReloaded)  # of what runs
        config = it.file.with_name("emp.toml")
        right = config.read_text()
        config.write_text(right + "[nonsense]\n")
        assert "nonsense" in await it.refused(SOURCE + ONE)
        config.write_text(right.replace("foo", "baz"))
        assert "main has changed" in await it.refused(SOURCE + ONE)
        config.write_text(right)
        assert body(await bar.ask(Message(it.here.service, "hello"))) == "two"


async def test_a_component_that_is_new_is_started(tmp_path: Path) -> None:
    late = "class Late(Component):\n    pool = 2\n    def act(self): return 'late'\n"
    route = "routes.message(type='chat').to(Late.act)\n"
    async with running(tmp_path, ONE) as it, it.here.user() as bar:
        answer = await it.reload(SOURCE + late + route + TWO)
        assert answer == RoutesReloaded(2, ("Late", "Late-2"), ())
        assert body(await bar.ask(Message(it.here.service, "x", type="chat"))) == "late"
        assert body(await bar.ask(Message(it.here.service, "x", type="normal"))) == "two"
        # Whoever loads the application from now on finds the same.
        assert it.here.boot.system is not None
        for name in ("router", "Late"):
            it.here.boot.system.tell(it.here.address(name), ActorExitRequest())
            await it.here.until("died", name)
            await it.here.until("started", name)
        assert body(await bar.ask(Message(it.here.service, "x", type="chat"))) == "late"


async def test_a_component_that_does_not_start_changes_nothing(tmp_path: Path) -> None:
    late = (
        "class Fine(Component):\n    def act(self): return 'fine'\n"
        "class Late(Component):\n    def __init__(self): 1 / 0\n    def act(self): return 'late'\n"
    )
    more = "routes.message(type='chat').to(Late.act)\nroutes.message(type='chat').to(Fine.act)\n"
    more = more.replace("chat", "headline", 1)
    async with running(tmp_path, ONE) as it, it.here.user() as bar:
        text = await it.refused(SOURCE + late + more)
        assert "Late() failed" in text
        assert body(await bar.ask(Message(it.here.service, "x"))) == "one"
        supervisor = it.here.actor("supervisor")
        await until(lambda: set(supervisor.children) == {"router", "Chat", "main"})
        mended = late.replace("1 / 0", "pass")
        answer = await it.reload(SOURCE + mended + more)
        assert isinstance(answer, RoutesReloaded)
        assert set(answer.started) == {"Fine", "Late"}
        assert answer.idle == ("Chat",)
        assert body(await bar.ask(Message(it.here.service, "x", type="chat"))) == "fine"


async def test_a_component_without_routes_keeps_running(tmp_path: Path) -> None:
    other = "class Other(Component):\n    def act(self): return 'other'\n"
    both = "routes.message(type='chat').to(Other.act)\n" + ONE
    async with running(tmp_path, other + both) as it, it.here.user() as bar:
        answer = await it.reload(SOURCE + other + ONE)
        assert answer == RoutesReloaded(1, (), ("Other",))
        assert body(await bar.ask(Message(it.here.service, "x", type="chat"))) == "one"
        await it.reload(SOURCE + other + both)
        assert body(await bar.ask(Message(it.here.service, "x", type="chat"))) == "other"


async def test_two_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, ONE) as it:
        it.file.write_text(SOURCE + TWO)
        answers = await asyncio.gather(*(it.here.ask(ReloadRoutes()) for _ in range(2)))
        assert {type(answer) for answer in answers} == {RoutesReloaded, Refused}
        assert isinstance(await it.reload(SOURCE + ONE), RoutesReloaded)


async def test_what_is_on_its_way_means_what_it_meant(tmp_path: Path) -> None:
    slow = "routes.message('[body]').to(Chat.slow)\n"
    async with running(tmp_path, slow) as it, it.here.user() as bar:
        bar.say(*[Message(it.here.service, str(number)) for number in range(3)])
        await until(lambda: it.here.actor("router").routed == 3)
        await it.reload(SOURCE + TWO)
        bar.say(Message(it.here.service, "behind them"))
        await until(lambda: it.here.actor("router").routed == 4)
        it.module.gate.set()
        heard = [body(await bar.hear()) for _ in range(4)]
        assert heard == ["0", "1", "2", "two"]


async def test_a_skip_from_before(tmp_path: Path) -> None:
    """It goes on behind the route that gave it, in the table where that one stands."""
    waits = SOURCE.replace(
        "    def passes",
        "    async def waits(self):\n"
        "        await gate.wait()\n        self.skip()\n    def passes",
    )
    before = "routes.message('[body]').to(Chat.waits)\n" + ONE
    async with (
        world(tmp_path, waits + before) as here,
        here.user() as bar,
        here.user("baz") as baz,
    ):
        it = Reloading(here, here.boot.path)
        bar.say(Message(here.service, "x"))
        await until(lambda: here.actor("Chat").works)
        await it.reload(waits + TWO)
        assert body(await baz.ask(Message(here.service, "x"))) == "two"
        it.module.gate.set()
        assert body(await bar.hear()) == "one"
        calls = here.actor("router").calls
        assert len(calls._older) == 1
        for _ in range(3 * WINDOW):  # the component reports what it has handled
            await baz.ask(Message(here.service, "x"))
        await it.reload(waits + TWO + "#")  # nothing of the first table is on its way any more
        assert not calls._older


RELOADS = 20


class Talker:
    """A user who always has some hundred messages without an answer."""

    def __init__(self, user: User) -> None:
        self.user, self.said, self.stopped = user, 0, False

    async def talk(self) -> None:
        while not self.stopped:
            numbers = range(self.said, self.said + 50)
            self.user.say(*[Message("x@main.localhost", str(number)) for number in numbers])
            self.said += len(numbers)
            await until(lambda: self.user.heard.qsize() >= self.said - 500)
            await asyncio.sleep(0)


async def test_nothing_is_lost_under_load(tmp_path: Path) -> None:
    routes = ONE.replace("one", "three")
    async with running(tmp_path, routes, "component") as it, it.here.user() as bar:
        talker = Talker(bar)
        talking = asyncio.create_task(talker.talk())
        for number in range(RELOADS):
            # The line changes, and with it the call.
            routes = (TWO, ONE)[number % 2].replace("one", "three").replace("two", "four")
            answer = await it.reload(SOURCE + "#\n" * number + routes)
            assert isinstance(answer, RoutesReloaded)
        talker.stopped = True
        await talking
        heard = [str(body(await bar.hear())).split() for _ in range(talker.said)]
        assert [number for _, number in heard] == [str(number) for number in range(talker.said)]
        assert {word for word, _ in heard} == {"three", "four"}
        assert it.here.actor("router").unrouted == 0
        await until(lambda: not it.here.actor("main").ledger.held)


async def test_a_router_that_finds_a_class_that_does_not_run(tmp_path: Path) -> None:
    """The file was changed, the router died, and nobody has reloaded."""
    async with running(tmp_path, ONE) as it, it.here.user() as bar:
        supervisor = it.here.actor("supervisor")
        assert isinstance(await it.here.ask(StopActor("Chat")), Done)
        supervisor.plan = replace(supervisor.plan, components=())
        assert it.here.boot.system is not None
        it.here.boot.system.tell(it.here.address("router"), ActorExitRequest())
        await it.here.until("died", "router")
        await it.here.until("started", "router")
        refused = await bar.ask(Message(it.here.service, "x"))
        assert isinstance(refused.failure, ServiceUnavailable)
        assert "does not run" in refused.failure.text
        assert (await it.reload(SOURCE + TWO)).started == ("Chat",)
        assert body(await bar.ask(Message(it.here.service, "x"))) == "two"
