"""Pools: several workers of one class, and the order of each key."""

from __future__ import annotations

import asyncio
import random
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from thespian.actors import ActorExitRequest

from actors.messages import Done, ListActors, StopActor
from emp.stanza import Message, Stanza
from tests.actors.world import SECONDS, World, world

SOURCE = """
import asyncio, random
from actors import Component
from emp.routing import Routes

workers, ran = [], []

class Chat(Component):
    pool = 4
    key = "sender"

    def __init__(self):
        workers.append(self)
        self.mine = set()

    def now(self, stanza):
        self.mine.add(stanza.from_text.partition("/")[0])
        ran.append((stanza.from_text, int(stanza.body)))

    async def later(self, stanza):
        for _ in range(random.randrange(5)):
            await asyncio.sleep(0)
        self.now(stanza)

routes = Routes()
routes.message(type="chat").to(Chat.later)
routes.message().to(Chat.now)
"""

SENDERS, MESSAGES, BATCH = 100, 100, 1000
NAMES = ["Chat", "Chat-2", "Chat-3", "Chat-4"]


def module(here: World) -> Any:
    return sys.modules[type(here.actor("Chat").component).__module__]


async def until(condition: Any) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0)


def message(sender: str, number: int, type: str) -> Message:
    stanza = Message("x@main.localhost", str(number), type=type)
    stanza.from_text = sender
    return stanza


def script(senders: int, messages: int) -> list[Stanza]:
    """What all of them say, as it comes in: one here, another there."""
    chance = random.Random(7)
    left = [f"user{number}@localhost" for number in range(senders)] * messages
    chance.shuffle(left)
    said: dict[str, int] = defaultdict(int)
    stanzas: list[Stanza] = []
    for user in left:
        desk = chance.choice("ab")  # all devices of a user have one order
        stanzas.append(message(f"{user}/{desk}", said[user], chance.choice(["chat", "normal"])))
        said[user] += 1
    return stanzas


def by_user(ran: list[tuple[str, int]]) -> dict[str, list[int]]:
    heard: dict[str, list[int]] = defaultdict(list)
    for sender, number in ran:
        heard[sender.partition("/")[0]].append(number)
    return heard


async def pour(here: World, stanzas: list[Stanza]) -> None:
    """As the socket does: a piece at a time, and nothing while the books are full."""
    connection = here.actor("main")
    for start in range(0, len(stanzas), BATCH):
        await until(lambda: not connection.ledger.full)
        connection.stanzas_received(stanzas[start : start + BATCH])


async def test_a_hundred_senders_in_order(tmp_path: Path) -> None:
    async with world(tmp_path, SOURCE, "component") as here:
        stanzas = script(SENDERS, MESSAGES)
        ran = module(here).ran
        await pour(here, stanzas)
        await until(lambda: len(ran) == len(stanzas))
        heard = by_user(ran)
        assert len(heard) == SENDERS
        assert all(numbers == list(range(MESSAGES)) for numbers in heard.values())
        shares = [worker.mine for worker in module(here).workers]
        assert len(shares) == 4
        assert all(shares)
        assert sum(map(len, shares)) == SENDERS  # each stayed with one worker


async def test_each_worker_is_an_actor(tmp_path: Path) -> None:
    async with world(tmp_path, SOURCE) as here:
        children = here.actor("supervisor").children
        assert list(children) == ["router", *NAMES, "main"]
        assert isinstance(await here.ask(StopActor("Chat-3")), Done)
        [crew] = here.actor("router").facts()["crews"].values()
        assert crew["workers"] == ["Chat", "Chat-2", "Chat-4"]


@pytest.mark.parametrize("name", ["router", "Chat-2"])
async def test_order_while_actors_die(tmp_path: Path, name: str) -> None:
    """What a worker had in hand when it died is answered with an error; the rest stays in order,
    and nothing is handled twice."""
    async with world(tmp_path, SOURCE, "component") as here:
        ran = module(here).ran
        for _ in range(3):
            await pour(here, script(20, 50))
            assert here.boot.system is not None
            here.boot.system.tell(here.address(name), ActorExitRequest())
            await here.until("died", name)
            await here.until("started", name)
            await until(lambda: not here.actor("main").ledger.held)
            if name == "router":
                assert len(ran) == 20 * 50
            for numbers in by_user(ran).values():
                assert numbers == sorted(set(numbers))
            ran.clear()


async def test_a_new_router_knows_all_workers_before_the_first_stanza(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would give to one what another is working on: introductions may come too late."""
    async with world(tmp_path, SOURCE, "component") as here:
        monkeypatch.setattr(here.actor("supervisor"), "_introduce", lambda *_: None)
        assert here.boot.system is not None
        here.boot.system.tell(here.address("router"), ActorExitRequest())
        await here.until("died", "router")
        await here.until("started", "router")
        [crew] = here.actor("router").calls.crews.values()
        assert [worker.ref.name for worker in crew.workers] == NAMES


async def test_who_is_introduced_twice_is_there_once(tmp_path: Path) -> None:
    async with world(tmp_path, SOURCE, "component") as here:
        supervisor = here.actor("supervisor")
        for worker in supervisor._workers():
            supervisor._introduce(*worker)
        await here.ask(ListActors())
        [crew] = here.actor("router").calls.crews.values()
        assert [worker.ref.name for worker in crew.workers] == NAMES
