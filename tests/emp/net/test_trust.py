"""Whom we talk to, and how it is made sure: direct TLS, pins, our own certificate, components."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import emp.devserver.server
from emp.devserver import DevServer
from emp.devserver.certificate import CertificateFiles
from emp.devserver.session import Session
from emp.net import names, open_stream
from tests.emp.net.certificates import DOMAIN, Certificates, Recipe, dns, ip, srv
from tests.emp.net.listener import tls_listener
from tests.emp.net.support import (
    COMPONENT_HEADER,
    Sink,
    client,
    component,
    dev_server,
    failure,
    opened,
    scripted,
)
from tests.emp.net.wire import der


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, nothing counts as this machine. Not before: servers listen there."""
    return lambda: monkeypatch.setattr(names, "is_loopback", lambda address: False)


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, CertificateFiles]]:
    """Servers that are started have the certificate in here, if there is one."""
    shown: dict[str, CertificateFiles] = {}
    make = emp.devserver.server.ensure_certificate

    def ready(directory: Path, *domains: str) -> CertificateFiles:
        return shown.get("files") or make(directory, *domains)

    monkeypatch.setattr(emp.devserver.server, "ensure_certificate", ready)
    return shown


# -- direct TLS -----------------------------------------------------------------------------------


async def test_direct_tls(tmp_path: Path) -> None:
    steps: dict[str, str] = {}
    async with dev_server(tmp_path, direct_port=0) as server:
        settings = client(server, tls="direct", port=server.direct_port)
        stream = await open_stream(settings, Sink(), progress=steps.__setitem__)
        await stream.close()
    assert list(steps) == ["resolve", "connect", "secure", "authenticate", "bind", "presence"]
    assert steps["secure"] == "TLS 1.3"


@pytest.mark.parametrize("direct", [True, False])
async def test_alpn_and_sni(tmp_path: Path, direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Direct TLS says what it wants (XEP-0368 §2); STARTTLS has no need to."""
    seen: list[str | None] = []
    hosts: list[str | None] = []
    settled = Session._tls_established

    def watch(self: Session, connection: ssl.SSLObject) -> None:
        seen.append(connection.selected_alpn_protocol())
        settled(self, connection)

    def context(self: DevServer, files: CertificateFiles, alpn: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        context.set_alpn_protocols(["xmpp-client"])
        context.sni_callback = lambda connection, host, _: hosts.append(host)
        return context

    monkeypatch.setattr(Session, "_tls_established", watch)
    monkeypatch.setattr(DevServer, "_tls_context", context)
    async with dev_server(tmp_path, domain="bücher.test", direct_port=0) as server:
        more = {"tls": "direct", "port": server.direct_port} if direct else {}
        async with opened(client(server, **more), Sink()):
            pass
    assert seen == ["xmpp-client" if direct else None]
    assert hosts == ["xn--bcher-kva.test"]


async def test_direct_tls_where_clear_text_is_spoken(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        error = await failure(client(server, tls="direct"))
    assert (error.step, error.permanent) == ("secure", True)


async def test_starttls_where_tls_comes_first(tmp_path: Path) -> None:
    async with dev_server(tmp_path, direct_port=0) as server:
        error = await failure(client(server, port=server.direct_port))
    assert (error.step, error.permanent) == ("secure", True)


async def test_a_silent_server_of_direct_tls(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        await reader.read()

    async with dev_server(tmp_path) as server, scripted(silent) as port:
        error = await failure(client(server, tls="direct", port=port, connect_timeout=0.1))
    assert (error.step, error.permanent) == ("secure", False)


async def test_cancelled_during_the_handshake_of_direct_tls(tmp_path: Path) -> None:
    reached, gone = asyncio.Event(), asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        reached.set()
        while await reader.read(65536):
            pass
        gone.set()

    async with dev_server(tmp_path) as server, scripted(script) as port:
        task = asyncio.create_task(open_stream(client(server, tls="direct", port=port), Sink()))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await gone.wait()


# -- pins -----------------------------------------------------------------------------------------


def pin(files: CertificateFiles) -> str:
    return hashlib.sha256(der(files.certificate)).hexdigest()


@pytest.mark.parametrize("label", ["bad-selfsigned", "bad-name", "bad-expired"])
async def test_a_pinned_certificate_is_good_enough(
    label: str,
    tmp_path: Path,
    certificates: Certificates,
    show: dict[str, CertificateFiles],
) -> None:
    show["files"] = certificates[label]
    pins = frozenset({"0" * 64, pin(certificates[label])})
    async with (
        dev_server(tmp_path, domain=DOMAIN) as server,
        opened(client(server, ca_file=None, pins=pins), Sink()),
    ):
        pass


async def test_any_other_certificate_is_not(
    tmp_path: Path, certificates: Certificates, show: dict[str, CertificateFiles]
) -> None:
    """Not even one that authorities vouch for."""
    show["files"] = certificates["ok-multi"]
    pins = frozenset({pin(certificates["ok-srvname"])})
    async with dev_server(tmp_path, domain=DOMAIN) as server:
        error = await failure(client(server, ca_file=certificates.ca, pins=pins))
    assert (error.step, error.permanent) == ("secure", True)
    assert pin(certificates["ok-multi"]) in error.reason
    assert error.remedy is not None
    assert "certificate_sha256" in error.remedy


# -- our own certificate --------------------------------------------------------------------------


def asks_for_certificates(ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def context(self: DevServer, files: CertificateFiles, alpn: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        context.load_verify_locations(ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    monkeypatch.setattr(DevServer, "_tls_context", context)


@pytest.mark.parametrize("direct", [False, True])
async def test_a_server_that_wants_a_certificate(
    direct: bool, tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks_for_certificates(certificates.ca, monkeypatch)
    ours = certificates["bad-eku"]  # whose use is to be shown by clients
    async with dev_server(tmp_path, direct_port=0) as server:
        more = {"tls": "direct", "port": server.direct_port} if direct else {}
        settings = client(server, certificate=ours.certificate, key=ours.key, **more)
        async with opened(settings, Sink()):
            pass
        error = await failure(client(server, **more))
    assert not error.permanent


async def test_a_refusal_of_our_certificate_is_told(certificates: Certificates) -> None:
    """With TLS 1.3 it comes after the handshake, when we are talking already."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = certificates.make("machine", Recipe((ip("127.0.0.1"),)))
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(certificates.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    async with tls_listener(context) as port:
        error = await failure(component(port, tls="direct", ca_file=certificates.ca))
    assert "certificate required" in error.reason
    assert error.remedy is not None
    assert "certificate =" in error.remedy


# -- components -----------------------------------------------------------------------------------


async def test_components_talk_in_clear_at_home(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with dev_server(tmp_path) as server, opened(component(server.component_port), Sink()):
        pass
    assert caplog.records == []


@pytest.mark.parametrize(
    ("names_of_server", "more", "good"),
    [
        ((ip("127.0.0.1"),), {}, True),
        ((dns("im.test"),), {"tls_name": "im.test"}, True),
        ((dns("im.test"),), {}, False),
        ((dns("hack.im.test"),), {}, False),
        ((ip("127.0.0.1"),), {"tls_name": "im.test"}, False),
        ((dns("localhost"),), {"server": "localhost"}, True),
        ((srv("_xmpp-client.im.test"),), {"tls_name": "im.test"}, False),
    ],
)
async def test_component_with_tls(
    names_of_server: tuple[object, ...],
    more: dict[str, str],
    good: bool,
    tmp_path: Path,
    certificates: Certificates,
    show: dict[str, CertificateFiles],
) -> None:
    show["files"] = certificates.make("machine", Recipe(names_of_server))  # type: ignore[arg-type]
    async with dev_server(tmp_path, component_tls=True) as server:
        settings = component(
            server.component_port, tls="direct", **{"ca_file": certificates.ca, **more}
        )
        if good:
            steps: dict[str, str] = {}
            stream = await open_stream(settings, Sink(), progress=steps.__setitem__)
            await stream.close()
            assert list(steps) == ["resolve", "connect", "secure", "authenticate", "bind"]
            return
        error = await failure(settings)
    assert (error.step, error.permanent) == ("secure", True)
    assert error.remedy is not None
    assert "tls_name" in error.remedy


async def test_components_use_tls_to_other_machines(
    tmp_path: Path,
    certificates: Certificates,
    show: dict[str, CertificateFiles],
    remote: Callable[[], None],
) -> None:
    show["files"] = certificates.make("machine", Recipe((ip("127.0.0.1"),)))
    async with dev_server(tmp_path, component_tls=True) as server:
        remote()
        async with opened(component(server.component_port, ca_file=certificates.ca), Sink()):
            pass


async def test_component_secret_does_not_leave_the_machine_unasked(
    remote: Callable[[], None],
) -> None:
    heard: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(65536))
        writer.write(COMPONENT_HEADER)
        await reader.read()

    remote()
    async with scripted(script) as port:
        error = await failure(component(port))
    assert error.step == "secure"
    assert heard[0][:2] == b"\x16\x03", "the beginning of a TLS handshake, and no XML"


@pytest.mark.parametrize("kind", ["client", "component"])
async def test_clear_text_to_other_machines_is_loudly_logged(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, remote: Callable[[], None]
) -> None:
    async with dev_server(tmp_path) as server:
        remote()
        settings = client(server, tls="none")
        if kind == "component":
            settings = component(server.component_port, tls="none")
        async with opened(settings, Sink()):
            pass
    records = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert [each.name for each in records] == ["emp.net"]
    assert 'tls = "none"' in records[0].getMessage()
    assert "127.0.0.1" in records[0].getMessage()


async def test_clear_text_at_home_is_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with (
        dev_server(tmp_path) as server,
        opened(component(server.component_port, tls="none"), Sink()),
    ):
        pass
    assert caplog.records == []
