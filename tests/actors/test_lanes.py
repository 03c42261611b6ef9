"""The books of a component, and what a router forgets."""

from thespian.actors import ActorAddress

from actors.lanes import Lane, Source
from actors.messages import Ref
from actors.router import Crew, Worker
from emp.stanza import Message

HERE = ActorAddress("here")


def lane(incarnation: int) -> Lane:
    return Lane(Ref(f"connection {incarnation}", HERE, incarnation))


def test_a_connection_that_acknowledges_late_holds_up_only_its_own_batches() -> None:
    idle, busy = lane(1), lane(2)
    source = Source(Ref("router", HERE, 3))
    idle.put(1, ())
    idle.next_batch(False)
    source.over.append((1, ((idle, 1),)))
    for batch in range(2, 8):
        busy.put(batch, ())
        number, _, _ = busy.next_batch(False) or (0, (), ())
        busy.taken(number)
        source.over.append((batch, ((busy, busy.sent),)))
        source.inflow.take(batch)
    assert source.credit() == (7, (2, 3, 4, 5, 6, 7), 0)
    assert [batch for batch, _ in source.over] == [1]


def test_a_new_router_may_give_again_what_was_acknowledged_meanwhile() -> None:
    known = lane(1)
    for number in (1, 2, 3):
        known.put(number, ())
        batch, _, _ = known.next_batch(False) or (0, (), ())
        if number < 3:
            known.taken(batch)
    known.put(4, ())
    known.running[5] = Source(Ref("router", HERE, 3)), 1
    known.suspect_all()
    assert known.seen == {1, 2, 3, 4, 5}
    assert known.suspect == 5


def test_what_a_lost_connection_gave_is_forgotten() -> None:
    crew = Crew()
    gone, here = Ref("gone", HERE, 1), Ref("here", HERE, 2)
    for connection in (gone, here, gone):
        crew.give((connection, 1, Message("a@b", "hi"), 1, {}))
    crew.forget(1)
    assert [item[0] for item in crew.orphans] == [here]
    worker = Worker(Ref("worker", HERE, 3))
    crew.add(worker)
    crew.give((gone, 2, Message("a@b", "hi"), 1, {}))
    crew.forget(1)
    assert [item[0] for item in worker.outflow.waiting] == [here]
