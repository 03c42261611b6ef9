"""Actions that are not over when they return: coroutines, generators, and those in threads.

The end of one is the beginning of another: `_next` is in `actors.running`.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Coroutine
from contextvars import copy_context
from copy import copy
from typing import Any, Final

from actors.answering import Answerer, Item, Outcome, Work, name_of, refused
from actors.base import logger
from actors.handling import advance, close, goes_on, is_stream
from actors.sending import present
from actors.threads import Threads
from emp.answer import answers_it, refusal
from emp.errors import LocalProtocolError, RemoteServerTimeout, ResourceConstraint
from emp.stanza import Stanza

CANCEL_GRACE: Final = 5.0
"""Seconds that a cancelled action has to tidy up, before the next stanza of its key has its turn
all the same."""

SLICE: Final = 0.01
"""Seconds that a generator may go on before others have their turn."""

TIMEOUT: Final = RemoteServerTimeout("it took too long", type="wait")
BUSY: Final = ResourceConstraint("too busy", type="wait")


class Continuer(Answerer):
    """Sees actions through to their end."""

    threads: Threads

    def __init__(self) -> None:
        super().__init__()
        self.tasks: set[asyncio.Task[None]] = set()

    def _next(self, work: Work) -> None:
        """Nobody waits for the action any more: its key's next stanza has its turn."""
        raise NotImplementedError

    def spawn(self, going: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that ends with the actor."""
        task = self.driver.loop.create_task(going)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def _see_through(self, work: Work, result: Any) -> None:
        task = work.task = self.spawn(self._go_on(work, result))
        task.add_done_callback(lambda _: self._cancelled_early(work, result))

    def _cancelled_early(self, work: Work, result: Any) -> None:
        """A task that is cancelled before its first step runs nothing of what is in it."""
        # A stanza that was passed on may have come back to us meanwhile: that is another work.
        if self.works.get(name_of(work.item)) is not work:
            return
        if hasattr(result, "close"):
            result.close()
        if not self.ended:
            cancelled = asyncio.CancelledError()
            self._finish(work, Outcome() if work.late else self._failure(work.item, cancelled))

    async def _go_on(self, work: Work, result: Any) -> None:
        """Wait for an action that goes on, then handle what its sender sent meanwhile."""
        item = work.item
        try:
            found = await self._result(work, result)
            outcome = Outcome() if work.late else Outcome(self._replies(item, found))
        except BaseException as error:
            if self.ended:
                raise
            outcome = await self._outcome(work, error)
        self._finish(work, outcome)

    async def _outcome(self, work: Work, error: BaseException) -> Outcome:
        item = work.item
        try:
            if work.late:
                raise error
            said = await self._result(work, self._respond(work.handling, item, error))
            return Outcome() if work.late else Outcome(self._replies(item, said))
        except BaseException as fault:
            if self.ended:
                raise
            if work.late and isinstance(fault, asyncio.CancelledError):
                return Outcome()
            return self._failure(item, fault, given=work.yielded)

    async def _result(self, work: Work, result: Any) -> Any:
        """What it comes to, however it goes on."""
        while goes_on(result):
            if is_stream(result):
                await self._stream(work, result)
                return None
            result = await result
        return result

    def _finish(self, work: Work, outcome: Outcome) -> None:
        """The action is over."""
        self._disarm(work)
        if self.ended:
            return  # it has outlived the actor, and its stanza was refused
        self._forget(work)
        if work.over:
            logger.warning("%s: %s has ended at last", self.name, work.handling.action)
            return
        if not work.late:
            self._conclude(work.lane, work.item, outcome)
        self._next(work)

    # ── generators ──────────────────────────────────────────────────────────────────────────────

    async def _stream(self, work: Work, stream: Any) -> None:
        """Send what a generator yields, as fast as the connection takes it."""
        loop, lane, fault = self.driver.loop, work.lane, None
        turn = loop.time()
        try:
            while not lane.gone and not work.late:
                self._arm(work)
                try:
                    each = await advance(stream, fault)
                except StopAsyncIteration:
                    return
                self._disarm(work)
                fault = self._yielded(work, each)
                await self.room(lane)
                if loop.time() - turn > SLICE:
                    await asyncio.sleep(0)
                    turn = loop.time()
        finally:
            await close(stream)

    def _yielded(self, work: Work, each: Any) -> Exception | None:
        """Send an item of a generator. Returns what is wrong with it."""
        if each is None:
            return None
        item, stanza = work.item, work.item[2]
        items = each if isinstance(each, (list, tuple)) else (each,)
        alone = bool(items) and all(isinstance(one, Stanza) for one in items)
        final = stanza.is_request and (not alone or any(answers_it(stanza, one) for one in items))
        try:
            if alone and not (final and name_of(item) in self.answered):
                replies = self._written(item, [copy(one) for one in items])
            else:
                replies = self._replies(item, each)
            self._give(item, replies, final)
        except Exception as error:  # noqa: BLE001 - it is raised where the item was yielded
            return error
        work.yielded = True
        return None

    # ── threads ─────────────────────────────────────────────────────────────────────────────────

    def _start_thread(self, work: Work) -> None:
        connection, number, stanza, call, captures = work.item
        # What belongs to lxml has names in a dictionary of its thread (emp.names), and the parser
        # of the streams writes to ours while it holds no lock. So elements never pass from one
        # thread to another: stanzas and captures go as they go between processes.
        goods = pickle.dumps((stanza, captures))
        loop, context = self.driver.loop, copy_context()

        def job() -> None:
            work.began = loop.time()
            theirs, captured = pickle.loads(goods)  # noqa: S301 - our own
            outcome = context.run(
                self._in_thread, work, (connection, number, theirs, call, captured)
            )
            try:
                loop.call_soon_threadsafe(self._finish, work, outcome)
            except RuntimeError:
                logger.warning("%s: %s ended after the end", self.name, work.handling.action)

        work.job = self.threads.run(job)

    def _in_thread(self, work: Work, item: Item) -> Outcome:
        present.set(item)
        handling, captured = work.handling, item[4]
        try:
            result = handling.run(self.component, item[2], captured)
            found = self._exhausted(work, result)
            replies = () if work.late else self._replies(item, found)
        except BaseException as error:  # noqa: BLE001 - every failure of an action is answered
            try:
                if work.late:
                    raise
                said = self._exhausted(work, self._respond(handling, item, error))
                replies = () if work.late else self._replies(item, said)
            except BaseException as fault:  # noqa: BLE001 - and every failure of what answers it
                outcome = self._failure(item, fault, given=work.yielded)
                return outcome._replace(replies=[copy(each) for each in outcome.replies])
        return Outcome([copy(each) for each in replies])

    def _exhausted(self, work: Work, result: Any) -> Any:
        """In a thread: the result, which may be a generator."""
        if not is_stream(result):
            return result
        fault: Exception | None = None
        try:
            while not (work.lane.gone or work.late or self.ended):
                each = next(result) if fault is None else result.throw(fault)
                fault = self.wait(self._yielded_in_thread(work, each))
        except StopIteration:
            pass
        finally:
            result.close()
        return None

    async def _yielded_in_thread(self, work: Work, each: Any) -> Exception | None:
        fault = self._yielded(work, each)
        self._disarm(work)
        await self.room(work.lane)
        work.began = self.driver.loop.time()
        self._arm(work)
        return fault

    def wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """See `Component.wait`."""
        if not self.in_thread:
            coroutine.close()
            raise LocalProtocolError("wait() is for blocking actions: write await instead")

        async def run() -> Any:
            result = await coroutine
            return copy(result) if isinstance(result, Stanza) else result

        running = run()
        try:
            answer = asyncio.run_coroutine_threadsafe(running, self.driver.loop)
        except RuntimeError:  # the loop is closed
            running.close()
            coroutine.close()
            raise LocalProtocolError("the component has stopped") from None
        return answer.result()

    # ── deadlines ───────────────────────────────────────────────────────────────────────────────

    def _arm(self, work: Work) -> None:
        """The action's time begins now."""
        seconds = work.handling.deadline
        if seconds is not None and not work.late and not self.ended:
            self._disarm(work)
            work.timer = self.driver.loop.call_later(seconds, self._time_is_up, work, seconds)

    def _disarm(self, work: Work) -> None:
        if work.timer is not None:
            work.timer.cancel()
            work.timer = None

    def _time_is_up(self, work: Work, seconds: float) -> None:
        work.timer = None
        item, job = work.item, work.job
        if job is not None and job.drop():  # no thread was free
            self.overdue += 1
            self._conclude(work.lane, item, refused(item, BUSY))
            self._forget(work)
            self._next(work)
            return
        loop = self.driver.loop
        until = (work.began or loop.time()) + seconds
        if job is not None and until > loop.time():  # it has waited for a thread
            work.timer = loop.call_at(until, self._time_is_up, work, seconds)
            return
        self.overdue += 1
        logger.warning("%s: %s took longer than %g s", self.name, work.handling.action, seconds)
        asked = item[2].is_request and name_of(item) not in self.answered
        replies = refusal(item[2], TIMEOUT) if asked else ()
        self._conclude(work.lane, item, Outcome(replies, failed=True))
        self.answered.add(name_of(item))
        work.late = True
        self._flush_soon()
        if work.task is None:  # nothing stops a thread
            self._next(work)
        else:
            work.task.cancel()
            work.timer = loop.call_later(CANCEL_GRACE, self._give_up, work)

    def _give_up(self, work: Work) -> None:
        """Cancelled, and it goes on: the others need not wait for it."""
        work.timer = None
        logger.error("%s: %s was cancelled and goes on", self.name, work.handling.action)
        self._next(work)
