"""FAST: a token instead of the password, between our own ends and against strange ones."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emp.sasl import Memory
from emp.sasl.ht import HashedTokenClient, proof
from emp.sasl.issued import IssuedTokens
from emp.stream import ClientStream
from emp.stream.events import Authenticated, Ready, Resumed, StreamFailed
from emp.stream.features import fast
from emp.stream.management import Management
from emp.tokens import ClientTokens, Token, TokenStore
from emp.xml import parse
from tests.emp.stream.features.support import (
    BIND2,
    EXPORTER,
    FAST,
    ID,
    PLAIN,
    Keeper,
    asked,
    authenticate,
    authentication,
    open_server,
    sasl2_pair,
    sent_by_client,
    sent_by_server,
    success,
)
from tests.emp.stream.law import failed, outcome, said
from tests.emp.stream.pair import Cut, Pair, byte_by_byte, whole

CUTS = pytest.mark.parametrize("cut", [whole, byte_by_byte])
NONE, ENDP, EXPR = "HT-SHA-256-NONE", "HT-SHA-256-ENDP", "HT-SHA-256-EXPR"


class World:
    """A server's tokens and a client's, and one clock for both."""

    def __init__(self, lifetime: float = 1000.0) -> None:
        self.now = 1_800_000_000.0
        self.issued = IssuedTokens(lifetime=lifetime, clock=lambda: self.now)
        self.client = TokenStore(clock=lambda: self.now).client("juliet@localhost")

    def log_in(self, cut: Cut = whole, /, at_server: Any = None, **changes: Any) -> Pair:
        theirs = {"tokens": self.issued} | (at_server or {})
        pair = sasl2_pair(cut, theirs, tokens=self.client, **changes)
        pair.start()
        return pair


def used(pair: Pair) -> list[str]:
    """The mechanisms that the client tried."""
    found = re.findall(rb"<authenticate [^>]*mechanism='([^']*)'", sent_by_client(pair))
    return [each.decode() for each in found]


def well(pair: Pair) -> bool:
    return isinstance(pair.last(0), (Ready, Resumed)) and pair.ends[0].ready


@CUTS
@pytest.mark.parametrize(
    ("bindings", "mechanism"),
    [
        ({}, NONE),
        (EXPORTER, EXPR),
        ({"tls-server-end-point": b"p"}, ENDP),
        ({"tls-unique": b"u"}, "HT-SHA-256-UNIQ"),
    ],
)
def test_the_second_login_takes_one_round_trip(
    cut: Cut, bindings: dict[str, bytes], mechanism: str
) -> None:
    world = World()
    first = world.log_in(cut, bindings=bindings)
    assert well(first)
    assert used(first)[0].startswith("SCRAM")
    token = world.client.get()
    assert token is not None
    assert (token.mechanism, token.expires) == (mechanism, world.now + 1000)
    for count in (1, 2, 3):
        again = world.log_in(cut, bindings=bindings)
        assert well(again)
        assert Authenticated("juliet", mechanism) in again.events[0]
        assert used(again) == [mechanism]
        assert f"<fast {FAST} count='{count}'/>".encode() in sent_by_client(again)
        assert b"<challenge" not in sent_by_server(again)
        assert b"from='juliet@localhost'" in sent_by_client(again)
        assert token.secret.encode() not in sent_by_client(again) + sent_by_server(again)


def test_resumed_with_a_token() -> None:
    world, management, keeper = World(), Management(), Keeper()
    settings: dict[str, Any] = {"management": management, "at_server": {"keeper": keeper}}
    first = world.log_in(**settings)
    for end in first.ends:
        end.receive_eof()
    again = world.log_in(**settings)
    assert isinstance(again.last(0), Resumed)
    assert used(again) == [NONE]
    assert len(again.sent[0]) == 2  # header, authenticate


@pytest.mark.parametrize("changes", [{"tokens": None}, {"sasl2": False}])
def test_a_server_without_tokens(changes: dict[str, Any]) -> None:
    world = World()
    world.log_in()
    pair = world.log_in(at_server=changes)
    assert well(pair)
    assert NONE not in used(pair)
    assert world.client.get() is not None


def test_an_expired_token_is_not_shown() -> None:
    world = World()
    world.log_in()
    before = world.client.get()
    world.now += 1000
    pair = world.log_in()
    assert well(pair)
    assert used(pair) == ["SCRAM-SHA-512"]
    assert world.client.get() not in (None, before)


@CUTS
def test_a_token_that_the_server_does_not_take_gives_way_to_the_password(cut: Cut) -> None:
    world = World()
    world.log_in()
    before = world.client.get()
    assert before is not None
    world.client.put(Token(NONE, "forged", before.expires))
    pair = world.log_in(cut)
    assert well(pair)
    assert used(pair) == [NONE, "SCRAM-SHA-512"]
    assert len([event for event in pair.events[0] if isinstance(event, Authenticated)]) == 1
    after = world.client.get()
    assert after is not None
    assert after.secret not in ("forged", before.secret)
    assert used(world.log_in()) == [NONE]


def test_a_token_that_has_expired_only_for_the_server() -> None:
    world = World()
    world.log_in()
    token = world.client.get()
    assert token is not None
    world.client.put(Token(NONE, token.secret, token.expires + 5000))
    world.now += 1001
    pair = world.log_in()
    assert b"<credentials-expired" in sent_by_server(pair)
    assert well(pair)
    assert used(pair) == [NONE, "SCRAM-SHA-512"]


def test_a_count_that_was_seen_before_is_a_replay() -> None:
    world = World()
    world.log_in()
    token = world.client.get()
    assert token is not None
    world.log_in()
    world.client.put(token)  # as in a backup
    pair = world.log_in()
    assert used(pair) == [NONE, "SCRAM-SHA-512"]
    assert well(pair)


def test_the_wrong_password_after_a_refused_token() -> None:
    world = World()
    world.client.put(Token(NONE, "forged", world.now + 1))
    pair = world.log_in(password="wrong")
    assert said(pair.ends[0], pair.events[0][-1:]) == [
        failed("not-authorized", "AuthenticationError")
    ]
    assert world.client.get() is None


def test_a_token_is_good_on_its_own_channel_only() -> None:
    """A man in the middle with a good certificate has another channel on each side."""
    world = World()
    world.log_in(bindings=EXPORTER)
    pair = sasl2_pair(whole, {"tokens": world.issued}, tokens=world.client)
    pair.ends[0].bindings = {"tls-exporter": b"here"}
    pair.ends[1].bindings = {"tls-exporter": b"there"}
    pair.start()
    assert used(pair)[0] == EXPR
    assert b"<success" not in sent_by_server(pair)
    assert isinstance(pair.last(0), StreamFailed)


def test_a_token_that_binds_is_not_used_without_binding() -> None:
    world = World()
    world.log_in(bindings=EXPORTER)
    pair = world.log_in(bindings={})
    assert NONE not in used(pair)
    assert EXPR not in used(pair)


def test_a_bound_login_asks_for_no_token_that_is_not() -> None:
    bindings = {"tls-exporter": b"e"}
    world = World()
    pair = sasl2_pair(whole, {"tokens": world.issued}, bindings, tokens=world.client)
    original = pair.ends[1].data_to_send
    pair.ends[1].data_to_send = lambda: original().replace(EXPR.encode(), b"X")  # type: ignore[method-assign]
    pair.start()
    assert well(pair)
    assert used(pair) == ["SCRAM-SHA-512-PLUS"]
    assert b"<request-token" not in sent_by_client(pair)


@pytest.mark.parametrize("remembered", [True, False])
def test_a_token_that_does_not_bind_where_the_login_has_to(remembered: bool) -> None:
    """From a time when it did not: what the user wants now counts, and what we had since."""
    world, memory = World(), Memory()
    world.log_in()
    token = world.client.get()
    assert token is not None
    assert token.mechanism == NONE
    changes: dict[str, Any] = {"mechanisms": ("SCRAM-SHA-256-PLUS",)}
    if remembered:
        world.client.put(None)
        world.log_in(bindings=EXPORTER, memory=memory)
        world.client.put(token)
        changes = {"memory": memory}
    pair = world.log_in(bindings=EXPORTER, **changes)
    assert well(pair)
    assert all(name.endswith("-PLUS") for name in used(pair))


def test_no_tokens_for_nobody_in_particular() -> None:
    world = World()
    settings: dict[str, Any] = {"mechanisms": ("ANONYMOUS",)}
    pair = world.log_in(at_server=settings, **settings)
    assert well(pair)
    assert pair.last(0).jid.local != "juliet"
    assert b"<request-token" not in sent_by_client(pair)


def test_a_better_token_is_asked_for() -> None:
    world = World()
    world.log_in(bindings={"tls-server-end-point": b"p" * 32})
    pair = world.log_in(bindings=EXPORTER)
    assert used(pair) == [ENDP]
    assert f"<request-token {FAST} mechanism='{EXPR}'/>".encode() in sent_by_client(pair)
    assert used(world.log_in(bindings=EXPORTER)) == [EXPR]


def test_rotation_survives_a_lost_success() -> None:
    world = World()
    world.log_in()
    first = world.client.get()
    assert first is not None
    world.now += 501
    pair = world.log_in()
    second = world.client.get()
    assert second is not None
    assert second.secret != first.secret
    assert second.expires == world.now + 1000
    assert f"<token {FAST}".encode() in sent_by_server(pair)
    world.client.put(Token(NONE, first.secret, first.expires, count=1))  # the success was lost
    assert used(world.log_in()) == [NONE]
    third = world.client.get()
    assert third is not None
    assert third.secret not in (first.secret, second.secret)
    world.log_in()  # the new one is used, so the older ones are over
    world.client.put(Token(NONE, first.secret, first.expires, count=9))
    assert used(world.log_in()) == [NONE, "SCRAM-SHA-512"]


def test_no_tokens_with_a_certificate() -> None:
    world = World()
    world.log_in()
    assert NONE not in used(world.log_in(certificate=True))


# -- servers that are strange or hostile -----------------------------------------------------------

INLINE = f"<fast {FAST}><mechanism>{NONE}</mechanism></fast>"
SECRET = "top-secret"


def with_token(tokens: ClientTokens | None = None) -> ClientStream:
    if tokens is None:
        tokens = TokenStore(clock=lambda: 0.0).client("juliet@localhost")
        tokens.put(Token(NONE, SECRET, 10.0))
    return asked(authentication("SCRAM-SHA-1", "PLAIN", inline=INLINE), tokens=tokens)


RIGHT = proof(SECRET, "Responder", b"")


@pytest.mark.parametrize(
    "data",
    [None, b"", RIGHT[:-1], RIGHT + b"x", proof(SECRET, "Initiator", b""), bytes(32)],
)
def test_the_server_must_prove_the_token(data: bytes | None) -> None:
    told = outcome(with_token, success(data=data), restarts=False)
    assert told == [failed("not-authorized", "AuthenticationError")]


def test_a_server_that_cannot_prove_it_sees_no_token_again() -> None:
    tokens = TokenStore(clock=lambda: 0.0).client("juliet@localhost")
    tokens.put(Token(NONE, SECRET, 10.0))
    with_token(tokens).receive_data(success(data=bytes(32)))
    assert tokens.get() is None


def test_the_right_proof() -> None:
    told = outcome(with_token, success(data=RIGHT), restarts=False)
    assert told == [Authenticated("juliet", NONE)]


def test_a_challenge_is_no_part_of_it() -> None:
    challenge = b"<challenge xmlns='urn:xmpp:sasl:2'>AAAA</challenge>"
    assert outcome(with_token, challenge, restarts=False) == [
        failed("malformed-request", "AuthenticationError")
    ]


@pytest.mark.parametrize(
    "attributes",
    [
        "",
        "token='x'",
        "expiry='2026-12-06T13:21:24Z'",
        "token='' expiry='2026-12-06T13:21:24Z'",
        "token='x' expiry='tomorrow'",
        "token='x' expiry='2026-13-06T13:21:24Z'",
        "token='x' expiry='2026-12-06T13:21:24'",
        f"token='{'x' * 4097}' expiry='2026-12-06T13:21:24Z'",
    ],
)
def test_tokens_that_cannot_be_understood_are_none(attributes: str) -> None:
    tokens = TokenStore(clock=lambda: 0.0).client("juliet@localhost")
    tokens.put(Token(NONE, SECRET, 10.0))
    stream = with_token(tokens)
    assert stream.receive_data(success(f"<token {FAST} {attributes}/>", data=RIGHT)) == [
        Authenticated("juliet", NONE)
    ]
    assert tokens.get() == Token(NONE, SECRET, 10.0, count=1)


def test_a_token_that_nobody_asked_for() -> None:
    tokens = TokenStore().client("juliet@localhost")
    stream = asked(authentication("PLAIN"), tokens=tokens, mechanisms=("PLAIN",))
    stream.receive_data(success(f"<token {FAST} token='x' expiry='2999-12-06T13:21:24Z'/>"))
    assert tokens.get() is None


@given(secret=st.text(max_size=20), expiry=st.text(alphabet="0123456789-T:Z.+ ", max_size=25))
def test_any_token_is_taken_or_left(secret: str, expiry: str) -> None:
    parent = parse(f"<success><token xmlns='{'urn:xmpp:fast:0'}'/></success>")
    token = parent[0]
    try:
        token.set("token", secret)
    except ValueError:
        return  # no XML
    token.set("expiry", expiry)
    found = fast.given(parent, NONE)
    assert found is None or found.secret == secret


# -- clients that are strange or hostile -----------------------------------------------------------

AGENT = f"<user-agent id='{ID}'/>"


def server_with(issued: IssuedTokens) -> Any:
    return open_server(tokens=issued)


def answer(stream: Any, initial: bytes, inner: str, mechanism: str = NONE) -> bytes:
    stream.receive_data(authenticate(mechanism, initial, inner))
    sent: bytes = stream.data_to_send()
    return sent


@pytest.fixture
def issued() -> IssuedTokens:
    return IssuedTokens()


def shown(secret: str, username: str = "juliet") -> bytes:
    return HashedTokenClient(username, secret, b"").initial()


@pytest.mark.parametrize(
    ("inner", "condition"),
    [
        (f"<fast {FAST}/>", "malformed-request"),
        (AGENT, "malformed-request"),
        (f"<user-agent id='phone'/><fast {FAST}/>", "malformed-request"),
        (f"{AGENT}<fast {FAST} count='-1'/>", "malformed-request"),
        (f"{AGENT}<fast {FAST} count='x'/>", "malformed-request"),
        (f"{AGENT}<fast {FAST} count='{'9' * 11}'/>", "malformed-request"),
        (f"{AGENT}<fast {FAST} count='0'/>", "not-authorized"),
        (f"<user-agent id='{ID.replace('d', 'a')}'/><fast {FAST}/>", "not-authorized"),
    ],
)
def test_refused(issued: IssuedTokens, inner: str, condition: str) -> None:
    token = issued.issue("juliet@localhost", ID, NONE)
    stream = server_with(issued)
    sent = answer(stream, shown(token.secret), inner)
    assert f"<{condition} ".encode() in sent
    good = answer(stream, shown(token.secret), f"{AGENT}<fast {FAST}/>")
    assert b"<success" in good


def test_a_token_of_another_account(issued: IssuedTokens) -> None:
    token = issued.issue("bar@localhost", ID, NONE)
    inner = f"{AGENT}<fast {FAST}/>"
    assert b"<not-authorized" in answer(server_with(issued), shown(token.secret), inner)
    other = answer(server_with(issued), shown(token.secret, "a/b"), inner)
    assert b"<not-authorized" in other


def test_a_token_for_another_mechanism(issued: IssuedTokens) -> None:
    token = issued.issue("juliet@localhost", ID, EXPR)
    sent = answer(server_with(issued), shown(token.secret), f"{AGENT}<fast {FAST}/>")
    assert b"<not-authorized" in sent


@pytest.mark.parametrize("mechanism", [EXPR, ENDP])
def test_mechanisms_that_are_not_offered(issued: IssuedTokens, mechanism: str) -> None:
    token = issued.issue("juliet@localhost", ID, mechanism)
    inner = f"{AGENT}<fast {FAST}/>"
    sent = answer(server_with(issued), shown(token.secret), inner, mechanism)
    assert b"<invalid-mechanism" in sent


def test_a_password_is_not_a_token(issued: IssuedTokens) -> None:
    sent = answer(server_with(issued), shown("r0m30myr0m30"), f"{AGENT}<fast {FAST}/>")
    assert b"<not-authorized" in sent


@pytest.mark.parametrize("word", ["1", "true"])
def test_invalidated(issued: IssuedTokens, word: str) -> None:
    token = issued.issue("juliet@localhost", ID, NONE)
    inner = f"{AGENT}<fast {FAST} invalidate='{word}'/>"
    sent = answer(server_with(issued), shown(token.secret), inner)
    assert b"<success" in sent
    assert b"<token" not in sent
    assert b"<not-authorized" in answer(server_with(issued), shown(token.secret), inner)


def test_invalidated_and_replaced(issued: IssuedTokens) -> None:
    token = issued.issue("juliet@localhost", ID, NONE)
    inner = f"<fast {FAST} invalidate='1'/><request-token {FAST} mechanism='{NONE}'/>"
    sent = answer(server_with(issued), shown(token.secret), AGENT + inner)
    (secret,) = issued.candidates("juliet@localhost", ID, NONE)
    assert secret != token.secret
    assert f"token='{secret}'".encode() in sent


@pytest.mark.parametrize(
    "inner",
    [
        f"<request-token {FAST} mechanism='{NONE}'/>",  # no id
        f"{AGENT}<request-token {FAST} mechanism='{EXPR}'/>",  # no such binding here
        f"{AGENT}<request-token {FAST} mechanism='PLAIN'/>",
        f"{AGENT}<request-token {FAST}/>",
        f"{AGENT}<bind {BIND2}><request-token {FAST} mechanism='{NONE}'/></bind>",
    ],
)
def test_no_token_for_that(issued: IssuedTokens, inner: str) -> None:
    sent = answer(server_with(issued), PLAIN, inner, "PLAIN")
    assert b"<success" in sent
    assert b"<token" not in sent


def test_no_token_for_a_failed_login(issued: IssuedTokens) -> None:
    inner = f"{AGENT}<request-token {FAST} mechanism='{NONE}'/>"
    assert b"<token" not in answer(server_with(issued), b"\0juliet\0x", inner, "PLAIN")
    assert issued.candidates("juliet@localhost", ID, NONE) == []
