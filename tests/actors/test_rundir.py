"""Run directories: one per run, private, and gone when the run is."""

import json
import os
import stat
from collections.abc import Callable
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


# -- what others may have put there ---------------------------------------------------------------


def group_writes(place: Path) -> None:
    place.mkdir()
    place.chmod(0o770)


def others_write(place: Path) -> None:
    place.mkdir()
    place.chmod(0o1777)


def a_link(place: Path) -> None:
    place.with_name("elsewhere").mkdir(mode=0o700)
    place.symlink_to(place.with_name("elsewhere"))


def of_another_user(place: Path) -> None:
    place.mkdir(mode=0o700)
    os.chown(place, 12345, 12345)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (group_writes, "has mode 0770"),
        (others_write, "has mode 1777"),
        (a_link, "is a symbolic link"),
        pytest.param(
            of_another_user,
            "belongs to another user",
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away"),
        ),
        (lambda place: place.touch(), "is no folder"),
    ],
)
def test_a_root_that_is_not_ours_alone(make: Callable[[Path], None], words: str) -> None:
    make(rundir.root())
    with pytest.raises(ConfigError, match=words):
        rundir.running()
    with pytest.raises(ConfigError, match="set EMP_RUNTIME_DIR"):
        rundir.create("hack", "/somewhere/hack", "embedded")


def test_a_root_is_made_for_us_alone() -> None:
    rundir.create("hack", "/somewhere/hack", "embedded")
    assert stat.S_IMODE(rundir.root().stat().st_mode) == 0o700


@pytest.fixture
def entry() -> Path:
    """A copy of a living run's directory."""
    run = rundir.create("hack", "/somewhere/hack", "embedded")
    copy = rundir.root() / "copy"
    copy.mkdir(mode=0o700)
    (copy / "run.json").write_bytes((run.directory / "run.json").read_bytes())
    rundir.remove(run)
    assert len(rundir.running()) == 1
    return copy


def linked(entry: Path) -> None:
    entry.rename(entry.parent.with_name("elsewhere"))
    entry.symlink_to(entry.parent.with_name("elsewhere"))


def linked_facts(entry: Path) -> None:
    (entry / "run.json").rename(entry / "other.json")
    (entry / "run.json").symlink_to("other.json")


def a_pipe(entry: Path) -> None:
    (entry / "run.json").unlink()
    os.mkfifo(entry / "run.json")


FOREIGN: list[Callable[[Path], object]] = [
    linked,
    linked_facts,
    a_pipe,
    lambda entry: entry.chmod(0o777),
    *([lambda entry: os.chown(entry, 12345, 12345)] if os.geteuid() == 0 else []),
]


@pytest.mark.parametrize("change", FOREIGN)
def test_what_others_may_have_put_there_does_not_count(
    entry: Path, change: Callable[[Path], object]
) -> None:
    change(entry)
    assert rundir.running() == []
    assert entry.exists()


@pytest.mark.parametrize(
    "facts",
    [
        b"[]",
        b"null",
        b"[" * 50_000,
        b"\xff",
        b'{"app": "x"}',
        b'{"app": 1, "path": "p", "system": "s", "pid": 1, "born": 1}',
        b'{"app": "x", "path": "p", "system": "s", "pid": "self", "born": 1}',
        b'{"app": "x", "path": "p", "system": "s", "pid": true, "born": 1}',
        b'{"app": "x", "path": "p", "system": "s", "pid": 1e99, "born": 1}',
        b'{"app": "' + b"x" * 100_000,
    ],
)
def test_facts_that_are_none(entry: Path, facts: bytes) -> None:
    (entry / "run.json").write_bytes(facts)
    assert rundir.running() == []
    assert entry.exists()


def test_a_relative_xdg_directory_is_ignored() -> None:
    assert rundir.root({"XDG_RUNTIME_DIR": "b"}) == Path.home() / ".cache/emp/run"


def test_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(ConfigError, match="EMP_RUNTIME_DIR"):
        rundir.root({})
