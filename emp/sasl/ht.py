"""HT-SHA-256-* (draft-schmaus-kitten-sasl-ht-09): one round trip, in which both prove a token.

What XEP-0484 logs in with. These are not in emp.sasl.MECHANISMS, for they take tokens that a server
made and no passwords: nobody can choose them, emp.stream.features.fast does. Later drafts change
the messages; what servers and clients speak under these names is that of version 09.

    client → authcid NUL HMAC(token, "Initiator" ‖ binding)
    server → HMAC(token, "Responder" ‖ binding), as additional data with the success
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from typing import Final

from emp.errors import AuthenticationError
from emp.sasl.mechanism import Challenge, Success

BINDINGS: Final[dict[str, str | None]] = {
    "HT-SHA-256-EXPR": "tls-exporter",
    "HT-SHA-256-UNIQ": "tls-unique",
    "HT-SHA-256-ENDP": "tls-server-end-point",
    "HT-SHA-256-NONE": None,
}
"""Mechanism → type of channel binding, strongest first (XEP-0484 §5: binding is preferred)."""

PROOF_BYTES: Final = hashlib.sha256().digest_size
# The draft wants 255 at least; a local part has no more than 1023 (RFC 7622 §3.3).
NAME_BYTES: Final = 1023

TokensOf = Callable[[str], Sequence[str]]
"""A user name → the tokens that may be proved now, none for users who do not exist."""


def proof(token: str, role: str, binding: bytes) -> bytes:
    """What "Initiator" or "Responder" shows, 32 bytes."""
    return hmac.digest(token.encode(), role.encode() + binding, "sha256")


class HashedTokenClient:
    """The client's half. AuthenticationError for a name that cannot be sent."""

    __slots__ = ("_binding", "_token", "_username")

    def __init__(self, username: str, token: str, binding: bytes) -> None:
        if not username or "\0" in username:
            raise AuthenticationError("malformed-request", "not a user name")
        self._username = username.encode()
        self._token = token
        self._binding = binding

    def initial(self) -> bytes:
        return self._username + b"\0" + proof(self._token, "Initiator", self._binding)

    def respond(self, challenge: bytes) -> bytes:
        raise AuthenticationError("malformed-request", "HT has no challenges")

    def finish(self, additional: bytes | None) -> None:
        """AuthenticationError without the server's proof: it may be anybody (§3.3)."""
        expected = proof(self._token, "Responder", self._binding)
        if not hmac.compare_digest(expected, additional or b""):
            raise AuthenticationError("not-authorized", "the server does not know the token")


class HashedTokenServer:
    """The server's half. `token`: the one that was proved, None before."""

    __slots__ = ("_binding", "_tokens_of", "token")

    def __init__(self, tokens_of: TokensOf, binding: bytes) -> None:
        self._tokens_of = tokens_of
        self._binding = binding
        self.token: str | None = None

    def receive(self, response: bytes | None) -> Challenge | Success:
        """Decides at once: there are no challenges (XEP-0484 §3.1). AuthenticationError."""
        name, _, shown = (response or b"").partition(b"\0")
        if not 0 < len(name) <= NAME_BYTES or len(shown) != PROOF_BYTES:
            raise AuthenticationError("malformed-request")
        try:
            username = name.decode()
        except UnicodeDecodeError as error:
            raise AuthenticationError("malformed-request") from error
        # Users without tokens take as long as those with one.
        for token in self._tokens_of(username) or [secrets.token_urlsafe()]:
            if hmac.compare_digest(proof(token, "Initiator", self._binding), shown):
                self.token = token
        if self.token is None:
            raise AuthenticationError("not-authorized")
        return Success(username, proof(self.token, "Responder", self._binding))
