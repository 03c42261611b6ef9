"""tools/bench blocking with few messages."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools.benchmark.blocking.bench import Row
from tools.benchmark.blocking.report import render

ROOT = Path(__file__).parents[3]


@pytest.mark.server  # it needs the C compiler
def test_both_systems_and_both_components() -> None:
    few = ("--round-trips", "30", "--warm-up", "5", "--runs", "1")
    command = [sys.executable, "-m", "tools.benchmark", "blocking", *few]
    done = subprocess.run(
        [*command, "--systems", "embedded,multiproc", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [(row["system"], row["target"]) for row in rows] == [
        *[("embedded", "other"), ("embedded", "same")],
        *[("multiproc", "other"), ("multiproc", "same")],
    ]
    assert all(row["sleeps"] > 0 and row["p99_alone"] > 0 for row in rows)


@pytest.mark.parametrize(("ratio", "word"), [(3.0, "pass"), (3.01, "FAIL")])
def test_what_was_promised_is_judged(ratio: float, word: str) -> None:
    text = render([Row("embedded", "same", 100.0, 200.0, 110.0, 200.0 * ratio, ratio, 158.0)])
    assert f"| {ratio:.2f} | {word} |" in " ".join(text.split())
    assert "the sleepers' component" in text
