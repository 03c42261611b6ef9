"""The accounts that a client's certificate names, for SASL EXTERNAL (XEP-0178 §2)."""

from __future__ import annotations

from cryptography import x509

from emp.config import ConnectionSettings
from emp.errors import JIDError
from emp.jid import JID
from emp.net import identity


def accounts_in(certificate: bytes) -> tuple[str, ...]:
    """The bare JIDs in a certificate (DER), none where it names none."""
    try:
        found = identity.names_in(x509.load_der_x509_certificate(certificate))
    except ValueError:
        return ()
    return _accounts(found)


def authzid(settings: ConnectionSettings) -> str | None:
    """Whom EXTERNAL must name: nobody if our certificate names this account and no other.

    What cannot be read is not our matter here: TLS complains about it.
    """
    if settings.certificate is None:
        return None
    try:
        certificate = x509.load_pem_x509_certificate(settings.certificate.read_bytes())
        named = _accounts(identity.names_in(certificate))
    except (OSError, ValueError):
        return None
    return None if named == (settings.address,) else settings.address


def _accounts(found: identity.Names) -> tuple[str, ...]:
    accounts = []
    for text in found.xmpp:
        try:
            jid = JID.parse(text)
        except JIDError:
            continue
        if jid.local and not jid.resource:
            accounts.append(str(jid))
    return tuple(accounts)
