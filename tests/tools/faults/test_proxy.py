"""The proxy fails as it is told, and in no other way."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from tools.faults import Fault, Plan, Proxy

PATIENCE = 20.0
DATA = bytes(range(256)) * 40


@dataclass
class Peer:
    """One end of a connection: what each of its reads gave, and how it ended."""

    writer: asyncio.StreamWriter | None = None
    reads: list[bytes] = field(default_factory=list)
    end: str = ""
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def data(self) -> bytes:
        return b"".join(self.reads)

    async def listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while data := await reader.read(65536):
                self.reads.append(data)
            self.end = "fin"
        except ConnectionResetError:
            self.end = "rst"
        self.over.set()

    def send(self, data: bytes) -> None:
        assert self.writer is not None
        self.writer.write(data)

    def reset(self) -> None:
        assert self.writer is not None
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


@contextlib.asynccontextmanager
async def through(proxy_plan: Plan | list[Fault]) -> AsyncIterator[tuple[Proxy, Peer, Peer]]:
    """A proxy with one connection: the client's end and the server's."""
    client, server = Peer(), Peer()
    accepted = asyncio.Event()
    writers: list[asyncio.StreamWriter] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        server.writer = server.writer or writer
        accepted.set()
        await server.listen(reader)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with asyncio.timeout(PATIENCE), Proxy("127.0.0.1", port, plan=proxy_plan) as proxy:
        reader, client.writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        listening = asyncio.create_task(client.listen(reader))
        await accepted.wait()
        try:
            yield proxy, client, server
        finally:
            for writer in (client.writer, *writers):
                writer.transport.abort()
            listener.close()
            await listening
            await server.over.wait()


async def test_everything_passes() -> None:
    async with through([]) as (proxy, client, server):
        client.send(DATA)
        server.send(DATA[:100])
        await proxy.until(lambda: (proxy.up.bytes, proxy.down.bytes) == (len(DATA), 100))
        assert proxy.links == proxy.connections == 1
        client.writer.write_eof()  # type: ignore[union-attr]
        await server.over.wait()
        assert (server.data, server.end) == (DATA, "fin")
        server.send(b"still")
        server.writer.write_eof()  # type: ignore[union-attr]
        await client.over.wait()
        assert (client.data, client.end) == (DATA[:100] + b"still", "fin")


@pytest.mark.parametrize(("reset", "end"), [(False, "fin"), (True, "rst")])
async def test_cut(reset: bool, end: str) -> None:
    async with through([]) as (proxy, client, server):
        client.send(b"hello")
        await proxy.until(lambda: proxy.up.bytes == 5)
        assert proxy.cut(reset=reset) == 1
        await client.over.wait()
        await server.over.wait()
        assert (client.end, server.end) == (end, end)
        assert proxy.links == 0
        assert proxy.cut(reset=reset) == 0


async def test_the_server_resets() -> None:
    async with through([]) as (proxy, client, server):
        server.reset()
        await client.over.wait()
        assert client.end == "rst"
        await proxy.until(lambda: proxy.links == 0)


async def test_stall_is_for_one_direction() -> None:
    async with through([]) as (proxy, client, server):
        proxy.up.stall()
        assert (proxy.up.stalled, proxy.down.stalled) == (True, False)
        client.send(b"held")
        server.send(b"free")
        await proxy.until(lambda: proxy.down.bytes == 4)
        assert proxy.up.bytes == 0
        proxy.up.resume()
        await proxy.until(lambda: proxy.up.bytes == 4)
        proxy.stall()
        assert proxy.up.stalled
        assert proxy.down.stalled
        proxy.resume()
        assert not proxy.up.stalled


@pytest.mark.parametrize("size", [1, 3])
async def test_split(size: int) -> None:
    async with through([]) as (proxy, client, server):
        proxy.up.size = size
        client.send(DATA[:300])
        await proxy.until(lambda: proxy.up.bytes == 300)
        client.writer.write_eof()  # type: ignore[union-attr]
        await server.over.wait()
        assert server.data == DATA[:300]
        assert len(server.reads) > 100 / size  # the kernel may join some of them


async def test_delay_keeps_the_order() -> None:
    async with through([]) as (proxy, client, server):
        proxy.up.delay, proxy.up.size = 0.001, 10
        client.send(DATA[:100])
        await proxy.until(lambda: proxy.up.bytes == 100)
        client.writer.write_eof()  # type: ignore[union-attr]
        await server.over.wait()
        assert server.data == DATA[:100]


async def test_flips_given_bytes() -> None:
    async with through([]) as (proxy, client, server):
        proxy.up.flips = {0: 0x01, 7: 0x80}
        proxy.up.size = 5
        client.send(bytes(12))
        server.send(bytes(12))
        await proxy.until(lambda: (proxy.up.bytes, proxy.down.bytes) == (12, 12))
        client.writer.write_eof()  # type: ignore[union-attr]
        await server.over.wait()
        assert server.data == b"\x01" + bytes(6) + b"\x80" + bytes(4)
        proxy.cut()
        await client.over.wait()
        assert client.data == bytes(12)


async def test_the_door_is_shut_and_opened_again() -> None:
    async with through([]) as (proxy, _, _):
        await proxy.shut()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        assert proxy.links == 1
        await proxy.open()
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        await proxy.until(lambda: proxy.links == 2)
        writer.close()
        await writer.wait_closed()


async def test_nobody_behind_it() -> None:
    async with through([]) as (proxy, _, _):
        proxy.to_port = 1
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        with contextlib.suppress(ConnectionResetError):
            await writer.wait_closed()


@pytest.mark.parametrize("kind", ["fin", "rst"])
async def test_a_planned_cut_is_exact(kind: str) -> None:
    fault = Fault(kind, "up", 1234)  # type: ignore[arg-type]
    async with through([fault]) as (proxy, client, server):
        client.send(DATA)
        await server.over.wait()
        assert server.end == kind
        assert proxy.up.bytes == 1234
        assert proxy.done == [fault]
        if kind == "fin":
            assert server.data == DATA[:1234]


async def test_a_plan_goes_on_from_fault_to_fault() -> None:
    faults = [
        Fault("flip", "up", 10, size=0xFF),
        Fault("split", "up", 5, size=1, count=50),
        Fault("stall", "down", 3, seconds=0.01),
        Fault("delay", "up", 0, seconds=0.001, count=20),
        Fault("flip", "up", 100, size=1),
    ]
    async with through(faults) as (proxy, client, server):
        client.send(bytes(200))
        await proxy.until(lambda: proxy.up.bytes == 200)
        assert proxy.done == faults[:2]
        server.send(bytes(10))
        await proxy.until(lambda: proxy.down.bytes == 10)
        assert proxy.done == faults[:4]
        client.send(bytes(200))
        await proxy.until(lambda: proxy.up.bytes == 400)
        client.writer.write_eof()  # type: ignore[union-attr]
        await server.over.wait()
        assert proxy.done == faults
        assert [at for at, byte in enumerate(server.data) if byte] == [10, 300]
        assert (server.data[10], server.data[300]) == (0xFF, 1)


async def test_a_plan_that_comes_later() -> None:
    async with through([]) as (proxy, client, server):
        client.send(bytes(100))
        await proxy.until(lambda: proxy.up.bytes == 100)
        proxy.plan(Fault("flip", "up", 10, size=1), Fault("fin", "up", 20))
        client.send(bytes(100))
        await server.over.wait()
        assert proxy.up.bytes == 130
        assert [at for at, byte in enumerate(server.data) if byte] == [110]
