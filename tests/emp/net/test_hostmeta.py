"""Where a domain has its WebSocket: XEP-0156."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emp.config import ConnectionSettings
from emp.errors import ConnectionFailed
from emp.net import hostmeta
from emp.net.endpoint import Endpoint
from emp.net.hostmeta import ANSWER_BYTES, DOCUMENTS, ENDPOINTS, REDIRECTIONS, RELATION
from tests.emp.net.support import dev_server
from tests.emp.net.web import answer, web_server

XML, JSON = DOCUMENTS
XRD = "xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'"
FOUND = Endpoint(True, "web.example.com", 443, "/ws")

# The two examples of XEP-0156 §2.3.
XRD_EXAMPLE = f"""<?xml version='1.0' encoding='utf-8'?>
<XRD {XRD}>
  <Link rel="urn:xmpp:alt-connections:xbosh" href="https://web.example.com:5280/bosh" />
  <Link rel="urn:xmpp:alt-connections:websocket" href="wss://web.example.com:443/ws" />
</XRD>
"""
JRD_EXAMPLE = json.dumps(
    {
        "links": [
            {"rel": "urn:xmpp:alt-connections:xbosh", "href": "https://web.example.com:5280/bosh"},
            {"rel": "urn:xmpp:alt-connections:websocket", "href": "wss://web.example.com:443/ws"},
        ]
    }
)


def settings(directory: Path, **more: Any) -> ConnectionSettings:
    usual: dict[str, Any] = {
        "name": "bot",
        "kind": "client",
        "node": "romeo",
        "host": "localhost",
        "websocket": "discover",
        "ca_file": directory / "ca.pem",
    }
    return ConnectionSettings(**(usual | more))


async def discovered(directory: Path, answers: dict[str, bytes]) -> list[Endpoint]:
    async with web_server(directory, answers, "localhost") as (port, _):
        return await hostmeta.discover(settings(directory), port=port)


async def failure(directory: Path, answers: dict[str, bytes]) -> ConnectionFailed:
    with pytest.raises(ConnectionFailed) as caught:
        await discovered(directory, answers)
    assert caught.value.step == "resolve"
    assert "websocket =" in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "answers",
    [
        {XML: answer(XRD_EXAMPLE)},
        {JSON: answer(JRD_EXAMPLE)},
        {XML: answer("<XRD/>"), JSON: answer(JRD_EXAMPLE)},
        {XML: answer("no XML"), JSON: answer(JRD_EXAMPLE)},
        {XML: answer("", "500 Internal Server Error"), JSON: answer(JRD_EXAMPLE)},
        {XML: answer("5\r\n<XRD \r\n0\r\n\r\n", **{"Transfer-Encoding": "chunked"})}
        | {JSON: answer(JRD_EXAMPLE)},
    ],
    ids=["XRD", "JRD", "in the second", "no XML", "error", "half an XRD"],
)
async def test_found(tmp_path: Path, answers: dict[str, bytes]) -> None:
    assert await discovered(tmp_path, answers) == [FOUND]


async def test_in_chunks(tmp_path: Path) -> None:
    halves = XRD_EXAMPLE[:70], XRD_EXAMPLE[70:], ""
    body = "".join(f"{len(half):x}\r\n{half}\r\n" for half in halves)
    answers = {XML: answer(body, **{"Transfer-Encoding": "chunked"})}
    assert await discovered(tmp_path, answers) == [FOUND]


async def test_the_development_server_has_it(tmp_path: Path) -> None:
    async with dev_server(tmp_path, domain="localhost", websocket_port=0, components={}) as server:
        found = await hostmeta.discover(
            settings(tmp_path, ca_file=server.ca_file), port=server.websocket_port
        )
        assert found == [Endpoint.parse(server.websocket)]


async def test_what_is_asked(tmp_path: Path) -> None:
    """Under the domain's name, and nothing about us."""
    async with web_server(tmp_path, {JSON: answer(JRD_EXAMPLE)}, "localhost") as (port, requests):
        await hostmeta.discover(settings(tmp_path), port=port)
    assert [request.split(b"\r\n")[0] for request in requests] == [
        b"GET /.well-known/host-meta HTTP/1.1",
        b"GET /.well-known/host-meta.json HTTP/1.1",
    ]
    assert all(f"\r\nHost: localhost:{port}\r\n".encode() in request for request in requests)
    assert not any(b"romeo" in request for request in requests)


LINKS = {
    "clear text": [(RELATION, "ws://im.test/ws"), (RELATION, "http://im.test/")],
    "another relation": [("urn:xmpp:alt-connections:xbosh", "wss://im.test/ws")],
    "no address": [(RELATION, "somewhere"), (RELATION, "wss://")],
    "none": [],
}


@pytest.mark.parametrize("name", LINKS)
async def test_links_that_do_not_count(name: str, tmp_path: Path) -> None:
    xml = "".join(f"<Link rel='{rel}' href='{href}'/>" for rel, href in LINKS[name])
    jrd = {"links": [{"rel": rel, "href": href} for rel, href in LINKS[name]]}
    answers = {XML: answer(f"<XRD {XRD}>{xml}</XRD>"), JSON: answer(json.dumps(jrd))}
    error = await failure(tmp_path, answers)
    assert error.permanent
    assert "names no WebSocket" in error.reason


async def test_not_too_many(tmp_path: Path) -> None:
    links = [f"<Link rel='{RELATION}' href='wss://h{number}.test/'/>" for number in range(99)]
    found = await discovered(tmp_path, {XML: answer(f"<XRD {XRD}>{''.join(links * 2)}</XRD>")})
    assert [endpoint.host for endpoint in found] == [f"h{number}.test" for number in range(4)]
    assert len(found) == ENDPOINTS


BAD = {
    "a document type": answer(f"<!DOCTYPE XRD [<!ENTITY a 'b'>]>{XRD_EXAMPLE[39:]}"),
    "an entity": answer(XRD_EXAMPLE.replace("wss:", "&wss;")),
    "a comment": answer(XRD_EXAMPLE.replace("<Link", "<!-- --><Link")),
    "cut off": answer(XRD_EXAMPLE[:-10]),
    "cut off by its length": answer(XRD_EXAMPLE, **{"Content-Length": "10000"}),
    "another status": answer(XRD_EXAMPLE, "201 Created"),
    "without a status": XRD_EXAMPLE.encode(),
    "nothing": b"",
    "nonsense": b"\xff" * 100,
    "too long": answer(XRD_EXAMPLE + " " * ANSWER_BYTES),
    "endless headers": b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 10_000,
    "a bad length": answer(XRD_EXAMPLE, **{"Content-Length": "-5", "Transfer-Encoding": "chunked"}),
}


@pytest.mark.parametrize("name", BAD)
async def test_what_is_not_believed(name: str, tmp_path: Path) -> None:
    await failure(tmp_path, {XML: BAD[name]})


@pytest.mark.parametrize(
    "document",
    [
        *("", "null", "[]", "5", '"links"', "{}", '{"links": null}', '{"links": {"rel": 1}}'),
        *('{"links": [null, 5, [], {}]}', '{"links": [{"rel": [], "href": {}}]}'),
        json.dumps({"links": [{"rel": RELATION, "href": 5}]}),
        "[" * 50_000,
        '{"links": [' + "9" * 5000 + "]}",
    ],
)
async def test_what_is_no_jrd(document: str, tmp_path: Path) -> None:
    error = await failure(tmp_path, {JSON: answer(document)})
    assert error.permanent


async def test_a_server_that_is_ill_may_recover(tmp_path: Path) -> None:
    error = await failure(tmp_path, {XML: answer("", "503 Service Unavailable")})
    assert not error.permanent


# -- redirections ----------------------------------------------------------------------------------


async def test_redirected(tmp_path: Path) -> None:
    answers = {
        XML: answer("", "301 Moved Permanently", Location="/elsewhere?a=b c"),
        "/elsewhere?a=b%20c": answer("", "302 Found", Location="/there"),
        "/there": answer(XRD_EXAMPLE),
    }
    assert await discovered(tmp_path, answers) == [FOUND]


@pytest.mark.parametrize(
    "place",
    [
        *("http://localhost/", "//user@localhost/", "file:///etc/passwd", "https://", "ftp://a/"),
        *("https://[::1/", "https://localhost:99999/", "https://a b/"),
    ],
)
async def test_not_to_where_nobody_proves_anything(place: str, tmp_path: Path) -> None:
    await failure(tmp_path, {XML: answer("", "302 Found", Location=place)})


async def test_not_to_a_host_that_proves_to_be_another_one(tmp_path: Path) -> None:
    async with web_server(tmp_path / "other", {"/": answer(XRD_EXAMPLE)}, "other.test") as (
        other,
        requests,
    ):
        answers = {XML: answer("", "302 Found", Location=f"https://127.0.0.1:{other}/")}
        error = await failure(tmp_path, answers)
    assert "certificate" in error.reason
    assert requests == []


async def test_not_for_ever(tmp_path: Path) -> None:
    answers = {XML: answer("", "302 Found", Location=XML)}
    async with web_server(tmp_path, answers, "localhost") as (port, requests):
        with pytest.raises(ConnectionFailed, match="302 Found"):
            await hostmeta.discover(settings(tmp_path), port=port)
    assert len(requests) == REDIRECTIONS + 1 + 1  # and the other document


# -- who answers -----------------------------------------------------------------------------------


async def test_the_server_must_be_the_domain(tmp_path: Path) -> None:
    async with web_server(tmp_path, {XML: answer(XRD_EXAMPLE)}, "other.test") as (port, requests):
        with pytest.raises(ConnectionFailed) as caught:
            await hostmeta.discover(settings(tmp_path, host="127.0.0.1"), port=port)
    assert caught.value.permanent
    assert "certificate is refused" in caught.value.reason
    assert requests == []


async def test_by_an_authority_that_we_know(tmp_path: Path) -> None:
    async with web_server(tmp_path, {XML: answer(XRD_EXAMPLE)}, "localhost") as (port, requests):
        with pytest.raises(ConnectionFailed, match="does not know"):
            await hostmeta.discover(settings(tmp_path, ca_file=None), port=port)
    assert requests == []


async def test_nobody_there(tmp_path: Path) -> None:
    async with web_server(tmp_path, {}, "localhost") as (port, _):
        pass
    with pytest.raises(ConnectionFailed) as caught:
        await hostmeta.discover(settings(tmp_path), port=port)
    assert (caught.value.step, caught.value.permanent) == ("resolve", False)
