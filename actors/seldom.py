"""Saying something seldom: what peers cause may be logged, but must not fill the log."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

PERIOD: Final = 600.0
"""Seconds in which one subject is spoken of once: often enough for who looks on, and a handful of
lines in an hour."""

SUBJECTS: Final = 40
"""Subjects in one period: a peer may invent as many as it likes."""


class Seldom:
    """Which subjects to speak of now. Time is given in seconds, from any origin."""

    __slots__ = ("_began", "_spoken")

    def __init__(self) -> None:
        self._began = float("-inf")
        self._spoken: set[Hashable] = set()

    def may(self, subject: Hashable, now: float) -> bool:
        """True when the subject was not spoken of in this period, and there is room for one
        more."""
        if now - self._began >= PERIOD:
            self._began = now
            self._spoken.clear()
        if subject in self._spoken or len(self._spoken) >= SUBJECTS:
            return False
        self._spoken.add(subject)
        return True
