"""Run directories: one per run, private, and gone when the run is."""

import json
import os
import stat
from pathlib import Path

import pytest

from actors import rundir
from emp.errors import ConfigError


def test_a_run_is_found_and_removed(tmp_path: Path) -> None:
    run = rundir.create("hack", "/somewhere/hack", "embedded")
    assert stat.S_IMODE(run.directory.stat().st_mode) == 0o700
    assert rundir.running() == [run]
    rundir.remove(run)
    assert rundir.running() == []


def test_what_a_killed_run_left_is_removed() -> None:
    run = rundir.create("hack", "/somewhere/hack", "embedded")
    facts = json.loads((run.directory / "run.json").read_text())
    dead = run.directory.parent / "dead-1"
    dead.mkdir()
    (dead / "run.json").write_text(json.dumps({**facts, "born": facts["born"] - 1}))
    assert rundir.running() == [run]
    assert not dead.exists()


def test_rubbish_is_left_alone() -> None:
    other = rundir.root() / "other"
    other.mkdir(parents=True)
    (other / "run.json").write_text("{")
    assert rundir.running() == []
    assert other.exists()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"EMP_RUNTIME_DIR": "/a", "XDG_RUNTIME_DIR": "/b"}, Path("/a")),
        ({"XDG_RUNTIME_DIR": "/b"}, Path("/b/emp")),
        ({}, Path.home() / ".cache/emp/run"),
    ],
)
def test_where(environ: dict[str, str], expected: Path) -> None:
    assert rundir.root(environ) == expected


def test_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EMP_RUNTIME_DIR", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="set EMP_RUNTIME_DIR"):
        rundir.create("hack", "/somewhere/hack", "embedded")
    assert os.path.isfile(tmp_path / "file")


@pytest.mark.parametrize("name", ["../../up", "a/b", "x" * 300, "ä b", "a\0b"])
def test_any_name_makes_one_directory_in_its_place(name: str) -> None:
    run = rundir.create(name, "/somewhere", "embedded")
    assert run.directory.parent == rundir.root()
    assert [found.app for found in rundir.running()] == [name]
    rundir.remove(run)
