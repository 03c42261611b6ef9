"""What a SASL mechanism is (RFC 4422): two halves that exchange bytes until one is satisfied.

Faults of the other side, and refusals to go on, are emp.errors.AuthenticationError with one of
the conditions of RFC 6120 §6.5. Nothing here shows a secret in its repr.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from emp.errors import AuthenticationError
from emp.sasl.memory import Memory, StoredKeys

# -- what both halves know -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Channel:
    """The stream that carries the exchange.

    secure: TLS protects it. bindings: type of channel binding → its data, as our TLS knows them.
    offered: every mechanism that the server offers, in this profile of SASL.
    announced: the types of channel binding that the server announces (XEP-0440); None for no list.
    strict: the profile has no -PLUS without such a list: SASL2 (XEP-0440 §3, rule 4).
    """

    secure: bool = False
    bindings: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    offered: tuple[str, ...] = ()
    announced: tuple[str, ...] | None = None
    strict: bool = False


# -- client ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who wants to log in.

    certificate: TLS shows a certificate of ours. authzid: the bare JID that EXTERNAL must name,
    None where the certificate says by itself who we are. A password has one owner.
    """

    username: str = ""
    password: str | None = field(default=None, repr=False)
    authzid: str | None = None
    certificate: bool = False


@dataclass(frozen=True, slots=True)
class Binding:
    """What a client says of channel binding (RFC 5801 §4, RFC 5802 §6).

    flag: "n" we do none, "y" we would but think that the server doesn't, "p=TYPE" we do.
    data: what both ends see of the channel, b"" without binding.
    """

    flag: str = "n"
    data: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One login of a client: what it was decided to do, and all that the exchange needs for it.

    doubt: raised unless the server proves that its offer is its own (XEP-0474); None for no doubt.
    """

    mechanism: Mechanism
    credentials: Credentials
    channel: Channel = field(default_factory=Channel)
    binding: Binding = field(default_factory=Binding)
    memory: Memory = field(default_factory=Memory)
    doubt: AuthenticationError | None = None

    def begin(self) -> ClientExchange:
        """The client's half. AuthenticationError for credentials that the mechanism cannot say."""
        return self.mechanism.client(self)

    def succeeded(self) -> None:
        """The server has accepted us, and has proved what the mechanism wants proved."""
        self.memory.logged_in(self.mechanism.name, self.binding.flag)


@dataclass(frozen=True, slots=True)
class Work:
    """An answer that takes long to compute (RFC 5802 wants it so): not on an event loop.

    run: the slow part. In any thread; raises nothing and touches nothing that others see.
    resume: afterwards, in the thread of the exchange: the response, or AuthenticationError.
    """

    run: Callable[[], None] = field(repr=False)
    resume: Callable[[], bytes] = field(repr=False)


class ClientExchange(Protocol):
    """The client's half of one attempt."""

    def initial(self) -> bytes:
        """The initial response, sent with the choice of the mechanism."""

    def respond(self, challenge: bytes) -> bytes | Work:
        """The response to a challenge. AuthenticationError if the server is not trusted."""

    def finish(self, additional: bytes | None) -> None:
        """The server says success, with or without additional data.

        AuthenticationError if it has not proved what the mechanism wants proved.
        """


# -- server ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Challenge:
    """The server wants to hear more."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Success:
    """The client is who it says. `additional` goes with the success; None where there is none."""

    username: str
    additional: bytes | None = None


class ServerExchange(Protocol):
    """The server's half of one attempt."""

    def receive(self, response: bytes | None) -> Challenge | Success:
        """The client's response, None where it sent no initial one. AuthenticationError."""


PasswordOf = Callable[[str], str | None]
"""A prepared user name → the password, None for users who do not exist."""


def _nobody(name: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Authority:
    """What a server knows of who may log in.

    domain: ours. identities: bare JIDs that the client's certificate names, verified by TLS.
    keys: the salted passwords, one object for all streams of a server.
    """

    domain: str = ""
    password_of: PasswordOf = field(default=_nobody, repr=False)
    identities: tuple[str, ...] = ()
    keys: StoredKeys = field(default_factory=StoredKeys, repr=False)


# -- both ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One mechanism, both halves.

    needs_tls: it shows the password to who can read the wire, or rests on TLS. binds: it needs
    channel binding (the name ends in -PLUS).
    """

    name: str
    needs_tls: bool
    client: Callable[[Attempt], ClientExchange] = field(repr=False)
    server: Callable[[Authority, Channel], ServerExchange] = field(repr=False)
    binds: bool = False
