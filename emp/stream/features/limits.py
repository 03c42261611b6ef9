"""Stream limits (XEP-0478): the server says how large a stanza it takes, and how long it waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emp import ns
from emp.stream.features.feature import Feature
from emp.stream.limits import PeerLimits
from emp.stream.state import Done
from emp.xml import Element

if TYPE_CHECKING:
    from emp.stream.client import ClientStream
    from emp.stream.server import ServerStream

_NAME: Final = f"{{{ns.STREAM_LIMITS}}}limits"
_MAX_BYTES: Final = f"{{{ns.STREAM_LIMITS}}}max-bytes"
_IDLE_SECONDS: Final = f"{{{ns.STREAM_LIMITS}}}idle-seconds"

# RFC 6120 §4.6.4 recommends five minutes and more; for less than this we do not hurry.
LEAST_IDLE_SECONDS: Final = 10
_LARGEST: Final = 2**32 - 1  # xs:unsignedInt


def announced(offer: Element | None) -> PeerLimits:
    """What <limits/> says. Where nothing is offered, or nonsense, there are no limits."""
    if offer is None:
        return PeerLimits()
    return PeerLimits(
        _number(offer.findtext(_MAX_BYTES), 1),
        _number(offer.findtext(_IDLE_SECONDS), LEAST_IDLE_SECONDS),
    )


def _number(text: str | None, least: int) -> int | None:
    text = (text or "").strip()
    # More digits than the largest has: int() of a long text takes long.
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(_LARGEST))):
        return None
    number = int(text)
    return max(number, least) if 0 < number <= _LARGEST else None


def _offer(stream: ServerStream) -> str:
    limits = stream.limits
    size = limits.stanza_bytes
    if Done.AUTHENTICATED not in stream.done:
        size = min(size, limits.early_bytes)
    idle = stream.config.idle_seconds
    seconds = "" if idle is None else f"<idle-seconds>{idle}</idle-seconds>"
    return f"<limits xmlns='{ns.STREAM_LIMITS}'><max-bytes>{size}</max-bytes>{seconds}</limits>"


def _begin(stream: ClientStream, offer: Element) -> None:
    raise AssertionError("nothing to negotiate")


LIMITS: Final = Feature(
    name=_NAME,
    necessary=Done.NOTHING,
    prohibited=Done.NOTHING,
    offer=_offer,
    wanted=lambda stream, offer: False,
    begin=_begin,
    client={},
    server={},
)
