"""The IQ requests that components have asked over one connection, and whose answers are due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actors.messages import AskIq, IqAnswered
from emp.errors import JIDError
from emp.iq import PendingIqs
from emp.jid import JID
from emp.stanza import Iq, Stanza

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

    def forget(self, reason: str) -> set[int]:
        """No answers will come. Returns the identities (id()) of the requests."""
        forgotten: list[AskIq] = self._pending.clear()
        for asked in forgotten:
            self.answer(asked, None, reason)
        return {id(asked.iq) for asked in forgotten}

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        for asked in self._pending.expired(loop.time()):
            self.answer(asked, None, f"no answer within {asked.timeout:g} s")
        self._changed()
        self._sweeping = bool(self._pending)
        if self._sweeping:
            loop.call_later(SWEEP, self._sweep, loop)


def late(stanza: Stanza, due: set[tuple[str | None, str | None]]) -> bool:
    """Whether `stanza` answers a request that somebody else has answered already. `due` are
    (from, id) of the requests whose answers are due."""
    answers = isinstance(stanza, Iq) and not stanza.is_request
    return answers and (stanza.to_text, stanza.id) not in due
