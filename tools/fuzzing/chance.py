"""Secrets that are the same in every run, so that recorded dialogues fit and failures repeat.

Nonces, ids and salts of the engine come from the module `secrets`. Within `predictable()` they are
numbers in order, beginning anew with every `Chance`.

The stretching of passwords does one round instead of thousands: its time is nothing to be fuzzed.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

_MAX_ROUNDS: Final = 2**31 - 1  # what OpenSSL takes: more must not come so far

_token_bytes = secrets.token_bytes
_pbkdf2 = hashlib.pbkdf2_hmac


class Chance:
    """The secrets of one end: `use()` it before that end is called."""

    __slots__ = ("_count", "_name")

    def __init__(self, name: str = "") -> None:
        self._name = name.encode()
        self._count = 0

    def use(self) -> None:
        """From now on secrets are this one's."""
        global _present
        _present = self

    def next(self, size: int) -> bytes:
        """The next secret."""
        self._count += 1
        seed = b"%s %d" % (self._name, self._count)
        return hashlib.shake_128(seed).digest(size)


_present = Chance()


def present() -> Chance:
    """Whose secrets they are now."""
    return _present


def _predictable_bytes(nbytes: int | None = None) -> bytes:
    return _present.next(32 if nbytes is None else nbytes)


def _quick(name: str, password: bytes, salt: bytes, rounds: int, *more: Any) -> bytes:
    return _pbkdf2(name, password, salt, 1 if 1 <= rounds <= _MAX_ROUNDS else rounds, *more)


@contextmanager
def predictable() -> Iterator[None]:
    """Meanwhile there are no secrets in this process."""
    secrets.token_bytes = _predictable_bytes
    hashlib.pbkdf2_hmac = _quick  # type: ignore[assignment]
    try:
        yield
    finally:
        secrets.token_bytes = _token_bytes
        hashlib.pbkdf2_hmac = _pbkdf2
