"""pyOpenSSL in the shape of `ssl`: each end against `ssl` itself, and both on real event loops."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emp.net import openssl
from emp.net.binding import bindings
from emp.net.openssl import ExportingContext, ExportingObject
from tests.emp.net.support import PATIENCE
from tests.emp.net.wire import Cut, Wire, der, everything, issue

Kind = type[ssl.SSLContext]
PAIRS: list[tuple[Kind, Kind]] = [
    (ExportingContext, ssl.SSLContext),
    (ssl.SSLContext, ExportingContext),
    (ExportingContext, ExportingContext),
]
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
each_pair = pytest.mark.parametrize("kinds", PAIRS, ids=lambda kinds: kinds[0].__name__)
each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)

DATA = bytes(range(256)) * 12_000  # 3 MB


def client_context(kind: Kind, ca_file: Path) -> ssl.SSLContext:
    context = kind(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(ca_file)
    return context


def server_context(kind: Kind, certificate: Path) -> ssl.SSLContext:
    context = kind(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return issue(tmp_path_factory.mktemp("certificates"), "im.test")


def wire(
    kinds: tuple[Kind, Kind],
    certificate: Path,
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    **more: Any,
) -> Wire:
    client = client_context(kinds[0], certificate)
    client.maximum_version = version
    return Wire(client, server_context(kinds[1], certificate), **more)


def bytewise(data: bytes) -> Iterator[bytes]:
    yield from (data[start : start + 1] for start in range(len(data)))


def in_odd_pieces(data: bytes) -> Iterator[bytes]:
    start = 0
    for size in itertools.cycle((1, 5, 4099, 3, 65_537)):
        if start >= len(data):
            return
        yield data[start : start + size]
        start += size


# -- in memory ------------------------------------------------------------------------------------


@each_pair
@each_version
def test_both_ends_know_the_same(
    kinds: tuple[Kind, Kind], version: ssl.TLSVersion, certificate: Path
) -> None:
    between = wire(kinds, certificate, version)
    between.shake_hands()
    client, server = between.client, between.server
    assert client.version() == server.version() == version.name.replace("_", ".")
    own = der(certificate)
    assert client.getpeercert(binary_form=True) == own
    assert server.getpeercert() is None
    assert server.getpeercert(binary_form=True) is None
    assert client.cipher() is not None
    assert client.cipher() == server.cipher()
    assert client.compression() is None
    assert client.selected_alpn_protocol() is None
    here, there = bindings(client), bindings(server, own)
    common = set(here) & set(there)
    if version is ssl.TLSVersion.TLSv1_2:
        assert common == {"tls-unique", "tls-server-end-point"}
    else:
        assert common - {"tls-exporter"} == {"tls-server-end-point"}
        assert ("tls-exporter" in common) == (kinds == (ExportingContext, ExportingContext))
    for kind in common:
        assert here[kind] == there[kind]
    assert len(set(here.values())) == len(here)


def test_bindings_belong_to_one_connection(certificate: Path) -> None:
    kinds = (ExportingContext, ExportingContext)
    found = []
    for version in (*VERSIONS, *VERSIONS):
        between = wire(kinds, certificate, version)
        between.shake_hands()
        found += [data for kind, data in bindings(between.client).items() if "server" not in kind]
    assert len(set(found)) == len(found) == 4


@each_pair
@each_version
@pytest.mark.parametrize("cut", [bytewise, in_odd_pieces])
def test_any_cut_of_the_records(
    kinds: tuple[Kind, Kind], version: ssl.TLSVersion, cut: Cut, certificate: Path
) -> None:
    between = wire(kinds, certificate, version, cut=cut)
    between.shake_hands()
    size = 20_000 if cut is bytewise else len(DATA)
    for source, sink in (
        (between.client, between.server),
        (between.server, between.client),
    ):
        assert source.write(DATA[:size]) == size
        heard = bytearray()
        between.carry(lambda sink=sink, heard=heard: heard.extend(everything(sink)))  # type: ignore[misc]
        assert heard == DATA[:size]


def test_what_waits_can_be_seen(certificate: Path) -> None:
    """uvloop reads on only while something is pending: nothing may be forgotten in between."""
    between = wire((ExportingContext, ExportingContext), certificate)
    between.shake_hands()
    between.carry()
    everything(between.client)
    assert between.client.pending() == between.arrived.pending == 0
    for number in range(5):
        between.server.write(b"%d!" % number)
    between.carry()
    heard = []
    while between.client.pending() or between.arrived.pending:
        heard.append(between.client.read(1))
    assert b"".join(heard) == b"0!1!2!3!4!"
    with pytest.raises(ssl.SSLWantReadError):
        between.client.read(1)


def test_read_into_a_buffer(certificate: Path) -> None:
    between = wire((ExportingContext, ssl.SSLContext), certificate)
    between.shake_hands()
    between.server.write(b"wherefore")
    between.carry()
    buffer = bytearray(100)
    assert between.client.read(4, buffer) == 4
    assert between.client.pending() == 5
    assert between.client.read(100, memoryview(buffer)[4:]) == 5
    assert buffer[:9] == b"wherefore"
    assert between.client.write(b"") == 0


@each_pair
@each_version
def test_goodbyes(kinds: tuple[Kind, Kind], version: ssl.TLSVersion, certificate: Path) -> None:
    between = wire(kinds, certificate, version)
    between.shake_hands()
    between.client.write(b"last words")
    between.carry()
    assert between.server.read(100) == b"last words"
    with pytest.raises(ssl.SSLWantReadError):
        between.client.unwrap()
    between.carry()
    assert between.server.read(100) == b""
    assert between.server.read(100, bytearray(5)) == 0
    between.say_goodbye()


# -- what is set up --------------------------------------------------------------------------------


@each_pair
@pytest.mark.parametrize(
    ("offered", "agreed"), [(["x", "xmpp-client"], "xmpp-client"), (["x"], None)]
)
def test_alpn(
    kinds: tuple[Kind, Kind], offered: list[str], agreed: str | None, certificate: Path
) -> None:
    client = client_context(kinds[0], certificate)
    server = server_context(kinds[1], certificate)
    client.set_alpn_protocols(offered)
    server.set_alpn_protocols(["xmpp-client"])
    between = Wire(client, server)
    between.shake_hands()
    assert between.client.selected_alpn_protocol() == agreed
    assert between.server.selected_alpn_protocol() == agreed


@each_pair
def test_client_certificates(kinds: tuple[Kind, Kind], certificate: Path, tmp_path: Path) -> None:
    own = issue(tmp_path, "juliet")
    client, server = client_context(kinds[0], certificate), server_context(kinds[1], certificate)
    server.load_verify_locations(own)
    server.verify_mode = ssl.CERT_OPTIONAL
    nobody = Wire(client, server)
    nobody.shake_hands()
    assert nobody.server.getpeercert(binary_form=True) is None
    client.load_cert_chain(own)
    between = Wire(client, server)
    between.shake_hands()
    expected = der(own)
    assert between.server.getpeercert(binary_form=True) == expected
    client.load_cert_chain(issue(tmp_path, "romeo"))
    with pytest.raises(ssl.SSLCertVerificationError):
        Wire(client, server).shake_hands()


def test_a_certificate_that_is_required(certificate: Path) -> None:
    client = client_context(ssl.SSLContext, certificate)
    server = server_context(ExportingContext, certificate)
    server.load_verify_locations(certificate)
    server.verify_mode = ssl.CERT_REQUIRED
    with pytest.raises(ssl.SSLError, match="peer did not return a certificate"):
        Wire(client, server).shake_hands()


def test_names_are_sent_but_not_addresses(certificate: Path) -> None:
    asked: list[str | None] = []
    client = client_context(ExportingContext, certificate)
    server = server_context(ssl.SSLContext, certificate)
    server.sni_callback = lambda tls, name, context: asked.append(name)
    for name in ("im.test", "127.0.0.1", "::1"):
        Wire(client, server, name=name).shake_hands()
    assert asked == ["im.test", None, None]


def test_settings_made_later_count(certificate: Path) -> None:
    client = client_context(ExportingContext, certificate)
    server = server_context(ssl.SSLContext, certificate)
    for version in VERSIONS:
        client.maximum_version = version
        between = Wire(client, server)
        between.shake_hands()
        assert between.client.version() == version.name.replace("_", ".")
    client.minimum_version = ssl.TLSVersion.TLSv1_3
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match=r"(?i)version|protocol"):
        Wire(client, server).shake_hands()


def test_weak_keys_are_refused_where_they_are_by_ssl(certificate: Path) -> None:
    client = client_context(ExportingContext, certificate)
    client.set_ciphers("@SECLEVEL=2:ECDHE+AESGCM")
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    between = Wire(client, server_context(ssl.SSLContext, certificate))
    between.shake_hands()
    assert "GCM" in str(between.client.cipher())
    with pytest.raises(ssl.SSLError):
        client.set_ciphers("NO-SUCH-CIPHER")
    client.set_ciphers("@SECLEVEL=5:ALL")  # 256 bits: the key of the certificate has 128
    with pytest.raises(ssl.SSLError):
        Wire(client, server_context(ssl.SSLContext, certificate)).shake_hands()


def test_nobody_forgets_to_compare_names(certificate: Path) -> None:
    context = ExportingContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ValueError, match="check_hostname"):
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())


def test_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(openssl.new_context(ssl.PROTOCOL_TLS_CLIENT), ExportingContext)
    monkeypatch.setattr(openssl, "AVAILABLE", False)
    assert type(openssl.new_context(ssl.PROTOCOL_TLS_CLIENT)) is ssl.SSLContext


# -- refusals --------------------------------------------------------------------------------------


def refusal(client: ssl.SSLContext, server: ssl.SSLContext) -> ssl.SSLCertVerificationError:
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        Wire(client, server).shake_hands()
    return caught.value


@each_version
@pytest.mark.parametrize("days", [1, -1])
def test_refused_certificates(
    version: ssl.TLSVersion, days: int, certificate: Path, tmp_path: Path
) -> None:
    bad = issue(tmp_path, "im.test", days=days)
    trusted = certificate if days > 0 else bad
    server = server_context(ssl.SSLContext, bad)
    server.maximum_version = version
    ours, theirs = (
        refusal(client_context(kind, trusted), server)
        for kind in (ExportingContext, ssl.SSLContext)
    )
    assert ours.verify_code == theirs.verify_code
    assert ours.reason == theirs.reason == "CERTIFICATE_VERIFY_FAILED"
    assert not ExportingContext(ssl.PROTOCOL_TLS_CLIENT).get_ca_certs()


def test_no_authority_is_trusted_by_itself(certificate: Path) -> None:
    client = ExportingContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    server = server_context(ssl.SSLContext, certificate)
    refusal(client, server)
    client.load_default_certs()
    refusal(client, server)
    client.verify_mode = ssl.CERT_NONE
    Wire(client, server).shake_hands()


def test_the_peer_refuses_us(certificate: Path, tmp_path: Path) -> None:
    client = client_context(ssl.SSLContext, issue(tmp_path, "im.test"))
    between = Wire(client, server_context(ExportingContext, certificate))
    with pytest.raises(ssl.SSLCertVerificationError):
        between.shake_hands()
    between.carry()
    with pytest.raises(ssl.SSLError) as caught:
        between.server.do_handshake()
    assert caught.value.reason == "TLSV1_ALERT_UNKNOWN_CA"


@pytest.mark.parametrize(
    "garbage", [b"<stream:error/></stream:stream>", b"\x16\x03\x03\xff\xff" * 9]
)
def test_garbage_instead_of_tls(garbage: bytes, certificate: Path) -> None:
    reasons = []
    for kind in (ExportingContext, ssl.SSLContext):
        incoming = ssl.MemoryBIO()
        tls = client_context(kind, certificate).wrap_bio(incoming, ssl.MemoryBIO())
        incoming.write(garbage)
        with pytest.raises(ssl.SSLError) as caught:
            tls.do_handshake()
        assert not isinstance(caught.value, ssl.SSLWantReadError)
        reasons.append(caught.value.reason)
    assert reasons[0].isupper()
    assert " " not in reasons[0]


def test_a_changed_record_ends_it(certificate: Path) -> None:
    between = wire((ExportingContext, ExportingContext), certificate)
    between.shake_hands()
    between.carry()
    everything(between.client)
    between._cut = lambda data: [data[:-1] + bytes([data[-1] ^ 1])] if data else []
    between.server.write(b"wherefore")
    between.carry()
    with pytest.raises(ssl.SSLError) as caught:
        between.client.read(100)
    assert "MAC" in caught.value.reason


# -- on an event loop ------------------------------------------------------------------------------


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@each_pair
@each_version
async def test_megabytes_both_ways(
    kinds: tuple[Kind, Kind], version: ssl.TLSVersion, certificate: Path
) -> None:
    context = server_context(kinds[1], certificate)
    context.maximum_version = version
    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with asyncio.timeout(PATIENCE), server:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            port,
            ssl=client_context(kinds[0], certificate),
            server_hostname="im.test",
            limit=1_000_000,
        )
        tls = writer.get_extra_info("ssl_object")
        assert isinstance(tls, ExportingObject) == (kinds[0] is ExportingContext)

        async def send() -> None:
            for start in range(0, len(DATA), 100_000):
                writer.write(DATA[start : start + 100_000])
                await writer.drain()

        sending = asyncio.create_task(send())
        assert await reader.readexactly(len(DATA)) == DATA
        await sending
        writer.close()
        await writer.wait_closed()


async def test_refused_on_the_loop(certificate: Path, tmp_path: Path) -> None:
    context = server_context(ExportingContext, issue(tmp_path, "im.test"))
    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with asyncio.timeout(PATIENCE), server:
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            await asyncio.open_connection(
                "127.0.0.1",
                port,
                ssl=client_context(ExportingContext, certificate),
                server_hostname="im.test",
            )
        assert caught.value.verify_code == 18


async def test_the_peer_hangs_up(certificate: Path) -> None:
    async def goodbye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(DATA[:100_000])
        writer.close()

    context = server_context(ssl.SSLContext, certificate)
    server = await asyncio.start_server(goodbye, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with asyncio.timeout(PATIENCE), server:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            port,
            ssl=client_context(ExportingContext, certificate),
            server_hostname="im.test",
        )
        assert await reader.read() == DATA[:100_000]
        writer.close()
        await writer.wait_closed()
