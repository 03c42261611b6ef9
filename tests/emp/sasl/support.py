"""Both halves of a mechanism, and what they need."""

from collections.abc import Callable, Mapping
from typing import Any

from emp.sasl import (
    MECHANISMS,
    Attempt,
    Authority,
    Binding,
    Challenge,
    Channel,
    ClientExchange,
    Credentials,
    ServerExchange,
    Success,
    Work,
)

BINDINGS: Mapping[str, bytes] = {
    "tls-exporter": b"\x11" * 32,
    "tls-unique": b"\x22" * 12,
    "tls-server-end-point": b"\x33" * 32,
}


def attempt(
    name: str, username: str = "user", password: str | None = "pencil", **changes: Any
) -> Attempt:
    """A login with this mechanism; those that bind do it with tls-exporter."""
    mechanism = MECHANISMS[name]
    given: dict[str, Any] = {
        "credentials": Credentials(username, password),
        "channel": Channel(True, BINDINGS, (name,), tuple(BINDINGS)),
    }
    if mechanism.binds:
        given["binding"] = Binding("p=tls-exporter", BINDINGS["tls-exporter"])
    return Attempt(mechanism, **given | changes)


def client(
    name: str, username: str = "user", password: str | None = "pencil", **changes: Any
) -> ClientExchange:
    return attempt(name, username, password, **changes).begin()


def server(
    name: str,
    password_of: Callable[[str], str | None],
    channel: Channel | None = None,
    **more: Any,
) -> ServerExchange:
    channel = channel or Channel(True, BINDINGS, (name,), tuple(BINDINGS))
    return MECHANISMS[name].server(Authority("localhost", password_of, **more), channel)


def respond(exchange: ClientExchange, challenge: bytes) -> bytes:
    """The response, after whatever work it takes."""
    response = exchange.respond(challenge)
    if isinstance(response, Work):
        response.run()
        return response.resume()
    return response


def converse(here: ClientExchange, there: ServerExchange) -> Success:
    """The whole conversation. AuthenticationError of whoever is not satisfied."""
    outcome = there.receive(here.initial())
    while isinstance(outcome, Challenge):
        outcome = there.receive(respond(here, outcome.data))
    here.finish(outcome.additional)
    return outcome
