"""From a domain to a stream, with a real DNS server: SRV of both kinds, both families, DANE."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import emp.devserver.server
from emp.config import ConnectionSettings
from emp.devserver import DevServer
from emp.devserver.certificate import CertificateFiles
from emp.net import open_stream
from emp.net.lookup import MAX_SRV_RECORDS, look_up_srv
from tests.emp.net.certificates import DOMAIN, Certificates, Recipe
from tests.emp.net.nameserver import Zone, nameserver
from tests.emp.net.support import Sink, client, dev_server, failure, scripted
from tests.emp.net.test_race import closed_port


@pytest.fixture
async def zone(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Zone]:
    """node.xmpp.test is this machine; nobody listens at its address of IPv6."""
    zone = Zone()
    zone.add(f"node.{DOMAIN}", "A", "127.0.0.1")
    zone.add(f"node.{DOMAIN}", "AAAA", "::1")
    async with nameserver(zone, monkeypatch):
        yield zone


@pytest.fixture
async def server(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[DevServer]:
    """A development server with a good certificate, for both ways to do TLS."""
    show(monkeypatch, certificates["ok-multi"])
    async with dev_server(tmp_path, domain=DOMAIN, direct_port=0) as server:
        server.ca_file = certificates.ca
        yield server


def show(monkeypatch: pytest.MonkeyPatch, files: CertificateFiles) -> None:
    """Servers that are started have this certificate."""

    def ready(directory: Path, *domains: str) -> CertificateFiles:
        return files

    monkeypatch.setattr(emp.devserver.server, "ensure_certificate", ready)


def by_domain(server: DevServer, **more: Any) -> ConnectionSettings:
    """Settings that know nothing but the account."""
    return client(server, **{"server": None, "port": None, **more})


def srv(zone: Zone, service: str, priority: int, port: int | None) -> None:
    zone.add(f"_{service}._tcp.{DOMAIN}", "SRV", f"{priority} 0 {port} node.{DOMAIN}.")


async def connected(settings: ConnectionSettings) -> dict[str, str]:
    """The steps of a stream that comes about."""
    steps: dict[str, str] = {}
    stream = await open_stream(settings, Sink(), progress=steps.__setitem__)
    await stream.close()
    return steps


async def test_starttls_by_srv(zone: Zone, server: DevServer) -> None:
    srv(zone, "xmpp-client", 1, server.port)
    steps = await connected(by_domain(server))
    assert steps["connect"] == f"node.{DOMAIN} (127.0.0.1:{server.port})"
    assert ("_xmpps-client._tcp." + DOMAIN, "SRV") in zone.asked


async def test_direct_tls_by_srv(zone: Zone, server: DevServer) -> None:
    srv(zone, "xmpps-client", 1, server.direct_port)
    srv(zone, "xmpp-client", 2, server.port)
    steps = await connected(by_domain(server))
    assert steps["connect"] == f"node.{DOMAIN} (127.0.0.1:{server.direct_port})"
    assert list(steps) == ["resolve", "connect", "secure", "authenticate", "bind", "presence"]


async def test_the_domain_itself_without_srv(zone: Zone, server: DevServer) -> None:
    zone.add(DOMAIN, "A", "127.77.0.1")  # where nobody else's server listens
    error = await failure(by_domain(server))
    assert error.reason == f"{DOMAIN} (127.77.0.1:5222): connection refused"


async def test_names_that_do_not_exist(zone: Zone, server: DevServer) -> None:
    error = await failure(by_domain(server))
    assert (error.step, error.permanent) == ("resolve", True)
    assert error.reason == f"{DOMAIN}: no such host"


async def test_the_next_target_when_one_is_down(zone: Zone, server: DevServer) -> None:
    srv(zone, "xmpps-client", 1, closed_port())
    srv(zone, "xmpp-client", 2, server.port)
    assert str(server.port) in (await connected(by_domain(server)))["connect"]


async def test_the_next_target_when_one_has_no_tls(zone: Zone, server: DevServer) -> None:
    async def clear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with scripted(clear) as port:
        srv(zone, "xmpps-client", 1, port)
        srv(zone, "xmpp-client", 2, server.port)
        assert str(server.port) in (await connected(by_domain(server)))["connect"]


async def test_the_next_target_when_a_certificate_is_refused(
    zone: Zone,
    server: DevServer,
    certificates: Certificates,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    show(monkeypatch, certificates["bad-name"])
    async with dev_server(tmp_path, domain=DOMAIN, direct_port=0) as stranger:
        srv(zone, "xmpps-client", 1, stranger.direct_port)
        srv(zone, "xmpp-client", 2, stranger.port)
        srv(zone, "xmpp-client", 3, server.port)
        assert str(server.port) in (await connected(by_domain(server)))["connect"]


async def test_all_reasons_are_told(
    zone: Zone,
    server: DevServer,
    certificates: Certificates,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed = closed_port()
    show(monkeypatch, certificates["bad-expired"])
    async with dev_server(tmp_path, domain=DOMAIN, direct_port=0) as late:
        srv(zone, "xmpps-client", 1, late.direct_port)
        srv(zone, "xmpp-client", 2, closed)
        error = await failure(by_domain(server))
    assert (error.step, error.permanent) == ("secure", True)
    assert "expired" in error.reason
    assert f"127.0.0.1:{closed}): connection refused" in error.reason
    assert f"[::1]:{closed}): connection refused" in error.reason
    assert error.remedy is not None
    assert "certificate" in error.remedy


async def test_answers_are_bounded(zone: Zone) -> None:
    for priority in range(2 * MAX_SRV_RECORDS):
        zone.add(f"_xmpp-client._tcp.{DOMAIN}", "SRV", f"{priority} 0 5222 node.{DOMAIN}.")
    assert len(await look_up_srv(f"_xmpp-client._tcp.{DOMAIN}.")) == MAX_SRV_RECORDS


async def test_ipv6_that_works_comes_first(zone: Zone, server: DevServer) -> None:
    async with scripted(_goodbye, host="::1") as port:
        srv(zone, "xmpp-client", 1, port)
        error = await failure(by_domain(server))
    assert f"[::1]:{port}" in error.reason


async def _goodbye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hangs up."""


# -- DANE -----------------------------------------------------------------------------------------


def tlsa(files: CertificateFiles, usage: int) -> str:
    """The record for this certificate: its key, SHA-256."""
    key = x509.load_pem_x509_certificate(files.certificate.read_bytes()).public_key()
    data = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"{usage} 1 1 {hashlib.sha256(data).hexdigest()}"


class Dane:
    """A server behind SRV and TLSA records."""

    def __init__(self, zone: Zone, server: DevServer) -> None:
        self.zone, self.server = zone, server
        self.name = f"_{server.port}._tcp.node.{DOMAIN}"
        srv(zone, "xmpp-client", 1, server.port)

    def settings(self, **more: Any) -> ConnectionSettings:
        return by_domain(self.server, **{"dane": True, **more})


@pytest.fixture
async def unknown(
    zone: Zone, tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Dane]:
    """A server with a certificate for another name, of an authority that nobody knows."""
    files = certificates.make("unknown", Recipe(trusted=False, domain="other.test"))
    show(monkeypatch, files)
    async with dev_server(tmp_path, domain=DOMAIN) as server:
        server.ca_file = certificates.ca
        dane = Dane(zone, server)
        zone.add(dane.name, "TLSA", tlsa(files, 3))
        yield dane


async def test_dane_ee_needs_no_authority_and_no_name(unknown: Dane) -> None:
    unknown.zone.secure = True
    await connected(unknown.settings())


async def test_dane_counts_only_where_the_resolver_has_validated(unknown: Dane) -> None:
    error = await failure(unknown.settings())
    assert (error.step, error.permanent) == ("secure", True)
    assert "does not know" in error.reason


async def test_dane_counts_only_where_it_is_wanted(unknown: Dane) -> None:
    unknown.zone.secure = True
    error = await failure(unknown.settings(dane=False))
    assert "does not know" in error.reason
    assert (unknown.name, "TLSA") not in unknown.zone.asked


async def test_dane_refuses_what_authorities_accept(
    zone: Zone, server: DevServer, certificates: Certificates
) -> None:
    dane = Dane(zone, server)
    zone.secure = True
    await connected(dane.settings())  # no records: as without DANE
    zone.add(dane.name, "TLSA", tlsa(certificates["ok-srvname"], 3))
    error = await failure(dane.settings())
    assert (error.step, error.permanent) == ("secure", True)
    assert "TLSA" in error.reason


async def test_one_of_several_records_is_enough(
    zone: Zone, server: DevServer, certificates: Certificates
) -> None:
    """As during a change of keys."""
    dane = Dane(zone, server)
    zone.secure = True
    old, new = certificates["ok-srvname"], certificates["ok-multi"]
    zone.add(dane.name, "TLSA", tlsa(old, 3), tlsa(new, 3), "3 9 9 00")
    await connected(dane.settings())


async def test_records_about_authorities_are_as_good_as_none(
    zone: Zone, server: DevServer, certificates: Certificates
) -> None:
    dane = Dane(zone, server)
    zone.secure = True
    zone.add(dane.name, "TLSA", tlsa(certificates["ok-srvname"], 2))
    await connected(dane.settings())


async def test_pkix_ee_needs_both(
    zone: Zone,
    server: DevServer,
    certificates: Certificates,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    zone.secure = True
    dane = Dane(zone, server)
    zone.add(dane.name, "TLSA", tlsa(certificates["ok-multi"], 1))
    await connected(dane.settings())
    assert "does not know" in (await failure(dane.settings(ca_file=None))).reason
    zone.records[(dane.name, "TLSA")] = [tlsa(certificates["ok-srvname"], 1)]
    assert "TLSA" in (await failure(dane.settings())).reason


async def test_pkix_ee_with_a_name_that_is_not_ours(
    zone: Zone, tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone.secure = True
    show(monkeypatch, certificates["bad-name"])
    async with dev_server(tmp_path, domain=DOMAIN) as server:
        server.ca_file = certificates.ca
        dane = Dane(zone, server)
        zone.add(dane.name, "TLSA", tlsa(certificates["bad-name"], 1))
        assert "evil.test" in (await failure(dane.settings())).reason


async def test_a_tlsa_answer_that_is_kept_from_us(unknown: Dane) -> None:
    unknown.zone.secure = True
    unknown.zone.broken.add(unknown.name)
    error = await failure(unknown.settings())
    assert (error.step, error.permanent) == ("resolve", False)
    assert "TLSA" in error.reason
