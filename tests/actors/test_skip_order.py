"""What an action passes on by skip() keeps its sender's place."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.crew import Crew, Passed, Worker
from actors.messages import Ref
from emp.stanza import Message
from tests.actors.test_skip import kill
from tests.actors.world import SECONDS, User, World, world

APPLICATION = """
import asyncio
from actors import Component, blocking, deadline
from emp.routing import Routes

gate = asyncio.Event()
odd, even = "0123456789".__getitem__(slice(1, None, 2)), "02468"

class First(Component):
    {first}
    def plain(self, body):
        if body[-1] in even: self.skip()
        return body + " first"
    async def waiting(self, body):
        await asyncio.sleep(0)
        if body[-1] in even: self.skip()
        return body + " first"
    async def stream(self, body):
        if body[-1] in even: self.skip()
        yield body + " first"
    @blocking
    def thread(self, body):
        if body[-1] in even: self.skip()
        return body + " first"

class Middle(Component):
    {middle}
    def passes(self, body):
        if body[-1] in "048": self.skip()
        return body + " middle"

class Last(Component):
    {last}
    async def take(self, body):
        await asyncio.sleep(0)
        return body + " last"
    def back(self, body):
        self.skip()
    async def gated(self, body):
        await gate.wait()
        return body + " last"

routes = Routes()
{routes}
"""


def written(folder: Path, *routes: str, first: str = "", middle: str = "", last: str = "") -> str:
    lines = "\n".join(f"routes.{route}" for route in routes)
    return APPLICATION.format(
        first=first or "pass", middle=middle or "pass", last=last or "pass", routes=lines
    )


async def said(here: World, user: User, bodies: list[str]) -> list[str]:
    user.say(*[Message(here.service, body, type="chat") for body in bodies])
    return [(await user.hear()).body or "" for _ in bodies]  # type: ignore[attr-defined]


async def at_rest(here: World) -> None:
    async with asyncio.timeout(SECONDS):
        for name in ("First", "Last"):
            while here.actor(name).busy or here.actor(name).held:
                await asyncio.sleep(0)
        while here.actor("main").ledger.held or here.actor("main").awaited:
            await asyncio.sleep(0)


TEN = [f"n {number}" for number in range(10)]


@pytest.mark.parametrize("action", ["plain", "waiting", "stream", "thread"])
@pytest.mark.parametrize("pool", ["", "pool = 3"])
async def test_numbers(action: str, pool: str, tmp_path: Path) -> None:
    text = written(
        tmp_path,
        f'message("[body]").to(First.{action})',
        'message("[body]").to(Last.take)',
        last=pool,
    )
    async with world(tmp_path, text) as here, here.user() as bar:
        answers = await said(here, bar, TEN * 3)
        assert answers == [
            f"{body} {'last' if body[-1] in '02468' else 'first'}" for body in TEN * 3
        ]
        if not pool:
            await at_rest(here)


async def test_a_chain_and_the_same_component_twice(tmp_path: Path) -> None:
    text = written(
        tmp_path,
        'message("[body]").to(First.plain)',
        'message("[body]").to(Middle.passes)',
        "message(\"[contains(body, '8')]\").to(First.plain)",
        "message(\"[contains(body, '4')]\").to(Last.back)",
        "message(\"[contains(body, '4') or contains(body, '0')]\").to(Last.take)",
    )
    async with world(tmp_path, text) as here, here.user() as bar:
        asked = ["n 0", "n 1", "n 2", "n 3", "n 4", "n 5", "n 8", "n 7", "n 0", "n 9"] * 5
        bar.say(*[Message(here.service, body, type="chat") for body in asked])
        heard = [await bar.hear() for body in asked if body != "n 8"]  # nobody wants that one
        ends = {"0": "last", "2": "middle", "4": "last"}
        assert [each.body for each in heard if isinstance(each, Message)] == [
            f"{body} {ends.get(body[-1], 'first')}" for body in asked if body != "n 8"
        ]
        await at_rest(here)


async def test_two_that_pass_on_to_each_other(tmp_path: Path) -> None:
    """Neither waits for what the other has passed on: a mailbox of one holds nobody up."""
    text = written(
        tmp_path,
        "message(\"[starts-with(body, 'a')]\").to(First.plain)",
        "message(\"[starts-with(body, 'b')]\").to(Last.back)",
        "message(\"[starts-with(body, 'b')]\").to(First.waiting)",
        'message("[body]").to(Last.take)',
        first="mailbox = 1",
        last="mailbox = 1",
    )
    async with world(tmp_path, text) as here, here.user() as bar:
        asked = [f"{'ab'[number % 2]} {number % 10}" for number in range(200)]
        asked += [f"{'ab'[number % 3 == 0]} {number % 10}" for number in range(200)]
        answers = await said(here, bar, asked)
        assert sorted(answer.rpartition(" ")[0] for answer in answers) == sorted(asked)
        await at_rest(here)


async def test_what_is_behind_waits_and_others_do_not(tmp_path: Path) -> None:
    text = written(
        tmp_path,
        'message("[body]").to(First.plain)',
        'message("[body]").to(Last.gated)',
    )
    async with world(tmp_path, text) as here, here.user() as bar, here.user("foo") as foo:
        bar.say(*[Message(here.service, body, type="chat") for body in ("n 0", "n 1")])
        first = here.actor("First")
        async with asyncio.timeout(SECONDS):
            while not any(first.busy.values()):
                await asyncio.sleep(0)
        assert await said(here, foo, ["n 3"]) == ["n 3 first"]
        assert [len(queue) for queue in first.busy.values()] == [1]
        sys.modules[type(first.component).__module__].gate.set()
        heard = [await bar.hear(), await bar.hear()]
        assert [each.body for each in heard if isinstance(each, Message)] == [
            "n 0 last",
            "n 1 first",
        ]
        await at_rest(here)


@pytest.mark.parametrize("who", ["router", "Last"])
async def test_somebody_dies_meanwhile(who: str, tmp_path: Path) -> None:
    text = written(
        tmp_path,
        'message("[body]").to(First.plain)',
        'message("[body]").to(Last.gated)',
    )
    async with world(tmp_path, text) as here, here.user() as bar:
        bar.say(*[Message(here.service, body, type="chat") for body in ("n 0", "n 1", "n 3")])
        first = here.actor("First")
        async with asyncio.timeout(SECONDS):
            while not (any(first.busy.values()) and here.actor("Last").works):
                await asyncio.sleep(0)
        await kill(here, who)
        sys.modules[type(first.component).__module__].gate.set()
        heard = [await bar.hear() for _ in range(3)]
        assert [each.type for each in heard] == [
            "chat" if who == "router" else "error",
            *["chat"] * 2,
        ]
        assert [each.body for each in heard[1:] if isinstance(each, Message)] == [
            "n 1 first",
            "n 3 first",
        ]
        await at_rest(here)


# ── who gives what when ──────────────────────────────────────────────────────────────────────────


def item(number: int) -> tuple[Ref, int, Message, int, dict[str, object]]:
    message = Message("bot@example.org", "x", from_="user@example.org/1")
    return Ref("main", None, 1), number, message, 1, {}  # type: ignore[arg-type]


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 5))
@settings(deadline=None)
def test_what_was_passed_on_goes_first_and_by_itself(kinds: list[bool], mailbox: int) -> None:
    """Also into a full mailbox."""
    crew = Crew()
    worker = Worker(Ref("First", None, 2))  # type: ignore[arg-type]
    crew.add(worker)
    for number, passed in enumerate(kinds):
        (crew.pass_on if passed else crew.give)(item(number))  # type: ignore[arg-type]
    got: list[tuple[int, bool]] = []
    while (batch := worker.next_batch(mailbox, None)) is not None:
        number, items = batch
        assert len({type(each) for each in items}) == 1
        got += [(each[1], type(each) is Passed) for each in items]
        worker.outflow.taken(number)
    passed_on = [number for number, passed in enumerate(kinds) if passed]
    others = [number for number, passed in enumerate(kinds) if not passed]
    left = max(0, mailbox - len(passed_on))
    assert got == [(number, True) for number in passed_on] + [
        (number, False) for number in others[:left]
    ]
