"""Questions to DNS and to the system's resolver, and their answers as plain values."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.resolver

from emp.net import names
from emp.net.dane import MAX_RECORDS, TlsaRecord

DNS_SECONDS = 5.0
"""For SRV and TLSA: the answer is there in milliseconds, or DNS is not working."""

ADDRESS_SECONDS = 10.0
"""For A and AAAA: the C library asks twice with 5 s each before it gives up."""

MAX_SRV_RECORDS = 64
"""Records looked at in one answer: zones have up to about six."""

EDNS_BYTES = 1232
"""The answer that fits into a packet on every path (DNS flag day 2020)."""


@dataclass(frozen=True, slots=True)
class SrvRecord:
    """One answer to the SRV question (RFC 2782). direct: its service has TLS from the first byte
    (XEP-0368); secure: DNSSEC vouches for it."""

    priority: int
    weight: int
    port: int
    target: str
    direct: bool = False
    secure: bool = False


class DnsUnknown(Exception):
    """DNS has no answer. `definite`: it said so itself, there are none."""

    def __init__(self, reason: str, *, definite: bool) -> None:
        super().__init__(reason)
        self.definite = definite


LookUpSrv = Callable[[str], Awaitable[Sequence[SrvRecord]]]
LookUpAddresses = Callable[[str, int], Awaitable[Sequence[str]]]
LookUpTlsa = Callable[[str], Awaitable[Sequence[TlsaRecord]]]


async def look_up_srv(name: str) -> list[SrvRecord]:
    """Ask DNS for the SRV records of `name`; raises DnsUnknown where there are none."""
    answer = await _ask(name, "SRV")
    return [
        SrvRecord(
            record.priority,
            record.weight,
            record.port,
            record.target.to_text(omit_final_dot=True) or ".",
            secure=_validated(answer),
        )
        for record, _ in zip(answer, range(MAX_SRV_RECORDS), strict=False)
    ]


async def look_up_tlsa(name: str) -> list[TlsaRecord]:
    """The TLSA records of `name` that the resolver has validated; none where it has not.

    Raises DnsUnknown, definite=False, where DNS failed: then nobody knows what should hold.
    """
    try:
        answer = await _ask(name, "TLSA")
    except DnsUnknown as unknown:
        if unknown.definite:
            return []
        raise
    if not _validated(answer):
        return []
    return [
        TlsaRecord(record.usage, record.selector, record.mtype, record.cert)
        for record, _ in zip(answer, range(MAX_RECORDS), strict=False)
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


async def _ask(name: str, kind: str) -> dns.resolver.Answer:
    try:
        resolver = dns.asyncresolver.Resolver()
        resolver.use_edns(0, dns.flags.DO, EDNS_BYTES)
        resolver.flags = dns.flags.RD | dns.flags.AD  # RFC 6840 §5.7: tell us if it is validated
        return await resolver.resolve(name, kind, lifetime=DNS_SECONDS, search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        raise DnsUnknown(f"no {kind} records", definite=True) from None
    except dns.resolver.NoResolverConfiguration:
        raise DnsUnknown("this machine has no DNS configuration", definite=False) from None
    except dns.exception.Timeout:
        raise DnsUnknown("DNS does not answer", definite=False) from None
    except (dns.exception.DNSException, OSError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DnsUnknown(f"DNS failed: {reason}", definite=False) from None


def _validated(answer: dns.resolver.Answer) -> bool:
    return bool(answer.response.flags & dns.flags.AD)
