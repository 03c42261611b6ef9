"""From settings to a stream that is ready for stanzas, step by step."""

from __future__ import annotations

import asyncio

from emp.config import ConnectionSettings
from emp.errors import ConnectionFailed, EmpError
from emp.net import failures, names, tls
from emp.net.resolve import Candidate, resolve
from emp.net.transport import Progress, StreamSink, XMPPStream
from emp.sasl import DISCREET
from emp.stream import ClientStream, ComponentStream
from emp.stream.config import ClientConfig, ComponentConfig
from emp.stream.limits import Limits


def _quiet(step: str, detail: str) -> None:
    """Nobody wants to know."""


async def open_stream(
    settings: ConnectionSettings, sink: StreamSink, *, progress: Progress = _quiet
) -> XMPPStream:
    """Connect, secure, authenticate, bind; clients become available.

    `progress(step, detail)` is called when a step of STEPS is done. Each step may take
    `settings.connect_timeout` seconds. Stanzas go to `sink` as soon as the server sends some.
    Raises ConnectionFailed; then nothing is left open.
    """
    context = tls.client_context(settings.ca_file) if settings.kind == "client" else None
    candidates = await _resolve(settings)
    progress("resolve", ", ".join(map(str, candidates)))
    stream = await _connect(settings, sink, candidates)
    try:
        progress("connect", stream.peer)
        await stream.negotiate(context, progress)
    except EmpError:
        await stream.discard()
        raise
    except BaseException:  # cancelled, or a fault in `progress` or `sink`: leave nothing open
        stream.abort()
        raise
    return stream


async def _resolve(settings: ConnectionSettings) -> list[Candidate]:
    try:
        async with asyncio.timeout(settings.connect_timeout):
            return await resolve(settings)
    except TimeoutError:
        reason = f"no answer from DNS in {settings.connect_timeout:g} s"
        raise ConnectionFailed("resolve", reason) from None


async def _connect(
    settings: ConnectionSettings, sink: StreamSink, candidates: list[Candidate]
) -> XMPPStream:
    """The first candidate that answers. What is left of the time is shared among those left."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settings.connect_timeout
    faults: list[str] = []
    for number, candidate in enumerate(candidates):
        _may_be_clear(settings, candidate)
        share = (deadline - loop.time()) / (len(candidates) - number)
        try:
            async with asyncio.timeout(share):
                return await _connect_to(candidate, settings, sink)
        except OSError as error:  # TimeoutError is one
            faults.append(f"{candidate}: {failures.os_reason(error)}")
    remedy = "is the server running, and are server = and port = right?"
    raise ConnectionFailed("connect", "; ".join(faults), remedy=remedy)


async def _connect_to(
    candidate: Candidate, settings: ConnectionSettings, sink: StreamSink
) -> XMPPStream:
    stream = XMPPStream(settings, _engine(settings), sink)
    stream.peer = str(candidate)
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: stream, candidate.address, candidate.port)
    return stream


def _may_be_clear(settings: ConnectionSettings, candidate: Candidate) -> None:
    """XEP-0114 has no TLS: what leaves this machine must be allowed to be read on the way."""
    if settings.kind == "client" or settings.tls == "none" or names.is_loopback(candidate.address):
        return
    raise ConnectionFailed(
        "connect",
        f"components talk in clear text, and {candidate} is another machine",
        permanent=True,
        remedy='tls = "none" allows that, for a network that is private',
    )


def _engine(settings: ConnectionSettings) -> ClientStream | ComponentStream:
    limits = Limits(stanza_bytes=settings.stanza_bytes)
    if settings.kind == "component":
        config = ComponentConfig(domain=settings.host, secret=settings.secret or "", limits=limits)
        return ComponentStream(config)
    return ClientStream(
        ClientConfig(
            domain=settings.host,
            username=settings.node or "",
            password=settings.password or "",
            resource=settings.resource,
            mechanisms=settings.mechanisms or DISCREET,
            require_tls=settings.tls == "required",
            limits=limits,
        )
    )
