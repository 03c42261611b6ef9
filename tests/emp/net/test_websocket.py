"""XMPP over WebSocket, end to end: against our server, and against some that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import emp.devserver.server
from emp.config import ConnectionSettings
from emp.devserver import DevServer
from emp.devserver.certificate import CertificateFiles
from emp.devserver.session import Session
from emp.errors import ConnectionFailed, EmpError
from emp.net import STEPS, hostmeta, open_stream, websocket
from emp.net.connect import MAX_HOPS
from emp.stanza import Iq, Message
from emp.stream.management import Management
from emp.tokens import TokenStore
from emp.xml import E
from tests.emp.net.certificates import DOMAIN, Certificates
from tests.emp.net.support import PATIENCE, Sink, client, dev_server, failure, opened, scripted
from tests.emp.net.test_race import closed_port
from tests.emp.net.web import CLOSE, OPEN, Peer, websocket_server

STREAMS = "xmlns:stream='http://etherx.jabber.org/streams'"
SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"


def web(server: DevServer, **more: Any) -> ConnectionSettings:
    """Settings for a client of this server that comes by WebSocket, and cannot by TCP."""
    usual = {"websocket": server.websocket, "server": None, "port": closed_port()}
    return client(server, **(usual | more))


def bare(address: str, **more: Any) -> ConnectionSettings:
    """Settings for a server that has nothing but a WebSocket in clear, on loopback."""
    usual: dict[str, Any] = {
        "name": "romeo",
        "kind": "client",
        "node": "romeo",
        "host": "im.test",
        "password": "secret",
        "mechanisms": ("ANONYMOUS",),
        "websocket": address,
        "connect_timeout": PATIENCE,
    }
    return ConnectionSettings(**(usual | more))


async def log_in(peer: Peer) -> None:
    """The server's side until the resource is bound, for anybody."""
    await peer.message()
    features = f"<mechanisms {SASL}><mechanism>ANONYMOUS</mechanism></mechanisms>"
    peer.say(OPEN, f"<stream:features {STREAMS}>{features}</stream:features>")
    await peer.message()
    peer.say(f"<success {SASL}/>")
    await peer.message()
    bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
    peer.say(OPEN, f"<stream:features {STREAMS}>{bind}</bind></stream:features>")
    id = (await peer.message()).partition("id='")[2].partition("'")[0]
    jid = "<jid>somebody@im.test/here</jid>"
    peer.say(f"<iq xmlns='jabber:client' type='result' id='{id}'>{bind}{jid}</bind></iq>")
    await peer.message()  # presence


# -- as it should be -------------------------------------------------------------------------------


async def test_to_and_fro(tmp_path: Path) -> None:
    steps: list[tuple[str, str]] = []
    sink = Sink()
    async with dev_server(tmp_path, websocket_port=0) as server:
        stream = await open_stream(web(server), sink, progress=lambda *step: steps.append(step))
        assert [step for step, _ in steps] == list(STEPS)
        assert dict(steps)["secure"] == "TLS 1.3"
        texts = ["hi", "<&>'\"", "ü\N{SNOWMAN}", "x" * 70_000, ""]
        stream.send([Message(stream.jid, text) for text in texts])
        for text in texts:
            stanza = await sink.stanza("message")
            assert isinstance(stanza, Message)
            assert stanza.body == text
        await stream.close(PATIENCE)
    assert sink.ends == [None]


async def test_a_flood_comes_in_batches(tmp_path: Path) -> None:
    sink = Sink()
    async with dev_server(tmp_path, websocket_port=0) as server, opened(web(server), sink) as one:
        one.send([Message(one.jid, f"number {number}") for number in range(500)])
        for number in range(500):
            stanza = await sink.stanza("message")
            assert isinstance(stanza, Message)
            assert stanza.body == f"number {number}"
    assert len(sink.batches) < 250


async def test_with_people_who_come_by_tcp(tmp_path: Path) -> None:
    here, there = Sink(), Sink()
    async with (
        dev_server(tmp_path, websocket_port=0) as server,
        opened(web(server), here) as romeo,
        opened(client(server, node="juliet"), there) as juliet,
    ):
        romeo.send([Message(juliet.jid, "by WebSocket")])
        assert b"by WebSocket" in (await there.stanza("message")).to_bytes()
        juliet.send([Message(romeo.jid, "by TCP")])
        assert b"by TCP" in (await here.stanza("message")).to_bytes()
        romeo.send([Iq("get", E.ping(xmlns="urn:xmpp:ping"), to="im.test")])
        assert (await here.stanza("iq")).type == "result"


@pytest.mark.parametrize("sasl2", [False, True])
async def test_a_session_goes_on(tmp_path: Path, sasl2: bool) -> None:
    """XEP-0198, also within SASL2; and from WebSocket to TCP and back."""
    books = Management()
    async with dev_server(tmp_path, websocket_port=0, sasl2=sasl2) as server:
        stream = await open_stream(web(server), Sink(), management=books)
        jid = stream.jid
        for settings in (web(server), client(server), web(server)):
            stream.abort()
            other = await open_stream(client(server, node="juliet"), Sink())
            other.send([Message(jid, "are you there?")])
            await other.close(PATIENCE)
            sink = Sink()
            stream = await open_stream(settings, sink, management=books)
            assert stream.resumed
            assert stream.jid == jid
            assert b"are you there?" in (await sink.stanza("message")).to_bytes()
        await stream.close(PATIENCE)


async def test_tokens(tmp_path: Path) -> None:
    """XEP-0484 within SASL2, without the password the second time."""
    told: dict[str, str] = {}
    tokens = TokenStore(None)
    async with dev_server(tmp_path, websocket_port=0) as server:
        for _ in range(2):
            stream = await open_stream(
                web(server), Sink(), tokens=tokens, progress=told.__setitem__
            )
            await stream.close(PATIENCE)
    assert told["authenticate"].startswith("HT-")


async def test_the_server_goes_away(tmp_path: Path) -> None:
    sink = Sink()
    async with dev_server(tmp_path, websocket_port=0) as server:
        await open_stream(web(server), sink)
    error = await sink.end()
    assert isinstance(error, ConnectionFailed)
    assert error.step == "stream"
    assert "system-shutdown" in error.reason


async def test_nobody_reads(tmp_path: Path) -> None:
    """Back-pressure: what is not read makes the sender wait."""
    slow, fast = Sink(), Sink()
    async with (
        dev_server(tmp_path, websocket_port=0, management=False) as server,
        opened(web(server), slow) as one,
        opened(web(server, node="juliet"), fast) as other,
    ):
        one.pause_reading()
        sent = 0
        while not other.write_blocked:
            other.send([Message(one.jid, "x" * 60_000)])
            sent += 1
            await asyncio.sleep(0)
        assert await fast.flow() == "paused"
        one.resume_reading()
        assert await fast.flow() == "resumed"
        for _ in range(sent):
            await slow.stanza("message")


async def test_silence_is_noticed() -> None:
    """Who does not answer a ping is gone, whatever it says below XMPP."""
    questions: list[str] = []

    async def talk(peer: Peer) -> None:
        await log_in(peer)
        while True:
            questions.append(await peer.message())

    sink = Sink()
    async with websocket_server(talk) as address:
        await open_stream(bare(address, keepalive=0.05, ping_timeout=0.1), sink)
        error = await sink.end()
    assert isinstance(error, ConnectionFailed)
    assert "does not answer" in error.reason
    assert "urn:xmpp:ping" in questions[0]


# -- TLS -------------------------------------------------------------------------------------------


async def test_clear_text_on_loopback(tmp_path: Path) -> None:
    async with (
        dev_server(tmp_path, websocket_port=0, websocket_tls=False) as server,
        opened(web(server), Sink()) as stream,
    ):
        assert server.websocket.startswith("ws://")
        assert str(stream.jid.bare) == client(server).address


async def test_clear_text_elsewhere() -> None:
    error = await failure(bare("ws://192.0.2.1/ws"))
    assert (error.step, error.permanent) == ("secure", True)
    assert "clear text" in error.reason
    assert "wss://" in str(error)


async def test_clear_text_that_is_allowed(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """… is said aloud, all the same."""

    async def talk(peer: Peer) -> None:
        await log_in(peer)
        await peer.until_gone()

    monkeypatch.setattr("emp.net.names.is_loopback", lambda address: False)
    async with websocket_server(talk) as address, opened(bare(address, tls="none"), Sink()):
        pass
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "can be read and changed" in warning.getMessage()


@contextlib.asynccontextmanager
async def certified(
    name: str, certificates: Certificates, directory: Path
) -> AsyncIterator[ConnectionSettings]:
    """Settings for a server with this certificate."""

    def made(directory: Path, *domains: str) -> CertificateFiles:
        return certificates[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emp.devserver.server, "ensure_certificate", made)
        async with dev_server(directory, domain=DOMAIN, websocket_port=0, components={}) as server:
            yield web(server, ca_file=certificates.ca)


@pytest.mark.parametrize("name", ["bad-hostname-only", "ok-srvname", "ok-multi"])
async def test_certificates_for_the_address_and_for_the_domain(
    name: str, certificates: Certificates, tmp_path: Path
) -> None:
    """The address is for localhost: RFC 7395 leaves that to HTTPS. XEP-0156 §2.2 takes the domain
    as well."""
    async with (
        certified(name, certificates, tmp_path) as settings,
        opened(settings, Sink()),
    ):
        pass


@pytest.mark.parametrize("name", ["bad-expired", "bad-selfsigned", "bad-name", "bad-cn-only"])
async def test_certificates_that_prove_nothing(
    name: str, certificates: Certificates, tmp_path: Path
) -> None:
    async with certified(name, certificates, tmp_path) as settings:
        error = await failure(settings)
    assert (error.step, error.permanent) == ("secure", True)
    assert "certificate is refused" in error.reason


async def test_a_pinned_certificate(tmp_path: Path) -> None:
    async with dev_server(tmp_path, websocket_port=0) as server:
        pin = hashlib.sha256(server.own_certificate).hexdigest()
        async with opened(web(server, ca_file=None, pins=frozenset({pin})), Sink()):
            pass
        error = await failure(web(server, ca_file=None, pins=frozenset({"0" * 64})))
    assert "not the pinned one" in error.reason


# -- discovery -------------------------------------------------------------------------------------


async def test_discovered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with dev_server(tmp_path, domain="localhost", websocket_port=0, components={}) as server:
        monkeypatch.setattr(hostmeta, "PORT", server.websocket_port)
        async with opened(web(server, websocket="discover"), Sink()) as stream:
            assert stream.peer.endswith(f":{server.websocket_port})")


async def test_nothing_to_discover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostmeta, "PORT", closed_port())
    async with dev_server(tmp_path, domain="localhost", components={}) as server:
        error = await failure(client(server, websocket="discover"))
    assert (error.step, error.permanent) == ("resolve", False)
    assert "host-meta" in error.reason


async def test_a_web_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with scripted(script) as port:
        monkeypatch.setattr(hostmeta, "PORT", port)
        error = await failure(bare("discover", host="localhost", connect_timeout=0.1))
    assert error.step == "resolve"
    assert "web server" in error.reason


# -- what is no WebSocket --------------------------------------------------------------------------


async def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "AVAILABLE", False)
    for address in ("wss://im.test/ws", "discover"):
        error = await failure(bare(address))
        assert error.permanent
        assert "pip install 'emp-xmpp[websocket]'" in str(error)


@pytest.mark.parametrize("address", ["wss://", "wss://user@im.test/", "wss://im.test/#a"])
async def test_no_address(address: str) -> None:
    error = await failure(bare(address))
    assert (error.step, error.permanent) == ("resolve", True)
    assert "websocket =" in str(error)


async def test_a_host_that_is_not_there() -> None:
    error = await failure(bare("wss://no.such.name.invalid/ws"))
    assert error.step == "resolve"
    assert "websocket =" in str(error)


async def test_nobody_listens() -> None:
    error = await failure(bare(f"ws://127.0.0.1:{closed_port()}/ws"))
    assert (error.step, error.permanent) == ("connect", False)


async def test_another_path(tmp_path: Path) -> None:
    async with dev_server(tmp_path, websocket_port=0) as server:
        address = server.websocket.replace("xmpp-websocket", "elsewhere")
        error = await failure(web(server, websocket=address))
    assert (error.step, error.permanent) == ("upgrade", True)
    assert "404 Not Found" in error.reason
    assert "websocket =" in str(error)


UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
GREETINGS = {
    "redirected": (b"HTTP/1.1 302 Found\r\nLocation: https://evil.test/\r\n\r\n", "302", False),
    "for the moment": (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "503 Busy", False),
    "forbidden": (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", "403 No", True),
    "no HTTP": (b"220 mail.test ESMTP\r\n", "no WebSocket", False),
    "a stream over TCP": (b"<?xml version='1.0'?><stream:stream>\r\n", "no WebSocket", False),
    "a guess": (UPGRADE + b"Sec-WebSocket-Accept: abc\r\n\r\n", "Sec-WebSocket-Accept", False),
    "endless": (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 1000, "no WebSocket", False),
    "a line without end": (b"x" * 100_000, "no WebSocket", False),
    "nothing": (b"", "closed the connection", False),
}


@pytest.mark.parametrize("name", GREETINGS)
async def test_what_answers_is_no_websocket(name: str) -> None:
    greeting, reason, permanent = GREETINGS[name]

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        assert b"\r\nSec-WebSocket-Protocol: xmpp\r\n" in request
        assert b"Sec-WebSocket-Extensions" not in request
        writer.write(greeting)

    async with scripted(script) as port:
        error = await failure(bare(f"ws://127.0.0.1:{port}/ws"))
    assert error.step == "upgrade"
    assert reason in error.reason
    assert error.permanent is permanent


async def test_a_websocket_for_something_else() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        peer.protocol.available_subprotocols = None
        await peer.accept()
        await peer.until_gone()

    async with scripted(script) as port:
        error = await failure(bare(f"ws://127.0.0.1:{port}/ws"))
    assert (error.step, error.permanent) == ("upgrade", True)
    assert "not for XMPP" in error.reason


# -- servers that misbehave ------------------------------------------------------------------------


def frame(opcode: int, data: bytes, *, last: bool = True) -> bytes:
    """One frame as servers send it: without mask."""
    head = bytes([opcode | (0x80 if last else 0)])
    size = bytes([len(data)]) if len(data) < 126 else b"\x7f" + struct.pack(">Q", len(data))
    return head + size + data


TEXT, BINARY, PING = 1, 2, 9
HEAD = b"<message xmlns='jabber:client'>"
HOSTILE = {
    "a binary message": (frame(BINARY, HEAD + b"</message>"), "binary", b"bad-format"),
    "two elements": (
        frame(TEXT, (HEAD + b"</message>") * 2),
        "not-well-formed",
        b"not-well-formed",
    ),
    "a fragment": (frame(TEXT, HEAD), "not-well-formed", b"not-well-formed"),
    "no UTF-8": (frame(TEXT, HEAD + b"\xff</message>"), "encoding", b"unsupported-encoding"),
    "no elements": (frame(TEXT, b"\0"), "not-well-formed", b"not-well-formed"),
    "a document type": (frame(TEXT, b"<!DOCTYPE a><a/>"), "restricted-xml", b"restricted-xml"),
    "too much": (frame(TEXT, b"<a>" + b"x" * 20_000), "too large", b"\x03\xf1"),  # 1009
    "too much in pieces": (
        frame(TEXT, b"<a>", last=False) + frame(0, b"x" * 20_000),
        "too large",
        b"\x03\xf1",
    ),
    "a mask": (b"\x81\x80\0\0\0\0", "broke the WebSocket protocol", b"\x03\xea"),  # 1002
    "a reserved bit": (b"\xc1\x00", "broke the WebSocket protocol", b"\x03\xea"),
    "a bad opcode": (frame(3, b""), "broke the WebSocket protocol", b"\x03\xea"),
    "half a message, then another": (
        frame(TEXT, b"<a", last=False) + frame(TEXT, b"/>"),
        "broke the WebSocket protocol",
        b"\x03\xea",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile(name: str) -> None:
    data, reason, told = HOSTILE[name]
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def talk(peer: Peer) -> None:
        await log_in(peer)
        peer.heard.clear()
        peer.say("<message xmlns='jabber:client' id='last'/>")
        peer.write(data)
        try:
            await peer.until_gone()
        finally:
            heard.set_result(bytes(peer.heard))

    sink = Sink()
    async with websocket_server(talk) as address:
        await open_stream(bare(address, stanza_bytes=10_000, answer_bytes=10_000), sink)
        error = await sink.end()
        payloads = unmasked(await asyncio.wait_for(heard, PATIENCE))
    assert isinstance(error, ConnectionFailed)
    assert (error.step, error.permanent) == ("stream", False)
    assert reason in error.reason
    assert (await sink.stanza()).id == "last"
    assert any(told in payload for payload in payloads)


def unmasked(data: bytes) -> list[bytes]:
    """What is in the frames of a client."""
    payloads = []
    while data:
        size, at = data[1] & 0x7F, 2
        if size == 126:
            size, at = int.from_bytes(data[2:4], "big"), 4
        mask, data = data[at : at + 4], data[at + 4 :]
        payloads.append(bytes(byte ^ mask[n % 4] for n, byte in enumerate(data[:size])))
        data = data[size:]
    return payloads


async def test_in_pieces() -> None:
    """Messages may come in many frames, with pings between them, and in any bytes."""
    message = HEAD + "<body>ü in pieces</body></message>".encode()
    data = b"".join(
        frame(TEXT if at == 0 else 0, message[at : at + 3], last=at + 3 >= len(message))
        + frame(PING, b"?")
        for at in range(0, len(message), 3)
    )

    async def talk(peer: Peer) -> None:
        await log_in(peer)
        for at in range(len(data)):
            peer.write(data[at : at + 1])
            await asyncio.sleep(0)
        await peer.until_gone()

    sink = Sink()
    async with websocket_server(talk) as address, opened(bare(address), sink):
        stanza = await sink.stanza("message")
    assert isinstance(stanza, Message)
    assert stanza.body == "ü in pieces"


async def test_pings_are_answered_once() -> None:
    """Who asks a thousand times in one breath gets one answer, to the last (RFC 6455 §5.5.3)."""
    answers: list[str] = []

    async def talk(peer: Peer) -> None:
        await log_in(peer)
        peer.write(b"".join(frame(PING, b"%d" % number) for number in range(1000)))
        while not answers or answers[-1] != "999":
            answers.append(await peer.message())
        peer.say("<message xmlns='jabber:client'/>")
        await peer.until_gone()

    sink = Sink()
    async with websocket_server(talk) as address, opened(bare(address), sink):
        await sink.stanza("message")
    assert len(answers) < 100


@pytest.mark.parametrize("code", [1000, 1001, 1011])
async def test_closed_without_a_word(code: int) -> None:
    """The WebSocket is closed, the stream is not: the session may go on (RFC 7395 §3.6)."""

    async def talk(peer: Peer) -> None:
        await log_in(peer)
        peer.protocol.send_close(code, "so long")
        peer.write(b"")
        await peer.until_gone()

    sink = Sink()
    async with websocket_server(talk) as address:
        await open_stream(bare(address), sink)
        error = await sink.end()
    assert isinstance(error, ConnectionFailed)
    assert f"closed the connection: {code}" in error.reason
    assert "so long" in error.reason


async def test_closed_while_we_log_in() -> None:
    async def talk(peer: Peer) -> None:
        await peer.message()
        peer.protocol.send_close(1013)
        peer.write(b"")
        await peer.until_gone()

    async with websocket_server(talk) as address:
        error = await failure(bare(address))
    assert "closed the connection: 1013" in error.reason


async def test_we_close_the_websocket_behind_the_stream() -> None:
    closing: list[Any] = []

    async def talk(peer: Peer) -> None:
        await log_in(peer)
        assert "unavailable" in await peer.message()
        assert await peer.message() == CLOSE
        peer.say(CLOSE)
        await peer.until_gone()
        closing.append(peer.protocol.close_rcvd)

    sink = Sink()
    async with websocket_server(talk) as address:
        stream = await open_stream(bare(address), sink)
        await stream.close(PATIENCE)
        while not closing:
            await asyncio.sleep(0)
    assert closing[0].code == 1000
    assert sink.ends == [None]


def test_nothing_of_it_is_logged() -> None:
    """Frames hold passwords."""
    assert not websocket.FRAME_LOG.isEnabledFor(logging.CRITICAL)
    assert not websocket.FRAME_LOG.handlers


# -- see-other-uri ---------------------------------------------------------------------------------


def sends_to(place: str) -> Any:
    async def talk(peer: Peer) -> None:
        await peer.message()
        peer.say(CLOSE.replace("/>", f" see-other-uri='{place}'/>"))
        await peer.until_gone()

    return talk


async def test_sent_on(tmp_path: Path) -> None:
    async with (
        dev_server(tmp_path, websocket_port=0) as server,
        websocket_server(sends_to(server.websocket)) as address,
        opened(web(server, websocket=address), Sink()) as stream,
    ):
        assert stream.peer.endswith(f":{server.websocket_port})")


async def test_the_other_one_must_prove_itself(tmp_path: Path) -> None:
    async with (
        dev_server(tmp_path, websocket_port=0) as server,
        websocket_server(sends_to(server.websocket)) as address,
    ):
        error = await failure(web(server, websocket=address, ca_file=None))
    assert (error.step, error.permanent) == ("secure", True)


@pytest.mark.parametrize(
    "place",
    ["ws://localhost/ws", "https://localhost/bosh", "localhost:5222", "xmpp:im.test", "wss://"],
)
async def test_not_sent_to_what_is_less_safe(place: str) -> None:
    async with websocket_server(sends_to(place)) as address:
        error = await failure(bare(address))
    assert error.other_host is None
    assert "see-other-host" in error.reason


async def test_sent_round_in_circles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server with a certificate that sends everybody to itself under another name."""
    count = 0

    async with dev_server(tmp_path, websocket_port=0) as server:

        def next_place() -> str:
            nonlocal count
            count += 1
            return f"{server.websocket}?{count}"

        def refuse(session: Session, event: object) -> None:
            session._engine.queue(CLOSE.replace("/>", f" see-other-uri='{next_place()}'/>"))
            session._end()

        monkeypatch.setattr(Session, "_take", refuse)
        error = await failure(web(server))
    assert "no end" in error.reason
    assert count == MAX_HOPS + 1


async def test_an_established_stream_is_sent_on() -> None:
    async def talk(peer: Peer) -> None:
        await log_in(peer)
        peer.say(CLOSE.replace("/>", " see-other-uri='wss://other.test/ws'/>"))
        await peer.until_gone()

    sink = Sink()
    async with websocket_server(talk) as address:
        await open_stream(bare(address), sink)
        error: EmpError | None = await sink.end()
    assert isinstance(error, ConnectionFailed)
    assert error.other_host == "wss://other.test/ws"


async def test_the_other_one_comes_first(tmp_path: Path) -> None:
    async with dev_server(tmp_path, websocket_port=0) as server:
        usual = f"wss://localhost:{closed_port()}/ws"
        stream = await open_stream(
            web(server, websocket=usual), Sink(), other_host=server.websocket
        )
        await stream.close(PATIENCE)


@pytest.mark.parametrize("other", ["im.test:5222", "ws://localhost/ws", "wss://no.such.invalid/"])
async def test_and_the_usual_one_after_it(tmp_path: Path, other: str) -> None:
    async with dev_server(tmp_path, websocket_port=0) as server:
        stream = await open_stream(web(server), Sink(), other_host=other)
        await stream.close(PATIENCE)
