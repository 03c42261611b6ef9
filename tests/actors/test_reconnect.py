"""When a connection tries again: the table of decisions, without a clock."""

from __future__ import annotations

import random

import pytest

from actors.reconnect import LONGEST_ABSENT, PATIENCE, STABLE, Reconnection
from emp.errors import ConnectionFailed
from emp.net import ESTABLISHED

PASSING = ConnectionFailed("connect", "connection refused")
REFUSED = ConnectionFailed("authenticate", "not-authorized", permanent=True)
CONFLICT = ConnectionFailed(ESTABLISHED, "conflict", permanent=True)


class Highest(random.Random):
    """Draws the longest pause that is possible."""

    def uniform(self, a: float, b: float) -> float:
        return b


def proven() -> Reconnection:
    reconnection = Reconnection(Highest())
    reconnection.opened()
    return reconnection


def test_what_is_permanent_before_the_first_stream_ends_it() -> None:
    assert Reconnection().after(REFUSED, 0.0) is None


def test_what_passes_is_tried_again_for_ever() -> None:
    reconnection = Reconnection(Highest())
    for number in range(1, 1000):
        assert reconnection.after(PASSING, float(number)) is not None
        assert reconnection.attempts == number


def test_a_refusal_after_a_stream_has_patience_and_then_ends_it() -> None:
    reconnection = proven()
    assert reconnection.after(REFUSED, 100.0) is not None
    assert reconnection.after(REFUSED, 100.0 + PATIENCE - 0.1) is not None
    assert reconnection.after(REFUSED, 100.0 + PATIENCE) is None


def test_another_kind_of_failure_starts_the_patience_anew() -> None:
    reconnection = proven()
    assert reconnection.after(REFUSED, 0.0) is not None
    assert reconnection.after(PASSING, 1.0) is not None
    assert reconnection.after(REFUSED, PATIENCE) is not None


def test_a_new_stream_starts_the_patience_anew() -> None:
    reconnection = proven()
    assert reconnection.after(REFUSED, 0.0) is not None
    reconnection.opened()
    assert reconnection.after(REFUSED, PATIENCE) is not None


def test_who_is_thrown_out_of_a_stream_for_good_stays_out() -> None:
    assert proven().after(CONFLICT, 0.0) is None


@pytest.mark.parametrize("failure", [None, PASSING, ConnectionFailed(ESTABLISHED, "EOF")])
def test_the_first_pause_is_short(failure: ConnectionFailed | None) -> None:
    delay = proven().after(failure, 0.0)
    assert delay is not None
    assert delay <= 0.5


def test_a_server_that_is_away_is_asked_every_few_seconds() -> None:
    reconnection = proven()
    delays = [reconnection.after(PASSING, float(number)) for number in range(50)]
    assert max(delay for delay in delays if delay is not None) == LONGEST_ABSENT


def test_pauses_grow_and_are_bounded() -> None:
    reconnection = proven()
    slow = ConnectionFailed("bind", "no answer")
    delays = [reconnection.after(slow, 0.0) for _ in range(8)]
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    lost = ConnectionFailed(ESTABLISHED, "EOF")
    delays = [reconnection.after(lost, 0.0) for _ in range(6)]
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]


def test_getting_to_another_step_starts_the_pauses_anew() -> None:
    reconnection = proven()
    for _ in range(10):
        reconnection.after(PASSING, 0.0)
    assert reconnection.after(ConnectionFailed("secure", "EOF"), 0.0) == 0.5
    assert reconnection.attempts == 11


def test_a_stream_that_lasts_forgives_everything() -> None:
    reconnection = proven()
    lost = ConnectionFailed(ESTABLISHED, "EOF")
    for _ in range(5):
        reconnection.after(lost, 0.0)
    reconnection.closed(STABLE - 1)
    assert reconnection.after(lost, 0.0) == 8.0
    reconnection.closed(STABLE)
    assert reconnection.after(lost, 0.0) == 0.5
    assert reconnection.attempts == 1
