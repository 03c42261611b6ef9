"""How long a socket has not been read, and when that is worth a word.

Pauses are the everyday back pressure: under load there are many, each over in milliseconds. One
that lasts means that somebody does not get on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

PAUSE_TOLD: Final = 5.0
"""Seconds after which a pause is told: half of what a hung process gets (`actors.family`), so that
people read first who holds everything up, and then what became of it."""


class Pause:
    """One pause after the other. `lasts` is called when one is to be told; when such a one is over,
    `over` is, with the seconds that it took."""

    def __init__(self, lasts: Callable[[], None], over: Callable[[float], None]) -> None:
        self._lasts, self._over = lasts, over
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop
        self._since = 0.0
        self.told = False

    @property
    def seconds(self) -> float:
        return self._loop.time() - self._since if self._timer is not None else 0.0

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._since = loop, loop.time()
        self._timer = loop.call_later(PAUSE_TOLD, self._tell)

    def end(self) -> None:
        if self._timer is None:
            return
        seconds = self.seconds
        self._timer.cancel()
        self._timer = None
        if self.told:
            self.told = False
            self._over(seconds)

    def _tell(self) -> None:
        self.told = True
        self._lasts()
