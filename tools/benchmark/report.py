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
WINDOW = 500
"""Round trips of one window. A latency is the median over the windows of all runs, so that a
neighbour who is busy for a while does not make it."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of one peer: what the stub saw; of all processes of the peer the peak memory in
    bytes, and for the flood the processor time in seconds and, where they could be counted, the
    instructions."""

    outcome: Outcome
    peak_bytes: int
    cpu_seconds: float = 0.0
    instructions: int | None = None

    @property
    def cpu_us(self) -> float:
        """Processor time for one stanza of the flood, µs."""
        return self.cpu_seconds / self.outcome.stanzas * 1e6


@dataclass(frozen=True, slots=True)
class Summary:
    """All runs of one peer. Rates are stanzas/s, times µs, memory bytes; medians over the runs,
    except for slowest and fastest, the range of the rates, p50 and p99, over the windows, and
    peak_bytes, the largest. cpu_us and instructions are those of one stanza of the flood."""

    peer: str
    version: str
    rate: float
    slowest: float
    fastest: float
    p50_us: float | None
    p99_us: float | None
    cpu_us: float
    instructions: float | None
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
            p50_us=round_trip(peer_runs, 50),
            p99_us=round_trip(peer_runs, 99),
            cpu_us=statistics.median(run.cpu_us for run in peer_runs),
            instructions=_instructions(peer_runs),
            peak_bytes=max(run.peak_bytes for run in peer_runs),
            stub_cpu=max(run.outcome.stub_cpu for run in peer_runs),
            ratios={name: rates[peer] / rates[name] for name in REFERENCES if name in rates},
        )
        for peer, peer_runs in runs.items()
    ]


def round_trip(runs: Sequence[Measurement], percent: float) -> float | None:
    """The percentile of the round trips, µs: its median over the windows of these runs."""
    windows = [part for run in runs for part in windows_of(run.outcome.round_trips_ns)]
    if not windows:
        return None
    return statistics.median(percentile(window, percent) for window in windows) / 1000


def windows_of(trips: Sequence[int]) -> list[Sequence[int]]:
    """The round trips in windows of WINDOW; what is left goes into the last one."""
    count = max(len(trips) // WINDOW, 1)
    starts = [number * WINDOW for number in range(count)]
    ends = [*starts[1:], len(trips)]
    return [trips[start:end] for start, end in zip(starts, ends, strict=True) if start < end]


def _instructions(runs: Sequence[Measurement]) -> float | None:
    counts = [
        run.instructions / run.outcome.stanzas for run in runs if run.instructions is not None
    ]
    return statistics.median(counts) if counts else None


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
    counted = any(s.instructions is not None for s in summaries)
    head += ["p50 µs", "p99 µs", "CPU µs", *(["instructions"] if counted else []), "peak MB"]
    rows = [head]
    for s in summaries:
        rows.append(
            [
                s.peer,
                f"{s.rate:,.0f}",
                f"{s.slowest:,.0f}–{s.fastest:,.0f}",
                *(f"{s.ratios[name]:.2f}" for name in references),
                _figure(s.p50_us, ",.0f"),
                _figure(s.p99_us, ",.0f"),
                f"{s.cpu_us:,.1f}",
                *([_figure(s.instructions, ",.0f")] if counted else []),
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


def _figure(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


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
