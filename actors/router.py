"""The router actor: which stanza goes to which component.

The table is `emp.routing`; what is here is the bookkeeping around it: `actors.calls` knows what
each route leads to, `actors.crew` the workers of each component class, and what they have in hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from actors.base import BaseActor, logger
from actors.calls import Calls
from actors.crew import FULL, Crew, Item, Passed, Worker
from actors.flow import Inflow
from actors.messages import (
    ActionCall,
    ActorFailed,
    ActorLost,
    AskHolders,
    BatchTaken,
    ComponentSpec,
    DismissComponent,
    HoldersGiven,
    IntroduceComponent,
    PassStanzas,
    Ref,
    Refused,
    RefuseStanzas,
    ReloadRoutes,
    RoutesRead,
    RouteStanzas,
    RunActions,
    StartRouter,
    UseRoutes,
)
from actors.plan import make_plan
from actors.seldom import Seldom
from emp import app as application
from emp.app import App
from emp.errors import EmpError, InternalServerError, ServiceUnavailable, StanzaError
from emp.reload import Reading
from emp.routing import RouteTable
from emp.routing.suggest import suggest
from emp.stanza import Stanza

UNROUTED = ServiceUnavailable("no route matches")
LOST = InternalServerError("the component was lost at work", type="wait")

HOLDERS_SHOWN = 5
"""Workers that are named when people ask who holds up a connection: the worst come first."""

Numbered = tuple[int, Stanza]
"""(sequence number at the connection, stanza)"""


class Feed(NamedTuple):
    """A connection that gives stanzas: what a route may want of it, and its batches."""

    name: str
    resource: str | None
    is_component: bool
    inflow: Inflow


class RouterActor(BaseActor):
    """Matches stanzas against the route table and passes them on, in batches."""

    kind = "router"

    def __init__(self) -> None:
        super().__init__()
        self.app: App
        self.read: tuple[Reading, RouteTable] | None = None  # anew, and not in use yet
        self.calls = Calls()
        self.workers: dict[int, tuple[Crew, Worker]] = {}
        self.feeds: dict[int, Feed] = {}
        self.spawned: list[ComponentSpec] = []
        self.told_unrouted, self.told_full = Seldom(), Seldom()
        self.routed = self.unrouted = self.refused = self.skipped = self.shed = 0

    # ── the table ───────────────────────────────────────────────────────────────────────────────

    def on_StartRouter(self, message: StartRouter, sender: Any) -> None:
        self.become(message.app_name, "router", message.log_level)
        self.source = message.app
        try:
            with self.importing(message.log_level):
                self.app = application.load(*self._files())
            self.spawned.extend(message.spawned)
            self.calls.use(self._table(self.app))
        except Exception as error:  # noqa: BLE001 - the supervisor waits for one of two answers
            self.send(sender, ActorFailed(self.name, self.incarnation, _reason(error)))
            return
        known = {spec.reference for spec in (*message.components, *message.spawned)}
        for reference, crew in self.calls.crews.items():
            if reference not in known:  # the file has changed since the application was started
                crew.refuse(ServiceUnavailable(f"{reference} does not run; emp-admin reload"))
        for ref, spec in message.workers:
            self._introduce(ref, spec)
        self.started(sender)

    def _files(self) -> tuple[Path, Path | None]:
        return Path(self.source.path), Path(self.source.config) if self.source.config else None

    def _table(self, app: App) -> RouteTable:
        """Its routes, and after them those of components that were spawned."""
        extra = [
            (route.xpath, application.resolve(spec.reference, app.directory), route.action)
            for spec in self.spawned
            for route in spec.routes
        ]
        return application.with_routes(app, extra) if extra else app.table

    def on_ReloadRoutes(self, message: ReloadRoutes, sender: Any) -> None:
        """Read them, and tell the supervisor what they need; they are in use when that is there."""
        reading = None
        try:
            reading = Reading(*self._files())
            self.read = reading, self._table(reading.app)
            plan = make_plan(reading.app, self.source)
        except Exception as error:  # noqa: BLE001 - the supervisor waits for one of two answers
            if reading is not None:
                reading.drop()
            self.send(sender, Refused(_reason(error)))
            return
        reading.adopt()
        routes = len(reading.app.table.routes)
        self.send(sender, RoutesRead(routes, plan.components, plan.connections))

    def on_UseRoutes(self, message: UseRoutes, sender: Any) -> None:
        if self.read is None:
            return
        (reading, table), self.read = self.read, None
        if message.announce is None:
            reading.drop()
            return
        self.app = reading.app
        self.calls.use(table)
        self.send(sender, message.announce)

    # ── stanzas ─────────────────────────────────────────────────────────────────────────────────

    def on_RouteStanzas(self, message: RouteStanzas, sender: Any) -> None:
        # Hot path: everything that does not depend on the stanza is outside the loop.
        connection, (table, targets) = message.connection, self.calls.switch
        match = table.match
        name, resource, is_component = message.name, message.resource, message.is_component
        unrouted: list[Numbered] = []
        refused: dict[int, tuple[Crew, StanzaError, list[int]]] = {}
        touched: dict[int, Crew] = {}
        for number, stanza in message.items:
            found = match(stanza, resource, is_component, name)
            if found is None:
                unrouted.append((number, stanza))
                continue
            crew, call = targets[found.route.number]
            if crew.selective and (error := crew.objection(stanza)) is not None:
                refused.setdefault(id(crew), (crew, error, []))[2].append(number)
                continue
            crew.give((connection, number, stanza, call, found.captures))
            touched[id(crew)] = crew
        self.routed += len(message.items) - len(unrouted)
        for crew in touched.values():
            for worker in crew.workers:
                if worker.outflow.waiting:
                    self._feed(crew, worker)
        if unrouted:
            self._refuse_unrouted(connection, unrouted)
        for crew, error, numbers in refused.values():
            self._turn_away(connection, numbers, crew, error)
        self._credit(message)

    def _credit(self, message: RouteStanzas) -> None:
        connection = message.connection
        feed = self.feeds.get(connection.incarnation)
        if feed is None:
            feed = Feed(message.name, message.resource, message.is_component, Inflow())
            self.feeds[connection.incarnation] = feed
        feed.inflow.take(message.batch)
        credit = feed.inflow.credit()
        if credit is not None:
            taken = BatchTaken(self.incarnation, connection.incarnation, credit)
            self.send(connection.address, taken)

    def _flush(self, crew: Crew) -> None:
        for worker in crew.workers:
            self._feed(crew, worker)

    def _feed(self, crew: Crew, worker: Worker) -> None:
        weight = None if self.embedded else _weight
        waiting, known = worker.outflow.waiting, worker.known_calls
        while waiting and (batch := worker.next_batch(crew.mailbox, weight)) is not None:
            number, items = batch
            calls: tuple[ActionCall, ...] = ()
            if news := {item[3] for item in items} - known:
                known |= news
                calls = self.calls.told(news)
            passed = type(items[0]) is Passed
            self.send(worker.ref.address, RunActions(self.ref, number, items, calls, passed))

    def on_BatchTaken(self, message: BatchTaken, sender: Any) -> None:
        found = self.workers.get(message.taker)
        if found is None or message.incarnation != self.incarnation:
            return
        crew, worker = found
        worker.outflow.taken(message.batch)
        worker.load -= message.over
        crew.done(worker, message.done)
        self._feed(crew, worker)

    def on_PassStanzas(self, message: PassStanzas, sender: Any) -> None:
        if message.incarnation != self.incarnation:
            return  # a new router has them
        connection = message.connection
        if (found := self.workers.get(message.sender)) is not None:
            crew, worker = found
            crew.take_back(worker, {(connection.incarnation, item[0]) for item in message.items})
        touched: dict[int, Crew] = {}
        for number, stanza, call in message.items:
            next_crew = self._pass_on((connection, number, stanza, call, {}))
            if next_crew is not None:
                touched[id(next_crew)] = next_crew
        for each in touched.values():
            self._flush(each)

    def _pass_on(self, item: Item) -> Crew | None:
        """Give a stanza to the next route that matches, behind that which it came by. Returns the
        crew that has got it."""
        connection, number, stanza, before, _ = item
        self.skipped += 1
        feed = self.feeds.get(connection.incarnation)
        if feed is None:
            return None  # its connection is gone
        found = self.calls.behind(before, stanza, feed.name, feed.resource, feed.is_component)
        if found is None:
            self._refuse_unrouted(connection, [(number, stanza)])
            return None
        crew, call, captures = found
        if crew.selective and (error := crew.objection(stanza)) is not None:
            self._turn_away(connection, [number], crew, error)
            return None
        crew.pass_on((connection, number, stanza, call, captures))
        return crew

    # ── what nobody handles ─────────────────────────────────────────────────────────────────────

    def _refuse_unrouted(self, connection: Ref, items: list[Numbered]) -> None:
        self.unrouted += len(items)
        now = self.driver.loop.time()
        for _, stanza in items:
            # Presences come to everybody, wanted or not.
            if stanza.kind != "presence" and self.told_unrouted.may(_shape(stanza), now):
                route = suggest(stanza)
                if self.told_unrouted.may(route, now):
                    line = route.replace("\n", "  ")
                    logger.info("no route matches a stanza; this one would: %s", line)
        self._refuse(connection, [number for number, _ in items], UNROUTED)

    def _turn_away(
        self, connection: Ref, numbers: list[int], crew: Crew, error: StanzaError
    ) -> None:
        if error is FULL:
            self.shed += len(numbers)
            if self.told_full.may(crew.name, self.driver.loop.time()):
                text = "%s: a mailbox with %d stanzas is full, and more are refused: %s"
                logger.warning(text, crew.name, crew.mailbox, error.text)
        self._refuse(connection, numbers, error, bounce=True)

    def _refuse(
        self, connection: Ref, numbers: list[int], error: StanzaError, bounce: bool = False
    ) -> None:
        self.refused += len(numbers)
        refusal = RefuseStanzas(connection.incarnation, tuple(numbers), error, bounce)
        self.send(connection.address, refusal)

    def _refuse_items(self, items: Iterable[Item], error: StanzaError) -> None:
        by_connection: dict[int, tuple[Ref, list[int]]] = {}
        for connection, number, *_ in items:
            by_connection.setdefault(connection.incarnation, (connection, []))[1].append(number)
        for connection, numbers in by_connection.values():
            self._refuse(connection, numbers, error, bounce=True)

    # ── who is there ────────────────────────────────────────────────────────────────────────────

    def on_IntroduceComponent(self, message: IntroduceComponent, sender: Any) -> None:
        spec = message.spec
        if spec.routes and spec not in self.spawned:  # a restart brings them again
            self.spawned.append(spec)
            self.calls.use(self._table(self.app))
        self._introduce(message.ref, spec)

    def _introduce(self, ref: Ref, spec: ComponentSpec) -> None:
        if ref.incarnation in self.workers:
            return
        crew = self.calls.crew(spec.reference)
        crew.refuse(None)
        worker = Worker(ref)
        self.workers[ref.incarnation] = crew, worker
        crew.add(worker)
        self._flush(crew)

    def on_ActorLost(self, message: ActorLost, sender: Any) -> None:
        if self.feeds.pop(message.incarnation, None) is not None:
            for crew in self.calls.crews.values():
                crew.forget(message.incarnation)
        found = self.workers.pop(message.incarnation, None)
        if found is None:
            return
        crew, worker = found
        items = crew.lose(worker)
        if items:
            _, _, stanza, call, _ = items[0]
            (told,) = self.calls.told({call})
            logger.warning(
                "%s is lost with up to %d stanzas in hand, the first for action %s: %s from %s",
                *(worker.ref.name, len(items), told.action, stanza.kind, stanza.from_text),
            )
        # The connections know which of them are handled all the same.
        self._refuse_items(items, LOST)
        self._flush(crew)

    def on_AskHolders(self, message: AskHolders, sender: Any) -> None:
        connection = message.connection
        held = Counter[str]()
        for crew in self.calls.crews.values():
            held.update(crew.holders(connection.incarnation))
        most = [f"{name} {count}" for name, count in held.most_common(HOLDERS_SHOWN)]
        more = len(held) - len(most)
        text = ", ".join(most) + (f" and {more} more" if more else "")
        self.send(connection.address, HoldersGiven(connection.incarnation, text or "nobody"))

    def on_DismissComponent(self, message: DismissComponent, sender: Any) -> None:
        spec = message.spec
        if spec in self.spawned:
            self.spawned.remove(spec)
            self.calls.use(self._table(self.app))
        if message.last:
            error = ServiceUnavailable(f"{spec.name} is stopped")
            self._refuse_items(self.calls.crew(spec.reference).refuse(error), error)

    def facts(self) -> dict[str, Any]:
        return {
            "routes": len(self.calls.switch.table.routes),
            "routed": self.routed,
            "unrouted": self.unrouted,
            "refused": self.refused,
            "shed": self.shed,
            "skipped": self.skipped,
            "crews": {reference: crew.facts() for reference, crew in self.calls.crews.items()},
        }


def _shape(stanza: Stanza) -> tuple[str | None, ...]:
    return stanza.kind, stanza.type, stanza.payload_name


def _weight(item: Item) -> int:
    return len(item[2].to_bytes())


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, EmpError) else repr(error)
