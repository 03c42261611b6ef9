"""The books of a connection."""

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.ledger import HELD_BYTES, HELD_STANZAS, UNACKNOWLEDGED, Ledger
from emp.stanza import Message, Stanza
from emp.stream.management import Management


def stanzas(count: int) -> list[Stanza]:
    return [Message("a@b", str(number)) for number in range(count)]


def test_numbers_go_on() -> None:
    ledger = Ledger()
    assert [number for number, _ in ledger.admit(stanzas(2), 10)] == [1, 2]
    assert [number for number, _ in ledger.admit(stanzas(1), 10)] == [3]
    assert ledger.total == 3


def test_striking_out_is_idempotent() -> None:
    ledger = Ledger()
    items = ledger.admit(stanzas(3), 10)
    assert ledger.handled([2]) == [items[1][1]]
    assert ledger.handled([2, 99]) == []
    assert list(ledger.held) == [1, 3]


def test_full_by_number() -> None:
    ledger = Ledger()
    ledger.admit(stanzas(HELD_STANZAS - 1), 10)
    assert not ledger.full
    ledger.admit(stanzas(1), 10)
    assert ledger.full
    assert not ledger.drained
    ledger.handled(range(1, HELD_STANZAS // 2 + 1))
    assert ledger.drained


def test_full_by_bytes() -> None:
    ledger = Ledger()
    ledger.admit(stanzas(4), HELD_BYTES)
    assert ledger.full
    ledger.handled([1])
    assert not ledger.full
    assert not ledger.drained
    ledger.handled([2, 3, 4])
    assert ledger.drained


def test_what_is_large_stays_large_however_much_passes_by() -> None:
    ledger = Ledger()
    ledger.admit(stanzas(2), HELD_BYTES)
    for _ in range(100):
        ledger.handled([number for number, _ in ledger.admit(stanzas(1), 100)])
    assert ledger.full
    assert not ledger.overfull
    ledger.admit(stanzas(2), HELD_BYTES)
    assert ledger.overfull
    ledger.handled(list(ledger.held))
    assert ledger.drained


def test_all_before_the_oldest_that_is_held_may_be_acknowledged() -> None:
    ledger = Ledger()
    assert ledger.prefix == 0
    ledger.admit(stanzas(4), 400)
    assert ledger.prefix == 0
    ledger.handled([2])
    assert ledger.prefix == 0
    ledger.handled([1])
    assert ledger.prefix == 2
    ledger.handled([4, 3])
    assert ledger.prefix == 4
    ledger.admit(stanzas(1), 100)
    assert ledger.prefix == 4


def test_what_comes_again_after_a_resumption_is_known() -> None:
    ledger = Ledger()
    ledger.admit(stanzas(5), 500)
    ledger.handled([1, 2, 4])
    ledger.rewind(2)  # the server was told of two
    assert ledger.admit(stanzas(2), 200) == []  # 3, which is held, and 4, which is handled
    again = stanzas(3)
    assert ledger.admit(again, 300) == [(6, again[1]), (7, again[2])]
    assert list(ledger.held) == [3, 5, 6, 7]
    assert (ledger.total, ledger.repeated) == (7, 3)
    assert ledger.prefix == 2


def test_numbers_that_never_arrived_are_not_waited_for() -> None:
    ledger = Ledger()
    ledger.admit(stanzas(2), 200)
    ledger.rewind(5)  # 3 to 5 were lost with the stream
    ledger.admit(stanzas(1), 100)
    assert list(ledger.held) == [1, 2, 6]
    ledger.handled([1, 2])
    assert ledger.prefix == 5


def test_bytes_of_what_is_known_are_not_counted_again() -> None:
    ledger = Ledger()
    ledger.admit(stanzas(2), HELD_BYTES // 2)
    ledger.rewind(0)
    ledger.admit(stanzas(2), HELD_BYTES // 2)
    assert not ledger.full


def test_a_session_that_ends_while_it_is_resumed_leaves_the_next_one_its_numbers() -> None:
    management, ledger = Management(), Ledger()

    def receive(count: int) -> int:
        management.received += count
        return len(ledger.admit(stanzas(count), 100))

    management.enable("one", None, None)
    ledger.rewind(management.origin)
    assert receive(20) == 20
    ledger.handled(range(1, 11))
    management.handled = ledger.prefix
    management.interrupt()
    management.ask_to_resume()
    management.resume(0)
    ledger.rewind(management.origin)
    assert receive(5) == 0  # 11 to 15 once more, and then the line is dead again
    management.interrupt()
    ledger.handled(range(1, 21))
    management.handled = ledger.prefix
    management.ask_to_resume()
    management.abandon()  # the server has forgotten it
    management.enable("two", None, None)
    ledger.rewind(management.origin)
    assert management.h == 0
    assert receive(3) == 3
    ledger.handled(range(1, 22))
    management.handled = ledger.prefix
    assert management.h == 1


def test_what_waits_too_long_is_acknowledged_early() -> None:
    ledger = Ledger()
    ledger.admit(stanzas(UNACKNOWLEDGED), 10)
    ledger.handled(range(2, UNACKNOWLEDGED + 1))
    ledger.hurry()
    assert (ledger.prefix, ledger.hurried) == (0, 0)  # it may wait for that long
    ledger.admit(stanzas(1), 10)
    ledger.hurry()
    assert ledger.prefix == UNACKNOWLEDGED  # all behind it was handled
    assert (list(ledger.held), ledger.early, ledger.hurried) == ([1, UNACKNOWLEDGED + 1], {1}, 1)
    (struck,) = ledger.handled([1])  # and answered, as if nothing had been
    assert isinstance(struck, Message)
    assert struck.body == "0"
    assert (ledger.early, ledger.hurried) == (set(), 1)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 400), st.lists(st.integers(0, 900), max_size=50)), max_size=6)
)
def test_the_distance_is_bounded_and_nothing_is_forgotten(
    steps: list[tuple[int, list[int]]],
) -> None:
    ledger = Ledger()
    waiting: set[int] = set()
    before = 0
    for count, handled in steps:
        if count:
            waiting.update(number for number, _ in ledger.admit(stanzas(count), 10))
        waiting.difference_update(handled)
        ledger.handled(handled)
        ledger.hurry()
        prefix = ledger.prefix
        assert before <= prefix <= ledger.last <= prefix + UNACKNOWLEDGED
        assert set(ledger.held) == waiting
        assert ledger.early == {number for number in waiting if number <= prefix}
        before = prefix


def test_nothing_is_early_unless_somebody_is_in_a_hurry() -> None:
    ledger = Ledger()
    ledger.admit(stanzas(10 * UNACKNOWLEDGED), 10)
    ledger.handled(range(2, 10 * UNACKNOWLEDGED))
    assert (ledger.prefix, ledger.early) == (0, set())
