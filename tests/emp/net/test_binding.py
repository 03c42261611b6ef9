"""tls-server-end-point: which hash (RFC 5929 §4.1). The other types are in test_openssl."""

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519

from emp.net.binding import server_end_point
from tests.emp.net.wire import der, issue

# Signed with SHA-1 and with MD5 by an old tool: the libraries of today do neither.
SHA1 = (
    "MIIBdDCCARqgAwIBAgIUc+dUOS1dHMYMuYRc8q+4v0VwxTIwCQYHKoZIzj0EATAP"
    "MQ0wCwYDVQQDDARzaGExMCAXDTI2MTEyMjEzMjUxNFoYDzIxMjYxMDI5MTMyNTE0"
    "WjAPMQ0wCwYDVQQDDARzaGExMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE2VbS"
    "RYK7h5A9ud+IGDrN9vzkl0UYKbwop3isdlrJBzoiHpNHODTRtTtMWYRl5hyfNZDg"
    "6CD51qs1zD6SUf1laqNTMFEwHQYDVR0OBBYEFNXNJXGIDYiQ/s5mbGcInkVZ6eHe"
    "MB8GA1UdIwQYMBaAFNXNJXGIDYiQ/s5mbGcInkVZ6eHeMA8GA1UdEwEB/wQFMAMB"
    "Af8wCQYHKoZIzj0EAQNJADBGAiEAxY1fd0SSvYPJZKnOs8LtQbb49pX8+YCPYbYz"
    "N9anvhwCIQDqfhhWIaqOmGpEpfUtEly2o1+6RMyCl9B8w3Gk+LcGYQ=="
)
MD5 = (
    "MIIB+jCCAWOgAwIBAgIURRF5NEVJH2536Z4rNdqoJi450eMwDQYJKoZIhvcNAQEE"
    "BQAwDjEMMAoGA1UEAwwDbWQ1MCAXDTI2MTEyMjEzMjUxNFoYDzIxMjYxMDI5MTMy"
    "NTE0WjAOMQwwCgYDVQQDDANtZDUwgZ8wDQYJKoZIhvcNAQEBBQADgY0AMIGJAoGB"
    "AL0CkvFYueY6YltiOWjLZ72iX04CIWSR+n8zb69QH/xgW2z4HNhj9cYdP3NzOBau"
    "MTk65NFFQU/j51Rm3kw5nvxwXIVo5B2cwn2Oe2ltTyA27KeHsRMCZwMcPW/WWvIN"
    "3zbA1q4FsxkKjPIqep43eZi5ZbuUeJ+019pZqsr74eWfAgMBAAGjUzBRMB0GA1Ud"
    "DgQWBBRWl1CLn7ghqFBUzprhtiN9KEhkbzAfBgNVHSMEGDAWgBRWl1CLn7ghqFBU"
    "zprhtiN9KEhkbzAPBgNVHRMBAf8EBTADAQH/MA0GCSqGSIb3DQEBBAUAA4GBAAM4"
    "cOCuIrKSJSUlespVAxQEjCvOOQbd7kJzpuj3V9WSIx77/Hrn5EhsPRsrbinZtrP+"
    "rXaagzkJKhaLdtaNITOSbygp/s2au2dPj0L7BkKNspSCN10an+dN2MIDtj6l3MqX"
    "JZFRlqJ3NgitVNU828w9OmgGiFOpvv6SYooQ3qWL"
)


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [
        (hashes.SHA224(), "sha224"),
        (hashes.SHA256(), "sha256"),
        (hashes.SHA384(), "sha384"),
        (hashes.SHA512(), "sha512"),
    ],
)
def test_the_hash_of_the_signature(
    algorithm: hashes.HashAlgorithm, name: str, tmp_path: Path
) -> None:
    certificate = der(issue(tmp_path, "im.test", digest=algorithm))
    assert server_end_point(certificate) == hashlib.new(name, certificate).digest()


@pytest.mark.parametrize("text", [SHA1, MD5])
def test_weak_hashes_are_replaced(text: str) -> None:
    certificate = base64.b64decode(text)
    assert server_end_point(certificate) == hashlib.sha256(certificate).digest()


def test_signatures_without_a_hash_have_no_binding(tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    assert server_end_point(der(issue(tmp_path, "im.test", key=key, digest=None))) is None


@pytest.mark.parametrize("certificate", [b"", b"no certificate"])
def test_what_is_no_certificate(certificate: bytes) -> None:
    assert server_end_point(certificate) is None
