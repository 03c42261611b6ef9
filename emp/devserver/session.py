"""One connection to the development server: the engine on a socket, and back-pressure.

A peer that does not read fills its outgoing buffer. From BUFFER_HIGH on, those who send to it are
not read any more; after STALL_SECONDS, or beyond BUFFER_MAX, it is thrown out.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from emp import ns
from emp.devserver.hub import Resource
from emp.errors import JIDError
from emp.jid import JID
from emp.net import sockets
from emp.stanza import Stanza
from emp.stream import ServerStream
from emp.stream.config import ServerConfig
from emp.stream.events import (
    Event,
    Ready,
    StanzasReceived,
    StartTLS,
    StreamClosed,
    StreamFailed,
)

if TYPE_CHECKING:
    from emp.devserver.server import DevServer

BUFFER_HIGH = 262_144
"""Bytes not yet taken by a peer from which on those who write to it have to wait."""

BUFFER_MAX = 8_388_608
"""Bytes not yet taken that nobody may exceed: room for what was read already (256 KiB a sender)."""

STALL_SECONDS = 30.0
"""How long a peer may hold up those who write to it."""

HANDSHAKE_SECONDS = 30.0
"""From the connection to the bound resource: more than any working client needs."""

LINGER_SECONDS = 2.0
"""For the last bytes to leave after the end of the stream."""


class Session(asyncio.Protocol):
    """A client or a component, from its connection on."""

    def __init__(self, server: DevServer, *, for_components: bool) -> None:
        self._server = server
        self._for_components = for_components
        self._loop = asyncio.get_running_loop()
        self._engine = ServerStream(self._config())
        self._transport: asyncio.Transport | None = None
        self._resource: Resource | None = None  # of a client
        self._domain: str | None = None  # of a component
        self._name = ""  # the JID, for the tap
        self._securing = False
        self._early = b""  # decrypted before start_tls() returned
        self._ended = False
        self._full = False  # its buffer is: senders wait
        self._waiting: set[Session] = set()  # who waits for us
        self._waits_for: set[Session] = set()  # and for whom we wait
        self._timer: asyncio.TimerHandle | None = None
        self.lost: asyncio.Future[None] = self._loop.create_future()

    def _config(self) -> ServerConfig:
        server = self._server
        if self._for_components:
            return ServerConfig(
                server.domain,
                accepts=frozenset({ns.COMPONENT}),
                offer_tls=False,
                require_tls=False,
                secret_of=server.secret_of,
            )
        return ServerConfig(
            server.domain,
            accepts=frozenset({ns.CLIENT}),
            password_of=server.password_of,
            bind=self._bind,
        )

    def _bind(self, bare: JID, requested: str | None) -> str:
        self._resource = self._server.hub.bind(bare, requested, self.deliver)
        return self._resource.jid.resource or ""

    # -- what comes in ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._server.sessions.add(self)
        sockets.set_options(transport.get_extra_info("socket"))
        self._use(cast(asyncio.Transport, transport))
        self._set_timer(HANDSHAKE_SECONDS, "connection-timeout")

    def data_received(self, data: bytes) -> None:
        if self._securing:
            self._early += data
            return
        for event in self._engine.receive_data(data):
            if not self._ended:
                self._take(event)
        self.flush()
        self._server.flush(self)

    def eof_received(self) -> None:
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        self._server.sessions.discard(self)
        self._cancel_timer()
        self._transport = None
        if not self.lost.done():
            self.lost.set_result(None)

    def _take(self, event: Event) -> None:
        match event:
            case StanzasReceived():
                for stanza in event.stanzas:
                    if not self._ended:
                        self._stanza(stanza)
            case StartTLS():
                self._securing = True  # nothing may be taken for clear text any more
                if self._transport is not None:
                    self._transport.pause_reading()
                self._server.run(self._secure())
            case Ready():
                self._cancel_timer()
                self._name = str(event.jid)
                if self._for_components:
                    self._join(event.jid.domain)
            case StreamClosed() | StreamFailed():
                self._end()

    def _join(self, domain: str) -> None:
        if self._server.hub.components.get(domain) is not None:
            self.fail("conflict", f"{domain} is connected already")
            return
        self._domain = domain
        self._server.hub.components[domain] = self.deliver

    def _stanza(self, stanza: Stanza) -> None:
        self._server.tap("in", self._name, stanza.to_bytes())
        if self._resource is not None:
            self._server.hub.from_client(self._resource, stanza)
        elif not _is_from(stanza, self._domain):
            self.fail("invalid-from", f"from must be in {self._domain}")
        elif stanza.to_text is None:
            self.fail("improper-addressing", "to is missing")
        else:
            self._server.hub.from_component(stanza)

    async def _secure(self) -> None:
        assert self._transport is not None
        try:
            secured = await self._loop.start_tls(
                self._transport,
                self,
                self._server.tls,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=LINGER_SECONDS,
            )
        except OSError:  # ssl.SSLError too: the peer does not trust us, or is gone; it knows why
            secured = None
        if secured is None:
            self.abort()
            await asyncio.sleep(0)  # the socket is closed by then
            self.connection_lost(None)  # start_tls() that failed may have kept it for itself
            return
        self._use(secured)
        self._engine.tls_established()
        self._securing = False
        early, self._early = self._early, b""
        self.data_received(early)

    # -- what goes out ----------------------------------------------------------------------------

    def deliver(self, stanza: Stanza) -> None:
        """Queue a stanza; it leaves when the batch is through."""
        if self._ended or not self._engine.ready:
            return
        self._server.tap("out", self._name, stanza.to_bytes())
        self._engine.send([stanza])
        self._server.dirty.add(self)

    def flush(self) -> None:
        """Write what is queued."""
        data = self._engine.data_to_send()
        if not data or self._transport is None:
            return
        self._transport.write(data)
        if not self._ended and self._transport.get_write_buffer_size() > BUFFER_MAX:
            self.fail("resource-constraint", "too slow to read")

    def fail(self, condition: str, text: str = "") -> None:
        """End the stream with an error (RFC 6120 §4.9.3)."""
        self._engine.fail(condition, text)
        self._end()

    def _end(self) -> None:
        """Leave the routing table, and close the socket within LINGER_SECONDS."""
        if self._ended:
            return
        self._ended = True
        self._cancel_timer()
        for sender in list(self._waiting):
            self._release(sender)
        for receiver in self._waits_for:
            receiver._waiting.discard(self)
        if self._resource is not None:
            self._server.hub.leave(self._resource)
        if self._domain is not None:
            self._server.hub.components[self._domain] = None
        if not self._securing:  # nothing in clear into a TLS handshake
            self.flush()
        if self._transport is not None:
            self._transport.close()
            self._timer = self._loop.call_later(LINGER_SECONDS, self.abort)
        self._server.flush(None)

    def abort(self) -> None:
        """Close the socket now."""
        if self._transport is not None:
            self._transport.abort()

    # -- back-pressure ----------------------------------------------------------------------------

    def hold_back(self, sender: Session) -> None:
        """If this session's buffer is full: do not read from `sender` until it has room again."""
        if self._full and not self._ended and not sender._ended:
            self._waiting.add(sender)
            sender._waits_for.add(self)
            sender._apply_reading()

    def pause_writing(self) -> None:
        self._full = True
        self._set_timer(STALL_SECONDS, "resource-constraint")

    def resume_writing(self) -> None:
        self._full = False
        if not self._ended:
            self._cancel_timer()
        for sender in list(self._waiting):
            self._release(sender)

    def _release(self, sender: Session) -> None:
        self._waiting.discard(sender)
        sender._waits_for.discard(self)
        sender._apply_reading()

    def _apply_reading(self) -> None:
        if self._transport is None or self._securing or self._transport.is_closing():
            return
        if self._waits_for:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # -- small things -----------------------------------------------------------------------------

    def _use(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(BUFFER_HIGH)

    def _set_timer(self, seconds: float, condition: str) -> None:
        if not self._ended:
            self._cancel_timer()
            self._timer = self._loop.call_later(seconds, self.fail, condition)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _is_from(stanza: Stanza, domain: str | None) -> bool:
    """Whether a component may send this (XEP-0114 §3): `from` in its own domain."""
    try:
        return stanza.from_ is not None and stanza.from_.domain == domain
    except JIDError:
        return False
