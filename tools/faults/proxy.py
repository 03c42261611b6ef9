"""A TCP proxy that does to connections what bad networks do.

It cuts (FIN or RST), stalls, splits, delays and corrupts, each direction by itself; it never
reorders. What goes wrong is said by methods, by the attributes of `up` and `down`, or by a `Plan`.
Runs on the asyncio loop that starts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable
from typing import Self

from tools.faults.plan import DIRECTIONS, Direction, Fault

READ_BYTES = 64 * 1024
"""The most that is held per direction of a connection; the rest waits in the kernel."""

_ABORT_TURNS = 5  # of the event loop, until transports that were aborted have closed their sockets

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds: close() sends RST


class Lane:
    """One direction of all connections.

    bytes: how many have passed. size: the most that pass in one piece, None for any. delay: seconds
    that each piece waits. flips: offset in the bytes of a connection → what that byte is XORed
    with, for every connection. stall() and resume() hold and release.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self.size: int | None = None
        self.delay = 0.0
        self.flips: dict[int, int] = {}
        self.lesion: Fault | None = None  # a split or delay of the plan, while it lasts
        self.lesion_left = 0
        self.flip_next = 0
        self._flows = asyncio.Event()
        self._flows.set()

    @property
    def stalled(self) -> bool:
        return not self._flows.is_set()

    def stall(self) -> None:
        """Nothing passes from now on."""
        self._flows.clear()

    def resume(self) -> None:
        """Everything passes again."""
        self._flows.set()

    async def flows(self) -> None:
        await self._flows.wait()

    def piece(self) -> tuple[int, float]:
        """The size of the next piece at most, and the seconds that it waits."""
        size, delay = self.size or READ_BYTES, self.delay
        if self.lesion is not None:
            if self.lesion.kind == "split":
                size = min(size, self.lesion.size)
            delay = max(delay, self.lesion.seconds)
            size = min(size, self.lesion_left)
        return (1 if self.flip_next else size), delay

    def corrupt(self, piece: bytes, offset: int) -> bytes:
        """The piece that begins `offset` bytes into its connection, as it arrives."""
        masks = {at - offset: mask for at, mask in self.flips.items()}
        if self.flip_next and piece:
            masks[0], self.flip_next = self.flip_next, 0
        changed = bytearray(piece)
        for at, mask in masks.items():
            if 0 <= at < len(changed):
                changed[at] ^= mask
        return bytes(changed)

    def passed(self, count: int) -> None:
        self.bytes += count
        if self.lesion is not None:
            self.lesion_left -= count
            if self.lesion_left <= 0:
                self.lesion = None


class _Link:
    """One connection: the two sockets and the tasks between them."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.writers = (near, far)
        self.cut = False

    def end(self, *, reset: bool) -> None:
        self.cut = True
        for writer in self.writers:
            if writer.transport.is_closing():
                continue
            if reset:
                sock: socket.socket = writer.get_extra_info("socket")
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                writer.transport.abort()
            else:
                # Not close(): with unread bytes in the kernel that would send RST.
                with contextlib.suppress(OSError):
                    writer.write_eof()


class Proxy:
    """Listens on `port` of 127.0.0.1 and passes on to (`host`, `to_port`), until stop().

    `async with Proxy(host, port) as proxy:` starts and stops it. `plan` is what goes wrong by
    itself; `done` are the faults of it that have happened, `connections` counts those accepted.
    """

    def __init__(
        self, host: str, to_port: int, *, plan: Iterable[Fault] = (), listen_port: int = 0
    ) -> None:
        self.host, self.to_port = host, to_port
        self.port = listen_port
        self.up, self.down = Lane(), Lane()
        self.done: list[Fault] = []
        self.connections = 0
        self._due = deque(plan)
        self._since = dict.fromkeys(DIRECTIONS, 0)
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._news: asyncio.Condition = asyncio.Condition()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def links(self) -> int:
        """Connections that are open."""
        return sum(not link.cut for link in self._links)

    def lane(self, direction: Direction) -> Lane:
        return self.up if direction == "up" else self.down

    # -- methods of the test ----------------------------------------------------------------------

    async def open(self) -> None:
        """Accept connections; always on the same port."""
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self.port, limit=READ_BYTES
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Refuse new connections (ECONNREFUSED); those that are open stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def stop(self) -> None:
        """Shut, and end everything."""
        await self.shut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _ in range(_ABORT_TURNS):
            await asyncio.sleep(0)

    def cut(self, *, reset: bool = False) -> int:
        """End all connections: with RST, or with FIN after what was passed on. Returns how many.

        After a FIN whatever the two ends still send is thrown away.
        """
        open_links = [link for link in self._links if not link.cut]
        for link in open_links:
            link.end(reset=reset)
        return len(open_links)

    def plan(self, *faults: Fault) -> None:
        """These happen too, after those of the plan; their bytes count from the last one of it."""
        if not self._due:
            self._since = dict.fromkeys(DIRECTIONS, 0)
        self._due.extend(faults)

    def stall(self) -> None:
        """Both directions stop, until resume()."""
        self.up.stall()
        self.down.stall()

    def resume(self) -> None:
        self.up.resume()
        self.down.resume()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for something about this proxy, such as `lambda: proxy.down.bytes > 1000`."""
        async with self._news:
            await self._news.wait_for(true)

    # -- the way of the bytes ---------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        link: _Link | None = None
        try:
            far_reader, far = await asyncio.open_connection(
                self.host, self.to_port, limit=READ_BYTES
            )
            link = _Link(writer, far)
            self._links.add(link)
            for each in link.writers:
                each.transport.set_write_buffer_limits(0)  # drain(): it is in the kernel
                sock: socket.socket = each.get_extra_info("socket")
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._tell()
            await self._both_ways(link, reader, far_reader)
        except OSError:
            pass  # the server is not there, or somebody went away: both ends see it below
        except asyncio.CancelledError:
            pass  # stop()
        finally:
            for each in link.writers if link else (writer,):
                each.transport.abort()
            if link is not None:
                link.cut = True
                self._links.discard(link)
            self._tasks.discard(task)
            await self._tell()

    async def _both_ways(
        self, link: _Link, near: asyncio.StreamReader, far: asyncio.StreamReader
    ) -> None:
        pumps = (
            asyncio.create_task(self._pump(link, "up", near, link.writers[1])),
            asyncio.create_task(self._pump(link, "down", far, link.writers[0])),
        )
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_EXCEPTION)
            if any(pump.exception() for pump in done) and not link.cut:
                link.end(reset=True)  # one side was reset: so is the other
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(
        self,
        link: _Link,
        direction: Direction,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        lane = self.lane(direction)
        offset = 0
        while data := await reader.read(READ_BYTES):
            while data and not link.cut:
                await lane.flows()
                size, delay = lane.piece()
                size = min(size, self._bytes_to_fault(direction))
                piece, data = lane.corrupt(data[:size], offset), data[size:]
                if delay:
                    await asyncio.sleep(delay)
                    await lane.flows()
                if piece and not link.cut:
                    await self._pass(lane, writer, piece)
                    offset += len(piece)
                await self._count(direction, len(piece))
        if not link.cut:
            writer.write_eof()

    async def _pass(self, lane: Lane, writer: asyncio.StreamWriter, piece: bytes) -> None:
        writer.write(piece)
        await writer.drain()
        lane.passed(len(piece))
        await asyncio.sleep(0)  # a reader on the same loop sees every piece by itself

    # -- the plan ---------------------------------------------------------------------------------

    def _bytes_to_fault(self, direction: Direction) -> int:
        if not self._due or self._due[0].direction != direction:
            return READ_BYTES
        return max(self._due[0].after - self._since[direction], 0)

    async def _count(self, direction: Direction, count: int) -> None:
        self._since[direction] += count
        while self._due and self._since[self._due[0].direction] >= self._due[0].after:
            fault = self._due.popleft()
            self._since = dict.fromkeys(DIRECTIONS, 0)
            self._happen(fault)
            self.done.append(fault)
        await self._tell()

    def _happen(self, fault: Fault) -> None:
        lane = self.lane(fault.direction)
        match fault.kind:
            case "fin" | "rst":
                self.cut(reset=fault.kind == "rst")
            case "stall":
                lane.stall()
                asyncio.get_running_loop().call_later(fault.seconds, lane.resume)
            case "split" | "delay" if fault.count:
                lane.lesion, lane.lesion_left = fault, fault.count
            case "flip":
                lane.flip_next = fault.size

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()
