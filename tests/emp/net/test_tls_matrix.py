"""Each certificate, STARTTLS and direct TLS, TLS 1.2 and 1.3: accepted or refused as labelled.

The other end is the development server with the certificate of the test; and nothing of ours may
come through TLS that has not shown a good one.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import emp.devserver.server
from emp.devserver import DevServer
from emp.devserver.certificate import CertificateFiles
from emp.devserver.session import Session
from emp.net import open_stream, openssl, tls
from tests.emp.net.certificates import CERTIFICATES, DOMAIN, Certificates
from tests.emp.net.support import (
    Sink,
    client,
    component,
    dev_server,
    failure,
    scripted,
)

V10, V11 = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What the server got, through TLS or not."""
    heard: list[bytes] = []

    class Listening(Session):
        def _received(self, data: bytes) -> None:
            heard.append(data)
            super()._received(data)

    monkeypatch.setattr(emp.devserver.server, "Session", Listening)
    return heard


def serve(
    monkeypatch: pytest.MonkeyPatch,
    files: CertificateFiles,
    lowest: ssl.TLSVersion,
    highest: ssl.TLSVersion,
) -> None:
    """Development servers of this test have that certificate and speak those versions of TLS."""

    def context(self: DevServer, files: CertificateFiles, alpn: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("ALL:@SECLEVEL=0")  # this server may be as weak as it likes
        context.minimum_version, context.maximum_version = lowest, highest
        context.load_cert_chain(files.certificate, files.key)
        return context

    def ready(directory: Path, *domains: str) -> CertificateFiles:
        return files

    monkeypatch.setattr(DevServer, "_tls_context", context)
    monkeypatch.setattr(emp.devserver.server, "ensure_certificate", ready)


def settings_for(server: DevServer, direct: bool, ca_file: Path) -> Any:
    more = {"tls": "direct", "port": server.direct_port} if direct else {}
    return client(server, server="localhost", ca_file=ca_file, **more)


@pytest.mark.parametrize("direct", [False, True], ids=["starttls", "direct"])
@pytest.mark.parametrize("version", [V12, V13], ids=["tls1.2", "tls1.3"])
@pytest.mark.parametrize("label", CERTIFICATES)
async def test_as_labelled(
    label: str,
    version: ssl.TLSVersion,
    direct: bool,
    certificates: Certificates,
    heard: list[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = CERTIFICATES[label]
    serve(monkeypatch, certificates[label], version, version)
    async with dev_server(tmp_path, domain=recipe.domain, direct_port=0) as server:
        settings = settings_for(server, direct, certificates.ca)
        if label.startswith("ok-"):
            steps: dict[str, str] = {}
            stream = await open_stream(settings, Sink(), progress=steps.__setitem__)
            await stream.close()
            assert steps["secure"] == version.name.replace("TLSv", "TLS ").replace("_", ".")
            return
        error = await failure(settings)
    assert (error.step, error.permanent) == ("secure", True)
    assert "certificate is refused" in error.reason
    assert recipe.words in error.reason
    assert error.remedy
    assert len(heard) == (0 if direct else 2), "the header and <starttls/> in clear, then nothing"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
@pytest.mark.parametrize("direct", [False, True], ids=["starttls", "direct"])
async def test_older_versions_are_refused(
    direct: bool,
    certificates: Certificates,
    heard: list[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    serve(monkeypatch, certificates["ok-srvname"], V10, V11)
    async with dev_server(tmp_path, domain=DOMAIN, direct_port=0) as server:
        error = await failure(settings_for(server, direct, certificates.ca))
    assert error.step == "secure"
    assert len(heard) == (0 if direct else 2)


async def test_a_server_that_knows_old_versions_only_is_told_apart(
    certificates: Certificates,
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"\x15\x03\x01\x00\x02\x02\x46")  # fatal alert: protocol_version
        await reader.read()

    async with scripted(script) as port:
        settings = component(port, tls="direct", tls_name=DOMAIN, ca_file=certificates.ca)
        error = await failure(settings)
    assert error.step == "secure"
    assert "no TLS with 127.0.0.1" in error.reason
    assert error.remedy is not None
    assert "TLS 1.2" in error.remedy


@pytest.mark.parametrize("label", CERTIFICATES)
async def test_as_labelled_without_pyopenssl(
    label: str,
    certificates: Certificates,
    heard: list[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The extra is not installed everywhere."""
    monkeypatch.setattr(openssl, "AVAILABLE", False)
    tls._context.cache_clear()
    try:
        await test_as_labelled(label, V13, True, certificates, heard, tmp_path, monkeypatch)
    finally:
        tls._context.cache_clear()


def test_the_matrix_is_complete() -> None:
    labels = [label.partition("-")[0] for label in CERTIFICATES]
    assert (labels.count("ok"), labels.count("bad")) == (4, 15)
