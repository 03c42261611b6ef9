"""skip(): the next route that matches gets the stanza, and one answer comes of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from thespian.actors import ActorExitRequest

from emp.errors import InternalServerError, ServiceUnavailable
from emp.stanza import Iq, Message
from emp.xml import E
from tests.actors.world import SECONDS, World, world

SKIPPING = """
import asyncio
from actors import Component, before
from emp.errors import ItemNotFound
from emp.routing import Routes
from emp.xml import E

gate = asyncio.Event()

class First(Component):
    @before(only="filtered")
    def passes(self):
        self.skip()
    def now(self): self.skip()
    async def later(self):
        await asyncio.sleep(0)
        self.skip()
    def stream(self):
        self.skip()
        yield "never"
    def filtered(self): return "never"
    async def gated(self):
        await gate.wait()
        self.skip()
    def replied(self):
        self.reply(E.right(xmlns="urn:example"))
        self.skip()
    async def yielded(self):
        yield "one"
        self.skip()
    def caught(self):
        try:
            self.skip()
        except Exception:
            return "never"

class Second(Component):
    def take(self, stanza):
        return "second" if stanza.kind == "message" else E.second(xmlns="urn:example")

routes = Routes(namespaces={"e": "urn:example"})
NAMES = ("now", "later", "stream", "filtered", "gated", "replied", "caught")
for name in NAMES:
    routes.iq_get(f"e:{name}").to(First, name)
routes.iq_get("e:unwanted").to(First.now)
for name in (*NAMES, "yielded"):
    routes.message(body=name).to(First, name)
for name in NAMES:
    routes.iq_get(f"e:{name}").to(Second.take)
routes.message("[body]").to(Second.take)
"""


def get(name: str) -> Iq:
    return Iq("get", E(name, xmlns="urn:example"), to="foo@localhost/main")


@pytest.mark.parametrize("name", ["now", "later", "stream", "filtered", "caught"])
async def test_the_next_route_answers(tmp_path: Path, name: str) -> None:
    async with world(tmp_path, SKIPPING) as here, here.user() as bar:
        for _ in range(3):
            asked = get(name)
            answer = await bar.ask(asked)
            assert (answer.id, answer.payload_name) == (asked.id, "{urn:example}second")
        said = await bar.ask(Message(here.service, name, type="chat"))
        assert isinstance(said, Message)
        assert said.body == "second"
        first = here.actor("First")
        assert (first.skipped, first.busy, first.works) == (4, {}, {})
        assert here.actor("main").ledger.held == {}


async def test_nobody_else_wants_it(tmp_path: Path) -> None:
    async with world(tmp_path, SKIPPING) as here, here.user() as bar:
        assert isinstance((await bar.ask(get("unwanted"))).failure, ServiceUnavailable)


async def test_too_late(tmp_path: Path) -> None:
    async with world(tmp_path, SKIPPING) as here, here.user() as bar:
        answer = await bar.ask(get("replied"))
        assert answer.payload_name == "{urn:example}right"
        bar.say(Message(here.service, "yielded", type="chat"))
        one, error = await bar.hear(), await bar.hear()
        assert isinstance(one, Message)
        assert one.body == "one"
        assert isinstance(error.failure, InternalServerError)
        assert here.actor("First").failed == 2
        assert here.actor("main").ledger.held == {}


async def kill(here: World, name: str) -> None:
    assert here.boot.system is not None
    here.boot.system.tell(here.address(name), ActorExitRequest())
    await here.until("died", name)


async def test_skipped_after_the_router_died(tmp_path: Path) -> None:
    """The new router gives it again, before or after the old one's action skips."""
    async with world(tmp_path, SKIPPING) as here, here.user() as bar:
        import sys

        asked = [get("gated"), get("gated")]
        bar.say(*asked)
        first = here.actor("First")
        async with asyncio.timeout(SECONDS):
            while not first.works:
                await asyncio.sleep(0)
        await kill(here, "router")
        sys.modules[type(first.component).__module__].gate.set()
        answers = [await bar.hear(), await bar.hear()]
        assert [answer.id for answer in answers] == [one.id for one in asked]
        assert {answer.payload_name for answer in answers} == {"{urn:example}second"}
        async with asyncio.timeout(SECONDS):
            while here.actor("main").ledger.held:
                await asyncio.sleep(0)


async def test_given_again_by_a_new_router_and_then_skipped(tmp_path: Path) -> None:
    async with world(tmp_path, SKIPPING) as here, here.user() as bar:
        import sys

        asked = get("gated")
        bar.say(asked)
        first = here.actor("First")
        async with asyncio.timeout(SECONDS):
            while not first.works:
                await asyncio.sleep(0)
        await kill(here, "router")
        await here.until("started", "router")
        async with asyncio.timeout(SECONDS):
            while here.actor("router").routed == 0:
                await asyncio.sleep(0)
        for _ in range(10):  # turns of the loop in which the component gets it again
            await asyncio.sleep(0)
        sys.modules[type(first.component).__module__].gate.set()
        answer = await bar.hear()
        assert (answer.id, answer.payload_name) == (asked.id, "{urn:example}second")
