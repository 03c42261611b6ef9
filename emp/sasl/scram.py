"""SCRAM-SHA-1 and SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding."""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from functools import partial
from typing import Final

from emp.errors import AuthenticationError
from emp.sasl.mechanism import Challenge, ClientExchange, Mechanism, PasswordOf, Success
from emp.sasl.prep import saslprep

# RFC 7677 §4: at least that many. Fewer make the proof a gift to who guesses passwords.
MIN_ITERATIONS: Final = 4096
# A server that asks for more steals time: a million is about half a second, and more than
# OWASP's advice for stored passwords (600,000).
MAX_ITERATIONS: Final = 1_000_000
# RFC 5802 names no size: 144 bits, as 24 characters of base64 without padding.
NONCE_BYTES: Final = 18
SALT_BYTES: Final = 16
# Our messages are a few hundred bytes. Nobody needs nonces or salts of kilobytes.
MESSAGE_BYTES: Final = 4096

_NONCE: Final = r"[\x21-\x2b\x2d-\x7e]+"
_BASE64: Final = r"[A-Za-z0-9/+=]+"
# An extension is a letter; those that are not understood are ignored, except m= (§5.1).
_EXTENSIONS: Final = r"(?:,[A-Za-ln-z]=[^,\0]+)*"
_SERVER_FIRST: Final = re.compile(
    rf"r=(?P<nonce>{_NONCE}),s=(?P<salt>{_BASE64}),i=(?P<iterations>-?[0-9]{{1,20}}){_EXTENSIONS}"
)
_SERVER_FINAL: Final = re.compile(
    rf"(?:v=(?P<verifier>{_BASE64})|e=(?P<error>[^,\0]+)){_EXTENSIONS}"
)
_CLIENT_FIRST: Final = re.compile(
    rf"(?P<gs2>(?P<flag>n|y|p=[A-Za-z0-9.-]+),(?:a=(?P<authzid>[^,\0]+))?,)"
    rf"(?P<bare>n=(?P<name>(?:[^,=\0]|=2C|=3D)+),r=(?P<nonce>{_NONCE}){_EXTENSIONS})"
)
_CLIENT_FINAL: Final = re.compile(
    rf"(?P<bare>c=(?P<binding>{_BASE64}),r=(?P<nonce>{_NONCE}){_EXTENSIONS}),p=(?P<proof>{_BASE64})"
)


class ScramClient:
    """The client's half; trusts the server only after its signature."""

    __slots__ = (
        "_bare",
        "_digest",
        "_nonce",
        "_password",
        "_signature",
        "_verified",
    )

    def __init__(
        self, username: str, password: str, *, digest: str, nonce: str | None = None
    ) -> None:
        try:
            name, self._password = saslprep(username), saslprep(password).encode()
        except ValueError as error:
            raise AuthenticationError("malformed-request", str(error)) from error
        if not name:
            raise AuthenticationError("malformed-request", "empty user name")
        self._digest = digest
        self._nonce = nonce or secrets.token_urlsafe(NONCE_BYTES)
        self._bare = f"n={escape_name(name)},r={self._nonce}"
        self._signature: bytes | None = None
        self._verified = False

    def initial(self) -> bytes:
        return f"n,,{self._bare}".encode()

    def respond(self, challenge: bytes) -> bytes:
        if self._signature is None:
            return self._prove(challenge)
        if self._verified:
            raise AuthenticationError("malformed-request", "a challenge too many")
        self._verify(challenge)
        return b""

    def finish(self, additional: bytes | None) -> None:
        if self._verified:
            if additional:
                raise AuthenticationError("malformed-request", "additional data too many")
            return
        if self._signature is None or not additional:
            raise AuthenticationError("not-authorized", "the server did not prove who it is")
        self._verify(additional)

    def _prove(self, challenge: bytes) -> bytes:
        text = _decode(challenge)
        first = _SERVER_FIRST.fullmatch(text)
        if first is None:
            raise AuthenticationError("malformed-request", "not a SCRAM challenge")
        nonce = first["nonce"]
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise AuthenticationError("malformed-request", "the server did not use our nonce")
        iterations = int(first["iterations"])
        if not MIN_ITERATIONS <= iterations <= MAX_ITERATIONS:
            raise AuthenticationError(
                "malformed-request",
                f"the server asks for {iterations} iterations;"
                f" {MIN_ITERATIONS} to {MAX_ITERATIONS} are acceptable",
            )
        final = f"c=biws,r={nonce}"
        message = f"{self._bare},{text},{final}".encode()
        salted = salt_password(self._digest, self._password, _unbase64(first["salt"]), iterations)
        proof = client_proof(self._digest, salted, message)
        self._signature = server_signature(self._digest, salted, message)
        return f"{final},p={_base64(proof)}".encode()

    def _verify(self, message: bytes) -> None:
        final = _SERVER_FINAL.fullmatch(_decode(message))
        if final is None:
            raise AuthenticationError("malformed-request", "not a SCRAM server's last message")
        if final["error"]:
            raise AuthenticationError("not-authorized", f"the server says {final['error']!r:.100}")
        assert self._signature is not None
        if not hmac.compare_digest(self._signature, _unbase64(final["verifier"])):
            raise AuthenticationError("not-authorized", "the server does not know the password")
        self._verified = True


class ScramServer:
    """The server's half, from a password. Unknown users fail at the end, as wrong passwords do."""

    __slots__ = (
        "_digest",
        "_first",
        "_gs2",
        "_known",
        "_nonce",
        "_password_of",
        "_salted",
        "_username",
    )

    def __init__(self, password_of: PasswordOf, *, digest: str, nonce: str | None = None) -> None:
        self._password_of = password_of
        self._digest = digest
        self._nonce = nonce or secrets.token_urlsafe(NONCE_BYTES)
        self._first: str | None = None

    def receive(self, response: bytes | None) -> Challenge | Success:
        if response is None:
            return Challenge(b"")
        text = _decode(response)
        return self._challenge(text) if self._first is None else self._decide(text, self._first)

    def _challenge(self, text: str) -> Challenge:
        first = _CLIENT_FIRST.fullmatch(text)
        if first is None or first["flag"].startswith("p"):
            raise AuthenticationError("malformed-request")
        try:
            self._username = saslprep(unescape_name(first["name"]))
        except ValueError as error:
            raise AuthenticationError("malformed-request") from error
        if first["authzid"] and unescape_name(first["authzid"]).partition("@")[0] != self._username:
            raise AuthenticationError("invalid-authzid")
        password = self._password_of(self._username)
        self._known = password is not None
        try:
            prepared = saslprep(password or "")
        except ValueError:
            self._known, prepared = False, ""
        salt = secrets.token_bytes(SALT_BYTES)
        self._salted = salt_password(
            self._digest, (prepared or secrets.token_hex()).encode(), salt, MIN_ITERATIONS
        )
        self._nonce = first["nonce"] + self._nonce
        self._gs2 = first["gs2"]
        challenge = f"r={self._nonce},s={_base64(salt)},i={MIN_ITERATIONS}"
        self._first = f"{first['bare']},{challenge}"
        return Challenge(challenge.encode())

    def _decide(self, text: str, first: str) -> Success:
        final = _CLIENT_FINAL.fullmatch(text)
        if final is None:
            raise AuthenticationError("malformed-request")
        if final["nonce"] != self._nonce or _unbase64(final["binding"]) != self._gs2.encode():
            raise AuthenticationError("not-authorized")
        message = f"{first},{final['bare']}".encode()
        expected = client_proof(self._digest, self._salted, message)
        if not hmac.compare_digest(expected, _unbase64(final["proof"])) or not self._known:
            raise AuthenticationError("not-authorized")
        signature = server_signature(self._digest, self._salted, message)
        return Success(self._username, f"v={_base64(signature)}".encode())


# -- the arithmetic of RFC 5802 §3 ---------------------------------------------------------------


def salt_password(digest: str, password: bytes, salt: bytes, iterations: int) -> bytes:
    """Hi(): some 0.5 s for a million iterations."""
    return hashlib.pbkdf2_hmac(digest, password, salt, iterations)


def client_proof(digest: str, salted: bytes, message: bytes) -> bytes:
    """ClientKey XOR ClientSignature."""
    key = hmac.digest(salted, b"Client Key", digest)
    signature = hmac.digest(hashlib.new(digest, key).digest(), message, digest)
    return bytes(left ^ right for left, right in zip(key, signature, strict=True))


def server_signature(digest: str, salted: bytes, message: bytes) -> bytes:
    """What only who knows the password can compute."""
    return hmac.digest(hmac.digest(salted, b"Server Key", digest), message, digest)


def escape_name(name: str) -> str:
    """A user name as in the attribute n= (§5.1)."""
    return name.replace("=", "=3D").replace(",", "=2C")


def unescape_name(name: str) -> str:
    """The reverse; the grammar has refused every other `=` already."""
    return name.replace("=2C", ",").replace("=3D", "=")


def _decode(message: bytes) -> str:
    if len(message) > MESSAGE_BYTES:
        raise AuthenticationError("malformed-request", "a SCRAM message of kilobytes")
    try:
        return message.decode()
    except UnicodeDecodeError as error:
        raise AuthenticationError("malformed-request", "not UTF-8") from error


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unbase64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise AuthenticationError("incorrect-encoding", "bad base64") from error
    if not data or _base64(data) != text:
        raise AuthenticationError("incorrect-encoding", "base64 that is empty or not canonical")
    return data


def _client(digest: str, username: str, password: str) -> ClientExchange:
    return ScramClient(username, password, digest=digest)


def _mechanism(name: str, digest: str) -> Mechanism:
    return Mechanism(
        name,
        needs_tls=False,
        client=partial(_client, digest),
        server=partial(ScramServer, digest=digest),
    )


SCRAM_SHA_1: Final = _mechanism("SCRAM-SHA-1", "sha1")
SCRAM_SHA_256: Final = _mechanism("SCRAM-SHA-256", "sha256")
