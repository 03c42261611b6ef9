"""Good and bad certificates for the domain xmpp.test: what the TLS matrix is made of.

One authority that is trusted, one that is not, and CERTIFICATES by label: ok-* must be accepted,
bad-* refused. Made with `cryptography`, but for the one with a signature that it does not make any
more: for that, openssl.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from emp.devserver.certificate import CertificateFiles
from emp.net import identity

DOMAIN = "xmpp.test"
IDN = "müller.test"

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def dns(name: str) -> x509.GeneralName:
    return x509.DNSName(name)


def srv(name: str) -> x509.GeneralName:
    return other(identity.SRV_NAME, 0x16, name.encode())


def xmpp(address: str) -> x509.GeneralName:
    return other(identity.XMPP_ADDR, 0x0C, address.encode())


def ip(address: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(address))


def other(kind: ObjectIdentifier, tag: int, text: bytes) -> x509.GeneralName:
    """An otherName that holds one DER string."""
    length = bytes([len(text)] if len(text) < 128 else [0x81, len(text)])
    return x509.OtherName(kind, bytes([tag]) + length + text)


@dataclass(frozen=True)
class Recipe:
    """What is special about a certificate; `words` are in the reason for which it is refused."""

    names: tuple[x509.GeneralName, ...] = (dns(DOMAIN),)
    words: str = ""
    domain: str = DOMAIN
    trusted: bool = True
    days: tuple[int, int] = (-1, 30)
    usage: ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH
    weak_key: bool = False
    weak_signature: bool = False


_NOT_FOR = f"not for {DOMAIN}"

CERTIFICATES = {
    "ok-srvname": Recipe((srv(f"_xmpp-client.{DOMAIN}"),)),
    "ok-xmppaddr": Recipe((xmpp(DOMAIN),)),
    "ok-multi": Recipe((dns("other.test"), srv(f"_xmpp-client.{DOMAIN}"), dns("third.test"))),
    "ok-idna": Recipe((dns("xn--mller-kva.test"),), domain=IDN),
    "bad-selfsigned": Recipe(trusted=False, words="does not know"),
    "bad-name": Recipe((dns("evil.test"),), _NOT_FOR),
    # of servers among each other, not for clients
    "bad-srv-service": Recipe((srv(f"_xmpp-server.{DOMAIN}"),), _NOT_FOR),
    "bad-wildcard-apex": Recipe((dns(f"*.{DOMAIN}"),), _NOT_FOR),
    "bad-wildcard-deep": Recipe((dns("*.test"),), _NOT_FOR),
    "bad-partial-wildcard": Recipe((dns("x*.test"),), _NOT_FOR),
    "bad-cn-only": Recipe((dns("other.test"),), _NOT_FOR),  # the common name is the domain
    "bad-suffix": Recipe((dns(f"{DOMAIN}.evil.test"),), _NOT_FOR),
    "bad-ip-san": Recipe((ip("127.0.0.1"),), _NOT_FOR),
    # where the client connects to, and not whom it wants to talk to
    "bad-hostname-only": Recipe((dns("localhost"),), _NOT_FOR),
    "bad-expired": Recipe(days=(-60, -30), words="expired"),
    "bad-notyet": Recipe(days=(30, 60), words="not valid yet"),
    "bad-eku": Recipe(usage=ExtendedKeyUsageOID.CLIENT_AUTH, words="not meant for servers"),
    "bad-rsa1024": Recipe(weak_key=True, words="too short"),
    "bad-sha1": Recipe(weak_signature=True, words="too weak"),
}


class Certificates:
    """Makes them in a directory, each once. `ca` is the authority to trust."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._authorities = {trusted: self._authority(trusted) for trusted in (True, False)}
        self.ca = directory / "ca-True.pem"
        self._made: dict[str, CertificateFiles] = {}

    def __getitem__(self, label: str) -> CertificateFiles:
        if label not in self._made:
            self._made[label] = self.make(label, CERTIFICATES[label])
        return self._made[label]

    def make(self, label: str, recipe: Recipe) -> CertificateFiles:
        key: Key = ec.generate_private_key(ec.SECP256R1())
        if recipe.weak_key:
            key = rsa.generate_private_key(65537, 1024)
        signer, issuer = self._authorities[recipe.trusted]
        now = dt.datetime.now(dt.UTC)
        start, end = (now + dt.timedelta(days=days) for days in recipe.days)
        signed_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        certificate = (
            _builder(_name(recipe.domain), issuer, key, start, end)
            .add_extension(x509.BasicConstraints(False, None), critical=False)
            .add_extension(_usage(sign=False), critical=True)
            .add_extension(signed_by, critical=False)
            .add_extension(x509.ExtendedKeyUsage([recipe.usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName(recipe.names), critical=False)
            .sign(signer, hashes.SHA256())
        )
        files = CertificateFiles(
            self.ca, self._directory / f"{label}.pem", self._directory / f"{label}.key"
        )
        _write(files.key, files.certificate, key, certificate)
        if recipe.weak_signature:
            self._sign_again(files)
        return files

    def _sign_again(self, files: CertificateFiles) -> None:
        """With SHA-1."""
        extensions = files.certificate.with_suffix(".ext")
        extensions.write_text(f"extendedKeyUsage=serverAuth\nsubjectAltName=DNS:{DOMAIN}\n")
        ca = ("-CA", self.ca, "-CAkey", self.ca.with_suffix(".key"), "-set_serial", "77")
        request = ("req", "-new", "-key", files.key, "-subj", f"/CN={DOMAIN}")
        sign = ("x509", "-req", "-sha1", *ca, "-days", "30", "-extfile", extensions)
        _openssl(*sign, "-out", files.certificate, stdin=_openssl(*request))

    def _authority(self, trusted: bool) -> tuple[ec.EllipticCurvePrivateKey, x509.Name]:
        name = _name("EMP test authority" if trusted else "Nobody's authority")
        key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        years = dt.timedelta(days=3650)
        certificate = (
            _builder(name, name, key, now - years, now + years)
            .add_extension(x509.BasicConstraints(True, None), critical=True)
            .add_extension(_usage(sign=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        file = self._directory / f"ca-{trusted}.pem"
        _write(file.with_suffix(".key"), file, key, certificate)
        return key, name


def load(files: CertificateFiles) -> x509.Certificate:
    return x509.load_pem_x509_certificate(files.certificate.read_bytes())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, start: dt.datetime, end: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(not sign, False, False, False, False, sign, sign, False, False)


def _write(key_file: Path, file: Path, key: Key, certificate: x509.Certificate) -> None:
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    key_file.write_bytes(secret)
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _openssl(*arguments: str | Path, stdin: bytes = b"") -> bytes:
    command: Sequence[str] = ["openssl", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout
