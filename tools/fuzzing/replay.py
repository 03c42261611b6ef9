"""What a saved case does, step by step: python -m tools.fuzzing.replay FILE.

In a process of its own, for the case may be one that ends it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.fuzzing.boss import ROOT
from tools.fuzzing.case import IN, Case, Step, read_case
from tools.fuzzing.chance import predictable
from tools.fuzzing.explore import failure_of, up_to_input
from tools.fuzzing.law import check_law, told
from tools.fuzzing.oracle import check_queued, check_reported
from tools.fuzzing.run import Run, begin, forgetful


def replay(file: Path) -> int:
    """Plays the case in a process of its own. Returns 1 if it fails, else 0."""
    command = [sys.executable, "-X", "faulthandler", "-m", "tools.fuzzing.replay", str(file)]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code < 0:
        print(f"fuzz: the process ended with signal {-code}")
    return 1 if code else 0


def play_aloud(case: Case) -> int:
    """Plays the case and says what happens. Returns 1 if it fails, else 0."""
    try:
        run = begin(case.subject, lazy=case.lazy)
        print(f"{case.subject}{', lazy' if case.lazy else ''}")
        for number, step in enumerate(case.steps, 1):
            _step(run, number, step)
        check_queued(run.queued, messages=run.messages)
        check_law(up_to_input(case))
    except Exception as error:  # noqa: BLE001 - whatever it is
        failure = failure_of(error, case)
        print(f"FAILED: {failure.kind} ({failure.place})\n{failure.text}")
        return 1
    print("nothing fails")
    return 0


def _step(run: Run, number: int, step: Step) -> None:
    if step[0] == IN:
        for piece in step[1:]:
            print(f"{number:4} in   {piece!r:.4000}")
    else:
        print(f"{number:4} {step[0]}")
    sent = len(run.queued)
    events = run.step(step)
    for each in told(events):
        print(f"            reported  {each!r:.1000}")
    for data in run.queued[sent:]:
        print(f"            queued    {data!r:.1000}")
    check_reported(events)


def main(arguments: Sequence[str]) -> int:
    """The command line of the process."""
    with predictable(), forgetful():
        return play_aloud(read_case(Path(arguments[0])))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
