"""EXTERNAL (RFC 4422 appendix A, XEP-0178) and ANONYMOUS (RFC 4505, XEP-0175)."""

import pytest

from emp.errors import AuthenticationError
from emp.sasl import Challenge, Credentials, Success
from emp.sasl.anonymous import TRACE_BYTES
from tests.emp.sasl.support import client, converse, server

JULIET, NURSE = "juliet@localhost", "nurse@localhost"


def nobody(name: str) -> str | None:
    return None


def external(authzid: str | None = None) -> Credentials:
    return Credentials("juliet", None, authzid, certificate=True)


@pytest.mark.parametrize(
    ("authzid", "message"), [(None, b""), (JULIET, b"juliet@localhost"), ("é@x", "é@x".encode())]
)
def test_external_names_whom_it_is_told_to(authzid: str | None, message: bytes) -> None:
    exchange = client("EXTERNAL", credentials=external(authzid))
    assert exchange.initial() == message
    exchange.finish(None)
    exchange.finish(b"")


@pytest.mark.parametrize("name", ["EXTERNAL", "ANONYMOUS"])
def test_clients_know_no_challenges(name: str) -> None:
    exchange = client(name, credentials=external())
    with pytest.raises(AuthenticationError):
        exchange.respond(b"")
    with pytest.raises(AuthenticationError):
        exchange.finish(b"x")


@pytest.mark.parametrize(
    ("names", "response", "user"),
    [
        ((JULIET,), b"", "juliet"),
        ((JULIET,), b"juliet@localhost", "juliet"),
        ((JULIET,), b"Juliet@LOCALHOST", "juliet"),
        ((JULIET, NURSE), b"nurse@localhost", "nurse"),
        (("juliet@elsewhere", NURSE), b"", "nurse"),
        (("no jid@@", NURSE), b"", "nurse"),
    ],
)
def test_external_server_takes(names: tuple[str, ...], response: bytes, user: str) -> None:
    exchange = server("EXTERNAL", nobody, identities=names)
    assert exchange.receive(None) == Challenge(b"")
    assert exchange.receive(response) == Success(user)


@pytest.mark.parametrize(
    ("names", "response", "condition"),
    [
        ((), b"", "not-authorized"),
        ((), b"juliet@localhost", "not-authorized"),
        ((JULIET, NURSE), b"", "invalid-authzid"),
        ((JULIET,), b"nurse@localhost", "invalid-authzid"),
        ((JULIET,), b"juliet@localhost/balcony", "invalid-authzid"),
        ((JULIET,), b"localhost", "invalid-authzid"),
        ((JULIET,), b"@@", "invalid-authzid"),
        ((JULIET,), b"\xff", "malformed-request"),
        (("juliet@elsewhere",), b"juliet@elsewhere", "invalid-authzid"),
        (("juliet@elsewhere",), b"", "invalid-authzid"),
        (("localhost",), b"", "invalid-authzid"),
        (("juliet@localhost/x",), b"", "invalid-authzid"),
    ],
)
def test_external_server_refuses(names: tuple[str, ...], response: bytes, condition: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        server("EXTERNAL", nobody, identities=names).receive(response)
    assert caught.value.condition == condition


def test_strangers_get_names_that_nobody_guesses() -> None:
    names = {converse(client("ANONYMOUS"), server("ANONYMOUS", nobody)).username for _ in range(20)}
    assert len(names) == 20
    assert min(map(len, names)) >= 20


@pytest.mark.parametrize("trace", [b"", b"sirhc", "é".encode(), b"x" * TRACE_BYTES])
def test_a_trace_is_ignored(trace: bytes) -> None:
    exchange = server("ANONYMOUS", nobody)
    assert exchange.receive(None) == Challenge(b"")
    assert isinstance(exchange.receive(trace), Success)


@pytest.mark.parametrize("trace", [b"\xff", b"x" * (TRACE_BYTES + 1)])
def test_a_trace_that_is_none(trace: bytes) -> None:
    with pytest.raises(AuthenticationError) as caught:
        server("ANONYMOUS", nobody).receive(trace)
    assert caught.value.condition == "malformed-request"
