"""What the tests of emp.net share: a sink that remembers, and servers that follow a script."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from emp.config import ConnectionSettings
from emp.devserver import DevServer
from emp.errors import ConnectionFailed, EmpError
from emp.net import XMPPStream, open_stream
from emp.stanza import Stanza

PATIENCE = 20.0
"""Seconds after which a test fails instead of hanging; nothing that works comes near."""


class Sink:
    """Remembers what it gets; `stanza()`, `end()` and `flow()` wait for it."""

    def __init__(self) -> None:
        self.batches: list[list[Stanza]] = []
        self.ends: list[EmpError | None] = []
        self._stanzas: asyncio.Queue[Stanza] = asyncio.Queue()
        self._end: asyncio.Future[EmpError | None] = asyncio.get_running_loop().create_future()
        self._flow: asyncio.Queue[str] = asyncio.Queue()

    def stanzas_received(self, stanzas: list[Stanza]) -> None:
        self.batches.append(stanzas)
        for stanza in stanzas:
            self._stanzas.put_nowait(stanza)

    def stream_lost(self, error: EmpError | None) -> None:
        self.ends.append(error)
        if not self._end.done():
            self._end.set_result(error)

    def write_paused(self) -> None:
        self._flow.put_nowait("paused")

    def write_resumed(self) -> None:
        self._flow.put_nowait("resumed")

    async def stanza(self, kind: str | None = None) -> Stanza:
        """The next stanza, or the next of this kind."""
        async with asyncio.timeout(PATIENCE):
            while True:
                stanza = await self._stanzas.get()
                if kind in (None, stanza.kind):
                    return stanza

    async def end(self) -> EmpError | None:
        async with asyncio.timeout(PATIENCE):
            return await self._end

    async def flow(self) -> str:
        async with asyncio.timeout(PATIENCE):
            return await self._flow.get()


def client(server: DevServer, /, node: str = "romeo", **more: Any) -> ConnectionSettings:
    """Settings for a client of this server; `more` goes over them."""
    values: dict[str, Any] = {
        "name": node,
        "kind": "client",
        "node": node,
        "host": server.domain,
        "password": "secret",
        "server": "127.0.0.1",
        "port": server.port,
        "ca_file": server.ca_file,
        "connect_timeout": PATIENCE,
    }
    return ConnectionSettings(**(values | more))


def component(port: int, host: str = "hack.im.test", **more: Any) -> ConnectionSettings:
    values: dict[str, Any] = {
        "name": "hack",
        "kind": "component",
        "host": host,
        "secret": "component secret",
        "server": "127.0.0.1",
        "port": port,
        "connect_timeout": PATIENCE,
    }
    return ConnectionSettings(**(values | more))


@contextlib.asynccontextmanager
async def dev_server(directory: Path, **more: Any) -> AsyncIterator[DevServer]:
    values: dict[str, Any] = {
        "domain": "im.test",
        "directory": directory,
        "accounts": {"romeo": "secret", "juliet": "secret"},
        "components": {"hack.im.test": "component secret"},
    }
    server = DevServer(**(values | more))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def turns(count: int = 20) -> None:
    """Let the event loop do what it has to do."""
    for _ in range(count):
        await asyncio.sleep(0)


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def scripted(script: Script, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """A server that follows a script with each connection; gives its port."""
    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        writers.append(writer)
        try:
            await script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side went away, as many tests want, or the test is over
        finally:
            writer.close()

    server = await asyncio.start_server(serve, host, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
        for writer in writers:
            # CPython before 3.11.3: a TLS transport that was closed twice cannot be aborted.
            with contextlib.suppress(AttributeError):
                writer.transport.abort()
        await server.wait_closed()
        await turns()


COMPONENT_HEADER = (
    b"<stream:stream xmlns='jabber:component:accept'"
    b" xmlns:stream='http://etherx.jabber.org/streams' from='hack.im.test' id='s1'>"
)
CLIENT_HEADER = (
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
    b" from='im.test' id='s1' version='1.0'>"
)


async def accept_component(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, more: bytes = b""
) -> None:
    """The server's side of XEP-0114 for any secret; `more` leaves in the same write as success."""
    await reader.readuntil(b"<stream:stream")
    await reader.readuntil(b">")
    writer.write(COMPONENT_HEADER)
    await reader.readuntil(b"</handshake>")
    writer.write(b"<handshake/>" + more)


async def failure(settings: ConnectionSettings, sink: Sink | None = None) -> ConnectionFailed:
    """How opening this fails; it must."""
    sink = sink or Sink()
    with pytest.raises(ConnectionFailed) as caught:
        await open_stream(settings, sink)
    assert sink.ends == []
    assert "\n" not in str(caught.value)
    return caught.value


@contextlib.asynccontextmanager
async def opened(
    settings: ConnectionSettings, sink: Sink, **more: Any
) -> AsyncIterator[XMPPStream]:
    stream = await open_stream(settings, sink, **more)
    try:
        yield stream
    finally:
        await stream.close(PATIENCE)
