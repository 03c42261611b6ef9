"""An authority of the attacks' own, and the certificates that it should not have signed."""

from __future__ import annotations

import datetime as dt
import ssl
import warnings
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = dt.timedelta(days=1)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """Signs what it is asked to. `ca_file` is what its victims trust."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _name("Authority of the attacks")
        self._number = 0
        ca = self._sign(self._subject, self._key, [], dt.datetime.now(dt.UTC) + DAY, authority=True)
        self.ca_file = directory / "authority.pem"
        self.ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))

    def context(
        self,
        *names: str,
        common_name: str = "server",
        days: int = 1,
        self_signed: bool = False,
        newest: ssl.TLSVersion | None = None,
    ) -> ssl.SSLContext:
        """What a server needs to show a certificate for these dNSNames, valid for `days` from
        now."""
        key = ec.generate_private_key(ec.SECP256R1())
        until = dt.datetime.now(dt.UTC) + days * DAY
        subject = _name(common_name)
        issuer = (subject, key) if self_signed else (self._subject, self._key)
        certificate = self._sign(subject, key, list(names), until, issuer=issuer)
        self._number += 1
        file = self._directory / f"server{self._number}.pem"
        file.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        if newest is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is the point
                context.minimum_version = ssl.TLSVersion.TLSv1
                context.maximum_version = newest
            context.set_ciphers("ALL:@SECLEVEL=0")
        return context

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        names: list[str],
        until: dt.datetime,
        *,
        issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None = None,
        authority: bool = False,
    ) -> x509.Certificate:
        issuer_name, issuer_key = issuer or (self._subject, self._key)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(until - 60 * DAY)
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if names:
            san = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
            builder = builder.add_extension(san, critical=False)
        return builder.sign(issuer_key, hashes.SHA256())
