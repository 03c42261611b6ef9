"""Methods of a component that run by themselves, every so many seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from actors.declarations import Every, seconds


class Timer:
    """One of them. It never runs twice at a time, and never makes up for runs that it missed."""

    __slots__ = ("_due", "_handle", "_loop", "_period", "_run", "_task", "name")

    def __init__(
        self,
        name: str,
        every: Every,
        run: Callable[[str], asyncio.Task[None] | None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """run: begins the method of that name; what it returns is what goes on, if anything
        does."""
        self.name: Final = name
        self._run, self._loop = run, loop
        self._period = seconds(every.seconds)
        self._due = loop.time() + (self._period if every.first is None else seconds(every.first))
        self._task: asyncio.Task[None] | None = None
        self._handle = loop.call_at(self._due, self._ring)

    def _ring(self) -> None:
        if self._task is None or self._task.done():
            self._task = self._run(self.name)
        now = self._loop.time()
        self._due += self._period
        if self._due <= now:  # late: the next that is not over, in step with the others
            self._due = now + self._period - (now - self._due) % self._period
        self._handle = self._loop.call_at(self._due, self._ring)

    def stop(self) -> None:
        """It begins no more runs."""
        self._handle.cancel()


def start(
    methods: Iterable[tuple[str, Every]],
    run: Callable[[str], asyncio.Task[None] | None],
    loop: asyncio.AbstractEventLoop,
) -> list[Timer]:
    """Timers for all these methods."""
    return [Timer(name, every, run, loop) for name, every in methods]
