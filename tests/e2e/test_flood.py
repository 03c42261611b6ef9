"""A flood into a component that sleeps: the socket is paused, and memory stays where it is."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.e2e.application import Application, application

SLEEPER = """
import asyncio
from actors import Component
from emp.routing import Routes

class Sleeper(Component):
    async def sleep(self):
        await asyncio.Event().wait()

routes = Routes()
routes.message("[body]").to(Sleeper.sleep)
"""

FLOOD_MEGABYTES = 256
"""What the server would send: far more than the application may take."""

TAKEN_MEGABYTES = 32
"""What it may take: 2,048 stanzas, one read, and what the kernel holds of a loopback socket."""

GROWTH_MEGABYTES = 96
"""What all processes together may grow by: the stanzas in hand as trees, and allocators' slack."""


class Flooder:
    """An XEP-0114 server that accepts anybody and sends messages as fast as they are taken."""

    def __init__(self) -> None:
        self.sent = 0
        self.port = 0
        self.flooding = asyncio.Event()
        self._server: asyncio.Server

    async def __aenter__(self) -> Flooder:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"<stream:stream")
            await reader.readuntil(b">")
            writer.write(
                b"<stream:stream xmlns='jabber:component:accept' from='flood.test' id='1'"
                b" xmlns:stream='http://etherx.jabber.org/streams'>"
            )
            await reader.readuntil(b"</handshake>")
            writer.write(b"<handshake/>")
            await self.flooding.wait()
            body = b"x" * 1000
            while self.sent < FLOOD_MEGABYTES * 2**20:
                number = b"%d" % self.sent
                message = (
                    b"<message from='u" + number + b"@flood.test' to='a@flood.test' type='chat'>"
                    b"<body>" + body + b"</body></message>"
                )
                writer.write(message)
                await writer.drain()
                self.sent += len(message)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the application is gone
        finally:
            writer.close()


async def memory(running: Application) -> float:
    """Megabytes that all the application's processes hold, without what they share."""
    pids = {row["pid"] for row in (await running.actors()).values()}
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    lines = [line for text in rollups for line in text.splitlines() if line.startswith("Pss:")]
    return sum(int(line.split()[1]) for line in lines) / 1024


@pytest.mark.parametrize("system", ["embedded", "multiproc"])
async def test_memory_stays_flat(system: str, tmp_path: Path) -> None:
    async with Flooder() as flooder:
        (tmp_path / "sleeper.py").write_text(SLEEPER)
        (tmp_path / "emp.toml").write_text(
            '[connections.flood]\nhost = "flood.test"\nsecret = "s"\nserver = "127.0.0.1"\n'
            f"port = {flooder.port}\n"
        )
        path = str(tmp_path / "sleeper.py")
        async with application(path, "--system", system) as running:
            before = await memory(running)
            flooder.flooding.set()
            async with asyncio.timeout(60):
                while True:
                    facts = json.loads(await running.admin("inspect", "flood", "--json"))
                    if facts["reading_paused"]:
                        break
            taken, grown = flooder.sent / 2**20, await memory(running) - before
            assert facts["not_handled"] >= 2048
            assert taken < TAKEN_MEGABYTES
            assert grown < GROWTH_MEGABYTES
            assert await running.stop() == 0
