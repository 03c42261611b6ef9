"""PLAIN, and which mechanism is taken."""

import pytest

from emp.errors import AuthenticationError
from emp.sasl import MECHANISMS, Challenge, Success, acceptable, choose

PLAIN = MECHANISMS["PLAIN"]
ACCOUNTS = {"juliet": "R0m30"}


def test_client_message() -> None:
    assert PLAIN.client("juliet", "R0m30").initial() == b"\0juliet\0R0m30"


@pytest.mark.parametrize(
    ("username", "password"), [("", "x"), ("x", ""), ("a\0b", "x"), ("x", "a\0b"), ("\u0007", "x")]
)
def test_client_refuses_what_plain_cannot_say(username: str, password: str) -> None:
    with pytest.raises(AuthenticationError):
        PLAIN.client(username, password)


def test_client_knows_no_challenges() -> None:
    exchange = PLAIN.client("juliet", "R0m30")
    with pytest.raises(AuthenticationError):
        exchange.respond(b"x")
    with pytest.raises(AuthenticationError):
        exchange.finish(b"x")
    exchange.finish(None)
    assert "R0m30" not in repr(exchange)


@pytest.mark.parametrize("authzid", [b"", b"juliet", b"juliet@localhost"])
def test_server_accepts(authzid: bytes) -> None:
    exchange = PLAIN.server(ACCOUNTS.get)
    assert exchange.receive(None) == Challenge(b"")
    assert exchange.receive(authzid + b"\0juliet\0R0m30") == Success("juliet")


@pytest.mark.parametrize(
    ("message", "condition"),
    [
        (b"\0juliet\0r0m30", "not-authorized"),
        (b"\0romeo\0R0m30", "not-authorized"),
        (b"romeo\0juliet\0R0m30", "invalid-authzid"),
        (b"romeo@localhost\0juliet\0R0m30", "invalid-authzid"),
        (b"juliet\0R0m30", "malformed-request"),
        (b"\0juliet\0R0m30\0", "malformed-request"),
        (b"\0\0", "malformed-request"),
        (b"\0juliet\0", "malformed-request"),
        (b"\0juliet\0\xff", "malformed-request"),
        (b"", "malformed-request"),
    ],
)
def test_server_refuses(message: bytes, condition: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        PLAIN.server(ACCOUNTS.get).receive(message)
    assert caught.value.condition == condition


def chosen(offered: list[str], allowed: tuple[str, ...] | None, *, secure: bool) -> str | None:
    mechanism = choose(offered, allowed, secure=secure)
    return mechanism and mechanism.name


def test_strongest_first_whatever_the_server_prefers() -> None:
    offered = ["PLAIN", "SCRAM-SHA-1", "X-OAUTH", "SCRAM-SHA-256"]
    assert chosen(offered, None, secure=True) == "SCRAM-SHA-256"
    assert chosen(offered[:2], None, secure=True) == "SCRAM-SHA-1"
    assert chosen(["PLAIN"], None, secure=True) == "PLAIN"
    assert chosen(offered, ("PLAIN", "SCRAM-SHA-1"), secure=True) == "PLAIN"
    assert chosen(offered, ("NO-SUCH",), secure=True) is None


def test_plain_never_without_tls() -> None:
    assert chosen(["PLAIN"], None, secure=False) is None
    assert chosen(["PLAIN"], ("PLAIN",), secure=False) is None
    assert [each.name for each in acceptable(None, secure=False)] == [
        "SCRAM-SHA-256",
        "SCRAM-SHA-1",
    ]
