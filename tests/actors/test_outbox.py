"""What is to be sent, and whose it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from thespian.actors import ActorAddress

from actors.flow import BATCH_BYTES
from actors.messages import Ref
from actors.outbox import OFFLINE_STANZAS, TRIES, Failure, Outbox, Outgoing, runs
from emp.config import ConnectionSettings
from emp.stanza import Iq, Message, Stanza
from emp.stream.management import Unsent


def ref(name: str, incarnation: int) -> Ref:
    return Ref(name, ActorAddress(name), incarnation)


A, B = ref("A", 1), ref("B", 2)


def message(number: int) -> Message:
    return Message("a@b", str(number))


def test_every_number_has_its_sender() -> None:
    outbox = Outbox()
    outbox.written(3, A, 0)
    outbox.written(5, B, 0)
    outbox.written(6, None, 0)
    assert [outbox.sender_of(number) for number in range(1, 8)] == [A, A, A, B, B, None, None]


def test_one_sender_makes_one_entry_though_its_reference_is_made_anew() -> None:
    outbox = Outbox()
    for number in range(1, 1001):
        outbox.written(number, ref("A", 1), 0)
    assert len(outbox._senders) == 1
    assert outbox.sender_of(1) == outbox.sender_of(1000) == A


def test_what_is_acknowledged_is_forgotten() -> None:
    outbox = Outbox()
    for number in range(1, 1001):
        outbox.written(number, A if number % 2 else B, number - 1)
    assert len(outbox._senders) == 1


def test_what_is_kept_comes_out_once_and_in_order() -> None:
    outbox = Outbox()
    stanzas = [message(number) for number in range(5)]
    assert outbox.keep(stanzas[:3], A) == []
    assert outbox.keep(stanzas[3:], B) == []
    assert [item.stanza for item in outbox.take_offline()] == stanzas
    assert outbox.take_offline() == []


def test_the_oldest_are_given_back_when_there_is_no_room() -> None:
    outbox = Outbox()
    stanzas = [message(number) for number in range(OFFLINE_STANZAS + 2)]
    assert outbox.keep(stanzas[:OFFLINE_STANZAS], A) == []
    excess = outbox.keep(stanzas[OFFLINE_STANZAS:], B)
    assert excess == [Outgoing(stanzas[0], A), Outgoing(stanzas[1], A)]
    assert len(outbox.offline) == OFFLINE_STANZAS


def test_runs_of_one_sender_go_together() -> None:
    one, two, three, four = (message(number) for number in range(4))
    items = [Outgoing(one, A), Outgoing(two, ref("A", 1)), Outgoing(three, None), Outgoing(four, B)]
    assert list(runs(items)) == [(A, [one, two]), (None, [three]), (B, [four])]
    assert list(runs([])) == []


def test_no_run_is_bigger_than_a_message_between_processes() -> None:
    big = Message("a@b", "x" * (BATCH_BYTES // 2))
    items = [Outgoing(big, A)] * 3
    assert [len(stanzas) for _, stanzas in runs(items)] == [1, 1, 1]


def test_what_no_session_survives_is_given_back() -> None:
    outbox = Outbox()
    settings = ConnectionSettings(name="main", kind="component", host="main.localhost")
    now = datetime.now(UTC)
    answer: Stanza = Iq("result", id="1", to="a@b")
    for number in range(1, TRIES):
        outbox.written(number, A, 0)
        assert outbox.recover([Unsent(number, answer, False)], settings, now) == []
        ((answer, sender),) = outbox.take_offline()
        assert sender == A
    outbox.written(TRIES, A, 0)
    (failure,) = outbox.recover([Unsent(TRIES, answer, False)], settings, now)
    assert failure.item == Outgoing(answer, A)
    assert failure.uncertain
    assert not outbox.offline


def test_what_is_sent_again_goes_before_what_was_not_sent_yet() -> None:
    outbox = Outbox()
    settings = ConnectionSettings(name="main", kind="component", host="main.localhost")
    one, two, three = (Iq("result", id=str(each), to="a@b") for each in range(3))
    outbox.keep([three], B)
    outbox.written(2, A, 0)
    lost = [Unsent(1, one, False), Unsent(2, two, False)]
    assert outbox.recover(lost, settings, datetime.now(UTC)) == []
    assert outbox.take_offline() == [Outgoing(one, A), Outgoing(two, A), Outgoing(three, B)]


def test_what_may_have_arrived_once_stays_in_doubt() -> None:
    """However certain it is that it did not arrive the second time."""
    outbox = Outbox()
    settings = ConnectionSettings(name="main", kind="client", node="foo", host="localhost")
    now = datetime.now(UTC)
    answer, chat = Iq("result", id="1", to="a@b"), message(1)
    outbox.written(2, A, 0)
    lost = [Unsent(1, answer, False), Unsent(2, chat, True)]
    assert outbox.recover(lost, settings, now) == []
    (again, _), (late, _) = outbox.take_offline()
    assert [outbox.in_doubt(each) for each in (again, late, message(2))] == [True, False, False]
    outbox.written(4, A, 2)
    lost = [Unsent(3, again, True), Unsent(4, late, True)]
    assert outbox.recover(lost, settings, now) == []
    assert [outbox.in_doubt(each) for each, _ in outbox.take_offline()] == [True, False]


@pytest.mark.parametrize("certain", [True, False])
def test_giving_up_says_what_is_certain(certain: bool) -> None:
    outbox = Outbox()
    settings = ConnectionSettings(name="main", kind="client", node="foo", host="localhost")
    answer: Stanza = Iq("result", id="1", to="a@b")
    reports: list[Failure] = []
    for number in range(1, TRIES + 1):
        outbox.written(number, A, 0)
        reports += outbox.recover([Unsent(number, answer, certain)], settings, datetime.now(UTC))
        outbox.take_offline()
    assert [failure.uncertain for failure in reports] == [not certain]
