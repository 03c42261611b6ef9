"""What a stream engine reports: plain values, in the order in which things happened on the wire."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from emp.errors import AuthenticationError, RemoteProtocolError, StreamError
from emp.jid import JID
from emp.stanza import Stanza


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The peer's stream header is complete (RFC 6120 §4.7). Fired again after every restart."""

    id: str | None
    from_: str | None
    to: str | None
    version: str | None
    lang: str | None


@dataclass(frozen=True, slots=True)
class StartTLS:
    """The transport must send what is queued, do the TLS handshake, call `tls_established()`."""


@dataclass(frozen=True, slots=True)
class Compute:
    """Something takes long: the transport must call `work` off its event loop, in any thread, then
    `computed()`. Until then the engine keeps what comes in and looks at it afterwards."""

    work: Callable[[], None] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authenticated:
    """SASL, or the handshake of XEP-0114, succeeded. `username` is the domain of a component."""

    username: str
    mechanism: str


@dataclass(frozen=True, slots=True)
class Ready:
    """Stanzas may flow. `jid`: the full JID that was bound, or the domain of a component."""

    jid: JID


@dataclass(frozen=True, slots=True)
class Resumed:
    """Stanzas may flow, and the session is an earlier one that goes on (XEP-0198 §5).

    What the peer has not acknowledged is queued once more already. `jid`: as in Ready.
    """

    jid: JID


@dataclass(slots=True)  # not frozen, for that would double what it takes to make one
class StanzasReceived:
    """Complete stanzas in the order of their arrival, never an empty list."""

    stanzas: list[Stanza]


@dataclass(frozen=True, slots=True)
class StanzaSkipped:
    """A stanza came that we do not take, and nothing of it was kept but its start tag.

    It counts as received (XEP-0198), and stands where it came. stanza: its kind, type, id and
    addresses, as far as they could be read; to be answered, not routed. limit: what it broke, as in
    RemoteProtocolError; size: its bytes. known: whether that is its whole envelope; if not, its
    start tag was too large to be kept, and nobody knows what to answer to whom.
    """

    tag: ClassVar = ""  # among elements it is one that nobody knows

    stanza: Stanza
    limit: str
    size: int
    known: bool = True


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """The peer closed its stream in order. Nothing follows."""


@dataclass(frozen=True, slots=True)
class StreamFailed:
    """The stream is over because of a fault. Nothing follows."""

    error: RemoteProtocolError | StreamError | AuthenticationError


Event = (
    StreamOpened
    | StartTLS
    | Compute
    | Authenticated
    | Ready
    | Resumed
    | StanzasReceived
    | StanzaSkipped
    | StreamClosed
    | StreamFailed
)
