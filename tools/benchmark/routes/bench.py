"""Runs the peers with tables of several sizes, and the table of EMP alone."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tools.benchmark import processes
from tools.benchmark.errors import BenchError
from tools.benchmark.measuring import CACHE, measure, progress
from tools.benchmark.peers import ROOT, install_packages
from tools.benchmark.report import Measurement
from tools.benchmark.routes.peers import peer
from tools.benchmark.routes.shapes import COUNT_VARIABLE, SORT_VARIABLE
from tools.benchmark.stub import Load, compile_stub

LOAD = Load(
    warm_up=5_000,
    warm_up_seconds=1.0,  # of a peer that answers a hundred stanzas a second
    round_trips=0,
    seconds=2.0,
    window=1_000,  # so much, and no more, is to be answered when the time is up
    users=1,
    stall=60,
)
SLOW_WINDOW = 20
SLOW_ROUTES = 100_000
"""Peers that walk all their routes answer some ten stanzas a second when there are 10,000, and what
is on its way has to be waited for. So no more is than makes them look at so many routes, or
SLOW_WINDOW stanzas."""
PURE_STANZAS = 2_000


@dataclass(frozen=True, slots=True)
class Cell:
    """One peer with one table: stanzas/s and µs of processor for each, medians over the runs."""

    peer: str
    sort: str
    routes: int
    rate: float
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Pure:
    """EMP's table alone: nanoseconds for one match, processor seconds to load an application, bytes
    that one more route occupies."""

    sort: str
    routes: int
    match_ns: float
    boot_seconds: float
    route_bytes: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """All figures, and what was measured."""

    cells: list[Cell]
    pure: list[Pure]
    versions: dict[str, str]


def run(
    names: Sequence[str],
    sorts: Sequence[str],
    counts: Sequence[int],
    load: Load,
    runs: int,
    stanzas: int = PURE_STANZAS,
) -> Result:
    """Measures each peer with each table `runs` times, in turns, then the pure table with so many
    stanzas. Progress goes to stderr. Raises BenchError."""
    install_packages("gcc", "libc6-dev")
    program = compile_stub(CACHE)
    for name in names:
        peer(name, sorts[0], 1).prepare(CACHE)
    versions = {name: peer(name, sorts[0], 1).version(CACHE) for name in names}
    processes.adopt_orphans()
    measured: dict[tuple[str, str, int], list[Measurement]] = {}
    for number in range(1, runs + 1):
        for sort in sorts:
            for count in counts:
                for name in names:
                    here = load if name == "emp" else replace(load, window=_window(count))
                    found = measure(peer(name, sort, count), program, here)
                    measured.setdefault((name, sort, count), []).append(found)
                    progress(
                        f"run {number}/{runs}  {sort:<6}{count:>7,} routes  {name:<8}"
                        f"{found.outcome.rate:>10,.0f}/s"
                    )
    cells = [_cell(*key, found) for key, found in measured.items()]
    pure = [_pure(sort, count, stanzas) for sort in sorts for count in counts]
    return Result(cells, pure, versions)


def _window(routes: int) -> int:
    return max(min(LOAD.window or 0, SLOW_ROUTES // routes), SLOW_WINDOW)


def _cell(name: str, sort: str, count: int, found: list[Measurement]) -> Cell:
    rate = statistics.median(one.outcome.rate for one in found)
    return Cell(name, sort, count, rate, statistics.median(one.cpu_us for one in found))


def _pure(sort: str, count: int, stanzas: int) -> Pure:
    chosen = {SORT_VARIABLE: sort, COUNT_VARIABLE: str(count)}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **chosen}
    with tempfile.TemporaryDirectory(prefix="emp-bench-") as scratch:
        done = subprocess.run(
            [sys.executable, "-m", "tools.benchmark.routes.pure", str(stanzas)],
            cwd=scratch,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise BenchError(f"the table of {count} routes ({sort}): {done.stderr.strip()[-2000:]}")
    figures = json.loads(done.stdout)
    progress(f"table  {sort:<6}{count:>7,} routes  {figures['match_ns']:>10,.0f} ns each")
    return Pure(sort, count, **figures)
