"""A whole application in one process, connected to a hostile server."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

from actors.boot import STEPS, Boot
from tests.actors.world import SECONDS, World
from tests.attacks.hostile import HostileServer
from tests.attacks.words import DOMAIN, PASSWORD, SECRET

_numbers = itertools.count(1)

CLIENT = f"""
kind = "client"
node = "romeo"
host = "{DOMAIN}"
password = "{PASSWORD}"
resource = "orchard"
"""
COMPONENT = f"""
host = "bot.{DOMAIN}"
secret = "{SECRET}"
"""

ECHO = """
from actors import Component
from emp.routing import Routes

class Echo(Component):
    def echo(self, body):
        return f"you said {body}"

routes = Routes()
routes.message("[body]").to(Echo.echo)
"""


@contextlib.asynccontextmanager
async def application(
    tmp_path: Path, server: HostileServer, source: str, settings: str
) -> AsyncIterator[World]:
    """The application whose one file is `source`; `settings` are lines of its configuration. It
    has begun to connect, whatever comes of it."""
    directory = tmp_path / f"application{next(_numbers)}"
    directory.mkdir()
    module = directory / f"{tmp_path.name}_{directory.name}.py"  # imported once in each process
    module.write_text(source)
    config = f'[connections.main]\nserver = "127.0.0.1"\nport = {server.port}\n{settings}'
    (directory / "emp.toml").write_text(config)
    boot = Boot(module)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level  # booting configures logging
    try:
        async with asyncio.timeout(SECONDS):
            for _, step in STEPS:
                await step(boot)
        yield World(cast(Any, None), boot, [])
    finally:
        async with asyncio.timeout(SECONDS):
            await boot.shut_down(0.5)
        root.handlers[:], root.level = handlers, level
