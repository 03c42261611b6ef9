"""DANE: certificates that DNS vouches for (RFC 6698, RFC 7671; with SRV, RFC 7673 and RFC 7712).

Records count only where the machine's resolver says that it has validated them (the AD flag): that
is worth as much as the resolver and the way to it. Use a validating resolver on this machine.

    3 DANE-EE   the certificate or its key is what the record says; names, dates and authorities do
                not count (RFC 7671 §5.1)
    1 PKIX-EE   the same, and it must pass as without DANE too
    0, 2        name an authority in the chain, which Python's ssl does not let us see: unusable,
                and where there are no others, DNS might as well be silent (RFC 7671 §10.1)

Where a server publishes both usable kinds, only DANE-EE counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

MAX_RECORDS = 16
"""TLSA records used of one answer: zones have two or four, during a change of keys."""


class Usage(IntEnum):
    """The usages that we can check (RFC 7218 §2.1)."""

    PKIX_EE = 1
    DANE_EE = 3


@dataclass(frozen=True, slots=True)
class TlsaRecord:
    """One answer to the TLSA question (RFC 6698 §2.1)."""

    usage: int
    selector: int
    matching: int
    data: bytes


_DIGESTS = {1: hashlib.sha256, 2: hashlib.sha512}
_SIZES = {1: 32, 2: 64}


def usable(records: Iterable[TlsaRecord]) -> tuple[TlsaRecord, ...]:
    """Those that decide: well-formed, of a usage that we can check, all of the same usage."""
    known = [each for each in records if _well_formed(each)][:MAX_RECORDS]
    strongest = max((each.usage for each in known), default=None)
    return tuple(each for each in known if each.usage == strongest)


def _well_formed(record: TlsaRecord) -> bool:
    return (
        record.usage in set(Usage)
        and record.selector in (0, 1)
        and (record.matching == 0 or len(record.data) == _SIZES.get(record.matching))
        and bool(record.data)
    )


def replaces_pkix(records: Iterable[TlsaRecord]) -> bool:
    """Whether these usable records make chain and names superfluous."""
    return any(each.usage == Usage.DANE_EE for each in records)


def matches(record: TlsaRecord, certificate: x509.Certificate) -> bool:
    """Whether the certificate of the server itself is what the record says."""
    if record.selector == 0:
        chosen = certificate.public_bytes(Encoding.DER)
    else:
        key = certificate.public_key()
        chosen = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = _DIGESTS.get(record.matching)
    return record.data == (digest(chosen).digest() if digest else chosen)
