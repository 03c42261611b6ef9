"""Stanzas that go back to those who sent them, because they did not reach the server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

from actors.base import logger
from actors.messages import Ref
from actors.outbox import Outgoing, runs
from emp.events import SendFailed

PAUSE: Final = 1.0
"""Seconds from one report to the next. Many a hook sends again what comes back; where it fails
again at once, on a connection that has given up, say, that must not keep a processor busy."""


class Reports:
    """What a connection reports, all that has come together at a time.

    `tell(sender, failures)` delivers it.
    """

    def __init__(self, tell: Callable[[Ref, tuple[SendFailed, ...]], None]) -> None:
        self.count = 0
        self._tell = tell
        self._waiting: list[tuple[Outgoing, SendFailed]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0  # time of the event loop before which nothing is told

    def add(
        self,
        items: Iterable[Outgoing],
        connection: str,
        reason: str,
        loop: asyncio.AbstractEventLoop,
        *,
        uncertain: bool,
    ) -> None:
        """Report these in this turn of the loop, or when the pause is over."""
        news = [(item, SendFailed(connection, item.stanza, reason, uncertain)) for item in items]
        self.count += len(news)
        self._waiting += news
        if self._waiting and self._timer is None:
            self._timer = loop.call_at(max(self._next, loop.time()), self._due, loop)

    def _due(self, loop: asyncio.AbstractEventLoop) -> None:
        self._next = loop.time() + PAUSE
        self.flush()

    def flush(self) -> None:
        """Now, for there is no later."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, []
        counts = Counter((each.connection, each.uncertain, each.reason) for _, each in waiting)
        for (connection, uncertain, reason), count in counts.items():
            what = "may not have arrived" if uncertain else "were not sent"
            logger.error("%s: %d stanzas %s: %s", connection, count, what, reason)
        failures = (failure for _, failure in waiting)
        for sender, stanzas in runs(item for item, _ in waiting):
            report = tuple(islice(failures, len(stanzas)))
            if sender is not None:  # else it was a word of the connection's own
                self._tell(sender, report)
