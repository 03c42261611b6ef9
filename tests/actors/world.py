"""A small world in one process: the development server, an application, and users."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from thespian.actors import ActorAddress

from actors.boot import Boot, Report, boot_up
from actors.messages import Event
from emp.config import ConnectionSettings
from emp.devserver import DevServer
from emp.errors import EmpError
from emp.net import XMPPStream, open_stream
from emp.stanza import Stanza

SECONDS = 20.0
"""For anything to happen: far more than it takes."""

_numbers = itertools.count(1)


class User:
    """A client of the development server, made with EMP's own stream."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Stanza] = asyncio.Queue()
        self.stream: XMPPStream

    def say(self, *stanzas: Stanza) -> None:
        self.stream.send(stanzas)

    async def hear(self) -> Stanza:
        """The next stanza."""
        async with asyncio.timeout(SECONDS):
            return await self.heard.get()

    async def ask(self, stanza: Stanza) -> Stanza:
        """Send `stanza` and return the next that comes."""
        self.say(stanza)
        return await self.hear()

    def stanzas_received(self, stanzas: list[Stanza]) -> None:
        for stanza in stanzas:
            if stanza.kind != "presence":
                self.heard.put_nowait(stanza)

    def stream_lost(self, error: EmpError | None) -> None:
        pass

    def write_paused(self) -> None:
        pass

    def write_resumed(self) -> None:
        pass


class World:
    def __init__(self, server: DevServer, boot: Boot, reports: list[Report]) -> None:
        self.server, self.boot, self.reports = server, boot, reports
        self._events: deque[Event] = deque()

    @property
    def service(self) -> str:
        return "foo@localhost/main"

    def actor(self, name: str) -> Any:
        """The actor object itself, to look at; only the embedded system lets tests do that."""
        system: Any = self.boot.system
        for ref in system._base.actorRegistry.values():
            instance = getattr(ref, "instance", None)
            if instance is not None and getattr(instance, "name", None) == name:
                return instance
        raise LookupError(name)

    def address(self, name: str) -> ActorAddress:
        address: ActorAddress = self.actor(name).myAddress
        return address

    async def ask(self, message: object) -> Any:
        """Ask the supervisor."""
        return await self.boot.ask(message, SECONDS)

    async def until(self, kind: str, name: str) -> None:
        """Wait for the supervisor's event, after those that were waited for before."""
        async with asyncio.timeout(SECONDS):
            while True:
                while self._events:
                    event = self._events.popleft()
                    if (event.kind, event.name) == (kind, name):
                        return
                self._events.extend(await self.boot.new_events())

    @contextlib.asynccontextmanager
    async def user(self, name: str = "bar") -> AsyncIterator[User]:
        user = User()
        user.stream = await open_stream(
            ConnectionSettings(
                name=name,
                kind="client",
                node=name,
                host="localhost",
                password=name,
                resource="test",
                server="127.0.0.1",
                port=self.server.port,
                ca_file=self.server.ca_file,
            ),
            user,
        )
        try:
            yield user
        finally:
            await user.stream.close(SECONDS)


@contextlib.asynccontextmanager
async def world(
    tmp_path: Path, source: str, kind: str = "client", extra: str = "", **server_options: Any
) -> AsyncIterator[World]:
    """An application with `source` as its one file, connected; its component domain is
    main.localhost, its account foo@localhost/main. `extra` is more about its connection."""
    server = DevServer(
        "localhost",
        directory=tmp_path / "server",
        accounts={name: name for name in ("foo", "bar", "baz")},
        components={"main.localhost": "secret"},
        **server_options,
    )
    await server.start()
    module = tmp_path / f"app{next(_numbers)}.py"  # modules are imported once in each process
    module.write_text(source)
    account = (
        f'kind = "client"\nnode = "foo"\nhost = "localhost"\npassword = "foo"\n'
        f'resource = "main"\nca_file = "{server.ca_file}"\n'
    )
    here = 'server = "127.0.0.1"\nport = '
    specific = {
        "client": f"{account}{here}{server.port}",
        "component": f'host = "main.localhost"\nsecret = "secret"\n{here}{server.component_port}',
        "websocket": f'{account}websocket = "{server.websocket}"',
    }
    config = f"[connections.main]\n{specific[kind]}\n{extra}\n"
    (tmp_path / "emp.toml").write_text(config + '[log]\nlevel = "warning"\n')
    boot = Boot(module)
    reports: list[Report] = []
    try:
        async with asyncio.timeout(SECONDS):
            await boot_up(boot, reports.append)
        yield World(server, boot, reports)
    finally:
        async with asyncio.timeout(SECONDS):
            await boot.shut_down()
        await server.stop()
