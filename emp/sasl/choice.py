"""Which mechanism is taken: what the user allows, what the server offers, what TLS can do."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import Final

from emp.errors import AuthenticationError
from emp.sasl.anonymous import ANONYMOUS
from emp.sasl.external import EXTERNAL
from emp.sasl.mechanism import (
    Attempt,
    Authority,
    Binding,
    Channel,
    ClientExchange,
    Credentials,
    Mechanism,
    ServerExchange,
)
from emp.sasl.memory import Memory
from emp.sasl.plain import PLAIN
from emp.sasl.scram_client import ScramClient
from emp.sasl.scram_server import ScramServer
from emp.sasl.strength import BINDING_TYPES, PLUS, STRENGTH, rank


def _client(digest: str, attempt: Attempt) -> ClientExchange:
    return ScramClient(attempt, digest=digest)


def _server(digest: str, binds: bool, authority: Authority, channel: Channel) -> ServerExchange:
    return ScramServer(authority, channel, digest=digest, binds=binds)


def _scram(name: str, digest: str) -> Mechanism:
    binds = name.endswith(PLUS)
    return Mechanism(
        name,
        needs_tls=binds,
        client=partial(_client, digest),
        server=partial(_server, digest, binds),
        binds=binds,
    )


_DIGESTS: Final = {"SCRAM-SHA-512": "sha512", "SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}
_ALL: Final = {each.name: each for each in (EXTERNAL, PLAIN, ANONYMOUS)} | {
    name: _scram(name, digest) for base, digest in _DIGESTS.items() for name in (base, base + PLUS)
}

MECHANISMS: Final = {name: _ALL[name] for name in STRENGTH}
"""All mechanisms, strongest first."""

BY_NAME_ONLY: Final = frozenset({"EXTERNAL", "PLAIN", "ANONYMOUS"})
"""Those that a user must ask for by name: they show something, or prove nothing."""

DISCREET: Final = tuple(name for name in STRENGTH if name not in BY_NAME_ONLY)
"""What a client uses unless it is told otherwise: the server never sees the password."""

SERVED: Final = tuple(name for name in STRENGTH if name != "ANONYMOUS")
"""What a server offers unless it is told otherwise: no entry for strangers."""


def policy(mechanisms: Collection[str] | None, floor: str | None) -> tuple[str, ...]:
    """The mechanisms that may be used, strongest first.

    mechanisms: exactly those. Else floor: no weaker one; those of BY_NAME_ONLY are in only where
    the floor is one of them. Else DISCREET.
    """
    if mechanisms is not None:
        return tuple(name for name in STRENGTH if name in mechanisms)
    if floor is None:
        return DISCREET
    good = STRENGTH[: STRENGTH.index(floor) + 1]
    return tuple(name for name in good if name == floor or name not in BY_NAME_ONLY)


def servable(allowed: Collection[str] | None, authority: Authority, channel: Channel) -> list[str]:
    """The mechanisms that a server offers on this channel, strongest first. None: SERVED."""
    wanted = SERVED if allowed is None else allowed
    return [
        name
        for name, each in MECHANISMS.items()
        if name in wanted
        and (channel.secure or not each.needs_tls)
        and (channel.bindings or not each.binds)
        and (authority.identities or each is not EXTERNAL)
    ]


def choose(
    allowed: Collection[str] | None,
    credentials: Credentials,
    channel: Channel,
    memory: Memory | None = None,
) -> Attempt:
    """The strongest login that we may try with this server. `allowed` None: DISCREET.

    AuthenticationError "invalid-mechanism" where there is none; "mechanism-too-weak" where the
    server was better before (`memory`), or its offer contradicts itself.
    """
    memory = memory or Memory()
    may = set(DISCREET if allowed is None else allowed)
    common = _common_type(channel)
    missing: dict[str, str] = {}
    for name in STRENGTH:
        mechanism = MECHANISMS[name]
        if name in may and name in channel.offered:
            lack = _lack(mechanism, credentials, channel, common)
            if not lack:
                break
            missing[name] = lack
    else:
        raise _nothing(channel, missing)
    binding, doubt = Binding(), None
    if mechanism.binds:
        assert common is not None
        binding = Binding(f"p={common}", channel.bindings[common])
    elif name in _DIGESTS:
        binding, doubt = _without_binding(may, channel, common)
    doubt = _worse(memory, name, binding.flag) or doubt
    if doubt and name in BY_NAME_ONLY:
        raise doubt
    return Attempt(mechanism, credentials, channel, binding, memory, doubt)


def _common_type(channel: Channel) -> str | None:
    """The strongest type of channel binding that both have.

    Servers without a list do the one type that is as old as SCRAM: tls-unique, which ends with
    TLS 1.2.
    """
    theirs = ("tls-unique",) if channel.announced is None else channel.announced
    return next((t for t in BINDING_TYPES if t in channel.bindings and t in theirs), None)


def _lack(
    mechanism: Mechanism, credentials: Credentials, channel: Channel, common: str | None
) -> str:
    """What a mechanism needs that is not there; "" for nothing."""
    if mechanism.needs_tls and not channel.secure:
        return "needs TLS"
    if mechanism is EXTERNAL:
        return "" if credentials.certificate else "needs a certificate of ours"
    if mechanism is ANONYMOUS:
        return ""
    if mechanism.binds and common is None:
        return "needs a channel binding that both sides have on this connection"
    return "" if credentials.password is not None else "needs a password"


def _nothing(channel: Channel, missing: Mapping[str, str]) -> AuthenticationError:
    """The error where no mechanism is left; `missing`: what those that are allowed lack."""
    if missing:
        name = next(iter(missing))
        return AuthenticationError("invalid-mechanism", f"{name} {missing[name]}")
    return AuthenticationError(
        "invalid-mechanism",
        f"no acceptable mechanism; the server offers {list(channel.offered)!r:.200}",
    )


def _without_binding(
    may: Collection[str], channel: Channel, common: str | None
) -> tuple[Binding, AuthenticationError | None]:
    """The flag of SCRAM without -PLUS, and what makes us doubt the offer (XEP-0440 §3)."""
    able = bool(channel.bindings) and any(name.endswith(PLUS) for name in may)
    if not able:
        return Binding("n"), None
    if not any(name.endswith(PLUS) for name in channel.offered):
        if channel.announced:
            raise _weak("the server announces channel binding, but no mechanism that does it")
        return Binding("y"), None
    if channel.announced is None and channel.strict:
        raise _weak("the server offers channel binding, but does not say of which type")
    if common is None and channel.announced is not None:
        return Binding("n"), _weak("the server announces no channel binding that we know")
    return Binding("n"), None


def _weak(reason: str) -> AuthenticationError:
    return AuthenticationError(
        "mechanism-too-weak",
        reason,
        remedy="somebody may change on the way what the server offers; if it is the server's own "
        "fault, authentication = can name mechanisms without -PLUS",
    )


def _worse(memory: Memory, name: str, flag: str) -> AuthenticationError | None:
    """The error for a login that is weaker than the best one so far."""
    if memory.best is None or rank(name, flag) <= rank(*memory.best):
        return None
    best, kind = memory.best
    if best == name:
        best, name = (f"{best} with {each.removeprefix('p=')}" for each in (kind, flag))
    return AuthenticationError(
        "mechanism-too-weak",
        f"the server offers no better than {name} now, and did {best} before",
        remedy="somebody may change on the way what it offers; if its administrator has changed "
        "it on purpose, start this program again",
    )
