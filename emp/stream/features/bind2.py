"""Bind 2 (XEP-0386): the resource, and what a session begins with, in the breath of the login.

Part of SASL2: no feature of its own. Here a server makes the resource, from a *tag* that the client
gives; a client whose configuration says what its resource is binds as RFC 6120 has it instead.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from emp import ns
from emp.errors import JIDError, RemoteProtocolError, StanzaError
from emp.jid import JID
from emp.stream.state import Done
from emp.xml import Element, escape

if TYPE_CHECKING:
    from emp.stream.client import ClientStream
    from emp.stream.server import ServerStream

# XEP-0386 §4: others see it, so it says what software this is and nothing else.
TAG: Final = "EMP"
# Unguessable (RFC 6120 §13.8.3), as the resources that are made in RFC 6120's way.
RESOURCE_BYTES: Final = 9
# What a tag may take of the 1023 bytes of a resource.
LONGEST_TAG: Final = 256

BIND: Final = f"{{{ns.BIND2}}}bind"
BOUND: Final = f"{{{ns.BIND2}}}bound"
_INLINE: Final = f"{{{ns.BIND2}}}inline"
_FEATURE: Final = f"{{{ns.BIND2}}}feature"
_TAG: Final = f"{{{ns.BIND2}}}tag"
_ENABLE_CARBONS: Final = f"{{{ns.CARBONS}}}enable"


# -- client --------------------------------------------------------------------------------------


def offered(inline: Element) -> frozenset[str] | None:
    """The features that can be had with it, by name; None where Bind 2 is not offered."""
    bind = inline.find(BIND)
    if bind is None:
        return None
    return frozenset(each.get("var", "") for each in bind.iterfind(f"{_INLINE}/{_FEATURE}"))


def ask(features: Collection[str], enable: str, *, carbons: bool, state: str | None) -> str:
    """The request.

    features: what the server can do with it. enable: <enable/> of XEP-0198, "" for none; carbons:
    whether we want them; state: "active" or "inactive" of XEP-0352, None for the server's default.
    """
    wanted = [
        (ns.SM, enable),
        (ns.CARBONS, f"<enable xmlns='{ns.CARBONS}'/>" if carbons else ""),
        (ns.CSI, f"<{state} xmlns='{ns.CSI}'/>" if state else ""),
    ]
    inner = "".join([text for name, text in wanted if name in features])
    return f"<bind xmlns='{ns.BIND2}'><tag>{TAG}</tag>{inner}</bind>"


def bound(stream: ClientStream, jid: JID) -> None:
    """The server says that it bound us, as `jid`."""
    if jid.resource is None:
        raise RemoteProtocolError("bad-format", "the server bound no full JID")
    stream.jid = jid
    stream.done |= Done.BOUND


# -- server --------------------------------------------------------------------------------------


def offer(features: Collection[str]) -> str:
    """The element for <inline/>: `features` by name."""
    inner = "".join([f"<feature var='{escape(name)}'/>" for name in features])
    inline = f"<inline>{inner}</inline>" if inner else ""
    return f"<bind xmlns='{ns.BIND2}'>{inline}</bind>"


def bind(stream: ServerStream, request: Element) -> JID | None:
    """Binds a resource made from the tag; None where that is refused.

    The client may ask again in RFC 6120's way, and learns then why.
    """
    assert stream.account is not None
    tag = (request.findtext(_TAG) or "").strip()[:LONGEST_TAG]
    name = secrets.token_urlsafe(RESOURCE_BYTES)
    try:
        wanted = stream.account.replace(resource=f"{tag}/{name}" if tag else name)
    except JIDError:  # XEP-0386 §3.2.1: a tag counts as far as resources may hold it
        wanted = stream.account.replace(resource=name)
    try:
        resource = stream.config.bind(stream.account, wanted.resource)
        jid = stream.account.replace(resource=resource)
    except (StanzaError, JIDError):
        return None
    stream.done |= Done.BOUND
    return jid
