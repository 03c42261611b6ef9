"""Where to connect: from an XMPP domain to addresses, in the order of trying.

RFC 6120 §3.2 and XEP-0368: SRV records of `_xmpp-client._tcp` (STARTTLS) and `_xmpps-client._tcp`
(direct TLS) in one list, ordered by priority and weight (RFC 2782) whichever service they are of;
where DNS has neither, the domain itself. Components have no SRV records. An explicit server or port
wins. With `dane`, TLSA records for each target that DNSSEC leads to (RFC 7673).
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain, zip_longest

from emp.config import ConnectionSettings
from emp.errors import ConnectionFailed
from emp.net import names
from emp.net.dane import TlsaRecord
from emp.net.endpoint import Endpoint
from emp.net.lookup import (
    DnsUnknown,
    LookUpAddresses,
    LookUpSrv,
    LookUpTlsa,
    SrvRecord,
    look_up_addresses,
    look_up_srv,
    look_up_tlsa,
)

CLIENT_PORT = 5222
"""RFC 6120 §14.7."""

DIRECT_PORT = 5223
"""Direct TLS for clients by convention; XEP-0368 leaves it to SRV."""

COMPONENT_PORT = 5347
"""What servers listen on for XEP-0114 by convention; no registry has it."""

MAX_TARGETS = 16
"""SRV targets used: zones have up to about six, and each costs a question of its own."""

MAX_CANDIDATES = 32
"""Addresses tried in one attempt: more would only wear down the time of each."""


@dataclass(frozen=True, slots=True)
class Target:
    """A host name and a port that may serve the domain. direct: with TLS from the first byte;
    secure: the way from the domain to this name cannot be forged."""

    host: str
    port: int
    direct: bool = False
    secure: bool = True


@dataclass(frozen=True, slots=True)
class Candidate:
    """An IP address and a port to try; `host` is the name that led to it.

    direct: with TLS from the first byte. tlsa: what DNSSEC says of its certificate. endpoint: the
    WebSocket that is there, if it is one.
    """

    host: str
    address: str
    port: int
    direct: bool = False
    tlsa: tuple[TlsaRecord, ...] = ()
    endpoint: Endpoint | None = None

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        shown = f"{address}:{self.port}"
        return shown if self.host == self.address else f"{self.host} ({shown})"


async def resolve(
    settings: ConnectionSettings,
    *,
    rng: random.Random | None = None,
    srv: LookUpSrv = look_up_srv,
    addresses: LookUpAddresses = look_up_addresses,
    tlsa: LookUpTlsa = look_up_tlsa,
) -> list[Candidate]:
    """The addresses to try for one connection, in order, never an empty list.

    Addresses of one target follow each other, IPv6 and IPv4 by turns (RFC 8305 §4). `rng` decides
    between SRV records of equal priority. Raises ConnectionFailed(step="resolve"), permanent where
    DNS says that the names do not exist.
    """
    try:
        targets, doubt = await _targets(settings, rng or random.Random(), srv)
    except ValueError as error:
        raise _failed(settings, str(error), permanent=True) from None
    return await _candidates(settings, targets, doubt, addresses, tlsa)


async def resolve_host(
    settings: ConnectionSettings,
    host: str,
    port: int | None,
    *,
    direct: bool,
    addresses: LookUpAddresses = look_up_addresses,
    tlsa: LookUpTlsa = look_up_tlsa,
) -> list[Candidate]:
    """The addresses of a machine that the server itself named, in order, never an empty list.

    Nothing vouches for that name, so DNSSEC has no say. Raises ConnectionFailed(step="resolve").
    """
    target = Target(names.a_label(host), port or _usual_port(settings), direct, secure=False)
    return await _candidates(settings, [target], None, addresses, tlsa)


# -- names and ports ------------------------------------------------------------------------------

# The mode of TLS → the SRV services that fit, and whether each is direct TLS.
_SERVICES = {
    "required": (("_xmpp-client", False), ("_xmpps-client", True)),
    "direct": (("_xmpps-client", True),),
    "none": (("_xmpp-client", False),),
}


async def _targets(
    settings: ConnectionSettings, rng: random.Random, srv: LookUpSrv
) -> tuple[list[Target], DnsUnknown | None]:
    """Names and ports to try; and why SRV was of no use, where it was asked in vain."""
    host = names.a_label(settings.server or settings.host)
    itself = Target(host, settings.port or _usual_port(settings), settings.tls == "direct")
    explicit = settings.server or settings.port
    if settings.kind == "component" or explicit or _needs_no_dns(host):
        return [itself], None
    answers = await asyncio.gather(
        *(_ask_srv(srv, f"{service}._tcp.{host}.") for service, _ in _SERVICES[settings.tls])
    )
    records: list[SrvRecord] = []
    unknown: list[DnsUnknown] = []
    for answer, (_, direct) in zip(answers, _SERVICES[settings.tls], strict=True):
        if isinstance(answer, DnsUnknown):
            unknown.append(answer)
        else:
            records += [replace(record, direct=direct) for record in answer]
    doubt = next((each for each in unknown if not each.definite), None)
    if not records:
        return [itself], doubt or unknown[0]
    # A target of "." means: not offered (RFC 2782). Then the domain itself is none either.
    usable = [record for record in srv_order(records, rng) if record.target != "."]
    if not usable:
        raise _failed(
            settings,
            f"the DNS of {settings.host} says that it offers no {_kind_of_xmpp(settings)}",
            permanent=doubt is None,
        )
    return [Target(r.target, r.port, r.direct, r.secure) for r in usable[:MAX_TARGETS]], doubt


async def _ask_srv(srv: LookUpSrv, name: str) -> Sequence[SrvRecord] | DnsUnknown:
    try:
        return await srv(name)
    except DnsUnknown as unknown:
        return unknown


def srv_order(records: Iterable[SrvRecord], rng: random.Random) -> list[SrvRecord]:
    """Lowest priority first; within one priority a weighted random order (RFC 2782, page 3)."""
    ordered: list[SrvRecord] = []
    groups: dict[int, list[SrvRecord]] = {}
    for record in records:
        groups.setdefault(record.priority, []).append(record)
    for _, group in sorted(groups.items()):
        # Weight 0 in front, so that it is chosen seldom but not never.
        left = sorted(group, key=lambda record: record.weight > 0)
        while left:
            sums = list(accumulate(record.weight for record in left))
            mark = rng.randint(0, sums[-1])
            ordered.append(left.pop(next(i for i, reached in enumerate(sums) if reached >= mark)))
    return ordered


def _usual_port(settings: ConnectionSettings) -> int:
    if settings.kind == "component":
        return COMPONENT_PORT
    return DIRECT_PORT if settings.tls == "direct" else CLIENT_PORT


def _needs_no_dns(host: str) -> bool:
    return names.ip_literal(host) is not None or names.is_localhost(host)


def _kind_of_xmpp(settings: ConnectionSettings) -> str:
    return "XMPP over direct TLS to clients" if settings.tls == "direct" else "XMPP to clients"


# -- addresses and certificates -------------------------------------------------------------------


async def _candidates(
    settings: ConnectionSettings,
    targets: Sequence[Target],
    doubt: DnsUnknown | None,
    addresses: LookUpAddresses,
    tlsa: LookUpTlsa,
) -> list[Candidate]:
    answers = await asyncio.gather(
        *(_places(settings, target, addresses, tlsa) for target in targets), return_exceptions=True
    )
    found: list[Candidate] = []
    faults: list[str] = []
    certain = doubt is None or doubt.definite
    for target, answer in zip(targets, answers, strict=True):
        if isinstance(answer, (OSError, UnicodeError, DnsUnknown)):  # gaierror is an OSError
            reason, definite = _reason(answer)
            certain &= definite
            faults.append(f"{target.host}: {reason}")
        elif isinstance(answer, BaseException):
            raise answer
        else:
            found += answer
    if found:
        return list(dict.fromkeys(found))[:MAX_CANDIDATES]
    if doubt is not None and not doubt.definite:
        faults.append(str(doubt))
    raise _failed(settings, "; ".join(faults) or "DNS has no address", permanent=certain)


async def _places(
    settings: ConnectionSettings, target: Target, addresses: LookUpAddresses, tlsa: LookUpTlsa
) -> list[Candidate]:
    found = await addresses(target.host, target.port)
    records: Sequence[TlsaRecord] = ()
    if settings.dane and target.secure and not _needs_no_dns(target.host):
        # Where this fails, the target is not used: whoever can suppress the answer must not be
        # able to do away with what it says (RFC 7673 §3.4).
        records = await tlsa(f"_{target.port}._tcp.{target.host}.")
    return [
        Candidate(target.host, address, target.port, target.direct, tuple(records))
        for address in _by_turns(found)
    ]


def _by_turns(addresses: Sequence[str]) -> list[str]:
    """One of each family after the other, beginning with the first one's (RFC 8305 §4)."""
    first = [each for each in addresses if (":" in each) is (":" in addresses[0])]
    rest = [each for each in addresses if each not in first]
    pairs = chain.from_iterable(zip_longest(first, rest))
    return [each for each in pairs if each is not None]


_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def _reason(error: OSError | UnicodeError | DnsUnknown) -> tuple[str, bool]:
    """In words; and whether DNS was definite about it."""
    if isinstance(error, DnsUnknown):
        return f"the TLSA records: {error}", False
    if isinstance(error, UnicodeError):
        return "not a host name", True
    if isinstance(error, TimeoutError):
        return "DNS does not answer", False
    if isinstance(error, socket.gaierror) and error.errno in _NO_SUCH_NAME:
        return "no such host", True
    return (error.strerror or str(error)).lower(), False


def _failed(settings: ConnectionSettings, reason: str, *, permanent: bool) -> ConnectionFailed:
    if settings.server:
        remedy = f"check server = {settings.server!r}"
    else:
        remedy = f"check host = {settings.host!r}, or set server = to the machine that serves it"
    return ConnectionFailed("resolve", reason, permanent=permanent, remedy=remedy)
