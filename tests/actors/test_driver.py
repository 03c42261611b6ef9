"""Which driver an actor gets, and the embedded one (`systems.test_loop` has the other)."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from thespian.actors import Actor

from actors.driver import EmbeddedDriver, driver_for
from actors.systems.loop import LoopDriver


def actor_of(reference: Any) -> Actor:
    return cast(Actor, SimpleNamespace(_myRef=reference, forks_children=True))


async def test_inside_a_running_loop_there_is_nothing_to_do() -> None:
    called: list[Any] = []
    base = SimpleNamespace(post=called.append, turn=lambda work, argument: work(argument))
    system = SimpleNamespace(_system=SimpleNamespace(_systemBase=base))
    driver = driver_for(actor_of(system))
    assert isinstance(driver, EmbeddedDriver)
    assert driver.embedded
    assert driver.loop is asyncio.get_running_loop()
    assert driver.post == base.post
    driver.run(lambda: called.append("run"))
    driver.turn(called.append, "turn")
    assert called == ["run", "turn"]
    driver.close()


@pytest.mark.parametrize("times", [1, 2])
def test_in_a_process_of_thespians_there_is_a_loop_of_its_own(times: int) -> None:
    driver = driver_for(actor_of(SimpleNamespace(transport=None, actor_send=None)))
    assert isinstance(driver, LoopDriver)
    assert not driver.embedded
    for _ in range(times):
        driver.close()
    assert driver.loop.is_closed()
