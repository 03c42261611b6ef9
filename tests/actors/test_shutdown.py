"""The end of an application, however often and whenever it is asked for."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from actors.boot import STEPS, Boot, boot_up
from actors.systems.multiproc import MultiprocSystem

APP = """
from actors import Component
from emp.routing import Routes

class Hackity(Component):
    def hack(self):
        return "Hackity Hack!"

routes = Routes()
routes.message("[body]").to(Hackity.hack)
"""
QUICK = 6.0
"""Seconds, of which none of these ends needs one; asking somebody who is gone takes 16."""


@pytest.fixture(params=["embedded", "multiproc"])
def boot(tmp_path: Path, request: pytest.FixtureRequest) -> Boot:
    module = tmp_path / f"ending_{tmp_path.name}.py"
    module.write_text(APP)
    (tmp_path / "emp.toml").write_text(
        '[connections.main]\nhost = "hack.localhost"\nsecret = "x"\n'
        'server = "127.0.0.1"\nport = 9\n'
    )
    return Boot(module, system_name=request.param)


async def begun(boot: Boot) -> Boot:
    for _, step in STEPS:
        await step(boot)
    return boot


async def gone(boot: Boot) -> None:
    assert boot.system is None
    assert boot.run is None or not boot.run.directory.exists()


async def test_twice_and_at_the_same_time(boot: Boot) -> None:
    await begun(boot)
    first, second = await asyncio.gather(boot.shut_down(0.1), boot.shut_down(0.1))
    assert first == second == []
    async with asyncio.timeout(QUICK):
        assert await boot.shut_down() == []
    await gone(boot)


async def test_before_anything_has_started(boot: Boot) -> None:
    assert await boot.shut_down() == []
    await boot_up(boot, lambda report: None)
    await gone(boot)


@pytest.mark.parametrize("steps", range(1, len(STEPS)))
async def test_between_two_steps(boot: Boot, steps: int) -> None:
    for _, step in STEPS[:steps]:
        await step(boot)
    async with asyncio.timeout(QUICK):
        assert await boot.shut_down() == []
    await gone(boot)


async def test_after_the_system_has_died(boot: Boot) -> None:
    await begun(boot)
    if isinstance(boot.system, MultiprocSystem):
        os.kill(boot.system._admin.pid, signal.SIGKILL)
        await boot.system.ended()
        async with asyncio.timeout(QUICK):
            assert await boot.shut_down(0.1) == ["the supervisor did not answer"]
    else:
        assert boot.system is not None
        await boot.system.stop(1.0)
        async with asyncio.timeout(QUICK):
            await boot.shut_down(0.1)
    await gone(boot)
