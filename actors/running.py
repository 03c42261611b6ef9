"""The batches of the router in, actions called, answers out.

A plain action is over when it returns, and costs a call. What goes on after that is a `Work`
(`actors.going`); the stanzas behind it that have the same key wait.
"""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Iterable
from copy import copy
from itertools import takewhile
from time import monotonic
from typing import Any, Final, NamedTuple, TypeAlias

from actors.answering import Item, Outcome, Work, name_of, refused
from actors.base import logger
from actors.going import BUSY, Continuer
from actors.handling import AT_ONCE, MADE_HERE, THREAD, Handling, goes_on
from actors.keys import Key
from actors.lanes import Lane, Source
from actors.messages import ActorLost, Ref, RunActions, StanzasHandled
from actors.sending import present
from emp.answer import answers
from emp.errors import EmpError, ServiceUnavailable

REPORTS_PER_MAILBOX: Final = 4
"""Times that the router hears, while a full mailbox empties, that there is room."""

TURN: Final = 0.1
"""Seconds for which plain actions of one batch, or of one key's queue, hold the loop at a time.
Those that are quick don't need it; a batch of slow ones would keep back what the first of them have
answered, and its worker would be taken to hang (`actors.family`)."""

STOPPING: Final = ServiceUnavailable("the service is stopping", type="wait")


Items: TypeAlias = tuple[Item, ...]


class Waiting(NamedTuple):
    """A stanza that waits for its turn. first: another action has passed it on, so that it goes
    before those that have not had theirs."""

    lane: Lane
    source: Source
    batch: int
    item: Item
    since: float
    first: bool


class Runner(Continuer):
    """Runs the actions of one component object.

    A key is *busy* while one of its actions goes on (`working`), or while a stanza of it that an
    action has passed on by skip() is not handled yet (`holds`); what comes meanwhile waits in
    `busy`. A stanza that was passed on to us waits for actions only: two components that pass on
    to each other would wait for ever.
    """

    key: Key

    def __init__(self) -> None:
        super().__init__()
        self.busy: dict[str, deque[Waiting]] = {}
        self.working: set[str] = set()
        self.held: dict[tuple[int, int], str] = {}  # what was passed on → its key
        self.holds: Counter[str] = Counter()  # the same by key
        self.reported = 1  # stanzas that leave the mailbox before the router is told at once
        self.share = sys.maxsize  # stanzas of one key that may wait for its turn
        self.stopping = False  # what comes from now on is refused
        self.put_off: deque[RunActions] = deque()  # the rest of a batch, and those behind it
        self._past: set[int] = set()

    # ── the batches of the router ───────────────────────────────────────────────────────────────

    def on_RunActions(self, message: RunActions, sender: Any) -> None:
        if self.put_off:
            self.put_off.append(message)
            return
        try:
            self._run_batch(message)
        finally:
            if self.put_off:
                self.driver.loop.call_soon(self._resume)

    def _resume(self) -> None:
        if self.ended:
            self.put_off.clear()
            return
        try:
            self._run_batch(self.put_off.popleft())
        finally:
            if self.put_off:
                self.driver.loop.call_soon(self._resume)

    def _run_batch(self, message: RunActions) -> None:
        source = self._source(message.router)
        if source is None:
            return
        for call in message.calls:
            try:
                handling = Handling(type(self.component), call)
            except (AttributeError, EmpError):  # the file has changed since the router read it
                logger.exception("%s: there is no action %s any more", self.name, call.action)
                continue
            source.handlings[call.number] = handling
            source.calls[call.number] = handling.call
        batch, busy = message.batch, self.busy
        # Hot path: a lane is looked up when the connection changes, not for each stanza.
        lane, connection, waiting = None, None, 0
        lanes: dict[int, Lane] = {}
        act = self._refuse if self.stopping else self._act
        items, until = iter(message.items), monotonic() + TURN
        for item in items:
            if item[0] is not connection or lane is None:
                connection = item[0]
                lane = lanes[connection.incarnation] = self._lane(connection)
                present.set(lane.present)
            number = item[1]
            if number <= lane.suspect and number in lane.seen:
                if number in lane.running:
                    lane.running[number] = source, batch, item[3]
                    waiting += 1
            elif busy and (key := self.key(item[2])) in busy:
                if self._take_turn(lane, source, batch, item, key, message.passed):
                    waiting += 1
            elif act(lane, source, batch, item):
                waiting += 1
            if monotonic() > until:
                break
        rest = tuple(items)
        source.finished += len(message.items) - len(rest) - waiting
        if rest or batch in source.remaining:
            self._put_off(source, batch, waiting, lanes, rest, message.passed)
        elif waiting:
            source.remaining[batch] = waiting
            source.lanes[batch] = tuple(lanes.values())
        else:
            self._over(source, batch, lanes.values())
        if not rest:
            source.inflow.take(batch)
        present.set(None)
        self.acting = None
        self._flush()

    def _put_off(
        self,
        source: Source,
        batch: int,
        waiting: int,
        lanes: dict[int, Lane],
        rest: Items,
        passed: bool,
    ) -> None:
        """A part of the batch has had its turn. The rest counts as one more that it waits for."""
        before = batch in source.remaining
        if before:
            lanes = {**{each.connection.incarnation: each for each in source.lanes[batch]}, **lanes}
        source.lanes[batch] = tuple(lanes.values())
        left = source.remaining.get(batch, 0) + waiting + bool(rest) - before
        source.remaining[batch] = left
        if rest:
            self.put_off.appendleft(RunActions(source.ref, batch, rest, (), passed))
        elif not left:
            del source.remaining[batch]
            self._over(source, batch, source.lanes.pop(batch))

    def _source(self, router: Ref) -> Source | None:
        """Who gives this batch, or None for a router that has a successor: the connections give
        that one everything again."""
        source = self.source
        if source is not None and source.ref.incarnation == router.incarnation:
            return source
        if router.incarnation in self._past:
            return None
        if source is not None:
            self._past.add(source.ref.incarnation)
            for lane in self.lanes.values():
                lane.suspect_all()
        self.source = source = Source(router, self.reported)
        return source

    def _over(self, source: Source, batch: int, lanes: Iterable[Lane]) -> None:
        """All actions of the batch are over: note which answers must arrive before it is
        handled."""
        ends = [(lane, lane.sent + len(lane.outflow.waiting)) for lane in lanes]
        source.over.append((batch, tuple([end for end in ends if end[1] > end[0].acknowledged])))

    # ── one stanza ──────────────────────────────────────────────────────────────────────────────

    def _act(
        self, lane: Lane, source: Source, batch: int, item: Item, key: str | None = None
    ) -> bool:
        """Run one action. True when it goes on."""
        _, number, stanza, call, captures = item
        self.acting = item
        try:
            result = source.calls[call](self.component, stanza, captures)
            # Hot path: what is surely over needs no look at what else it might be.
            if type(result) in AT_ONCE or not goes_on(result):
                if not self.answered:
                    replies = answers(stanza, result, named=lane.domain is not None)
                    if type(result) not in MADE_HERE:
                        replies = [copy(each) for each in replies]
                    lane.put(number, lane.writable(replies, stanza.to_text))
                    self.handled += 1
                else:
                    self._conclude(lane, item, Outcome(self._replies(item, result)))
                return False
        except BaseException as error:  # noqa: BLE001 - every failure of an action is answered
            handling = source.handlings.get(call)
            try:
                result = self._respond(handling, item, error)
                if not goes_on(result):
                    self._conclude(lane, item, Outcome(self._replies(item, result)))
                    return False
            except BaseException as fault:  # noqa: BLE001 - and every failure of what answers it
                self._conclude(lane, item, self._failure(item, fault), source)
                return False
        self._begin(lane, source, batch, item, result, key)
        return True

    def _refuse(
        self, lane: Lane, source: Source, batch: int, item: Item, key: str | None = None
    ) -> bool:
        """Instead of running its action: the component is about to end."""
        self._conclude(lane, item, refused(item, STOPPING))
        return False

    def _begin(
        self, lane: Lane, source: Source, batch: int, item: Item, result: Any, key: str | None
    ) -> None:
        number, stanza, call = item[1], item[2], item[3]
        # A new router may have given it again.
        lane.running.setdefault(number, (source, batch, call))
        if key is None:
            key = self.key(stanza)
        work = Work(lane, item, source.handlings[call], key)
        self.busy.setdefault(key, deque())
        self.working.add(key)
        self.works[name_of(item)] = work
        self._arm(work)
        present.set(item)
        if result is THREAD:
            self._start_thread(work)
        else:
            self._see_through(work, result)
        present.set(lane.present)

    # ── whose turn it is ────────────────────────────────────────────────────────────────────────

    def _take_turn(
        self, lane: Lane, source: Source, batch: int, item: Item, key: str, passed: bool
    ) -> bool:
        """A stanza whose key is busy. True when it waits for its turn, or goes on."""
        # One that we have passed on comes back, for another action of ours or by a new router.
        held = self._release(name_of(item))
        if held is not None:
            self.driver.loop.call_soon(self._work_off, held)
        first = passed or held is not None
        if first and key not in self.working:
            self.driver.loop.call_soon(self._work_off, key)
            act = self._refuse if self.stopping else self._act
            return act(lane, source, batch, item, key)
        queue = self.busy[key]
        place = len(queue)
        if first:
            place = sum(1 for _ in takewhile(lambda each: each.first, queue))
        elif place >= self.share:
            self._conclude(lane, item, refused(item, BUSY))
            return False
        queue.insert(place, Waiting(lane, source, batch, item, self.driver.loop.time(), first))
        lane.running[item[1]] = source, batch, item[3]
        return True

    def _hold(self, item: Item) -> None:
        name = name_of(item)
        if name in self.held:
            return
        key = self.held[name] = self.key(item[2])
        self.holds[key] += 1
        self.busy.setdefault(key, deque())

    def _release(self, name: tuple[int, int]) -> str | None:
        """The key that waits no longer for that stanza, if one did."""
        key = self.held.pop(name, None)
        if key is not None:
            self.holds[key] -= 1
            if not self.holds[key]:
                del self.holds[key]
        return key

    def on_StanzasHandled(self, message: StanzasHandled, sender: Any) -> None:
        if message.incarnation == self.incarnation:
            self._release_all((message.connection, number) for number in message.numbers)

    def on_ActorLost(self, message: ActorLost, sender: Any) -> None:
        super().on_ActorLost(message, sender)
        self._release_all([name for name in self.held if name[0] == message.incarnation])

    def _release_all(self, names: Iterable[tuple[int, int]]) -> None:
        for key in [self._release(name) for name in names]:
            if key is not None:
                self._work_off(key)

    # ── the next one ────────────────────────────────────────────────────────────────────────────

    def _next(self, work: Work) -> None:
        """Nobody waits for the action any more: its key's next stanza has its turn."""
        work.over = True
        self.answered.discard(name_of(work.item))
        self._settle(work.lane, work.item[1])
        self.working.discard(work.key)
        self._work_off(work.key)

    def _work_off(self, key: str) -> None:
        """What waits for its turn, until one goes on or is passed on."""
        queue = self.busy.get(key)
        if queue is None or key in self.working or self.ended:
            return
        until = monotonic() + TURN
        while queue and (queue[0].first or key not in self.holds):
            lane, source, batch, item, since, _ = queue.popleft()
            present.set(lane.present)
            if self._expired(source, item, since):
                self.overdue += 1
                self._conclude(lane, item, refused(item, BUSY))
            elif self._act(lane, source, batch, item, key):
                break
            self._settle(lane, item[1])
            if queue and monotonic() > until:
                self.driver.loop.call_soon(self._work_off, key)
                break
        if not queue and key not in self.working and key not in self.holds:
            del self.busy[key]
        self.acting = None
        self._flush_soon()

    def _settle(self, lane: Lane, number: int) -> None:
        """One stanza less that its batch waits for."""
        source, batch, _ = lane.running.pop(number)
        source.finished += 1
        source.remaining[batch] -= 1
        if not source.remaining[batch]:
            del source.remaining[batch]
            self._over(source, batch, source.lanes.pop(batch))

    def _expired(self, source: Source, item: Item, since: float) -> bool:
        """Whether it has waited for its turn longer than its action may take."""
        handling = source.handlings.get(item[3])
        seconds = handling.deadline if handling is not None else None
        return seconds is not None and self.driver.loop.time() - since > seconds
