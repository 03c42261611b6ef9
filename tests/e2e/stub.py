"""An XEP-0114 server that accepts anybody, says what it is given, and reads the answers."""

from __future__ import annotations

import asyncio
import re

DOMAIN = "stub.test"
MESSAGE = re.compile(rb"<message\b([^>]*)>.*?<body>([^<]*)</body>.*?</message>", re.DOTALL)
TO = re.compile(rb"""\bto=['"]([^'"]*)['"]""")


class Stub:
    """Use it in an `async with` block, and give its port to the application.

    answers: (whom the application has written to, body), in the order in which they came; all that
    it writes must be messages with a body.
    """

    def __init__(self) -> None:
        self.port = 0
        self.answers: list[tuple[str, str]] = []
        self.connected = asyncio.Event()
        self.lost = asyncio.Event()
        self._news = asyncio.Condition()
        self._server: asyncio.Server
        self._writer: asyncio.StreamWriter

    async def __aenter__(self) -> Stub:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    def config(self) -> str:
        """What the application's emp.toml says of the connection."""
        return (
            f'[connections.stub]\nhost = "{DOMAIN}"\nsecret = "s"\nserver = "127.0.0.1"\n'
            f"port = {self.port}\n"
        )

    async def say(self, sender: str, bodies: list[str]) -> None:
        """Messages of one sender, or, with a body of "SENDER NUMBER", of many."""
        pieces = [
            f"<message from='{sender or body.split()[0]}' to='x@{DOMAIN}' type='chat'>"
            f"<body>{body}</body></message>"
            for body in bodies
        ]
        self._writer.write("".join(pieces).encode())
        await self._writer.drain()

    async def heard(self, count: int) -> None:
        """Wait until there are so many answers, or the stream is lost."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.answers) >= count or self.lost.is_set())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        try:
            await reader.readuntil(b"<stream:stream")
            await reader.readuntil(b">")
            writer.write(
                b"<stream:stream xmlns='jabber:component:accept' from='stub.test' id='1'"
                b" xmlns:stream='http://etherx.jabber.org/streams'>"
            )
            await reader.readuntil(b"</handshake>")
            writer.write(b"<handshake/>")
            self.connected.set()
            left = b""
            while data := await reader.read(1 << 20):
                left = await self._note(left + data)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the application is gone
        finally:
            self.lost.set()
            async with self._news:
                self._news.notify_all()
            writer.close()

    async def _note(self, data: bytes) -> bytes:
        """Note the messages; returns what is not whole yet."""
        end = 0
        for match in MESSAGE.finditer(data):
            to = TO.search(match[1])
            assert to is not None
            self.answers.append((to[1].decode(), match[2].decode()))
            end = match.end()
        async with self._news:
            self._news.notify_all()
        return data[end:]
