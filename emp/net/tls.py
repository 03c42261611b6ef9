"""Our end of TLS: what it is set up with, and what its faults mean.

RFC 7590, RFC 9325. OpenSSL verifies the chain, at its security level 2: RSA below 2048 bits and
signatures with SHA-1 are refused. Names are compared after the handshake (emp.net.trust), for
OpenSSL does not know those of XMPP.
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path

from emp.config import ConnectionSettings
from emp.errors import ConnectionFailed
from emp.net import openssl

ALPN = "xmpp-client"
"""XEP-0368 §2, for direct TLS."""

WEB_ALPN = "http/1.1"
"""For WebSocket, which later versions of HTTP do in another way (RFC 6455 §4.1)."""

CIPHERS = "@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20"
"""RFC 9325 §4.2 for TLS 1.2: forward secrecy and authenticated encryption. TLS 1.3 has no other."""

SHUTDOWN_SECONDS = 5.0
"""For the peer to answer our close_notify; the socket is closed anyway."""

CONTEXTS = 16
"""Contexts kept: loading the system's authorities takes some 20 ms, and most programs need one."""

_Stamped = tuple[Path, int] | None
"""A file and its time of change, so that a renewed one is read again."""


def client_context(
    settings: ConnectionSettings, *, alpn: str | None = None, chain: bool = True
) -> ssl.SSLContext:
    """What our end of TLS is set up with.

    `settings.ca_file` (PEM) replaces the authorities of the system; `settings.certificate` and
    `key` are shown where the server asks for them. alpn: the protocol to come. chain:
    whether OpenSSL verifies who signed the server's certificate; else that is the caller's part.
    Raises ConnectionFailed(step="secure", permanent) when a file cannot be used.
    """
    ca_file = _stamped(settings.ca_file, "ca_file")
    certificate = _stamped(settings.certificate, "certificate")
    key = _stamped(settings.key, "key")
    return _context(ca_file, certificate, key, alpn, chain)


@lru_cache(CONTEXTS)
def _context(
    ca_file: _Stamped, certificate: _Stamped, key: _Stamped, alpn: str | None, chain: bool
) -> ssl.SSLContext:
    context = openssl.new_context(ssl.PROTOCOL_TLS_CLIENT)
    harden(context)
    context.check_hostname = False  # emp.net.identity does that, also for SRVName and xmppAddr
    context.verify_mode = ssl.CERT_REQUIRED if chain else ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols([alpn])
    if chain:
        _load_authorities(context, ca_file)
    if certificate:
        _load_certificate(context, certificate[0], key[0] if key else None)
    return context


def harden(context: ssl.SSLContext) -> None:
    """TLS 1.2 or later without what RFC 9325 §3 and §4 advise against."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION


def _stamped(file: Path | None, setting: str) -> _Stamped:
    if file is None:
        return None
    try:
        return file, file.stat().st_mtime_ns
    except OSError as error:
        raise _unusable(setting, file, str(error.strerror)) from None


def _load_authorities(context: ssl.SSLContext, ca_file: _Stamped) -> None:
    if ca_file is None:
        context.load_default_certs()
        return
    try:
        context.load_verify_locations(ca_file[0])
    except (OSError, ssl.SSLError) as error:  # SSLError is an OSError too; named for the reader
        reason = "holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise _unusable("ca_file", ca_file[0], str(reason)) from None


def _load_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    def nobody_to_ask() -> str:
        return ""

    try:
        context.load_cert_chain(certificate, key, password=nobody_to_ask)
    except ssl.SSLError as error:
        reason = _CERTIFICATE_FAULTS.get(_reason(error), "the two files hold no usable pair")
        if not _reason(error) and key is None:
            reason = "there is no private key beside the certificate"
        raise _unusable("key" if key else "certificate", key or certificate, reason) from None
    except OSError as error:
        raise _unusable("certificate", certificate, str(error.strerror)) from None


_CERTIFICATE_FAULTS = {
    "KEY_VALUES_MISMATCH": "the private key is not the certificate's",
    "BAD_DECRYPT": "the private key is encrypted",
    "BAD_PASSWORD_READ": "the private key is encrypted",
    "EE_KEY_TOO_SMALL": "the key is too short to be safe",
    "CA_MD_TOO_WEAK": "its signature is too weak to be safe",
}

_REMEDIES = {
    "ca_file": "ca_file = must name a PEM file with the certificates to trust",
    "certificate": "certificate = must name a PEM file with our certificate first, and key = the "
    "PEM file of its private key if that is not in the same file",
    "key": "key = must name the PEM file of the certificate's private key, without a passphrase",
}


def _unusable(setting: str, file: Path, reason: str) -> ConnectionFailed:
    return ConnectionFailed(
        "secure", f"{setting} {file}: {reason}", permanent=True, remedy=_REMEDIES[setting]
    )


# -- faults ---------------------------------------------------------------------------------------

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
    66: "its key is too short to be safe",
    67: "the key of an authority in its chain is too short to be safe",
    68: "it, or an authority in its chain, has a signature too weak to be safe",
}
_WRONG_TIME = {9, 10}
_OWN_FAULT = {26, 66, 67, 68}


def handshake_failed(error: OSError, peer: str, ca_file: Path | None) -> ConnectionFailed:
    """The failure of step "secure" for what a TLS handshake raised, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _not_verified(error, ca_file)
    if isinstance(error, ssl.SSLError):
        remedy = remedy_for(error)
        return ConnectionFailed(
            "secure",
            f"no TLS with {peer}: {words(error)}",
            permanent=remedy is _NO_TLS_THERE,
            remedy=remedy,
        )
    # ConnectionAbortedError is how asyncio says that the handshake is too slow, and an empty
    # ConnectionResetError how it says that the other side has left.
    reason = (error.strerror or str(error) or "connection closed").lower()
    return ConnectionFailed("secure", f"{peer}: {reason} during the TLS handshake")


def refused(reason: str, remedy: str) -> ConnectionFailed:
    """The failure of step "secure" for a certificate that did not pass."""
    return ConnectionFailed(
        "secure", f"the server's certificate is refused: {reason}", permanent=True, remedy=remedy
    )


def _not_verified(error: ssl.SSLCertVerificationError, ca_file: Path | None) -> ConnectionFailed:
    code = error.verify_code
    reason = _REASONS.get(code, error.verify_message or "it is not valid")
    if code in _WRONG_TIME:
        remedy = "the server needs a new certificate, or a clock is wrong"
    elif code in _OWN_FAULT:
        remedy = "the server needs another certificate"
    elif ca_file:
        remedy = f"ca_file = {str(ca_file)!r} must hold the authority that signed it"
    else:
        remedy = "name the authority's certificate with ca_file ="
    return refused(reason, remedy)


_OLD = "EMP speaks TLS 1.2 and 1.3: the server is too old, or set up to speak older versions only"
_OUR_CERTIFICATE = (
    "the server wants a certificate of ours, or another one: check certificate = and key ="
)
_NO_TLS_THERE = (
    "something else than TLS answers there: check port = (direct TLS and STARTTLS have different "
    'ones, and tls = "direct" chooses the former)'
)

_REMEDY_OF = {
    "UNSUPPORTED_PROTOCOL": _OLD,
    "TLSV1_ALERT_PROTOCOL_VERSION": _OLD,
    "NO_PROTOCOLS_AVAILABLE": _OLD,
    "WRONG_VERSION_NUMBER": _NO_TLS_THERE,
    "RECORD_LAYER_FAILURE": _NO_TLS_THERE,
    "HTTP_REQUEST": _NO_TLS_THERE,
    "UNKNOWN_PROTOCOL": _NO_TLS_THERE,
    "NO_APPLICATION_PROTOCOL": _NO_TLS_THERE,
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": _NO_TLS_THERE,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": _OUR_CERTIFICATE,
    "TLSV1_ALERT_UNKNOWN_CA": _OUR_CERTIFICATE,
    "SSLV3_ALERT_BAD_CERTIFICATE": _OUR_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": _OUR_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _OUR_CERTIFICATE,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": _OUR_CERTIFICATE,
}


def words(error: ssl.SSLError) -> str:
    """What OpenSSL says, as words."""
    return (_reason(error) or error.strerror or str(error)).lower().replace("_", " ")


def remedy_for(error: ssl.SSLError) -> str | None:
    """What the user may do about a fault of TLS, where we know it."""
    return _REMEDY_OF.get(_reason(error))


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's name of the fault; errors that were not made by OpenSSL have none."""
    return getattr(error, "reason", None) or ""
