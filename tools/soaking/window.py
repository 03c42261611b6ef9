"""How much a sender may have unanswered: whoever never waits fills the server's queues instead."""

from __future__ import annotations

import asyncio

PATIENCE = 25.0
"""Seconds after which an answer is not coming: longer than any stall of the plan with all that
follows it, but the sender must go on, for the run to end."""


class Window:
    """The numbers of messages that wait for their answers, at most `size`."""

    def __init__(self, size: int, patience: float = PATIENCE) -> None:
        self.size, self.patience = size, patience
        self._waiting: dict[int, float] = {}  # number → when we stop waiting for it
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    async def room(self) -> None:
        """Wait until one more may be sent."""
        loop = asyncio.get_running_loop()
        while len(self._waiting) >= self.size:
            self._news.clear()
            oldest, deadline = next(iter(self._waiting.items()))
            try:
                async with asyncio.timeout_at(deadline):
                    await self._news.wait()
            except TimeoutError:
                if loop.time() >= deadline:
                    self._waiting.pop(oldest, None)

    def opened(self, number: int) -> None:
        """That was sent."""
        self._waiting[number] = asyncio.get_running_loop().time() + self.patience

    def closed(self, number: int) -> None:
        """Its answer is here, or nobody waits for it any more."""
        self._waiting.pop(number, None)
        self._news.set()
