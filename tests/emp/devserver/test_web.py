"""The development server's port for WebSocket and host-meta."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from emp.devserver import web
from emp.devserver.web import PATH
from emp.errors import EmpError
from emp.net.hostmeta import DOCUMENTS
from emp.xml import parse
from tests.emp.net.support import PATIENCE, dev_server, turns

UPGRADE = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "xmpp",
}


async def asked(port: int | None, request: bytes) -> bytes:
    """All that the server says to that, until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    writer.transport.abort()
    await turns()
    return answer


def get(path: str, **headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


async def test_the_handshake_of_the_rfc(tmp_path: Path) -> None:
    """The key and its answer are those of RFC 6455 §1.3; the words are those of RFC 7395 §3.1."""
    async with dev_server(tmp_path, websocket_port=0, websocket_tls=False) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.websocket_port)
        writer.write(get(PATH, **UPGRADE))
        async with asyncio.timeout(PATIENCE):
            answer = (await reader.readuntil(b"\r\n\r\n")).decode()
        writer.transport.abort()
        await turns()
    lines = answer.split("\r\n")
    assert lines[0] == "HTTP/1.1 101 Switching Protocols"
    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in lines
    assert "Sec-WebSocket-Protocol: xmpp" in lines
    assert "Sec-WebSocket-Extensions" not in answer


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get(PATH, **UPGRADE | {"Sec-WebSocket-Protocol": "chat"}), b"400"),
        (get(PATH, **{k: v for k, v in UPGRADE.items() if k != "Sec-WebSocket-Protocol"}), b"400"),
        (get(PATH), b"426"),
        (get("/", **UPGRADE), b"404"),
        (get("/etc/passwd"), b"404"),
    ],
)
async def test_what_is_refused(request_: bytes, status: bytes, tmp_path: Path) -> None:
    async with dev_server(tmp_path, websocket_port=0, websocket_tls=False) as server:
        answer = await asked(server.websocket_port, request_)
    assert answer.split()[1] == status


@pytest.mark.parametrize("request_", [b"\r\n\r\n", b"<stream:stream>\r\n", b"\x16\x03\x01\n"])
async def test_what_is_no_http(request_: bytes, tmp_path: Path) -> None:
    async with dev_server(tmp_path, websocket_port=0, websocket_tls=False) as server:
        assert b"101" not in await asked(server.websocket_port, request_)
        assert server.sessions == set()


async def test_host_meta(tmp_path: Path) -> None:
    async with dev_server(tmp_path, websocket_port=0, websocket_tls=False) as server:
        xrd, jrd = [await asked(server.websocket_port, get(path)) for path in DOCUMENTS]
        address = server.websocket
    assert b"application/xrd+xml" in xrd
    link = parse(xrd.partition(b"\r\n\r\n")[2])[0]
    assert (link.get("rel"), link.get("href")) == (web.RELATION, address)
    assert json.loads(jrd.partition(b"\r\n\r\n")[2]) == {
        "links": [{"rel": web.RELATION, "href": address}]
    }


async def test_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who connects and says nothing is thrown out."""
    monkeypatch.setattr("emp.devserver.session.HANDSHAKE_SECONDS", 0.05)
    async with dev_server(tmp_path, websocket_port=0, websocket_tls=False) as server:
        assert await asked(server.websocket_port, b"GET ") == b""


async def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "AVAILABLE", False)
    with pytest.raises(EmpError, match=r"pip install 'emp-xmpp\[websocket\]'"):
        async with dev_server(tmp_path, websocket_port=0):
            pass
