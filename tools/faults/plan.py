"""What goes wrong, and after how many bytes: a list that a seed decides, so a failure is a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Direction = Literal["up", "down"]
"""up: from who connected to us towards the server. down: from the server."""

Kind = Literal["fin", "rst", "stall", "split", "delay", "flip"]

DIRECTIONS: tuple[Direction, ...] = ("up", "down")

_CUTS: tuple[Kind, ...] = ("fin", "rst")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    after: bytes that pass in `direction` before it does, counted from the fault before it.
    fin, rst: every connection ends in order, or is reset. stall: nothing passes in `direction` for
    `seconds`. split: for the next `count` bytes of it at most `size` bytes pass at once. delay: for
    the next `count` bytes every piece waits `seconds`. flip: the next byte is XORed with `size`.
    """

    kind: Kind
    direction: Direction
    after: int
    seconds: float = 0.0
    size: int = 1
    count: int = 0

    def __post_init__(self) -> None:
        if self.after < 0 or self.seconds < 0 or not 1 <= self.size <= 0xFFFF or self.count < 0:
            raise ValueError(f"not a fault: {self}")


class Plan:
    """Faults in the order in which they happen. The same arguments make the same plan.

    cuts, stalls, splits, delays, flips: how many of each. gap: the fewest and the most bytes from
    one fault to the next. stall_seconds: the shortest and the longest stall. A cut is FIN or RST by
    chance.
    """

    def __init__(
        self,
        seed: int,
        *,
        cuts: int = 0,
        stalls: int = 0,
        splits: int = 0,
        delays: int = 0,
        flips: int = 0,
        gap: tuple[int, int] = (1, 50_000),
        stall_seconds: tuple[float, float] = (0.05, 1.0),
    ) -> None:
        self.seed = seed
        chance = random.Random(seed)
        kinds: list[Kind] = [chance.choice(_CUTS) for _ in range(cuts)]
        counts: dict[Kind, int] = {"stall": stalls, "split": splits, "delay": delays, "flip": flips}
        kinds += [kind for kind, count in counts.items() for _ in range(count)]
        chance.shuffle(kinds)
        self.faults = [self._fault(kind, chance, gap, stall_seconds) for kind in kinds]

    @staticmethod
    def _fault(
        kind: Kind, chance: random.Random, gap: tuple[int, int], stall: tuple[float, float]
    ) -> Fault:
        direction, after = chance.choice(DIRECTIONS), chance.randint(*gap)
        match kind:
            case "stall":
                return Fault(kind, direction, after, seconds=chance.uniform(*stall))
            case "split":
                size, count = chance.choice((1, 2, 3, 7, 100)), chance.randint(1, 2000)
                return Fault(kind, direction, after, size=size, count=count)
            case "delay":
                seconds, count = chance.uniform(0.001, 0.02), chance.randint(1, 20_000)
                return Fault(kind, direction, after, seconds=seconds, count=count)
            case "flip":
                return Fault(kind, direction, after, size=1 << chance.randrange(8))
            case _:
                return Fault(kind, direction, after)

    def __iter__(self) -> Iterator[Fault]:
        return iter(self.faults)

    def __len__(self) -> int:
        return len(self.faults)

    def __repr__(self) -> str:
        return f"Plan(seed={self.seed}, {len(self)} faults)"
