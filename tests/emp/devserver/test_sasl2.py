"""SASL2, Bind 2 and FAST over sockets and real TLS: our client, and xmpp.js as somebody else's.

Against the embedded server only: Prosody 0.12 and ejabberd 23.01 offer none of the three.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from emp.devserver import DevServer
from emp.errors import ConnectionFailed
from emp.net import XMPPStream, open_stream
from emp.sasl.issued import IssuedTokens
from emp.stanza import Message
from emp.stream.management import Management
from emp.tokens import TokenStore
from tests.emp.devserver import xmppjs
from tests.emp.net.support import PATIENCE, Sink, client, dev_server, opened


async def logged_in(
    server: DevServer, tokens: TokenStore | None, /, sink: Sink | None = None, **more: Any
) -> tuple[XMPPStream, str]:
    """A stream, and the mechanism that opened it."""
    done: dict[str, str] = {}
    management = more.pop("management", None)
    stream = await open_stream(
        client(server, **more),
        sink or Sink(),
        progress=done.__setitem__,
        tokens=tokens,
        management=management,
    )
    return stream, done["authenticate"]


async def test_a_token_in_a_file_outlives_the_program(tmp_path: Path) -> None:
    file = tmp_path / "state" / "tokens.json"
    async with dev_server(tmp_path) as server:
        stream, mechanism = await logged_in(server, TokenStore(file))
        await stream.close(PATIENCE)
        assert mechanism.startswith("SCRAM-SHA-512")
        assert stream.jid.resource is not None
        assert stream.jid.resource.startswith("EMP/")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        for count in (1, 2):
            stream, mechanism = await logged_in(server, TokenStore(file))
            await stream.close(PATIENCE)
            # As strong as this machine's TLS library can make it, never without binding.
            assert mechanism in ("HT-SHA-256-EXPR", "HT-SHA-256-ENDP")
            (kept,) = json.loads(file.read_text())["clients"].values()
            assert kept["token"]["count"] == count


async def test_a_server_that_has_forgotten_its_tokens(tmp_path: Path) -> None:
    tokens = TokenStore()
    async with dev_server(tmp_path) as server:
        stream, _ = await logged_in(server, tokens)
        await stream.close(PATIENCE)
    async with dev_server(tmp_path) as server:
        stream, mechanism = await logged_in(server, tokens)
        assert mechanism.startswith("SCRAM")
        await stream.close(PATIENCE)
        stream, mechanism = await logged_in(server, tokens)
        assert mechanism.startswith("HT")
        await stream.close(PATIENCE)


@pytest.mark.parametrize("sasl2", [True, False])
@pytest.mark.parametrize("resource", [None, "main"])
async def test_resumption(tmp_path: Path, sasl2: bool, resource: str | None) -> None:
    tokens, management, sink = TokenStore(), Management(), Sink()
    async with dev_server(tmp_path, sasl2=sasl2) as server:
        more: dict[str, Any] = {"management": management, "resource": resource}
        first, _ = await logged_in(server, tokens, sink, **more)
        first.abort()
        async with opened(client(server, "juliet"), Sink()) as juliet:
            juliet.send([Message(first.jid, "while you were away")])
            again, mechanism = await logged_in(server, tokens, sink, **more)
            assert again.resumed
            assert again.jid == first.jid
            assert mechanism.startswith("HT" if sasl2 else "SCRAM")
            message = await sink.stanza("message")
            assert message.tree.findtext("{jabber:client}body") == "while you were away"
        await again.close(PATIENCE)


async def test_a_client_that_comes_back_ends_its_earlier_session(tmp_path: Path) -> None:
    tokens, sink = TokenStore(), Sink()
    async with dev_server(tmp_path) as server:
        await logged_in(server, tokens, sink)
        other, _ = await logged_in(server, tokens, name="another connection")
        second, _ = await logged_in(server, tokens)
        error = await sink.end()
        assert isinstance(error, ConnectionFailed)
        assert "conflict" in str(error)
        account = server.hub.accounts["romeo"]
        assert set(account.resources) == {other.jid.resource, second.jid.resource}
        for stream in (other, second):
            await stream.close(PATIENCE)


async def test_carbons_begin_with_the_session(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        stream, _ = await logged_in(server, None, carbons=True)
        (resource,) = server.hub.accounts["romeo"].resources.values()
        assert resource.carbons
        await stream.close(PATIENCE)


# -- a client that is not ours ---------------------------------------------------------------------


@pytest.mark.server  # needs Node.js and the npm registry
@pytest.mark.timeout(600)  # npm, the first time
async def test_xmpp_js_logs_in_binds_and_resumes(tmp_path: Path) -> None:
    folder = xmppjs.install()
    async with (
        dev_server(tmp_path) as server,
        xmppjs.running(folder, server, "romeo", "secret") as peer,
    ):
        first = await peer.event("online")
        assert first["mechanism"] == "SCRAM-SHA-1"
        assert await peer.event("token") == {
            "event": "token",
            "mechanism": "HT-SHA-256-NONE",
            "sm": True,
        }
        assert first["jid"].startswith("romeo@im.test/peer/")
        await peer.say("drop")
        again = await peer.event("resumed")
        assert again == {**again, "mechanism": "HT-SHA-256-NONE", "jid": first["jid"]}
        async with opened(client(server, "juliet"), Sink()) as juliet:
            juliet.send([Message(again["jid"], "are you there?")])
            assert (await peer.event("message"))["body"] == "are you there?"
        await peer.say("stop")
        await peer.event("offline")


@pytest.mark.server
@pytest.mark.timeout(600)
async def test_xmpp_js_with_a_token_that_is_refused(tmp_path: Path) -> None:
    folder = xmppjs.install()
    async with (
        dev_server(tmp_path) as server,
        xmppjs.running(folder, server, "romeo", "secret") as peer,
    ):
        await peer.event("online")
        await peer.event("token")
        server.tokens = IssuedTokens()  # as after a restart
        await peer.say("again")
        await peer.event("offline")
        assert (await peer.event("online"))["mechanism"] == "SCRAM-SHA-1"
        await peer.event("token")
        await peer.say("stop")
        await peer.event("offline")
