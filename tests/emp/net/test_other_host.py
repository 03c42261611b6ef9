"""<see-other-host/> (RFC 6120 §4.9.3.19): followed, but not for ever, and with the same rules."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import emp.devserver.server
from emp.devserver.certificate import CertificateFiles
from emp.errors import ConnectionFailed
from emp.net import open_stream
from emp.net.connect import MAX_HOPS
from emp.net.names import host_and_port
from tests.emp.net.certificates import Certificates
from tests.emp.net.support import (
    CLIENT_HEADER,
    COMPONENT_HEADER,
    PATIENCE,
    Sink,
    accept_component,
    client,
    component,
    dev_server,
    failure,
    opened,
    scripted,
)
from tests.emp.net.test_race import closed_port

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def error_naming(place: str) -> bytes:
    return (
        "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>"
        f"{place}</see-other-host></stream:error></stream:stream>"
    ).encode()


def sends_to(place: str | Callable[[], str], header: bytes = COMPONENT_HEADER) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"<stream:stream")
        await reader.readuntil(b">")
        writer.write(header + error_naming(place if isinstance(place, str) else place()))
        await reader.read()

    return script


async def test_followed_to_where_it_leads(tmp_path: Path) -> None:
    steps: list[tuple[str, str]] = []
    async with dev_server(tmp_path) as server:
        target = f"127.0.0.1:{server.component_port}"
        async with (
            scripted(sends_to(target)) as second,
            scripted(sends_to(f"localhost:{second}")) as first,
        ):
            stream = await open_stream(
                component(first), Sink(), progress=lambda *step: steps.append(step)
            )
            assert stream.peer == target
            await stream.close()
    assert [step for step, _ in steps] == [
        *(["resolve", "connect"] * 3),
        *("authenticate", "bind"),
    ]


async def test_a_loop_ends() -> None:
    ports: list[int] = []
    async with (
        scripted(sends_to(lambda: f"127.0.0.1:{ports[1]}")) as first,
        scripted(sends_to(lambda: f"127.0.0.1:{ports[0]}")) as second,
    ):
        ports += [first, second]
        error = await failure(component(first))
    assert not error.permanent
    assert error.other_host is None
    assert "no end" in error.reason
    assert f"127.0.0.1:{first}" in error.reason


async def test_to_itself() -> None:
    ports: list[int] = []
    async with scripted(sends_to(lambda: f"127.0.0.1:{ports[0]}")) as port:
        ports.append(port)
        error = await failure(component(port))
    assert "no end" in error.reason


async def test_too_many_hops() -> None:
    count = 0

    def onwards() -> str:
        nonlocal count
        count += 1
        return f"h{count}.localhost:{port}"

    async with scripted(sends_to(onwards)) as port:
        error = await failure(component(port))
    assert count == MAX_HOPS + 1
    assert "no end" in error.reason


@pytest.mark.parametrize(
    "place", ["", "a b", "///", "[::1", "host:", "host:0", "host:99999", "é..é"]
)
async def test_what_is_no_place(place: str) -> None:
    async with scripted(sends_to(place)) as port:
        error = await failure(component(port))
    assert (error.step, error.permanent) == ("authenticate", False)
    assert "see-other-host" in error.reason
    assert error.other_host is None


async def test_a_place_where_nobody_is() -> None:
    closed = closed_port()
    async with scripted(sends_to(f"127.0.0.1:{closed}")) as port:
        error = await failure(component(port))
    assert (error.step, error.permanent) == ("connect", False)
    assert str(closed) in error.reason


# -- clients: who sends us away proves nothing, so who takes us in must ---------------------------


async def test_a_client_is_sent_on_before_tls(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        place = f"127.0.0.1:{server.port}"
        async with (
            scripted(sends_to(place, CLIENT_HEADER)) as port,
            opened(client(server, port=port), Sink()) as stream,
        ):
            assert stream.peer == place


async def test_the_other_host_must_prove_to_be_the_domain(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that it is the host that the first one named."""

    def for_localhost(directory: Path, *domains: str) -> CertificateFiles:
        return certificates["bad-hostname-only"]

    monkeypatch.setattr(emp.devserver.server, "ensure_certificate", for_localhost)
    async with dev_server(tmp_path) as server:
        script = sends_to(f"localhost:{server.port}", CLIENT_HEADER)
        async with scripted(script) as port:
            error = await failure(client(server, port=port, ca_file=certificates.ca))
    assert (error.step, error.permanent) == ("secure", True)
    assert "not for im.test" in error.reason


# -- on a stream that stands ----------------------------------------------------------------------


async def test_an_established_stream_says_where_to_go() -> None:
    ready = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accept_component(reader, writer)
        await ready.wait()
        writer.write(error_naming("[2001:db8::1]:5347"))
        await reader.read()

    sink = Sink()
    async with scripted(script) as port:
        await open_stream(component(port), sink)
        ready.set()
        error = await sink.end()
    assert isinstance(error, ConnectionFailed)
    assert (error.step, error.permanent) == ("stream", False)
    assert error.other_host == "[2001:db8::1]:5347"


async def test_the_other_host_comes_first(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        stream = await open_stream(
            component(closed_port()), Sink(), other_host=f"127.0.0.1:{server.component_port}"
        )
        assert stream.peer.endswith(str(server.component_port))
        await stream.close(PATIENCE)


@pytest.mark.parametrize("other", ["127.0.0.1:1", "no place", "no.such.name.invalid"])
async def test_and_the_usual_ones_after_it(other: str, tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        stream = await open_stream(component(server.component_port), Sink(), other_host=other)
        assert stream.peer.endswith(str(server.component_port))
        await stream.close(PATIENCE)


# -- what is a place ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("im.test", ("im.test", None)),
        ("im.test:5222", ("im.test", 5222)),
        (" IM.test.:5222 ", ("im.test", 5222)),
        ("bücher.test:1", ("xn--bcher-kva.test", 1)),
        ("192.0.2.1", ("192.0.2.1", None)),
        ("192.0.2.1:65535", ("192.0.2.1", 65535)),
        ("[2001:db8::1]", ("2001:db8::1", None)),
        ("[2001:db8::1]:5222", ("2001:db8::1", 5222)),
        ("2001:db8::1", ("2001:db8::1", None)),
    ],
)
def test_host_and_port(text: str, expected: tuple[str, int | None]) -> None:
    assert host_and_port(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", ":5222", "im.test:", "im.test:0", "im.test:65536", "im.test:+1", "im.test:٣"),
        *("a b", "a/b", "a..b", "im.test:5222:5222", "[im.test]", "x" * 300, "-a.test", "a\0b"),
        *("im.test:" + "9" * 5000,),
    ],
)
def test_what_is_neither(text: str) -> None:
    with pytest.raises(ValueError, match=r"colon|port|no host|not a domain"):
        host_and_port(text)
