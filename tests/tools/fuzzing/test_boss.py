"""Processes: their work adds up, and one that crashes is a failure that can be replayed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tools.fuzzing.__main__ import main
from tools.fuzzing.boss import Boss, FuzzError, Result, Settings, added
from tools.fuzzing.box import BlackBox, read_box
from tools.fuzzing.case import Case, read_case
from tools.fuzzing.explore import Counts


def run(arguments: list[str], capsys: Any) -> tuple[int, str]:
    """Exit code and output of the command."""
    return main(arguments), capsys.readouterr().out


def test_all_roles_in_two_processes(capsys: Any) -> None:
    code, out = run(["--executions", "3_000", "--seed", "9", "--jobs", "2", "--json"], capsys)
    result = json.loads(out)
    assert result["failures"] == []
    assert code == 0
    assert result["ok"]
    assert result["executions"] >= 3000
    assert result["calls"] >= result["executions"]
    assert (result["seed"], result["jobs"]) == (9, 2)


def test_time_ends_a_run(capsys: Any) -> None:
    code, out = run(["--seconds", "1", "--jobs", "1", "--role", "parser"], capsys)
    assert code == 0
    assert "failures                     0" in out


CRASHING = """
import faulthandler, os, signal, sys
from tools.fuzzing import worker
from tools.fuzzing.run import ParserRun
usual = ParserRun.receive
count = 0
def receive(run, pieces):
    global count
    count += 1
    if count == 200:
        os.kill(os.getpid(), signal.SIGSEGV)
    return usual(run, pieces)
ParserRun.receive = receive
sys.exit(worker.main(sys.argv[1:]))
"""


def test_a_crash_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usual, started = subprocess.Popen, []

    def crashing_at_first(command: list[str], **options: Any) -> Any:
        started.append(command)
        if len(started) == 1:
            command = [sys.executable, "-X", "faulthandler", "-c", CRASHING, command[-1]]
        return usual(command, **options)

    monkeypatch.setattr("tools.fuzzing.boss.subprocess.Popen", crashing_at_first)
    settings = Settings(executions=600, seconds=None, seed=1, roles=("parser",), jobs=1)
    result = Boss(settings, tmp_path, lambda: tmp_path).run(lambda result: None)
    assert len(started) == 2  # another one took its place
    assert result.counts.executions >= 600
    assert not result.ok
    (found,) = result.found.values()
    assert (found.failure.kind, found.failure.place) == ("crash", "SIGSEGV")
    assert "Segmentation fault" in found.failure.text
    (file,) = found.files
    assert read_case(file) == found.failure.case
    assert found.failure.case.steps


def test_workers_that_do_not_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usual = subprocess.Popen

    def broken(command: list[str], **options: Any) -> Any:
        return usual([sys.executable, "-c", "import nothing_of_that_name"], **options)

    monkeypatch.setattr("tools.fuzzing.boss.subprocess.Popen", broken)
    settings = Settings(executions=600, seconds=None, seed=1, roles=("parser",), jobs=1)
    with pytest.raises(FuzzError, match="nothing_of_that_name"):
        Boss(settings, tmp_path, lambda: tmp_path).run(lambda result: None)


def test_ctrl_c_ends_with_the_summary(tmp_path: Path) -> None:
    def impatient(result: Result) -> None:
        if result.counts.executions:
            raise KeyboardInterrupt

    settings = Settings(executions=10**9, seconds=None, seed=1, roles=("parser",), jobs=1)
    result = Boss(settings, tmp_path, lambda: tmp_path).run(impatient)
    assert result.interrupted
    assert 0 < result.counts.executions < 10**9
    assert result.ok


def test_counts_add_up() -> None:
    assert added(Counts(1, 2, 3, 4, 5, 6), Counts(10, 20, 30, 40, 50, 60)) == Counts(
        *(11, 22, 33, 44, 55, 66)
    )


def test_the_box_outlives_its_writer(tmp_path: Path) -> None:
    box = BlackBox(tmp_path / "box")
    assert read_box(tmp_path / "box") is None
    box.begin(Case("client", (("in", "\xff"), ("send",)), lazy=True))
    box.add(("in", "a", "b"))
    assert read_box(tmp_path / "box") == Case(
        "client", (("in", "\xff"), ("send",), ("in", "a", "b")), lazy=True
    )
    box.begin(Case("parser", ()))
    assert read_box(tmp_path / "box") == Case("parser", ())


def test_a_long_stream_does_not_overflow_the_box(tmp_path: Path) -> None:
    box = BlackBox(tmp_path / "box")
    box.begin(Case("parser", ()))
    for _ in range(6):
        box.add(("in", "x" * 1_000_000))
    found = read_box(tmp_path / "box")
    assert found is not None
    assert len(found.steps) == 4


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--jobs", "0"], 2), (["--role", "king"], 2), (["--executions", "x"], 2), (["--help"], 0)],
)
def test_command_line(arguments: list[str], code: int, capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == code
    if not code:
        assert "--replay" in capsys.readouterr().out


def test_what_cannot_be_replayed(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "failure.json"
    file.write_text("{}")
    assert main(["--replay", str(file)]) == 2
    assert "no failure that can be replayed" in capsys.readouterr().err


def test_a_replay_in_a_process_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "failure.json"
    file.write_text('{"subject": "client", "lazy": false, "steps": [["in", "<a>"], ["eof"]]}')
    assert main(["--replay", str(file)]) == 0
