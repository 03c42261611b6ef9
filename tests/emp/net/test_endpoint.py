"""Addresses of WebSockets (RFC 6455 §3)."""

import pytest

from emp.net.endpoint import URL_LENGTH, Endpoint


@pytest.mark.parametrize(
    ("text", "expected", "shown"),
    [
        (
            "wss://im.test/ws",
            Endpoint(True, "im.test", 443, "/ws"),
            "wss://im.test/ws",
        ),
        ("ws://im.test", Endpoint(False, "im.test", 80, "/"), "ws://im.test/"),
        (
            "WSS://IM.Test:5281/a/b?c=d&e",
            Endpoint(True, "im.test", 5281, "/a/b?c=d&e"),
            "wss://im.test:5281/a/b?c=d&e",
        ),
        (
            "wss://bücher.test/",
            Endpoint(True, "xn--bcher-kva.test", 443, "/"),
            "wss://xn--bcher-kva.test/",
        ),
        (
            "wss://[2001:db8::1]:5281/",
            Endpoint(True, "2001:db8::1", 5281, "/"),
            "wss://[2001:db8::1]:5281/",
        ),
        ("ws://127.0.0.1:80/x", Endpoint(False, "127.0.0.1", 80, "/x"), "ws://127.0.0.1/x"),
        ("wss://im.test:80", Endpoint(True, "im.test", 80, "/"), "wss://im.test:80/"),
    ],
)
def test_what_is_one(text: str, expected: Endpoint, shown: str) -> None:
    endpoint = Endpoint.parse(text)
    assert endpoint == expected
    assert str(endpoint) == shown
    assert Endpoint.parse(shown) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "discover", "im.test", "//im.test/", "http://im.test/", "https://im.test/ws"),
        *("wss://", "wss:///ws", "wss://:443/", "wss://im.test:/", "wss://im.test:0/"),
        *("wss://im.test:65536/", "wss://im.test:443x/", "wss://im.test:-1/"),
        *("wss://user@im.test/", "wss://user:password@im.test/", "wss://im.test@evil.test/"),
        *("wss://im.test/#fragment", "wss://im.test#fragment", "wss://im.test?query"),
        *("wss://im.test/ HTTP/1.1", "wss://im.test/\r\nHost: evil", "wss://im.test/\n"),
        *("wss://im test/", "wss://im.test/ü", "wss://im..test/", "wss://[im.test]/"),
        *("wss://[::1/", "wss://im.test\\@evil.test/", " wss://im.test/", "wss://im.test/\0"),
        "wss://im.test/" + "x" * URL_LENGTH,
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"no address|no proper port|no host|not a domain"):
        Endpoint.parse(text)
