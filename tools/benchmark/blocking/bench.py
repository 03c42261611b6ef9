"""Times an echo, alone and beside as many sleeping actions as there are threads.

The sleepers are always under way, each from a sender of its own: when one has been answered it is
sent the next message, so all threads are taken all the time, and no queue grows.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tools.benchmark import processes
from tools.benchmark.measuring import CACHE, measure, progress
from tools.benchmark.peers import Peer, emp_start, emp_version, install_packages, nothing
from tools.benchmark.report import Measurement, round_trip
from tools.benchmark.stub import Load, compile_stub

APPLICATION = Path(__file__).with_name("application.py")
SYSTEMS = {
    "embedded": ("--loop", "asyncio"),
    "embedded-uvloop": ("--loop", "uvloop"),
    "multiproc": ("--system", "multiproc"),
}
TARGETS = {"other": "another component", "same": "the sleepers' component"}
THREADS_VARIABLE = "EMP_BENCH_THREADS"
SLEEP_VARIABLE = "EMP_BENCH_SLEEP"
THREADS = 8
SLEEP_SECONDS = 0.05
LOAD = Load(warm_up=2_000, round_trips=5_000, stanzas=1)


@dataclass(frozen=True, slots=True)
class Row:
    """The echo of one component in one system: percentiles of the round trip in µs, alone and with
    the sleepers, the ratio of the p99s, and how often a second a sleeper was answered."""

    system: str
    target: str
    p50_alone: float
    p99_alone: float
    p50_beside: float
    p99_beside: float
    ratio: float
    sleeps: float


def run(systems: Sequence[str], load: Load, runs: int) -> list[Row]:
    """Measures each system `runs` times. Progress goes to stderr. Raises BenchError."""
    install_packages("gcc", "libc6-dev")
    program = compile_stub(CACHE)
    processes.adopt_orphans()
    measured: dict[tuple[str, str, int], list[Measurement]] = {}
    for number in range(1, runs + 1):
        for system in systems:
            for target in TARGETS:
                for sleepers in (0, THREADS):
                    here = replace(load, to=target, sleepers=sleepers)
                    found = measure(_peer(system), program, here)
                    measured.setdefault((system, target, sleepers), []).append(found)
                    progress(
                        f"run {number}/{runs}  {system:<16}{target:<6} with {sleepers} sleepers"
                        f"{round_trip([found], 50):>8,.0f} µs"
                    )
    return [
        _row(system, target, measured[system, target, 0], measured[system, target, THREADS])
        for system in systems
        for target in TARGETS
    ]


def _peer(system: str) -> Peer:
    start = emp_start(APPLICATION, *SYSTEMS[system])
    variables = [f"{THREADS_VARIABLE}={THREADS}", f"{SLEEP_VARIABLE}={SLEEP_SECONDS}"]
    return Peer(
        system,
        nothing,
        lambda cache, directory, port: ["env", *variables, *start(cache, directory, port)],
        emp_version(system),
    )


def _row(
    system: str, target: str, alone: Sequence[Measurement], beside: Sequence[Measurement]
) -> Row:
    p50_alone, p99_alone, p50_beside, p99_beside = (
        round_trip(runs, percent) or 0.0 for runs in (alone, beside) for percent in (50, 99)
    )
    return Row(
        system=system,
        target=target,
        p50_alone=p50_alone,
        p99_alone=p99_alone,
        p50_beside=p50_beside,
        p99_beside=p99_beside,
        ratio=p99_beside / p99_alone,
        sleeps=statistics.median(one.outcome.slept / one.outcome.latency_seconds for one in beside),
    )
