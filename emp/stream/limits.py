"""How much a peer may make us hold, checked while parsing, before the memory is spent.

Once stanzas flow, a stanza that breaks a limit costs that stanza (emp.stream.skipping); before,
breaking one ends the stream. What else a peer could make grow is no matter of one stream: see
emp.names for the names it makes up.
"""

from dataclasses import dataclass
from typing import Final

from emp.errors import RemoteProtocolError

# What stock servers can emit. They take 512 KiB from other servers (Prosody's
# s2s_stanza_size_limit, ejabberd's max_stanza_size as it is configured), 256 KiB from clients, and
# write six bytes for an apostrophe or a quote, four for a ">": 3 MiB, and what they add themselves.
STANZA_BYTES: Final = 4_194_304
# What we asked for may be more: a roster of 50,000 contacts (emp.xep.roster.ITEMS) has up to 8 MB.
# libxml2 takes no text above 10 MB, and a frame between processes holds 16 MiB.
ANSWER_BYTES: Final = 8_388_608
# libxml2's, with the stream's own element; also about what Python code may safely recurse into.
DEPTH: Final = 256
# libxml2's, of each name without its prefix.
NAME_BYTES: Final = 50_000
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
    """Bounds of one stream. Of a stanza are stanza_bytes, answer_bytes, attributes, and DEPTH and
    NAME_BYTES, which cannot be changed; breaking another one is the stream error policy-violation
    (RFC 6120 §4.9.3.14).

    stanza_bytes: from `<` to `>`. answer_bytes: the same, of the result of an IQ request that we
    have asked, where that is more. header_bytes: XML declaration included. attributes: of one
    element, namespace declarations not counted. namespaces: declared by the stream header.
    early_bytes: of all streams of a connection until the peer, or we with it, are authenticated;
    what TLS itself needs does not count.
    """

    stanza_bytes: int = STANZA_BYTES
    answer_bytes: int = ANSWER_BYTES
    header_bytes: int = HEADER_BYTES
    attributes: int = ATTRIBUTES
    namespaces: int = NAMESPACES
    early_bytes: int = EARLY_BYTES

    @property
    def largest(self) -> int:
        """Bytes of the largest message that is taken off a WebSocket: it is held whole, so that one
        with more than that ends the stream."""
        return max(self.stanza_bytes, self.answer_bytes)


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
