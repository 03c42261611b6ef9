"""Log handlers that an application installs when it is imported: in both systems, and once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from emp.devserver import DevServer
from tests.e2e.application import Application, started

SPEAKING = """
import asyncio
import logging
from pathlib import Path

from actors import Component
from emp.routing import Routes

{setup}
log = logging.getLogger("mine")

class Speaking(Component):
    def on_connected(self, event):
        log.info("the component speaks")
        self.task = self.spawn(self.collapse)
        asyncio.create_task(self.vanish())
    async def vanish(self):
        raise ValueError("nobody looks")
    async def collapse(self):
        raise ValueError("a task fails")
    def echo(self, body):
        return body

routes = Routes()
routes.message("[body]").to(Speaking.echo)
"""

BASIC = 'logging.basicConfig(format="BASIC %(name)s %(message)s", level="DEBUG")'
FILE = """
handler = logging.FileHandler(Path(__file__).with_name("all.log"))
handler.setFormatter(logging.Formatter("FILE %(name)s %(message)s"))
logging.getLogger().addHandler(handler)
own = logging.FileHandler(Path(__file__).with_name("own.log"))
logging.getLogger("mine").addHandler(own)
"""
DISABLING = (
    "import logging.config\n"
    'logging.config.dictConfig({"version": 1, "root": {"level": "INFO", "handlers": ["one"]},'
    ' "formatters": {"one": {"format": "DICT %(name)s %(message)s"}},'
    ' "handlers": {"one": {"class": "logging.StreamHandler", "formatter": "one"}}})'
)


@asynccontextmanager
async def speaking(tmp_path: Path, system: str, setup: str) -> AsyncIterator[Application]:
    server = DevServer("localhost", directory=tmp_path / "server", components={"c.localhost": "s"})
    await server.start()
    (tmp_path / "speaking.py").write_text(SPEAKING.format(setup=setup))
    (tmp_path / "emp.toml").write_text(
        f'[connections.main]\nhost = "c.localhost"\nsecret = "s"\nserver = "127.0.0.1"\n'
        f"port = {server.component_port}\n"
    )
    try:
        async with started(str(tmp_path / "speaking.py"), "--system", system) as application:
            await application.says("is up")
            await application.says("a task fails")
            await application.says("ValueError: nobody looks")
            await server.stop()
            await application.says("trying again")
            yield application
    finally:
        await server.stop()


@pytest.mark.parametrize("system", ["embedded", "multiproc"])
@pytest.mark.parametrize(("setup", "mark"), [(BASIC, "BASIC"), (DISABLING, "DICT"), ("", "INFO")])
async def test_a_handler_for_the_terminal_takes_the_place_of_ours(
    tmp_path: Path, system: str, setup: str, mark: str
) -> None:
    async with speaking(tmp_path, system, setup) as application:
        if setup:
            await application.says(f"{mark} emp.connections main: waiting: ")
        assert await application.stop() == 0
        spoken = [line for line in application.output if "the component speaks" in line]
        assert len(spoken) == 1
        assert mark in spoken[0]
        failed = [line for line in application.output if "Speaking.collapse failed" in line]
        assert len(failed) == 1
        assert mark in failed[0] or mark == "INFO"


@pytest.mark.parametrize("system", ["embedded", "multiproc"])
async def test_handlers_that_write_elsewhere_stand_beside_ours(tmp_path: Path, system: str) -> None:
    async with speaking(tmp_path, system, FILE) as application:
        assert await application.stop() == 0
        spoken = [line for line in application.output if "the component speaks" in line]
        assert len(spoken) == 1
        assert "INFO    mine: " in spoken[0]
    written = (tmp_path / "all.log").read_text()
    assert written.count("FILE mine the component speaks\n") == 1
    assert written.count("FILE emp.actors Speaking: Speaking.collapse failed\n") == 1
    assert "FILE emp.connections main: connected: c.localhost\n" in written
    assert "FILE emp.connections main: waiting: " in written
    assert (tmp_path / "own.log").read_text() == "the component speaks\n"
