"""The component's end of its stream to the server (XEP-0114)."""

from emp import ns
from emp.errors import RemoteProtocolError
from emp.jid import JID
from emp.stream.acks import Acks
from emp.stream.config import ComponentConfig
from emp.stream.engine import Stream
from emp.stream.events import Authenticated, Ready
from emp.stream.faults import unexpected
from emp.stream.handshake import HANDSHAKE, MECHANISM, digest
from emp.stream.header import StreamHeader
from emp.stream.management import Management
from emp.stream.state import Done, Phase
from emp.xml import Element, escape


class ComponentStream(Stream):
    """start(), then feed it. JIDError if the configured domain is no JID."""

    def __init__(self, config: ComponentConfig) -> None:
        domain = config.domain
        acks = Acks(config.management or Management(), self.queue, ping=domain, own=domain)
        super().__init__(config.limits, Phase.START, Done.TRUSTED, acks)
        self.config = config
        self._jid = JID(None, config.domain)

    def _restarted(self) -> None:
        """XEP-0114 knows no restart."""

    def _header(self) -> str:
        return self.framing.opening(ns.COMPONENT, f" to='{escape(self.config.domain)}'")

    def _header_received(self, header: StreamHeader) -> None:
        if header.namespace != ns.COMPONENT:
            raise RemoteProtocolError("invalid-namespace", str(header.namespace))
        if header.id is not None:  # without it the server can only mean to tell us an error
            self.queue(f"<handshake>{digest(header.id, self.config.secret)}</handshake>")
            self.done |= Done.BOUND

    def _negotiate(self, element: Element) -> None:
        if element.tag != HANDSHAKE or Done.BOUND not in self.done:
            raise unexpected(element)
        self.done |= Done.AUTHENTICATED
        self.emit(Authenticated(self.config.domain, MECHANISM))
        self.management.jid = self._jid
        self.become_ready()
        self.emit(Ready(self._jid))
