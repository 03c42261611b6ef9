"""SCRAM (RFC 5802) with SHA-1, SHA-256 (RFC 7677) and SHA-512: grammar and arithmetic.

The halves are in scram_client and scram_server.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from typing import Final

from emp.errors import AuthenticationError
from emp.sasl.memory import Keys

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
SERVER_FIRST: Final = re.compile(
    rf"r=(?P<nonce>{_NONCE}),s=(?P<salt>{_BASE64}),i=(?P<iterations>-?[0-9]{{1,20}})"
    rf"(?P<extensions>{_EXTENSIONS})"
)
SERVER_FINAL: Final = re.compile(
    rf"(?:v=(?P<verifier>{_BASE64})|e=(?P<error>[^,\0]+)){_EXTENSIONS}"
)
CLIENT_FIRST: Final = re.compile(
    rf"(?P<gs2>(?P<flag>n|y|p=[A-Za-z0-9.-]+),(?:a=(?P<authzid>[^,\0]+))?,)"
    rf"(?P<bare>n=(?P<name>(?:[^,=\0]|=2C|=3D)+),r=(?P<nonce>{_NONCE}){_EXTENSIONS})"
)
CLIENT_FINAL: Final = re.compile(
    rf"(?P<bare>c=(?P<binding>{_BASE64}),r=(?P<nonce>{_NONCE}){_EXTENSIONS}),p=(?P<proof>{_BASE64})"
)

_BETWEEN_NAMES: Final = "\x1e"
_BETWEEN_LISTS: Final = "\x1f"


# -- the arithmetic of RFC 5802 §3 ---------------------------------------------------------------


def salt_password(digest: str, password: bytes, salt: bytes, iterations: int) -> bytes:
    """Hi(): some 0.5 s for a million iterations."""
    return hashlib.pbkdf2_hmac(digest, password, salt, iterations)


def derive_keys(digest: str, salted: bytes) -> Keys:
    """ClientKey and ServerKey."""
    return Keys(
        hmac.digest(salted, b"Client Key", digest), hmac.digest(salted, b"Server Key", digest)
    )


def stored_key(digest: str, client_key: bytes) -> bytes:
    """What the server keeps: who steals it cannot log in with it."""
    return hashlib.new(digest, client_key).digest()


def masked(digest: str, stored: bytes, key: bytes, message: bytes) -> bytes:
    """ClientKey XOR ClientSignature: from the key to the proof, and from the proof to the key.

    `key` has the digest's size.
    """
    signature = hmac.digest(stored, message, digest)
    return bytes(left ^ right for left, right in zip(key, signature, strict=True))


def server_signature(digest: str, server_key: bytes, message: bytes) -> bytes:
    """What only who knows the password can compute."""
    return hmac.digest(server_key, message, digest)


def hash_of_offer(digest: str, mechanisms: Iterable[str], types: Iterable[str] | None) -> str:
    """The value of h=: what the server offers and announces, None for no list (XEP-0474 §5.1)."""
    offer = _BETWEEN_NAMES.join(sorted(mechanisms, key=str.encode))
    if types is not None:
        offer += _BETWEEN_LISTS + _BETWEEN_NAMES.join(sorted(types, key=str.encode))
    return to_base64(hashlib.new(digest, offer.encode()).digest())


# -- the grammar of RFC 5802 §7 ------------------------------------------------------------------


def escape_name(name: str) -> str:
    """A user name as in the attribute n= (§5.1)."""
    return name.replace("=", "=3D").replace(",", "=2C")


def unescape_name(name: str) -> str:
    """The reverse; the grammar has refused every other `=` already."""
    return name.replace("=2C", ",").replace("=3D", "=")


def extension(extensions: str, letter: str) -> str | None:
    """The value of an extension, None where it is missing; of several the first."""
    for each in extensions.split(","):
        name, _, value = each.partition("=")
        if name == letter:
            return value
    return None


def decode(message: bytes) -> str:
    """A message as text. AuthenticationError for one that is too long, or not UTF-8."""
    if len(message) > MESSAGE_BYTES:
        raise AuthenticationError("malformed-request", "a SCRAM message of kilobytes")
    try:
        return message.decode()
    except UnicodeDecodeError as error:
        raise AuthenticationError("malformed-request", "not UTF-8") from error


def to_base64(data: bytes) -> str:
    """base64 as text."""
    return base64.b64encode(data).decode()


def from_base64(text: str) -> bytes:
    """The bytes. AuthenticationError for none, and for all but the one canonical spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise AuthenticationError("incorrect-encoding", "bad base64") from error
    if not data or to_base64(data) != text:
        raise AuthenticationError("incorrect-encoding", "base64 that is empty or not canonical")
    return data
