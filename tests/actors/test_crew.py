"""Crews: who gets which stanza, in which order, and how many."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thespian.actors import ActorAddress

from actors.component import Component
from actors.crew import FULL, Crew, Item, Worker
from actors.flow import BATCH, WINDOW
from actors.messages import Ref
from emp.errors import ServiceUnavailable
from emp.stanza import Message

MAIN = Ref("main", ActorAddress("main"), 1)
SENDERS = [f"user{number}@localhost/desk" for number in range(40)]


def crew(**attributes: Any) -> Crew:
    return Crew(type("Tweets", (Component,), attributes))


def worker(name: str, incarnation: int = 0) -> Worker:
    return Worker(Ref(name, ActorAddress(name), incarnation))


def item(number: int, sender: str = "a@b/c") -> Item:
    stanza = Message("to@localhost", str(number))
    stanza.from_text = sender
    return MAIN, number, stanza, 1, {}


def numbers(items: Any) -> list[int]:
    return [each[1] for each in items]


def share(crew: Crew) -> dict[str, list[str | None]]:
    """What each worker has waiting: its senders."""
    return {
        worker.ref.name: [each[2].from_text for each in worker.outflow.waiting]
        for worker in crew.workers
    }


def staffed(count: int, **attributes: Any) -> Crew:
    made = crew(**attributes)
    for number in range(1, count + 1):
        made.add(worker(f"Tweets-{number}"))
    return made


def test_a_key_stays_with_one_worker_and_all_have_some() -> None:
    made = staffed(4)
    for number in range(3 * len(SENDERS)):
        made.give(item(number, SENDERS[number % len(SENDERS)]))
    shares = share(made)
    assert all(shares.values())
    for sender in SENDERS:
        assert sorted(names.count(sender) for names in shares.values()) == [0, 0, 0, 3]


def test_who_is_chosen_depends_on_names_only() -> None:
    """A new router chooses as its predecessor did, in whatever order it hears of the workers."""
    one, other = staffed(4), crew()
    for name in ("Tweets-3", "Tweets-1", "Tweets-4", "Tweets-2"):
        other.add(worker(name))
    for sender in SENDERS:
        assert one.choose(sender).ref.name == other.choose(sender).ref.name


def test_the_key_of_the_class_counts() -> None:
    made = staffed(4, key="sender")
    for number in range(40):
        made.give(item(number, f"one@localhost/{number}"))
    assert sorted(len(names) for names in share(made).values()) == [0, 0, 0, 40]


def test_a_key_that_has_stanzas_somewhere_stays_there_until_they_are_done() -> None:
    made = staffed(1)
    first = made.workers[0]
    for number, sender in enumerate(SENDERS):
        made.give(item(number, sender))
    batch, items = first.next_batch(made.mailbox, None) or (0, ())
    made.add(worker("Tweets-2"))
    moving = next(s for s in SENDERS if made.choose(s).ref.name == "Tweets-2")
    made.give(item(100, moving))
    assert share(made) == {"Tweets-1": [moving], "Tweets-2": []}
    first.next_batch(made.mailbox, None)
    made.done(first, [batch, batch + 1])
    assert not made.pinned
    made.give(item(101, moving))
    assert share(made) == {"Tweets-1": [], "Tweets-2": [moving]}
    assert numbers(items) == list(range(len(SENDERS)))


def test_what_is_taken_back_is_not_lost_with_the_worker() -> None:
    made = staffed(2)
    for number in range(4):
        made.give(item(number))
    [busy] = [each for each in made.workers if each.outflow.waiting]
    busy.next_batch(made.mailbox, None)
    assert numbers(made.take_back(busy, {(1, 1), (1, 3), (2, 2)})) == [1, 3]
    assert numbers(made.take_back(busy, {(1, 1)})) == []
    assert numbers(made.lose(busy)) == [0, 2]


def test_stanzas_wait_while_there_is_no_worker_unless_they_are_refused() -> None:
    made = crew()
    made.give(item(1))
    assert made.objection(item(2)[2]) is None
    gone = ServiceUnavailable("stopped")
    assert numbers(made.refuse(gone)) == [1]
    assert made.selective
    assert made.objection(item(2)[2]) is gone
    made.add(worker("Tweets"))
    assert made.objection(item(2)[2]) is None
    assert not list(made.refuse(None))
    assert not made.selective


@pytest.mark.parametrize("mailbox", [1, 10, BATCH + 1])
def test_a_worker_never_has_more_than_its_mailbox_holds(mailbox: int) -> None:
    made = staffed(1, mailbox=mailbox)
    [alone] = made.workers
    for number in range(3 * mailbox):
        made.give(item(number))
    given = []
    while batch := alone.next_batch(made.mailbox, None):
        given += batch[1]
    assert numbers(given) == list(range(mailbox))
    alone.load -= 1
    alone.outflow.taken(WINDOW)
    _, items = alone.next_batch(made.mailbox, None) or (0, ())
    assert numbers(items) == [mailbox]


def test_a_full_mailbox_may_refuse() -> None:
    blocks, sheds = staffed(1, mailbox=2), staffed(1, mailbox=2, when_full="shed")
    for made in (blocks, sheds):
        made.give(item(1))
        assert made.objection(item(2)[2]) is None
        made.workers[0].next_batch(made.mailbox, None)
        made.give(item(2))
    assert sheds.selective
    assert not blocks.selective
    assert sheds.objection(item(3)[2]) is FULL
    assert blocks.objection(item(3)[2]) is None


def test_a_full_worker_refuses_its_own_keys_only() -> None:
    made = staffed(4, mailbox=1, when_full="shed")
    made.give(item(1, SENDERS[0]))
    verdicts = {sender: made.objection(item(2, sender)[2]) for sender in SENDERS}
    full = made.choose(SENDERS[0])
    for sender, verdict in verdicts.items():
        assert (verdict is FULL) == (made.choose(sender) is full)


class World:
    """Workers that handle their batches one after the other, and report them at any time later."""

    def __init__(self) -> None:
        self.crew = crew(mailbox=7)
        self.inboxes: dict[str, deque[tuple[int, tuple[Item, ...]]]] = {}
        self.unreported: dict[str, list[tuple[int, int]]] = {}
        self.seen: dict[str | None, list[int]] = {}
        self.lost: set[int] = set()
        self.given = 0

    def by_name(self, name: str) -> Worker | None:
        return next((each for each in self.crew.workers if each.ref.name == name), None)

    def give(self, sender: int) -> None:
        self.given += 1
        self.crew.give(item(self.given, SENDERS[sender]))
        self.flush()

    def flush(self) -> None:
        for each in self.crew.workers:
            while batch := each.next_batch(self.crew.mailbox, None):
                assert each.load <= self.crew.mailbox
                self.inboxes[each.ref.name].append(batch)

    def come_or_go(self, name: str) -> None:
        known = self.by_name(name)
        if known is None:
            self.inboxes[name], self.unreported[name] = deque(), []
            self.crew.add(worker(name))
        else:
            self.lost.update(numbers(self.crew.lose(known)))
        self.flush()

    def work(self, name: str) -> None:
        if self.by_name(name) is not None and self.inboxes[name]:
            batch, items = self.inboxes[name].popleft()
            for each in items:
                self.seen.setdefault(each[2].from_text, []).append(each[1])
            self.unreported[name].append((batch, len(items)))

    def report(self, name: str) -> None:
        known = self.by_name(name)
        if known is not None and self.unreported[name]:
            known.outflow.taken(self.unreported[name][-1][0])
            known.load -= sum(count for _, count in self.unreported[name])
            self.crew.done(known, [batch for batch, _ in self.unreported[name]])
            self.unreported[name].clear()
            self.flush()


NAMES = st.sampled_from(["a", "b", "c"])
STEPS = st.one_of(
    st.tuples(st.just("give"), st.integers(0, 5)),
    st.tuples(st.sampled_from(["come_or_go", "work", "report"]), NAMES),
)


@given(st.lists(STEPS, max_size=120))
def test_order_per_key_while_workers_come_and_go(steps: list[tuple[str, Any]]) -> None:
    world = World()
    for step, argument in steps:
        getattr(world, step)(argument)
    for name in "abc":
        if world.by_name(name) is None:
            world.come_or_go(name)
    for _ in range(world.given + 1):
        for name in "abc":
            world.work(name)
            world.report(name)
    handled = [number for numbers_ in world.seen.values() for number in numbers_]
    assert all(numbers_ == sorted(numbers_) for numbers_ in world.seen.values())
    assert set(handled) | world.lost == set(range(1, world.given + 1))
    assert len(handled) == len(set(handled))
    assert not world.crew.pinned
