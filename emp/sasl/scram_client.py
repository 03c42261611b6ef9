"""The client's half of SCRAM (RFC 5802 §3, §5)."""

from __future__ import annotations

import hmac
import re
import secrets

from emp.errors import AuthenticationError
from emp.sasl import scram
from emp.sasl.mechanism import Attempt, Work
from emp.sasl.memory import Keys
from emp.sasl.prep import saslprep


class ScramClient:
    """Trusts the server only after its signature."""

    __slots__ = (
        "_attempt",
        "_bare",
        "_digest",
        "_gs2",
        "_name",
        "_nonce",
        "_password",
        "_signature",
        "_started",
        "_verified",
    )

    def __init__(self, attempt: Attempt, *, digest: str, nonce: str | None = None) -> None:
        credentials = attempt.credentials
        try:
            self._name = saslprep(credentials.username)
            self._password = saslprep(credentials.password or "").encode()
        except ValueError as error:
            raise AuthenticationError("malformed-request", str(error)) from error
        if not self._name:
            raise AuthenticationError("malformed-request", "empty user name")
        self._attempt = attempt
        self._digest = digest
        self._nonce = nonce or secrets.token_urlsafe(scram.NONCE_BYTES)
        self._gs2 = f"{attempt.binding.flag},,"
        self._bare = f"n={scram.escape_name(self._name)},r={self._nonce}"
        self._started = False
        self._signature: bytes | None = None
        self._verified = False

    def initial(self) -> bytes:
        return f"{self._gs2}{self._bare}".encode()

    def respond(self, challenge: bytes) -> bytes | Work:
        if not self._started:
            self._started = True
            return self._prove(scram.decode(challenge))
        if self._verified or self._signature is None:
            raise AuthenticationError("malformed-request", "a challenge too many")
        self._verify(challenge)
        return b""

    def finish(self, additional: bytes | None) -> None:
        if self._verified:
            if additional:
                raise AuthenticationError("malformed-request", "additional data too many")
            return
        if self._signature is None or not additional:
            raise AuthenticationError(
                "not-authorized",
                "the server did not prove that it knows the password",
                remedy="this is not the server it says it is",
            )
        self._verify(additional)

    def _prove(self, text: str) -> bytes | Work:
        first = scram.SERVER_FIRST.fullmatch(text)
        if first is None:
            raise AuthenticationError("malformed-request", "not a SCRAM challenge")
        nonce = first["nonce"]
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise AuthenticationError("malformed-request", "the server did not use our nonce")
        self._check_offer(first["extensions"])
        salt, iterations = scram.from_base64(first["salt"]), _iterations(first)
        memory = self._attempt.memory
        about = (self._digest, self._name, self._password, salt, iterations)
        keys = memory.keys(*about)
        if keys is not None:
            return self._answer(keys, text, nonce)
        salted: list[bytes] = []

        def run() -> None:
            salted.append(scram.salt_password(self._digest, self._password, salt, iterations))

        def resume() -> bytes:
            keys = scram.derive_keys(self._digest, salted[0])
            memory.keep(*about, keys)
            return self._answer(keys, text, nonce)

        return Work(run, resume)

    def _answer(self, keys: Keys, first: str, nonce: str) -> bytes:
        binding = scram.to_base64(self._gs2.encode() + self._attempt.binding.data)
        final = f"c={binding},r={nonce}"
        message = f"{self._bare},{first},{final}".encode()
        stored = scram.stored_key(self._digest, keys.client)
        proof = scram.masked(self._digest, stored, keys.client, message)
        self._signature = scram.server_signature(self._digest, keys.server, message)
        return f"{final},p={scram.to_base64(proof)}".encode()

    def _check_offer(self, extensions: str) -> None:
        """Whether what we read as the server's offer is what the server wrote (XEP-0474 §5.2).

        The signatures cover the attribute: who changes it on the way changes the proof.
        """
        told = scram.extension(extensions, "h")
        if told is None:
            if self._attempt.doubt is not None:
                raise self._attempt.doubt
            return
        channel = self._attempt.channel
        ours = scram.hash_of_offer(self._digest, channel.offered, channel.announced)
        if not hmac.compare_digest(ours.encode(), told.encode()):
            raise AuthenticationError(
                "not-authorized",
                "somebody has changed the server's list of mechanisms on the way here",
                remedy="do not trust this network: who sits in the middle can read TLS",
            )

    def _verify(self, message: bytes) -> None:
        final = scram.SERVER_FINAL.fullmatch(scram.decode(message))
        if final is None:
            raise AuthenticationError("malformed-request", "not a SCRAM server's last message")
        if final["error"]:
            raise AuthenticationError("not-authorized", f"the server says {final['error']!r:.100}")
        assert self._signature is not None
        if not hmac.compare_digest(self._signature, scram.from_base64(final["verifier"])):
            raise AuthenticationError(
                "not-authorized",
                "the server does not know the password",
                remedy="this is not the server it says it is",
            )
        self._verified = True


def _iterations(first: re.Match[str]) -> int:
    iterations = int(first["iterations"])
    if not scram.MIN_ITERATIONS <= iterations <= scram.MAX_ITERATIONS:
        raise AuthenticationError(
            "malformed-request",
            f"the server asks for {iterations} iterations;"
            f" {scram.MIN_ITERATIONS} to {scram.MAX_ITERATIONS} are acceptable",
            remedy="its administrator sets that, or somebody pretends to be it",
        )
    return iterations
