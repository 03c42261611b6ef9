"""How clients log in to the development server: every mechanism, over every TLS, on sockets."""

from __future__ import annotations

import asyncio
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

from emp.config import ConnectionSettings
from emp.devserver import DevServer
from emp.errors import ConnectionFailed
from emp.net import binding as binding_module
from emp.net import open_stream, openssl
from emp.sasl import DISCREET, Memory, scram
from tests.emp.net.support import PATIENCE, Sink, client, dev_server, failure, turns
from tests.emp.net.wire import issue

PLUS = [name for name in DISCREET if name.endswith("-PLUS")]


async def log_in(settings: ConnectionSettings, memory: Memory | None = None) -> str:
    """The mechanism that it was done with."""
    steps: dict[str, str] = {}
    stream = await open_stream(settings, Sink(), progress=steps.__setitem__, memory=memory)
    await stream.close()
    return steps["authenticate"]


def only(server: DevServer, version: ssl.TLSVersion) -> None:
    server.tls.minimum_version = server.tls.maximum_version = version


BINDINGS = [
    (ssl.TLSVersion.TLSv1_3, True, "tls-exporter"),
    (ssl.TLSVersion.TLSv1_3, False, "tls-server-end-point"),
    (ssl.TLSVersion.TLSv1_2, True, "tls-unique"),
    (ssl.TLSVersion.TLSv1_2, False, "tls-unique"),
]


@pytest.mark.parametrize("name", PLUS)
@pytest.mark.parametrize(("version", "exporter", "kind"), BINDINGS)
async def test_channel_binding(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    version: ssl.TLSVersion,
    exporter: bool,
    kind: str,
) -> None:
    async with dev_server(tmp_path) as server:
        only(server, version)
        # The server has an exporter, whatever the client has.
        monkeypatch.setattr(openssl, "AVAILABLE", exporter)
        memory, settings = Memory(), client(server, mechanisms=(name,))
        if not exporter:  # contexts are kept by their settings
            settings = client(server, mechanisms=(name,), ca_file=copied(server.ca_file))
        assert await log_in(settings, memory) == name
        assert memory.best == (name, f"p={kind}")


def copied(file: Path) -> Path:
    twin = file.with_name("twin.pem")
    twin.write_bytes(file.read_bytes())
    return twin


async def test_what_the_middle_sees_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if two TLS connections were spliced by somebody with the server's own certificate."""

    def other(tls: ssl.SSLObject, own_certificate: bytes | None = None) -> dict[str, bytes]:
        real = binding_module.bindings(tls, own_certificate)
        return {kind: data[::-1] for kind, data in real.items()}

    monkeypatch.setattr("emp.devserver.session.bindings", other)
    async with dev_server(tmp_path) as server:
        error = await failure(client(server))
        assert (error.step, error.permanent) == ("authenticate", True)
        assert await log_in(client(server, mechanisms=("SCRAM-SHA-256",))) == "SCRAM-SHA-256"


@pytest.mark.parametrize("name", [*DISCREET, "PLAIN"])
async def test_coming_back_needs_no_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    memory = Memory()
    async with dev_server(tmp_path) as server:
        settings = client(server, mechanisms=(name,))
        assert await log_in(settings, memory) == name
        monkeypatch.setattr("emp.sasl.scram.salt_password", None)
        assert await log_in(settings, memory) == name


async def test_passwords_are_salted_in_another_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def salt_password(*about: Any) -> bytes:
        threads.append(threading.get_ident())
        return salted(*about)

    salted = scram.salt_password
    async with dev_server(tmp_path) as server:
        await log_in(client(server))  # the server has salted its own now
        monkeypatch.setattr(scram, "salt_password", salt_password)
        await log_in(client(server))
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


async def test_the_connection_ends_while_a_password_is_salted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    complaints: list[Any] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    under_way, go_on, done = asyncio.Event(), threading.Event(), asyncio.Event()

    def salt_password(*about: Any) -> bytes:
        loop.call_soon_threadsafe(under_way.set)
        go_on.wait(PATIENCE)
        loop.call_soon_threadsafe(loop.call_soon, done.set)
        return b"x" * 32

    async with dev_server(tmp_path) as server:
        await log_in(client(server))
        monkeypatch.setattr(scram, "salt_password", salt_password)
        opening = asyncio.create_task(open_stream(client(server), Sink()))
        async with asyncio.timeout(PATIENCE):
            await under_way.wait()
            await server.stop()
            with pytest.raises(ConnectionFailed) as caught:
                await opening
            assert caught.value.step == "authenticate"
            go_on.set()
            await done.wait()
        await turns()
    assert complaints == []


async def test_weaker_than_before(tmp_path: Path) -> None:
    """The server proves that it is its own wish (XEP-0474); PLAIN could prove nothing."""
    memory = Memory()
    async with dev_server(tmp_path) as server:
        assert await log_in(client(server), memory) == "SCRAM-SHA-512-PLUS"
        server.mechanisms = ("SCRAM-SHA-1",)
        only(server, ssl.TLSVersion.TLSv1_2)
        assert await log_in(client(server), memory) == "SCRAM-SHA-1"
        assert memory.best == ("SCRAM-SHA-512-PLUS", "p=tls-exporter")
        server.mechanisms = ("PLAIN",)
        with pytest.raises(ConnectionFailed, match="SCRAM-SHA-512-PLUS before") as caught:
            await log_in(client(server, mechanisms=("PLAIN",)), memory)
        assert caught.value.permanent
        assert "start this program again" in (caught.value.remedy or "")


@pytest.mark.parametrize(
    ("floor", "offered", "taken"),
    [
        ("SCRAM-SHA-1", ("SCRAM-SHA-1",), "SCRAM-SHA-1"),
        ("PLAIN", ("PLAIN",), "PLAIN"),
        ("SCRAM-SHA-256-PLUS", None, "SCRAM-SHA-512-PLUS"),
    ],
)
async def test_floor(
    tmp_path: Path, floor: str, offered: tuple[str, ...] | None, taken: str
) -> None:
    async with dev_server(tmp_path, mechanisms=offered) as server:
        assert await log_in(client(server, floor=floor)) == taken


@pytest.mark.parametrize(
    ("floor", "offered"),
    [("SCRAM-SHA-256", ("SCRAM-SHA-1", "PLAIN")), (None, ("PLAIN",)), ("EXTERNAL", None)],
)
async def test_below_the_floor(
    tmp_path: Path, floor: str | None, offered: tuple[str, ...] | None
) -> None:
    async with dev_server(tmp_path, mechanisms=offered) as server:
        error = await failure(client(server, floor=floor))
        assert (error.step, error.permanent) == ("authenticate", True)
        assert "authentication =" in (error.remedy or "")


# -- certificates ----------------------------------------------------------------------------------


async def external(
    directory: Path, named: tuple[str, ...], node: str = "romeo", **more: Any
) -> Any:
    """Log in with a certificate for these accounts: who one is then, or the failure."""
    own = issue(directory, "own", accounts=named)
    async with dev_server(directory / "server", client_ca_file=own) as server:
        settings = client(
            server, node, mechanisms=("EXTERNAL",), certificate=own, password=None, **more
        )
        if more:
            return await failure(settings)
        stream = await open_stream(settings, Sink())
        await stream.close()
        return stream.jid.bare


@pytest.mark.parametrize(
    "named", [("romeo@im.test",), ("mercutio@im.test", "romeo@im.test"), ("romeo@im.test", "@@")]
)
async def test_external(tmp_path: Path, named: tuple[str, ...]) -> None:
    assert str(await external(tmp_path, named)) == "romeo@im.test"


@pytest.mark.parametrize("named", [("mercutio@im.test",), ("romeo@elsewhere",)])
async def test_external_for_somebody_else(tmp_path: Path, named: tuple[str, ...]) -> None:
    error = await external(tmp_path, named, connect_timeout=10.0)
    assert (error.step, error.permanent) == ("authenticate", True)
    assert "invalid-authzid" in error.reason


async def test_external_without_a_name(tmp_path: Path) -> None:
    error = await external(tmp_path, (), connect_timeout=10.0)
    assert "no acceptable mechanism" in error.reason  # EXTERNAL is not even offered


async def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    vouched, other = (issue(tmp_path, name, accounts=("romeo@im.test",)) for name in ("a", "b"))
    async with dev_server(tmp_path / "server", client_ca_file=vouched) as server:
        error = await failure(client(server, mechanisms=("EXTERNAL",), certificate=other))
        assert error.step in ("secure", "authenticate")  # TLS 1.3: the refusal comes after


# -- nobody in particular --------------------------------------------------------------------------


async def test_anonymous(tmp_path: Path) -> None:
    async with dev_server(tmp_path, mechanisms=("ANONYMOUS",)) as server:
        settings = client(server, "", mechanisms=("ANONYMOUS",), password=None)
        first = await open_stream(settings, Sink())
        second = await open_stream(settings, Sink())
        assert first.jid.local
        assert first.jid.local != second.jid.local
        assert first.jid.local in server.hub.accounts
        for stream in (first, second):
            await stream.close()
    assert set(server.hub.accounts) == {"romeo", "juliet"}


async def test_anonymous_is_not_offered_unasked(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        error = await failure(client(server, mechanisms=("ANONYMOUS",), password=None))
        assert "no acceptable mechanism" in error.reason
