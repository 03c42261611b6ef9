"""Methods that run by themselves: in step, never twice at a time, and as long as the component."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from thespian.actors import ActorExitRequest

from actors.declarations import Every, Place
from actors.sending import present
from actors.timers import Timer
from emp.stanza import Message, Stanza
from tests.actors.world import SECONDS, world

TICKING = """
import asyncio
import threading
from datetime import timedelta
from actors import Component, every
from emp.errors import LocalProtocolError
from emp.routing import Routes

class Base(Component):
    def __init__(self):
        self.log = []
        self.runs = self.at_a_time = 0
        self.gate = asyncio.Event()

    @every(timedelta(milliseconds=10), first=0)
    def inherited(self):
        self.log.append("inherited")

class Ticking(Base):
    @every(0.01, first=0)
    def fails(self):
        self.log.append("fails")
        raise ValueError("a timer's")

    @every(0.01, first=0)
    async def waits(self):
        self.at_a_time += 1
        self.runs += 1
        assert self.at_a_time == 1
        await self.gate.wait()
        self.at_a_time -= 1

    @every(3600, first=0.01)
    def says(self):
        try:
            self.stanza
        except LocalProtocolError as error:
            self.say("bar@localhost", f"{self.connection.name}: {error}")

    def plain(self): self.log.append("plain")
    every(0.01, first=0)(plain)

    def now(self, body): return body

class Threaded(Component):
    blocking = True
    def __init__(self): self.threads_of = set()
    @every(0.01, first=0)
    def in_a_thread(self): self.threads_of.add(threading.current_thread().name.partition(" ")[0])
    def never(self): return None

routes = Routes()
routes.message(body="never").to(Threaded.never)
routes.message("[body]").to(Ticking.now)
"""


def body(stanza: Stanza) -> str | None:
    assert isinstance(stanza, Message)
    return stanza.body


async def until(condition: Any) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0)


async def test_they_run(tmp_path: Path) -> None:
    async with world(tmp_path, TICKING) as here:
        component = here.actor("Ticking")
        log = component.component.log
        for name in ("inherited", "fails", "plain"):
            await until(lambda name=name: log.count(name) > 3)
        assert component.component.runs == 1  # the others were skipped
        component.component.gate.set()
        await until(lambda: component.component.runs > 3)
        assert component.failed >= 3
        assert "blocking" in here.actor("Threaded").component.threads_of
    assert not [task for task in component.tasks if not task.done()]
    count = len(log)
    await asyncio.sleep(0.05)
    assert len(log) == count  # they have stopped with the component


async def test_a_timer_may_send_where_there_is_one_connection(tmp_path: Path) -> None:
    source = TICKING.replace("@every(3600, first=0.01)\n    def says", "def on_connected").replace(
        "on_connected(self)", "on_connected(self, event)"
    )
    async with world(tmp_path, source) as here, here.user() as bar:
        here.actor("Ticking")._start_hook("on_connected", None)
        assert body(await bar.hear()) == "main: no stanza is being handled here"


class Clock:
    """Stands for a loop: time passes when we say so."""

    def __init__(self) -> None:
        self.now, self.due, self.ring = 100.0, 0.0, lambda: None
        self.cancelled = 0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Any) -> Clock:
        self.due, self.ring = when, call
        return self

    def cancel(self) -> None:
        self.cancelled += 1


@pytest.mark.parametrize(
    ("every", "late", "expected"),
    [
        (Every(Place("", 0), 10, None), 0.0, [110, 120, 130]),
        (Every(Place("", 0), timedelta(seconds=10), 3), 0.0, [103, 113, 123]),
        (Every(Place("", 0), 10, None), 1.0, [110, 120, 130]),  # in step
        (Every(Place("", 0), 10, None), 25.0, [110, 140, 170]),  # no bursts
        (Every(Place("", 0), 10, 0), 10.0, [100, 120, 140]),
    ],
)
def test_when_they_are_due(every: Every, late: float, expected: list[float]) -> None:
    clock: Any = Clock()
    runs: list[float] = []
    timer = Timer("name", every, lambda name: runs.append(clock.now), clock)  # type: ignore[func-returns-value]
    due = []
    for _ in expected:
        due.append(clock.due)
        clock.now = clock.due + late
        clock.ring()
    assert due == expected
    assert len(runs) == len(expected)
    timer.stop()
    assert clock.cancelled == 1


ALONE = """
import asyncio
from actors import Component, every
from emp.errors import LocalProtocolError
from emp.routing import Routes

class Alone(Component):
    def __init__(self):
        self.about = asyncio.Queue()

    @every(3600, first=0)
    def tick(self):
        try:
            self.about.put_nowait(self.stanza)
        except LocalProtocolError as error:
            self.about.put_nowait(str(error))

    def hear(self, body): ...

routes = Routes()
routes.message("[body]").to(Alone.hear)
"""


async def test_a_timer_is_about_no_stanza_whoever_was_at_work_when_it_began(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, ALONE) as here:
        old = here.actor("Alone")
        item = here.actor("main").ref, 1, Message("foo@localhost", "somebody else's"), 1, {}
        context = copy_context()  # as of an action in which the loop is woken
        context.run(present.set, item)
        context.run(old.send, old.myAddress, ActorExitRequest())
        await here.until("died", "Alone")
        await here.until("started", "Alone")
        async with asyncio.timeout(SECONDS):
            assert await here.actor("Alone").component.about.get() == (
                "no stanza is being handled here"
            )
