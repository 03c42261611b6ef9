"""Channel binding: what both ends of one TLS connection see, and nobody in the middle.

RFC 5929 (tls-unique, tls-server-end-point) and RFC 9266 (tls-exporter). Python's `ssl` has no
exporter: that takes pyOpenSSL (emp.net.openssl), the extra "channel-binding".
"""

from __future__ import annotations

import ssl
from typing import Final, Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from emp.sasl.strength import BINDING_TYPES

# RFC 9266 §2
EXPORTER_LABEL: Final = b"EXPORTER-Channel-Binding"
EXPORTER_BYTES: Final = 32

_WEAK: Final = (hashes.MD5, hashes.SHA1)  # RFC 5929 §4.1: SHA-256 takes their place


class Exporting(Protocol):
    """A TLS connection that can do RFC 5705."""

    def export_keying_material(self, label: bytes, size: int) -> bytes:
        """Secret bytes that both ends of this connection know, without a context."""


def bindings(tls: ssl.SSLObject, own_certificate: bytes | None = None) -> dict[str, bytes]:
    """Type → data of an established connection, strongest first; none where TLS knows none.

    own_certificate: in DER, at the server, which sees only the client's on the connection.
    """
    version = tls.version()
    certificate = own_certificate if tls.server_side else tls.getpeercert(binary_form=True)
    found = {
        "tls-exporter": _exporter(tls) if version == "TLSv1.3" else None,
        # Undefined since TLS 1.3 (RFC 8446 appendix C.5)
        "tls-unique": None if version == "TLSv1.3" else tls.get_channel_binding("tls-unique"),
        "tls-server-end-point": server_end_point(certificate) if certificate else None,
    }
    return {kind: data for kind in BINDING_TYPES if (data := found[kind])}


def _exporter(tls: ssl.SSLObject) -> bytes | None:
    """On TLS 1.3 only: below, it is safe only with an extension (RFC 9266 §4.2) that neither
    library tells us about, and tls-unique is there."""
    export = getattr(tls, "export_keying_material", None)
    return None if export is None else bytes(export(EXPORTER_LABEL, EXPORTER_BYTES))


def server_end_point(certificate: bytes) -> bytes | None:
    """The hash of the server's certificate (DER), by the hash in its own signature (RFC 5929 §4.1).

    None where the RFC defines none: signatures without a hash, or with one that is not known.
    """
    try:
        algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return None
    if algorithm is None:  # Ed25519 and Ed448 sign without
        return None
    digest = hashes.Hash(hashes.SHA256() if isinstance(algorithm, _WEAK) else algorithm)
    digest.update(certificate)
    return digest.finalize()
