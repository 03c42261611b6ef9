"""What the attacks share: victims, and how an attack on `open_stream` ends."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from emp.config import ConnectionSettings
from emp.errors import ConnectionFailed
from emp.net import XMPPStream, open_stream
from tests.attacks.certificates import Authority
from tests.attacks.hostile import HostileServer, Script
from tests.attacks.words import DOMAIN, PASSWORD, SECRET
from tests.emp.net.support import PATIENCE, Sink


def client(server: HostileServer, ca_file: Path | None, **more: Any) -> ConnectionSettings:
    """Settings of romeo@im.test, who believes that this is his server; `more` goes over them."""
    values: dict[str, Any] = {
        "name": "victim",
        "kind": "client",
        "node": "romeo",
        "host": DOMAIN,
        "password": PASSWORD,
        "resource": "orchard",
        "server": "127.0.0.1",
        "port": server.port,
        "ca_file": ca_file,
        "connect_timeout": PATIENCE,
    }
    return ConnectionSettings(**(values | more))


def component(server: HostileServer, **more: Any) -> ConnectionSettings:
    """Settings of the component bot.im.test."""
    values: dict[str, Any] = {
        "name": "victim",
        "kind": "component",
        "host": f"bot.{DOMAIN}",
        "secret": SECRET,
        "server": "127.0.0.1",
        "port": server.port,
        "connect_timeout": PATIENCE,
    }
    return ConnectionSettings(**(values | more))


class Attacks:
    """Plays attacks; a fixture. `authority` is trusted by the victims."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory)
        self.context = self.authority.context(DOMAIN)

    def server(self, script: Script, **more: Any) -> HostileServer:
        return HostileServer(script, more.pop("context", self.context), **more)

    def client(self, server: HostileServer, **more: Any) -> ConnectionSettings:
        return client(server, more.pop("ca_file", self.authority.ca_file), **more)

    async def refused(self, server: HostileServer, **more: Any) -> ConnectionFailed:
        """How opening a client's stream fails; it must."""
        return await refused(server, self.client(server, **more))

    @contextlib.asynccontextmanager
    async def session(
        self, script: Script, **more: Any
    ) -> AsyncIterator[tuple[HostileServer, Sink, XMPPStream]]:
        """A client's stream that is open, whatever comes then."""
        async with self.server(script) as server:
            sink = Sink()
            stream = await open_stream(self.client(server, **more), sink)
            try:
                yield server, sink, stream
            finally:
                stream.abort()


async def refused(server: HostileServer, settings: ConnectionSettings) -> ConnectionFailed:
    """How opening this fails, once the server has heard the last of it."""
    sink = Sink()
    with pytest.raises(ConnectionFailed) as caught:
        await open_stream(settings, sink)
    assert (sink.batches, sink.ends) == ([], [])
    assert PASSWORD not in str(caught.value)
    await server.over()
    return caught.value


def resident() -> int:
    """Bytes of memory that this process holds now, those of libxml2 included."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


class Memory:
    """The most that this process has held in an attack, beyond what it held before."""

    def __init__(self) -> None:
        self._before = self._most = resident()

    def look(self) -> None:
        self._most = max(self._most, resident())

    @property
    def grown(self) -> int:
        self.look()
        return self._most - self._before
