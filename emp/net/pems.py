"""The PEM files that a connection names, opened and read before anything connects."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509

from emp.config import ConnectionSettings
from emp.errors import ConnectionFailed
from emp.net.tls import client_context

RENEWAL: Final = timedelta(days=30)
"""Before the end of a certificate within which it should have been renewed: what ACME clients do
by themselves."""


class Finding(NamedTuple):
    """key: of the configuration; fatal: it cannot work, else it will hurt some day."""

    key: str
    message: str
    remedy: str | None
    fatal: bool


def examine(settings: ConnectionSettings, now: datetime | None = None) -> Iterator[Finding]:
    """What is wrong with the connection's ca_file, certificate and key."""
    if settings.ca_file is None and settings.certificate is None:
        return
    try:
        client_context(settings)
    except ConnectionFailed as error:
        key = error.reason.partition(" ")[0]
        yield Finding(key, error.reason, error.remedy, True)
        return
    now = now or datetime.now(UTC)
    if settings.certificate is not None:
        yield from _own(settings.certificate, now)
        key = "certificate" if settings.key is None else "key"
        yield from _private(key, settings.key or settings.certificate)
    if settings.ca_file is not None:
        yield from _authorities(settings.ca_file, now)


def _own(file: Path, now: datetime) -> Iterator[Finding]:
    for certificate in _read(file)[:1]:
        yield from _dated(file, certificate, now)


def _read(file: Path) -> list[x509.Certificate]:
    """Its certificates; none where only OpenSSL understands them, which has the last word."""
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except ValueError:
        return []


def _dated(file: Path, certificate: x509.Certificate, now: datetime) -> Iterator[Finding]:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    renew = "renew the certificate"
    if end <= now:
        yield Finding("certificate", f"certificate {file}: it ended on {end:%F}", renew, True)
    elif start > now:
        yield Finding(
            "certificate",
            f"certificate {file}: it is valid from {start:%F %H:%M} UTC on",
            "wait, or set the clock",
            True,
        )
    elif end - now < RENEWAL:
        days = (end - now).days
        message = f"certificate {file}: it ends on {end:%F}, in {days} day{'s' * (days != 1)}"
        yield Finding("certificate", message, renew, False)


def _private(key: str, file: Path) -> Iterator[Finding]:
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        message = f"{key} {file}: others may read the private key (mode {mode:04o})"
        yield Finding(key, message, f"chmod 600 {file}", False)


def _authorities(file: Path, now: datetime) -> Iterator[Finding]:
    certificates = _read(file)
    if certificates and all(each.not_valid_after_utc <= now for each in certificates):
        message = f"ca_file {file}: all its certificates have ended"
        yield Finding("ca_file", message, "get those that the server's authority uses now", True)
