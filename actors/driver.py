"""How asyncio runs in an actor. One class hides the difference between the two systems.

In the embedded system the actor lives on the process's own loop: there is nothing to do. In the
multiproc system Thespian drives the actor's process, and the loop is stepped between its messages:

- its selector never sleeps: when nothing is ready it notes that, and the loop stops;
- an epoll descriptor is itself readable when anything registered in it is ready, for reading or
  writing, so Thespian watches that one descriptor (`ThespianWatch`) and a `WatchMessage` runs the
  loop again;
- the loop's next timer becomes a Thespian wakeup.

Work that is left over when a message has used up its share is announced through the loop's own
wake-up pipe, never by a wakeup of zero seconds: Thespian delivers due wakeups before it looks at
any socket, so a busy loop would keep the mailbox shut for ever.
"""

from __future__ import annotations

import asyncio
import heapq
import selectors
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar, Final, Protocol, TypeAlias, TypeVar

from thespian.actors import Actor, ActorAddress, ThespianWatch

TURNS_PER_MESSAGE: Final = 16
"""Turns of the loop for each message of the mailbox: enough for a chain of callbacks to end in one
go, few enough that a socket that never runs dry cannot keep the mailbox waiting."""

SECONDS_PER_MESSAGE: Final = 0.01
"""The same bound in time, for turns that are long: no message waits much longer than this."""

SHORTEST_WAKEUP: Final = 0.001
"""Seconds. A timer due sooner than this is waited for by turning: see above for wakeups of zero.
One that is due sooner by less than this than the next wakeup shares it."""

LONGEST_CLOSE: Final = 2.0
"""Seconds that cancelled tasks have to end in. They should need none."""

WAKEUP: Final = "actors.driver"
"""Payload of the WakeupMessages that the driver asks for: they only have to reach `run`."""


Argument = TypeVar("Argument")
Post: TypeAlias = Callable[[ActorAddress, ActorAddress, object], None]


class Driver(Protocol):
    """What an actor sees of asyncio."""

    embedded: ClassVar[bool]

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that the actor's handlers run in."""

    def run(self, handler: Callable[[], None]) -> ThespianWatch | None:
        """Run a handler inside the loop, then as much of the loop as is ready; call it for every
        message, and return what it returns from `receiveMessage`."""

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
        return SteppedDriver(actor)
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


class SteppedDriver:
    """A loop of our own, run between the messages of a process that belongs to Thespian."""

    embedded: ClassVar[bool] = False
    post: Post | None = None

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._selector = _SteppedSelector()
        self._loop = asyncio.SelectorEventLoop(self._selector)
        self._selector.stop = self._loop.stop
        self._watch = ThespianWatch([self._selector.fileno()])
        self._wakeups: list[float] = []  # loop times that a WakeupMessage is on its way for
        self._closing = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def run(self, handler: Callable[[], None]) -> ThespianWatch:
        loop = self._loop
        if loop.is_closed():
            handler()  # last messages of an actor that waits for its children to end
            return self._watch
        self._selector.begin(loop.time())
        loop.call_soon(handler)
        loop.run_forever()
        if self._closing:
            self._shut_down()
        else:
            self._arrange_return()
        return self._watch

    def turn(self, work: Callable[[Argument], None], argument: Argument) -> None:
        work(argument)  # Thespian sends when its handler returns

    def _arrange_return(self) -> None:
        """See to it that Thespian calls again when the loop has something to do."""
        due = self._selector.due
        if due is None:
            return
        now = self._loop.time()
        if due - now < SHORTEST_WAKEUP:
            self._loop.call_soon_threadsafe(_nothing)  # makes the watched descriptor readable
            return
        while self._wakeups and self._wakeups[0] <= now:
            heapq.heappop(self._wakeups)
        if not self._wakeups or due < self._wakeups[0] - SHORTEST_WAKEUP:
            heapq.heappush(self._wakeups, due)
            self._actor.wakeupAfter(timedelta(seconds=due - now), WAKEUP)

    def close(self) -> None:
        self._closing = True
        if not self._loop.is_running() and not self._loop.is_closed():
            self._shut_down()

    def _shut_down(self) -> None:
        loop = self._loop
        self._selector.stepped = False
        try:
            loop.run_until_complete(_end_all_tasks(loop))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            self._watch = ThespianWatch([])
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


def _nothing() -> None:
    pass


class _SteppedSelector(selectors.DefaultSelector):
    """A selector that stops its loop where it would sleep, or where the turns are used up."""

    stop: Callable[[], None]

    def __init__(self) -> None:
        super().__init__()
        self.stepped = True
        self.due: float | None = None  # monotonic time at which the loop wants to run again
        self._turns = 0
        self._until = 0.0

    def begin(self, now: float) -> None:
        self.due = None
        self._turns = 0
        self._until = now + SECONDS_PER_MESSAGE

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if not self.stepped:
            return super().select(timeout)
        ready = super().select(0)
        self._turns += 1
        now = time.monotonic()
        if not ready and timeout != 0:
            self.due = None if timeout is None else now + timeout
            self.stop()
        elif self._turns >= TURNS_PER_MESSAGE or now > self._until:
            self.due = now
            self.stop()
        return ready
