"""What a SASL mechanism is (RFC 4422): two halves that exchange bytes until one is satisfied.

Faults of the other side, and refusals to go on, are emp.errors.AuthenticationError with one of
the conditions of RFC 6120 §6.5.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class ClientExchange(Protocol):
    """The client's half of one attempt."""

    def initial(self) -> bytes:
        """The initial response, sent with the choice of the mechanism."""

    def respond(self, challenge: bytes) -> bytes:
        """The response to a challenge. AuthenticationError if the server is not trusted."""

    def finish(self, additional: bytes | None) -> None:
        """The server says success, with or without additional data.

        AuthenticationError if it has not proved what the mechanism wants proved.
        """


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


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One mechanism, both halves. `needs_tls`: it shows the password to who can read the wire."""

    name: str
    needs_tls: bool
    client: Callable[[str, str], ClientExchange]  # user name, password
    server: Callable[[PasswordOf], ServerExchange]
