"""TLS as XMPP wants it: verified against the XMPP domain, never against where DNS led.

RFC 6120 §13.7, RFC 7590, RFC 9525. Names are compared by OpenSSL: dNSName and iPAddress entries,
whole-label wildcards; the common name never counts.
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path

from emp.errors import ConnectionFailed

CONTEXTS = 8
"""Contexts kept: loading the system's authorities takes some 20 ms, and most programs need one."""


def client_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """A context that verifies; `ca_file` (PEM) replaces the authorities of the system.

    Raises ConnectionFailed(step="secure", permanent) when the file cannot be used.
    """
    try:
        changed = ca_file.stat().st_mtime_ns if ca_file else 0
        return _context(ca_file, changed)
    except (OSError, ssl.SSLError) as error:  # SSLError is an OSError too; named for the reader
        reason = "holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise ConnectionFailed(
            "secure",
            f"ca_file {ca_file}: {reason}",
            permanent=True,
            remedy="ca_file = must name a PEM file with the certificates to trust",
        ) from None


@lru_cache(CONTEXTS)
def _context(ca_file: Path | None, changed: int) -> ssl.SSLContext:
    """`changed` is the file's time of change, so that a renewed file is read again."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 9325 §3.1.1
    context.hostname_checks_common_name = False  # RFC 9525 §2; Python's default is True
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    return context


_UNKNOWN_AUTHORITY = "it is signed by an authority that this machine does not know"

# X509_V_ERR_… of OpenSSL → what it means to the user
_REASONS = {
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is signed by nobody but itself",
    19: "its chain ends in a root that this machine does not know",
    20: _UNKNOWN_AUTHORITY,
    21: _UNKNOWN_AUTHORITY,
    23: "it was revoked",
    26: "it is not meant for servers",
}
_WRONG_NAME = {62, 64}  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_WRONG_TIME = {9, 10}


def refused(
    error: ssl.SSLCertVerificationError, domain: str, ca_file: Path | None
) -> ConnectionFailed:
    """The failure of step "secure" for a certificate that did not pass, in words."""
    code = error.verify_code
    if code in _WRONG_NAME:
        reason = f"it is not for {domain}"
        remedy = f"host = must be a domain that the certificate names, not {domain!r}"
    elif code in _WRONG_TIME:
        reason = _REASONS[code]
        remedy = "the server needs a new certificate, or a clock is wrong"
    else:
        reason = _REASONS.get(code, error.verify_message or "it is not valid")
        remedy = (
            f"ca_file = {str(ca_file)!r} must hold the authority that signed it"
            if ca_file
            else "name the authority's certificate with ca_file ="
        )
    return ConnectionFailed(
        "secure",
        f"the server's certificate is refused: {reason}",
        permanent=True,
        remedy=remedy,
    )
