"""xmpp.js as a client of the development server: a process that tells what happens to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from emp.devserver import DevServer
from tests.emp.net.support import PATIENCE
from tools import npm

SOURCE = Path(__file__).with_name("xmppjs_client")
CACHE = Path(__file__).parents[3] / "build"


def install() -> Path:
    """The folder of the program, with what it needs; from the npm registry the first time."""
    return npm.install(SOURCE, CACHE)


class Peer:
    """The running program, see client.mjs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def event(self, name: str) -> dict[str, Any]:
        """The next event, which must be this one."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = await self._process.stdout.readline()
        event: dict[str, Any] = json.loads(line)
        assert event["event"] == name, event
        return event

    async def say(self, command: str) -> None:
        """A command of client.mjs."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())
        await self._process.stdin.drain()


@contextlib.asynccontextmanager
async def running(
    folder: Path, server: DevServer, username: str, password: str
) -> AsyncIterator[Peer]:
    """The program while it is logged in to the server, whose certificate it trusts."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(folder / "client.mjs"),
        str(server.port),
        server.domain,
        username,
        password,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(server.ca_file)},
    )
    try:
        yield Peer(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
