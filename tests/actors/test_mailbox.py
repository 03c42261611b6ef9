"""A bounded mailbox: the router holds back, or refuses; nothing waits for ever."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from actors.crew import FULL
from actors.ledger import HELD_STANZAS
from emp.errors import ResourceConstraint
from emp.stanza import Iq, Message, Presence, Stanza
from emp.xml import E
from tests.actors.world import SECONDS, World, world

SOURCE = """
import asyncio
from actors import Component
from emp.routing import Routes
from emp.xml import E

gate = asyncio.Event()
ran, at_work, most = [], 0, 0

class Small(Component):
    mailbox = %(mailbox)d
    when_full = "%(when_full)s"
    key = lambda stanza: stanza.id or ""

    def now(self, stanza):
        ran.append(stanza.id)

    async def hold(self, stanza):
        global at_work, most
        at_work += 1
        most = max(most, at_work)
        await gate.wait()
        at_work -= 1
        ran.append(stanza.id)
        return E.done(xmlns="urn:example") if stanza.kind == "iq" else None

class Other(Component):
    def now(self, stanza):
        ran.append(stanza.id)

routes = Routes()
routes.message(type="headline").to(Other.now)
routes.message(type="chat").to(Small.hold)
routes.message().to(Small.now)
routes.iq().to(Small.hold)
routes.presence().to(Small.hold)
"""


def module(here: World) -> Any:
    return sys.modules[type(here.actor("Small").component).__module__]


async def until(condition: Any) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0)


def arrive(here: World, *stanzas: Stanza) -> None:
    """They come in, in one piece, as from users of the server."""
    for stanza in stanzas:
        stanza.from_text = "bar@localhost/test"
    here.actor("main").stanzas_received(list(stanzas))


def messages(count: int, type: str, name: str = "m") -> list[Message]:
    return [
        Message("x@main.localhost", "hello", type=type, id=f"{name}{number}")
        for number in range(count)
    ]


def ids(stanzas: list[Any]) -> list[str]:
    return [stanza.id for stanza in stanzas]


@pytest.mark.parametrize("mailbox", [1, 2, 10, 100])
async def test_plain_actions_with_a_small_mailbox(tmp_path: Path, mailbox: int) -> None:
    source = SOURCE % {"mailbox": mailbox, "when_full": "block"}
    async with world(tmp_path, source, "component") as here:
        said = messages(1500, "normal")
        arrive(here, *said)
        await until(lambda: len(module(here).ran) == len(said))
        assert module(here).ran == ids(said)
        await until(lambda: not here.actor("main").ledger.held)


@pytest.mark.parametrize("mailbox", [1, 3, 10])
async def test_no_more_are_at_work_than_the_mailbox_holds(tmp_path: Path, mailbox: int) -> None:
    source = SOURCE % {"mailbox": mailbox, "when_full": "block"}
    async with world(tmp_path, source, "component") as here:
        said = messages(60, "chat")
        arrive(here, *said)
        await until(lambda: module(here).at_work == mailbox)
        [facts] = [
            crew
            for reference, crew in here.actor("router").facts()["crews"].items()
            if reference.endswith("Small")
        ]
        assert facts["waiting"] == len(said) - mailbox
        arrive(here, *messages(1, "headline", "other"))  # others are not held up
        await until(lambda: module(here).ran == ["other0"])
        module(here).gate.set()
        await until(lambda: len(module(here).ran) == 1 + len(said))
        assert module(here).most == mailbox
        assert sorted(module(here).ran[1:]) == sorted(ids(said))


async def test_a_blocked_component_holds_up_its_connection_at_last(tmp_path: Path) -> None:
    source = SOURCE % {"mailbox": 1, "when_full": "block"}
    async with world(tmp_path, source, "component") as here, here.user() as bar:
        bar.say(*messages(5000, "chat"))
        await until(lambda: here.actor("main").paused)
        assert module(here).at_work == 1
        assert len(here.actor("main").ledger.held) < 5000
        module(here).gate.set()
        await until(lambda: len(module(here).ran) == 5000)
        assert not here.actor("main").paused


async def test_shedding(tmp_path: Path, log: list[str]) -> None:
    source = SOURCE % {"mailbox": 3, "when_full": "shed"}
    async with world(tmp_path, source, "component") as here, here.user() as bar:
        bar.say(*messages(3, "chat"))
        await until(lambda: module(here).at_work == 3)
        asked = Iq("get", E.thing(xmlns="urn:example"), to="main.localhost")
        for round_ in range(3):
            said = Message("x@main.localhost", "hi", type="chat", id=f"s{round_}")
            bar.say(Presence(to="x@main.localhost"), said)
            assert isinstance((refused := await bar.hear()).failure, ResourceConstraint)
            assert (refused.id, refused.failure.type) == (said.id, "wait")
        refused = await bar.ask(asked)
        assert isinstance(refused.failure, ResourceConstraint)
        await until(lambda: len(here.actor("main").ledger.held) == 3)
        assert here.actor("router").shed == 3 + 3 + 1
        module(here).gate.set()
        await until(lambda: not here.actor("main").ledger.held)
        assert (await bar.ask(asked)).type == "result"
        assert set(module(here).ran) >= {"m0", "m1", "m2"}
    assert len([line for line in log if FULL.text in line]) == 1


async def test_an_idle_worker_refuses_nothing(tmp_path: Path) -> None:
    """What it has finished counts no more, although nothing else makes it report that."""
    source = SOURCE % {"mailbox": 8, "when_full": "shed"}
    async with world(tmp_path, source, "component") as here:
        for round_ in range(50):
            count = 1 + round_ % 6
            before = len(module(here).ran)
            arrive(here, *messages(count, "normal", f"{round_}-"))
            await until(lambda n=before + count: len(module(here).ran) == n)
            await until(lambda: not here.actor("main").ledger.held)
        assert here.actor("router").shed == 0


async def test_a_busy_sender_leaves_room_for_others(tmp_path: Path) -> None:
    source = SOURCE % {"mailbox": 20, "when_full": "shed"}
    source = source.replace('key = lambda stanza: stanza.id or ""', 'key = "sender"')
    async with (
        world(tmp_path, source, "component") as here,
        here.user() as bar,
        here.user("baz") as baz,
    ):
        bar.say(*messages(500, "chat"))
        refused = [await bar.hear() for _ in range(500 - 1 - 10)]
        assert all(isinstance(stanza.failure, ResourceConstraint) for stanza in refused)
        assert module(here).at_work == 1  # and ten are behind it
        baz.say(*messages(9, "normal", "baz"))  # while the other one still waits
        await until(lambda: len(module(here).ran) == 9)
        module(here).gate.set()
        await until(lambda: len(module(here).ran) == 9 + 11)
        assert module(here).ran[9:] == [f"m{number}" for number in range(11)]


async def test_who_waits_behind_a_busy_sender_waits_for_the_deadline_at_most(
    tmp_path: Path,
) -> None:
    """His stanzas fill the books of the connection; after the deadline they are refused, all at
    once, and the others have their turn."""
    source = SOURCE % {"mailbox": 4096, "when_full": "block"}
    source = source.replace('key = lambda stanza: stanza.id or ""', "deadline = 1")
    async with (
        world(tmp_path, source, "component") as here,
        here.user() as bar,
        here.user("baz") as baz,
    ):
        bar.say(*messages(HELD_STANZAS + 500, "chat"))
        await until(lambda: here.actor("main").paused)
        baz.say(*messages(1, "normal", "baz"))
        await until(lambda: "baz0" in module(here).ran)
        assert not module(here).gate.is_set()
        # One took its second, those that had waited as long were refused: others were not held up
        # by a second for each.
        assert len(module(here).ran) == 1
