import ssl
from pathlib import Path

import pytest

from emp.devserver.certificate import ensure_certificate
from emp.errors import ConnectionFailed
from emp.net.tls import client_context, refused


def test_context_verifies_and_never_by_common_name() -> None:
    context = client_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.hostname_checks_common_name
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION


def test_ca_file_replaces_the_authorities_of_the_system(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path, "im.test")
    assert client_context(files.ca).cert_store_stats()["x509_ca"] == 1


def test_contexts_are_kept_until_the_file_changes(tmp_path: Path) -> None:
    ca_file = ensure_certificate(tmp_path, "im.test").ca
    first = client_context(ca_file)
    assert client_context(ca_file) is first
    ensure_certificate(tmp_path / "other", "im.test").ca.replace(ca_file)
    assert client_context(ca_file) is not first


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "no such file"), (b"nothing", "holds no certificate"), (b"", "holds no certificate")],
)
def test_unusable_ca_file(tmp_path: Path, content: bytes | None, words: str) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_bytes(content)
    with pytest.raises(ConnectionFailed) as caught:
        client_context(ca_file)
    assert (caught.value.step, caught.value.permanent) == ("secure", True)
    assert words in caught.value.reason.lower()
    assert str(ca_file) in caught.value.reason


@pytest.mark.parametrize(
    ("code", "reason", "remedy"),
    [
        (10, "expired", "clock"),
        (9, "not valid yet", "clock"),
        (18, "signed by nobody but itself", "ca_file"),
        (20, "does not know", "ca_file"),
        (62, "not for im.test", "host ="),
        (999, "something new", "ca_file"),
    ],
)
def test_refusals_in_words(code: int, reason: str, remedy: str) -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "something new"
    failure = refused(error, "im.test", None)
    assert (failure.step, failure.permanent) == ("secure", True)
    assert reason in failure.reason
    assert failure.remedy is not None
    assert remedy in failure.remedy


def test_a_given_ca_file_is_named() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = 20, ""
    failure = refused(error, "im.test", Path("/etc/emp/ca.pem"))
    assert failure.remedy is not None
    assert "/etc/emp/ca.pem" in failure.remedy
