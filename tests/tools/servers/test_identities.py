"""Users' certificates: whom they name, who signed them, what is refused."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tools.servers.identities import XMPP_ADDRESS, Authority


def test_a_certificate_names_the_jid_and_is_signed(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "users")
    identity = authority.sign("alice@xmpp.test")
    root = x509.load_pem_x509_certificate(authority.file.read_bytes())
    certificate = x509.load_pem_x509_certificate(identity.certificate.read_bytes())
    certificate.verify_directly_issued_by(root)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (address,) = names.get_values_for_type(x509.OtherName)
    assert address.type_id == XMPP_ADDRESS
    assert address.value == b"\x0c\x0falice@xmpp.test"
    key = serialization.load_pem_private_key(identity.key.read_bytes(), None)
    assert key.public_key() == certificate.public_key()


def test_a_name_too_long_for_its_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too long"):
        Authority(tmp_path).sign("a" * 120 + "@xmpp.test")
