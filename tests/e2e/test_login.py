"""What a client takes by itself at each real server, and what the second login costs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emp.config import ConnectionSettings
from emp.net import open_stream
from emp.sasl import Memory
from tests.emp.net.support import Sink
from tools import servers
from tools.servers import Server

pytestmark = pytest.mark.server

# What neither server has to announce (XEP-0440) is not asked for on TLS 1.3; there only Prosody
# knows that it does no channel binding at all.
EXPECTED = {
    ("prosody", "1.2"): ("SCRAM-SHA-256-PLUS", "p=tls-unique"),
    ("ejabberd", "1.2"): ("SCRAM-SHA-256-PLUS", "p=tls-unique"),
    ("prosody", "1.3"): ("SCRAM-SHA-256", "y"),
    ("ejabberd", "1.3"): ("SCRAM-SHA-256", "n"),
}


@pytest.fixture(scope="module", params=EXPECTED, ids=" ".join)
def place(request: pytest.FixtureRequest) -> Iterator[tuple[Server, tuple[str, str]]]:
    """A server that keeps its passwords salted, as it should, and what it makes of a login."""
    name, version = request.param
    with getattr(servers, name)(tls=version, passwords="sha-256") as server:
        yield server, EXPECTED[name, version]


def settings(server: Server, **more: str) -> ConnectionSettings:
    return ConnectionSettings(
        name="alice",
        host=server.domain,
        kind="client",
        node="alice",
        server=server.host,
        port=server.client_port,
        ca_file=server.ca_file,
        **{"password": server.account("alice")} | more,
    )


async def test_the_strongest_and_the_second_time_for_nothing(
    place: tuple[Server, tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, expected = place
    memory = Memory()
    for _ in range(2):
        stream = await open_stream(settings(server), Sink(), memory=memory)
        await stream.close()
        assert memory.best == expected
        monkeypatch.setattr("emp.sasl.scram.salt_password", None)
