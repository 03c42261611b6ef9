"""How asyncio runs in an actor. One class hides the difference between the two systems.

In the embedded system the actor lives on the process's own loop: there is nothing to do. In the
multiproc system the actor's process belongs to Thespian, and has a loop in which Thespian waits
(`actors.systems.loop`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar

from thespian.actors import Actor, ActorAddress

Argument = TypeVar("Argument")
Post: TypeAlias = Callable[[ActorAddress, ActorAddress, object], None]


class Driver(Protocol):
    """What an actor sees of asyncio."""

    embedded: ClassVar[bool]

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that the actor's handlers run in."""

    def run(self, handler: Callable[[], None]) -> None:
        """Run a handler inside the loop. Every message is to be handled through this."""

    @property
    def post(self) -> Post | None:
        """A shorter way for `Actor.send`, where there is one: (sender, receiver, message)."""

    def turn(self, work: Callable[[Argument], None], argument: Argument) -> None:
        """Run `work(argument)`, a callback of the loop that is no handler of an actor. Messages
        that it sends need not wait for the next turn of the loop."""

    def close(self) -> None:
        """The actor ends: cancel what still runs, release what the driver holds. May be called by
        a handler; it then takes effect when that call of `run` ends. A second call does nothing."""


def driver_for(actor: Actor) -> Driver:
    """The driver for the place where this is called: an actor's process, or a running loop."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        from actors.systems.loop import LoopDriver

        return LoopDriver(actor)
    return EmbeddedDriver(loop, actor._myRef._system._systemBase)


class EmbeddedDriver:
    """The loop belongs to the process and runs anyway."""

    embedded: ClassVar[bool] = True

    def __init__(self, loop: asyncio.AbstractEventLoop, base: Any) -> None:
        """base: the system base (actors.systems.embedded.EmbeddedBase)."""
        self.loop = loop
        self.post: Post | None = base.post
        self._turn = base.turn

    def run(self, handler: Callable[[], None]) -> None:
        handler()

    def turn(self, work: Callable[[Argument], None], argument: Argument) -> None:
        self._turn(work, argument)

    def close(self) -> None:
        pass
