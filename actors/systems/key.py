"""The cluster key: what proves that a message between processes comes from this system.

A file of 64 hexadecimal digits that only its owner may read. Who can read it can run code in every
process of the system; who cannot, cannot even get a message unpickled.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from emp.errors import ConfigError

KEY_BYTES: Final = 32
"""256 bits: what ChaCha20-Poly1305 and keyed BLAKE2 take."""

LONGEST_KEY_FILE: Final = 4096
"""Bytes. Anything longer is some other file."""


def load_or_create_key(path: Path) -> bytes:
    """The key in the file `path`: `KEY_BYTES` bytes. The file is made when there is none.

    Raises `ConfigError` when the file is not a regular file of mode 0600 (or stricter) that belongs
    to this user, when it holds no key, or when it cannot be read or made.
    """
    try:
        if not path.exists():
            _create(path)
        return _load(path)
    except OSError as error:
        raise ConfigError(
            f"cannot use the cluster key: {error.strerror}",
            file=path,
            remedy="The file must be readable, and its directory writable on the first start",
        ) from error


def _create(path: Path) -> None:
    # Written under another name first: who comes second must never read half a key.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first: its key counts
            os.link(unfinished, path)
    finally:
        os.unlink(unfinished)


def _load(path: Path) -> bytes:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        text = file.read(LONGEST_KEY_FILE)
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError("the cluster key is not a regular file", file=path)
    if status.st_uid != os.geteuid():
        raise ConfigError(
            "the cluster key belongs to another user",
            file=path,
            remedy=f"chown it to the user with the number {os.geteuid()}, who runs this",
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise ConfigError(
            f"the cluster key has mode {mode:04o}: others may read or change it",
            file=path,
            remedy="chmod 600 it; if others may have read it, delete it, and a new one is made",
        )
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(
            f"this is no cluster key: expected {2 * KEY_BYTES} hexadecimal digits",
            file=path,
            remedy="Delete the file, and a new one is made",
        )
    return key
