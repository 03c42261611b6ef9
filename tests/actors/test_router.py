"""The router: what its calls mean, and what is told of stanzas that nobody handles."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from thespian.actors import ActorAddress

from actors.calls import Calls
from actors.component import Component
from actors.crew import Worker
from actors.messages import Ref
from actors.seldom import PERIOD, SUBJECTS, Seldom
from emp.errors import ServiceUnavailable
from emp.routing import Routes, RouteTable, compile_routes
from emp.stanza import Iq, Message, Stanza
from emp.xml import E
from tests.actors.world import SECONDS, world

MAIN = Ref("main", ActorAddress("main"), 1)


class Chat(Component):
    def one(self, name: str = "") -> None: ...
    def two(self, name: str = "") -> None: ...
    def three(self, name: str = "") -> None: ...


def table(*names: str, **more: Any) -> RouteTable:
    routes = Routes()
    for name in names:
        routes.message(body=name, **more).to(Chat, name)
    return compile_routes(routes)


def call_of(calls: Calls, body: str) -> int:
    found = calls.switch.table.match(Message("a@b", body))
    assert found is not None
    return calls.switch.targets[found.route.number][1]


def behind(calls: Calls, call: int, stanza: Stanza) -> str | None:
    """The action that comes next."""
    found = calls.behind(call, stanza, "main", None, False)
    return calls.told([found[1]])[0].action if found else None


def test_a_route_that_stands_in_both_tables_keeps_its_number() -> None:
    calls = Calls()
    calls.use(table("one", "two"))
    before = call_of(calls, "one")
    calls.use(table("three", "one"))
    assert call_of(calls, "one") == before
    assert call_of(calls, "three") not in (0, before)


def test_numbers_are_never_reused() -> None:
    calls, given = Calls(), set()
    for number in range(10):
        calls.use(table("one", **{f"name{number}": "body"}))
        given.add(call_of(calls, "one"))
    assert len(given) == 10
    assert set(calls._known) == {max(given)}  # and none is kept that nobody needs


def test_routes_that_differ_by_their_guard_only_are_not_one() -> None:
    routes = Routes()
    for wanted in "abc":
        routes.message("[body]", if_=lambda stanza, wanted=wanted: wanted in stanza.id).to(Chat.one)
    calls = Calls()
    calls.use(compile_routes(routes))
    numbers = [call for _, call in calls.switch.targets.values()]
    assert len(set(numbers)) == 3
    stanza = Message("a@b", "x", id="ac")
    found = calls.behind(numbers[0], stanza, "main", None, False)
    assert found is not None
    assert found[1] == numbers[2]
    assert calls.behind(numbers[2], stanza, "main", None, False) is None


def test_what_is_on_its_way_is_looked_for_in_its_own_table() -> None:
    routes = Routes()
    routes.message("[body='x']").to(Chat.one)
    routes.message("[body]").to(Chat.two)
    calls, stanza = Calls(), Message("a@b", "x")
    calls.use(compile_routes(routes))
    first = call_of(calls, "x")
    [crew] = calls.crews.values()
    worker = Worker(MAIN)
    crew.add(worker)
    crew.give((MAIN, 1, stanza, first, {}))
    calls.use(table("three"))
    assert behind(calls, first, stanza) == "two"
    worker.outflow.waiting.clear()
    calls.use(table("three"))
    assert behind(calls, first, stanza) is None


def test_seldom() -> None:
    seldom = Seldom()
    assert [seldom.may("one", now) for now in (0.0, 1.0, PERIOD - 1, PERIOD, PERIOD + 1)] == [
        True, False, False, True, False,
    ]  # fmt: skip
    spoken = [seldom.may(number, PERIOD + 2) for number in range(10 * SUBJECTS)]
    assert spoken.count(True) == SUBJECTS - 1
    assert seldom.may("one", 2 * PERIOD + 2)


SOURCE = """
from actors import Component
from emp.routing import Routes

class Chat(Component):
    def headline(self): return "headline"

routes = Routes()
routes.message(type="headline").to(Chat.headline)
"""


async def hear(user: Any, count: int) -> list[Stanza]:
    return [await user.hear() for _ in range(count)]


async def test_the_route_that_would_catch_a_stanza_is_told_once(
    tmp_path: Path, log: list[str]
) -> None:
    async with world(tmp_path, SOURCE) as here, here.user() as bar:
        ask = [Iq("get", E.query(xmlns="urn:example"), to=here.service) for _ in range(3)]
        bar.say(*ask, *[Message(here.service, "hello", type="chat") for _ in range(3)])
        answers = await hear(bar, 3)
        assert all(isinstance(each.failure, ServiceUnavailable) for each in answers)
        async with asyncio.timeout(SECONDS):
            while here.actor("router").unrouted < 6:
                await asyncio.sleep(0)
        told = [line for line in log if "no route matches" in line]
        assert len(told) == 2
        lines = [line.partition("this one would: ")[2] for line in told]
        assert lines[1] == "routes.message('[body]', type='chat').to(YourComponent.action)"
        # Ready to be pasted: with it, they are routed.
        pasted = lines[1].replace("YourComponent.action", "Chat.headline")
        chat = sys.modules[type(here.actor("Chat").component).__module__].Chat
        routes = Routes()
        exec(pasted, {"routes": routes, "Chat": chat})
        assert compile_routes(routes).match(Message("a@b", "hello", type="chat"))


async def test_nothing_that_a_peer_sends_floods_the_log(tmp_path: Path, log: list[str]) -> None:
    async with world(tmp_path, SOURCE) as here, here.user() as bar:
        count = 5 * SUBJECTS
        for number in range(count):
            long = E(f"x{number}", "]\n" + "y" * 1000, xmlns=f"urn:{number}" + "z" * 500)
            short = E(f"x{number}", xmlns="urn:x")
            bar.say(Iq("set", long if number % 2 else short, to=here.service))
        await hear(bar, count)
        told = [line for line in log if "no route matches" in line]
        assert 1 < len(told) < SUBJECTS
        assert len(set(told)) == len(told)
        assert max(map(len, told)) < 1000
        assert here.actor("router").facts()["unrouted"] >= count
