"""What each role of the engine needs to know. Secrets never show in a repr."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from emp import ns
from emp.jid import JID
from emp.sasl import Credentials, Memory, StoredKeys
from emp.sasl.issued import IssuedTokens
from emp.stream.framing import TCP, Framing
from emp.stream.limits import Limits
from emp.stream.management import Management
from emp.tokens import ClientTokens


def _nobody(name: str) -> str | None:
    """Knows no account and no component: the safe default of a server."""
    return None


def _bind_as_asked(bare: JID, requested: str | None) -> str:
    """The resource that the client asks for, else an unguessable one (RFC 6120 §7.6, §13.8.3)."""
    return requested or secrets.token_urlsafe(9)


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """A client-to-server stream (RFC 6120) seen from the client.

    `management`: the books that outlive the stream; what they say about an earlier session is
    resumed. None: new ones. `acknowledgements`: whether to use XEP-0198 where the server has it.
    `mechanisms` are the SASL mechanisms that may be used (emp.sasl.policy); None means
    emp.sasl.DISCREET. `password` None, `certificate` and `authzid`: as emp.sasl.Credentials has
    them.
    `memory` is what former logins of the connection left. `resource` None lets the server make one
    up, which it may also be asked for where ours will not do, unless that is `resource_needed`.
    `sasl2`: whether to log in with XEP-0388 where the server has it. Then Bind 2 makes the resource
    unless `resource` says what it is; `carbons` and `client_state` ("active", "inactive") are what
    a session begins with there. `tokens`: where this connection's token (XEP-0484) is kept; None:
    it always logs in with its password. `framing`: what the stream goes through.
    """

    domain: str
    username: str
    password: str | None = field(default=None, repr=False)
    resource: str | None = None
    resource_needed: bool = False
    mechanisms: tuple[str, ...] | None = None
    certificate: bool = False
    authzid: str | None = None
    memory: Memory | None = None
    require_tls: bool = True
    lang: str = "en"
    limits: Limits = field(default_factory=Limits)
    management: Management | None = field(default=None, repr=False)
    acknowledgements: bool = True
    sasl2: bool = True
    tokens: ClientTokens | None = None
    carbons: bool = False
    client_state: str | None = None
    framing: Framing = TCP

    @property
    def credentials(self) -> Credentials:
        """For emp.sasl."""
        return Credentials(self.username, self.password, self.authzid, self.certificate)


@dataclass(frozen=True, slots=True)
class ComponentConfig:
    """A component's stream to its server (XEP-0114). `management` as in ClientConfig."""

    domain: str
    secret: str = field(repr=False)
    limits: Limits = field(default_factory=Limits)
    management: Management | None = field(default=None, repr=False)


class Keeper(Protocol):
    """Where sessions wait while their connections are lost (XEP-0198 §5). One for each stream."""

    def keep(self, management: Management) -> tuple[str, int] | None:
        """The client of this stream wants to be able to resume its session: an id that nobody can
        guess, and the seconds that it will be kept. None: that is not possible."""

    def resume(self, account: JID, id: str) -> Management | int | None:
        """The books of the session `id`, which this stream takes over; `account` is who asks.

        If it is over, how many stanzas it had handled, where that is known, else None. So also for
        a session of somebody else."""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The server's side; the content namespace of the peer's header says client or component.

    `accepts` are the content namespaces, and so the kinds of peers, that are served.
    `password_of(username)` and `secret_of(domain)` return None for who is unknown.
    `mechanisms` are the SASL mechanisms to offer; None means emp.sasl.SERVED. `keys` are the salted
    passwords, one object for all streams.
    `bind(bare, requested)` returns the resource to give; it may raise emp.errors.StanzaError.
    `idle_seconds` is announced, and for the transport to keep (XEP-0478); None: for ever.
    `keeper` is where sessions wait for their clients to come back; None: no XEP-0198. `prompt`:
    whoever reads the events has handled their stanzas before the stream is called again, so that
    they count as handled when they are reported.
    `sasl2`: whether to offer XEP-0388, and Bind 2 with it. `inline` are the namespaces that a
    client may name in its Bind 2: what it wanted of them is in ServerStream.wishes, as Clark names.
    `tokens` are those that were given out, one object for all streams; None: no XEP-0484.
    `framing`: what the stream goes through.
    """

    domain: str
    accepts: frozenset[str] = frozenset({ns.CLIENT, ns.COMPONENT})
    offer_tls: bool = True
    require_tls: bool = True
    password_of: Callable[[str], str | None] = field(default=_nobody, repr=False)
    secret_of: Callable[[str], str | None] = field(default=_nobody, repr=False)
    mechanisms: tuple[str, ...] | None = None
    keys: StoredKeys = field(default_factory=StoredKeys, repr=False)
    limits: Limits = field(default_factory=Limits)
    bind: Callable[[JID, str | None], str] = field(default=_bind_as_asked, repr=False)
    idle_seconds: int | None = None
    keeper: Keeper | None = field(default=None, repr=False)
    prompt: bool = False
    sasl2: bool = True
    inline: tuple[str, ...] = ()
    tokens: IssuedTokens | None = None
    framing: Framing = TCP
