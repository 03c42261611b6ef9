"""Batches and credit: how stanzas pass from one actor to another without a queue that grows.

A Thespian message costs hundreds of microseconds whatever its size, and a sender that has many
pending slows down with each of them. So a sender keeps at most `WINDOW` batches on the way to one
receiver; what comes meanwhile collects, and is the next batch when a credit returns. Light load
makes batches of one, heavy load big ones.

The bound on what collects here is not in this file: every stanza is on the books of its connection,
which stops reading its socket when `actors.ledger.HELD_STANZAS` of them are not handled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import accumulate, islice
from typing import Generic, TypeVar

T = TypeVar("T")

WINDOW = 8
"""Batches on the way to one receiver. Thespian stops an actor's sends at 20 pending; 8 keep both
busy, and need few credits where stanzas come one by one."""

CREDIT_EVERY = 4
"""Batches taken for one `BatchTaken`. Half the window: the sender always has a credit to hope
for."""

BATCH = 256
"""Stanzas in a batch. Bigger ones gain nothing and make the others in the mailbox wait; from 512 on
the frames between processes are so large that each is mapped into memory anew."""

BATCH_BYTES = 4 * 1024 * 1024
"""Bytes in a batch, so that it fits into a frame between processes (`actors.systems.frames`)."""


class Outflow(Generic[T]):
    """The sender's side of one hop. Not an actor: it says what to send, and when."""

    __slots__ = ("_acknowledged", "_sent", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[T] = deque()
        self._sent = 0
        self._acknowledged = 0

    @property
    def in_flight(self) -> int:
        """Batches that were sent and not yet taken."""
        return self._sent - self._acknowledged

    def next_batch(
        self, weight: Callable[[T], int] | None = None, limit: int = BATCH
    ) -> tuple[int, tuple[T, ...]] | None:
        """The batch to send now, as (number, items), or None while there is nothing or no
        credit. It has at most `limit` items, and never more than BATCH. With `weight`, the bytes of
        an item, it also keeps to BATCH_BYTES."""
        # Hot path, three times for each stanza that comes alone.
        waiting = self.waiting
        count = len(waiting)
        if not count or self._sent - self._acknowledged >= WINDOW:
            return None
        self._sent += 1
        if count > limit or count > BATCH:
            count = min(limit, BATCH)
        if weight is not None:
            sizes = accumulate(map(weight, islice(waiting, count)))
            count = max(1, sum(size <= BATCH_BYTES for size in sizes))
        if count == len(waiting):
            items = tuple(waiting)
            waiting.clear()
        else:
            items = tuple([waiting.popleft() for _ in range(count)])
        return self._sent, items

    def taken(self, batch: int) -> None:
        """The receiver took everything up to `batch`. Old or repeated news changes nothing."""
        if batch > self._acknowledged:
            self._acknowledged = min(batch, self._sent)


class Inflow:
    """The receiver's side of one hop: when to give credit back."""

    __slots__ = ("_reported", "_taken")

    def __init__(self) -> None:
        self._taken = 0
        self._reported = 0

    def take(self, batch: int) -> None:
        """A batch was taken out of the mailbox."""
        if batch > self._taken:
            self._taken = batch

    def credit(self) -> int | None:
        """The batch number to report in a `BatchTaken` now, or None while it is too early."""
        if self._taken - self._reported < CREDIT_EVERY:
            return None
        return self.all()

    def all(self) -> int:
        """The number of the last batch that was taken, to be reported however early it is."""
        self._reported = self._taken
        return self._taken
