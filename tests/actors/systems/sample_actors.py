"""Actors that the tests start in real processes."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from thespian.actors import Actor, ActorAddress, ActorExitRequest, ChildActorExited, ThespianWatch

from actors.driver import Driver, driver_for


class Echo(Actor):
    """Answers "pid" with its own, "sockets" with the inodes it holds, counts what is "counted"."""

    counted = 0

    def receiveMessage(self, msg: Any, sender: ActorAddress) -> None:
        if msg == "pid":
            self.send(sender, os.getpid())
        elif msg == "sockets":
            links = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
            self.send(sender, {os.readlink(link) for link in links if link.is_symlink()})
        elif msg == "counted":
            self.counted += 1
        elif msg == "count":
            self.send(sender, self.counted)
        elif msg == "hang":
            time.sleep(3600)
        elif isinstance(msg, bytes):
            self.send(sender, msg)


class Parent(Actor):
    """Has one Echo as its child and restarts it; "restarted" is answered when that has happened."""

    def __init__(self) -> None:
        super().__init__()
        self.child: ActorAddress | None = None
        self.restarts = 0
        self.waiting: list[ActorAddress] = []

    def receiveMessage(self, msg: Any, sender: ActorAddress) -> None:
        if isinstance(msg, ChildActorExited):
            # It may be told twice, and of a child that is not the current one any more.
            if msg.childAddress == self.child:
                self.child = self.createActor(Echo)
                self.restarts += 1
                for asker in self.waiting:
                    self.send(asker, self.child)
                self.waiting.clear()
        elif msg == "child":
            self.child = self.child or self.createActor(Echo)
            self.send(sender, self.child)
        elif msg == "restarted":
            if self.restarts:
                self.send(sender, self.child)
            else:
                self.waiting.append(sender)
        elif msg == "pid":
            self.send(sender, os.getpid())


class ForkingParent(Parent):
    forks_children = True


class Looped(Actor):
    """Runs asyncio: a TCP echo server, a client, timers, threads."""

    def __init__(self) -> None:
        super().__init__()
        self.driver: Driver | None = None
        self.tasks: set[asyncio.Task[None]] = set()
        self.server: asyncio.Server | None = None
        self.received = 0

    def receiveMessage(self, msg: Any, sender: ActorAddress) -> ThespianWatch | None:
        self.driver = self.driver or driver_for(self)
        return self.driver.run(lambda: self.handle(msg, sender))

    def handle(self, msg: Any, sender: ActorAddress) -> None:
        match msg:
            case "serve":
                self.start(self.serve(sender))
            case "received":
                self.send(sender, self.received)
            case ("fetch", port, line):
                self.start(self.fetch(port, line, sender))
            case ("after", *delays):
                for delay in delays:
                    asyncio.get_running_loop().call_later(delay, self.fire, delay, sender)
                self.fired: list[float] = []
                self.expected = len(delays)
            case "thread":
                self.start(self.thread(sender))
            case "spin":
                self.spin()
            case "raise":
                raise RuntimeError("a handler fails")
            case ActorExitRequest():
                assert self.driver is not None
                if self.server:
                    self.server.close()
                self.driver.close()

    def start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def serve(self, sender: ActorAddress) -> None:
        self.server = await asyncio.start_server(self.echo, "127.0.0.1", 0)
        self.send(sender, self.server.sockets[0].getsockname()[1])

    async def echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            self.received += len(data)
            writer.write(data)
            await writer.drain()
        writer.close()

    async def fetch(self, port: int, line: bytes, sender: ActorAddress) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(line)
        self.send(sender, await reader.readline())
        writer.close()

    def fire(self, delay: float, sender: ActorAddress) -> None:
        self.fired.append(delay)
        if len(self.fired) == self.expected:
            self.send(sender, self.fired)

    async def thread(self, sender: ActorAddress) -> None:
        self.send(sender, await asyncio.to_thread(os.getpid))

    def spin(self) -> None:
        asyncio.get_running_loop().call_soon(self.spin)


class LoopedForkingParent(ForkingParent):
    """Forks while its loop runs, as the supervisor does."""

    def receiveMessage(self, msg: Any, sender: ActorAddress) -> ThespianWatch | None:
        if not hasattr(self, "driver"):
            self.driver = driver_for(self)
        handle = super().receiveMessage
        return self.driver.run(lambda: handle(msg, sender))

    def createActor(self, *args: Any, **kwargs: Any) -> ActorAddress:
        assert asyncio.get_running_loop() is self.driver.loop
        return super().createActor(Looped, *args[1:], **kwargs)
