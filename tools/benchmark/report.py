"""From measurements to a table: the pure part of the benchmark."""

import math
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.benchmark.stub import Outcome

REFERENCES = ("xmpp.js", "slixmpp")
"""What the others are compared with, when it ran too."""
STUB_IS_THE_LIMIT = 0.9
"""From this share of a core on, the stub may be what was measured."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of one peer: what the stub saw, and the peak memory of all its processes, bytes."""

    outcome: Outcome
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Summary:
    """All runs of one peer. Rates are stanzas/s, times µs, memory bytes; medians over the runs,
    except for slowest and fastest, the range of the rates, and peak_bytes, the largest."""

    peer: str
    version: str
    rate: float
    slowest: float
    fastest: float
    p50_us: float | None
    p99_us: float | None
    peak_bytes: int
    stub_cpu: float
    ratios: Mapping[str, float]


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that at least `percent` of all do not exceed (nearest rank).

    Raises ValueError for no values or a percent outside 0 … 100.
    """
    if not values or not 0 <= percent <= 100:
        raise ValueError(f"no {percent}th percentile of {len(values)} values")
    rank = math.ceil(percent / 100 * len(values))
    return sorted(values)[max(rank, 1) - 1]


def summarise(
    runs: Mapping[str, Sequence[Measurement]], versions: Mapping[str, str]
) -> list[Summary]:
    """One summary for each peer, in the order given; ratios are those of the median rates."""
    rates = {
        peer: statistics.median(run.outcome.rate for run in peer_runs)
        for peer, peer_runs in runs.items()
    }
    return [
        Summary(
            peer=peer,
            version=versions[peer],
            rate=rates[peer],
            slowest=min(run.outcome.rate for run in peer_runs),
            fastest=max(run.outcome.rate for run in peer_runs),
            p50_us=_round_trip(peer_runs, 50),
            p99_us=_round_trip(peer_runs, 99),
            peak_bytes=max(run.peak_bytes for run in peer_runs),
            stub_cpu=max(run.outcome.stub_cpu for run in peer_runs),
            ratios={name: rates[peer] / rates[name] for name in REFERENCES if name in rates},
        )
        for peer, peer_runs in runs.items()
    ]


def _round_trip(runs: Sequence[Measurement], percent: float) -> float | None:
    trips = [run.outcome.round_trips_ns for run in runs if run.outcome.round_trips_ns]
    if not trips:
        return None
    return statistics.median(percentile(trip, percent) for trip in trips) / 1000


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as aligned text, as Markdown reads it. The first row is the head; the first
    column goes left, the others, numbers, go right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return f"| {' | '.join(cells)} |"

    rule = [f"{'-' * widths[0]}-", *(f"{'-' * width}:" for width in widths[1:])]
    return "\n".join([line(rows[0]), f"|-{'|-'.join(rule)}|", *map(line, rows[1:])])


def render(summaries: Sequence[Summary]) -> str:
    """The summaries as a table, and below it what was compared and what to be careful with."""
    references = [name for name in REFERENCES if any(name in s.ratios for s in summaries)]
    head = ["peer", "stanzas/s", "range", *(f"× {name}" for name in references)]
    head += ["p50 µs", "p99 µs", "peak MB"]
    rows = [head]
    for s in summaries:
        rows.append(
            [
                s.peer,
                f"{s.rate:,.0f}",
                f"{s.slowest:,.0f}–{s.fastest:,.0f}",
                *(f"{s.ratios[name]:.2f}" for name in references),
                "–" if s.p50_us is None else f"{s.p50_us:,.0f}",
                "–" if s.p99_us is None else f"{s.p99_us:,.0f}",
                f"{s.peak_bytes / 1e6:,.0f}",
            ]
        )
    notes = [f"{s.peer}: {s.version}" for s in summaries]
    notes += [
        f"{s.peer}: the stub took {s.stub_cpu:.0%} of a core, so it may be the limit"
        for s in summaries
        if s.stub_cpu > STUB_IS_THE_LIMIT
    ]
    return "\n".join([table(rows), "", *notes])


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    return {
        "cpu": _cpu_model(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load before": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"model name", "Model"}:
            return value.strip()
    return platform.machine()
