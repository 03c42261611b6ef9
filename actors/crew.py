"""Who works for the router: the workers of each component class, and what they have in hand.

Plain objects: `actors.router` says when to send what they hold.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from itertools import chain, takewhile
from typing import Any, Final, TypeAlias

from actors.component import Component
from actors.flow import Outflow
from actors.keys import key_of
from actors.messages import Ref
from emp.errors import ResourceConstraint, StanzaError
from emp.stanza import Stanza

Item: TypeAlias = tuple[Ref, int, Stanza, int, Mapping[str, Any]]
"""(connection, sequence number there, stanza, call, captures); see `RunActions`."""


class Passed(tuple[Any, ...]):
    """An item that an action has passed on by skip(). Others wait for it at the worker that had it:
    so it goes before what waits here, and a full mailbox does not keep it out."""

    __slots__ = ()


def _passed(waiting: Iterable[Any]) -> int:
    """How many of these stand in front."""
    return sum(1 for _ in takewhile(lambda item: type(item) is Passed, waiting))


KEYS_REMEMBERED: Final = 4096
"""Keys whose worker is remembered, because working it out takes 3 µs: more than are busy at a time,
and a few MB at most, however long the JIDs are."""

FULL: Final = ResourceConstraint("too many stanzas are waiting here", type="wait")


class Worker:
    """One component actor: what waits for it, and what it was given and has not handled.

    load: stanzas given to it whose actions are, as far as it has said, not over.
    """

    __slots__ = ("given", "known_calls", "load", "outflow", "ref")

    def __init__(self, ref: Ref) -> None:
        self.ref = ref
        self.outflow: Outflow[Item] = Outflow()
        self.given: dict[int, tuple[Item, ...]] = {}
        self.known_calls: set[int] = set()
        self.load = 0

    def next_batch(
        self, mailbox: int, weight: Callable[[Item], int] | None
    ) -> tuple[int, tuple[Item, ...]] | None:
        """The batch to give it now, as (number, items): never more than its mailbox has room
        for, and what was passed on by itself."""
        waiting = self.outflow.waiting
        passed = waiting and type(waiting[0]) is Passed
        room = _passed(waiting) if passed else mailbox - self.load
        if room <= 0:
            return None
        batch = self.outflow.next_batch(weight, room)
        if batch is not None:
            self.given[batch[0]] = batch[1]
            self.load += len(batch[1])
        return batch

    def take_back(self, wanted: Collection[tuple[int, int]]) -> list[Item]:
        """Take out of what it was given the stanzas with these (incarnation of the connection,
        sequence number)."""
        back: list[Item] = []
        for batch, items in self.given.items():
            kept: list[Item] = []
            for item in items:
                (back if (item[0].incarnation, item[1]) in wanted else kept).append(item)
            if len(kept) < len(items):
                self.given[batch] = tuple(kept)
        return back


class Crew:
    """The workers of one component class. While there is none, its stanzas wait.

    Stanzas with one key stay with one worker, so they are handled in order. Which one depends on
    the key and the names of the workers only: a new router chooses as its predecessor did, but for
    what that one had pinned, and who comes or goes moves few. `pinned` are keys that have stanzas
    at another worker from before: they stay there until these are handled.
    """

    __slots__ = (
        "choose", "key", "mailbox", "name", "orphans", "pinned", "refusal", "selective",
        "sheds", "workers",
    )  # fmt: skip

    def __init__(self, component: Any = Component) -> None:
        """component: the class, whose attributes say how its stanzas are shared out."""
        self.name: str = component.__qualname__
        self.key = key_of(component)
        self.mailbox: int = component.mailbox
        self.sheds: bool = component.when_full == "shed"
        self.workers: list[Worker] = []
        self.orphans: deque[Item] = deque()
        self.pinned: dict[str, list[Any]] = {}  # key → [worker, stanzas there]
        self.refusal: StanzaError | None = None
        self.selective = self.sheds
        """Whether `objection` has to be asked before a stanza is given."""
        self.choose = lru_cache(KEYS_REMEMBERED)(self._choose)

    def give(self, item: Item) -> None:
        workers = self.workers
        if len(workers) == 1:
            workers[0].outflow.waiting.append(item)
        elif not workers:
            self.orphans.append(item)
        else:
            key = self.key(item[2])
            pin = self.pinned.get(key)
            if pin is None:
                self.choose(key).outflow.waiting.append(item)
            else:
                pin[1] += 1
                pin[0].outflow.waiting.append(item)

    def pass_on(self, item: Item) -> None:
        """Give an item that an action has passed on: in front, behind others of its kind."""
        passed = Passed(item)
        if not self.workers:
            self.orphans.append(passed)
            return
        worker = self._worker(item[2])
        if len(self.workers) > 1 and (pin := self.pinned.get(self.key(item[2]))) is not None:
            pin[1] += 1
        waiting = worker.outflow.waiting
        waiting.insert(_passed(waiting), passed)

    def _give_again(self, items: Iterable[Item]) -> None:
        for item in items:
            (self.pass_on if type(item) is Passed else self.give)(item)

    def objection(self, stanza: Stanza) -> StanzaError | None:
        """Why the stanza is not taken, if it is not: nobody works here any more, or the mailbox of
        its worker is full and its class would rather refuse than wait."""
        if not self.workers:
            if self.refusal is not None:
                return self.refusal
            load = len(self.orphans)
        else:
            worker = self._worker(stanza)
            load = worker.load + len(worker.outflow.waiting)
        return FULL if self.sheds and load >= self.mailbox else None

    def _worker(self, stanza: Stanza) -> Worker:
        if len(self.workers) == 1:
            return self.workers[0]
        key = self.key(stanza)
        pin = self.pinned.get(key)
        worker: Worker = self.choose(key) if pin is None else pin[0]
        return worker

    def _choose(self, key: str) -> Worker:
        # Rendezvous hashing, by a hash that is the same in every process.
        return max(self.workers, key=lambda worker: _draw(f"{worker.ref.name} {key}"))

    def add(self, worker: Worker) -> None:
        self.workers.append(worker)
        self._pin()
        orphans, self.orphans = self.orphans, deque()
        self._give_again(orphans)

    def lose(self, worker: Worker) -> list[Item]:
        """Take out a worker. What waited for it goes on; returns what it had been given."""
        self.workers.remove(worker)
        self._pin()
        self._give_again(worker.outflow.waiting)
        return [item for items in worker.given.values() for item in items]

    def refuse(self, error: StanzaError | None) -> Iterable[Item]:
        """From now on, stanzas are refused while there is no worker; None: they wait for one.
        Returns those that have waited in vain."""
        self.refusal = error
        self.selective = self.sheds or error is not None
        orphans: deque[Item] = deque()
        if error is not None:
            orphans, self.orphans = self.orphans, orphans
        return orphans

    def forget(self, connection: int) -> None:
        """That incarnation of a connection is gone: nobody waits for what it gave."""
        for queue in (self.orphans, *(worker.outflow.waiting for worker in self.workers)):
            kept = [item for item in queue if item[0].incarnation != connection]
            if len(kept) < len(queue):
                queue.clear()
                queue.extend(kept)
        self._pin()

    def _pin(self) -> None:
        """Before stanzas are distributed anew: which keys have some where."""
        self.choose.cache_clear()
        self.pinned.clear()
        for worker in self.workers if len(self.workers) > 1 else ():
            for item in chain(*worker.given.values(), worker.outflow.waiting):
                self.pinned.setdefault(self.key(item[2]), [worker, 0])[1] += 1

    def done(self, worker: Worker, batches: Iterable[int]) -> None:
        for batch in batches:
            items = worker.given.pop(batch, ())
            if self.pinned:
                self._unpin(items)

    def take_back(self, worker: Worker, wanted: Collection[tuple[int, int]]) -> list[Item]:
        """What `worker` was given of these, and is not going to handle; see `Worker`."""
        items = worker.take_back(wanted)
        if self.pinned:
            self._unpin(items)
        return items

    def _unpin(self, items: Iterable[Item]) -> None:
        for item in items:
            key = self.key(item[2])
            pin = self.pinned.get(key)
            if pin is not None:
                pin[1] -= 1
                if not pin[1]:
                    del self.pinned[key]

    def calls(self) -> set[int]:
        """The calls of all stanzas that are waiting or at work."""
        queues: list[Iterable[Item]] = [self.orphans]
        for worker in self.workers:
            queues += [worker.outflow.waiting, *worker.given.values()]
        return {item[3] for queue in queues for item in queue}

    def holders(self, connection: int) -> Counter[str]:
        """How many stanzas of that incarnation of a connection each worker has, or would get."""
        held = Counter[str]()
        for worker in self.workers:
            items = chain(*worker.given.values(), worker.outflow.waiting)
            held[worker.ref.name] = sum(item[0].incarnation == connection for item in items)
        waiting = sum(item[0].incarnation == connection for item in self.orphans)
        held[f"{self.name} (nobody runs it now)"] = waiting
        return +held

    def facts(self) -> dict[str, Any]:
        return {
            "workers": [worker.ref.name for worker in self.workers],
            "not_confirmed": sum(len(i) for w in self.workers for i in w.given.values()),
            "waiting": len(self.orphans) + sum(len(w.outflow.waiting) for w in self.workers),
        }


def _draw(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()
