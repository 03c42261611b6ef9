"""Wrong ports: who answers there is named, with what it says, and nobody tries for ever."""

from __future__ import annotations

import asyncio
import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emp.config import ConnectionSettings
from emp.devserver.certificate import ensure_certificate
from emp.errors import ConnectionFailed
from emp.net import open_stream, strangers
from emp.net.endpoint import Endpoint
from tests.emp.net.support import PATIENCE, Script, Sink, component, scripted

if TYPE_CHECKING:
    from tools.servers import Server

STREAMS = "xmlns:stream='http://etherx.jabber.org/streams'"
ERROR = (
    "<stream:error><{0} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
    "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>go\naway</text></stream:error>"
)
CLIENT = "a port for clients (c2s)"
SERVER = "a port for other servers (s2s)"
COMPONENT = "a port for components (XEP-0114)"
TLS = "a port for TLS from the first byte"
WEB = "a web server (HTTP)"


def header(namespace: str) -> str:
    return (
        f"<?xml version='1.0'?><stream:stream id='1' from='im.test' xmlns='{namespace}' {STREAMS}>"
    )


def user(port: int, **more: Any) -> ConnectionSettings:
    values: dict[str, Any] = {
        "name": "romeo",
        "kind": "client",
        "node": "romeo",
        "host": "im.test",
        "password": "secret",
        "server": "127.0.0.1",
        "port": port,
        "connect_timeout": PATIENCE,
    }
    return ConnectionSettings(**(values | more))


async def fails(settings: ConnectionSettings) -> ConnectionFailed:
    with pytest.raises(ConnectionFailed) as caught:
        await open_stream(settings, Sink())
    return caught.value


async def wrong(settings: ConnectionSettings, *words: str) -> None:
    """It fails for good, with these words, and a remedy."""
    failure = await fails(settings)
    assert failure.permanent, failure
    assert [word for word in words if word not in failure.reason] == [], failure
    assert re.search("port =", failure.remedy or "")
    assert "\n" not in str(failure)


def saying(*pieces: str | bytes, hang_up: bool = False) -> Script:
    """Waits for the first byte, says that, a piece at a time, and then nothing."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        for piece in pieces:
            writer.write(piece.encode() if isinstance(piece, str) else piece)
            await writer.drain()
            await asyncio.sleep(0)
        if not hang_up:
            await reader.read()

    return script


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize(
    ("make", "namespace", "who"),
    [
        (component, "jabber:client", CLIENT),
        (component, "jabber:server", SERVER),
        (user, "jabber:component:accept", COMPONENT),
        (user, "jabber:server", SERVER),
    ],
)
async def test_ports_for_others(make: Any, namespace: str, who: str, cut: bool) -> None:
    said = header(namespace), ERROR.format("host-unknown"), "</stream:stream>"
    pieces = said if cut else ("".join(said),)
    async with scripted(saying(*pieces)) as port:
        await wrong(make(port), who, "it says: host-unknown: go away")


@pytest.mark.parametrize("make", [component, user])
async def test_who_says_no_more_than_a_header(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "LAST_WORDS", 0.01)
    async with scripted(saying(header("jabber:server"))) as port:
        await wrong(make(port), SERVER)


async def test_a_namespace_that_nobody_knows_is_no_port() -> None:
    async with scripted(saying(header("urn:x:mine"))) as port:
        failure = await fails(component(port))
        assert not failure.permanent
        assert "invalid-namespace" in failure.reason


@pytest.mark.parametrize("make", [component, user])
@pytest.mark.parametrize(
    ("said", "who"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "an SSH server"),
        (b"220 mx.im.test ESMTP\r\n", "a mail server (SMTP)"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n<html/>", WEB),
        (b"<!DOCTYPE HTML>\n<html><title>Bad request</title></html>\n", WEB),
        (b"<html>\r\n<head><title>400</title></head>\r\n</html>\r\n", WEB),
        (b"* OK ready\r\n", "a mail server (IMAP)"),
        (b"+OK ready\r\n", "a mail server (POP3)"),
        (b"\x15\x03\x01\x00\x02\x02\x46", TLS),
    ],
)
async def test_who_speaks_no_xmpp(make: Any, said: bytes, who: str) -> None:
    async with scripted(saying(said)) as port:
        await wrong(make(port), who)
    async with scripted(saying(*(bytes((each,)) for each in said))) as port:
        await wrong(make(port), who)


async def test_who_wants_the_end_of_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "NUDGE_SECONDS", 0.01)

    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")

    async with scripted(web) as port:
        await wrong(component(port), WEB, "400 Bad Request")


async def test_who_closes_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.read(5)).startswith(b"HEAD "):
            writer.write(b"HTTP/1.0 403 Forbidden\r\n\r\n")

    async with scripted(web) as port:
        await wrong(component(port), WEB, "403 Forbidden")
    async with scripted(saying(hang_up=True)) as port:  # a proxy, say, whose server is away
        failure = await fails(component(port))
        assert not failure.permanent


async def test_tls_and_not(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path, "im.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        for make in (component, user):
            failure = await fails(make(port))
            assert failure.permanent
            assert TLS in failure.reason
            assert 'tls = "direct"' in (failure.remedy or "")
    async with scripted(saying(header("jabber:client"))) as port:
        failure = await fails(user(port, tls="direct", ca_file=files.ca))
        assert failure.permanent
        assert "port =" in (failure.remedy or "")


async def test_silence_is_no_mistake() -> None:
    async with scripted(saying()) as port:
        failure = await fails(component(port, connect_timeout=0.1))
        assert (failure.step, failure.permanent) == ("authenticate", False)


# -- stock servers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "tls", "port", "words"),
    [
        ("component", "required", "clients", (CLIENT, "it says: ")),
        ("component", "required", "direct", (TLS,)),
        ("component", "required", "http", (TLS,)),
        ("component", "direct", "clients", ("wrong version number",)),
        ("component", "direct", "http", (WEB,)),
        ("client", "required", "components", (COMPONENT, "it says: ")),
        ("client", "required", "direct", (TLS,)),
        ("client", "required", "http", (TLS,)),
        ("client", "direct", "clients", ("wrong version number",)),
        ("client", "direct", "components", ("wrong version number",)),
        ("client", "direct", "http", (WEB,)),
    ],
)
async def test_ports_of_real_servers(
    real_server: Server, kind: str, tls: str, port: str, words: tuple[str, ...]
) -> None:
    server = real_server
    ports = {
        "clients": server.client_port,
        "direct": server.direct_port,
        "components": server.component_port,
        "http": Endpoint.parse(server.websocket).port,
    }
    name = {"client": server.domain, "component": server.components[0]}[kind]
    make: Any = {"client": user, "component": component}[kind]
    more = {"tls": tls, "ca_file": server.ca_file, "server": "localhost"}
    await wrong(make(ports[port], host=name, **more), *words)
