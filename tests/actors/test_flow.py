"""Batches and credit: nothing is lost, nothing is stuck, nothing grows."""

from hypothesis import given
from hypothesis import strategies as st

from actors.flow import BATCH, BATCH_BYTES, CREDIT_EVERY, WINDOW, Inflow, Outflow


def test_light_load_makes_batches_of_one() -> None:
    flow: Outflow[int] = Outflow()
    flow.waiting.append(1)
    assert flow.next_batch() == (1, (1,))
    assert flow.next_batch() is None


def test_without_credit_it_collects() -> None:
    flow: Outflow[int] = Outflow()
    for item in range(WINDOW):
        flow.waiting.append(item)
        assert flow.next_batch() == (item + 1, (item,))
    flow.waiting.extend([10, 11, 12])
    assert flow.next_batch() is None
    flow.taken(CREDIT_EVERY)
    assert flow.next_batch() == (WINDOW + 1, (10, 11, 12))


def test_batches_have_a_bound() -> None:
    flow: Outflow[int] = Outflow()
    flow.waiting.extend(range(BATCH + 1))
    first, second = flow.next_batch(), flow.next_batch()
    assert first is not None
    assert second is not None
    assert (len(first[1]), len(second[1])) == (BATCH, 1)


def test_credit_for_what_was_never_sent_is_worth_nothing() -> None:
    flow: Outflow[int] = Outflow()
    flow.taken(1_000)
    assert flow.in_flight == 0


@given(st.lists(st.integers(0, 3), max_size=200))
def test_everything_arrives_once_and_in_order(moves: list[int]) -> None:
    """0, 1: add that many; 2: the receiver takes a batch; 3: the credit arrives."""
    sender: Outflow[int] = Outflow()
    receiver = Inflow()
    mailbox: list[tuple[int, tuple[int, ...]]] = []
    credits: list[int] = []
    arrived: list[int] = []
    added = 0

    def pump() -> None:
        while (batch := sender.next_batch()) is not None:
            mailbox.append(batch)
        assert len(mailbox) <= WINDOW

    def take() -> None:
        number, items = mailbox.pop(0)
        arrived.extend(items)
        receiver.take(number)
        if (credit := receiver.credit()) is not None:
            credits.append(credit)

    for move in moves:
        if move == 2 and mailbox:
            take()
        elif move == 3 and credits:
            sender.taken(credits.pop(0))
        elif move < 2:
            sender.waiting.extend(range(added, added + move + 1))
            added += move + 1
        pump()
    while mailbox or credits:  # the rest arrives without anything being added
        if mailbox:
            take()
        if credits:
            sender.taken(credits.pop(0))
        pump()
    assert arrived == list(range(added))


def test_a_batch_keeps_to_its_bytes() -> None:
    flow: Outflow[int] = Outflow()
    flow.waiting.extend([BATCH_BYTES // 2, BATCH_BYTES // 2, 1, BATCH_BYTES + 1, 1])
    sizes = []
    while (batch := flow.next_batch(lambda size: size)) is not None:
        sizes.append(batch[1])
    assert [sum(batch) for batch in sizes] == [BATCH_BYTES, 1, BATCH_BYTES + 1, 1]
