import datetime as dt
import ssl
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from emp.devserver.certificate import LIFETIME, RENEW_BEFORE, ensure_certificate, host_names


def test_names_and_modes(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path / "new", "im.test")
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["im.test", "localhost", "*.localhost"]
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    assert sorted(p.name for p in files.key.parent.iterdir()) == [
        "ca.pem",
        "server.key",
        "server.pem",
    ]


def test_international_domain() -> None:
    assert host_names("bücher.test")[0] == "xn--bcher-kva.test"
    assert host_names("localhost") == ["localhost", "*.localhost"]


def test_openssl_accepts_it_strictly(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path, "im.test")
    check = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver"]
    check += ["-verify_hostname", "im.test", "-CAfile", str(files.ca), str(files.certificate)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_key_fits(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path, "im.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    assert context.cert_store_stats()["x509"] == 0


def _content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_good_ones_are_used_again(tmp_path: Path) -> None:
    ensure_certificate(tmp_path, "im.test")
    before = _content(tmp_path)
    ensure_certificate(tmp_path, "im.test")
    assert _content(tmp_path) == before


@pytest.mark.parametrize("left", [RENEW_BEFORE - dt.timedelta(hours=1), -dt.timedelta(days=1)])
def test_renewed_before_it_expires(tmp_path: Path, left: dt.timedelta) -> None:
    now = dt.datetime.now(dt.UTC)
    ensure_certificate(tmp_path, "im.test", now=now - LIFETIME + left)
    before = _content(tmp_path)
    files = ensure_certificate(tmp_path, "im.test", now=now)
    assert _content(tmp_path).keys() == before.keys()
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    assert certificate.not_valid_after_utc > now + RENEW_BEFORE


def test_another_domain_gets_another(tmp_path: Path) -> None:
    ensure_certificate(tmp_path, "im.test")
    before = _content(tmp_path)
    ensure_certificate(tmp_path, "other.test")
    assert _content(tmp_path)["server.pem"] != before["server.pem"]


@pytest.mark.parametrize("name", ["ca.pem", "server.pem", "server.key"])
@pytest.mark.parametrize("damage", ["missing", "garbage", "foreign"])
def test_damage_is_repaired(tmp_path: Path, name: str, damage: str) -> None:
    directory = tmp_path / "own"
    ensure_certificate(directory, "im.test")
    if damage == "missing":
        (directory / name).unlink()
    elif damage == "garbage":
        (directory / name).write_bytes(b"-----BEGIN NOTHING-----\n")
    else:
        ensure_certificate(tmp_path / "foreign", "im.test")
        (tmp_path / "foreign" / name).replace(directory / name)
    files = ensure_certificate(directory, "im.test")
    check = ["openssl", "verify", "-CAfile", str(files.ca), str(files.certificate)]
    assert subprocess.run(check, capture_output=True, check=False).returncode == 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)  # raises when they do not belong together
