"""What outlives a login: bounded, and silent about itself."""

import pickle

import pytest

from emp.sasl import Memory, StoredKeys
from emp.sasl.memory import CLIENT_KEYS, STORED_KEYS, Keys, StoredKey

KEYS = Keys(b"client key", b"server key")
STORED = StoredKey(b"salt", 4096, b"stored key", b"server key")


def keep(memory: Memory, salt: bytes) -> None:
    memory.keep("sha1", "juliet", b"R0m30", salt, 4096, KEYS)


def found(memory: Memory, salt: bytes) -> Keys | None:
    return memory.keys("sha1", "juliet", b"R0m30", salt, 4096)


def test_what_is_kept_is_found() -> None:
    memory = Memory()
    assert found(memory, b"salt") is None
    keep(memory, b"salt")
    assert found(memory, b"salt") is KEYS
    assert memory.keys("sha1", "juliet", b"other", b"salt", 4096) is None


def test_the_oldest_are_forgotten() -> None:
    memory = Memory()
    for number in range(CLIENT_KEYS):
        keep(memory, bytes([number]))
    assert found(memory, b"\0") is KEYS  # used: young again
    keep(memory, b"new")
    assert found(memory, b"\0") is KEYS
    assert found(memory, b"\1") is None


def test_accounts_are_bounded_and_new_passwords_get_new_salts() -> None:
    keys = StoredKeys()
    made = []

    def make() -> StoredKey:
        made.append(1)
        return STORED

    assert keys.get("sha1", "a", "x", make) is STORED
    assert keys.get("sha1", "a", "x", make) is STORED
    assert len(made) == 1
    keys.get("sha1", "a", "y", make)
    keys.get("sha256", "a", "x", make)
    assert len(made) == 3
    for number in range(STORED_KEYS):
        keys.get("sha1", f"user {number}", "x", make)
    keys.get("sha1", "a", "x", make)
    assert len(made) == 4 + STORED_KEYS


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_leaks(protocol: int) -> None:
    memory, keys = Memory(), StoredKeys()
    keep(memory, b"salt")
    keys.get("sha1", "juliet", "R0m30", lambda: STORED)
    for one in (memory, keys):
        pickled = pickle.dumps(one, protocol)
        told = f"{one!r}{KEYS!r}{STORED!r}".encode() + pickled
        assert not any(secret in told for secret in (b"R0m30", b"client key", b"server key"))
        assert "0" in repr(pickle.loads(pickled))
    assert not hasattr(memory, "__dict__")
