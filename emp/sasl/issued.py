"""The tokens that a server has given out (XEP-0484): who has which, and what they are good for.

In memory. For each client of an account there are two places, *current* and *new* (§5.1): a token
that was sent may not have arrived, so the older one works until the new one is used.
"""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from emp.errors import AuthenticationError

LIFETIME: Final = 14 * 86_400.0
"""Seconds: a client that was away for its holidays comes back without a password."""

ROTATE_BEFORE: Final = LIFETIME / 2
"""Seconds before the end at which a token is replaced by the way."""

TOKEN_BYTES: Final = 32
"""256 bits, twice what the draft of HT wants at least."""

MAX_CLIENTS: Final = 1024
"""Clients that are remembered. The oldest are forgotten, and log in with their password."""


@dataclass(slots=True)
class Issued:
    """One token. expires: seconds since the epoch; count: the highest that was seen with it."""

    secret: str = field(repr=False)
    mechanism: str
    expires: float
    count: int = 0


@dataclass(slots=True)
class _Places:
    current: Issued | None = None
    new: Issued | None = None

    def all(self) -> list[Issued]:
        return [each for each in (self.new, self.current) if each is not None]


class IssuedTokens:
    """One object for all streams of a server. `clock` gives seconds since the epoch."""

    def __init__(
        self, *, lifetime: float = LIFETIME, clock: Callable[[], float] = time.time
    ) -> None:
        self.lifetime = lifetime
        self._clock = clock
        self._clients: OrderedDict[tuple[str, str], _Places] = OrderedDict()

    def issue(self, account: str, client: str, mechanism: str) -> Issued:
        """A new token for a client (the id of its user agent), for one mechanism only."""
        secret = secrets.token_urlsafe(TOKEN_BYTES)
        token = Issued(secret, mechanism, self._clock() + self.lifetime)
        self._clients.setdefault((account, client), _Places()).new = token
        self._clients.move_to_end((account, client))
        while len(self._clients) > MAX_CLIENTS:
            self._clients.popitem(last=False)
        return token

    def candidates(self, account: str, client: str, mechanism: str) -> list[str]:
        """The tokens that this client may prove with this mechanism, expired ones included."""
        places = self._clients.get((account, client), _Places())
        return [each.secret for each in places.all() if each.mechanism == mechanism]

    def use(self, account: str, client: str, secret: str, count: int | None) -> Issued:
        """A token was proved: it is the current one now.

        AuthenticationError if it has expired, or if its count was seen before (§3.4).
        """
        places = self._clients[account, client]
        token = next(each for each in places.all() if each.secret == secret)
        if token.expires <= self._clock():
            raise AuthenticationError("credentials-expired")
        if count is not None:
            if count <= token.count:
                raise AuthenticationError("not-authorized", "a replay")
            token.count = count
        if token is places.new:
            places.current, places.new = token, None
        return token

    def due(self, token: Issued) -> bool:
        """Whether it is time for the next one."""
        return token.expires - self._clock() < min(ROTATE_BEFORE, self.lifetime / 2)

    def revoke(self, account: str, client: str) -> None:
        """None of the client's tokens is good any more."""
        self._clients.pop((account, client), None)

    def __repr__(self) -> str:
        return f"<IssuedTokens of {len(self._clients)} clients>"
