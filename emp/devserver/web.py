"""The development server's HTTP: WebSocket at one address (RFC 7395), host-meta beside it
(XEP-0156), and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from emp.errors import EmpError
from emp.net.failures import LineFault
from emp.net.hostmeta import DOCUMENTS, RELATION
from emp.net.websocket import AVAILABLE, FRAME_LOG, MISSING, REMEDY, SUBPROTOCOL, Wire
from emp.stream.engine import Stream
from emp.xml import escape

if AVAILABLE:
    from http import HTTPStatus

    from websockets.datastructures import Headers
    from websockets.http11 import Request, Response
    from websockets.server import ServerProtocol
    from websockets.typing import Subprotocol

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH: Final = "/xmpp-websocket"
"""What Prosody has by default, too."""


class Web:
    """What one port has to offer; `address` is that of its WebSocket. Raises EmpError without the
    library."""

    def __init__(self, address: str) -> None:
        if not AVAILABLE:
            raise EmpError(f"{MISSING}. {REMEDY}")
        self.secure = address.startswith("wss:")
        self._documents = documents(address)

    def wire(self, engine: Stream) -> Wire:
        """For a new connection."""
        return ServerWire(engine, self._documents)


def documents(address: str) -> dict[str, tuple[str, str]]:
    """The host-meta that names this WebSocket, as XRD and as JRD (RFC 6415)."""
    xrd = (
        "<?xml version='1.0' encoding='utf-8'?>"
        "<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>"
        f"<Link rel='{RELATION}' href='{escape(address)}'/></XRD>"
    )
    jrd = json.dumps({"links": [{"rel": RELATION, "href": address}]})
    xml, jsn = DOCUMENTS
    return {xml: ("application/xrd+xml", xrd), jsn: ("application/json", jrd)}


class ServerWire(Wire):
    """The server's end. documents: path → type and text of what else may be read there."""

    def __init__(self, engine: Stream, documents: Mapping[str, tuple[str, str]]) -> None:
        self._server = ServerProtocol(
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            max_size=engine.limits.largest,
            logger=FRAME_LOG,
        )
        super().__init__(engine, self._server)
        self._documents = documents

    def _greeted(self, greeting: Request | Response, *, more: bool) -> None:
        assert isinstance(greeting, Request)
        if more:  # RFC 6455 §4.1: the client waits for our answer
            raise LineFault("policy-violation", "sent frames before there was a WebSocket")
        path = greeting.path.partition("?")[0]
        if path == PATH:
            response = self._server.accept(greeting)
        elif path in self._documents:
            response = _document(*self._documents[path])
        else:
            response = self._server.reject(HTTPStatus.NOT_FOUND, "Nothing is here.\n")
        self._server.send_response(response)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            raise LineFault("undefined-condition", "wanted something else than XMPP")


def _document(kind: str, text: str) -> Response:
    body = text.encode()
    headers = Headers({"Content-Type": kind, "Content-Length": str(len(body))})
    headers["Connection"] = "close"
    return Response(HTTPStatus.OK, "OK", headers, body)
