"""SASL mechanisms (RFC 4422): challenge bytes in, response bytes out; no XML, no I/O."""

from collections.abc import Collection
from typing import Final

from emp.sasl.mechanism import Challenge, ClientExchange, Mechanism, ServerExchange, Success
from emp.sasl.plain import PLAIN
from emp.sasl.prep import saslprep
from emp.sasl.scram import SCRAM_SHA_1, SCRAM_SHA_256

MECHANISMS: Final = {each.name: each for each in (SCRAM_SHA_256, SCRAM_SHA_1, PLAIN)}
"""All mechanisms, strongest first."""

DISCREET: Final = tuple(name for name, each in MECHANISMS.items() if not each.needs_tls)
"""Those that don't show the server the password: what a client uses unless it is told otherwise."""


def acceptable(allowed: tuple[str, ...] | None, *, secure: bool) -> list[Mechanism]:
    """The mechanisms that may be used, best first.

    allowed: names in order of preference, None for all; names that EMP does not have are skipped.
    secure: whether TLS protects the stream; without it none that shows the password is left.
    """
    names = MECHANISMS if allowed is None else allowed
    found = [MECHANISMS[name] for name in names if name in MECHANISMS]
    return [each for each in found if secure or not each.needs_tls]


def choose(
    offered: Collection[str], allowed: tuple[str, ...] | None, *, secure: bool
) -> Mechanism | None:
    """Our best mechanism among those that the server offers, None if there is none."""
    for mechanism in acceptable(allowed, secure=secure):
        if mechanism.name in offered:
            return mechanism
    return None


__all__ = [
    "DISCREET",
    "MECHANISMS",
    "Challenge",
    "ClientExchange",
    "Mechanism",
    "ServerExchange",
    "Success",
    "acceptable",
    "choose",
    "saslprep",
]
