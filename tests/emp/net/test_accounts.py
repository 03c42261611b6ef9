"""The accounts that a client's certificate names (XEP-0178)."""

from pathlib import Path
from typing import Any

import pytest

from emp.config import ConnectionSettings
from emp.net.accounts import accounts_in, authzid
from tests.emp.net.wire import der, issue

ROMEO = "romeo@im.test"


def settings(**more: Any) -> ConnectionSettings:
    return ConnectionSettings("romeo", "im.test", "client", "romeo", **more)


@pytest.mark.parametrize(
    ("named", "accounts"),
    [
        ((), ()),
        ((ROMEO,), (ROMEO,)),
        (("Romeo@IM.test",), (ROMEO,)),
        ((ROMEO, "mercutio@im.test"), (ROMEO, "mercutio@im.test")),
        (("im.test", "romeo@im.test/orchard", "@@", ROMEO), (ROMEO,)),
    ],
)
def test_accounts(named: tuple[str, ...], accounts: tuple[str, ...], tmp_path: Path) -> None:
    assert accounts_in(der(issue(tmp_path, "romeo", accounts=named))) == accounts


@pytest.mark.parametrize("certificate", [b"", b"no certificate", b"\x30\x03\x02\x01\x01"])
def test_what_is_no_certificate_names_nobody(certificate: bytes) -> None:
    assert accounts_in(certificate) == ()


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ((ROMEO,), None),
        ((ROMEO, "mercutio@im.test"), ROMEO),
        (("mercutio@im.test",), ROMEO),
        ((), ROMEO),
    ],
)
def test_whom_external_must_name(
    named: tuple[str, ...], expected: str | None, tmp_path: Path
) -> None:
    certificate = issue(tmp_path, "romeo", accounts=named)
    assert authzid(settings(certificate=certificate)) == expected


def test_without_a_certificate_nobody(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----")
    for certificate in (None, tmp_path / "missing.pem", broken):
        assert authzid(settings(certificate=certificate)) is None
