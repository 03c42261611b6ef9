"""Users of other libraries talk to an application through a real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.application import application
from tests.e2e.person import STEP_SECONDS
from tests.e2e.test_hack import address, bar, configuration
from tools import npm
from tools.servers import Server

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / "build" / "tests"

LINES = ("hello", 'grüß Gott & <wie> "geht\'s"?', "…" * 1000)


class XmppJs:
    """A user of xmpp.js who is online. Made by `xmppjs`."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def say(self, to: str, body: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"to": to, "body": body}).encode() + b"\n")

    async def hear(self) -> dict[str, Any]:
        """The next thing that the program tells."""
        assert self._process.stdout is not None
        async with asyncio.timeout(STEP_SECONDS):
            line = await self._process.stdout.readline()
        told: dict[str, Any] = json.loads(line or b'{"error": "the program has ended"}')
        assert "error" not in told, told
        return told


@contextlib.asynccontextmanager
async def xmppjs(server: Server, name: str) -> AsyncIterator[XmppJs]:
    folder = await asyncio.to_thread(npm.install, HERE / "xmppjs", CACHE)
    process = await asyncio.create_subprocess_exec(
        *("node", str(folder / "user.cjs"), f"xmpp://{server.host}:{server.client_port}"),
        *(server.domain, name, server.account(name)),
        stdin=PIPE,
        stdout=PIPE,
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(server.ca_file)},
    )
    user = XmppJs(process)
    try:
        assert await user.hear() == {"online": f"{name}@{server.domain}/xmppjs"}
        yield user
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), STEP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


@pytest.mark.timeout(600)  # npm, the first time
@pytest.mark.parametrize("kind", ["client", "component"])
async def test_xmppjs(local_server: Server, kind: str, tmp_path: Path) -> None:
    config = configuration(local_server, kind, tmp_path)
    to = address(local_server, kind)
    async with (
        application("apps/hack", "--config", config) as hack,
        xmppjs(local_server, "bar") as user,
    ):
        for line in LINES:
            user.say(to, line)
            assert await user.hear() == {"from": to, "type": "chat", "body": "Hackity Hack!"}
        assert await hack.stop() == 0


@pytest.mark.parametrize("kind", ["client", "component"])
async def test_slixmpp(local_server: Server, kind: str, tmp_path: Path) -> None:
    config = configuration(local_server, kind, tmp_path)
    to = address(local_server, kind)
    async with (
        application("apps/hack", "--config", config) as hack,
        bar(local_server) as user,
    ):
        for line in LINES:
            user.say(to, line)
            heard = await user.hear()
            assert (heard.sender, heard.body, heard.type) == (to, "Hackity Hack!", "chat")
        assert await hack.stop() == 0
