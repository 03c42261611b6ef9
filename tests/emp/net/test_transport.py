"""A stream that is open: traffic, flow control, and every way to its end."""

import asyncio
import socket
from pathlib import Path
from typing import Any, cast

import pytest

import emp.net.pulse
import emp.net.transport
from emp.errors import ConnectionFailed, LocalProtocolError
from emp.net import XMPPStream, open_stream
from emp.net.negotiation import Negotiation
from emp.stanza import Message
from tests.emp.net.support import (
    PATIENCE,
    Sink,
    accept_component,
    client,
    component,
    dev_server,
    opened,
    scripted,
    turns,
)


class Peer:
    """The server's side of a component's stream, in the hands of the test."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()
        self.done = asyncio.Event()
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        await accept_component(reader, writer)
        self.connected.set()
        await self.done.wait()

    def message(self, body: str) -> None:
        wire = f"<message from='a@b.test' to='hack.im.test'><body>{body}</body></message>"
        self.writer.write(wire.encode())

    async def hears(self, what: bytes) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readuntil(what)

    async def says_goodbye(self) -> None:
        await self.hears(b"</stream:stream>")
        self.writer.write(b"</stream:stream>")


class Spy:
    """Counts what the stream writes."""

    def __init__(self, stream: XMPPStream) -> None:
        self.writes: list[bytes] = []
        self._transport = cast(Any, stream._transport)
        stream._transport = cast(Any, self)

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


# -- traffic --------------------------------------------------------------------------------------


async def test_one_write_for_a_batch() -> None:
    peer = Peer()
    async with scripted(peer) as port:
        stream = await open_stream(component(port), Sink())
        spy = Spy(stream)
        stream.send([Message("a@b.test", str(n), from_="hack.im.test") for n in range(50)])
        assert len(spy.writes) == 1
        heard = await peer.hears(b"<body>49</body></message>")
        assert heard.count(b"<message") == 50
        stream.send([])
        assert len(spy.writes) == 1
        stream.abort()
        peer.done.set()


async def test_what_arrives_together_is_one_batch() -> None:
    peer, sink = Peer(), Sink()
    async with scripted(peer) as port:
        stream = await open_stream(component(port), sink)
        wire = b"<message from='a@b.test' to='hack.im.test'><body>x</body></message>"
        peer.writer.write(wire * 100)
        for _ in range(100):
            await sink.stanza()
        assert len(sink.batches) == 1
        stream.abort()
        peer.done.set()


async def test_socket_options() -> None:
    peer = Peer()
    async with scripted(peer) as port:
        stream = await open_stream(component(port), Sink())
        assert stream._transport is not None
        sock = stream._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        stream.abort()
        peer.done.set()


async def test_a_component_asks_after_silence_and_hears_its_own_ping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(emp.net.pulse, "ACK_DELAY", 0.01)
    peer, sink = Peer(), Sink()
    async with scripted(peer) as port:
        stream = await open_stream(component(port, keepalive=0.01, ping_timeout=PATIENCE), sink)
        for _ in range(3):
            ping = await peer.hears(b"</iq>")
            assert b"to='hack.im.test'><ping xmlns='urn:xmpp:ping'/>" in ping
            peer.writer.write(ping)
        peer.message("1")
        assert (await sink.stanza()).kind == "message"
        assert len(sink.batches) == 1
        stream.abort()
        peer.done.set()


async def test_keepalive_can_be_off() -> None:
    peer = Peer()
    async with scripted(peer) as port:
        stream = await open_stream(component(port, keepalive=0), Sink())
        assert stream._pulse._timer is None
        stream.abort()
        peer.done.set()


async def test_what_was_sent_is_proven_by_a_ping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emp.net.pulse, "ACK_DELAY", 0.01)
    peer = Peer()
    async with scripted(peer) as port:
        stream = await open_stream(component(port), Sink())
        stream.send([Message("a@b.test", "x", from_="hack.im.test")] * 3)
        assert len(stream.management.unacknowledged) == 3
        wire = await peer.hears(b"</iq>")
        peer.writer.write(wire[wire.index(b"<iq") :])
        async with asyncio.timeout(PATIENCE):
            while stream.management.unacknowledged:
                await asyncio.sleep(0.001)
        stream.abort()
        assert stream.management.take_lost() == []
        peer.done.set()


# -- half-open connections ------------------------------------------------------------------------


async def test_a_peer_that_takes_everything_and_says_nothing() -> None:
    peer, sink = Peer(), Sink()
    async with scripted(peer) as port:
        stream = await open_stream(component(port, keepalive=0.02, ping_timeout=0.02), sink)
        stream.send([Message("a@b.test", "x", from_="hack.im.test")])
        error = await sink.end()
        assert isinstance(error, ConnectionFailed)
        assert (error.step, error.permanent) == ("stream", False)
        assert "does not answer" in error.reason
        assert len(sink.ends) == 1
        assert [each.certain for each in stream.management.take_lost()] == [False]
        async with asyncio.timeout(PATIENCE):
            await peer.reader.read()  # the socket is closed
            await asyncio.wait([stream._lost])
        peer.done.set()


async def test_a_peer_that_takes_nothing_and_says_nothing() -> None:
    peer, sink = Peer(), Sink()
    async with scripted(peer) as port:
        stream = await open_stream(component(port, keepalive=0.05, ping_timeout=0.05), sink)
        message = Message("a@b.test", "x" * 60_000, from_="hack.im.test")
        while not stream.write_blocked:
            stream.send([message])
            await turns(1)
        error = await sink.end()
        assert isinstance(error, ConnectionFailed)
        assert "does not answer" in error.reason
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait([stream._lost])
        peer.done.set()


async def test_a_peer_that_answers_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emp.net.pulse, "ACK_DELAY", 0.01)
    peer, sink = Peer(), Sink()
    async with scripted(peer) as port:
        stream = await open_stream(component(port, keepalive=0.01, ping_timeout=PATIENCE), sink)
        for _ in range(5):
            peer.writer.write(await peer.hears(b"</iq>"))
        assert sink.ends == []
        stream.abort()
        peer.done.set()


# -- flow control ---------------------------------------------------------------------------------


async def test_reading_can_be_paused_at_any_time() -> None:
    peer, sink = Peer(), Sink()
    async with scripted(peer) as port:
        stream = await open_stream(component(port), sink)
        stream.resume_reading()
        stream.pause_reading()
        stream.pause_reading()
        peer.message("1")
        await peer.writer.drain()
        await turns()
        assert sink.batches == []
        stream.resume_reading()
        stream.resume_reading()
        assert (await sink.stanza()).kind == "message"
        stream.abort()
        stream.pause_reading()
        stream.resume_reading()
        peer.done.set()


async def test_reading_is_paused_and_resumed_under_tls(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        sink = Sink()
        async with opened(client(server), sink) as stream:
            stream.pause_reading()
            stream.pause_reading()
            stream.send([Message(stream.jid, "1")])
            await turns()
            assert not any(s.kind == "message" for batch in sink.batches for s in batch)
            stream.resume_reading()
            stream.resume_reading()
            assert (await sink.stanza("message")).from_ == stream.jid


async def test_reading_paused_before_and_during_starttls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that is paused all the time still gets through its handshake afterwards."""
    secure = Negotiation._secure

    async def paused(self: Negotiation, *args: Any) -> str:
        stream = self._stream
        stream.pause_reading()
        stream.resume_reading()
        stream.pause_reading()
        detail = await secure(self, *args)
        assert stream._read_paused
        stream.resume_reading()
        return detail

    monkeypatch.setattr(Negotiation, "_secure", paused)
    async with dev_server(tmp_path) as server, opened(client(server), Sink()) as stream:
        assert stream.jid.local == "romeo"


async def test_a_full_buffer_is_reported_and_so_is_room() -> None:
    peer, sink = Peer(), Sink()
    async with scripted(peer) as port:
        stream = await open_stream(component(port, stanza_bytes=262_144), sink)
        message = Message("a@b.test", "x" * 60_000, from_="hack.im.test")
        sent = 0
        while not stream.write_blocked:
            stream.send([message])
            sent += 1
            await turns(1)
        assert await sink.flow() == "paused"
        for _ in range(sent):
            await peer.reader.readuntil(b"</message>")
        assert await sink.flow() == "resumed"
        assert not stream.write_blocked
        stream.abort()
        peer.done.set()


# -- ends -----------------------------------------------------------------------------------------


async def test_close_of_a_client(tmp_path: Path) -> None:
    seen: list[bytes] = []
    async with dev_server(tmp_path, tap=lambda way, jid, wire: seen.append(wire)) as server:
        sink = Sink()
        stream = await open_stream(client(server), sink)
        await stream.close()
        await stream.close()
        assert sink.ends == [None]
        assert b"unavailable" in seen[-1]
        with pytest.raises(LocalProtocolError):
            stream.send([Message("a@b.test", "x")])
        assert not server.hub.accounts["romeo"].resources


async def test_close_of_a_component_waits_for_the_peers_goodbye() -> None:
    peer, sink = Peer(), Sink()
    async with scripted(peer) as port:
        stream = await open_stream(component(port), sink)
        closing = asyncio.create_task(stream.close(PATIENCE))
        await peer.hears(b"</stream:stream>")
        with pytest.raises(LocalProtocolError):
            stream.send([Message("a@b.test", "x", from_="hack.im.test")])
        peer.message("last words")
        assert (await sink.stanza()).kind == "message"
        assert sink.ends == []
        peer.writer.write(b"</stream:stream>")
        await closing
        assert sink.ends == [None]
        peer.done.set()


async def test_close_does_not_wait_forever() -> None:
    peer, sink = Peer(), Sink()
    async with scripted(peer) as port:
        stream = await open_stream(component(port), sink)
        await stream.close(0.01)
        assert len(sink.ends) == 1
        assert isinstance(sink.ends[0], ConnectionFailed)
        assert "did not close" in sink.ends[0].reason
        assert await peer.hears(b"</stream:stream>")
        peer.done.set()


async def test_close_when_the_peer_just_hangs_up() -> None:
    peer, sink = Peer(), Sink()
    async with scripted(peer) as port:
        stream = await open_stream(component(port), sink)
        closing = asyncio.create_task(stream.close(PATIENCE))
        await peer.hears(b"</stream:stream>")
        peer.done.set()
        await closing
        assert len(sink.ends) == 1


async def test_abort_is_immediate_and_reported_once() -> None:
    peer, sink = Peer(), Sink()
    async with scripted(peer) as port:
        stream = await open_stream(component(port), sink)
        stream.abort()
        stream.abort()
        assert len(sink.ends) == 1
        async with asyncio.timeout(PATIENCE):
            assert await peer.reader.read() == b""
        await stream.close()
        assert len(sink.ends) == 1
        peer.done.set()


async def test_abort_from_within_the_sink_ends_the_batches() -> None:
    peer, sink = Peer(), Sink()

    async with scripted(peer) as port:
        stream = await open_stream(component(port), sink)
        sink.stanzas_received = lambda stanzas: stream.abort()  # type: ignore[method-assign]
        peer.message("1")
        assert isinstance(await sink.end(), ConnectionFailed)
        assert len(sink.ends) == 1
        peer.done.set()


async def test_the_peer_closes_in_order() -> None:
    peer, sink = Peer(), Sink()
    async with scripted(peer) as port:
        await open_stream(component(port), sink)
        peer.message("1")
        peer.writer.write(b"</stream:stream>")
        assert await sink.end() is None
        assert len(sink.batches) == 1
        assert await peer.hears(b"</stream:stream>")
        peer.done.set()


@pytest.mark.parametrize(
    ("said", "words", "permanent"),
    [
        (b"<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
         b"</stream:stream>", "conflict", True),
        (b"<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
         b"</stream:error></stream:stream>", "system-shutdown", False),
        (b"<message><body></message>", "not-well-formed", False),
        (b"<!DOCTYPE x>", "restricted-xml", False),
    ],
)  # fmt: skip
async def test_stream_faults(said: bytes, words: str, permanent: bool) -> None:
    peer, sink = Peer(), Sink()
    async with scripted(peer) as port:
        stream = await open_stream(component(port), sink)
        peer.writer.write(said)
        error = await sink.end()
        assert isinstance(error, ConnectionFailed)
        assert words in error.reason
        assert (error.step, error.permanent) == ("stream", permanent)
        with pytest.raises(LocalProtocolError):
            stream.send([Message("a@b.test", "x", from_="hack.im.test")])
        assert len(sink.ends) == 1
        peer.done.set()


async def test_stanzas_before_the_fault_are_delivered() -> None:
    peer, sink = Peer(), Sink()
    async with scripted(peer) as port:
        await open_stream(component(port), sink)
        peer.message("1")
        peer.writer.write(b"<!DOCTYPE x>")
        assert isinstance(await sink.end(), ConnectionFailed)
        assert len(sink.batches) == 1
        peer.done.set()


async def test_eof() -> None:
    peer, sink = Peer(), Sink()
    async with scripted(peer) as port:
        await open_stream(component(port), sink)
        peer.done.set()
        error = await sink.end()
        assert isinstance(error, ConnectionFailed)
        assert (error.step, error.permanent) == ("stream", False)
        assert "closed the connection" in error.reason
        assert len(sink.ends) == 1


async def test_reset() -> None:
    peer, sink = Peer(), Sink()
    async with scripted(peer) as port:
        await open_stream(component(port), sink)
        sock = peer.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.writer.transport.abort()
        peer.done.set()
        error = await sink.end()
        assert isinstance(error, ConnectionFailed)
        assert not error.permanent
        assert len(sink.ends) == 1


async def test_the_server_stops(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        sink = Sink()
        await open_stream(client(server), sink)
        await server.stop()
        error = await sink.end()
        assert isinstance(error, ConnectionFailed)
        assert "system-shutdown" in error.reason
        assert not error.permanent


async def test_a_peer_that_stopped_reading_does_not_keep_the_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(emp.net.transport, "CLOSE_SECONDS", 0.05)
    peer, sink = Peer(), Sink()
    async with scripted(peer) as port:
        stream = await open_stream(component(port), sink)
        message = Message("a@b.test", "x" * 60_000, from_="hack.im.test")
        while not stream.write_blocked:
            stream.send([message])
            await turns(1)
        peer.writer.write(b"</stream:stream>")
        assert await sink.end() is None
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait([stream._lost])
        assert stream._transport is None
        peer.done.set()
