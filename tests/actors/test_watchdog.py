"""The watchdog of the embedded system: who holds the loop, and what a limit does."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from actors.watchdog import HUNG, Watchdog
from emp.devserver import DevServer
from emp.stanza import Message
from tests.actors.world import SECONDS, world
from tests.e2e.application import started

HOLDING = """
from actors import Component
from emp.routing import Routes
from tests.actors import test_watchdog

class Holding(Component):
    def hold(self, body):
        test_watchdog.told.wait(20)
        return body

    async def hold_later(self, body):
        test_watchdog.told.wait(20)
        return body

routes = Routes()
routes.message(body="now").to(Holding.hold)
routes.message(body="later").to(Holding.hold_later)
"""

told = threading.Event()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged; `told` is set when that is who holds the loop."""
    found: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())
            if "has been held" in found[-1]:
                told.set()

    told.clear()
    keeper, logger = Keeper(), logging.getLogger("emp.actors")
    logger.addHandler(keeper)
    yield found
    logger.removeHandler(keeper)


@pytest.mark.parametrize(
    ("body", "action", "line"), [("now", "hold", 8), ("later", "hold_later", 12)]
)
async def test_it_says_which_action_holds_the_loop_and_when_it_goes_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: list[str],
    body: str,
    action: str,
    line: int,
) -> None:
    monkeypatch.setattr("actors.boot.Watchdog", partial(Watchdog, held=0.5, look=0.05))
    async with world(tmp_path, HOLDING) as here, here.user() as bar:
        await bar.ask(Message(here.service, body, type="chat"))
        async with asyncio.timeout(SECONDS):
            while not any("goes on" in each for each in lines):
                await asyncio.sleep(0)
    (held,) = [each for each in lines if "has been held" in each and action in each]
    assert f"by Holding, action Holding.{action}, with message of type chat from bar@" in held
    assert f".py:{line}\n" in held  # where
    assert f", line {line}, in {action}\n" in held  # and the stack


FROZEN = """
from actors import Component
from emp.routing import Routes

class Frozen(Component):
    def on_connected(self, event):
        while True:
            pass
    def echo(self, body):
        return body

routes = Routes()
routes.message("[body]").to(Frozen.echo)
"""


async def test_a_limit_ends_the_process(tmp_path: Path) -> None:
    server = DevServer("localhost", directory=tmp_path / "server", components={"c.localhost": "s"})
    await server.start()
    (tmp_path / "frozen.py").write_text(FROZEN)
    (tmp_path / "emp.toml").write_text(
        f'[connections.main]\nhost = "c.localhost"\nsecret = "s"\nserver = "127.0.0.1"\n'
        f"port = {server.component_port}\n[system]\nhang_limit = 1\n"
    )
    async with started(str(tmp_path / "frozen.py")) as frozen:
        assert await frozen.ended() == HUNG == 1
        assert "held for 1 s, and with it everything else, by Frozen, on_connected()" in frozen.text
        assert "hang_limit" in frozen.text
        assert list(frozen.runtime.iterdir()) == []
    await server.stop()
