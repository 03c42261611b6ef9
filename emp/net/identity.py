"""Who a certificate says that it is for, and whether that is whom we wanted to talk to.

RFC 6120 §13.7.1.2 with RFC 9525. OpenSSL has verified the chain before; names are our part, since
neither OpenSSL nor the standard library knows those of XMPP. What counts:

    dNSName     the domain, or *.rest for one label before `rest`. The asterisk must be the whole
                left-most label, and `rest` have two labels or more.
    SRVName     _xmpp-client and the domain (RFC 4985), exactly. Also on direct TLS: XEP-0368 has
                certificates verified in the same way as with STARTTLS, and names no other service.
    xmppAddr    the domain as a JID, exactly. RFC 9525 dropped it, RFC 6120 has it, and it names
                nothing but an XMPP entity: accepted.
    iPAddress   only where the wanted name is an IP address; and then nothing else.

Never the common name (RFC 9525 §2), and never the name of the machine that DNS led to.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509 import ObjectIdentifier

from emp.errors import JIDError
from emp.jid import JID
from emp.net import names

CLIENT_SERVICE = "_xmpp-client"

SRV_NAME = ObjectIdentifier("1.3.6.1.5.5.7.8.7")
"""id-on-dnsSRV, RFC 4985 §2: an IA5String."""

XMPP_ADDR = ObjectIdentifier("1.3.6.1.5.5.7.8.5")
"""id-on-xmppAddr, RFC 6120 §13.7.1.4: a UTF8String."""

SHOWN_NAMES = 5
"""Names of a foreign certificate that an error lists: enough to see whose it is."""

SHOWN_CHARACTERS = 80
"""Of each of them: they come from a stranger."""

_IA5, _UTF8 = 0x16, 0x0C  # DER tags


@dataclass(frozen=True, slots=True)
class Names:
    """The names in a certificate: those of DNS, SRVName, xmppAddr, addresses; as they stand."""

    dns: tuple[str, ...] = ()
    srv: tuple[str, ...] = ()
    xmpp: tuple[str, ...] = ()
    ip: tuple[str, ...] = ()

    def __str__(self) -> str:
        found = [*self.dns, *self.srv, *self.xmpp, *self.ip]
        more = len(found) - SHOWN_NAMES
        shown = ", ".join(map(_printable, found[:SHOWN_NAMES])) or "no name that counts"
        return f"{shown} and {more} more" if more > 0 else shown


def names_in(certificate: x509.Certificate) -> Names:
    """The names that a certificate is for; ValueError where that cannot be read."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Names()
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ValueError(str(error)) from None
    others = [(each.type_id, each.value) for each in found.get_values_for_type(x509.OtherName)]
    return Names(
        dns=tuple(found.get_values_for_type(x509.DNSName)),
        srv=_texts(others, SRV_NAME, _IA5, "ascii"),
        xmpp=_texts(others, XMPP_ADDR, _UTF8, "utf-8"),
        ip=tuple(str(address) for address in found.get_values_for_type(x509.IPAddress)),
    )


def matches(found: Names, wanted: str, service: str | None = CLIENT_SERVICE) -> bool:
    """Whether a certificate with these names is for `wanted`.

    `wanted` is a domain in A-labels or an IP address (names.a_label gives both). With `service`
    None only dNSName and iPAddress count: for what is no XMPP domain but a machine.
    """
    if names.ip_literal(wanted) is not None:
        return any(_same_address(each, wanted) for each in found.ip)
    if any(_dns_matches(each, wanted) for each in found.dns):
        return True
    if service is None:
        return False
    return f"{service}.{wanted}" in map(_lower, found.srv) or any(
        _xmpp_matches(each, wanted) for each in found.xmpp
    )


def _dns_matches(pattern: str, wanted: str) -> bool:
    pattern = _lower(pattern)
    if not pattern.startswith("*."):
        return pattern == wanted
    rest = pattern[2:]
    first, _, parent = wanted.partition(".")
    return bool(first) and rest == parent and "." in rest.strip(".")


def _xmpp_matches(address: str, wanted: str) -> bool:
    try:
        jid = JID.parse(address)
        return not jid.local and not jid.resource and names.a_label(jid.domain) == wanted
    except (JIDError, ValueError):
        return False


def _same_address(found: str, wanted: str) -> bool:
    try:
        return ipaddress.ip_address(found) == ipaddress.ip_address(wanted)
    except ValueError:  # a network: that is for authorities' name constraints
        return False


def _lower(name: str) -> str:
    """Only ASCII: İ and the like must not become letters of a domain."""
    return name.lower() if name.isascii() else name


def _texts(
    others: list[tuple[ObjectIdentifier, bytes]], kind: ObjectIdentifier, tag: int, encoding: str
) -> tuple[str, ...]:
    found = (_der_text(value, tag, encoding) for type_id, value in others if type_id == kind)
    return tuple(text for text in found if text is not None)


def _der_text(value: bytes, tag: int, encoding: str) -> str | None:
    """The text of one DER string; None for anything else (X.690 §8.1, lengths below 64 KiB)."""
    if len(value) < 2 or value[0] != tag:
        return None
    length_bytes = value[1] & 0x7F if value[1] & 0x80 else 0
    start = 2 + length_bytes
    length = int.from_bytes(value[2:start], "big") if length_bytes else value[1]
    if length_bytes > 2 or len(value) != start + length:
        return None
    try:
        return value[start:].decode(encoding)
    except UnicodeDecodeError:
        return None


def _printable(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name[:SHOWN_CHARACTERS])
