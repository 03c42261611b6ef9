import os
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from emp.config import ConnectionSettings
from emp.devserver.certificate import ensure_certificate
from emp.errors import ConnectionFailed
from emp.net.tls import client_context, handshake_failed, remedy_for, words
from tests.emp.net.certificates import Certificates


def settings(**more: Any) -> ConnectionSettings:
    return ConnectionSettings(name="c", kind="client", host="im.test", **more)


def test_context_verifies_the_chain() -> None:
    context = client_context(settings())
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert not context.check_hostname, "names are the part of emp.net.identity"
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.security_level == 2


def test_ciphers_of_tls_1_2_have_forward_secrecy() -> None:
    ciphers = [
        each for each in client_context(settings()).get_ciphers() if "1.2" in each["protocol"]
    ]
    assert ciphers
    assert {each["kea"] for each in ciphers} <= {"kx-ecdhe", "kx-dhe"}
    assert all(each["aead"] for each in ciphers)


def test_somebody_else_may_verify_the_chain() -> None:
    assert client_context(settings(), chain=False).verify_mode is ssl.CERT_NONE


def test_ca_file_replaces_the_authorities_of_the_system(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path, "im.test")
    assert client_context(settings(ca_file=files.ca)).cert_store_stats()["x509_ca"] == 1


def test_contexts_are_kept_until_a_file_changes(tmp_path: Path) -> None:
    ca_file = ensure_certificate(tmp_path, "im.test").ca
    first = client_context(settings(ca_file=ca_file))
    assert client_context(settings(ca_file=ca_file)) is first
    assert client_context(settings(ca_file=ca_file), alpn="xmpp-client") is not first
    ensure_certificate(tmp_path / "other", "im.test").ca.replace(ca_file)
    assert client_context(settings(ca_file=ca_file)) is not first


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "no such file"), (b"nothing", "holds no certificate"), (b"", "holds no certificate")],
)
def test_unusable_ca_file(tmp_path: Path, content: bytes | None, reason: str) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_bytes(content)
    with pytest.raises(ConnectionFailed) as caught:
        client_context(settings(ca_file=ca_file))
    assert (caught.value.step, caught.value.permanent) == ("secure", True)
    assert reason in caught.value.reason.lower()
    assert str(ca_file) in caught.value.reason


# -- our own certificate --------------------------------------------------------------------------


def test_own_certificate_in_one_file_or_two(certificates: Certificates, tmp_path: Path) -> None:
    files = certificates["ok-multi"]
    client_context(settings(certificate=files.certificate, key=files.key))
    both = tmp_path / "both.pem"
    both.write_bytes(files.certificate.read_bytes() + files.key.read_bytes())
    client_context(settings(certificate=both))


def _refused(**files: Path) -> ConnectionFailed:
    with pytest.raises(ConnectionFailed) as caught:
        client_context(settings(**files))
    assert (caught.value.step, caught.value.permanent) == ("secure", True)
    assert caught.value.remedy is not None
    return caught.value


def test_without_a_key(certificates: Certificates) -> None:
    error = _refused(certificate=certificates["ok-multi"].certificate)
    assert "no private key" in error.reason
    assert "key =" in str(error.remedy)


def test_with_another_key(certificates: Certificates) -> None:
    one, other = certificates["ok-multi"], certificates["ok-srvname"]
    error = _refused(certificate=one.certificate, key=other.key)
    assert "not the certificate's" in error.reason
    assert str(other.key) in error.reason


def test_with_an_encrypted_key(certificates: Certificates, tmp_path: Path) -> None:
    """Nobody is asked for a passphrase: there may be no terminal, and no one at it."""
    files = certificates["ok-multi"]
    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )
    error = _refused(certificate=files.certificate, key=locked)
    assert "encrypted" in error.reason
    assert "without a passphrase" in str(error.remedy)


def test_missing_files(certificates: Certificates, tmp_path: Path) -> None:
    files = certificates["ok-multi"]
    error = _refused(certificate=tmp_path / "none.pem", key=files.key)
    assert "certificate" in error.reason
    error = _refused(certificate=files.certificate, key=tmp_path / "none.key")
    assert error.reason.startswith("key ")
    assert os.strerror(2).lower() in error.reason.lower()


def test_what_is_no_certificate(certificates: Certificates) -> None:
    files = certificates["ok-multi"]
    assert "no usable pair" in _refused(certificate=files.key, key=files.key).reason


# -- faults ---------------------------------------------------------------------------------------


def _not_verified(code: int, ca_file: Path | None = None) -> ConnectionFailed:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "something new"
    return handshake_failed(error, "im.test:5222", ca_file)


@pytest.mark.parametrize(
    ("code", "reason", "remedy"),
    [
        (10, "expired", "clock"),
        (9, "not valid yet", "clock"),
        (18, "signed by nobody but itself", "ca_file"),
        (20, "does not know", "ca_file"),
        (26, "not meant for servers", "another certificate"),
        (66, "too short", "another certificate"),
        (68, "too weak", "another certificate"),
        (999, "something new", "ca_file"),
    ],
)
def test_refusals_in_words(code: int, reason: str, remedy: str) -> None:
    failure = _not_verified(code)
    assert (failure.step, failure.permanent) == ("secure", True)
    assert reason in failure.reason
    assert failure.remedy is not None
    assert remedy in failure.remedy


def test_a_given_ca_file_is_named() -> None:
    failure = _not_verified(20, Path("/etc/emp/ca.pem"))
    assert failure.remedy is not None
    assert "/etc/emp/ca.pem" in failure.remedy


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("TLSV1_ALERT_PROTOCOL_VERSION", "TLS 1.2"),
        ("UNSUPPORTED_PROTOCOL", "TLS 1.2"),
        ("WRONG_VERSION_NUMBER", "port ="),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "certificate ="),
        ("SOMETHING_ELSE", None),
    ],
)
def test_faults_of_tls_in_words(reason: str, remedy: str | None) -> None:
    error = ssl.SSLError(1, "[SSL] unreadable (_ssl.c:1006)")
    error.reason = reason
    failure = handshake_failed(error, "im.test:5222", None)
    assert (failure.step, failure.permanent) == ("secure", remedy == "port =")
    assert failure.reason == f"no TLS with im.test:5222: {words(error)}"
    assert words(error) == reason.lower().replace("_", " ")
    assert failure.remedy == remedy_for(error)
    assert (remedy or "") in (failure.remedy or "")
    assert (failure.remedy is None) == (remedy is None)


def test_a_connection_that_ends_without_a_word() -> None:
    failure = handshake_failed(ConnectionResetError(), "im.test:5222", None)
    assert failure.reason == "im.test:5222: connection closed during the TLS handshake"
