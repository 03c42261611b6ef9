"""asyncio in a process that belongs to Thespian (`actors.driver` says what for).

The process runs Thespian's main loop, which waits for its sockets in the actor's asyncio loop
(`actors.systems.waiting`). Messages come in three ways: Thespian delivers its own between two such
waits; channels (`actors.systems.channels`) deliver the others from inside the loop; sockets, timers
and threads are the loop's own business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import ClassVar, Final, TypeVar

from thespian.actors import Actor, ActorAddress

from actors.systems import waiting
from actors.systems.channels import Channels

logger = logging.getLogger("emp.actors")

LONGEST_CLOSE: Final = 2.0
"""Seconds that cancelled tasks have to end in. They should need none."""

Argument = TypeVar("Argument")


class LoopDriver:
    """A loop of our own, in which Thespian waits."""

    embedded: ClassVar[bool] = False

    def __init__(self, actor: Actor) -> None:
        self.loop: Final[asyncio.AbstractEventLoop] = asyncio.SelectorEventLoop()
        self._waiting = False
        self._closing = False
        self._channels: Channels | None = None
        self.post: Callable[[ActorAddress, ActorAddress, object], None] | None = None
        manager = actor._myRef
        # Who forks holds nothing that a copy could harm (actors.systems.process).
        if not getattr(actor, "forks_children", False):
            try:
                self._channels = Channels(
                    manager.transport.key,
                    manager.transport.myAddress,
                    self.loop,
                    actor.receiveMessage,
                    manager.actor_send,
                )
                self.post = self._channels.post
            except OSError as error:
                logger.warning("%s has no channels: %s", manager.transport.myAddress, error)
        waiting.wait_in(self)

    def run(self, handler: Callable[[], None]) -> None:
        if self.loop.is_running() or self.loop.is_closed():
            handler()  # a channel's message; one of the last, while children end
            return
        self.loop.call_soon(handler)
        self.loop.stop()  # after one turn
        self._run()

    def turn(self, work: Callable[[Argument], None], argument: Argument) -> None:
        work(argument)  # channels write at once

    def wait(self, descriptor: int, seconds: float | None) -> bool:
        loop = self.loop
        if loop.is_running():  # inside of a handler, Thespian gets rid of what it has to send
            return False
        loop.add_reader(descriptor, loop.stop)
        timer = None if seconds is None else loop.call_later(seconds, loop.stop)
        self._waiting = True
        try:
            self._run()
        finally:
            self._waiting = False
            if timer is not None:
                timer.cancel()
            if not loop.is_closed():
                loop.remove_reader(descriptor)
        return True

    def wake(self) -> None:
        if self._waiting:
            self.loop.stop()

    def _run(self) -> None:
        self.loop.run_forever()
        if self._closing:
            self._shut_down()

    def close(self) -> None:
        self._closing = True
        if self.loop.is_running():
            self.loop.stop()
        elif not self.loop.is_closed():
            self._shut_down()

    def _shut_down(self) -> None:
        loop = self.loop
        waiting.wait_in(None)
        self.post = None
        try:
            loop.run_until_complete(_end_all_tasks(loop))
            loop.run_until_complete(loop.shutdown_asyncgens())
            if self._channels is not None:
                self._channels.close()
        finally:
            loop.close()


async def _end_all_tasks(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
    for task in tasks:
        task.cancel()
    if tasks:
        _, stuck = await asyncio.wait(tasks, timeout=LONGEST_CLOSE)
        for task in stuck:
            context = {"message": "task did not end when cancelled", "task": task}
            loop.call_exception_handler(context)
    await asyncio.sleep(0)  # connection_lost of transports that these tasks aborted
