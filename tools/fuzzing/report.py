"""The result of a run, for people."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from tools.fuzzing.boss import Found, Result


def render(result: Result) -> str:
    """A few lines, and a command for each failure that shows it again."""
    return "\n".join([*_lines(result)])


def _lines(result: Result) -> Iterator[str]:
    counts, settings = result.counts, result.settings
    rate = counts.executions / result.seconds if result.seconds else 0.0
    ending = ", interrupted" if result.interrupted else ""
    yield f"seed {settings.seed}, {settings.jobs} processes, {result.seconds:,.1f} s{ending}"
    yield f"executions      {counts.executions:>14,}   {rate:,.0f} per second"
    yield f"calls           {counts.calls:>14,}   of byte doors in them"
    yield f"streams         {counts.streams:>14,}   {counts.stale:,} over at their beginning"
    yield f"laws            {counts.laws:>14,}   inputs that were cut in other ways as well"
    yield f"signatures      {counts.signatures:>14,}   kinds of behaviour"
    yield f"growth          {result.growth:>14,}   bytes after the warm-up"
    yield f"failures        {result.failures:>14,}"
    for found in result.found.values():
        yield from _failure(found)


def _failure(found: Found) -> Iterator[str]:
    failure = found.failure
    yield ""
    subject = failure.case.subject
    yield f"{failure.kind} at {failure.place}, {found.count:,} times, first with {subject}:"
    yield from [f"    {line}" for line in failure.text.strip().splitlines()[-6:]]
    for file in found.files:
        yield f"    tools/fuzz --replay {shlex.quote(str(file))}"
