"""The figures of tools/bench blocking as a table."""

from collections.abc import Sequence

from tools.benchmark.blocking.bench import SLEEP_SECONDS, TARGETS, THREADS, Row
from tools.benchmark.report import table

RATIO = 3.0
"""How many times its own the p99 of the echo may be beside sleepers."""


def render(rows: Sequence[Row]) -> str:
    """A row for each system and component, with what was promised of it."""
    head = ["system", "echo in", "p50 µs", "p99 µs", "p50 beside", "p99 beside", "sleeps/s"]
    lines = [[*head, "p99 ÷ p99", f"≤ {RATIO:g}"]]
    for row in rows:
        figures = (row.p50_alone, row.p99_alone, row.p50_beside, row.p99_beside, row.sleeps)
        judged = "pass" if row.ratio <= RATIO else "FAIL"
        cells = [f"{figure:,.0f}" for figure in figures]
        lines.append([row.system, TARGETS[row.target], *cells, f"{row.ratio:.2f}", judged])
    note = (
        f"beside: {THREADS} actions that sleep {SLEEP_SECONDS * 1000:.0f} ms are under way all the"
        f" time, in {THREADS} threads: {THREADS / SLEEP_SECONDS:.0f} a second at most"
    )
    return f"{table(lines)}\n\n{note}"
