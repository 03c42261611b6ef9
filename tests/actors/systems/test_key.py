import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from actors.systems.key import KEY_BYTES, load_or_create_key
from emp.errors import ConfigError


def test_made_on_first_start_and_found_on_the_second(tmp_path: Path) -> None:
    path = tmp_path / "run" / "cluster.key"
    key = load_or_create_key(path)
    assert len(key) == KEY_BYTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_key(path) == key
    assert os.listdir(path.parent) == [path.name]


def test_everyone_gets_the_same_key_when_several_start_at_once(tmp_path: Path) -> None:
    path = tmp_path / "cluster.key"
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(lambda _: load_or_create_key(path), range(32)))
    assert len(keys) == 1
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o666])
def test_readable_or_writable_for_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "cluster.key"
    load_or_create_key(path)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode:04o}"):
        load_or_create_key(path)


@pytest.mark.parametrize("text", ["", "00" * 31, "00" * 33, "zz" * 32, "00" * 5000])
def test_anything_else_in_the_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cluster.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="hexadecimal"):
        load_or_create_key(path)


def test_a_directory_in_its_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot use the cluster key"):
        load_or_create_key(tmp_path)


def test_a_key_of_someone_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cluster.key"
    load_or_create_key(path)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(ConfigError, match="another user"):
        load_or_create_key(path)
