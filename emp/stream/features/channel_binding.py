"""The types of channel binding that a server announces (XEP-0440), beside its mechanisms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emp import ns
from emp.sasl import Authority, Channel, servable
from emp.sasl.strength import PLUS
from emp.stream.features.feature import Feature
from emp.stream.state import Done
from emp.xml import Element, escape

if TYPE_CHECKING:
    from emp.stream.client import ClientStream
    from emp.stream.server import ServerStream

_NAME: Final = f"{{{ns.CHANNEL_BINDING}}}sasl-channel-binding"
_TYPE: Final = f"{{{ns.CHANNEL_BINDING}}}channel-binding"


def announced(stream: ClientStream) -> tuple[str, ...] | None:
    """What the server of this stream announces; None where it has no list."""
    offer = stream.offered(_NAME)
    if offer is None:
        return None
    return tuple(each.get("type", "") for each in offer.iterchildren(_TYPE))


def authority(stream: ServerStream) -> Authority:
    """What this stream's server knows of who may log in."""
    config = stream.config
    return Authority(config.domain, config.password_of, stream.identities, config.keys)


def channel_of_server(stream: ServerStream) -> Channel:
    """The stream as a mechanism sees it: what TLS gives, and all that is offered on it."""
    bare = Channel(Done.SECURE in stream.done, stream.bindings)
    names = tuple(servable(stream.config.mechanisms, authority(stream), bare))
    types = tuple(stream.bindings) if any(name.endswith(PLUS) for name in names) else None
    return Channel(bare.secure, bare.bindings, names, types)


def _offer(stream: ServerStream) -> str:
    types = channel_of_server(stream).announced
    if types is None:
        return ""
    inner = "".join([f"<channel-binding type='{escape(each)}'/>" for each in types])
    return f"<sasl-channel-binding xmlns='{ns.CHANNEL_BINDING}'>{inner}</sasl-channel-binding>"


def _never(stream: ClientStream, offer: Element) -> bool:
    return False


def _begin(stream: ClientStream, offer: Element) -> None:
    raise AssertionError("nothing to negotiate")


CHANNEL_BINDING: Final = Feature(
    name=_NAME,
    necessary=Done.TRUSTED,
    prohibited=Done.AUTHENTICATED,
    offer=_offer,
    wanted=_never,
    begin=_begin,
    client={},
    server={},
)
