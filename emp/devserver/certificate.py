"""A certificate for the development server, signed by an authority made for it alone.

The authority's key is thrown away once it has signed: whoever trusts `ca.pem` trusts this one
server certificate and nothing else. A certificate that is about to expire is replaced together with
its authority.
"""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from emp.net.names import a_label

LIFETIME = dt.timedelta(days=365)
"""What clients accept from private authorities (Apple: 825 days, others more)."""

RENEW_BEFORE = dt.timedelta(days=7)
"""So that a server left running over a holiday does not expire under its users."""

CLOCK_SKEW = dt.timedelta(hours=1)
"""Valid from a little before now: containers and virtual machines disagree about the time."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """PEM files: the authority to trust, the server's certificate, and its key (mode 0600)."""

    ca: Path
    certificate: Path
    key: Path


def ensure_certificate(
    directory: Path, *domains: str, now: dt.datetime | None = None
) -> CertificateFiles:
    """Files for `domains` in `directory` (made when missing); those that are good are used again.

    Raises OSError when they cannot be written, ValueError when one is not a domain name.
    """
    files = CertificateFiles(
        directory / "ca.pem", directory / "server.pem", directory / "server.key"
    )
    now = now or dt.datetime.now(dt.UTC)
    if not _usable(files, domains, now):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make(files, domains, now)
    return files


def host_names(*domains: str) -> list[str]:
    """The names that the certificate is for, as A-labels."""
    return list(dict.fromkeys((*map(a_label, domains), "localhost", "*.localhost")))


def _usable(files: CertificateFiles, domains: tuple[str, ...], now: dt.datetime) -> bool:
    try:
        ca = x509.load_pem_x509_certificate(files.ca.read_bytes())
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = serialization.load_pem_private_key(files.key.read_bytes(), None)
        certificate.verify_directly_issued_by(ca)
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:  # noqa: BLE001 - missing, damaged or foreign, however it shows: make new ones
        return False
    return (
        key.public_key() == certificate.public_key()
        and named.get_values_for_type(x509.DNSName) == host_names(*domains)
        and certificate.not_valid_before_utc <= now
        and now + RENEW_BEFORE < min(c.not_valid_after_utc for c in (ca, certificate))
    )


def _make(files: CertificateFiles, domains: tuple[str, ...], now: dt.datetime) -> None:
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name, name = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
        for text in ("EMP development authority", "EMP development server")
    )

    def builder(
        subject: x509.Name, own: ec.EllipticCurvePrivateKey, *, is_ca: bool
    ) -> x509.CertificateBuilder:
        # RFC 5280 §4.2: what OpenSSL asks for with VERIFY_X509_STRICT, Python's default since 3.13.
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(own.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(now + LIFETIME)
            .add_extension(x509.BasicConstraints(is_ca, 0 if is_ca else None), critical=True)
            .add_extension(_key_usage(sign=is_ca), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), False)
            .add_extension(signer, critical=False)
        )

    ca = builder(ca_name, ca_key, is_ca=True).sign(ca_key, hashes.SHA256())
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in host_names(*domains)])
    certificate = (
        builder(name, key, is_ca=False)
        .add_extension(names, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _write(files.key, secret, 0o600)
    _write(files.certificate, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    _write(files.ca, ca.public_bytes(serialization.Encoding.PEM), 0o644)


def _key_usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign,
        crl_sign=sign,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    """Replace the file in one step; its content is never readable with a wider mode than `mode`."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
    draft.replace(path)
