"""When to try again: one decision for every way in which a connection can fail.

What failed is a `ConnectionFailed` whose `step` says how far we got (`emp.net.STEPS`, or
`ESTABLISHED` for a stream that was up); None is a stream that the server closed in order.

    permanent, before the first stream    the configuration is wrong            give up
    permanent, out of a running stream    the server does not want us           give up
    permanent, later                      the server may be coming up, or hold  give up after
                                          our own old stream                    PATIENCE
    anything else                         it passes                             try again

Pauses grow exponentially, with full jitter, and start anew when we get to another step: a server
that answers again has changed for the better. No clock here: times are numbers, in seconds.
"""

from __future__ import annotations

import random
from typing import Final

from actors.backoff import LONGEST, backoff
from emp.errors import ConnectionFailed
from emp.net import ESTABLISHED

PATIENCE: Final = 120.0
"""Seconds for which refusals that look permanent may go on, once there has been a stream: servers
have restarted by then, and given up our old stream."""

LONGEST_ABSENT: Final = 4.0
"""Seconds between tries while nothing answers at the address: a try costs one packet then, and who
restarts a server wants its services back within 5 s."""

LONGEST_FLAPPING: Final = 8.0
"""Seconds between tries while streams come about and break: the way to the server is bad, which
passes, and with resumption nothing is lost by trying."""

STABLE: Final = 30.0
"""Seconds a stream must live for the next failure to count as the first again."""


_LONGEST: Final = {"connect": LONGEST_ABSENT, ESTABLISHED: LONGEST_FLAPPING}


class Reconnection:
    """The failures of one connection so far."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self.attempts = 0  # since the last stable stream
        self.proven = False  # there has been a stream
        self._rng = rng
        self._step: str | None = None
        self._streak = 0  # failures at the same step
        self._refused_since: float | None = None

    def opened(self) -> None:
        """There is a stream."""
        self.proven = True
        self._refused_since = None

    def closed(self, lasted: float) -> None:
        """It is over, after `lasted` seconds."""
        if lasted >= STABLE:
            self.forgive()

    def forgive(self) -> None:
        """What was before does not count any more: a stream has lasted, or the operator acts."""
        self.attempts = self._streak = 0
        self._refused_since = None

    def after(self, failure: ConnectionFailed | None, now: float) -> float | None:
        """Seconds to wait before the next try, None to give up."""
        if failure is not None and failure.permanent and self._is_final(failure, now):
            return None
        if failure is None or not failure.permanent:
            self._refused_since = None
        step = failure.step if failure is not None else ESTABLISHED
        self._streak = self._streak + 1 if step == self._step else 1
        self._step = step
        self.attempts += 1
        return backoff(self._streak, self._rng, _LONGEST.get(step, LONGEST))

    def _is_final(self, failure: ConnectionFailed, now: float) -> bool:
        if not self.proven or failure.step == ESTABLISHED:
            return True
        if self._refused_since is None:
            self._refused_since = now
        return now - self._refused_since >= PATIENCE
