"""Thespian's contract for actors of a user's own: who raises harms nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from thespian.actors import ActorExitRequest, PoisonMessage

from actors.systems import System, start_system
from emp.errors import EmpError
from tests.actors.systems.faulty_actors import Faulty, Leaving, Unborn, Watcher

ASK = 15.0


@pytest.fixture(params=["embedded", "multiproc"])
async def system(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[System]:
    system = await start_system(request.param, tmp_path, None)
    yield system
    assert await system.stop(5) == []


async def test_a_message_that_fails_is_tried_once_more_and_comes_back(system: System) -> None:
    faulty, other = await system.create(Faulty), await system.create(Faulty, "other")
    answer = await system.ask(faulty, ["raise"], ASK)
    assert isinstance(answer, PoisonMessage)
    assert "RuntimeError: a fault" in str(answer.details)
    seen = await system.ask(faulty, "seen", ASK)
    assert isinstance(seen, list)
    assert len(seen) == 2
    assert await system.ask(other, "seen", ASK) == []


async def test_a_fault_that_passes_passes(system: System) -> None:
    faulty = await system.create(Faulty)
    assert await system.ask(faulty, ["raise once"], ASK) == "handled"


async def test_a_sender_that_is_an_actor_gets_the_poison_and_goes_on(system: System) -> None:
    watcher = await system.create(Watcher)
    assert await system.ask(watcher, ("create", 0), ASK) == "created"
    poison: Any = await system.ask(watcher, ("child", ["raise"]), ASK)
    assert poison[0] == "poison"
    assert poison[2]
    assert await system.ask(watcher, ("child", "seen"), ASK) == ("heard", [1, 2])


async def test_a_fault_at_the_end_does_not_keep_an_actor(system: System) -> None:
    watcher = await system.create(Watcher)
    await system.ask(watcher, ("create", 0), ASK)
    assert await system.ask(watcher, ("child", ActorExitRequest()), ASK) == "exited"


async def test_who_wants_to_leave_the_process_ends(system: System) -> None:
    watcher = await system.create(Watcher)
    await system.ask(watcher, ("create", 0), ASK)
    assert await system.ask(watcher, ("child", "exit"), ASK) == "exited"


@pytest.mark.parametrize("number", [1, 2])
async def test_a_child_whose_constructor_raises_has_exited(system: System, number: int) -> None:
    if number == 2 and system.name == "multiproc":
        return  # Thespian does not notice a process that ends before its actor is there
    watcher = await system.create(Watcher)
    assert await system.ask(watcher, ("create", number), ASK) == "exited"


async def test_reminders_arrive(system: System) -> None:
    watcher = await system.create(Watcher)
    assert await system.ask(watcher, "remind", ASK) == ("woken", "later")


async def test_a_wrong_address_is_the_fault_of_the_sender(system: System) -> None:
    watcher, other = await system.create(Watcher), await system.create(Faulty)
    assert isinstance(await system.ask(watcher, "nowhere", ASK), PoisonMessage)
    assert await system.ask(other, "seen", ASK) == []


async def test_dead_letters_reach_who_handles_them(tmp_path: Path) -> None:
    system = await start_system("embedded", tmp_path, None)
    watcher = await system.create(Watcher)
    assert await system.ask(watcher, "letters", ASK) == "handles them"
    await system.ask(watcher, ("create", 0), ASK)
    assert await system.ask(watcher, ("child", ActorExitRequest()), ASK) == "exited"
    assert await system.ask(watcher, ("lost", "words"), ASK) == ("dead letter", "words")
    await system.stop(5)


@pytest.mark.parametrize("actor_class", [Unborn, Leaving])
async def test_the_outside_hears_that_an_actor_cannot_be_made(
    tmp_path: Path, actor_class: type
) -> None:
    system = await start_system("embedded", tmp_path, None)
    with pytest.raises(EmpError, match=actor_class.__name__):
        await system.create(actor_class)
    await system.stop(5)
