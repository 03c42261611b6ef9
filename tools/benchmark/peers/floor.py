"""The floor: what asyncio costs without XML. It counts end tags and sends a fixed answer.

No component can be faster in Python's asyncio; the distance to it is what XMPP costs.
"""

import asyncio
import sys

HEADER = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' "
    b"xmlns:stream='http://etherx.jabber.org/streams' to='echo.localhost'>"
)
ANSWER = (
    b"<message type='chat' to='bench.localhost' from='echo.localhost'>".ljust(
        300 - len(b"</message>"), b" "
    )
    + b"</message>"
)
END = b"</message>"


class Floor(asyncio.Protocol):
    """Answers as many messages as end in what it has read."""

    def __init__(self) -> None:
        self.closed = asyncio.get_running_loop().create_future()
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self.transport = transport
        transport.write(HEADER + b"<handshake>any</handshake>")

    def data_received(self, data: bytes) -> None:
        data = self.rest + data
        if count := data.count(END):
            self.transport.write(ANSWER * count)
        self.rest = data[data.rfind(b">") + 1 :] if data.endswith(b">") else data[-9:]

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(None)


async def main() -> None:
    loop = asyncio.get_running_loop()
    _, floor = await loop.create_connection(Floor, "127.0.0.1", int(sys.argv[1]))
    await floor.closed


asyncio.run(main())
