"""XMPP over WebSocket (RFC 7395): what stands between the engine's messages and the socket's bytes.

A `Wire` looks like the engine to whoever moves the bytes, so that XMPPStream and the sessions of
emp.devserver are the same with it as without it. The frames of RFC 6455, and the HTTP before them,
are those of the library `websockets` (the extra "websocket"), by its part that does no I/O.
Compression is not offered: the class of CVE-2014-2741 comes with it, and with what TLS hides.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from emp.config import ConnectionSettings
from emp.errors import ConnectionFailed
from emp.net import hostmeta, names
from emp.net.endpoint import Endpoint
from emp.net.failures import LineFault, one_line
from emp.net.resolve import Candidate, resolve_host
from emp.stream.engine import Stream
from emp.stream.events import Event, StreamFailed

try:
    from websockets.client import ClientProtocol
    from websockets.exceptions import InvalidStatus, PayloadTooBig
    from websockets.frames import CloseCode, Frame, Opcode
    from websockets.protocol import State
    from websockets.typing import Subprotocol
    from websockets.uri import WebSocketURI
except ImportError:
    AVAILABLE = False
else:
    AVAILABLE = True
"""Whether `websockets` is installed."""

if TYPE_CHECKING:
    from websockets.http11 import Request, Response
    from websockets.protocol import Protocol

MISSING: Final = "WebSocket needs the library `websockets`"
REMEDY: Final = "pip install 'emp-xmpp[websocket]'"

SUBPROTOCOL: Final = "xmpp"
"""RFC 7395 §3.1."""

LOST_CAUSES: Final = range(400, 500)
"""HTTP's answers that say: as long as you ask that, the answer is no (RFC 9110 §15.5)."""

# Frames hold passwords and messages: whatever the logs of the process are set to, these are not
# for them. What goes wrong comes out as a fault.
FRAME_LOG: Final = logging.Logger("emp.net.websocket", logging.CRITICAL + 1)


# -- where to -------------------------------------------------------------------------------------


async def resolve(settings: ConnectionSettings) -> list[Candidate]:
    """The addresses to try for `settings.websocket`, never an empty list; ConnectionFailed."""
    _check_extra()
    if settings.websocket == "discover":
        endpoints = await hostmeta.discover(settings)
    else:
        endpoints = [_given(settings)]
    found: list[Candidate] = []
    faults: list[ConnectionFailed] = []
    for endpoint in endpoints:
        try:
            found += await _look_up(settings, endpoint)
        except ConnectionFailed as fault:
            faults.append(fault)
    if not found:
        raise faults[0]
    return found


async def resolve_place(settings: ConnectionSettings, place: str) -> list[Candidate]:
    """The addresses of a WebSocket that a server wants us to use instead.

    ValueError for anything but wss://… (RFC 7395 §3.6.1); ConnectionFailed.
    """
    _check_extra()
    endpoint = Endpoint.parse(place)
    if not endpoint.secure:
        raise ValueError(f"{endpoint} is clear text")
    return await _look_up(settings, endpoint)


def _given(settings: ConnectionSettings) -> Endpoint:
    try:
        endpoint = Endpoint.parse(settings.websocket or "")
    except ValueError as error:
        raise ConnectionFailed("resolve", str(error), permanent=True, remedy=_CHECK) from None
    if not endpoint.secure and settings.tls != "none" and not names.is_loopback(endpoint.host):
        raise ConnectionFailed(
            "secure",
            f"{endpoint} is clear text",
            permanent=True,
            remedy='websocket = must begin with wss://, or tls = "none" must allow clear text',
        )
    return endpoint


async def _look_up(settings: ConnectionSettings, endpoint: Endpoint) -> list[Candidate]:
    host, port = endpoint.host, endpoint.port
    try:
        places = await resolve_host(settings, host, port, direct=endpoint.secure)
    except ConnectionFailed as fault:
        permanent = fault.permanent
        raise ConnectionFailed(
            fault.step, fault.reason, permanent=permanent, remedy=_CHECK
        ) from None
    return [replace(each, endpoint=endpoint) for each in places]


_CHECK: Final = "check websocket ="


def _check_extra() -> None:
    if not AVAILABLE:
        raise ConnectionFailed(
            "resolve",
            MISSING,
            permanent=True,
            remedy=REMEDY,
        )


# -- bytes and messages ---------------------------------------------------------------------------


class Wire(ABC):
    """The bytes of a stream that goes through WebSocket; see emp.stream.engine.Stream for the
    methods. One end of it: `protocol` is the library's."""

    def __init__(self, engine: Stream, protocol: Protocol) -> None:
        self._engine = engine
        self._protocol = protocol
        self._out: list[bytes] = []
        self._partial: bytearray | None = None  # of a message in several frames
        self._code = CloseCode.NORMAL_CLOSURE

    @abstractmethod
    def _greeted(self, greeting: Request | Response, *, more: bool) -> None:
        """The peer's HTTP came; LineFault where it does not lead to WebSocket. more: there was
        something behind it already."""

    @property
    def idle(self) -> bool:
        """Whether nothing is half received."""
        return self._partial is None and not self._protocol.reader.buffer

    def receive_data(self, data: bytes) -> list[Event]:
        """What happened by these bytes."""
        self._protocol.receive_data(data)
        return self._happened()

    def receive_eof(self) -> list[Event]:
        """What it means that the peer sends no more bytes."""
        self._protocol.receive_eof()
        return self._happened() + self._engine.receive_eof()

    def _happened(self) -> list[Event]:
        protocol, engine = self._protocol, self._engine
        answers = protocol.data_to_send()
        messages: list[bytes] = []
        pings = 0
        fault: LineFault | None = None
        try:
            events = protocol.events_received()
            more = len(events) > 1 or not self.idle or protocol.parser_exc is not None
            for event in events:
                if not isinstance(event, Frame):
                    self._greeted(event, more=more)
                elif event.opcode is Opcode.PING:
                    pings += 1
                else:
                    self._take(event, messages)
        except LineFault as error:
            fault = error
        # RFC 6455 §5.5.3: one answer does for all of them, and nobody can make us pile them up.
        self._out += answers[max(pings - 1, 0) :] if pings else answers
        happened = engine.receive_messages(messages) if messages else []
        fault = fault or self._fault()
        if fault is not None:
            happened += engine.receive_fault(fault)
        elif protocol.close_rcvd is not None:
            happened += self._hung_up()
        return happened

    def data_to_send(self) -> bytes:
        """Everything that was queued since the last call; behind the end of the stream, the end of
        the WebSocket (RFC 7395 §3.6)."""
        protocol, engine = self._protocol, self._engine
        if protocol.state is State.OPEN:
            for message in engine.messages_to_send():
                protocol.send_text(message)
            if engine.closed:
                protocol.send_close(self._code)
        elif protocol.state is not State.CONNECTING:
            engine.messages_to_send()  # nobody listens
        out, self._out = self._out, []
        return b"".join(out + protocol.data_to_send())

    def _take(self, frame: Frame, messages: list[bytes]) -> None:
        if frame.opcode is Opcode.BINARY:
            self._code = CloseCode.UNSUPPORTED_DATA
            raise LineFault("bad-format", "sent a binary message")  # RFC 7395 §3.2
        if frame.opcode is Opcode.TEXT:
            self._partial = bytearray(frame.data)
        elif frame.opcode is Opcode.CONT and self._partial is not None:
            self._partial += frame.data
        else:
            return
        if frame.fin:
            messages.append(bytes(self._partial))
            self._partial = None

    def _fault(self) -> LineFault | None:
        """What the library found wrong with the peer; that it is gone is not for it to say."""
        if self._protocol.reader.eof:
            return None
        error = self._protocol.handshake_exc
        if error is not None:
            return LineFault(
                "undefined-condition", f"speaks no WebSocket: {one_line(error)}", remedy=_CHECK
            )
        error = self._protocol.parser_exc
        if isinstance(error, PayloadTooBig):
            return LineFault("policy-violation", "sent too large a message", limit="answer_bytes")
        if error is not None:
            return LineFault("bad-format", f"broke the WebSocket protocol: {one_line(error)}")
        return None

    def _hung_up(self) -> list[Event]:
        """The peer has closed the WebSocket: perhaps not the stream, whose session can go on then
        (RFC 7395 §3.6)."""
        close = self._protocol.close_rcvd
        said = one_line(close) if close is not None else ""
        fault = LineFault("undefined-condition", f"closed the connection: {said}")
        return [
            StreamFailed(fault) if isinstance(event, StreamFailed) else event
            for event in self._engine.receive_eof()
        ]


class ClientWire(Wire):
    """Our end: asks for the WebSocket, and holds messages back until there is one."""

    def __init__(self, engine: Stream, endpoint: Endpoint) -> None:
        address = WebSocketURI(
            endpoint.secure,
            endpoint.host,
            endpoint.port,
            *_path_and_query(endpoint.path),
        )
        protocol = ClientProtocol(
            address,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            max_size=engine.limits.largest,
            logger=FRAME_LOG,
        )
        super().__init__(engine, protocol)
        protocol.send_request(protocol.connect())
        self._out = protocol.data_to_send()

    def _greeted(self, greeting: Request | Response, *, more: bool) -> None:
        problem = self._protocol.handshake_exc
        if isinstance(problem, InvalidStatus):
            status, phrase = problem.response.status_code, problem.response.reason_phrase
            raise LineFault(
                "undefined-condition",
                f"offers no WebSocket there: {status} {one_line(phrase)}",
                permanent=status in LOST_CAUSES,
                remedy=_CHECK,
            )
        if problem is None and self._protocol.subprotocol != SUBPROTOCOL:
            raise LineFault(
                "undefined-condition",
                "offers a WebSocket that is not for XMPP",
                permanent=True,
                remedy=_CHECK,
            )


def _path_and_query(text: str) -> Sequence[str]:
    path, _, query = text.partition("?")
    return path, query
