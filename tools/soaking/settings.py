"""What is to be run, and which faults that means."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from tools.faults import Fault
from tools.faults.plan import DIRECTIONS, Kind

Server = Literal["prosody", "ejabberd", "embedded"]
System = Literal["embedded", "multiproc"]
LinkKind = Literal["client", "component"]

KEEPALIVE, PING_TIMEOUT = 2.0, 2.0
"""Seconds, of the application under fire: a stall longer than both together must be noticed."""

SHORT_STALL, LONG_STALL = (0.1, 1.5), (KEEPALIVE + PING_TIMEOUT + 1, KEEPALIVE + PING_TIMEOUT + 4)
"""Seconds. Every other stall is a long one."""

BYTES_PER_MESSAGE = 400
"""What one message and one answer take on the wire in one direction, at least: see history.PADDING
for the body; addresses and the elements come on top of it."""

SHARE: dict[LinkKind, float] = {"client": 0.8, "component": 0.5}
"""Of the traffic, within which all faults happen. What is sent to a component that is not connected
comes back from the server, and is no traffic of the component."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One run. `messages` is the number each way, shared among `users`; `window` how many may be
    unanswered each way. `mended`: the server without the fault that tools.servers.Options tells."""

    messages: int = 10_000
    cuts: int = 50
    stalls: int = 10
    seed: int = 0
    server: Server = "prosody"
    system: System = "embedded"
    kind: LinkKind = "client"
    users: int = 4
    window: int = 200
    mended: bool = True

    @property
    def each(self) -> int:
        """Messages of each user, and to each user."""
        return -(-self.messages // self.users)

    @property
    def total(self) -> int:
        """Messages each way, rounded up so that everybody has as many."""
        return self.each * self.users

    @property
    def window_each(self) -> int:
        return max(1, self.window // self.users)

    def faults(self) -> list[Fault]:
        """The faults of this run, in the order in which they happen; decided by the seed."""
        chance = random.Random(self.seed)
        stalls = [LONG_STALL if number % 2 == 0 else SHORT_STALL for number in range(self.stalls)]
        kinds: list[tuple[Kind, float]] = [("stall", chance.uniform(*each)) for each in stalls]
        kinds += [(chance.choice(("fin", "rst")), 0.0) for _ in range(self.cuts)]
        chance.shuffle(kinds)
        gap = int(2 * SHARE[self.kind] * BYTES_PER_MESSAGE * self.total / max(1, len(kinds)))
        return [
            Fault(kind, chance.choice(DIRECTIONS), chance.randint(1, max(1, gap)), seconds=seconds)
            for kind, seconds in kinds
        ]
