"""Actions that yield: items are sent at once, a request gets one answer, nobody is held up."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from thespian.actors import ActorExitRequest

from actors.flow import BATCH, WINDOW
from actors.sending import AHEAD
from emp.errors import InternalServerError
from emp.stanza import Iq, Message, Stanza
from emp.xml import E
from tests.actors.world import SECONDS, World, world

YIELDING = """
import asyncio
from actors import Component
from emp.errors import ItemNotFound
from emp.routing import Routes
from emp.stanza import Message
from emp.xml import E

def thing(name): return E(name, xmlns="urn:example")

class Yielding(Component):
    def __init__(self):
        self.faults, self.closed, self.made = [], 0, 0
        self.gate = asyncio.Event()
        self.open = True

    def three(self):
        yield "one"
        yield None
        yield ["two"] and "two"
        yield "three"

    async def gated(self):
        yield "first"
        await self.gate.wait()
        yield "second"

    def nothing(self):
        return
        yield

    async def one_and_more(self, sender):
        yield Message(sender, "before")
        yield thing("answer")
        try:
            yield thing("another")
        except Exception as error:
            self.faults.append(str(error))
        yield Message(sender, "after")

    def another(self):
        yield thing("answer")
        yield thing("another")

    def its_own_answer(self, stanza, sender):
        yield stanza.result(thing("own"))
        yield Message(sender, "after")

    def strange(self):
        yield 3.14

    async def failing(self):
        yield "one"
        raise ItemNotFound("the rest")

    def halting(self):
        yield "one"
        self.halt("two")

    def endless(self):
        try:
            while self.open:
                self.made += 1
                yield f"{self.made}"
        finally:
            self.closed += 1

    def idle(self):
        try:
            while self.open:
                self.made += 1
                yield
        finally:
            self.closed += 1

    def echo(self, body): return body

routes = Routes(namespaces={"e": "urn:example"})
for name in ("nothing", "one_and_more", "another", "its_own_answer", "strange"):
    routes.iq_get(f"e:{name}").to(Yielding, name)
for name in ("three", "gated", "nothing", "failing", "halting", "endless", "idle"):
    routes.message(body=name).to(Yielding, name)
routes.message("[body]").to(Yielding.echo)
"""


def get(name: str) -> Iq:
    return Iq("get", E(name, xmlns="urn:example"), to="foo@localhost/main")


def body(stanza: Stanza) -> str | None:
    assert isinstance(stanza, Message)
    return stanza.body


def message(text: str) -> Message:
    return Message("foo@localhost/main", text, type="chat")


async def until(condition: Any) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0)


def at_rest(here: World) -> bool:
    component = here.actor("Yielding")
    at_work: bool = bool(component.works or component.busy or component.answered)
    return not at_work and not here.actor("main").ledger.held


async def test_each_item_is_an_answer(tmp_path: Path) -> None:
    async with world(tmp_path, YIELDING) as here, here.user() as bar:
        bar.say(message("three"), message("nothing"), message("behind"))
        assert [body(await bar.hear()) for _ in range(4)] == ["one", "two", "three", "behind"]
        await until(lambda: at_rest(here))


async def test_an_item_is_sent_at_once(tmp_path: Path) -> None:
    async with world(tmp_path, YIELDING) as here, here.user() as bar:
        assert body(await bar.ask(message("gated"))) == "first"
        here.actor("Yielding").component.gate.set()
        assert body(await bar.hear()) == "second"


async def test_a_request_gets_one_answer(tmp_path: Path) -> None:
    async with world(tmp_path, YIELDING) as here, here.user() as bar:
        bar.say(get("one_and_more"))
        heard = [await bar.hear() for _ in range(3)]
        assert [stanza.kind for stanza in heard] == ["message", "iq", "message"]
        assert heard[1].payload_name == "{urn:example}answer"
        [fault] = here.actor("Yielding").component.faults
        assert "answered already" in fault
        await until(lambda: at_rest(here))


async def test_a_second_answer_is_an_error_in_the_log(tmp_path: Path) -> None:
    async with world(tmp_path, YIELDING) as here, here.user() as bar:
        assert (await bar.ask(get("another"))).payload_name == "{urn:example}answer"
        assert body(await bar.ask(message("next"))) == "next"
        assert here.actor("Yielding").failed == 1
        assert at_rest(here)


async def test_answers_of_their_own_and_none(tmp_path: Path) -> None:
    async with world(tmp_path, YIELDING) as here, here.user() as bar:
        assert (await bar.ask(get("its_own_answer"))).payload_name == "{urn:example}own"
        assert body(await bar.hear()) == "after"
        empty = await bar.ask(get("nothing"))
        assert (empty.type, empty.payload) == ("result", None)
        assert isinstance((await bar.ask(get("strange"))).failure, InternalServerError)
        await until(lambda: at_rest(here))


async def test_errors_and_halt_come_behind_what_was_yielded(tmp_path: Path) -> None:
    async with world(tmp_path, YIELDING) as here, here.user() as bar:
        bar.say(message("failing"), message("halting"))
        assert body(await bar.hear()) == "one"
        failure = (await bar.hear()).failure
        assert failure is not None
        assert failure.text == "the rest"
        assert [body(await bar.hear()) for _ in range(2)] == ["one", "two"]


async def test_an_endless_one_waits_for_the_connection(tmp_path: Path) -> None:
    async with world(tmp_path, YIELDING) as here, here.user() as bar, here.user("baz") as baz:
        connection, component = here.actor("main"), here.actor("Yielding")
        connection.stream._buffer_full = connection.paused = True  # a server that doesn't read
        bar.say(message("endless"))
        await until(lambda: len(component.lanes) and next(iter(component.lanes.values())).waiters)
        most = (WINDOW + 2) * BATCH + AHEAD
        made = component.component.made
        for _ in range(100):
            await asyncio.sleep(0)
        assert AHEAD <= component.component.made == made <= most
        connection.stream._buffer_full = False
        connection.write_resumed()
        assert body(await baz.ask(message("others have their turn"))) == "others have their turn"
        await until(lambda: component.component.made > most)
        component.component.open = False
        await until(lambda: not component.works)
        made = component.component.made
        heard = [body(await bar.hear()) for _ in range(made)]
        assert heard == [str(number + 1) for number in range(made)]


async def test_one_that_never_yields_anything_holds_nobody_up(tmp_path: Path) -> None:
    async with world(tmp_path, YIELDING) as here, here.user() as bar, here.user("baz") as baz:
        bar.say(message("idle"))
        await until(lambda: here.actor("Yielding").works)
        assert body(await baz.ask(message("hello"))) == "hello"
        here.actor("Yielding").component.open = False


async def test_it_is_closed_when_its_connection_is_gone(tmp_path: Path) -> None:
    async with world(tmp_path, YIELDING) as here, here.user() as bar:
        component = here.actor("Yielding")
        bar.say(message("idle"))
        await until(lambda: component.component.made)
        assert here.boot.system is not None
        here.boot.system.tell(here.address("main"), ActorExitRequest())
        await until(lambda: component.component.closed)
        await until(lambda: not component.works and not component.busy)


async def test_it_is_closed_with_the_component(tmp_path: Path) -> None:
    async with world(tmp_path, YIELDING) as here, here.user() as bar:
        instance = here.actor("Yielding").component
        bar.say(message("idle"))
        await until(lambda: instance.made)
        assert here.boot.system is not None
        here.boot.system.tell(here.address("Yielding"), ActorExitRequest())
        await until(lambda: instance.closed)


@pytest.mark.parametrize("kind", ["client", "component"])
async def test_what_is_yielded_keeps_its_place_among_what_is_sent(
    tmp_path: Path, kind: str
) -> None:
    source = YIELDING.replace(
        'yield "three"', "self.send(Message('bar@localhost', '2½'))\n        yield \"three\""
    )
    async with world(tmp_path, source, kind) as here, here.user() as bar:
        to = here.service if kind == "client" else "x@main.localhost"
        bar.say(Message(to, "three", type="chat"))
        assert [body(await bar.hear()) for _ in range(4)] == ["one", "two", "2½", "three"]
