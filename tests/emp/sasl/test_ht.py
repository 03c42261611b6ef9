"""HT-SHA-256-*: vectors computed by hand with HMAC's definition, and both halves together."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emp.errors import AuthenticationError
from emp.sasl.ht import BINDINGS, HashedTokenClient, HashedTokenServer, proof
from emp.sasl.mechanism import Success

TOKEN = "secret-token:fast-Zx9"
BINDING = bytes(range(32))


def by_hand(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA-256 as RFC 2104 §2 writes it."""
    padded = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in padded) + message).digest()
    return hashlib.sha256(bytes(b ^ 0x5C for b in padded) + inner).digest()


def server(*tokens: str, binding: bytes = b"") -> HashedTokenServer:
    return HashedTokenServer(lambda name: tokens if name == "juliet" else (), binding)


def condition(half: HashedTokenServer, response: bytes | None) -> str:
    with pytest.raises(AuthenticationError) as caught:
        half.receive(response)
    return caught.value.condition


@pytest.mark.parametrize("binding", [b"", BINDING])
@pytest.mark.parametrize("role", ["Initiator", "Responder"])
def test_proofs_are_hmacs_of_role_and_binding(role: str, binding: bytes) -> None:
    assert proof(TOKEN, role, binding) == by_hand(TOKEN.encode(), role.encode() + binding)


# These four came out of `openssl dgst -sha256 -hmac`.
@pytest.mark.parametrize(
    ("binding", "first", "final"),
    [
        (
            b"",
            "anVsaWV0AJVPCXieiTrX83MS0n3l3h4VE93c5CeWGHiGwM2kSUow",
            "M3TVQFZBAtzgQKUJKKNGIFRCwTMBy4YZqm3oeqDG0+Q=",
        ),
        (
            BINDING,
            "anVsaWV0ACDSFIiUxvaMFn6suy5htOOBJRFNEmS51vmKAV/eOIuh",
            "IoaF98t4uS8oR1j4Kmt+RjAqydDS222g7EdWULM3kX4=",
        ),
    ],
)
def test_messages(binding: bytes, first: str, final: str) -> None:
    client = HashedTokenClient("juliet", TOKEN, binding)
    assert client.initial() == base64.b64decode(first)
    outcome = server(TOKEN, binding=binding).receive(client.initial())
    assert outcome == Success("juliet", base64.b64decode(final))


def test_the_server_must_prove_the_token() -> None:
    client = HashedTokenClient("juliet", TOKEN, BINDING)
    right = proof(TOKEN, "Responder", BINDING)
    client.finish(right)
    wrong = [
        None,
        b"",
        right[:-1],
        right + b"x",
        proof(TOKEN, "Responder", b""),
        proof("another", "Responder", BINDING),
        proof(TOKEN, "Initiator", BINDING),  # our own proof, reflected
    ]
    for additional in wrong:
        with pytest.raises(AuthenticationError):
            client.finish(additional)
    with pytest.raises(AuthenticationError):
        client.respond(b"")


def test_each_token_that_may_be_used_is_tried() -> None:
    first = HashedTokenClient("juliet", TOKEN, b"").initial()
    for tokens in ((TOKEN, "old"), ("new", TOKEN)):
        half = server(*tokens)
        assert isinstance(half.receive(first), Success)
        assert half.token == TOKEN


@pytest.mark.parametrize(
    ("name", "token", "binding"),
    [
        ("juliet", "wrong", b""),
        ("juliet", TOKEN, BINDING),  # proved on another channel
        ("romeo", TOKEN, b""),
    ],
)
def test_wrong_proofs(name: str, token: str, binding: bytes) -> None:
    half = server(TOKEN)
    assert condition(half, HashedTokenClient(name, token, binding).initial()) == "not-authorized"
    assert half.token is None


@pytest.mark.parametrize(
    "response",
    [
        None,
        b"",
        b"juliet",
        b"juliet\0",
        b"juliet\0short",
        b"\0" + bytes(32),
        b"\xff\0" + bytes(32),
        b"x" * 1024 + b"\0" + bytes(32),
        b"juliet\0" + bytes(33),
    ],
)
def test_malformed(response: bytes | None) -> None:
    assert condition(server(TOKEN), response) == "malformed-request"


@given(st.binary(max_size=80))
def test_any_bytes_are_refused_in_order(response: bytes) -> None:
    assert condition(server(TOKEN), response) in ("malformed-request", "not-authorized")


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_names_that_cannot_be_sent(name: str) -> None:
    with pytest.raises(AuthenticationError):
        HashedTokenClient(name, TOKEN, b"")


def test_strongest_first_and_no_binding_last() -> None:
    assert list(BINDINGS.values()) == ["tls-exporter", "tls-unique", "tls-server-end-point", None]


def test_no_secrets_show() -> None:
    for half in (HashedTokenClient("juliet", TOKEN, b""), server(TOKEN)):
        assert TOKEN not in repr(half)
