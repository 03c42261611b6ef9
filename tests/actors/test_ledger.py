"""The books of a connection."""

from actors.ledger import HELD_BYTES, HELD_STANZAS, Ledger
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
