"""The client's end of a client-to-server stream (RFC 6120)."""

from emp import ns
from emp.errors import AuthenticationError, JIDError, RemoteProtocolError
from emp.jid import JID
from emp.sasl import Attempt, ClientExchange
from emp.stanza import Stanza
from emp.stream.acks import Acks
from emp.stream.config import ClientConfig
from emp.stream.engine import Stream
from emp.stream.events import Ready
from emp.stream.faults import unexpected
from emp.stream.features import FEATURES, Feature, limits, sm
from emp.stream.features.sasl2 import Login
from emp.stream.header import StreamHeader
from emp.stream.management import Management
from emp.stream.state import Done, Phase
from emp.view import of_element
from emp.xml import Element, escape

# Stanzas to our resource that are kept while the answer to <enable/>, or to a legacy session, is on
# its way. One round trip brings few of them, unless somebody floods us: then our caller gets the
# stream before the answer, for the answer stands behind the flood, and a caller can pause it.
EARLY_STANZAS = 100

_FEATURES = f"{{{ns.STREAM}}}features"


class ClientStream(Stream):
    """start(), then feed it; features see the attributes without underscore."""

    def __init__(self, config: ClientConfig) -> None:
        done = Done.NOTHING if config.require_tls else Done.TRUSTED
        acks = Acks(config.management or Management(), self.queue, ping=config.domain)
        super().__init__(config.limits, Phase.START, done, acks, config.framing)
        self.config = config
        self.attempt: Attempt | None = None  # of SASL, while it is under way
        self.exchange: ClientExchange | None = None
        self.mechanism = ""
        self.login: Login | None = None  # of SASL2, while it is under way
        self.resource: str | None = None  # that we have asked for
        self.request: str | None = None  # id of the iq whose answer a feature awaits
        self.jid: JID | None = None
        self._header_of_peer: StreamHeader | None = None
        self._offers: dict[str, Element] = {}
        self._feature: Feature | None = None  # the one that is being negotiated
        self.early: list[Stanza] = []  # came before the stream was ready
        self._taken: list[Feature] = []  # features that had their turn

    # -- for features ------------------------------------------------------------------------

    def proceed(self) -> None:
        """The next feature; when there is none left, the stream is ready."""
        for feature in FEATURES:
            offer = self._offers.get(feature.name)
            if offer is None or feature in self._taken or not feature.possible(self.done):
                continue
            if feature.wanted(self, offer):
                self._taken.append(feature)  # each one once
                self._feature = feature
                feature.begin(self, offer)
                return
        self._require(Done.TRUSTED, AuthenticationError("encryption-required", "no STARTTLS"))
        self._require(Done.AUTHENTICATED, AuthenticationError("invalid-mechanism", "no SASL"))
        self._require(Done.BOUND, RemoteProtocolError("unsupported-feature", "no binding"))
        self._begin_session()

    def check_identity(self, jid: JID) -> None:
        """RemoteProtocolError if the server takes us for somebody else: our address decides
        whose roster pushes and carbons are believed."""
        config = self.config
        given = self.mechanism == "ANONYMOUS" or not config.username
        name = jid.local if given else config.username
        own = JID.parse(config.authzid).bare if config.authzid else JID(name, config.domain)
        if jid.bare != own:
            raise RemoteProtocolError("undefined-condition", f"the server takes us for {jid}")

    def offered(self, name: str) -> Element | None:
        """What the server offers under this name now, besides the feature under way."""
        return self._offers.get(name)

    def expect_features(self) -> None:
        """The stream goes on without a restart, with new features (XEP-0388 §2.6.1)."""
        self._offers = {}
        self._taken = []
        self._feature = None

    def keep(self, element: Element) -> None:
        """Keeps a stanza until the stream is ready, which too many of them make it."""
        self.early.append(of_element(element))
        if len(self.early) >= EARLY_STANZAS:
            self._begin_session()

    # -- role --------------------------------------------------------------------------------

    def _header(self) -> str:
        config = self.config
        return self.framing.opening(
            ns.CLIENT,
            f" to='{escape(config.domain)}'{self._sender()}"
            f" version='1.0' xml:lang='{escape(config.lang)}'",
        )

    def _sender(self) -> str:
        """Who we are, where nobody else can read it (RFC 6120 §4.7.1); FAST wants it."""
        if Done.SECURE not in self.done or not self.config.username:
            return ""
        try:
            return f" from='{escape(str(JID(self.config.username, self.config.domain)))}'"
        except JIDError:
            return ""

    def _header_received(self, header: StreamHeader) -> None:
        if header.namespace != ns.CLIENT:
            raise RemoteProtocolError("invalid-namespace", str(header.namespace))
        self._header_of_peer = header

    def _negotiate(self, element: Element) -> None:
        if element.tag == _FEATURES:
            self._features_received(element)
            return
        handler = self._feature.client.get(element.tag) if self._feature else None
        if handler is None:
            raise unexpected(element)
        handler(self, element)

    def _manage(self, element: Element) -> None:
        sm.client(self, element)

    def _restarted(self) -> None:
        self.expect_features()
        self.attempt = self.exchange = self.login = None
        self._send_header()

    def _features_received(self, element: Element) -> None:
        if self._feature is not None:
            raise RemoteProtocolError("policy-violation", "features twice")
        # Not earlier: a server that refuses us may say so behind a header that is not quite right.
        self._check_header()
        self._offers = {child.tag: child for child in element}
        self.features = frozenset(self._offers)
        self.peer_limits = limits.announced(self._offers.get(limits.LIMITS.name))
        self.proceed()

    def _check_header(self) -> None:
        header = self._header_of_peer
        assert header is not None
        if (header.version or "").partition(".")[0] != "1":
            raise RemoteProtocolError("unsupported-version", f"version {header.version!r:.20}")
        if header.from_:
            try:
                same = JID.parse(header.from_) == JID.parse(self.config.domain)
            except JIDError:
                same = False
            if not same:
                raise RemoteProtocolError("invalid-from", f"{header.from_!r:.200}")

    def _begin_session(self) -> None:
        """The stream is ready, with what came before it was."""
        assert self.jid is not None
        if not self.management.active:
            self.management.begin()  # what an earlier session has left cannot be resumed
        self.management.jid = self.jid
        self.become_ready()
        self.emit(Ready(self.jid))
        self._deliver(self.early)
        self.early = []

    def _require(self, bit: Done, error: AuthenticationError | RemoteProtocolError) -> None:
        if bit not in self.done:
            raise error
