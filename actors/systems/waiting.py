"""Where Thespian waits: in the actor's asyncio loop, when there is one.

Thespian's transport makes a selector on each of its turns and waits in it for its sockets. Ours
waits in the loop instead, for the selector itself: an epoll descriptor is readable when anything in
it is ready. So the loop runs all the time, as in any asyncio program, and costs Thespian's mailbox
nothing: who is ready first, has the turn.
"""

from __future__ import annotations

import os
import selectors
from types import SimpleNamespace
from typing import Any, Protocol


class Waiter(Protocol):
    def wait(self, descriptor: int, seconds: float | None) -> bool:
        """Return True when `descriptor` is readable, after `seconds`, or early for any other
        reason; False at once when this is no time to wait here."""

    def wake(self) -> None:
        """Have a `wait` that is going on return: Thespian has something new to do or to watch."""


_waiter: Waiter | None = None


def wait_in(waiter: Waiter | None) -> None:
    """From now on, wait in this, or in the selector itself."""
    global _waiter
    _waiter = waiter


def wake() -> None:
    if _waiter is not None:
        _waiter.wake()


os.register_at_fork(after_in_child=lambda: wait_in(None))  # the loop is the parent's


class WaitingSelector(selectors.DefaultSelector):
    """The selector that Thespian gets."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        waited = _waiter is not None and _waiter.wait(self.fileno(), timeout)
        return super().select(0 if waited else timeout)


SELECTORS: Any = SimpleNamespace(
    DefaultSelector=WaitingSelector,
    EVENT_READ=selectors.EVENT_READ,
    EVENT_WRITE=selectors.EVENT_WRITE,
)
"""Stands where upstream's transport keeps the module `selectors`."""
