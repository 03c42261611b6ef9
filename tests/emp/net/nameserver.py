"""A real DNS server on loopback, for the questions of emp.net to be asked for real."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset
import pytest

from emp.net import names


class Zone(asyncio.DatagramProtocol):
    """What DNS says: `records` by name and type. `secure`: the AD flag is set, as a validating
    resolver does for those who ask with AD or DO; `broken` names have SERVFAIL. `asked` remembers.
    """

    def __init__(self, *, secure: bool = False) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.secure = secure
        self.broken: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self._transport: asyncio.DatagramTransport | None = None

    def add(self, name: str, kind: str, *texts: str) -> None:
        self.records.setdefault((name, kind), []).extend(texts)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        answer = dns.message.make_response(query, recursion_available=True)
        if texts := self.records.get((name, kind)):
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *texts))
        elif not any(known == name for known, _ in self.records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        if name in self.broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
            answer.answer.clear()
        if self.secure and query.flags & dns.flags.AD and query.ednsflags & dns.flags.DO:
            answer.flags |= dns.flags.AD
        assert self._transport is not None
        self._transport.sendto(answer.to_wire(max_size=65_535), address)


@contextlib.asynccontextmanager
async def nameserver(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """While it lasts, `zone` is all that the machine's resolver and its C library know."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: zone, local_addr=("127.0.0.1", 0), family=socket.AF_INET
    )
    port = transport.get_extra_info("sockname")[1]

    def configure(resolver: dns.resolver.BaseResolver, file: object) -> None:
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = port

    system = loop.getaddrinfo

    async def getaddrinfo(host: str, port: int, **more: Any) -> list[Any]:
        if names.ip_literal(host):  # uvloop asks for those too
            return await system(host, port, **more)
        resolver = dns.asyncresolver.Resolver()
        try:
            found = await resolver.resolve_name(host, search=False)
        except dns.resolver.NXDOMAIN:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
        return [
            (family, socket.SOCK_STREAM, 6, "", (address, port))
            for address, family in sorted(found.addresses_and_families(), key=lambda each: -each[1])
        ]

    with monkeypatch.context() as patch:
        patch.setattr(dns.resolver.BaseResolver, "read_resolv_conf", configure)
        patch.setattr(loop, "getaddrinfo", getaddrinfo)
        try:
            yield
        finally:
            transport.close()
            await asyncio.sleep(0)
