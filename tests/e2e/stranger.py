"""A stranger who writes whatever bytes he likes, and a bot that has to live with it.

The stranger is made of a socket and regular expressions, so that no library keeps him from
anything; only his server does. What it passes on is what anybody on the network may send.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import logging
import re
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

from actors.boot import Boot, boot_up
from tests.actors.world import SECONDS, World
from tools.servers import Server

PATIENCE = 30.0
"""Seconds for an answer, through a server that takes 3 kB/s once 20 kB have passed."""

_numbers = itertools.count(1)
_PIECE = re.compile(rb"<(message|presence|iq)\b(?:[^>]*/>|.*?</\1>)", re.DOTALL)


class Refused(Exception):
    """The server has ended the stranger's stream: it does not pass this on."""


class Stranger:
    """A client's session, as bytes. Made by `stranger`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._buffer = b""
        self.jid = ""

    async def log_in(self, domain: str, user: str, password: str) -> None:
        header = (
            "<?xml version='1.0'?><stream:stream version='1.0' xmlns='jabber:client'"
            f" xmlns:stream='http://etherx.jabber.org/streams' to='{domain}'>"
        )
        await self.send(header)
        await self._until(rb"</stream:features>")
        secret = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        sasl = "urn:ietf:params:xml:ns:xmpp-sasl"
        await self.send(f"<auth xmlns='{sasl}' mechanism='PLAIN'>{secret}</auth>")
        await self._until(rb"<success[^>]*>")
        await self.send(header)
        await self._until(rb"</stream:features>")
        bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
        await self.send(f"<iq type='set' id='bind'>{bind}</iq>")
        self.jid = (await self._until(rb"<jid>([^<]*)</jid>.*?</iq>"))[1].decode()
        await self.send("<presence/>")

    async def send(self, text: str) -> None:
        """Raises Refused."""
        try:
            self._writer.write(text.encode("utf-8", "surrogatepass"))
            await self._writer.drain()
        except OSError as error:
            raise Refused(str(error)) from None

    async def _until(self, pattern: bytes) -> re.Match[bytes]:
        async with asyncio.timeout(PATIENCE):
            while not (found := re.search(pattern, self._buffer, re.DOTALL)):
                await self._read()
        self._buffer = self._buffer[found.end() :]
        return found

    async def _read(self) -> None:
        try:
            piece = await self._reader.read(65536)
        except OSError as error:
            raise Refused(str(error)) from None
        if not piece or b"<stream:error" in piece:
            raise Refused((self._buffer + piece)[-600:].decode(errors="replace"))
        self._buffer += piece

    async def next(self) -> bytes:
        """The next stanza. Raises Refused, TimeoutError."""
        return (await self._until(_PIECE.pattern))[0]

    async def get(self, fits: Callable[[bytes], bool]) -> bytes:
        """The next stanza of that kind; others are forgotten."""
        while not fits(stanza := await self.next()):
            pass
        return stanza

    async def until(self, fits: bytes) -> list[bytes]:
        """The stanzas up to and without one that has `fits` in it."""
        heard = []
        while fits not in (stanza := await self.next()):
            heard.append(stanza)
        return heard

    async def close(self) -> None:
        """Says good-bye, and does not wait: ejabberd lets TLS wait for 30 s."""
        with contextlib.suppress(Refused):
            await self.send("</stream:stream>")
        self._writer.transport.abort()


@contextlib.asynccontextmanager
async def stranger(server: Server, user: str) -> AsyncIterator[Stranger]:
    """`user`, logged in and available."""
    context = ssl.create_default_context(cafile=str(server.ca_file))
    reader, writer = await asyncio.open_connection(
        server.host, server.direct_port, ssl=context, server_hostname=server.domain
    )
    someone = Stranger(reader, writer)
    try:
        await someone.log_in(server.domain, user, server.account(user))
        yield someone
    finally:
        await someone.close()


BOT = """
from actors import Component
from emp.routing import Routes
from emp.xml import E

class Bot(Component):
    def alive(self, body):
        return f"alive and well {body[6:]}"
    def parrot(self, body):
        return f"parrot {len(body)}"
    def break_down(self):
        raise ValueError("a mistake of the application")
    def question(self):
        return E.answer(xmlns="urn:example:bot")

routes = Routes({"x": "urn:example:bot"})
routes.message("[starts-with(body, 'alive ')]").to(Bot.alive)
routes.message("[body = 'fail']").to(Bot.break_down)
routes.message("[body]").to(Bot.parrot)
routes.iq_get("x:question").to(Bot.question)
"""


def settings(server: Server, kind: str, user: str = "foo") -> str:
    """The lines of a connection to `server`; the accounts of real servers."""
    if kind == "component":
        return (
            f'host = "{server.components[0]}"\nsecret = "{server.component_secret}"\n'
            f"port = {server.component_port}\n"
        )
    return (
        f'kind = "client"\nnode = "{user}"\nhost = "{server.domain}"\nresource = "bot"\n'
        f'password = "{server.account(user)}"\nca_file = "{server.ca_file}"\n'
        f"port = {server.client_port}\nroster = true\ncarbons = true\n"
    )


class Bot:
    """An application on a real server. Made by `bot`."""

    def __init__(self, world: World, address: str) -> None:
        self._world, self.address = world, address
        self._stream = self._connection().stream

    def _connection(self) -> Any:
        return self._world.actor("main")

    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = self._connection().facts()
        return found

    async def answers(self, someone: Stranger) -> list[bytes]:
        """What `someone` hears until the bot has answered a question that is asked now.

        Servers keep order between two addresses: what came before has been handled by then.
        Raises Refused, TimeoutError.
        """
        word = f"{next(_numbers)}."
        await someone.send(
            f"<message type='chat' to='{self.address}'><body>alive {word}</body></message>"
        )
        return await someone.until(f"alive and well {word}".encode())

    def is_undisturbed(self) -> bool:
        """It has the stream that it had at first, and knows of no fault."""
        facts = self.facts()
        same: bool = self._connection().stream is self._stream
        return same and facts["failures"] == {} and facts["violations"] == {}


@contextlib.asynccontextmanager
async def bot(
    tmp_path: Path, server: Server, kind: str, source: str = BOT, more: str = ""
) -> AsyncIterator[Bot]:
    """The application whose one file is `source`, connected to a real server."""
    directory = tmp_path / f"bot{next(_numbers)}"
    directory.mkdir()
    module = directory / f"{tmp_path.name}_{directory.name}.py".replace("-", "_")
    module.write_text(source)
    lines = settings(server, kind) + more
    (directory / "emp.toml").write_text(f'[connections.main]\nserver = "{server.host}"\n{lines}')
    boot = Boot(module)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level  # booting configures logging
    world = World(cast(Any, None), boot, [])
    try:
        async with asyncio.timeout(SECONDS * 3):
            await boot_up(boot, lambda report: None)
        own = world.actor("main").facts()["jid"]
        yield Bot(world, own if kind == "client" else f"anybody@{server.components[0]}")
    finally:
        async with asyncio.timeout(SECONDS):
            await boot.shut_down(0.5)
        root.handlers[:], root.level = handlers, level
