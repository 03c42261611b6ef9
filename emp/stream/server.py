"""The server's end of a stream: of clients (RFC 6120) and of components (XEP-0114).

The content namespace of the peer's header says which of the two it is.
"""

import secrets

from emp import ns
from emp.errors import JIDError, LocalProtocolError, RemoteProtocolError
from emp.jid import JID
from emp.sasl import ServerExchange
from emp.stanza import Stanza
from emp.stream.config import ServerConfig
from emp.stream.engine import Stream, unexpected
from emp.stream.events import Authenticated, Ready
from emp.stream.features import FEATURES
from emp.stream.features.session import answer_request
from emp.stream.handshake import HANDSHAKE, MECHANISM, proves
from emp.stream.parser import StreamHeader
from emp.stream.state import Done, Phase
from emp.xml import Element, escape

# RFC 6120 §4.7.3: unpredictable, for XEP-0114 makes a credential of it.
ID_BYTES = 16


class ServerStream(Stream):
    """Waits for the peer's header; features see the attributes without underscore."""

    def __init__(self, config: ServerConfig) -> None:
        done = Done.NOTHING if config.require_tls else Done.TRUSTED
        super().__init__(config.limits, Phase.HEADER, done)
        self.config = config
        self.exchange: ServerExchange | None = None
        self.mechanism = ""
        self.failures = 0  # attempts to log in that failed
        self.account: JID | None = None  # bare JID of the client
        self._id = secrets.token_hex(ID_BYTES)
        self._content = ns.CLIENT
        self._from = config.domain
        self._component: JID | None = None
        self._secret: str | None = None

    @property
    def component(self) -> bool:
        """Whether the peer is a component."""
        return self._content == ns.COMPONENT

    def start(self) -> None:
        """LocalProtocolError: the peer begins."""
        raise LocalProtocolError("a server waits for the peer's stream header")

    def _header(self) -> str:
        version = "" if self.component else " version='1.0' xml:lang='en'"
        return (
            f"<?xml version='1.0'?><stream:stream from='{escape(self._from)}' id='{self._id}'"
            f"{version} xmlns='{self._content}' xmlns:stream='{ns.STREAM}'>"
        )

    def _header_received(self, header: StreamHeader) -> None:
        if header.namespace not in self.config.accepts:
            raise RemoteProtocolError("invalid-namespace", str(header.namespace))
        if header.namespace == ns.COMPONENT:
            self._component_opens(header)
        else:
            self._client_opens(header)

    def _negotiate(self, element: Element) -> None:
        if self.component:
            self._handshake(element)
            return
        for feature in FEATURES:
            handler = feature.server.get(element.tag)
            if handler is not None and feature.possible(self.done):
                handler(self, element)
                return
        raise self._out_of_turn(element)

    def _restarted(self) -> None:
        self.exchange = None
        self._id = secrets.token_hex(ID_BYTES)

    def _deliver(self, stanzas: list[Stanza]) -> None:
        if not self.component:
            stanzas = [stanza for stanza in stanzas if not self._answered(stanza)]
        super()._deliver(stanzas)

    # -- clients -----------------------------------------------------------------------------

    def _client_opens(self, header: StreamHeader) -> None:
        self._send_header()
        if (header.version or "").partition(".")[0] != "1":
            raise RemoteProtocolError("unsupported-version", f"version {header.version!r:.20}")
        self._check_domain(header.to)
        offers = [each.offer(self) for each in FEATURES if each.possible(self.done)]
        self.queue(f"<stream:features>{''.join(offers)}</stream:features>")

    def _check_domain(self, to: str | None) -> None:
        if not to:
            raise RemoteProtocolError("improper-addressing", "no 'to' in the stream header")
        try:
            known = JID.parse(to) == JID.parse(self.config.domain)
        except JIDError:
            known = False
        if not known:
            raise RemoteProtocolError("host-unknown", f"{to!r:.200}")

    def _out_of_turn(self, element: Element) -> RemoteProtocolError:
        if element.tag in _NEGOTIATION:
            return RemoteProtocolError("policy-violation", "not now")
        return unexpected(element)

    def _answered(self, stanza: Stanza) -> bool:
        """Whether the stanza asks for the legacy session, and has its answer now."""
        reply = answer_request(stanza)
        if reply is None:
            return False
        if self._phase is Phase.READY:
            self._out.append(reply.to_bytes())
        return True

    # -- components --------------------------------------------------------------------------

    def _component_opens(self, header: StreamHeader) -> None:
        self._content = ns.COMPONENT
        try:
            self._component = JID.parse(header.to or "")
        except JIDError:
            self._component = None
        else:
            self._from = str(self._component)
            self._secret = self.config.secret_of(self._from)
        self._send_header()
        if self._secret is None:
            raise RemoteProtocolError("host-unknown", f"{header.to!r:.200}")

    def _handshake(self, element: Element) -> None:
        if element.tag != HANDSHAKE:
            raise unexpected(element)
        assert self._component is not None
        assert self._secret is not None
        if not proves(element.text or "", self._id, self._secret):
            raise RemoteProtocolError("not-authorized", "wrong secret")
        self.done |= Done.AUTHENTICATED | Done.BOUND
        self.queue("<handshake/>")
        self.emit(Authenticated(self._from, MECHANISM))
        self.become_ready()
        self.emit(Ready(self._component))


_NEGOTIATION = frozenset(name for feature in FEATURES for name in feature.server) - {
    f"{{{ns.CLIENT}}}iq"
}
