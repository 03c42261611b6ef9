"""Deadlines: who takes too long is cancelled, and who asked hears of it in time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from thespian.actors import ActorExitRequest

from actors import going
from emp.errors import InternalServerError, RemoteServerTimeout, ResourceConstraint
from emp.stanza import Iq, Message, Stanza
from emp.xml import E
from tests.actors.world import SECONDS, World, world

SLOW = """
import asyncio
import actors
from actors import Component, before, rescue
from emp.routing import Routes
from emp.xml import E

class Slow(Component):
    deadline = 0.05

    def __init__(self):
        self.log = []
        self.gate = asyncio.Event()

    async def sleeps(self):
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise

    async def stubborn(self):
        while True:
            try:
                await self.gate.wait()
                self.log.append("ended")
                return E.late(xmlns="urn:example")
            except asyncio.CancelledError:
                self.log.append("swallowed")

    async def fails_late(self):
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            raise ValueError("while tidying up")

    @rescue(ValueError)
    def never(self, error):
        return "no answer may come of it"

    async def stream(self):
        for number in range(3):
            yield str(number)
            await asyncio.sleep(0.02)
        await self.gate.wait()

    async def replies(self):
        self.reply(E.early(xmlns="urn:example"))
        await self.gate.wait()

    async def late_reply(self):
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.reply(E.late(xmlns="urn:example"))

    @actors.deadline(None)
    def now(self, body): return body

class Patient(Component):
    deadline = 0.01

    def __init__(self):
        self.gate = asyncio.Event()

    @before
    async def linger(self):
        await self.gate.wait()

    @actors.deadline(None)
    async def unlimited(self):
        return E.right(xmlns="urn:example")

routes = Routes(namespaces={"e": "urn:example"})
routes.iq_get("e:unlimited").to(Patient.unlimited)
for name in ("sleeps", "stubborn", "fails_late", "replies", "late_reply"):
    routes.iq_get(f"e:{name}").to(Slow, name)
routes.message(body="sleeps").to(Slow.sleeps)
routes.message(body="stream").to(Slow.stream)
routes.message("[body]").to(Slow.now)
"""


def get(name: str) -> Iq:
    return Iq("get", E(name, xmlns="urn:example"), to="foo@localhost/main")


def message(text: str) -> Message:
    return Message("foo@localhost/main", text, type="chat")


def body(stanza: Stanza) -> str | None:
    assert isinstance(stanza, Message)
    return stanza.body


async def until(condition: Any) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0)


def at_rest(here: World) -> bool:
    component = here.actor("Slow")
    at_work: bool = bool(component.works or component.busy or component.answered)
    return not at_work and not here.actor("main").ledger.held


@pytest.mark.parametrize("name", ["sleeps", "fails_late", "late_reply"])
async def test_a_request_is_answered_in_time(tmp_path: Path, name: str) -> None:
    async with world(tmp_path, SLOW) as here, here.user() as bar:
        asked = get(name)
        answer = await bar.ask(asked)
        assert isinstance(answer.failure, RemoteServerTimeout)
        assert (answer.id, answer.failure.type) == (asked.id, "wait")
        assert body(await bar.ask(message("next"))) == "next"
        component = here.actor("Slow")
        assert component.overdue == 1
        await until(lambda: at_rest(here))


async def test_a_message_gets_nothing_and_the_next_its_turn(tmp_path: Path) -> None:
    async with world(tmp_path, SLOW) as here, here.user() as bar:
        bar.say(message("sleeps"), message("next"))
        assert body(await bar.hear()) == "next"
        assert here.actor("Slow").component.log == ["cancelled"]


async def test_who_swallows_the_cancellation_holds_the_sender_for_a_while_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(going, "CANCEL_GRACE", 0.05)
    async with world(tmp_path, SLOW) as here, here.user() as bar:
        component = here.actor("Slow")
        bar.say(get("stubborn"), message("next"))
        assert isinstance((await bar.hear()).failure, RemoteServerTimeout)
        assert body(await bar.hear()) == "next"
        assert component.component.log == ["swallowed"]
        assert component.works  # it goes on
        component.component.gate.set()
        await until(lambda: at_rest(here))
        assert component.component.log == ["swallowed", "ended"]
        assert body(await bar.ask(message("nothing came between"))) == "nothing came between"


async def test_who_waits_too_long_for_his_turn_is_refused(tmp_path: Path) -> None:
    async with world(tmp_path, SLOW) as here, here.user() as bar:
        component = here.actor("Slow")
        slow = [get("sleeps") for _ in range(3)]
        bar.say(*slow, message("behind"))
        first = await bar.hear()
        assert isinstance(first.failure, RemoteServerTimeout)
        rest = [await bar.hear() for _ in range(2)]
        assert all(isinstance(stanza.failure, ResourceConstraint) for stanza in rest)
        assert body(await bar.hear()) == "behind"
        assert component.component.log == ["cancelled"]  # the others never ran
        await until(lambda: at_rest(here))


async def test_the_deadline_of_a_generator_is_for_each_item(tmp_path: Path) -> None:
    async with world(tmp_path, SLOW) as here, here.user() as bar:
        bar.say(message("stream"))
        assert [body(await bar.hear()) for _ in range(3)] == ["0", "1", "2"]
        await until(lambda: here.actor("Slow").overdue == 1)
        await until(lambda: at_rest(here))


async def test_what_was_answered_gets_no_second_answer(tmp_path: Path) -> None:
    async with world(tmp_path, SLOW) as here, here.user() as bar:
        assert (await bar.ask(get("replies"))).payload_name == "{urn:example}early"
        await until(lambda: here.actor("Slow").overdue == 1)
        assert body(await bar.ask(message("next"))) == "next"
        await until(lambda: at_rest(here))


async def test_no_deadline(tmp_path: Path) -> None:
    async with world(tmp_path, SLOW) as here, here.user() as bar:
        patient = here.actor("Patient")
        bar.say(get("unlimited"))
        await until(lambda: patient.works)
        [work] = patient.works.values()
        assert work.timer is None
        patient.component.gate.set()
        assert (await bar.hear()).payload_name == "{urn:example}right"


async def test_the_component_may_die_meanwhile(tmp_path: Path) -> None:
    """Answered by the deadline, and then lost with its component: one answer all the same."""
    async with world(tmp_path, SLOW) as here, here.user() as bar:
        asked = get("stubborn")
        assert isinstance((await bar.ask(asked)).failure, RemoteServerTimeout)
        gate = here.actor("Slow").component.gate
        assert here.boot.system is not None
        here.boot.system.tell(here.address("Slow"), ActorExitRequest())
        await here.until("died", "Slow")
        await here.until("started", "Slow")
        answer = await bar.ask(message("next"))
        assert not isinstance(answer.failure, InternalServerError)
        assert body(answer) == "next"
        gate.set()  # it would not end otherwise


async def test_a_task_that_is_cancelled_before_it_began(tmp_path: Path) -> None:
    async with world(tmp_path, SLOW) as here, here.user() as bar:
        component = here.actor("Slow")
        begin = component._see_through

        def begin_too_late(work: Any, result: Any) -> None:
            begin(work, result)
            component._disarm(work)
            component._time_is_up(work, 0.05)

        component._see_through = begin_too_late
        assert isinstance((await bar.ask(get("sleeps"))).failure, RemoteServerTimeout)
        del component._see_through
        assert body(await bar.ask(message("next"))) == "next"
        await until(lambda: at_rest(here))
