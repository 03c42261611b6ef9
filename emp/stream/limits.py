"""How much a peer may make us hold, checked while parsing, before the memory is spent.

Two more bounds are libxml2's own and have no setting: 256 levels of elements (also about what
Python code may safely recurse into) and names of 50,000 bytes. What else a peer could make grow is
no matter of one stream: see emp.names for the names it makes up.
"""

from dataclasses import dataclass
from typing import Final

from emp.errors import RemoteProtocolError

# RFC 6120 §13.12 asks for at least 10,000 bytes; ejabberd and Prosody take 256 KiB from clients,
# and vCards with pictures use it.
STANZA_BYTES: Final = 262_144
# A real header has some 200 bytes; the rest is room for namespaces and long domains.
HEADER_BYTES: Final = 16_384
# No XEP comes near; more only serves to make looking for an attribute slow.
ATTRIBUTES: Final = 100
# Headers declare two or three; each stanza has all of them in scope.
NAMESPACES: Final = 50
# Headers, features and certificates of channel bindings come to 5 KiB, Kerberos tickets to 16.
EARLY_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one stream; breaking one is the stream error policy-violation (RFC 6120 §4.9.3.14).

    stanza_bytes: a stanza of that size always passes. One that is larger passes only if its end
    comes in the same piece (64 KiB) in which the limit is reached, so that no more than
    `stanza_bytes` and one piece are ever held. header_bytes: from `<` to `>`, XML declaration
    included. attributes: of one element, namespace declarations not counted. namespaces: declared
    by the stream header. early_bytes: of all streams of a connection until the peer, or we with it,
    are authenticated; what TLS itself needs does not count.
    """

    stanza_bytes: int = STANZA_BYTES
    header_bytes: int = HEADER_BYTES
    attributes: int = ATTRIBUTES
    namespaces: int = NAMESPACES
    early_bytes: int = EARLY_BYTES


@dataclass(frozen=True, slots=True)
class PeerLimits:
    """What the peer has announced (XEP-0478); None: nothing, or nothing that makes sense.

    max_bytes: of a stanza. idle_seconds: without a byte of ours, until it takes us for gone.
    """

    max_bytes: int | None = None
    idle_seconds: int | None = None


def violation(limit: str, text: str) -> RemoteProtocolError:
    """The fault of a peer that broke a limit, which `RemoteProtocolError.limit` names."""
    return RemoteProtocolError("policy-violation", text, limit=limit)
