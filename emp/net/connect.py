"""From settings to a stream that is ready for stanzas, step by step.

Targets are tried in the order of DNS, the addresses of each in a race. A target that is not
reachable, or that offers no TLS we can trust, gives way to the next one; what comes after TLS is
the domain's own word, and final.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from emp.config import ConnectionSettings
from emp.errors import ConnectionFailed, EmpError
from emp.net import accounts, failures, names
from emp.net.negotiation import Progress
from emp.net.race import first_to_answer
from emp.net.resolve import Candidate, resolve, resolve_host
from emp.net.sink import StreamSink
from emp.net.transport import XMPPStream
from emp.net.trust import Trust, trust_in, web_trust
from emp.sasl import Memory, policy
from emp.stream import ClientStream, ComponentStream
from emp.stream.config import ClientConfig, ComponentConfig
from emp.stream.framing import TCP, WEBSOCKET
from emp.stream.limits import Limits
from emp.stream.management import Management
from emp.tokens import TokenStore

if TYPE_CHECKING:
    from emp.net.websocket import Wire

log = logging.getLogger("emp.net")

MAX_HOPS = 3
"""Times that a server may send us on to another one (RFC 6120 §4.9.3.19): clusters need one."""

_BEFORE_LOGIN = ("connect", "secure", "upgrade")
"""Steps whose failure says nothing about the other candidates."""


def _quiet(step: str, detail: str) -> None:
    """Nobody wants to know."""


async def open_stream(
    settings: ConnectionSettings,
    sink: StreamSink,
    *,
    progress: Progress = _quiet,
    management: Management | None = None,
    memory: Memory | None = None,
    tokens: TokenStore | None = None,
    available: bool = True,
    other_host: str | None = None,
) -> XMPPStream:
    """Connect, secure, authenticate, bind or resume; clients become available.

    `progress(step, detail)` is called when a step of STEPS is done. Each step may take
    `settings.connect_timeout` seconds. Stanzas go to `sink` as soon as the server sends some.
    `management`: the books of XEP-0198, from the stream before; `memory`: what SASL learnt then, so
    that coming back is cheap and nobody weakens it; `tokens`: where those of FAST are kept; None
    for none. available: whether to send the first presence. other_host: `host[:port]` to try first,
    where a server wanted us to be; what it has to prove stays the same. For a WebSocket, that is an
    address that begins with wss://.
    Raises ConnectionFailed; then nothing is left open.
    """
    management = Management() if management is None else management
    memory = Memory() if memory is None else memory
    attempt = _Attempt(settings, sink, progress, management, memory, tokens, available)
    if settings.kind == "client" or settings.tls == "direct":
        trust_in(settings)  # files that cannot be used need no network to fail
    candidates = await attempt.resolve(other_host)
    visited: list[str] = []
    while True:
        try:
            return await attempt.connect(candidates)
        except ConnectionFailed as failure:
            if failure.other_host is None:
                raise
            visited.append(_still_new(failure, visited))
            log.info("%s: sent on to %s", settings.name, failure.other_host)
            candidates = await attempt.resolve_hop(failure.other_host)


def _still_new(failure: ConnectionFailed, visited: Sequence[str]) -> str:
    """The next host; ConnectionFailed where we were there before, or too often elsewhere."""
    place = failure.other_host
    assert place is not None
    if place.lower() not in visited and len(visited) < MAX_HOPS:
        return place.lower()
    way = " → ".join((*visited, place))
    raise ConnectionFailed(
        failure.step,
        f"one server sends us to the next, and no end: {way}",
        remedy="the servers of this domain disagree about who serves it",
    )


@dataclass(slots=True)
class _Attempt:
    """One call of open_stream."""

    settings: ConnectionSettings
    sink: StreamSink
    progress: Progress
    management: Management
    memory: Memory
    tokens: TokenStore | None
    available: bool
    warned: bool = False
    direct: bool = False  # the connection tried last had TLS from the first byte

    # -- where to -----------------------------------------------------------------------------

    async def resolve(self, other_host: str | None) -> list[Candidate]:
        """The usual candidates, behind those of `other_host`."""
        candidates: list[Candidate] = []
        try:
            async with asyncio.timeout(self.settings.connect_timeout):
                if other_host is not None:
                    candidates = await self._resolve_other(other_host)
                candidates = candidates + await self._usual()
        except TimeoutError:
            if not candidates:
                raise self._no_dns() from None
        except ConnectionFailed:
            if not candidates:
                raise
        self.progress("resolve", ", ".join(map(str, candidates)))
        return candidates

    async def _usual(self) -> list[Candidate]:
        if self.settings.websocket:
            from emp.net import websocket  # few connections need it, and it is large

            return await websocket.resolve(self.settings)
        return await resolve(self.settings)

    async def _resolve_other(self, other_host: str) -> list[Candidate]:
        direct = self.settings.tls == "direct"
        try:
            return await self._place(other_host, direct=direct)
        except (ValueError, ConnectionFailed) as error:
            log.warning("%s: %s is no place to go: %s", self.settings.name, other_host, error)
            return []

    async def resolve_hop(self, other_host: str) -> list[Candidate]:
        """Where the server that we talked to wants us to be."""
        try:
            async with asyncio.timeout(self.settings.connect_timeout):
                found = await self._place(other_host, direct=self.direct)
        except TimeoutError:
            raise self._no_dns() from None
        self.progress("resolve", ", ".join(map(str, found)))
        return found

    async def _place(self, other_host: str, *, direct: bool) -> list[Candidate]:
        """ValueError if that is no place."""
        if self.settings.websocket:
            from emp.net import websocket  # as above

            return await websocket.resolve_place(self.settings, other_host)
        host, port = names.host_and_port(other_host)
        return await resolve_host(self.settings, host, port, direct=direct)

    def _no_dns(self) -> ConnectionFailed:
        who = "the web server" if self.settings.websocket == "discover" else "DNS"
        reason = f"no answer from {who} in {self.settings.connect_timeout:g} s"
        return ConnectionFailed("resolve", reason)

    # -- the candidates, one after the other --------------------------------------------------

    async def connect(self, candidates: Sequence[Candidate]) -> XMPPStream:
        """The first that works. What is left of the time is shared among those left."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.settings.connect_timeout
        targets = [
            deque(group)
            for _, group in groupby(candidates, lambda c: (c.host, c.port, c.direct, c.endpoint))
        ]
        faults: list[ConnectionFailed] = []
        for number, target in enumerate(targets):
            left = deadline - loop.time()
            if faults and left <= 0:  # it was not the network that took so long
                break
            until = loop.time() + left / (len(targets) - number)
            while target:
                stream = await self._try(target, until, faults)
                if stream is not None:
                    return stream
        raise _all_of(faults)

    async def _try(
        self, target: deque[Candidate], until: float, faults: list[ConnectionFailed]
    ) -> XMPPStream | None:
        """The address of this target that answers first; it, and those that failed, leave it."""

        def failed(candidate: Candidate, error: OSError) -> None:
            faults.append(_unreachable(candidate, failures.os_reason(error)))

        try:
            async with asyncio.timeout_at(until):
                found = await first_to_answer(target, failed)
        except TimeoutError:
            faults += [_unreachable(candidate, "no answer in time") for candidate in target]
            target.clear()
            return None
        if found is None:
            return None
        try:
            return await self._talk(*found, until)
        except ConnectionFailed as failure:
            if failure.step not in _BEFORE_LOGIN or failure.other_host is not None:
                raise
            faults.append(failure)
            return None

    async def _talk(self, candidate: Candidate, sock: socket.socket, until: float) -> XMPPStream:
        try:
            direct = self._is_direct(candidate)
            trust = self._trust(candidate, direct)
            engine = self._engine(candidate)
            stream = XMPPStream(self.settings, engine, self.sink, _wire(engine, candidate))
        except BaseException:
            sock.close()
            raise
        stream.peer = str(candidate)
        try:
            await stream.attach(sock, trust if direct else None, until, self.progress)
            await stream.negotiate(trust, self.progress, available=self.available)
        except EmpError:
            await stream.discard()
            raise
        except BaseException:  # cancelled, or a fault in `progress` or `sink`: leave nothing open
            stream.abort()
            raise
        return stream

    # -- how to talk to each -------------------------------------------------------------------

    def _is_direct(self, candidate: Candidate) -> bool:
        """Whether TLS comes first. XEP-0114 knows no STARTTLS, and one may not need it at home."""
        settings = self.settings
        if settings.kind == "component" and settings.tls == "required":
            self.direct = not names.is_loopback(candidate.address)
        else:
            self.direct = candidate.direct
        return self.direct

    def _trust(self, candidate: Candidate, direct: bool) -> Trust | None:
        """What the server must prove; None where nothing is going to be asked of it."""
        settings = self.settings
        if settings.tls == "none" and not names.is_loopback(candidate.address):
            self._warn(candidate)
        if candidate.endpoint is not None:
            host = candidate.endpoint.host
            return web_trust(settings, host, domain=True, setting="websocket") if direct else None
        if settings.kind == "component" and not direct:
            return None
        return trust_in(settings, direct=direct, tlsa=candidate.tlsa)

    def _warn(self, candidate: Candidate) -> None:
        if not self.warned:
            self.warned = True
            log.warning(
                '%s: tls = "none": everything sent to %s and received from it, the proof of our '
                "password included, can be read and changed on the way",
                self.settings.name,
                candidate,
            )

    def _engine(self, candidate: Candidate) -> ClientStream | ComponentStream:
        settings, tokens, endpoint = self.settings, self.tokens, candidate.endpoint
        limits = Limits(stanza_bytes=settings.stanza_bytes, answer_bytes=settings.answer_bytes)
        if settings.kind == "component":
            return ComponentStream(
                ComponentConfig(
                    domain=settings.host,
                    secret=settings.secret or "",
                    limits=limits,
                    management=self.management,
                )
            )
        return ClientStream(
            ClientConfig(
                domain=settings.host,
                username=settings.node or "",
                password=settings.password,
                certificate=settings.certificate is not None,
                authzid=accounts.authzid(settings),
                memory=self.memory,
                resource=settings.resource,
                resource_needed=settings.resource_needed,
                mechanisms=policy(settings.mechanisms, settings.floor),
                # Where WebSocket is clear, that is allowed: see emp.net.websocket.
                require_tls=settings.tls != "none" and (endpoint is None or endpoint.secure),
                framing=TCP if endpoint is None else WEBSOCKET,
                limits=limits,
                management=self.management,
                acknowledgements=settings.management,
                tokens=None if tokens is None else tokens.client(settings.address, settings.name),
                carbons=settings.carbons,
                client_state=settings.client_state,
            )
        )


def _wire(engine: ClientStream | ComponentStream, candidate: Candidate) -> Wire | None:
    if candidate.endpoint is None:
        return None
    from emp.net.websocket import ClientWire  # as above

    return ClientWire(engine, candidate.endpoint)


def _unreachable(candidate: Candidate, reason: str) -> ConnectionFailed:
    remedy = "is the server running, and are server = and port = right?"
    return ConnectionFailed("connect", f"{candidate}: {reason}", remedy=remedy)


def _all_of(faults: Sequence[ConnectionFailed]) -> ConnectionFailed:
    """One failure for all candidates, with the remedy of the one that came farthest.

    Permanent if all are that answered at all: an address that is never reachable, as those of IPv6
    are in many places, must not make a bad certificate look like a passing trouble.
    """
    if len(faults) == 1:
        return faults[0]
    farthest = max(faults, key=lambda fault: failures.STEPS.index(fault.step))
    return ConnectionFailed(
        farthest.step,
        "; ".join(dict.fromkeys(fault.reason for fault in faults)),
        permanent=all(fault.permanent for fault in faults if fault.step == farthest.step),
        remedy=farthest.remedy,
    )
