"""The server's half of SCRAM (RFC 5802 §3, §5)."""

from __future__ import annotations

import hmac
import re
import secrets

from emp.errors import AuthenticationError
from emp.sasl import scram
from emp.sasl.authzid import may_act_for
from emp.sasl.mechanism import Authority, Challenge, Channel, Success
from emp.sasl.memory import StoredKey
from emp.sasl.prep import saslprep
from emp.sasl.strength import PLUS


class ScramServer:
    """Unknown users fail at the end, as wrong passwords do."""

    __slots__ = (
        "_authority",
        "_binding",
        "_binds",
        "_channel",
        "_digest",
        "_first",
        "_key",
        "_known",
        "_nonce",
        "_username",
    )

    def __init__(
        self,
        authority: Authority,
        channel: Channel,
        *,
        digest: str,
        binds: bool,
        nonce: str | None = None,
    ) -> None:
        self._authority = authority
        self._channel = channel
        self._digest = digest
        self._binds = binds
        self._nonce = nonce or secrets.token_urlsafe(scram.NONCE_BYTES)
        self._first: str | None = None

    def receive(self, response: bytes | None) -> Challenge | Success:
        if response is None:
            return Challenge(b"")
        text = scram.decode(response)
        return self._challenge(text) if self._first is None else self._decide(text, self._first)

    def _challenge(self, text: str) -> Challenge:
        first = scram.CLIENT_FIRST.fullmatch(text)
        if first is None:
            raise AuthenticationError("malformed-request")
        self._binding = first["gs2"].encode() + self._channel_binding(first["flag"])
        self._username = _username(first)
        authzid = scram.unescape_name(first["authzid"] or "")
        if authzid and not may_act_for(authzid, self._username, self._authority.domain):
            raise AuthenticationError("invalid-authzid")
        self._known, self._key = self._look_up(self._username)
        self._nonce = first["nonce"] + self._nonce
        channel = self._channel
        offer = scram.hash_of_offer(self._digest, channel.offered, channel.announced)
        salt, iterations = scram.to_base64(self._key.salt), self._key.iterations
        challenge = f"r={self._nonce},s={salt},i={iterations},h={offer}"
        self._first = f"{first['bare']},{challenge}"
        return Challenge(challenge.encode())

    def _channel_binding(self, flag: str) -> bytes:
        """The data that the client must have seen as well (RFC 5802 §6)."""
        if self._binds:
            data = self._channel.bindings.get(flag.removeprefix("p="))
            if not flag.startswith("p=") or data is None:
                raise AuthenticationError("malformed-request", "no such channel binding")
            return data
        if flag.startswith("p="):
            raise AuthenticationError("malformed-request", "channel binding without -PLUS")
        if flag == "y" and any(name.endswith(PLUS) for name in self._channel.offered):
            # The client has not seen our -PLUS: somebody has taken it off the list.
            raise AuthenticationError("not-authorized", "we do offer channel binding")
        return b""

    def _look_up(self, username: str) -> tuple[bool, StoredKey]:
        password = self._authority.password_of(username)
        try:
            prepared = saslprep(password or "")
        except ValueError:
            prepared = ""
        if prepared:
            keys = self._authority.keys
            return True, keys.get(self._digest, username, prepared, lambda: self._make(prepared))
        salt = self._authority.keys.fake(self._digest, username, scram.SALT_BYTES)
        return False, StoredKey(
            salt, scram.MIN_ITERATIONS, secrets.token_bytes(), secrets.token_bytes()
        )

    def _make(self, password: str) -> StoredKey:
        salt = secrets.token_bytes(scram.SALT_BYTES)
        iterations = scram.MIN_ITERATIONS
        salted = scram.salt_password(self._digest, password.encode(), salt, iterations)
        keys = scram.derive_keys(self._digest, salted)
        return StoredKey(salt, iterations, scram.stored_key(self._digest, keys.client), keys.server)

    def _decide(self, text: str, first: str) -> Success:
        final = scram.CLIENT_FINAL.fullmatch(text)
        if final is None:
            raise AuthenticationError("malformed-request")
        binding, proof = scram.from_base64(final["binding"]), scram.from_base64(final["proof"])
        if final["nonce"] != self._nonce or not hmac.compare_digest(binding, self._binding):
            raise AuthenticationError("not-authorized")
        message = f"{first},{final['bare']}".encode()
        try:
            key = scram.masked(self._digest, self._key.stored, proof, message)
        except ValueError as error:  # a proof of another size
            raise AuthenticationError("not-authorized") from error
        stored = scram.stored_key(self._digest, key)
        if not hmac.compare_digest(stored, self._key.stored) or not self._known:
            raise AuthenticationError("not-authorized")
        signature = scram.server_signature(self._digest, self._key.server, message)
        return Success(self._username, f"v={scram.to_base64(signature)}".encode())


def _username(first: re.Match[str]) -> str:
    try:
        return saslprep(scram.unescape_name(first["name"]))
    except ValueError as error:
        raise AuthenticationError("malformed-request") from error
