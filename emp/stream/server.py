"""The server's end of a stream: of clients (RFC 6120) and of components (XEP-0114).

The content namespace of the peer's header says which of the two it is.
"""

import secrets
from collections.abc import Mapping

from emp import ns
from emp.errors import JIDError, LocalProtocolError, RemoteProtocolError
from emp.jid import JID
from emp.sasl import ServerExchange
from emp.stanza import Stanza
from emp.stream.acks import Acks
from emp.stream.config import ServerConfig
from emp.stream.engine import Stream
from emp.stream.events import Authenticated, Ready
from emp.stream.faults import unexpected
from emp.stream.features import FEATURES, sasl2, sm
from emp.stream.features.announced import CLIENT_STATES
from emp.stream.features.session import answer_request
from emp.stream.handshake import HANDSHAKE, MECHANISM, proves
from emp.stream.header import StreamHeader
from emp.stream.management import Management
from emp.stream.state import Done, Phase
from emp.xml import Element, escape

# RFC 6120 §4.7.3: unpredictable, for XEP-0114 makes a credential of it.
ID_BYTES = 16


class ServerStream(Stream):
    """Waits for the peer's header; features see the attributes without underscore."""

    def __init__(self, config: ServerConfig) -> None:
        done = Done.NOTHING if config.require_tls else Done.TRUSTED
        # prompt: servers route in the order of arrival, and are done with it at once.
        acks = Acks(Management(), self.queue, prompt=config.prompt)
        super().__init__(config.limits, Phase.HEADER, done, acks, config.framing)
        self.config = config
        self.exchange: ServerExchange | None = None
        self.mechanism = ""
        self.failures = 0  # attempts to log in that failed
        self.account: JID | None = None  # bare JID of the client
        self.identities: tuple[str, ...] = ()  # bare JIDs in its certificate
        self.login: sasl2.Visit | None = None  # of SASL2, while it is under way
        self.claimed: JID | None = None  # who the client's stream header says it is
        self.client: str | None = None  # the id of its installation, from Bind 2
        self.wishes: frozenset[str] = frozenset()  # see ServerConfig.inline
        self._id = secrets.token_hex(ID_BYTES)
        self._content = ns.CLIENT
        self._from = config.domain
        self._component: JID | None = None
        self._secret: str | None = None

    @property
    def component(self) -> bool:
        """Whether the peer is a component."""
        return self._content == ns.COMPONENT

    def tls_established(
        self, bindings: Mapping[str, bytes] | None = None, identities: tuple[str, ...] = ()
    ) -> None:
        """As in Stream. identities: the bare JIDs that the client's certificate names (XEP-0178),
        where TLS has verified it."""
        self.identities = identities
        super().tls_established(bindings)

    def start(self) -> None:
        """LocalProtocolError: the peer begins."""
        raise LocalProtocolError("a server waits for the peer's stream header")

    def _header(self) -> str:
        version = "" if self.component else " version='1.0' xml:lang='en'"
        return self.framing.opening(
            self._content, f" from='{escape(self._from)}' id='{self._id}'{version}"
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
        if self.login is not None and element.tag not in sasl2.SASL2.server:
            raise RemoteProtocolError("policy-violation", "not during a login")  # XEP-0388 §2.4
        if element.tag.startswith(_MANAGEMENT):
            sm.server(self, element)
            return
        for feature in FEATURES:
            handler = feature.server.get(element.tag)
            if handler is not None and feature.possible(self.done):
                handler(self, element)
                return
        raise self._out_of_turn(element)

    def _restarted(self) -> None:
        self.exchange = self.login = None
        self._id = secrets.token_hex(ID_BYTES)

    def _manage(self, element: Element) -> None:
        if self.component:
            raise unexpected(element)
        if element.tag not in CLIENT_STATES:
            sm.server(self, element)

    def _wanted(self, stanzas: list[Stanza]) -> list[Stanza]:
        if self.component:
            return stanzas
        return [stanza for stanza in stanzas if not self._answered(stanza)]

    # -- clients -----------------------------------------------------------------------------

    def _client_opens(self, header: StreamHeader) -> None:
        self._send_header()
        if (header.version or "").partition(".")[0] != "1":
            raise RemoteProtocolError("unsupported-version", f"version {header.version!r:.20}")
        self._check_domain(header.to)
        self._check_sender(header.from_)
        self.send_features()

    def send_features(self) -> None:
        """What the client may do now."""
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

    def _check_sender(self, sender: str | None) -> None:
        """RFC 6120 §4.9.3.9; only a login proves it."""
        try:
            self.claimed = JID.parse(sender).bare if sender else None
            if self.claimed and self.claimed.domain != JID.parse(self.config.domain).domain:
                raise RemoteProtocolError("invalid-from", f"{sender!r:.200}")
        except JIDError as error:
            raise RemoteProtocolError("invalid-from", f"{sender!r:.200}") from error

    def _out_of_turn(self, element: Element) -> RemoteProtocolError:
        if element.tag in _NEGOTIATION:
            return RemoteProtocolError("policy-violation", "not now")
        return unexpected(element)

    def _answered(self, stanza: Stanza) -> bool:
        """Whether the stanza asks for the legacy session, and has its answer now."""
        reply = answer_request(stanza)
        if reply is None:
            return False
        if self.ready:
            self.send([reply])
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


_MANAGEMENT = f"{{{ns.SM}}}"
_NEGOTIATION = frozenset(name for feature in FEATURES for name in feature.server) - {
    f"{{{ns.CLIENT}}}iq"
}
