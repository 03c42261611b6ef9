"""PEM files are opened before anything connects."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from emp.config import ConnectionSettings
from emp.devserver.certificate import CertificateFiles, ensure_certificate
from emp.net.pems import RENEWAL, examine

DAY = dt.timedelta(days=1)
NOW = dt.datetime.now(dt.UTC)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    return ensure_certificate(tmp_path_factory.mktemp("good"), "localhost")


def found(now: dt.datetime = NOW, **files: Path) -> list[tuple[str, bool, str]]:
    settings = ConnectionSettings(name="x", host="localhost", **files)  # type: ignore[arg-type]
    return [(each.key, each.fatal, each.message) for each in examine(settings, now)]


def test_nothing_to_say(good: CertificateFiles) -> None:
    assert found() == []
    assert found(ca_file=good.ca, certificate=good.certificate, key=good.key) == []


@pytest.mark.parametrize(
    ("left", "fatal", "words"),
    [
        (RENEWAL + 2 * DAY, None, ""),
        (RENEWAL / 2, False, "it ends on "),
        (-DAY, True, "it ended on "),
        (400 * DAY, True, "it is valid from "),
    ],
)
def test_dates(good: CertificateFiles, left: dt.timedelta, fatal: bool | None, words: str) -> None:
    now = NOW + dt.timedelta(days=365) - left
    told = found(now, certificate=good.certificate, key=good.key)
    expected = [] if fatal is None else [("certificate", fatal)]
    assert [(key, each) for key, each, _ in told] == expected
    assert all(words in message for _, _, message in told)


def test_an_authority_that_has_ended(good: CertificateFiles) -> None:
    [(key, fatal, message)] = found(NOW + 400 * DAY, ca_file=good.ca)
    assert (key, fatal) == ("ca_file", True)
    assert "have ended" in message


def test_a_key_that_others_can_read(good: CertificateFiles, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(good.key.read_bytes())
    key.chmod(0o640)
    [(name, fatal, message)] = found(certificate=good.certificate, key=key)
    assert (name, fatal) == ("key", False)
    assert "0640" in message


def test_files_that_are_none(good: CertificateFiles, tmp_path: Path) -> None:
    other = ensure_certificate(tmp_path / "other", "localhost")
    junk = tmp_path / "junk.pem"
    junk.write_text("not PEM")
    empty = tmp_path / "empty.pem"
    empty.touch()
    for files, key, words in (
        ({"ca_file": junk}, "ca_file", "holds no certificate"),
        ({"ca_file": empty}, "ca_file", "holds no certificate"),
        ({"certificate": junk}, "certificate", "no private key"),
        ({"certificate": good.certificate}, "certificate", "no private key"),
        ({"certificate": good.certificate, "key": junk}, "key", "no usable pair"),
        ({"certificate": good.certificate, "key": other.key}, "key", "is not the certificate's"),
    ):
        [(name, fatal, message)] = found(**files)
        assert (name, fatal) == (key, True)
        assert words in message, message
