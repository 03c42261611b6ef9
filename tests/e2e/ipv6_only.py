"""Run in namespaces of its own (`test_networks`): an application on a machine that knows IPv6 only,
and no name."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from emp.devserver import DevServer
from tests.e2e.application import application, command

APP = """
from actors import Component
from emp.routing import Routes

class Echo(Component):
    def echo(self, body):
        return f"you said {body}"

routes = Routes()
routes.message("[body]").to(Echo.echo)
"""


async def main(directory: Path, system: str) -> None:
    server = DevServer(directory=directory / "server", accounts={"foo": "foo", "bar": "bar"})
    await server.start()
    assert server.host == "::1"
    (directory / "echo.py").write_text(APP)
    (directory / "emp.toml").write_text(
        '[connections.main]\nkind = "client"\nnode = "foo"\nhost = "localhost"\npassword = "foo"\n'
        f'server = "localhost"\nport = {server.port}\nca_file = "{server.ca_file}"\n'
    )
    async with application(str(directory / "echo.py"), "--system", system) as running:
        said = await command(
            *("emp", "say", "foo@localhost", "hello", "--port", str(server.port)),
            *("--directory", str(directory / "server")),
            runtime=running.runtime,
        )
        assert said[0] == 0, said
        assert said[1].endswith(": you said hello\n")
        assert await running.stop() == 0
        assert "Traceback" not in running.text
        assert "WARNING" not in running.text
    await server.stop()


if __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "-4", "addr", "flush", "dev", "lo"], check=True)
    for file in ("/etc/hosts", "/etc/resolv.conf"):
        subprocess.run(["mount", "--bind", "/dev/null", file], check=True)
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
