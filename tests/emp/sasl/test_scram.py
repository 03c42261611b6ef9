"""SCRAM: the vectors of the RFCs, and servers that cheat."""

import base64
from collections.abc import Callable

import pytest

from emp.errors import AuthenticationError
from emp.sasl import MECHANISMS, Challenge, Success
from emp.sasl.scram import (
    MAX_ITERATIONS,
    MIN_ITERATIONS,
    ScramClient,
    ScramServer,
    escape_name,
    unescape_name,
)

# RFC 5802 §5 and RFC 7677 §3: digest, client nonce, first, server first, final, server final
VECTORS = {
    "RFC 5802": (
        "sha1",
        "fyko+d2lbbFgONRv9qkxdawL",
        b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    "RFC 7677": (
        "sha256",
        "rOprNGfwEbeRWgbNEkqO",
        b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
}
NONCE = "fyko+d2lbbFgONRv9qkxdawL"
_, _, FIRST, CHALLENGE, FINAL, VERIFIER = VECTORS["RFC 5802"]


def client() -> ScramClient:
    return ScramClient("user", "pencil", digest="sha1", nonce=NONCE)


def proven() -> ScramClient:
    exchange = client()
    assert exchange.initial() == FIRST
    assert exchange.respond(CHALLENGE) == FINAL
    return exchange


@pytest.mark.parametrize("name", VECTORS)
def test_client_vectors(name: str) -> None:
    digest, nonce, first, challenge, final, verifier = VECTORS[name]
    exchange = ScramClient("user", "pencil", digest=digest, nonce=nonce)
    assert exchange.initial() == first
    assert exchange.respond(challenge) == final
    exchange.finish(verifier)


def test_server_signature_as_a_last_challenge() -> None:
    exchange = proven()
    assert exchange.respond(VERIFIER) == b""
    exchange.finish(None)
    with pytest.raises(AuthenticationError):
        exchange.respond(VERIFIER)


@pytest.mark.parametrize(
    "last",
    [
        None,
        b"",
        b"v=",
        b"v=AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ",
        b"v=rmF9pqV8S7suAoZWja4dJRkFsKR=",
        b"V=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        b"e=other-error",
        b"\xff",
        b"x" * 5000,
    ],
)
def test_success_without_the_servers_proof_is_failure(last: bytes | None) -> None:
    with pytest.raises(AuthenticationError):
        proven().finish(last)
    if last:
        with pytest.raises(AuthenticationError):
            proven().respond(last)


def test_success_at_once_is_failure() -> None:
    for data in (None, VERIFIER):
        with pytest.raises(AuthenticationError):
            client().finish(data)


@pytest.mark.parametrize(
    "challenge",
    [
        CHALLENGE.replace(b"r=fyko", b"r=gyko"),
        b"r=fyko+d2lbbFgONRv9qkxdawL,s=QSXCR+Q6sek8bf92,i=4096",
        b"r=fyko+d2lbbFg,s=QSXCR+Q6sek8bf92,i=4096",
        b"m=ext," + CHALLENGE,
        CHALLENGE + b",m=ext",
        CHALLENGE.replace(b"QSXCR+Q6sek8bf92", b"QSXCR+Q6sek8bf9"),
        CHALLENGE.replace(b"QSXCR+Q6sek8bf92", b""),
        CHALLENGE.replace(b"QSXCR+Q6sek8bf92", b"===="),
        CHALLENGE.replace(b"QSXCR", b"QS CR"),
        b"s=QSXCR+Q6sek8bf92,r=fyko+d2lbbFgONRv9qkxdawL3rf,i=4096",
        CHALLENGE.replace(b"4096", b"four"),
        CHALLENGE.replace(b",i=4096", b""),
        b"",
        b"\xff",
        b"x" * 5000,
    ],
)
def test_bad_challenges(challenge: bytes) -> None:
    with pytest.raises(AuthenticationError):
        client().respond(challenge)


@pytest.mark.parametrize(
    "iterations", [1, 0, -1, MIN_ITERATIONS - 1, MAX_ITERATIONS + 1, 2**31, 10**19]
)
def test_iteration_bounds(iterations: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(*args: object) -> bytes:
        raise AssertionError("2^31 iterations would take a quarter of an hour")

    monkeypatch.setattr("emp.sasl.scram.salt_password", work)
    challenge = CHALLENGE.replace(b"4096", b"%d" % iterations)
    with pytest.raises(AuthenticationError):
        client().respond(challenge)


def test_unknown_extensions_are_ignored() -> None:
    assert client().respond(CHALLENGE + b",x=y").startswith(b"c=biws,")


@pytest.mark.parametrize(
    ("name", "escaped"), [("a=b", "a=3Db"), ("a,b", "a=2Cb"), ("=2C", "=3D2C"), ("é", "é")]
)
def test_names_are_escaped(name: str, escaped: str) -> None:
    assert escape_name(name) == escaped
    assert unescape_name(escaped) == name
    exchange = ScramClient(name, "x", digest="sha1", nonce="n")
    assert exchange.initial() == f"n,,n={escaped},r=n".encode()


def test_prohibited_characters_are_refused_here() -> None:
    for name, password in (("a\0b", "x"), ("x", "a\u0007"), ("", "x")):
        with pytest.raises(AuthenticationError):
            ScramClient(name, password, digest="sha1")


# -- both halves ----------------------------------------------------------------------------------

ACCOUNTS = {"user": "pencil", "a=b,c": "x", "IX": "I\u00adX", "broken": "\u0007", "empty": ""}


def converse(name: str, username: str, password: str) -> Success:
    mechanism = MECHANISMS[name]
    here = mechanism.client(username, password)
    there = mechanism.server(ACCOUNTS.get)
    outcome = there.receive(here.initial())
    while isinstance(outcome, Challenge):
        outcome = there.receive(here.respond(outcome.data))
    here.finish(outcome.additional)
    return outcome


@pytest.mark.parametrize("name", MECHANISMS)
@pytest.mark.parametrize(
    ("username", "password"),
    [("user", "pencil"), ("a=b,c", "x"), ("\u2168", "IX"), ("I\u00adX", "IX")],
)
def test_both_halves(name: str, username: str, password: str) -> None:
    assert converse(name, username, password).username in ACCOUNTS


@pytest.mark.parametrize("name", MECHANISMS)
@pytest.mark.parametrize(
    ("username", "password"),
    [("user", "Pencil"), ("nobody", "pencil"), ("broken", "x"), ("empty", "x"), ("user", "penci")],
)
def test_wrong_credentials_look_alike(name: str, username: str, password: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        converse(name, username, password)
    assert (caught.value.condition, caught.value.text) == ("not-authorized", "")


def server_vector() -> ScramServer:
    return ScramServer(ACCOUNTS.get, digest="sha1", nonce="srv")


def challenge_of(exchange: ScramServer, first: bytes) -> bytes:
    outcome = exchange.receive(first)
    assert isinstance(outcome, Challenge)
    return outcome.data


def test_server_asks_for_what_is_missing() -> None:
    assert challenge_of(server_vector(), FIRST).startswith(f"r={NONCE}srv,s=".encode())
    exchange = server_vector()
    assert exchange.receive(None) == Challenge(b"")
    assert b",i=4096" in challenge_of(exchange, FIRST)


def test_unknown_users_get_a_challenge_of_the_same_shape() -> None:
    known = challenge_of(server_vector(), FIRST).split(b",")
    unknown = challenge_of(server_vector(), FIRST.replace(b"user", b"nobody")).split(b",")
    assert [len(part) for part in known] == [len(part) for part in unknown]
    assert known[1] != unknown[1]


@pytest.mark.parametrize(
    ("first", "condition"),
    [
        (b"p=tls-unique,,n=user,r=x", "malformed-request"),
        (b"n,,m=x,n=user,r=x", "malformed-request"),
        (b"n,,n=us=er,r=x", "malformed-request"),
        (b"n,,n=,r=x", "malformed-request"),
        (b"n,,n=user", "malformed-request"),
        (b"n,,n=user,r=", "malformed-request"),
        (b"n,,n=\xff,r=x", "malformed-request"),
        (b"n,,n=a\x07b,r=x", "malformed-request"),
        (b"n,a=other,n=user,r=x", "invalid-authzid"),
        (b"", "malformed-request"),
    ],
)
def test_bad_first_messages(first: bytes, condition: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        server_vector().receive(first)
    assert caught.value.condition == condition


def _other_binding(final: bytes) -> bytes:
    return final.replace(b"c=biws", b"c=" + base64.b64encode(b"y,,"))


@pytest.mark.parametrize(
    "change",
    [
        _other_binding,
        lambda final: final.replace(b"srv", b"vrs"),
        lambda final: final.replace(b",p=", b",x=y,p="),
        lambda final: final.replace(b",p=", b",m=y,p="),
        lambda final: final[:-4] + b"AAA=",
        lambda final: final[: final.index(b",p=")],
        lambda final: b"",
        lambda final: final.replace(b"c=biws", b"c=biw"),
    ],
)
def test_bad_last_messages(change: Callable[[bytes], bytes]) -> None:
    exchange = server_vector()
    final = client().respond(challenge_of(exchange, FIRST))
    with pytest.raises(AuthenticationError):
        exchange.receive(change(final))


def test_secrets_do_not_show() -> None:
    exchange = ScramClient("user", "pencil", digest="sha1")
    assert "pencil" not in repr(exchange)
    assert not hasattr(exchange, "__dict__")
