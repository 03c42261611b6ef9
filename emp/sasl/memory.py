"""What outlives a login: salted passwords, so that the next one costs nothing, and how good the
best one was, so that nobody talks us into a worse one.

Nothing here shows in a repr or goes into a pickle.
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from emp.sasl.strength import rank

# One for each digest, and a change of salt on the way.
CLIENT_KEYS: Final = 4
# Accounts × digests of a server for development and tests.
STORED_KEYS: Final = 1024


class Keys(NamedTuple):
    """What RFC 5802 §3 derives from a password; as good as the password for this server."""

    client: bytes
    server: bytes

    def __repr__(self) -> str:
        return "Keys(…)"


class _Cache:
    """The last few values, by keys that hide the password that is part of them."""

    __slots__ = ("_bound", "_secret", "_values")

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._secret = secrets.token_bytes(32)
        self._values: OrderedDict[tuple[object, ...], object] = OrderedDict()

    def hide(self, password: bytes) -> bytes:
        """Stands for the password: cheap, and worth nothing outside this process."""
        return hmac.digest(self._secret, password, "sha256")

    def get(self, key: tuple[object, ...]) -> object | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: tuple[object, ...], value: object) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self._bound:
            self._values.popitem(last=False)

    def __len__(self) -> int:
        return len(self._values)


class Memory:
    """What one connection remembers from login to login, within one process."""

    __slots__ = ("_cache", "best")

    def __init__(self) -> None:
        self._cache = _Cache(CLIENT_KEYS)
        self.best: tuple[str, str] | None = None
        """Mechanism and flag of channel binding of the best login so far."""

    def keys(
        self, digest: str, username: str, password: bytes, salt: bytes, iterations: int
    ) -> Keys | None:
        """The keys that were kept for exactly that, None if there are none."""
        found = self._cache.get((digest, username, self._cache.hide(password), salt, iterations))
        return found if isinstance(found, Keys) else None

    def keep(
        self,
        digest: str,
        username: str,
        password: bytes,
        salt: bytes,
        iterations: int,
        keys: Keys,
    ) -> None:
        """Keeps keys; the oldest are forgotten."""
        self._cache.put((digest, username, self._cache.hide(password), salt, iterations), keys)

    def logged_in(self, mechanism: str, flag: str) -> None:
        """A login is complete. Those that are weaker than the best are refused from now on."""
        if self.best is None or rank(mechanism, flag) < rank(*self.best):
            self.best = (mechanism, flag)

    def __repr__(self) -> str:
        return f"<Memory of {len(self._cache)} salted passwords, best login {self.best}>"

    def __reduce__(self) -> tuple[type[Memory], tuple[()]]:
        return Memory, ()


class StoredKey(NamedTuple):
    """What a server keeps of a password (RFC 5802 §3)."""

    salt: bytes
    iterations: int
    stored: bytes  # the hash of the client's key
    server: bytes

    def __repr__(self) -> str:
        return "StoredKey(…)"


class StoredKeys:
    """The salted passwords of a server's users: salts that stay, so that clients can cache."""

    __slots__ = ("_cache", "_secret")

    def __init__(self) -> None:
        self._cache = _Cache(STORED_KEYS)
        self._secret = secrets.token_bytes(32)

    def get(
        self, digest: str, username: str, password: str, make: Callable[[], StoredKey]
    ) -> StoredKey:
        """The keys of an account, made when its password is new."""
        key = (digest, username, self._cache.hide(password.encode("utf-8", "surrogatepass")))
        found = self._cache.get(key)
        if not isinstance(found, StoredKey):
            found = make()
            self._cache.put(key, found)
        return found

    def fake(self, digest: str, username: str, size: int) -> bytes:
        """The salt of a user who does not exist: always the same, like those of users who do."""
        message = f"{digest} {username}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._secret, message, "sha256")[:size]

    def __repr__(self) -> str:
        return f"<StoredKeys of {len(self._cache)} accounts>"

    def __reduce__(self) -> tuple[type[StoredKeys], tuple[()]]:
        return StoredKeys, ()
