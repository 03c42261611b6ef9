"""The client's end of a client-to-server stream (RFC 6120)."""

from emp import ns
from emp.errors import AuthenticationError, JIDError, RemoteProtocolError
from emp.jid import JID
from emp.sasl import ClientExchange
from emp.stanza import Stanza
from emp.stream.config import ClientConfig
from emp.stream.engine import Stream, unexpected
from emp.stream.events import Ready
from emp.stream.features import FEATURES, Feature
from emp.stream.parser import StreamHeader
from emp.stream.state import Done, Phase
from emp.xml import Element, escape

# Stanzas to our resource that may arrive before the legacy session has its answer. There is one
# round trip for them; a server that sends more is flooding.
EARLY_STANZAS = 100

_FEATURES = f"{{{ns.STREAM}}}features"


class ClientStream(Stream):
    """start(), then feed it; features see the attributes without underscore."""

    def __init__(self, config: ClientConfig) -> None:
        done = Done.NOTHING if config.require_tls else Done.TRUSTED
        super().__init__(config.limits, Phase.START, done)
        self.config = config
        self.exchange: ClientExchange | None = None
        self.mechanism = ""
        self.request: str | None = None  # id of the iq whose answer a feature awaits
        self.jid: JID | None = None
        self._header_of_peer: StreamHeader | None = None
        self._offers: dict[str, Element] = {}
        self._feature: Feature | None = None  # the one that is being negotiated
        self._early: list[Stanza] = []

    # -- for features ------------------------------------------------------------------------

    def proceed(self) -> None:
        """The next feature; when there is none left, the stream is ready."""
        for feature in FEATURES:
            offer = self._offers.get(feature.name)
            if offer is not None and feature.possible(self.done) and feature.wanted(self, offer):
                del self._offers[feature.name]  # each one once
                self._feature = feature
                feature.begin(self, offer)
                return
        self._require(Done.TRUSTED, AuthenticationError("encryption-required", "no STARTTLS"))
        self._require(Done.AUTHENTICATED, AuthenticationError("invalid-mechanism", "no SASL"))
        self._require(Done.BOUND, RemoteProtocolError("unsupported-feature", "no binding"))
        assert self.jid is not None
        self.become_ready()
        self.emit(Ready(self.jid))
        self._deliver(self._early)
        self._early = []

    def keep(self, element: Element) -> None:
        """Keeps a stanza until the stream is ready."""
        if len(self._early) >= EARLY_STANZAS:
            raise RemoteProtocolError("policy-violation", "stanzas before the session")
        self._early.append(Stanza.from_element(element))

    # -- role --------------------------------------------------------------------------------

    def _header(self) -> str:
        config = self.config
        return (
            f"<?xml version='1.0'?><stream:stream to='{escape(config.domain)}' version='1.0'"
            f" xml:lang='{escape(config.lang)}' xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAM}'>"
        )

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

    def _restarted(self) -> None:
        self._offers = {}
        self._feature = None
        self.exchange = None
        self._send_header()

    def _features_received(self, element: Element) -> None:
        if self._feature is not None:
            raise RemoteProtocolError("policy-violation", "features twice")
        # Not earlier: a server that refuses us may say so behind a header that is not quite right.
        self._check_header()
        self._offers = {child.tag: child for child in element}
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

    def _require(self, bit: Done, error: AuthenticationError | RemoteProtocolError) -> None:
        if bit not in self.done:
            raise error
