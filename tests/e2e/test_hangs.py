"""An action that hangs, on real servers with stock limits: it costs what it was given, no more."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from slixmpp.exceptions import IqError

from tests.actors.systems.processes import all_ended
from tests.e2e.application import application
from tests.e2e.test_hack import address, bar, configuration
from tools.servers import Server

HANGING = """
from actors import Component
from emp.routing import Routes

class Bad(Component):
    def spin(self):
        while True:
            pass
    def well(self, body):
        return f"well, {body}"

class Echo(Component):
    def echo(self, body):
        return f"you said {body}"

routes = Routes(namespaces={"e": "urn:example"})
routes.iq_get("e:query").to(Bad.spin)
routes.message("[starts-with(body, 'bad')]").to(Bad.well)
routes.message("[body]").to(Echo.echo)
"""

FLOOD = 300
"""Messages behind it. Stock servers let a user send some ten kilobytes a second."""


@pytest.mark.parametrize("kind", ["client", "component"])
async def test_a_hang_and_what_comes_after_it(
    local_server: Server, kind: str, tmp_path: Path
) -> None:
    config = Path(configuration(local_server, kind, tmp_path))
    resource = 'resource = "hack"\n' if kind == "client" else ""
    config.write_text(config.read_text() + f"{resource}[system]\nhang_limit = 4\n")
    file, to = tmp_path / "hanging.py", address(local_server, kind)
    file.write_text(HANGING)
    arguments = (str(file), "--config", str(config), "--system", "multiproc")
    async with application(*arguments) as hanging, bar(local_server) as user:
        request = user.client.make_iq_get(queryxmlns="urn:example", ito=to)
        answer = asyncio.ensure_future(request.send(timeout=60))
        for number in range(FLOOD):
            user.say(to, f"bad {number}")
        with pytest.raises(IqError) as failed:
            await answer
        assert failed.value.condition == "internal-server-error"
        await hanging.says("component Bad, process")
        user.say(to, "hello")
        while (await user.hear()).body != "you said hello":
            pass
        user.say(to, "bad luck")
        while (await user.hear()).body != "well, bad luck":
            pass
        assert "Bad.spin, with iq of type get from bar@localhost/test" in hanging.text
        actors = await hanging.actors()
        assert (actors["Bad"]["restarts"], actors["hack"]["restarts"]) == (1, 0)

        os.kill(actors["Bad"]["pid"], signal.SIGSTOP)
        assert await hanging.admin("stop", "Bad") == "Bad is stopped\n"
        assert "Bad" not in await hanging.actors()
        assert await hanging.admin("spawn", "hanging:Bad") == "Bad runs\n"
        user.say(to, "bad again")
        assert (await user.hear()).body == "well, bad again"

        pids = [row["pid"] for row in (await hanging.actors()).values()]
        os.kill((await hanging.actors())["Bad"]["pid"], signal.SIGSTOP)
        await hanging.admin("stop")
        assert await hanging.ended() == 1
        assert "stopping: Bad (process" in hanging.text or "component Bad (process" in hanging.text
        assert all_ended(pids)
        assert list(hanging.runtime.iterdir()) == []
