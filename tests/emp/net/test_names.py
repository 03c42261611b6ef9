import pytest

from emp.net.names import a_label, ip_literal, is_localhost, is_loopback


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("example.org", "example.org"),
        ("Example.ORG.", "example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8::1]", "2001:db8::1"),
    ],
)
def test_a_label(domain: str, expected: str) -> None:
    assert a_label(domain) == expected


def test_a_label_refuses_what_is_no_domain() -> None:
    with pytest.raises(ValueError, match="not a domain name"):
        a_label("ex\u200bample\u2603..org")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("hack.localhost", True),
        ("LOCALHOST.", True),
        ("notlocalhost", False),
        ("localhost.example.org", False),
    ],
)
def test_is_localhost(host: str, expected: bool) -> None:
    assert is_localhost(host) is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("192.0.2.1", False),
        ("localhost", True),
        ("example.org", False),
    ],
)
def test_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_ip_literal_is_none_for_names() -> None:
    assert ip_literal("example.org") is None
    assert ip_literal("[example.org]") is None
