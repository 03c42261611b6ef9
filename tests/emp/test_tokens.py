"""The client's tokens: kept, found again, and never shown to others."""

import json
import logging
import os
import stat
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emp.errors import ConfigError
from emp.tokens import Token, TokenStore

JULIET = "juliet@localhost"
TOKEN = Token("HT-SHA-256-NONE", "s3cret", expires=2000.0, count=3)


def store(file: Path | None = None) -> TokenStore:
    return TokenStore(file, clock=lambda: 1000.0)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_in_memory() -> None:
    client = store().client(JULIET)
    assert client.get() is None
    client.put(TOKEN)
    assert client.get() == TOKEN
    client.put(None)
    assert client.get() is None


def test_expired_tokens_are_not_there() -> None:
    client = store().client(JULIET)
    client.put(Token("HT-SHA-256-NONE", "s", expires=1000.0))
    assert client.get() is None


def test_each_connection_has_its_own() -> None:
    tokens = store()
    first, second = tokens.client(JULIET, "tweets"), tokens.client(JULIET, "main")
    assert first is tokens.client(JULIET, "tweets")
    assert first.id != second.id
    assert uuid.UUID(first.id).version == 4
    first.put(TOKEN)
    assert second.get() is None
    assert tokens.client("romeo@localhost", "tweets").get() is None


def test_found_again_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "tokens.json"
    before = store(file).client(JULIET, "main")
    before.put(TOKEN)
    after = store(file).client(JULIET, "main")
    assert (after.id, after.get()) == (before.id, TOKEN)
    assert mode(file) == 0o600
    assert mode(file.parent) == mode(file.parent.parent) == 0o700
    assert os.listdir(file.parent) == ["tokens.json"]


def test_nothing_is_written_before_there_is_a_token(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    store(file).client(JULIET).put(None)
    assert not file.exists()


def test_the_umask_does_not_matter(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store(tmp_path / "tokens.json").client(JULIET).put(TOKEN)
    finally:
        os.umask(before)
    assert mode(tmp_path / "tokens.json") == 0o600


def test_two_stores_of_one_file(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    one, two = store(file), store(file)
    one.client(JULIET, "one").put(TOKEN)
    two.client(JULIET, "two").put(TOKEN)
    one.client(JULIET, "one").put(None)
    again = store(file)
    assert again.client(JULIET, "one").get() is None
    assert again.client(JULIET, "one").id == one.client(JULIET, "one").id
    assert again.client(JULIET, "two").get() == TOKEN


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_may_touch_is_refused(tmp_path: Path, bits: int) -> None:
    file = tmp_path / "tokens.json"
    store(file).client(JULIET).put(TOKEN)
    file.chmod(bits)
    with pytest.raises(ConfigError, match=rf"{bits:04o}.*chmod 600") as caught:
        store(file)
    assert "s3cret" not in str(caught.value)


def test_a_file_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "tokens.json"
    store(file).client(JULIET).put(TOKEN)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(ConfigError, match=r"another user.*4711"):
        store(file)


def test_no_file_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        store(tmp_path)


DAMAGED: list[bytes] = [
    b"",
    b"\n",
    b'{"version": 1, "clients": {"juliet@loc',
    b'{"version": 1, "clients": 1}',
    b'{\n "version": 2,\n "clients": {}\n}\n',
    b'{"version": 1, "clients": ' + b"[" * 100_000,
]
OTHERS: list[bytes] = [
    b"{",
    b"[]",
    b"{}",
    b'{"clients": 1}',
    b'{"clients": {}}',
    b'{"version": 1}',
    b"\xff\xfe",
    b"[" * 100_000,
    b"-----BEGIN PRIVATE KEY-----\n",
    b'[connections.main]\nhost = "localhost"\n',
]


@pytest.mark.parametrize("data", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_file_is_begun_anew(
    tmp_path: Path, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "tokens.json"
    file.write_bytes(data)
    file.chmod(0o600)
    with caplog.at_level(logging.WARNING, "emp.tokens"):
        client = store(file).client(JULIET)
    assert "begun anew" in caplog.text
    assert client.get() is None
    client.put(TOKEN)
    assert store(file).client(JULIET).get() == TOKEN


@pytest.mark.parametrize("data", OTHERS, ids=range(len(OTHERS)))
def test_what_is_no_token_file_is_never_replaced(
    tmp_path: Path, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "precious"
    tokens = store(file)  # before there was one
    file.write_bytes(data)
    file.chmod(0o600)
    with pytest.raises(ConfigError, match=r"no token file.*for nothing else"):
        store(file)
    with caplog.at_level(logging.WARNING, "emp.tokens"):
        tokens.client(JULIET).put(TOKEN)
    assert "not saved" in caplog.text
    assert file.read_bytes() == data
    assert os.listdir(tmp_path) == ["precious"]


@pytest.mark.parametrize("target", ["tokens", "precious", "nothing"])
def test_a_link_is_not_followed(
    tmp_path: Path, target: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever made it may have had his reasons."""
    file = tmp_path / "link"
    tokens = store(file)
    store(tmp_path / "tokens").client(JULIET).put(TOKEN)
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "precious").chmod(0o600)
    file.symlink_to(tmp_path / target)
    before = {each: each.read_bytes() for each in tmp_path.iterdir() if each.is_file()}
    with pytest.raises(ConfigError, match="symbolic link"):
        store(file)
    with caplog.at_level(logging.WARNING, "emp.tokens"):
        tokens.client(JULIET).put(None)
        tokens.client(JULIET).put(TOKEN)
    assert "not saved" in caplog.text
    assert file.is_symlink()
    assert before == {each: each.read_bytes() for each in tmp_path.iterdir() if each.is_file()}


def test_a_pipe_and_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for file in (tmp_path / "pipe", tmp_path):
        with pytest.raises(
            ConfigError, match=r"cannot be read: (it is not a regular file|is a directory)"
        ):
            store(file)


def test_a_folder_in_which_everybody_may_write(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "everybody"
    folder.mkdir()
    tokens = store(folder / "tokens.json")
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match=r"everybody may write.*chmod o-w"):
        store(folder / "tokens.json")
    with caplog.at_level(logging.WARNING, "emp.tokens"):
        tokens.client(JULIET).put(TOKEN)
    assert "not saved" in caplog.text
    assert os.listdir(folder) == []
    folder.chmod(0o1777)  # as /tmp is
    tokens.client(JULIET).put(None)
    tokens.client(JULIET).put(TOKEN)
    assert store(folder / "tokens.json").client(JULIET).get() == TOKEN


RECORDS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "token", "mechanism", "secret", "expires", "count"]), inner
        )
    ),
    max_leaves=12,
)


@given(record=RECORDS)
def test_any_record_is_read_or_ignored(record: Any) -> None:
    tokens = store()
    tokens._loaded = {JULIET: record}
    client = tokens.client(JULIET)
    assert uuid.UUID(client.id).version == 4
    token = client.get()
    assert token is None or isinstance(token.secret, str)


def test_a_file_that_cannot_be_written_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = store(tmp_path / "file" / "tokens.json")
    (tmp_path / "file").write_text("in the way")
    client = tokens.client(JULIET)
    with caplog.at_level(logging.WARNING, "emp.tokens"):
        client.put(TOKEN)
    assert "not saved" in caplog.text
    assert "s3cret" not in caplog.text
    assert client.get() == TOKEN


def test_half_a_file_never_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "tokens.json"
    tokens = store(file)
    tokens.client(JULIET).put(TOKEN)
    before = file.read_bytes()

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdopen", full)
    tokens.client(JULIET).put(None)
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["tokens.json"]


def test_what_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    client = store(file).client(JULIET, "main")
    client.put(TOKEN)
    assert json.loads(file.read_text()) == {
        "version": 1,
        "clients": {
            "juliet@localhost main": {
                "id": client.id,
                "token": {
                    "mechanism": "HT-SHA-256-NONE",
                    "secret": "s3cret",
                    "expires": 2000.0,
                    "count": 3,
                },
            }
        },
    }


def test_no_secret_shows(tmp_path: Path) -> None:
    tokens = store(tmp_path / "tokens.json")
    client = tokens.client(JULIET)
    client.put(TOKEN)
    assert "s3cret" not in repr(tokens) + repr(client) + repr(TOKEN)
