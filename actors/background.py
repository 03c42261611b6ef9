"""What a component does beside its actions: tasks that are looked after.

`asyncio.create_task` leaves a task to itself: when it dies, that is logged when the task is
collected, perhaps never, and nobody starts it again. `Component.spawn` comes here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from typing import Any, Final, Literal, TypeAlias

from actors.backoff import backoff
from emp.errors import LocalProtocolError

logger = logging.getLogger("emp.actors")

Restart: TypeAlias = Literal["never", "on-failure", "always"]
RESTARTS: Final = ("never", "on-failure", "always")

STEADY: Final = 10.0
"""Seconds that it must run for its next failure to count as the first. As for actors."""

MOST: Final = 10_000
"""Tasks of one component at a time: what is spawned for each stanza and never ends must not fill
the memory."""

CANCEL: Final = 1.0
"""Seconds that cancelled tasks have to tidy up when the component ends."""


class _Going:
    """One that goes on."""

    __slots__ = ("name", "restart", "restarts", "since", "task", "waiting")

    def __init__(self, name: str, restart: Restart) -> None:
        self.name, self.restart = name, restart
        self.since = time.monotonic()
        self.restarts = 0
        self.waiting = False  # to be started again
        self.task: asyncio.Task[None]


class Background:
    """The tasks of one component."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.context: Callable[[], Context] = copy_context
        self.failed = 0
        self._going: dict[asyncio.Task[None], _Going] = {}
        self._ended = False

    def spawn(
        self, work: Awaitable[Any] | Callable[[], Any], name: str | None, restart: Restart
    ) -> asyncio.Task[None]:
        """See `Component.spawn`."""
        name = name or getattr(work, "__qualname__", None) or repr(work)
        try:
            loop = _loop(name)
            first = self._first(work, name, restart)
        except LocalProtocolError:
            _drop(work)
            raise
        going = _Going(name, restart)
        again = work if callable(work) else None
        run = self._run(going, first, again)
        going.task = task = loop.create_task(
            run, name=f"{self.owner}: {name}", context=self.context()
        )
        self._going[task] = going
        task.add_done_callback(lambda task: self._over(task, first))
        return task

    def _first(
        self, work: Awaitable[Any] | Callable[[], Any], name: str, restart: Restart
    ) -> Awaitable[Any]:
        if restart not in RESTARTS:
            words = ", ".join(f'"{word}"' for word in RESTARTS)
            raise LocalProtocolError(f"spawn({name}): restart is one of {words}, not {restart!r}")
        if restart != "never" and not callable(work):
            raise LocalProtocolError(
                f'spawn({name}): restart = "{restart}" needs a function to call again: '
                "give it without the parentheses, or as a lambda"
            )
        if self._ended:
            raise LocalProtocolError(f"spawn({name}): the component has stopped")
        if len(self._going) >= MOST:
            raise LocalProtocolError(f"spawn({name}): {MOST} tasks of {self.owner} are going on")
        first = work() if callable(work) else work
        if not hasattr(first, "__await__"):
            raise LocalProtocolError(
                f"spawn({name}) wants a coroutine or an `async def` function; what blocks or "
                "computes goes there as `await asyncio.to_thread(…)`"
            )
        return first

    async def _run(
        self, going: _Going, work: Awaitable[Any], again: Callable[[], Any] | None
    ) -> None:
        failures = 0
        while True:
            began = going.since = time.monotonic()
            failed = await self._attempt(going, work)
            if again is None or going.restart == "never" or self._is_over():
                return
            if not failed and going.restart == "on-failure":
                return
            failures = 1 if time.monotonic() - began >= STEADY else failures + 1
            going.waiting = True
            await asyncio.sleep(backoff(failures))
            going.waiting = False
            going.restarts += 1
            work = _Again(again)

    async def _attempt(self, going: _Going, work: Awaitable[Any]) -> bool:
        """Run it once; whether it has failed."""
        try:
            await work
        except BaseException as error:
            wanted = isinstance(error, asyncio.CancelledError) and self._is_over()
            if wanted or isinstance(error, GeneratorExit):
                raise
            self.failed += 1
            again = going.restart != "never" and not self._is_over()
            then = "; it is started again" if again else ""
            logger.error("%s: %s failed%s", self.owner, going.name, then, exc_info=error)
            return True
        return False

    def _is_over(self) -> bool:
        """Whether the task that asks was cancelled, and so is not started again, whatever its work
        has made of that."""
        task = asyncio.current_task()
        return self._ended or (task is not None and task.cancelling() > 0)

    def _over(self, task: asyncio.Task[None], first: Awaitable[Any]) -> None:
        self._going.pop(task, None)
        _drop(first)  # cancelled before its first step
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("%s: a task failed", self.owner, exc_info=error)

    def cancel(self) -> None:
        """Nothing new from now on, and what goes on ends."""
        self._ended = True
        for task in list(self._going):
            task.cancel()

    async def end(self, seconds: float = CANCEL) -> None:
        """Cancel all, and wait for them; but not longer than `seconds`."""
        self.cancel()
        tasks = list(self._going)
        if not tasks:
            return
        _, stuck = await asyncio.wait(tasks, timeout=seconds)
        for task in stuck:
            logger.warning("%s was cancelled and goes on", task.get_name())

    def facts(self) -> dict[str, Any]:
        """For `emp-admin inspect`: who goes on, those with one name together."""
        now = time.monotonic()
        count = Counter(going.name for going in self._going.values())
        rows = {}
        for going in self._going.values():
            rows[going.name] = {
                "tasks": count[going.name],
                "restart": going.restart,
                "restarts": going.restarts,
                "state": "waiting" if going.waiting else "running",
                "seconds": round(now - going.since, 1),
            }
        return rows


class _Again:
    """Calls the function when it is awaited, so that what it raises counts as its failure."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function

    def __await__(self) -> Any:
        return self._function().__await__()


def _loop(name: str) -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise LocalProtocolError(f"spawn({name}): there is no running event loop") from None


def _drop(work: object) -> None:
    """A coroutine that nobody will await."""
    close = getattr(work, "close", None)
    if close is not None and hasattr(work, "cr_frame") and not getattr(work, "cr_running", False):
        close()
