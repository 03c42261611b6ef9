"""The handshake of XEP-0114 §3, both halves."""

import hashlib
import hmac

from emp import ns

HANDSHAKE = f"{{{ns.CLIENT}}}handshake"
MECHANISM = "XEP-0114"


def digest(stream_id: str, secret: str) -> str:
    """SHA-1 of stream id and secret, in lower-case hexadecimal."""
    # The algorithm is the protocol's choice.
    return hashlib.sha1(f"{stream_id}{secret}".encode(), usedforsecurity=False).hexdigest()


def proves(answer: str, stream_id: str, secret: str) -> bool:
    """Whether the component knows the secret; compared in constant time."""
    return hmac.compare_digest(answer.strip().lower().encode(), digest(stream_id, secret).encode())
