"""A connection's books: what came in and is not handled.

A stanza is *handled* when it was answered, taken by an action that returned, or reported. Until
then it stands here, so a crash of the router or of a component loses nothing without anybody
knowing, and so memory is bounded: a connection whose books are full stops reading its socket.
"""

from __future__ import annotations

from collections.abc import Iterable

from emp.stanza import Stanza

HELD_STANZAS = 2048
"""Stanzas on the books at which the socket is paused: eight full batches, enough to keep everyone
busy."""

HELD_BYTES = 4 * 1024 * 1024
"""Bytes on the books at which the socket is paused, without small stanzas. As lxml trees they take
about ten times as much."""

SMALL_BYTES = HELD_BYTES / HELD_STANZAS
"""Stanzas up to this size are bounded by their number, and need no book-keeping of bytes."""

UNACKNOWLEDGED = 150
"""Stanzas that may have come since the oldest that is not acknowledged. With emp.stream.acks'
TELL_AFTER, of which the peer hears late, that is 250. Servers keep what is not acknowledged, and
beyond a bound of theirs end the session, or can't resume it: Prosody at 500, ejabberd at 5,000.
Half of the smaller one is left for what is on its way."""

OVERFULL = 2
"""Times these bounds, beyond which stanzas are refused while the socket can't be paused."""


class Ledger:
    """Stanzas by sequence number, in the order of their arrival."""

    __slots__ = (
        "_bytes",
        "_handled",
        "_next",
        "_shares",
        "early",
        "held",
        "hurried",
        "last",
        "repeated",
        "total",
    )

    def __init__(self) -> None:
        self.held: dict[int, Stanza] = {}
        self.last = 0  # highest number that was given
        self.total = 0  # stanzas that were admitted
        self.repeated = 0  # stanzas that came once more, after a resumption
        self.early: set[int] = set()  # held, and acknowledged all the same: see hurry()
        self.hurried = 0  # how many there were in all
        self._next = 1
        self._handled = 0
        self._bytes = 0.0
        self._shares: dict[
            int, float
        ] = {}  # bytes, where not small; known per read, not per stanza

    def rewind(self, number: int) -> None:
        """The stanzas that come next have the numbers from `number` + 1. What was resumed begins
        with those that the server was not told to be handled: we may know some of them."""
        self._next = number + 1

    def admit(self, stanzas: list[Stanza], size: int) -> list[tuple[int, Stanza]]:
        """Enter stanzas that came in `size` bytes; returns the new ones with their numbers."""
        first = self._next
        self._next = first + len(stanzas)
        if first <= self.last:
            known = min(self.last + 1 - first, len(stanzas))
            self.repeated += known
            size = size * (len(stanzas) - known) // len(stanzas)
            first, stanzas = first + known, stanzas[known:]
            if not stanzas:
                return []
        self.last = self._next - 1
        self.total += len(stanzas)
        items = list(zip(range(first, self._next), stanzas, strict=True))
        self.held.update(items)
        if (share := size / len(stanzas)) > SMALL_BYTES:
            self._bytes += size
            self._shares.update(dict.fromkeys(range(first, self._next), share))
        return items

    @property
    def prefix(self) -> int:
        """All up to this number are handled, or in `early`: what may be acknowledged (XEP-0198 §4).

        Hot path: one look per stanza, at the oldest that is held.
        """
        number, last, held, early = self._handled, self.last, self.held, self.early
        while number < last and (number + 1 not in held or number + 1 in early):
            number += 1
        self._handled = number
        return number

    def hurry(self) -> None:
        """What is held, and UNACKNOWLEDGED or more have come since, waits no longer for being
        handled to be acknowledged: the server would end the session of who acknowledges nothing.
        It stays on these books."""
        waiting = self.held.keys() & range(self._handled + 1, self.last + 1 - UNACKNOWLEDGED)
        self.hurried += len(waiting)
        self.early |= waiting

    def handled(self, numbers: Iterable[int]) -> list[Stanza]:
        """Strike out what is handled; returns those that were still on the books."""
        held, shares, early = self.held, self._shares, self.early
        struck = []
        for number in numbers:
            stanza = held.pop(number, None)
            if stanza is not None:
                struck.append(stanza)
                if shares:
                    self._bytes -= shares.pop(number, 0.0)
                if early:
                    early.discard(number)
        if not held:
            self._bytes = 0.0  # what rounding left
        return struck

    @property
    def full(self) -> bool:
        """True when nothing more should be read."""
        return len(self.held) >= HELD_STANZAS or self._bytes >= HELD_BYTES

    @property
    def overfull(self) -> bool:
        """True when what still comes in, because answers are awaited, must be refused."""
        return len(self.held) >= OVERFULL * HELD_STANZAS or self._bytes >= OVERFULL * HELD_BYTES

    @property
    def drained(self) -> bool:
        """True when, after `full`, reading may go on: half empty, so that pauses are few."""
        return len(self.held) <= HELD_STANZAS // 2 and self._bytes <= HELD_BYTES / 2
