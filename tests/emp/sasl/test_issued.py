"""Tokens of the server: their two places, their end, their counts."""

import pytest

from emp.errors import AuthenticationError
from emp.sasl.issued import MAX_CLIENTS, IssuedTokens

NONE, ENDP = "HT-SHA-256-NONE", "HT-SHA-256-ENDP"
WHO = ("juliet@localhost", "phone")


class Clock:
    """Stands still until told otherwise."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> IssuedTokens:
    return IssuedTokens(lifetime=100, clock=clock)


def refused(tokens: IssuedTokens, secret: str, count: int | None = None) -> str:
    with pytest.raises(AuthenticationError) as caught:
        tokens.use(*WHO, secret, count)
    return caught.value.condition


def test_tokens_are_for_one_client_and_one_mechanism(tokens: IssuedTokens) -> None:
    token = tokens.issue(*WHO, ENDP)
    assert token.expires == 1100
    assert tokens.candidates(*WHO, ENDP) == [token.secret]
    assert tokens.candidates(*WHO, NONE) == []
    assert tokens.candidates("juliet@localhost", "laptop", ENDP) == []
    assert tokens.candidates("romeo@localhost", "phone", ENDP) == []


def test_the_older_token_works_until_the_new_one_is_used(tokens: IssuedTokens) -> None:
    first = tokens.issue(*WHO, NONE)
    tokens.use(*WHO, first.secret, None)
    lost = tokens.issue(*WHO, NONE)
    assert tokens.candidates(*WHO, NONE) == [lost.secret, first.secret]
    tokens.use(*WHO, first.secret, None)  # the new one did not arrive
    second = tokens.issue(*WHO, NONE)  # and is no good any more
    assert tokens.candidates(*WHO, NONE) == [second.secret, first.secret]
    tokens.use(*WHO, second.secret, None)
    assert tokens.candidates(*WHO, NONE) == [second.secret]


def test_expired(tokens: IssuedTokens, clock: Clock) -> None:
    token = tokens.issue(*WHO, NONE)
    clock.now = 1099.9
    tokens.use(*WHO, token.secret, None)
    clock.now = 1100
    assert refused(tokens, token.secret) == "credentials-expired"


def test_counts_only_grow(tokens: IssuedTokens) -> None:
    token = tokens.issue(*WHO, NONE)
    assert refused(tokens, token.secret, 0) == "not-authorized"
    tokens.use(*WHO, token.secret, 1)
    tokens.use(*WHO, token.secret, 7)
    for count in (1, 6, 7):
        assert refused(tokens, token.secret, count) == "not-authorized"
    tokens.use(*WHO, token.secret, 8)
    tokens.use(*WHO, token.secret, None)  # without 0-RTT it may be left out


def test_a_replay_moves_nothing(tokens: IssuedTokens) -> None:
    first = tokens.issue(*WHO, NONE)
    tokens.use(*WHO, first.secret, 1)
    second = tokens.issue(*WHO, NONE)
    assert refused(tokens, second.secret, 0) == "not-authorized"
    assert tokens.candidates(*WHO, NONE) == [second.secret, first.secret]


def test_rotation_at_half_time(tokens: IssuedTokens, clock: Clock) -> None:
    token = tokens.issue(*WHO, NONE)
    assert not tokens.due(token)
    clock.now = 1050
    assert not tokens.due(token)
    clock.now = 1051
    assert tokens.due(token)


def test_revoked(tokens: IssuedTokens) -> None:
    tokens.issue(*WHO, NONE)
    tokens.revoke(*WHO)
    tokens.revoke(*WHO)
    assert tokens.candidates(*WHO, NONE) == []


def test_clients_are_bounded(tokens: IssuedTokens) -> None:
    for number in range(MAX_CLIENTS + 1):
        tokens.issue("juliet@localhost", str(number), NONE)
    assert tokens.candidates("juliet@localhost", "0", NONE) == []
    assert len(tokens.candidates("juliet@localhost", "1", NONE)) == 1


def test_no_secret_shows(tokens: IssuedTokens) -> None:
    token = tokens.issue(*WHO, NONE)
    assert token.secret not in repr(token) + repr(tokens)
