"""The IQ requests that components have asked over one connection, and whose answers are due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actors.messages import AskIq, AskRoster, IqAnswered, RosterGiven
from emp.errors import JIDError
from emp.iq import PendingIqs
from emp.jid import JID
from emp.stanza import Iq, Stanza
from emp.xep.roster import Item

SWEEP = 0.25
"""Seconds between looks for requests whose time is up: the precision of a timeout."""


class Requests:
    """Every asker hears once: the answer, or why there is none.

    `tell(asked, answered)` delivers it; `changed()` is called when some requests have run out of
    time.
    """

    def __init__(
        self, tell: Callable[[AskIq, IqAnswered], None], changed: Callable[[], None]
    ) -> None:
        self._pending: PendingIqs[AskIq] = PendingIqs()
        self._tell, self._changed = tell, changed
        self._sweeping = False

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, id: str) -> bool:
        return id in self._pending

    def add(self, asked: AskIq, own: JID, loop: asyncio.AbstractEventLoop) -> None:
        """Expect the answer. Raises LocalProtocolError when it can't be told apart."""
        self._pending.add(asked.iq, own, asked, loop.time() + asked.timeout)
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(SWEEP, self._sweep, loop)

    def answered(self, stanza: Iq) -> bool:
        """Whether this result or error was asked for; then the asker has it."""
        try:
            asked = self._pending.answered(stanza)
        except JIDError:
            return False
        if asked is not None:
            self.answer(asked, stanza)
        return asked is not None

    def answer(self, asked: AskIq, stanza: Iq | None, reason: str = "") -> None:
        """Tell the asker."""
        self._tell(asked, IqAnswered(asked.asker.incarnation, asked.token, stanza, reason))

    def withdraw(self, asked: AskIq, reason: str) -> None:
        """It could not even be sent."""
        self._pending.drop(asked.iq)
        self.answer(asked, None, reason)

    def forget(self, reason: str) -> None:
        """No answers will come."""
        forgotten: list[AskIq] = self._pending.clear()
        for asked in forgotten:
            self.answer(asked, None, reason)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        for asked in self._pending.expired(loop.time()):
            self.answer(asked, None, f"no answer within {asked.timeout:g} s")
        self._changed()
        self._sweeping = bool(self._pending)
        if self._sweeping:
            loop.call_later(SWEEP, self._sweep, loop)


class RosterRequests:
    """Who waits for the roster. An asker that has lost patience is forgotten."""

    def __init__(self, tell: Callable[[AskRoster, RosterGiven], None]) -> None:
        self._tell = tell
        self._waiting: list[tuple[float, AskRoster]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, asked: AskRoster, now: float) -> None:
        """`now` is any clock's time, in seconds."""
        if self._waiting and self._waiting[0][0] <= now:
            self._waiting = [each for each in self._waiting if each[0] > now]
        self._waiting.append((now + asked.timeout, asked))

    def give(self, items: tuple[Item, ...] | None, reason: str = "") -> None:
        """To all of them."""
        waiting, self._waiting = self._waiting, []
        for _, asked in waiting:
            given = RosterGiven(asked.asker.incarnation, asked.token, items, reason)
            self._tell(asked, given)


def late(stanza: Stanza, due: set[tuple[str | None, str | None]]) -> bool:
    """Whether `stanza` answers a request that somebody else has answered already. `due` are
    (from, id) of the requests whose answers are due."""
    answers = isinstance(stanza, Iq) and not stanza.is_request
    return answers and (stanza.to_text, stanza.id) not in due
