"""Certificates of users: an authority that servers ask, and what it signs (XEP-0178)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

XMPP_ADDRESS = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")
"""id-on-xmppAddr: the JID that a certificate is for (RFC 6120 §13.7.1.4)."""

VALID = dt.timedelta(days=30)
"""Longer than any server of ours lives."""

UTF8_STRING = 0x0C
"""The tag of DER."""


@dataclass(frozen=True, slots=True)
class Identity:
    """PEM files: a user's certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """Signs users' certificates. `file` is its own certificate, which servers are told to trust."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.file = directory / "authority.pem"
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "EMP test users")])
        certificate = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def sign(self, jid: str) -> Identity:
        """A new certificate for the bare JID. Raises OSError when it cannot be written."""
        key = ec.generate_private_key(ec.SECP256R1())
        text = jid.encode()
        if len(text) > 127:  # the short form of a DER length, which every JID of the tests fits
            raise ValueError(f"{jid} is too long")
        address = x509.OtherName(XMPP_ADDRESS, bytes([UTF8_STRING, len(text)]) + text)
        certificate = (
            self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, jid)]), key)
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        identity = Identity(self._directory / f"{jid}.pem", self._directory / f"{jid}.key")
        identity.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        identity.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return identity

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + VALID)
        )
