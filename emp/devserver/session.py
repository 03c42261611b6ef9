"""One connection to the development server: the engine on a socket, and back-pressure.

Clients with XEP-0198 are asked for acknowledgements whenever something was written. When their
connection is lost, the session sleeps (emp.devserver.resumption).

A peer that does not read fills its outgoing buffer. From BUFFER_HIGH on, those who send to it are
not read any more; after STALL_SECONDS, or beyond BUFFER_MAX, it is thrown out.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from typing import TYPE_CHECKING, cast

from emp import ns
from emp.answer import refusal
from emp.devserver.hub import Resource
from emp.devserver.resumption import Kept, leave
from emp.errors import JIDError, PolicyViolation
from emp.jid import JID
from emp.net import sockets
from emp.net.accounts import accounts_in
from emp.net.binding import bindings
from emp.net.shell import Shell
from emp.stanza import Stanza
from emp.stream import ServerStream
from emp.stream.config import ServerConfig
from emp.stream.engine import Stream
from emp.stream.events import (
    Event,
    Ready,
    Resumed,
    StanzaSkipped,
    StanzasReceived,
    StartTLS,
    StreamClosed,
    StreamFailed,
)
from emp.stream.framing import TCP, WEBSOCKET
from emp.stream.management import Management
from emp.xep import carbons

if TYPE_CHECKING:
    from emp.devserver.server import DevServer
    from emp.devserver.web import Web
    from emp.net.websocket import Wire

BUFFER_HIGH = 262_144
"""Bytes not yet taken by a peer from which on those who write to it have to wait."""

BUFFER_MAX = 8_388_608
"""Bytes not yet taken that nobody may exceed: room for what was read already (256 KiB a sender)."""

UNACKNOWLEDGED_MAX = 100_000
"""Stanzas that a client may have read without handling them: more than all buffers on the way can
hold of what anybody sends."""

STALL_SECONDS = 30.0
"""How long a peer may hold up those who write to it."""

HANDSHAKE_SECONDS = 30.0
"""From the connection to the bound resource: more than any working client needs."""

LINGER_SECONDS = 2.0
"""For the last bytes to leave after the end of the stream."""


class Session(Shell):
    """A client or a component, from its connection on."""

    def __init__(
        self, server: DevServer, *, for_components: bool = False, web: Web | None = None
    ) -> None:
        """web: what there is besides WebSocket, for a client that comes by that."""
        super().__init__(BUFFER_HIGH)
        self._server = server
        self._for_components = for_components
        self._engine = ServerStream(self._config(web))
        self._wire: Stream | Wire = self._engine if web is None else web.wire(self._engine)
        self._resource: Resource | None = None  # of a client
        self._kept: Kept | None = None  # … whose session can be resumed
        self._domain: str | None = None  # of a component
        self._name = ""  # the JID, for the tap
        self._ended = False
        self._full = False  # its buffer is: senders wait
        self._waiting: set[Session] = set()  # who waits for us
        self._waits_for: set[Session] = set()  # and for whom we wait
        self._timer: asyncio.TimerHandle | None = None
        self.lost: asyncio.Future[None] = self._loop.create_future()

    def _config(self, web: Web | None) -> ServerConfig:
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
            require_tls=web is None or web.secure,
            framing=TCP if web is None else WEBSOCKET,
            password_of=server.password_of,
            keys=server.keys,
            mechanisms=server.mechanisms,
            bind=self._bind,
            keeper=self if server.management else None,
            prompt=True,
            sasl2=server.sasl2,
            inline=(ns.CARBONS, ns.CSI),
            tokens=server.tokens,
        )

    def _bind(self, bare: JID, requested: str | None) -> str:
        client = self._engine.client
        self._end_others(bare, client)
        self._server.resumable.make_room(bare, requested, client)
        self._resource = self._server.hub.bind(bare, requested, self.deliver)
        self._resource.client = client
        self._resource.carbons = carbons.ENABLE in self._engine.wishes
        return self._resource.jid.resource or ""

    def _end_others(self, bare: JID, client: str | None) -> None:
        """A client that comes back has lost its earlier connections (XEP-0386 §3.2)."""
        for other in list(self._server.sessions):
            resource = other._resource
            if client is None or resource is None or other is self:
                continue
            if (resource.jid.bare, resource.client) == (bare, client):
                other.fail("conflict", "the same client is back")

    # -- sessions that outlive their connection ---------------------------------------------------

    def keep(self, management: Management) -> tuple[str, int]:
        """As emp.stream.config.Keeper has it."""
        assert self._resource is not None
        resumable = self._server.resumable
        self._kept = resumable.keep(self._resource, management, self)
        return self._kept.id, math.ceil(resumable.seconds)

    def resume(self, account: JID, id: str) -> Management | int | None:
        """As emp.stream.config.Keeper has it."""
        kept = self._server.resumable.take(account, id, self)
        if not isinstance(kept, Kept):
            return kept
        self._kept, self._resource = kept, kept.resource
        self._resource.deliver = self.deliver
        return kept.management

    def let_go(self) -> None:
        """Another connection has the session now (XEP-0198 §5)."""
        self._kept = self._resource = None
        self._engine.acks.adopt(Management())
        self.fail("conflict", "resumed elsewhere")

    # -- what comes in ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._server.sessions.add(self)
        sockets.set_options(transport.get_extra_info("socket"))
        self._use(cast(asyncio.Transport, transport))
        if (connection := transport.get_extra_info("ssl_object")) is not None:
            self._tls_established(connection)  # direct TLS: the handshake is done
        self._set_timer(HANDSHAKE_SECONDS, "connection-timeout")

    def _received(self, data: bytes) -> None:
        for event in self._wire.receive_data(data):
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
            case StanzaSkipped():
                error = PolicyViolation(f"more than this server takes (limit {event.limit})")
                for reply in refusal(event.stanza, error):
                    self.deliver(reply)
            case StartTLS():
                self._expect_tls()
                self._server.run(self._secure())
            case Ready() | Resumed():
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
        try:
            connection = await self._start_tls(
                self._server.tls,
                server_side=True,
                timeout=HANDSHAKE_SECONDS,
                shutdown_timeout=LINGER_SECONDS,
            )
        except OSError:  # ssl.SSLError too: the peer does not trust us, or is gone; it knows why
            await asyncio.sleep(0)  # the socket is closed by then
            self.connection_lost(None)  # start_tls() that failed may have kept it for itself
            return
        self._tls_established(connection)
        self._take_early()

    def _tls_established(self, connection: ssl.SSLObject) -> None:
        own, theirs = self._server.own_certificate, connection.getpeercert(binary_form=True)
        identities = accounts_in(theirs) if theirs else ()
        self._engine.tls_established(bindings(connection, own), identities)

    # -- what goes out ----------------------------------------------------------------------------

    def deliver(self, stanza: Stanza) -> None:
        """Queue a stanza; it leaves when the batch is through."""
        if self._ended:
            return
        if self._engine.ready:
            self._server.tap("out", self._name, stanza.to_bytes())
            self._engine.send([stanza])
            self._server.dirty.add(self)
        elif self._kept is not None and self._kept.management.id is not None:
            self._kept.management.record([stanza])  # the stream is over, the session is not

    def flush(self) -> None:
        """Write what is queued, and ask whether it arrived."""
        if self._engine.acks.unasked:
            self._engine.request_ack()
        data = self._wire.data_to_send()
        if not data or self._transport is None:
            return
        self._transport.write(data)
        if self._ended:
            return
        if self._transport.get_write_buffer_size() > BUFFER_MAX:
            self.fail("resource-constraint", "too slow to read")
        elif len(self._engine.management.unacknowledged) > UNACKNOWLEDGED_MAX:
            self.fail("resource-constraint", "too slow to acknowledge")

    def fail(self, condition: str, text: str = "") -> None:
        """End the stream with an error (RFC 6120 §4.9.3), and the session with it."""
        self._engine.fail(condition, text)
        self._engine.management.abandon()
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
        self._engine.receive_eof()
        if self._kept is not None:
            self._sleep_or_end(self._kept)
        elif self._resource is not None:
            leave(self._server.hub, self._resource, self._engine.management)
        if self._domain is not None:
            self._server.hub.components[self._domain] = None
        if not self._securing:  # nothing in clear into a TLS handshake
            self.flush()
        if self._transport is not None:
            self._transport.close()
            self._timer = self._loop.call_later(LINGER_SECONDS, self.abort)
        self._server.flush(None)

    def _sleep_or_end(self, kept: Kept) -> None:
        if kept.management.id is not None:
            self._server.resumable.sleep(kept)
        else:
            self._server.resumable.end(kept)

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

    @property
    def _held(self) -> bool:
        return bool(self._waits_for)

    # -- small things -----------------------------------------------------------------------------

    def is_of(self, jid: str) -> bool:
        """Whether it is the connection of that JID, full or bare, or of that component."""
        return jid in (self._name, self._name.partition("/")[0])

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
