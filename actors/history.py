"""What happened: the events that the supervisor keeps for whoever looks on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

from actors.messages import Event

EVENTS_KEPT = 1000
"""Events that can be asked for. Whoever asks less often than this many events misses some."""

EVENTS_OF_CONNECTION = 20
"""Events kept more for each connection: twice what it takes to come up."""


class History:
    """The last events, numbered from 1."""

    def __init__(self) -> None:
        self.count = 0
        self._events: deque[Event] = deque(maxlen=EVENTS_KEPT)

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)

    def make_room(self, connections: int) -> None:
        """There are so many connections."""
        kept = EVENTS_KEPT + EVENTS_OF_CONNECTION * connections
        self._events = deque(self._events, maxlen=kept)

    def add(
        self,
        kind: str,
        name: str,
        detail: str = "",
        seconds: float | None = None,
        remedy: str | None = None,
    ) -> None:
        """It happened now, to the actor `name`."""
        self.count += 1
        self._events.append(Event(self.count, time.time(), kind, name, detail, seconds, remedy))

    def after(self, number: int) -> tuple[Event, ...]:
        return tuple(event for event in self._events if event.number > number)
