"""The command line of tools/fuzz."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path

from tools.fuzzing.boss import Boss, FuzzError, Result, Settings, as_json
from tools.fuzzing.replay import replay
from tools.fuzzing.report import render
from tools.fuzzing.subjects import ROLES

USUAL = 100_000

EXAMPLES = f"""\
examples:
  tools/fuzz                                    {USUAL:,} executions, half a minute
  tools/fuzz --executions 10_000_000            as many as it takes to believe it
  tools/fuzz --seconds 3600 --jobs 1 --role server --role client
  tools/fuzz --seed 7 --json
  tools/fuzz --replay failures/exception-parser.py-99-1.json

An execution is one mutated input that is handed to a byte door (receive_data, receive_messages, or
StreamParser.receive) of a stream that is not over. An input counts once, in however many pieces it
comes; the unmutated beginning of a dialogue, what comes after the end of a stream, and what is fed
once more, otherwise cut, to compare the outcomes, count for nothing.

Streams start in every phase of recorded dialogues (tools/fuzzing/corpus). The judge: nothing is
raised; nothing follows the end; the books of stream management agree with what was reported; what
is queued and reported is XML; how bytes are cut makes no difference; memory does not grow; nothing
takes long; no process crashes or hangs. Every failure is saved as a file that --replay shows again.
Exit code: 0 when nothing failed, 1 when something did, 2 for a wrong command line, 130 when
interrupted.
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs the fuzzer, or replays a failure. Returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.replay is not None:
        return _replay(options.replay)
    executions = options.executions
    if executions is None and options.seconds is None:
        executions = USUAL
    settings = Settings(
        executions=executions,
        seconds=options.seconds,
        seed=options.seed if options.seed is not None else random.randrange(2**32),
        roles=tuple(options.role or ROLES),
        jobs=options.jobs,
    )
    for number in (signal.SIGINT, signal.SIGTERM):  # a background job is born with SIGINT ignored
        signal.signal(number, _interrupt)
    try:
        with tempfile.TemporaryDirectory(prefix="emp-fuzz-") as directory:
            result = Boss(settings, Path(directory), _saver(options.save)).run(_Line())
    except FuzzError as error:
        print(f"fuzz: error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(as_json(result), indent=2) if options.json else render(result))
    if not result.ok:
        return 1
    return 130 if result.interrupted else 0


def _replay(file: Path) -> int:
    try:
        json.loads(file.read_text())["steps"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"fuzz: error: {file} is no failure that can be replayed: {error}", file=sys.stderr)
        return 2
    return replay(file.resolve())


def _saver(directory: Path | None) -> Callable[[], Path]:
    """Makes the directory for failures when the first one comes."""
    made: list[Path] = []

    def save() -> Path:
        if not made:
            made.append(directory or Path(tempfile.mkdtemp(prefix="emp-fuzz-failures-")))
            made[0].mkdir(parents=True, exist_ok=True)
        return made[0]

    return save


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/fuzz",
        description="Dialogues with a peer that has gone mad: does the stream engine hold?",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--executions",
        type=_number(1, 10**12),
        help=f"at least so many (default: {USUAL:,}, or no bound with --seconds)",
    )
    parser.add_argument("--seconds", type=_number(1, 10**7), help="not longer than that")
    parser.add_argument("--seed", type=_number(0, 2**32 - 1), help="decides the mutations")
    parser.add_argument(
        "--role", action="append", choices=ROLES, help="only that one; repeatable (default: all)"
    )
    parser.add_argument(
        "--jobs",
        type=_number(1, 256),
        default=len(os.sched_getaffinity(0)),
        help="processes (default: one for each processor, %(default)d)",
    )
    parser.add_argument(
        "--save", type=Path, metavar="DIRECTORY", help="for failures (default: a new one)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="show a failure again")
    return parser


def _number(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text.replace(",", "").replace("_", ""))
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be from {low} to {high}")
        return value

    read.__name__ = "number"  # for argparse's message
    return read


class _Line:
    """One line of progress: overwritten on a terminal, else a new one every now and then."""

    EVERY = 10.0

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._next = 0.0

    def __call__(self, result: Result) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (0.5 if self._terminal else self.EVERY)
        counts = result.counts
        rate = counts.executions / result.seconds if result.seconds else 0.0
        text = (
            f"{counts.executions:,} executions, {rate:,.0f} per second; "
            f"{counts.signatures:,} signatures; {result.failures:,} failures"
        )
        print(f"fuzz: {text}", end="\r" if self._terminal else "\n", file=sys.stderr, flush=True)


def _interrupt(_signal: int, _frame: types.FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
