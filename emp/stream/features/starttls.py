"""STARTTLS (RFC 6120 §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emp import ns
from emp.errors import AuthenticationError, RemoteProtocolError
from emp.stream.features.feature import Feature
from emp.stream.state import Done
from emp.xml import Element

if TYPE_CHECKING:
    from emp.stream.client import ClientStream
    from emp.stream.server import ServerStream

_NAME: Final = f"{{{ns.TLS}}}starttls"


def _offer(stream: ServerStream) -> str:
    if not stream.config.offer_tls or stream.framing.messages:
        return ""
    required = "<required/>" if stream.config.require_tls else ""
    return f"<starttls xmlns='{ns.TLS}'>{required}</starttls>"


def _wanted(stream: ClientStream, offer: Element) -> bool:
    if stream.framing.messages:
        return False
    return stream.config.require_tls or offer.find(f"{{{ns.TLS}}}required") is not None


def _begin(stream: ClientStream, offer: Element) -> None:
    stream.queue(f"<starttls xmlns='{ns.TLS}'/>")


def _proceed(stream: ClientStream, element: Element) -> None:
    # RFC 6120 §5.3.3: not even white space may follow.
    stream.expect_silence(whitespace=False)
    stream.start_tls()


def _failed(stream: ClientStream, element: Element) -> None:
    raise AuthenticationError("encryption-required", "the server refuses to start TLS")


def _asked(stream: ServerStream, element: Element) -> None:
    if not stream.config.offer_tls or stream.framing.messages:
        stream.queue(f"<failure xmlns='{ns.TLS}'/>")
        raise RemoteProtocolError("unsupported-feature", "TLS is not offered")
    stream.expect_silence(whitespace=False)
    stream.queue(f"<proceed xmlns='{ns.TLS}'/>")
    stream.start_tls()


STARTTLS: Final = Feature(
    name=_NAME,
    necessary=Done.NOTHING,
    prohibited=Done.SECURE | Done.AUTHENTICATED,
    offer=_offer,
    wanted=_wanted,
    begin=_begin,
    client={f"{{{ns.TLS}}}proceed": _proceed, f"{{{ns.TLS}}}failure": _failed},
    server={_NAME: _asked},
)
