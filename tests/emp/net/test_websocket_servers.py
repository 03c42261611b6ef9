"""WebSocket with Prosody and ejabberd: what the matrix of tests/e2e does not ask them."""

from __future__ import annotations

from typing import Any

import pytest

from emp.config import ConnectionSettings
from emp.errors import ConnectionFailed
from emp.net import hostmeta, open_stream
from emp.net.endpoint import Endpoint
from emp.stanza import Message
from emp.stream.limits import STANZA_BYTES
from tests.emp.net.support import PATIENCE, Sink, failure, opened
from tools.servers import Server


def account(real: Server, user: str = "alice", **more: Any) -> ConnectionSettings:
    values: dict[str, Any] = {
        "name": user,
        "kind": "client",
        "node": user,
        "password": real.account(user),
        "host": real.domain,
        "websocket": real.websocket,
        "ca_file": real.ca_file,
        "connect_timeout": PATIENCE,
    }
    return ConnectionSettings(**{**values, **more})


async def test_discovered(local_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """XEP-0156, at the domain localhost."""
    monkeypatch.setattr(hostmeta, "PORT", Endpoint.parse(local_server.websocket).port)
    settings = account(local_server, websocket="discover")
    assert await hostmeta.discover(settings) == [Endpoint.parse(local_server.websocket)]
    stream = await open_stream(settings, Sink())
    await stream.close(PATIENCE)


async def test_a_flood(load_server: Server) -> None:
    """In order, and what is long too: 400 kB, for which stock limits take two minutes."""
    here, there = Sink(), Sink()
    async with (
        opened(account(load_server), here) as alice,
        opened(account(load_server, "bob"), there) as bob,
    ):
        texts = [f"<{number}> & \N{SNOWMAN}" * (1 + number % 100) for number in range(300)]
        alice.send([Message(bob.jid, text, type="chat") for text in texts])
        for text in texts:
            stanza = await there.stanza("message")
            assert isinstance(stanza, Message)
            assert stanza.body == text


@pytest.mark.parametrize("load_server", ["prosody"], indirect=True)
async def test_too_long_for_it(load_server: Server) -> None:
    """The stream is ended, and we say why. ejabberd takes everything here.

    At the stock rate Prosody closes before it has read all, and the reset may take its words away.
    """
    sink = Sink()
    stream = await open_stream(account(load_server), sink)
    stream.send([Message(stream.jid, "x" * STANZA_BYTES)])
    error = await sink.end()
    assert isinstance(error, ConnectionFailed)
    assert "policy-violation" in error.reason


async def test_a_wrong_password(real_server: Server) -> None:
    error = await failure(account(real_server, password="guessed"))
    assert (error.step, error.permanent) == ("authenticate", True)


async def test_another_path(real_server: Server) -> None:
    error = await failure(account(real_server, websocket=real_server.websocket[:-2] + "elsewhere"))
    assert error.step == "upgrade"
    assert "40" in error.reason
