"""The books: counters that wrap around, and what becomes of what was not acknowledged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emp.errors import RemoteProtocolError
from emp.stream.management import MODULUS, UNACKNOWLEDGED, Management
from tests.emp.stream.managed import numbered, shift

STARTS = st.sampled_from([0, 1, MODULUS - 1, MODULUS - 5]) | st.integers(0, 3 * MODULUS)
NEAR_THE_EDGE = [0, 1, MODULUS - 1, MODULUS - 5, MODULUS, 5 * MODULUS - 3]


def enabled(start: int = 0) -> Management:
    books = Management()
    books.enable("id", 300, None)
    shift(books, start)
    return books


@given(start=STARTS, steps=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=20))
def test_acknowledgements_wrap_around(start: int, steps: list[tuple[int, int]]) -> None:
    books = enabled(start)
    written = taken = 0
    for more, gone in steps:
        books.record(numbered(written, more))
        written += more
        news = min(gone, written - taken)
        taken += news
        assert books.acknowledge((start + taken) % MODULUS) == news
        assert (books.sent, books.acknowledged) == (written, taken)
        assert [each.body for each in books.unacknowledged] == [  # type: ignore[attr-defined]
            str(number) for number in range(taken, written)
        ]
        assert books.send_count == (start + written) % MODULUS


@given(start=STARTS, written=st.integers(0, 10), excess=st.integers(1, MODULUS - 11))
def test_nobody_can_have_more_than_was_sent(start: int, written: int, excess: int) -> None:
    """Nor less than before, which is the same."""
    books = enabled(start)
    books.record(numbered(0, written))
    with pytest.raises(RemoteProtocolError) as caught:
        books.acknowledge((start + written + excess) % MODULUS)
    assert caught.value.condition == "undefined-condition"
    assert len(books.unacknowledged) == written


@given(start=STARTS, numbers=st.lists(st.integers(0, 30), max_size=10))
def test_what_we_handled_wraps_around(start: int, numbers: list[int]) -> None:
    books = enabled(start)
    for number in numbers:
        books.received += number
        books.handled = books.received
        assert books.h == (start + books.handled) % MODULUS


def test_what_came_before_the_session_does_not_count() -> None:
    books = Management()
    books.received, books.handled = 7, 5
    books.enable("id", None, None, early=2)
    assert books.origin == 7
    assert books.h == 0
    books.received = 12
    for handled, h in [(7, 0), (9, 0), (10, 1), (12, 3)]:
        books.handled = handled
        assert books.h == h


def test_full() -> None:
    books = Management()
    books.record(numbered(0, UNACKNOWLEDGED + 10))
    assert not books.full
    assert len(books.unacknowledged) == UNACKNOWLEDGED
    assert (books.sent, books.acknowledged, books.forgotten) == (UNACKNOWLEDGED + 10, 10, 10)
    books.enable("id", None, None)
    books.record(numbered(0, UNACKNOWLEDGED - 1))
    assert not books.full
    books.record(numbered(0, 5))
    assert books.full
    assert len(books.unacknowledged) == UNACKNOWLEDGED + 4
    books.acknowledge(5)
    assert not books.full


def test_a_session_that_sleeps_forgets_nothing() -> None:
    books = enabled()
    books.interrupt()
    books.record(numbered(0, UNACKNOWLEDGED + 10))
    assert len(books.unacknowledged) == UNACKNOWLEDGED + 10
    assert books.forgotten == 0
    assert not books.full


@pytest.mark.parametrize("start", NEAR_THE_EDGE)
def test_resumption(start: int) -> None:
    books = enabled(start)
    stanzas = numbered(0, 8)
    books.record(stanzas)
    books.received, books.handled = 6, 4
    books.interrupt()
    assert (books.active, books.id) == (False, "id")
    assert books.ask_to_resume() == (start + 4) % MODULUS
    generation = books.generation
    books.handled = 5  # meanwhile
    assert books.resume((start + 3) % MODULUS) == stanzas[3:]
    assert books.active
    assert (books.origin, books.received, books.handled) == (4, 4, 5)
    assert books.generation == generation + 1
    assert books.h == (start + 5) % MODULUS


def test_a_resumption_that_cannot_be_changes_nothing() -> None:
    books = enabled()
    books.record(numbered(0, 2))
    books.interrupt()
    books.ask_to_resume()
    with pytest.raises(RemoteProtocolError):
        books.resume(3)
    assert not books.active
    assert len(books.unacknowledged) == 2


def test_what_is_lost_is_told_once() -> None:
    books = enabled()
    books.record(numbered(0, 3))
    books.acknowledge(1)
    books.interrupt()
    assert books.take_lost() == []
    books.abandon(certain=True)
    assert (books.id, books.location, books.max_seconds) == (None, None, None)
    lost = books.take_lost()
    assert [(each.number, each.certain) for each in lost] == [(2, True), (3, True)]
    assert books.take_lost() == []
    books.record(numbered(3, 1))
    books.interrupt()  # no session that could be resumed
    assert [(each.number, each.certain) for each in books.take_lost()] == [(4, False)]
    assert books.sent == books.acknowledged == 4


def test_a_proof_is_for_all_before() -> None:
    books = Management()
    books.record(numbered(0, 5))
    books.prove(3)
    books.prove(2)
    assert (books.acknowledged, len(books.unacknowledged)) == (3, 2)
