"""How long to wait before trying again: exponential, with full jitter."""

from __future__ import annotations

import random

FIRST = 0.5
"""Seconds: the longest wait before the second try."""

LONGEST = 30.0
"""Seconds: what has failed for long is tried again within this time."""

SHORTEST = 0.05
"""Seconds: even a lucky draw doesn't make a busy loop."""


def backoff(attempt: int, rng: random.Random | None = None, longest: float = LONGEST) -> float:
    """Seconds to wait after failure number `attempt` (from 1): uniform in [SHORTEST, 2ⁿ·FIRST],
    never more than `longest`."""
    ceiling = min(longest, FIRST * 2.0 ** min(attempt - 1, 16))
    draw = (rng or random).uniform(0.0, ceiling)
    return max(SHORTEST, draw)
