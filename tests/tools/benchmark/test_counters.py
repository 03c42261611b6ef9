"""Counting instructions with a stand-in for perf, and without any."""

import os
from pathlib import Path

import pytest

from tools.benchmark.counters import counting

PERF = """#!/bin/sh
while [ "$1" != -o ]; do shift; done
trap 'printf "%b" "{report}" >"$2"; exit 0' INT
echo ready >"{ready}"
while :; do sleep 0.01; done
"""


def with_perf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: str) -> Path:
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    perf = tmp_path / "perf"
    perf.write_text(PERF.format(report=report, ready=ready))
    perf.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return ready


@pytest.mark.parametrize(
    ("report", "count"),
    [
        ("# started on Sun\\n\\n123456,,instructions:u,5,100.00,,\\n", 123456),
        ("<not supported>,,instructions:u,0,100.00,,\\n", None),
        ("<not counted>,,instructions:u,0,0.00,,\\n", None),
        ("", None),
    ],
)
def test_what_perf_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: str, count: int | None
) -> None:
    ready = with_perf(tmp_path, monkeypatch, report)
    with counting([os.getpid()]) as instructions:
        ready.read_text()
    assert instructions.count == count


def test_without_perf_nothing_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with counting([os.getpid()]) as instructions:
        pass
    assert instructions.count is None
