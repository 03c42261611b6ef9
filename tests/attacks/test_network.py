"""Networks that fail: pieces of any size, bytes that change, connections that are cut anywhere."""

from __future__ import annotations

import pytest

from emp.config import ConnectionSettings
from emp.errors import ConnectionFailed, EmpError
from emp.net import open_stream
from emp.stanza import Message
from tests.attacks.hostile import Dialogue
from tests.attacks.support import Attacks, component
from tests.emp.net.support import Sink
from tools.faults import Fault, Proxy


async def honest(dialogue: Dialogue) -> None:
    await dialogue.session()
    await dialogue.expect(rb"<body>ping</body></message>")
    dialogue.send(b"<message id='pong' from='juliet@im.test/balcony'/>")


@pytest.mark.parametrize("size", [1, 7])
async def test_byte_by_byte(attacks: Attacks, size: int) -> None:
    """The whole way to a session, TLS included."""
    async with attacks.server(honest) as server, Proxy("127.0.0.1", server.port) as proxy:
        proxy.up.size = proxy.down.size = size
        sink = Sink()
        stream = await open_stream(attacks.client(server, port=proxy.port), sink)
        stream.send([Message("juliet@im.test", "ping")])
        assert (await sink.stanza()).id == "pong"
        stream.abort()


@pytest.mark.parametrize("at", [5, 50, 400, 700, 1000, 1500, 2000])
async def test_changed_bytes(attacks: Attacks, at: int) -> None:
    """One bit, before TLS, in its handshake or under it: no session, and nothing is believed."""
    async with attacks.server(honest) as server, Proxy("127.0.0.1", server.port) as proxy:
        proxy.down.flips = {at: 0x10}
        sink = Sink()
        settings = attacks.client(server, port=proxy.port, connect_timeout=2.0)
        assert isinstance(await outcome(settings, sink), ConnectionFailed)
        assert sink.batches == []


async def outcome(settings: ConnectionSettings, sink: Sink) -> EmpError | None:
    """How a stream ends, or fails to begin."""
    try:
        stream = await open_stream(settings, sink)
    except ConnectionFailed as error:
        return error
    stream.send([Message("juliet@im.test", "ping")])
    return await sink.end()


@pytest.mark.parametrize("kind", ["fin", "rst"])
@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("after", [0, 1, 200, 700, 1500])
async def test_cut_anywhere(attacks: Attacks, after: int, direction: str, kind: str) -> None:
    """A connection that is cut is an error that passes, wherever that happens."""
    fault = Fault(kind, direction, after)  # type: ignore[arg-type]
    async with (
        attacks.server(honest) as server,
        Proxy("127.0.0.1", server.port, plan=[fault]) as proxy,
    ):
        sink = Sink()
        with pytest.raises(ConnectionFailed) as caught:
            await open_stream(attacks.client(server, port=proxy.port), sink)
        assert not caught.value.permanent
        assert proxy.done == [fault]


@pytest.mark.parametrize("kind", ["fin", "rst"])
async def test_a_component_cut_in_a_stanza(attacks: Attacks, kind: str) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.component()
        await dialogue.expect(rb"<message")
        dialogue.send(b"<message id='half'><body>" + b"x" * 1000 + b"</body></message>")

    async with attacks.server(script) as server, Proxy("127.0.0.1", server.port) as proxy:
        sink = Sink()
        stream = await open_stream(component(server, port=proxy.port), sink)
        proxy.plan(Fault(kind, "down", 500))  # type: ignore[arg-type]
        stream.send([Message("juliet@im.test", "ping")])
        assert isinstance(await sink.end(), ConnectionFailed)
        assert sink.batches == []
