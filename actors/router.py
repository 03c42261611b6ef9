"""The router actor: which stanza goes to which component.

The table is `emp.routing`; what is here is the bookkeeping around it: a crew of workers per
component class, batches with credit to each of them, and what each has been given and not yet
handled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any

from actors.base import BaseActor
from actors.flow import Inflow, Outflow
from actors.messages import (
    ActionCall,
    ActorFailed,
    ActorLost,
    BatchTaken,
    ComponentSpec,
    DismissComponent,
    IntroduceComponent,
    Ref,
    RefuseStanzas,
    RouteStanzas,
    RunActions,
    StartRouter,
)
from emp import app as application
from emp.app import App
from emp.errors import EmpError, InternalServerError, ServiceUnavailable, StanzaError
from emp.routing import RouteTable
from emp.stanza import Stanza

Item = tuple[Ref, int, Stanza, int, Mapping[str, Any]]
"""(connection, sequence number there, stanza, call, captures); see `RunActions`."""


class Worker:
    """One component actor: what waits for it, and what it was given and has not handled."""

    __slots__ = ("given", "known_calls", "outflow", "ref")

    def __init__(self, ref: Ref) -> None:
        self.ref = ref
        self.outflow: Outflow[Item] = Outflow()
        self.given: dict[int, tuple[Item, ...]] = {}
        self.known_calls: set[int] = set()


class Crew:
    """The workers of one component class. While there is none, its stanzas wait.

    One sender's stanzas stay with one worker, so they are handled in order. Which one depends on
    the names of sender and workers only: a new router chooses as its predecessor did, but for what
    that one had pinned, and who comes or goes moves few. `pinned` are senders that have stanzas at
    another worker from before: they stay there until these are handled.
    """

    __slots__ = ("orphans", "pinned", "refusal", "workers")

    def __init__(self) -> None:
        self.workers: list[Worker] = []
        self.orphans: deque[Item] = deque()
        self.pinned: dict[str | None, list[Any]] = {}  # sender → [worker, stanzas there]
        self.refusal: StanzaError | None = None

    def give(self, item: Item) -> None:
        workers = self.workers
        if not workers:
            self.orphans.append(item)
        elif len(workers) == 1:
            workers[0].outflow.waiting.append(item)
        elif (pin := self.pinned.get(item[2].from_text)) is not None:
            pin[1] += 1
            pin[0].outflow.waiting.append(item)
        else:
            self._choose(item[2].from_text or "").outflow.waiting.append(item)

    def _choose(self, sender: str) -> Worker:
        return max(self.workers, key=lambda worker: _draw(f"{worker.ref.name} {sender}"))

    def add(self, worker: Worker) -> None:
        self.workers.append(worker)
        self._pin()
        orphans, self.orphans = self.orphans, deque()
        for item in orphans:
            self.give(item)

    def lose(self, worker: Worker) -> list[Item]:
        """Take out a worker. What waited for it goes on; returns what it had been given."""
        self.workers.remove(worker)
        self._pin()
        for item in worker.outflow.waiting:
            self.give(item)
        return [item for items in worker.given.values() for item in items]

    def forget(self, connection: int) -> None:
        """That incarnation of a connection is gone: nobody waits for what it gave."""
        for queue in (self.orphans, *(worker.outflow.waiting for worker in self.workers)):
            kept = [item for item in queue if item[0].incarnation != connection]
            if len(kept) < len(queue):
                queue.clear()
                queue.extend(kept)
        self._pin()

    def _pin(self) -> None:
        """Before stanzas are distributed anew: who has some where."""
        self.pinned.clear()
        for worker in self.workers if len(self.workers) > 1 else ():
            for item in chain(*worker.given.values(), worker.outflow.waiting):
                self.pinned.setdefault(item[2].from_text, [worker, 0])[1] += 1

    def done(self, worker: Worker, batches: Iterable[int]) -> None:
        for batch in batches:
            items = worker.given.pop(batch, ())
            if self.pinned:
                for item in items:
                    self._unpin(item[2].from_text)

    def _unpin(self, sender: str | None) -> None:
        pin = self.pinned.get(sender)
        if pin is not None:
            pin[1] -= 1
            if not pin[1]:
                del self.pinned[sender]


def _weight(item: Item) -> int:
    return len(item[2].to_bytes())


def _draw(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()


class RouterActor(BaseActor):
    """Matches stanzas against the route table and passes them on, in batches."""

    kind = "router"

    def __init__(self) -> None:
        super().__init__()
        self.app: App
        self.table: RouteTable
        self.crews: dict[str, Crew] = {}
        self.workers: dict[int, tuple[Crew, Worker]] = {}
        self.targets: dict[int, tuple[Crew, int]] = {}
        self.calls: dict[tuple[str, str, tuple[str, ...]], int] = {}
        self.inflows: dict[int, Inflow] = {}
        self.spawned: list[ComponentSpec] = []
        self.routed = self.unrouted = self.refused = 0

    # ── the table ───────────────────────────────────────────────────────────────────────────────

    def on_StartRouter(self, message: StartRouter, sender: Any) -> None:
        self.become(message.app_name, "router", message.log_level)
        try:
            config = Path(message.app.config) if message.app.config else None
            app = application.load(Path(message.app.path), config)
            self.app = app
            self.spawned.extend(message.spawned)
            self._compile()
        except Exception as error:  # noqa: BLE001 - the supervisor waits for one of two answers
            reason = str(error) if isinstance(error, EmpError) else repr(error)
            self.send(sender, ActorFailed(self.name, self.incarnation, reason))
            return
        self.started(sender)

    def _compile(self) -> None:
        """The table, and what each route leads to, worked out once instead of for every stanza."""
        extra = [
            (route.xpath, application.resolve(spec.reference, self.app.directory), route.action)
            for spec in self.spawned
            for route in spec.routes
        ]
        self.table = application.with_routes(self.app, extra) if extra else self.app.table
        self.targets = {}
        for route in self.table.routes:
            reference = application.reference(route.component)
            crew = self.crews.setdefault(reference, Crew())
            key = (reference, route.action, tuple(route.captures))
            self.targets[route.number] = crew, self.calls.setdefault(key, len(self.calls) + 1)

    # ── stanzas ─────────────────────────────────────────────────────────────────────────────────

    def on_RouteStanzas(self, message: RouteStanzas, sender: Any) -> None:
        # Hot path: everything that does not depend on the stanza is outside the loop.
        connection, match, targets = message.connection, self.table.match, self.targets
        resource, is_component = message.resource, message.is_component
        unrouted: list[int] = []
        refused: dict[int, tuple[StanzaError, list[int]]] = {}
        touched: dict[int, Crew] = {}
        for number, stanza in message.items:
            found = match(stanza, resource, is_component)
            if found is None:
                unrouted.append(number)
                continue
            crew, call = targets[found.route.number]
            if crew.refusal is not None and not crew.workers:
                refused.setdefault(id(crew), (crew.refusal, []))[1].append(number)
                continue
            crew.give((connection, number, stanza, call, found.captures))
            touched[id(crew)] = crew
        self.routed += len(message.items) - len(unrouted)
        for crew in touched.values():
            self._flush(crew)
        if unrouted:
            self.unrouted += len(unrouted)
            self._refuse(connection, unrouted, ServiceUnavailable("no route matches"))
        for error, numbers in refused.values():
            self._refuse(connection, numbers, error, bounce=True)
        self._credit(connection, message.batch)

    def _credit(self, connection: Ref, batch: int) -> None:
        inflow = self.inflows.get(connection.incarnation)
        if inflow is None:
            inflow = self.inflows[connection.incarnation] = Inflow()
        inflow.take(batch)
        credit = inflow.credit()
        if credit is not None:
            taken = BatchTaken(self.incarnation, connection.incarnation, credit)
            self.send(connection.address, taken)

    def _flush(self, crew: Crew) -> None:
        for worker in crew.workers:
            weight = None if self.embedded else _weight
            while (batch := worker.outflow.next_batch(weight)) is not None:
                number, items = batch
                worker.given[number] = items
                news = {item[3] for item in items} - worker.known_calls
                calls: list[ActionCall] = []
                if news:
                    worker.known_calls |= news
                    calls = [
                        ActionCall(call, *key[1:])
                        for key, call in self.calls.items()
                        if call in news
                    ]
                self.send(worker.ref.address, RunActions(self.ref, number, items, tuple(calls)))

    def on_BatchTaken(self, message: BatchTaken, sender: Any) -> None:
        found = self.workers.get(message.taker)
        if found is None or message.incarnation != self.incarnation:
            return
        crew, worker = found
        worker.outflow.taken(message.batch)
        crew.done(worker, message.done)
        self._flush(crew)

    def _refuse(
        self, connection: Ref, numbers: list[int], error: StanzaError, bounce: bool = False
    ) -> None:
        self.refused += len(numbers)
        refusal = RefuseStanzas(connection.incarnation, tuple(numbers), error, bounce)
        self.send(connection.address, refusal)

    # ── who is there ────────────────────────────────────────────────────────────────────────────

    def on_IntroduceComponent(self, message: IntroduceComponent, sender: Any) -> None:
        spec = message.spec
        if spec.routes and spec not in self.spawned:  # a restart brings them again
            self.spawned.append(spec)
            self._compile()
        crew = self.crews.setdefault(spec.reference, Crew())
        crew.refusal = None
        worker = Worker(message.ref)
        self.workers[message.ref.incarnation] = crew, worker
        crew.add(worker)
        self._flush(crew)

    def on_ActorLost(self, message: ActorLost, sender: Any) -> None:
        if self.inflows.pop(message.incarnation, None) is not None:
            for crew in self.crews.values():
                crew.forget(message.incarnation)
        found = self.workers.pop(message.incarnation, None)
        if found is None:
            return
        crew, worker = found
        error = InternalServerError("the component was lost at work", type="wait")
        # The connections know which of them are handled all the same.
        self._refuse_items(crew.lose(worker), error, bounce=True)
        self._flush(crew)

    def on_DismissComponent(self, message: DismissComponent, sender: Any) -> None:
        spec = message.spec
        if spec in self.spawned:
            self.spawned.remove(spec)
            self._compile()
        if not message.last:
            return
        crew = self.crews.setdefault(spec.reference, Crew())
        crew.refusal = ServiceUnavailable(f"{spec.name} is stopped")
        orphans, crew.orphans = crew.orphans, deque()
        self._refuse_items(orphans, crew.refusal, bounce=True)

    def _refuse_items(self, items: Iterable[Item], error: StanzaError, bounce: bool) -> None:
        by_connection: dict[int, tuple[Ref, list[int]]] = {}
        for connection, number, *_ in items:
            by_connection.setdefault(connection.incarnation, (connection, []))[1].append(number)
        for connection, numbers in by_connection.values():
            self._refuse(connection, numbers, error, bounce)

    def facts(self) -> dict[str, Any]:
        return {
            "routes": len(self.table.routes),
            "routed": self.routed,
            "unrouted": self.unrouted,
            "refused": self.refused,
            "crews": {
                reference: {
                    "workers": [worker.ref.name for worker in crew.workers],
                    "not_confirmed": sum(len(i) for w in crew.workers for i in w.given.values()),
                    "waiting": len(crew.orphans)
                    + sum(len(worker.outflow.waiting) for worker in crew.workers),
                }
                for reference, crew in self.crews.items()
            },
        }
