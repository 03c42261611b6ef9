"""Web servers that follow a script: what they say before, and in, a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from emp.devserver.certificate import ensure_certificate
from tests.emp.net.support import scripted

FRAMING = "xmlns='urn:ietf:params:xml:ns:xmpp-framing'"
OPEN = f"<open {FRAMING} from='im.test' id='s1' version='1.0'/>"
CLOSE = f"<close {FRAMING}/>"


class Peer:
    """One connection to such a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._frames: list[Frame] = []
        self.request: Request | None = None
        self.heard = bytearray()
        self.protocol = ServerProtocol(subprotocols=[Subprotocol("xmpp")])

    async def accept(self) -> None:
        """The handshake of RFC 6455, as it should be."""
        while self.request is None:
            await self._read()
        self.protocol.send_response(self.protocol.accept(self.request))
        self.write(b"")

    async def message(self) -> str:
        """The next message of the client."""
        while not self._frames:
            await self._read()
        return bytes(self._frames.pop(0).data).decode()

    def say(self, *messages: str) -> None:
        """In one write."""
        for message in messages:
            self.protocol.send_text(message.encode())
        self.write(b"")

    def write(self, data: bytes) -> None:
        """What the library has to say, and this after it."""
        self._writer.write(b"".join(self.protocol.data_to_send()) + data)

    async def until_gone(self) -> None:
        """Reads until the client has closed the connection; answers its goodbye."""
        while self.protocol.state is not State.CLOSED:
            left = any(frame.data.startswith(b"<close") for frame in self._frames)
            self._frames.clear()
            if left and self.protocol.state is State.OPEN:
                self.say(CLOSE)
            await self._read()

    async def _read(self) -> None:
        data = await self._reader.read(65_536)
        self.heard += data
        if data:
            self.protocol.receive_data(data)
        else:
            self.protocol.receive_eof()
        self.write(b"")
        for event in self.protocol.events_received():
            if isinstance(event, Request):
                self.request = event
            elif isinstance(event, Frame):
                self._frames.append(event)
        if not data and self.protocol.state is not State.CLOSED:
            raise ConnectionError


Talk = Callable[[Peer], Awaitable[None]]


@contextlib.asynccontextmanager
async def websocket_server(talk: Talk) -> AsyncIterator[str]:
    """Does the handshake, then follows the script; gives the address (ws)."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        await peer.accept()
        await talk(peer)

    async with scripted(script) as port:
        yield f"ws://127.0.0.1:{port}/ws"


@contextlib.asynccontextmanager
async def web_server(
    directory: Path, answers: dict[str, bytes], *domains: str
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """HTTPS with a certificate for these domains: path → the whole answer. Gives the port, and the
    requests that come."""
    requests: list[bytes] = []
    files = ensure_certificate(directory, *domains)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            request = await reader.readuntil(b"\r\n\r\n")
            requests.append(request)
            writer.write(answers.get(request.split()[1].decode(), NOT_FOUND))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], requests
    finally:
        server.close()
        await server.wait_closed()


def answer(body: str, status: str = "200 OK", **headers: str) -> bytes:
    """An answer of HTTP."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join([*lines, "", ""]) + body).encode()


NOT_FOUND = answer("nothing is here", "404 Not Found")
