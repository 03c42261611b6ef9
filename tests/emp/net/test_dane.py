"""TLSA records: which of them decide, and about what (RFC 6698, RFC 7671)."""

import hashlib

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from emp.net.dane import MAX_RECORDS, TlsaRecord, matches, replaces_pkix, usable
from tests.emp.net.certificates import Certificates, load

SHA256, SHA512 = b"x" * 32, b"x" * 64


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_selectors_and_matching_types(
    selector: int, matching: int, certificates: Certificates
) -> None:
    certificate, another = load(certificates["ok-multi"]), load(certificates["ok-srvname"])
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    chosen = (certificate.public_bytes(Encoding.DER), key)[selector]
    data = (chosen, hashlib.sha256(chosen).digest(), hashlib.sha512(chosen).digest())[matching]
    record = TlsaRecord(3, selector, matching, data)
    assert usable([record]) == (record,)
    assert matches(record, certificate)
    assert not matches(record, another)


@pytest.mark.parametrize(
    "record",
    [
        TlsaRecord(0, 0, 1, SHA256),  # authorities: we do not see the chain
        TlsaRecord(2, 1, 1, SHA256),
        TlsaRecord(4, 0, 1, SHA256),
        TlsaRecord(255, 0, 1, SHA256),
        TlsaRecord(3, 2, 1, SHA256),
        TlsaRecord(3, 0, 3, SHA256),
        TlsaRecord(3, 0, 1, SHA256[1:]),
        TlsaRecord(3, 0, 2, SHA256),
        TlsaRecord(3, 0, 0, b""),
    ],
)
def test_records_that_say_nothing_to_us(record: TlsaRecord) -> None:
    assert usable([record]) == ()
    assert not replaces_pkix(usable([record]))


def test_dane_ee_alone_decides_where_it_is() -> None:
    ee, pkix = TlsaRecord(3, 1, 1, SHA256), TlsaRecord(1, 1, 1, SHA256)
    assert usable([pkix, ee]) == (ee,)
    assert replaces_pkix((ee,))
    assert usable([pkix]) == (pkix,)
    assert not replaces_pkix((pkix,))


def test_records_are_bounded() -> None:
    many = [TlsaRecord(3, 1, 1, n.to_bytes(32, "big")) for n in range(100)]
    assert len(usable(many)) == MAX_RECORDS
