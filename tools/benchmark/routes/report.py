"""From the figures of tools/bench routes to tables, and to what was promised of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from tools.benchmark.report import table
from tools.benchmark.routes.bench import Cell, Pure, Result

BOOT_SECONDS = 3.0
"""An application of 10,000 routes is to have loaded by then."""
BOOT_ROUTES = 10_000
FLATNESS = (("from", 10_000, 0.85), ("mixed", 1_000, 0.6))
"""Sort, number of routes, and the share of the rate with one route that is to be left with them."""
OTHERS = ("slixmpp", "twisted")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Something that was promised, and whether it is so."""

    text: str
    passed: bool


def render(result: Result) -> str:
    """The tables, one line for each promise, and what was measured."""
    sorts = dict.fromkeys(cell.sort for cell in result.cells)
    parts = [f"routes: {sort}\n{_rates(result.cells, sort)}" for sort in sorts]
    parts.append(f"the table of EMP alone\n{_pure(result.pure)}")
    if judged := verdicts(result):
        parts.append("\n".join(f"{_word(each)}  {each.text}" for each in judged))
    parts.append("\n".join(f"{name}: {version}" for name, version in result.versions.items()))
    return "\n\n".join(parts)


def verdicts(result: Result) -> list[Verdict]:
    """Those promises that these figures tell something about."""
    found = []
    rates = {(cell.sort, cell.routes): cell.rate for cell in result.cells if cell.peer == "emp"}
    for sort, routes, least in FLATNESS:
        if (sort, 1) in rates and (sort, routes) in rates:
            share = rates[sort, routes] / rates[sort, 1]
            text = f"{routes:,} routes ({sort}): {share:.2f} × the rate with one (limit {least})"
            found.append(Verdict(text, share >= least))
    for pure in result.pure:
        if pure.routes == BOOT_ROUTES:
            text = f"{pure.routes:,} routes ({pure.sort}): loaded in {pure.boot_seconds:.2f} s"
            found.append(
                Verdict(f"{text} (limit {BOOT_SECONDS:g})", pure.boot_seconds < BOOT_SECONDS)
            )
    return found


def _word(verdict: Verdict) -> str:
    return "pass" if verdict.passed else "FAIL"


def _rates(cells: Sequence[Cell], sort: str) -> str:
    """Stanzas/s: a row for each peer, a column for each number of routes; below them how many times
    the others' EMP's are."""
    rates = {(cell.peer, cell.routes): cell.rate for cell in cells if cell.sort == sort}
    peers = list(dict.fromkeys(peer for peer, _ in rates))
    counts = list(dict.fromkeys(routes for _, routes in rates))
    rows = [["stanzas/s", *(f"{count:,}" for count in counts), "last ÷ first"]]
    for peer in peers:
        own = [rates[peer, count] for count in counts]
        rows.append([peer, *(f"{rate:,.0f}" for rate in own), f"{own[-1] / own[0]:.3f}"])
    for other in OTHERS:
        if "emp" in peers and other in peers:
            ratios = [f"{rates['emp', count] / rates[other, count]:,.1f}" for count in counts]
            rows.append([f"emp ÷ {other}", *ratios, ""])
    return table(rows)


def _pure(measured: Sequence[Pure]) -> str:
    rows = [["sort", "routes", "ns/match", "bytes/route", "load s"]]
    for one in measured:
        memory = "–" if one.route_bytes is None else f"{one.route_bytes:,.0f}"
        figures = (f"{one.match_ns:,.0f}", memory, f"{one.boot_seconds:.2f}")
        rows.append([one.sort, f"{one.routes:,}", *figures])
    return table(rows)
