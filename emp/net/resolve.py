"""Where to connect: from an XMPP domain to addresses, in the order of trying.

RFC 6120 §3.2: SRV records of `_xmpp-client._tcp`, ordered by priority and weight (RFC 2782); where
DNS has none, the domain itself. Components have no SRV records. An explicit server or port wins.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import dns.asyncresolver
import dns.exception
import dns.resolver

from emp.config import ConnectionSettings
from emp.errors import ConnectionFailed
from emp.net import names

CLIENT_PORT = 5222
"""RFC 6120 §14.7."""

COMPONENT_PORT = 5347
"""What servers listen on for XEP-0114 by convention; no registry has it."""

SRV_SECONDS = 5.0
"""For the SRV question: the answer is there in milliseconds, or DNS is not working."""

ADDRESS_SECONDS = 10.0
"""For A and AAAA: the C library asks twice with 5 s each before it gives up."""

MAX_TARGETS = 16
"""SRV targets used: zones have up to about six, and each costs a question of its own."""

MAX_CANDIDATES = 32
"""Addresses tried in one attempt: more would only wear down the time of each."""


@dataclass(frozen=True, slots=True)
class Target:
    """A host name and a port that may serve the domain."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """An IP address and a port to try; `host` is the name that led to it."""

    host: str
    address: str
    port: int

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        shown = f"{address}:{self.port}"
        return shown if self.host == self.address else f"{self.host} ({shown})"


@dataclass(frozen=True, slots=True)
class SrvRecord:
    """One answer to the SRV question (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str


class SrvUnknown(Exception):
    """DNS gave no SRV records. `definite`: it said so itself, there are none."""

    def __init__(self, reason: str, *, definite: bool) -> None:
        super().__init__(reason)
        self.definite = definite


LookUpSrv = Callable[[str], Awaitable[Sequence[SrvRecord]]]
LookUpAddresses = Callable[[str, int], Awaitable[Sequence[str]]]


async def look_up_srv(name: str) -> list[SrvRecord]:
    """Ask DNS for the SRV records of `name`; raises SrvUnknown where there are none."""
    try:
        resolver = dns.asyncresolver.Resolver()
        answer = await resolver.resolve(name, "SRV", lifetime=SRV_SECONDS, search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        raise SrvUnknown("no SRV records", definite=True) from None
    except dns.resolver.NoResolverConfiguration:
        raise SrvUnknown("this machine has no DNS configuration", definite=False) from None
    except dns.exception.Timeout:
        raise SrvUnknown("DNS does not answer", definite=False) from None
    except (dns.exception.DNSException, OSError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise SrvUnknown(f"DNS failed: {reason}", definite=False) from None
    return [
        SrvRecord(r.priority, r.weight, r.port, r.target.to_text(omit_final_dot=True) or ".")
        for r in answer
    ]


async def look_up_addresses(host: str, port: int) -> list[str]:
    """The IP addresses of `host`, IPv6 and IPv4 in the system's order of preference.

    IP literals and localhost are answered without asking. Raises socket.gaierror and TimeoutError.
    """
    if literal := names.ip_literal(host):
        return [literal]
    if names.is_localhost(host):
        return list(names.LOOPBACK)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(ADDRESS_SECONDS):
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


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


async def resolve(
    settings: ConnectionSettings,
    *,
    rng: random.Random | None = None,
    srv: LookUpSrv = look_up_srv,
    addresses: LookUpAddresses = look_up_addresses,
) -> list[Candidate]:
    """The addresses to try for one connection, in order, never an empty list.

    `rng` decides between SRV records of equal priority. Raises ConnectionFailed(step="resolve"),
    permanent where DNS says that the names do not exist.
    """
    try:
        targets, doubt = await _targets(settings, rng or random.Random(), srv)
        return await _candidates(settings, targets, doubt, addresses)
    except ValueError as error:
        raise _failed(settings, str(error), permanent=True) from None


async def _targets(
    settings: ConnectionSettings, rng: random.Random, srv: LookUpSrv
) -> tuple[list[Target], SrvUnknown | None]:
    """Names and ports to try; and why SRV was of no use, where it was asked in vain."""
    host = names.a_label(settings.server or settings.host)
    if settings.kind == "component":
        return [Target(host, settings.port or COMPONENT_PORT)], None
    itself = Target(host, settings.port or CLIENT_PORT)
    if settings.server or settings.port or names.ip_literal(host) or names.is_localhost(host):
        return [itself], None
    try:
        records = await srv(f"_xmpp-client._tcp.{host}.")
    except SrvUnknown as unknown:
        return [itself], unknown
    if len(records) == 1 and records[0].target == ".":
        raise _failed(
            settings,
            f"the DNS of {settings.host} says that it offers no XMPP to clients",
            permanent=True,
        )
    usable = [record for record in srv_order(records, rng) if record.target != "."]
    return [Target(record.target, record.port) for record in usable[:MAX_TARGETS]], None


async def _candidates(
    settings: ConnectionSettings,
    targets: Sequence[Target],
    doubt: SrvUnknown | None,
    addresses: LookUpAddresses,
) -> list[Candidate]:
    answers = await asyncio.gather(
        *(addresses(target.host, target.port) for target in targets), return_exceptions=True
    )
    found: list[Candidate] = []
    faults: list[str] = []
    certain = doubt is None or doubt.definite
    for target, answer in zip(targets, answers, strict=True):
        if isinstance(answer, (OSError, UnicodeError)):  # gaierror and TimeoutError are OSErrors
            reason, definite = _reason(answer)
            certain &= definite
            faults.append(f"{target.host}: {reason}")
        elif isinstance(answer, BaseException):
            raise answer
        else:
            found += [Candidate(target.host, address, target.port) for address in answer]
    if found:
        return list(dict.fromkeys(found))[:MAX_CANDIDATES]
    if doubt is not None and not doubt.definite:
        faults.append(str(doubt))
    raise _failed(settings, "; ".join(faults) or "DNS has no address", permanent=certain)


_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def _reason(error: OSError | UnicodeError) -> tuple[str, bool]:
    """In words; and whether DNS was definite about it."""
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
