"""Every row of the matrix: connect in that way, and get a message through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from emp.devserver import DevServer
from emp.errors import EmpError
from emp.net import open_stream
from emp.stanza import Message, Stanza
from emp.stream.features.bind2 import TAG
from emp.stream.management import Management
from emp.tokens import TokenStore
from tests.e2e.matrix import PEER, ROWS, USER, Name, Row, Venue, table
from tools import servers
from tools.servers import Server
from tools.servers.identities import Authority

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "interoperability.md"
STEP_SECONDS = 20.0
"""For an answer: far more than any takes."""

CELLS = [
    pytest.param(
        row,
        name,
        id=f"{row.feature}-{name}",
        marks=() if name == "embedded" else pytest.mark.server,
    )
    for row in ROWS
    for name in row.servers
]


class Ear:
    """The sink of a stream: keeps what arrives."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Stanza] = asyncio.Queue()
        self.lost: asyncio.Future[EmpError | None] = asyncio.get_running_loop().create_future()

    def stanzas_received(self, stanzas: list[Stanza]) -> None:
        for stanza in stanzas:
            self.heard.put_nowait(stanza)

    def stream_lost(self, error: EmpError | None) -> None:
        self.lost.set_result(error)

    def write_paused(self) -> None: ...

    def write_resumed(self) -> None: ...

    async def hears(self, body: str) -> None:
        async with asyncio.timeout(STEP_SECONDS):
            while True:
                stanza = await self.heard.get()
                if isinstance(stanza, Message) and stanza.body == body:
                    return


@pytest.fixture(scope="module")
def variants() -> Iterator[dict[tuple[str, str], Server]]:
    """Servers that may use one version of TLS only, started when the first row needs them."""
    with ExitStack() as running:

        class Variants(dict[tuple[str, str], Server]):
            def __missing__(self, key: tuple[str, str]) -> Server:
                name, tls = key
                self[key] = running.enter_context(getattr(servers, name)(tls=tls))
                return self[key]

        yield Variants()


@pytest.fixture
async def venue(
    row: Row,
    name: Name,
    request: pytest.FixtureRequest,
    variants: dict[tuple[str, str], Server],
    tmp_path: Path,
) -> AsyncIterator[Venue]:
    if name == "embedded":
        async with _embedded(tmp_path, row) as venue:
            yield venue
        return
    server = variants[name, row.tls] if row.tls else request.getfixturevalue(name)
    identity = server.identity(USER)
    yield Venue(
        name,
        server.domain,
        server.client_port,
        server.component_port,
        server.components[0],
        server.component_secret,
        server.ca_file,
        identity.certificate,
        identity.key,
        anonymous_domain=server.anonymous_domain,
        direct_port=server.direct_port,
        component_tls_port=server.component_tls_port,
        websocket=server.websocket,
    )


@asynccontextmanager
async def _embedded(directory: Path, row: Row) -> AsyncIterator[Venue]:
    """EMP's own server, for one row."""
    authority = Authority(directory / "users")
    identity = authority.sign(f"{USER}@xmpp.test")
    usual: dict[str, Any] = {
        "accounts": {user: f"pw-{user}" for user in (USER, PEER)},
        "components": {"emp.xmpp.test": "s3cret"},
        "client_ca_file": authority.file,
        "direct_port": 0,
        "websocket_port": 0,
        "sasl2": False,
    }
    server = DevServer("xmpp.test", directory=directory, **usual | row.embedded)
    await server.start()
    try:
        yield Venue(
            "embedded",
            server.domain,
            server.port,
            server.component_port,
            "emp.xmpp.test",
            "s3cret",
            server.ca_file,
            identity.certificate,
            identity.key,
            anonymous_domain=server.domain,
            direct_port=server.direct_port,
            component_tls_port=server.component_port,
            websocket=server.websocket,
        )
    finally:
        await server.stop()


@pytest.mark.parametrize(("row", "name"), CELLS)
async def test_matrix(row: Row, venue: Venue) -> None:
    if row.way == "resume":
        await _resumed(row, venue)
        return
    ear, told, tokens = Ear(), dict[str, str](), TokenStore()
    if row.way == "token":
        first = await open_stream(row.settings(venue), ear, tokens=tokens)
        await first.close()
        ear = Ear()
    stream = await open_stream(row.settings(venue), ear, progress=told.__setitem__, tokens=tokens)
    try:
        for step, what in row.told.items():
            assert told[step].startswith(what), told
        if venue.name == "embedded":
            assert told["authenticate"].startswith("HT-") == (row.way == "token")
            assert (stream.jid.resource or "").startswith(TAG) == (row.way in ("bind2", "token"))
        stream.send([Message(stream.jid, "to myself", type="chat", from_=stream.jid)])
        await ear.hears("to myself")
    finally:
        await stream.close()


async def _resumed(row: Row, venue: Venue) -> None:
    """The connection dies; what somebody says meanwhile arrives when the session goes on."""
    ear, management = Ear(), Management()
    first = await open_stream(row.settings(venue), ear, management=management)
    assert not first.resumed
    jid = first.jid
    first.abort()
    other = await open_stream(venue.client(PEER), Ear())
    other.send([Message(jid, "are you there?", type="chat")])
    ear = Ear()
    second = await open_stream(row.settings(venue), ear, management=management)
    try:
        assert second.resumed
        assert second.jid == jid
        await ear.hears("are you there?")
        second.send([Message(jid, "here I am", type="chat")])
        await ear.hears("here I am")
    finally:
        await second.close()
        await other.close()


def test_the_documentation_has_the_table() -> None:
    assert table() in DOCUMENT.read_text()


def test_the_documentation_has_the_module_that_mends_prosody() -> None:
    source = (ROOT / "tools" / "servers" / "templates" / "mod_resumption.lua").read_text()
    code = [line for line in source.splitlines() if line and not line.startswith("--")]
    assert "\n".join(code) in DOCUMENT.read_text()


def test_every_row_is_tested_somewhere() -> None:
    assert all(row.servers for row in ROWS)
    assert len({row.feature for row in ROWS}) == len(ROWS)
