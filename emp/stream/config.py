"""What each role of the engine needs to know. Secrets never show in a repr."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from emp import ns
from emp.jid import JID
from emp.stream.limits import Limits


def _nobody(name: str) -> str | None:
    """Knows no account and no component: the safe default of a server."""
    return None


def _bind_as_asked(bare: JID, requested: str | None) -> str:
    """The resource that the client asks for, else an unguessable one (RFC 6120 §7.6, §13.8.3)."""
    return requested or secrets.token_urlsafe(9)


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """A client-to-server stream (RFC 6120) seen from the client.

    `mechanisms` are the SASL mechanisms that may be used, strongest first; None means all that
    emp.sasl has. `resource` None lets the server make one up.
    """

    domain: str
    username: str
    password: str = field(repr=False)
    resource: str | None = None
    mechanisms: tuple[str, ...] | None = None
    require_tls: bool = True
    lang: str = "en"
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class ComponentConfig:
    """A component's stream to its server (XEP-0114)."""

    domain: str
    secret: str = field(repr=False)
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The server's side; the content namespace of the peer's header says client or component.

    `accepts` are the content namespaces, and so the kinds of peers, that are served.
    `password_of(username)` and `secret_of(domain)` return None for who is unknown.
    `bind(bare, requested)` returns the resource to give; it may raise emp.errors.StanzaError.
    """

    domain: str
    accepts: frozenset[str] = frozenset({ns.CLIENT, ns.COMPONENT})
    offer_tls: bool = True
    require_tls: bool = True
    password_of: Callable[[str], str | None] = field(default=_nobody, repr=False)
    secret_of: Callable[[str], str | None] = field(default=_nobody, repr=False)
    mechanisms: tuple[str, ...] | None = None
    limits: Limits = field(default_factory=Limits)
    bind: Callable[[JID, str | None], str] = field(default=_bind_as_asked, repr=False)
