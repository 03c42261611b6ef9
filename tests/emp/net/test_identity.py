"""Which names in a certificate are whose: RFC 6120 §13.7.1.2 and RFC 9525, case by case."""

from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from emp.net.identity import SRV_NAME, XMPP_ADDR, Names, _der_text, matches, names_in
from emp.net.names import ip_literal
from tests.emp.net.certificates import (
    CERTIFICATES,
    Certificates,
    Recipe,
    dns,
    ip,
    load,
    other,
    srv,
    xmpp,
)

IDN = "xn--mller-kva.test"


@pytest.mark.parametrize(
    ("names", "wanted", "good"),
    [
        # dNSName
        ([dns("im.test")], "im.test", True),
        ([dns("IM.Test")], "im.test", True),
        ([dns("a.test"), dns("im.test")], "im.test", True),
        ([dns("im.test.")], "im.test", False),
        ([dns("im.test")], "a.im.test", False),
        ([dns("a.im.test")], "im.test", False),
        ([dns("notim.test")], "im.test", False),
        ([dns("im.test.evil.test")], "im.test", False),
        ([dns("im.test\0.evil.test")], "im.test", False),
        ([dns(IDN)], IDN, True),
        # wildcards: the whole left-most label, for exactly one label
        ([dns("*.im.test")], "a.im.test", True),
        ([dns("*.IM.test")], "a.im.test", True),
        ([dns("*.im.test")], IDN.replace("test", "im.test"), True),
        ([dns("*.im.test")], "im.test", False),
        ([dns("*.im.test")], "a.b.im.test", False),
        ([dns("*.test")], "im.test", False),
        ([dns("*.")], "test", False),
        ([dns("*")], "test", False),
        ([dns("*.*.test")], "a.im.test", False),
        ([dns("i*.im.test")], "im.im.test", False),
        ([dns("*m.im.test")], "im.im.test", False),
        ([dns("xn--*.im.test")], "xn--a.im.test", False),
        ([dns("a.*.test")], "a.im.test", False),
        # SRVName
        ([srv("_xmpp-client.im.test")], "im.test", True),
        ([srv("_XMPP-Client.IM.test")], "im.test", True),
        ([srv("_xmpp-server.im.test")], "im.test", False),
        ([srv("_xmpps-client.im.test")], "im.test", False),
        ([srv("_xmpp-client.*.test")], "im.test", False),
        ([srv("*.im.test")], "_xmpp-client.im.test", False),
        ([srv("im.test")], "im.test", False),
        ([srv("_xmpp-client.im.test")], "a.im.test", False),
        # xmppAddr
        ([xmpp("im.test")], "im.test", True),
        ([xmpp("IM.test")], "im.test", True),
        ([xmpp("müller.test")], IDN, True),
        ([xmpp(IDN)], IDN, True),
        ([xmpp("romeo@im.test")], "im.test", False),
        ([xmpp("im.test/server")], "im.test", False),
        ([xmpp("*.im.test")], "a.im.test", False),
        ([xmpp("a.im.test")], "im.test", False),
        ([xmpp("")], "im.test", False),
        # addresses: only for addresses, and nothing else for them
        ([ip("192.0.2.1")], "192.0.2.1", True),
        ([ip("2001:db8::1")], "2001:db8::1", True),
        ([ip("192.0.2.2")], "192.0.2.1", False),
        ([dns("192.0.2.1")], "192.0.2.1", False),
        ([xmpp("192.0.2.1")], "192.0.2.1", False),
        ([dns("*.0.2.1")], "192.0.2.1", False),
        ([ip("192.0.2.1")], "im.test", False),
    ],
)
def test_who_a_certificate_is_for(
    names: list[x509.GeneralName], wanted: str, good: bool, certificates: Certificates
) -> None:
    certificate = load(certificates.make("one", Recipe(tuple(names))))
    assert matches(names_in(certificate), wanted) is good


@pytest.mark.parametrize(
    ("names", "good"),
    [
        ([dns("im.test")], True),
        ([srv("_xmpp-client.im.test")], False),
        ([xmpp("im.test")], False),
    ],
)
def test_machines_have_names_of_dns_only(
    names: list[x509.GeneralName], good: bool, certificates: Certificates
) -> None:
    found = names_in(load(certificates.make("machine", Recipe(tuple(names)))))
    assert matches(found, "im.test", None) is good


def test_the_common_name_never_counts(certificates: Certificates) -> None:
    found = names_in(load(certificates["bad-cn-only"]))
    assert found == Names(dns=("other.test",))


def test_without_names(tmp_path: Path) -> None:
    certificate = x509.load_pem_x509_certificate(Certificates(tmp_path).ca.read_bytes())
    assert names_in(certificate) == Names()
    assert str(Names()) == "no name that counts"


@pytest.mark.parametrize(
    "value",
    [
        other(SRV_NAME, 0x0C, b"_xmpp-client.im.test"),  # the wrong kind of string
        other(SRV_NAME, 0x16, "_xmpp-client.im.test\u00e9".encode()),
        other(XMPP_ADDR, 0x16, b"im.test"),
        other(XMPP_ADDR, 0x0C, b"\xff"),
        x509.OtherName(x509.ObjectIdentifier("1.2.3.4"), b"\x0c\x07im.test"),
    ],
)
def test_other_names_that_are_not_what_they_should_be(
    value: x509.GeneralName, certificates: Certificates
) -> None:
    assert names_in(load(certificates.make("odd", Recipe((value,))))) == Names()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x0c",
        b"\x0c\x08im.test",  # longer than it is
        b"\x0c\x06im.test",  # shorter than it is
        b"\x0c\x80im.test\0\0",  # of unknown length
        b"\x0c\x83\0\0\x07im.test",
        b"\x0c\x81",
    ],
)
def test_lengths_that_are_wrong(value: bytes) -> None:
    assert _der_text(value, 0x0C, "utf-8") is None


def test_long_names_have_long_lengths(certificates: Certificates) -> None:
    address = "a" * 63 + "." + "b" * 63 + ".test"
    assert len(address) > 127  # so the length takes two bytes
    found = names_in(load(certificates.make("long", Recipe((xmpp(address),)))))
    assert found.xmpp == (address,)
    assert matches(found, address)


def test_names_of_strangers_are_shown_with_care() -> None:
    names = Names(dns=("evil\n\x1b[31m.test", "x" * 500, "a", "b", "c", "d", "e"))
    shown = str(names)
    assert shown.isprintable()
    assert shown.endswith("and 2 more")
    assert len(shown) < 200


@given(st.binary(max_size=40))
def test_any_bytes_for_a_der_string(value: bytes) -> None:
    for tag, encoding in ((0x16, "ascii"), (0x0C, "utf-8")):
        text = _der_text(value, tag, encoding)
        assert text is None or value.endswith(text.encode())


LABEL = st.from_regex("[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
NAME = (
    st.lists(LABEL, min_size=1, max_size=4)
    .map(".".join)
    .filter(lambda name: ip_literal(name) is None)
)


@given(NAME, NAME)
def test_a_plain_name_matches_itself_only(pattern: str, wanted: str) -> None:
    assert matches(Names(dns=(pattern,)), wanted) is (pattern == wanted)


@given(NAME, NAME)
def test_a_wildcard_matches_one_label_before_its_rest(rest: str, wanted: str) -> None:
    first, dot, parent = wanted.partition(".")
    good = bool(first and dot) and parent == rest and "." in rest
    assert matches(Names(dns=(f"*.{rest}",)), wanted) is good


@given(st.text(max_size=20), NAME)
def test_any_text_in_a_certificate(text: str, wanted: str) -> None:
    found = Names((text,), (text,), (text,), (text,))
    if matches(found, wanted):
        assert wanted in text.lower() or text.startswith("*.") or not text.isascii()


def test_good_certificates_match(certificates: Certificates) -> None:
    for label, recipe in CERTIFICATES.items():
        if label.startswith("ok-"):
            wanted = IDN if "müller" in recipe.domain else recipe.domain
            assert matches(names_in(load(certificates[label])), wanted)
