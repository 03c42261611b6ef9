"""Programs of Node.js are installed once per version. npm is a stand-in here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import npm

WORKS = '#!/bin/sh\nmkdir node_modules; echo "$@" >>"$ASKED"\n'
FAILS = "#!/bin/sh\necho no such package >&2; exit 1\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "package.json").write_text("{}")
    return folder


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What npm was asked, call by call; `stand_in` says what it does."""
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    (tmp_path / "bin").mkdir()
    return tmp_path / "asked"


def stand_in(asked: Path, script: str) -> None:
    program = asked.parent / "bin" / "npm"
    program.write_text(script)
    program.chmod(0o755)


def test_it_is_installed_once_and_again_when_it_changes(source: Path, asked: Path) -> None:
    stand_in(asked, WORKS)
    cache = asked.parent / "cache"
    first = npm.install(source, cache)
    assert npm.install(source, cache) == first
    assert (first / "package.json").exists()
    assert len(asked.read_text().splitlines()) == 1
    (source / "package.json").write_text("{ }")
    assert npm.install(source, cache) != first
    assert len(asked.read_text().splitlines()) == 2


def test_what_npm_says_is_told_and_nothing_half_done_counts(source: Path, asked: Path) -> None:
    stand_in(asked, FAILS)
    cache = asked.parent / "cache"
    with pytest.raises(npm.NpmError, match="no such package"):
        npm.install(source, cache)
    stand_in(asked, WORKS)
    assert (npm.install(source, cache) / "node_modules").is_dir()


def test_without_npm(source: Path, asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(asked.parent / "bin"))
    with pytest.raises(npm.NpmError, match="apt-get install nodejs npm"):
        npm.install(source, asked.parent / "cache")
