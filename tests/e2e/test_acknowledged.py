"""One action that waits, on servers with the limits that they ship with: the session lives on."""

from __future__ import annotations

import asyncio
from pathlib import Path

from actors.boot import Boot, Report, boot_up
from actors.ledger import UNACKNOWLEDGED
from emp.config import ConnectionSettings
from emp.net import open_stream
from emp.stanza import Message, Stanza
from emp.stream.acks import TELL_AFTER
from emp.xml import E
from tests.actors.world import SECONDS, World
from tests.emp.net.support import Sink
from tools.servers import Server

STUCK = """
import asyncio
from actors import Component
from emp.routing import Routes

class Stuck(Component):
    key = lambda stanza: stanza.id or ""
    def __init__(self):
        self.gate = asyncio.Event()
    async def stay(self, body):
        await self.gate.wait()
        return "at last"
    def open(self):
        self.gate.set()
    def echo(self, body):
        return body if body.endswith("00") else None

routes = Routes()
routes.message(body="stay").to(Stuck.stay)
routes.message(body="open").to(Stuck.open)
routes.message("[body]").to(Stuck.echo)
"""

MESSAGES = 6000
"""More than ejabberd (5,000) or Prosody (500) keep for who acknowledges nothing."""

HINTS = "urn:xmpp:hints"
"""XEP-0334."""

IN_FLIGHT = 100
"""Messages that are on their way at a time, so that it is not the sockets that are full."""


async def heard(sink: Sink) -> str:
    stanza = await sink.stanza("message")
    assert isinstance(stanza, Message)
    assert stanza.type != "error", stanza
    return stanza.body or ""


async def test_one_action_waits_and_the_session_does_not_end(
    real_server: Server, tmp_path: Path
) -> None:
    server, user = real_server, real_server.users[0]
    (tmp_path / "stuck.py").write_text(STUCK)
    (tmp_path / "emp.toml").write_text(
        f'[connections.main]\nkind = "client"\nnode = "{user}"\nhost = "{server.domain}"\n'
        f'password = "{server.account(user)}"\nresource = "stuck"\nserver = "{server.host}"\n'
        f'port = {server.client_port}\nca_file = "{server.ca_file}"\n[log]\nlevel = "warning"\n'
    )
    boot = Boot(tmp_path / "stuck.py")
    reports: list[Report] = []
    sink = Sink()
    gateway = server.components[0]
    async with asyncio.timeout(SECONDS):
        await boot_up(boot, reports.append)
    stream = await open_stream(
        ConnectionSettings(
            name="gateway",
            host=gateway,
            secret=server.component_secret,
            server=server.host,
            port=server.component_port,
        ),
        sink,
    )
    try:
        connection = World(None, boot, reports).actor("main")  # type: ignore[arg-type]
        management, ledger = connection.management, connection.ledger

        def say(body: object) -> Stanza:
            to = f"{user}@{server.domain}/stuck"
            id, hint = str(body), E("no-store", xmlns=HINTS)  # archives are slow
            return Message(to, id, hint, from_=f"{id}@{gateway}", id=id, type="chat")

        stream.send([say("stay")])
        for number in range(1, MESSAGES + 1, IN_FLIGHT):
            stream.send([say(each) for each in range(number, number + IN_FLIGHT)])
            assert await heard(sink) == str(number + IN_FLIGHT - 1)
            assert ledger.last - management.handled <= UNACKNOWLEDGED
            assert ledger.last - management.h <= UNACKNOWLEDGED + TELL_AFTER + IN_FLIGHT
        facts = connection.facts()
        assert (facts["not_handled"], facts["acknowledged_early"]) == (1, 1)
        generation, id = management.generation, management.id
        assert id is not None
        connection.stream.abort()
        while management.generation == generation or not management.active:
            await asyncio.sleep(0)
        assert connection.stream is None or connection.stream.resumed
        assert management.id == id  # the same session
        stream.send([say("open")])
        assert await heard(sink) == "at last"
        assert connection.facts()["acknowledged_early"] == 0
        assert connection.facts()["sessions_given_up"] == 0
    finally:
        await stream.close(SECONDS)
        async with asyncio.timeout(SECONDS):
            await boot.shut_down()
