"""SCRAM: the vectors of the RFCs, and servers that cheat."""

import base64
from collections.abc import Callable
from typing import Any

import pytest

from emp.errors import AuthenticationError
from emp.sasl import (
    MECHANISMS,
    Attempt,
    Authority,
    Binding,
    Challenge,
    Channel,
    Credentials,
    Memory,
    Work,
)
from emp.sasl.scram import (
    MAX_ITERATIONS,
    MIN_ITERATIONS,
    escape_name,
    hash_of_offer,
    unescape_name,
)
from emp.sasl.scram_client import ScramClient
from emp.sasl.scram_server import ScramServer
from tests.emp.sasl.support import BINDINGS, attempt, converse, respond, server
from tests.emp.sasl.support import client as client_of

# Digest, client nonce, first, server first, final, server final. RFC 5802 §5 and RFC 7677 §3; for
# SHA-512 and for channel binding no RFC has any: those were computed with Scramp 1.5.
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
    "SHA-512": (
        "sha512",
        "fyko+d2lbbFgONRv9qkxdawL",
        b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=W22ZaJ0SNWs/WnyPABEiMw==,i=4096",
        b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,"
        b"p=khGIiVNa+Fc7dfYU/1b4ErID267db0r1DIdwaEcorEI2B4KpGEpp7jDGVGTZkLuGAS0+/9UKfcHKD+wIZc6f"
        b"bA==",
        b"v=+mRqCvoBn/pQekZNyMXVjhxNdqweyhWQ7+7+9Y1aX/HpXMG0d4ZMJRP6HEaq9JvakfkmOw6DxJCReSZAbGF8"
        b"ZQ==",
    ),
    "SHA-512, tls-unique": (
        "sha512",
        "fyko+d2lbbFgONRv9qkxdawL",
        b"p=tls-unique,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=W22ZaJ0SNWs/WnyPABEiMw==,i=4096",
        b"c=cD10bHMtdW5pcXVlLCwiIiIiIiIiIiIiIiI=,"
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,"
        b"p=Hc2UupllTlTYDAMYg+ueUaU6PlCwe1QF2exKk6NLAnY58UYaJvHVNWF9hZsPvYmlT5W6erko2uqzpDxI/NxQ"
        b"hA==",
        b"v=9nNRn5Z4U9IcOlHpFfm5V8/GbR5zN97cls0fYwNdGmhW0CUJe79nBDlD4qcPg1PTf4MwbtxSBVBuwf1Sprw"
        b"RMw==",
    ),
    "SHA-256, tls-server-end-point": (
        "sha256",
        "fyko+d2lbbFgONRv9qkxdawL",
        b"p=tls-server-end-point,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=W22ZaJ0SNWs/WnyPABEiMw==,i=4096",
        b"c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzM=,"
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,"
        b"p=mr8Rig6GVy4XlrbxT2j9o1cN2l/rKubtuKskkZmzIcM=",
        b"v=/PckRv3SbQMDfjcGMBDtCuCEsdZJ41X9ZYcH0s3lD1o=",
    ),
}
NONCE = "fyko+d2lbbFgONRv9qkxdawL"
_, _, FIRST, CHALLENGE, FINAL, VERIFIER = VECTORS["RFC 5802"]


NAMES = [name for name in MECHANISMS if name.startswith("SCRAM")]


def login(**changes: Any) -> Attempt:
    """With SCRAM-SHA-1, of a client without channel binding."""
    return attempt("SCRAM-SHA-1", channel=Channel(offered=("SCRAM-SHA-1",)), **changes)


def client(**changes: Any) -> ScramClient:
    return ScramClient(login(**changes), digest="sha1", nonce=NONCE)


def proven() -> ScramClient:
    exchange = client()
    assert exchange.initial() == FIRST
    assert respond(exchange, CHALLENGE) == FINAL
    return exchange


@pytest.mark.parametrize("name", VECTORS)
def test_client_vectors(name: str) -> None:
    digest, nonce, first, challenge, final, verifier = VECTORS[name]
    flag = first.decode().partition(",")[0]
    binding = Binding(flag, BINDINGS.get(flag.removeprefix("p="), b""))
    exchange = ScramClient(login(binding=binding), digest=digest, nonce=nonce)
    assert exchange.initial() == first
    assert respond(exchange, challenge) == final
    exchange.finish(verifier)


def test_server_signature_as_a_last_challenge() -> None:
    exchange = proven()
    assert respond(exchange, VERIFIER) == b""
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
        respond(client(), challenge)


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
    assert respond(client(), CHALLENGE + b",x=y").startswith(b"c=biws,")


@pytest.mark.parametrize(
    ("name", "escaped"), [("a=b", "a=3Db"), ("a,b", "a=2Cb"), ("=2C", "=3D2C"), ("é", "é")]
)
def test_names_are_escaped(name: str, escaped: str) -> None:
    assert escape_name(name) == escaped
    assert unescape_name(escaped) == name
    exchange = ScramClient(login(credentials=Credentials(name, "x")), digest="sha1", nonce="n")
    assert exchange.initial() == f"n,,n={escaped},r=n".encode()


def test_prohibited_characters_are_refused_here() -> None:
    for name, password in (("a\0b", "x"), ("x", "a\u0007"), ("", "x")):
        with pytest.raises(AuthenticationError):
            login(credentials=Credentials(name, password)).begin()


# -- both halves ----------------------------------------------------------------------------------

ACCOUNTS = {"user": "pencil", "a=b,c": "x", "IX": "I\u00adX", "broken": "\u0007", "empty": ""}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("username", "password"),
    [("user", "pencil"), ("a=b,c", "x"), ("\u2168", "IX"), ("I\u00adX", "IX")],
)
def test_both_halves(name: str, username: str, password: str) -> None:
    here, there = client_of(name, username, password), server(name, ACCOUNTS.get)
    assert converse(here, there).username in ACCOUNTS


@pytest.mark.parametrize("name", [*NAMES, "PLAIN"])
@pytest.mark.parametrize(
    ("username", "password"),
    [("user", "Pencil"), ("nobody", "pencil"), ("broken", "x"), ("empty", "x"), ("user", "penci")],
)
def test_wrong_credentials_look_alike(name: str, username: str, password: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        converse(client_of(name, username, password), server(name, ACCOUNTS.get))
    assert (caught.value.condition, caught.value.text) == ("not-authorized", "")


def server_vector() -> ScramServer:
    authority = Authority("localhost", ACCOUNTS.get)
    channel = Channel(offered=("SCRAM-SHA-1",))
    return ScramServer(authority, channel, digest="sha1", binds=False, nonce="srv")


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
        lambda final: final[: final.index(b",p=")] + b",p=AAAA",
    ],
)
def test_bad_last_messages(change: Callable[[bytes], bytes]) -> None:
    exchange = server_vector()
    final = respond(client(), challenge_of(exchange, FIRST))
    with pytest.raises(AuthenticationError):
        exchange.receive(change(final))


def test_secrets_do_not_show() -> None:
    exchange = client()
    work = exchange.respond(CHALLENGE)
    assert isinstance(work, Work)
    work.run()
    assert work.resume() == FINAL
    assert "pencil" not in f"{exchange!r}{work!r}{login()!r}{login().memory!r}"
    assert not hasattr(exchange, "__dict__")


# -- work that is done elsewhere ------------------------------------------------------------------


def test_the_slow_part_is_handed_out_and_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory()
    work = client(memory=memory).respond(CHALLENGE)
    assert isinstance(work, Work)
    work.run()
    assert work.resume() == FINAL
    monkeypatch.setattr("emp.sasl.scram.salt_password", None)
    assert client(memory=memory).respond(CHALLENGE) == FINAL


@pytest.mark.parametrize(
    ("credentials", "challenge"),
    [
        (Credentials("user", "penci1"), CHALLENGE),
        (Credentials("user2", "pencil"), CHALLENGE),
        (Credentials("user", "pencil"), CHALLENGE.replace(b"i=4096", b"i=4097")),
        (Credentials("user", "pencil"), CHALLENGE.replace(b"QSXCR", b"QSXCS")),
    ],
)
def test_other_passwords_salts_and_counts_are_computed_anew(
    credentials: Credentials, challenge: bytes
) -> None:
    memory = Memory()
    respond(client(memory=memory), CHALLENGE)
    assert isinstance(client(memory=memory, credentials=credentials).respond(challenge), Work)


# -- channel binding ------------------------------------------------------------------------------

PLUS = "SCRAM-SHA-256-PLUS"


def test_a_man_in_the_middle_with_a_good_certificate_is_noticed() -> None:
    elsewhere = Binding("p=tls-exporter", b"\x44" * 32)  # what his connection to us gives
    with pytest.raises(AuthenticationError) as caught:
        converse(client_of(PLUS, binding=elsewhere), server(PLUS, ACCOUNTS.get))
    assert caught.value.condition == "not-authorized"


@pytest.mark.parametrize("flag", ["n", "y", "p=tls-unheard-of", "p=tls-server-end-points"])
def test_a_server_wants_the_binding_that_the_mechanism_promises(flag: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        server(PLUS, ACCOUNTS.get).receive(f"{flag},,n=user,r=x".encode())
    assert caught.value.condition == "malformed-request"


def test_a_server_notices_that_its_plus_was_taken_off_the_list() -> None:
    channel = Channel(True, BINDINGS, (PLUS, "SCRAM-SHA-256"), tuple(BINDINGS))
    there = server("SCRAM-SHA-256", ACCOUNTS.get, channel)
    with pytest.raises(AuthenticationError) as caught:
        there.receive(b"y,,n=user,r=x")
    assert caught.value.condition == "not-authorized"
    there = server("SCRAM-SHA-256", ACCOUNTS.get, Channel(True, {}, ("SCRAM-SHA-256",)))
    assert isinstance(there.receive(b"y,,n=user,r=x"), Challenge)


def test_the_flag_cannot_be_changed_on_the_way() -> None:
    channel = Channel(True, BINDINGS, (PLUS, "SCRAM-SHA-256"), tuple(BINDINGS))
    here = client_of("SCRAM-SHA-256", binding=Binding("y"), channel=channel)
    there = server("SCRAM-SHA-256", ACCOUNTS.get, channel)
    first = here.initial()
    assert first.startswith(b"y,,")
    challenge = there.receive(b"n" + first[1:])
    assert isinstance(challenge, Challenge)
    with pytest.raises(AuthenticationError):
        there.receive(respond(here, challenge.data))


# -- the offer (XEP-0474) -------------------------------------------------------------------------


def test_hash_of_the_example() -> None:
    # XEP-0474 §5.3
    mechanisms = ["SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"]
    types = ["tls-server-end-point", "tls-exporter"]
    assert hash_of_offer("sha1", mechanisms, types) == "G6k/rBLDqgOhRRaCuuatSDFkJ08="
    assert hash_of_offer("sha1", mechanisms, None) != hash_of_offer("sha1", mechanisms, ())


@pytest.mark.parametrize(
    ("offered", "announced"),
    [
        (("SCRAM-SHA-256",), ("tls-exporter",)),
        (("SCRAM-SHA-256", "SCRAM-SHA-512"), ("tls-exporter",)),
        (("SCRAM-SHA-256", PLUS), None),
        (("SCRAM-SHA-256", PLUS), ()),
        (("SCRAM-SHA-256", PLUS), ("tls-exporter", "tls-unique")),
    ],
)
def test_a_changed_offer_is_noticed(
    offered: tuple[str, ...], announced: tuple[str, ...] | None
) -> None:
    true = Channel(True, BINDINGS, ("SCRAM-SHA-256", PLUS), ("tls-exporter",))
    seen = Channel(True, BINDINGS, offered, announced)
    with pytest.raises(AuthenticationError, match="changed"):
        converse(
            client_of("SCRAM-SHA-256", channel=seen), server("SCRAM-SHA-256", ACCOUNTS.get, true)
        )


def test_a_hash_that_is_changed_to_fit_breaks_the_proof() -> None:
    true = Channel(True, BINDINGS, ("SCRAM-SHA-256", PLUS), tuple(BINDINGS))
    seen = Channel(True, BINDINGS, ("SCRAM-SHA-256",), tuple(BINDINGS))
    here = client_of("SCRAM-SHA-256", channel=seen)
    there = server("SCRAM-SHA-256", ACCOUNTS.get, true)
    challenge = there.receive(here.initial())
    assert isinstance(challenge, Challenge)
    start, _, _ = challenge.data.partition(b",h=")
    forged = start + b",h=" + hash_of_offer("sha256", seen.offered, seen.announced).encode()
    with pytest.raises(AuthenticationError):
        there.receive(respond(here, forged))


def test_a_doubt_needs_proof_before_we_prove_anything() -> None:
    doubt = AuthenticationError("mechanism-too-weak", "not what it was")
    with pytest.raises(AuthenticationError, match="not what it was"):
        client(doubt=doubt).respond(CHALLENGE)
    offer = hash_of_offer("sha1", ["SCRAM-SHA-1"], None).encode()
    assert isinstance(client(doubt=doubt).respond(CHALLENGE + b",h=" + offer), Work)


# -- servers and their users ----------------------------------------------------------------------


def test_salts_stay() -> None:
    there = Authority("localhost", ACCOUNTS.get)

    def salt(username: str) -> bytes:
        exchange = ScramServer(there, Channel(), digest="sha1", binds=False)
        outcome = exchange.receive(f"n,,n={username},r=x".encode())
        assert isinstance(outcome, Challenge)
        return outcome.data.split(b",")[1]

    assert salt("user") == salt("user")
    assert salt("nobody") == salt("nobody")
    assert len({salt("user"), salt("nobody"), salt("IX")}) == 3


@pytest.mark.parametrize("authzid", ["user", "user@localhost"])
def test_whom_one_may_act_for(authzid: str) -> None:
    assert challenge_of(server_vector(), f"n,a={authzid},n=user,r=x".encode())


@pytest.mark.parametrize("authzid", ["other", "user@elsewhere", "other@localhost", "@localhost"])
def test_whom_one_may_not_act_for(authzid: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        server_vector().receive(f"n,a={authzid},n=user,r=x".encode())
    assert caught.value.condition == "invalid-authzid"
