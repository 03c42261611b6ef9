"""Direct TLS, SRV of both kinds, pins, DANE and TLS for components with Prosody and ejabberd."""

from __future__ import annotations

import hashlib
import ssl
from typing import Any

import pytest

from emp.config import ConnectionSettings
from emp.net import open_stream
from tests.emp.net.nameserver import Zone, nameserver
from tests.emp.net.support import PATIENCE, Sink, failure
from tools.servers import Server


def account(real: Server, **more: Any) -> ConnectionSettings:
    values: dict[str, Any] = {
        "name": "alice",
        "kind": "client",
        "node": "alice",
        "password": real.account("alice"),
        "host": real.domain,
        "server": real.host,
        "port": real.client_port,
        "ca_file": real.ca_file,
        "connect_timeout": PATIENCE,
    }
    return ConnectionSettings(**{**values, **more})


async def steps_of(settings: ConnectionSettings) -> dict[str, str]:
    steps: dict[str, str] = {}
    stream = await open_stream(settings, Sink(), progress=steps.__setitem__)
    await stream.close()
    return steps


async def test_direct_tls(real_server: Server) -> None:
    steps = await steps_of(account(real_server, tls="direct", port=real_server.direct_port))
    assert list(steps) == ["resolve", "connect", "secure", "authenticate", "bind", "presence"]


async def test_direct_tls_by_srv(real_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    zone, domain = Zone(), real_server.domain
    zone.add(f"node.{domain}", "A", real_server.host)
    ports = {"xmpps": real_server.direct_port, "xmpp": real_server.client_port}
    async with nameserver(zone, monkeypatch):
        for service, port in ports.items():
            name = f"_{service}-client._tcp.{domain}"
            zone.records[(name, "SRV")] = [f"1 0 {port} node.{domain}."]
            other = {"xmpps": "xmpp", "xmpp": "xmpps"}[service]
            zone.records.pop((f"_{other}-client._tcp.{domain}", "SRV"), None)
            steps = await steps_of(account(real_server, server=None, port=None))
            assert str(port) in steps["connect"]


async def test_dane(real_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    zone, domain, port = Zone(secure=True), real_server.domain, real_server.client_port
    zone.add(f"node.{domain}", "A", real_server.host)
    zone.add(f"_xmpp-client._tcp.{domain}", "SRV", f"1 0 {port} node.{domain}.")
    settings = account(real_server, server=None, port=None, ca_file=None, dane=True)
    async with nameserver(zone, monkeypatch):
        assert "does not know" in (await failure(settings)).reason
        zone.add(f"_{port}._tcp.node.{domain}", "TLSA", f"3 0 1 {fingerprint(real_server)}")
        await steps_of(settings)


async def test_pinned(real_server: Server) -> None:
    pins = frozenset({fingerprint(real_server)})
    await steps_of(account(real_server, ca_file=None, pins=pins))
    error = await failure(account(real_server, ca_file=None, pins=frozenset({"0" * 64})))
    assert fingerprint(real_server) in error.reason


async def test_domain_of_another_server(real_server: Server) -> None:
    error = await failure(account(real_server, host="other.test"))
    assert error.permanent


async def test_component_with_tls(ejabberd: Server) -> None:
    """Prosody 0.12 has no TLS for components."""
    assert ejabberd.component_tls_port is not None
    settings = ConnectionSettings(
        name="emp",
        host=ejabberd.components[0],
        secret=ejabberd.component_secret,
        server=ejabberd.host,
        port=ejabberd.component_tls_port,
        tls="direct",
        tls_name=ejabberd.domain,
        ca_file=ejabberd.ca_file,
        connect_timeout=PATIENCE,
    )
    steps = await steps_of(settings)
    assert list(steps) == ["resolve", "connect", "secure", "authenticate", "bind"]


def fingerprint(server: Server) -> str:
    pem = ssl.get_server_certificate((server.host, server.direct_port))
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
