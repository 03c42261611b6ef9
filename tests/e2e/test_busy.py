"""An operator who asks an application that has no time."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.application import application, command
from tests.e2e.stub import Stub

STUCK = """
import threading
from actors import Component
from emp.routing import Routes

class Stuck(Component):
    def act(self):
        threading.Event().wait()

routes = Routes()
routes.message().to(Stuck.act)
"""


async def test_who_blocks_the_loop_is_told(tmp_path: Path) -> None:
    (tmp_path / "stuck.py").write_text(STUCK)
    async with Stub() as stub:
        (tmp_path / "emp.toml").write_text(stub.config())
        async with application(str(tmp_path / "stuck.py")) as running:
            await stub.say("a@users.test/x", ["hello"])
            text = ""
            while "is busy" not in text:  # it may not have come in yet
                code, text = await command("actors.commands.admin", "ps", runtime=running.runtime)
            assert code == 1
            assert f"stuck-{running.process.pid} is busy" in text
            assert "blocking = True" in text
            running.process.kill()
