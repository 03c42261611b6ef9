"""What a server has to prove before it hears a word: made from the settings and from DNS.

The order of what counts: a pinned certificate; else usable TLSA records; else authorities and names
(PKIX). Names are those of the XMPP domain, whatever machine DNS led to (RFC 6120 §13.7.2.1); for a
component, which connects to a machine of its administrator's choice, those of that machine.
"""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from emp.config import ConnectionSettings
from emp.errors import ConnectionFailed
from emp.net import dane, identity, names, tls
from emp.net.dane import TlsaRecord


@dataclass(frozen=True, slots=True)
class Trust:
    """How to do TLS with one server. `name` is whom we ask for (SNI); all names are A-labels.

    domain: an XMPP domain that will do as well.
    """

    context: ssl.SSLContext
    name: str
    service: str | None = identity.CLIENT_SERVICE
    pins: frozenset[str] = frozenset()
    tlsa: tuple[TlsaRecord, ...] = ()
    setting: str = "host"
    ca_file: Path | None = None
    domain: str | None = None

    def verify(self, connection: ssl.SSLObject) -> None:
        """After the handshake, before a byte is sent: ConnectionFailed(step="secure", permanent).

        The chain was verified in the handshake, where it counts.
        """
        der = connection.getpeercert(binary_form=True)
        if not der:
            raise tls.refused("it shows none", "the server must have a certificate")
        if self.pins:
            self._check_pins(der)
            return
        try:
            certificate = x509.load_der_x509_certificate(der)
            if self.tlsa:
                self._check_tlsa(certificate)
            if not dane.replaces_pkix(self.tlsa):
                self._check_names(identity.names_in(certificate))
        except ValueError as error:
            reason = f"it cannot be read: {error!s:.200}"
            raise tls.refused(reason, "the server needs another certificate") from None

    def _check_pins(self, der: bytes) -> None:
        shown = hashlib.sha256(der).hexdigest()
        if shown not in self.pins:
            raise tls.refused(
                f"its SHA-256 is {shown}, which is not the pinned one",
                "if the server has a new certificate, put its SHA-256 into certificate_sha256 =; "
                "else somebody listens in",
            )

    def _check_tlsa(self, certificate: x509.Certificate) -> None:
        if not any(dane.matches(record, certificate) for record in self.tlsa):
            raise tls.refused(
                "it is not the one that DNS names (TLSA)",
                "the server's certificate and its TLSA records must be changed together; "
                "else somebody listens in",
            )

    def _check_names(self, found: identity.Names) -> None:
        right = identity.matches(found, self.name, self.service)
        if not right and self.domain is not None:
            right = identity.matches(found, self.domain)
        if not right:
            raise tls.refused(
                f"it is for {found}, and not for {self.name}",
                f"{self.setting} = must be a name that the certificate has",
            )


def trust_in(
    settings: ConnectionSettings, *, direct: bool = False, tlsa: tuple[TlsaRecord, ...] = ()
) -> Trust:
    """What the server must prove. direct: TLS from the first byte; tlsa: validated by DNSSEC.

    Raises ConnectionFailed(step="secure", permanent) when a file of the settings cannot be used.
    """
    records = () if settings.pins else dane.usable(tlsa)
    chain = not settings.pins and not dane.replaces_pkix(records)
    setting, wanted = _wanted(settings)
    try:
        name = names.a_label(wanted)
    except ValueError as error:
        raise ConnectionFailed("secure", str(error), permanent=True) from None
    client = settings.kind == "client"
    return Trust(
        context=tls.client_context(
            settings, alpn=tls.ALPN if direct and client else None, chain=chain
        ),
        name=name,
        service=identity.CLIENT_SERVICE if client else None,
        pins=settings.pins,
        tlsa=records,
        setting=setting,
        ca_file=settings.ca_file,
    )


def web_trust(
    settings: ConnectionSettings, host: str, *, domain: bool = False, setting: str = "host"
) -> Trust:
    """What a web server must prove: to be `host`, or with `domain` the XMPP domain (XEP-0156 §2.2).

    For addresses that are known by a way that nobody can forge. Raises ConnectionFailed as
    trust_in() does.
    """
    return Trust(
        context=tls.client_context(settings, alpn=tls.WEB_ALPN, chain=not settings.pins),
        name=host,
        service=None,
        pins=settings.pins,
        setting=setting,
        ca_file=settings.ca_file,
        domain=names.a_label(settings.host) if domain else None,
    )


def _wanted(settings: ConnectionSettings) -> tuple[str, str]:
    """The setting that says who the server must be, and its value."""
    if settings.kind == "client":
        return "host", settings.host
    if settings.tls_name:
        return "tls_name", settings.tls_name
    return ("tls_name or server", settings.server) if settings.server else ("host", settings.host)
