"""One process that fuzzes: told what to do on its command line, tells what happened on its output.

Each line that it writes is one JSON object, with "counts" and "growth", or a "failure"; the last
one has "done".
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tools.fuzzing.box import BlackBox
from tools.fuzzing.case import Case, Failure
from tools.fuzzing.chance import predictable
from tools.fuzzing.explore import Explorer

TELL_EVERY: Final = 0.5
"""Seconds."""

SLOW: Final = 5.0
"""Seconds of processor time for one stream, which has some 100 KiB: it takes a hundredth of that,
unless something costs the square of what comes in."""

WARM_UP: Final = 20_000
"""Executions until caches are full: what a process has then is what it may have."""

GROWTH: Final = 67_108_864
"""Bytes that it may have more, ever. libxml2 would keep that much of peers' names in some minutes,
if nobody made it forget them."""

_PAGE: Final = resource.getpagesize()
_STATM: Final = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is to do. executions: at least so many; None: until it is told to stop."""

    seed: str
    roles: tuple[str, ...]
    executions: int | None
    box: str

    def to_json(self) -> str:
        """For the worker's command line."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Order:
        """The order again."""
        record = json.loads(text)
        return Order(record["seed"], tuple(record["roles"]), record["executions"], record["box"])


class Worker:
    """Runs one explorer until it has done enough."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._explorer = Explorer(order.seed, order.roles, BlackBox(Path(order.box)))
        self._stopped = False
        self._usual: int | None = None  # bytes, once it is warm
        self._most = 0

    def stop(self, *_: object) -> None:
        """Soon."""
        self._stopped = True

    def run(self) -> None:
        """Until the order is carried out."""
        counts = self._explorer.counts
        enough = self._order.executions
        next_time = time.monotonic() + TELL_EVERY
        used = time.process_time()
        while not self._stopped and (enough is None or counts.executions < enough):
            failure = self._explorer.stream()
            before, used = used, time.process_time()
            if failure is None and used - before > SLOW:
                text = f"{used - before:.1f} s of processor time for one stream"
                failure = Failure("slow", self._explorer.case.subject, text, self._explorer.case)
            if failure is not None:
                tell(failure=asdict(failure))
            now = time.monotonic()
            if now >= next_time:
                next_time = now + TELL_EVERY
                self._weigh()
                self._tell_counts()
                used = time.process_time()
        self._tell_counts(done=True)

    def _tell_counts(self, **more: Any) -> None:
        growth = self._most - self._usual if self._usual else 0
        tell(counts=asdict(self._explorer.counts), growth=growth, **more)

    def _weigh(self) -> None:
        size = int(_STATM.read_text().split()[1]) * _PAGE
        if self._usual is None:
            if self._explorer.counts.executions >= WARM_UP:
                self._usual = self._most = size
        elif size > self._most:
            if self._most <= self._usual + GROWTH < size:
                text = f"{size:,} bytes after {self._usual:,} when it was warm"
                tell(failure=asdict(Failure("memory", "process", text, Case("parser", ()))))
            self._most = size


def failure_from(record: dict[str, Any]) -> Failure:
    """The failure that a worker told."""
    case = record["case"]
    steps = tuple([tuple(step) for step in case["steps"]])
    return Failure(
        record["kind"], record["place"], record["text"], Case(case["subject"], steps, case["lazy"])
    )


def tell(**message: Any) -> None:
    """One line."""
    print(json.dumps(message), flush=True)


def main(arguments: Sequence[str]) -> int:
    """Carries out one order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the boss, who tells us
    with predictable():
        worker = Worker(Order.from_json(arguments[0]))
        signal.signal(signal.SIGTERM, worker.stop)
        # Streams are made and thrown away by the thousand: what was here before is here to stay.
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        try:
            worker.run()
        except BrokenPipeError:  # the boss is gone
            os._exit(1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
