"""Tokens that servers gave us to log in with instead of the password (XEP-0484), client's side.

A `TokenStore` holds those of all connections of a process, in memory or in a file beside. Each
connection has its own *client id*, for servers take a second login with the same id as the same
client come back, and end the first (XEP-0386 §3.2). No secret shows in a repr.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import re
import secrets
import stat
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from emp.errors import ConfigError

LONGEST_FILE: Final = 4_194_304
"""Bytes: some ten thousand tokens. Anything longer is some other file."""

_VERSION: Final = 1
_BEGINNING: Final = re.compile(rb'\s*\{\s*"version"\s*:\s*\d+\s*,\s*"clients"\s*:')
"""Of every token file, whatever became of the rest."""

_log: Final = logging.getLogger("emp.tokens")


@dataclass(frozen=True, slots=True)
class Token:
    """One token. mechanism: the only one that it may be used with; expires: seconds since the
    epoch; count: how often it was shown to the server."""

    mechanism: str
    secret: str = field(repr=False)
    expires: float
    count: int = 0


class ClientTokens:
    """What one connection has: `id`, a UUID that stays the same, and at most one token."""

    __slots__ = ("_store", "_token", "id")

    def __init__(self, store: TokenStore, id: str, token: Token | None) -> None:
        self.id = id
        self._store = store
        self._token = token

    def get(self) -> Token | None:
        """The token, if there is one that has not expired."""
        token = self._token
        return token if token is not None and token.expires > self._store.now() else None

    def put(self, token: Token | None) -> None:
        """Replaces the token; None forgets it. Raises nothing: a file that cannot be written is
        logged, and the token is kept in memory."""
        if token != self._token:
            self._token = token
            self._store.save()

    def to_json(self) -> dict[str, Any]:
        """As it stands in the file: with the secret."""
        return {"id": self.id} | ({} if self._token is None else {"token": asdict(self._token)})

    def __repr__(self) -> str:
        return f"<ClientTokens {self._token}>"


class TokenStore:
    """Tokens of many connections, in `file`, or in memory; `clock` gives seconds since the epoch.

    Folders that are missing are made with mode 0700 and the file with 0600. Raises ConfigError for
    a file that others may read, that belongs to somebody else, that is a link, or in which there is
    something else than tokens; and for a folder to which everybody may write. A token file that is
    damaged is logged, and counts as empty: tokens save a password's round trips, and nothing is
    lost with them.
    """

    def __init__(self, file: Path | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self.now = clock
        self._file = None if file is None else _absolute(file)
        self._clients: dict[str, ClientTokens] = {}
        self._loaded = {} if self._file is None else _first_look(self._file)

    def client(self, address: str, name: str = "") -> ClientTokens:
        """The tokens of the account `address` (a bare JID) at the connection `name`."""
        key = f"{address} {name}".rstrip()
        if key not in self._clients:
            self._clients[key] = self._restored(self._loaded.get(key))
        return self._clients[key]

    def save(self) -> None:
        """Writes the file, if there is one. What others have written into it meanwhile stays."""
        if self._file is None:
            return
        try:
            # Two processes at the very same moment: one token may be lost, and a password sent.
            clients = dict(_read(self._file))
            clients.update({key: each.to_json() for key, each in self._clients.items()})
            _write(self._file, json.dumps({"version": _VERSION, "clients": clients}, indent=1))
        except (OSError, ConfigError) as error:
            _log.warning("tokens are not saved: %s", error)

    def _restored(self, record: object) -> ClientTokens:
        """From the file; what cannot be understood is as good as not there."""
        record = record if isinstance(record, dict) else {}
        try:
            id = uuid.UUID(str(record["id"]), version=4)
        except (KeyError, ValueError):
            return ClientTokens(self, str(uuid.uuid4()), None)
        return ClientTokens(self, str(id), _token(record.get("token")))

    def __repr__(self) -> str:
        return f"<TokenStore {self._file or 'in memory'}>"


_FIELDS: Final = {"mechanism": str, "secret": str, "expires": float, "count": int}


def _token(record: object) -> Token | None:
    if not isinstance(record, dict) or record.keys() != _FIELDS.keys():
        return None
    if not all(isinstance(record[name], kind) for name, kind in _FIELDS.items()):
        return None
    return Token(**record)


def _absolute(file: Path) -> Path:
    """The file itself, even where that is a link: its target may be anything."""
    file = file.expanduser()
    return Path(os.path.realpath(file.parent)) / file.name


def _first_look(file: Path) -> Mapping[str, Any]:
    """As _read(), and at the folder, where there is one."""
    clients = _read(file)
    if file.parent.is_dir():
        _check_folder(file.parent, file.parent.stat())
    return clients


def _read(file: Path) -> Mapping[str, Any]:
    """The clients in the file, none where there is no file, an empty or a damaged one. ConfigError
    for what is no token file: it will be replaced, so it must be."""
    try:
        # NONBLOCK: nobody waits for the other end of a pipe.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(file, flags), "rb") as opened:
            _check(file, os.fstat(opened.fileno()))
            data = opened.read(LONGEST_FILE + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        symlink = error.errno == errno.ELOOP
        reason = "it is a symbolic link" if symlink else (error.strerror or str(error)).lower()
        raise ConfigError(
            f"the token file cannot be read: {reason}",
            file=file,
            remedy="token_file = must name a file that this user may read and write",
        ) from error
    try:
        record = json.loads(data)
        clients = record["clients"]
        ours = record["version"] == _VERSION and isinstance(clients, dict)
    except (ValueError, KeyError, TypeError, RecursionError):
        ours = False
    if ours:
        return cast(Mapping[str, Any], clients)
    if data.strip() and not _BEGINNING.match(data):
        raise ConfigError(
            "that is no token file, and would be replaced by one",
            file=file,
            remedy="token_file = must name a file that is for nothing else, or does not exist yet",
        )
    _log.warning("%s is empty or damaged: it is begun anew", file)
    return {}


def _check(file: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(
            "the token file cannot be read: it is not a regular file",
            file=file,
            remedy="token_file = must name a file that this user may read and write",
        )
    if status.st_uid != os.geteuid():
        raise ConfigError(
            "the token file belongs to another user",
            file=file,
            remedy=f"chown it to the user with the number {os.geteuid()}, who runs this",
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise ConfigError(
            f"the token file has mode {mode:04o}: others may read or change it",
            file=file,
            remedy="chmod 600 it; if others may have read it, delete it: tokens open the account",
        )


def _check_folder(folder: Path, status: os.stat_result) -> None:
    """Who may write there can take the file away and lay another in its place. Others may not,
    unless each can do so with his own only (the sticky bit, as /tmp has it)."""
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        raise ConfigError(
            f"everybody may write to the folder of the token file, {folder}",
            file=folder,
            remedy="chmod o-w it, or name a file elsewhere",
        )


def _folder_of(file: Path) -> int:
    """Its folder, opened: what happens there concerns this one, whatever its name leads to then."""
    descriptor = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _check_folder(file.parent, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _write(file: Path, text: str) -> None:
    """All or nothing: under another name first. Without fsync, for see `TokenStore`."""
    missing = [folder for folder in file.parents if not folder.exists()]
    for made in reversed(missing):
        made.mkdir(mode=0o700, exist_ok=True)
    unfinished = f".{file.name}.{secrets.token_hex(8)}"
    folder = _folder_of(file)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(unfinished, flags, 0o600, dir_fd=folder)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(text + "\n")
        os.replace(unfinished, file.name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(unfinished, dir_fd=folder)
        os.close(folder)
