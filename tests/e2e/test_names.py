"""A peer that makes up a name for each stanza, through all of an application (emp.names)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.application import application
from tests.e2e.test_flood import memory

STANZAS = int(os.environ.get("EMP_NAMES", "12_000"))
"""Of each kind. EMP_NAMES=400_000 is for a long run, with --timeout to match."""

GROWTH_MEGABYTES = {"embedded": 1.6, "multiproc": 6}
"""What all processes together may grow by; for ever kept, the names of 48,000 stanzas are half
as much again."""
LONG_GROWTH_MEGABYTES = 24
"""The same however long it goes on: in each process one full dictionary, its successor, and what
the allocator likes to keep."""

BATCH = 200
KINDS = (
    "<n{0} xmlns='urn:example:x'><a{0}/></n{0}>",
    "<x xmlns='urn:example:x' a{0}='1'/>",
    "<x xmlns='urn:example:{0}'/>",
    "<p{0}:x xmlns:p{0}='urn:example:x'/>",
)

PING = b"<ping xmlns='urn:xmpp:ping'/>"

ECHO = """
from actors import Component
from emp.routing import Routes

class Echo(Component):
    def echo(self, stanza, payload):
        assert stanza.xml[0].tag == payload.tag
        return payload

routes = Routes()
routes.iq_get("*", payload="*").to(Echo.echo)
"""


class Namer:
    """An XEP-0114 server that accepts anybody, asks what nobody has asked before, and waits for the
    answers."""

    async def __aenter__(self) -> Namer:
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        await reader.readuntil(b"<stream:stream")
        await reader.readuntil(b">")
        writer.write(
            b"<stream:stream xmlns='jabber:component:accept' from='names.test' id='1'"
            b" xmlns:stream='http://etherx.jabber.org/streams'>"
        )
        await reader.readuntil(b"</handshake>")
        writer.write(b"<handshake/>")
        self._ready.set_result(None)

    async def ask(self, form: Callable[[int], str], numbers: range) -> None:
        """All of them are answered."""
        await self._ready
        for first in range(numbers.start, numbers.stop, BATCH):
            batch = range(first, min(first + BATCH, numbers.stop))
            self._writer.write(
                "".join(
                    f"<iq type='get' id='{number}' from='a@names.test' to='names.test'>"
                    f"{form(number)}</iq>"
                    for number in batch
                ).encode()
            )
            left = len(batch)
            while left:
                stanza = await self._reader.readuntil(b"</iq>")
                if PING in stanza:  # what it asks itself has to come back
                    self._writer.write(stanza)
                else:
                    assert b'type="result"' in stanza, stanza
                    left -= 1


@pytest.mark.parametrize("system", ["embedded", "multiproc"])
async def test_made_up_names_are_forgotten(system: str, tmp_path: Path) -> None:
    async with Namer() as namer:
        (tmp_path / "echo.py").write_text(ECHO)
        (tmp_path / "emp.toml").write_text(
            '[connections.names]\nhost = "names.test"\nsecret = "s"\nserver = "127.0.0.1"\n'
            f"port = {namer.port}\n"
        )
        path = str(tmp_path / "echo.py")
        async with application(path, "--system", system) as running:
            start = 10**6
            for each in KINDS:
                await namer.ask(each.format, range(start, start := start + 2_000))
            before = await memory(running)
            for each in KINDS:
                await namer.ask(each.format, range(start, start := start + STANZAS))
                print(each, round(await memory(running) - before, 1), "MB")
            long = STANZAS > 12_000
            bound = LONG_GROWTH_MEGABYTES if long else GROWTH_MEGABYTES[system]
            assert await memory(running) - before < bound
            assert await running.stop() == 0
