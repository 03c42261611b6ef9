"""The supervisor: knows how everybody is, and does what operators ask for.

How the actors start, and what happens when one dies, is in `actors.family`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import Any

from thespian.actors import ActorAddress, ActorExitRequest

from actors.child import Child
from actors.family import EXIT_GRACE, Family
from actors.host import ARRIVAL, SHUTDOWN
from actors.messages import (
    ActorInspected,
    ActorList,
    ActorRow,
    CloseConnection,
    ConnectionChanged,
    ConnectionProgressed,
    Done,
    Events,
    GetEvents,
    InspectActor,
    ListActors,
    ReconnectConnection,
    Refused,
    ReloadRoutes,
    RoutesRead,
    RoutesReloaded,
    ShutDownComponent,
    SpawnComponent,
    StopActor,
    UseRoutes,
)
from actors.reload import Reload, differing

INSPECTION = 60.0
"""Seconds after which nobody waits for the answer to an inspection any more."""

CLOSE_GRACE = 5.0
"""Seconds in which who is stopped alone finishes what it has in hand."""

STOP_LIMIT = CLOSE_GRACE + SHUTDOWN + ARRIVAL + EXIT_GRACE
"""Seconds after which who was told to stop is ended by force. `control.TIMEOUTS` has more."""

RELOAD_SECONDS = 50.0
"""Seconds in which routes must have been read and new components started: ten thousand routes take
ten on a machine that has nothing else to do. So long the router is not taken to hang.
`control.TIMEOUTS` has more."""


class SupervisorActor(Family):
    """The parent of all the other actors, and the one that `emp-admin` talks to."""

    def __init__(self) -> None:
        super().__init__()
        self.inspections: dict[int, ActorAddress] = {}
        self.reload: Reload | None = None
        self._token = 0

    # ── hearing ─────────────────────────────────────────────────────────────────────────────────

    def on_ConnectionProgressed(self, message: ConnectionProgressed, sender: ActorAddress) -> None:
        self.events.add(f"step {message.step}", message.name, message.detail, message.seconds)

    def on_ConnectionChanged(self, message: ConnectionChanged, sender: ActorAddress) -> None:
        child = self.children.get(message.name)
        if child is None or (child.ref and child.ref.incarnation != message.incarnation):
            return
        child.enter(message.state, message.detail)
        self.events.add(
            message.state, message.name, message.detail, message.retry_in, message.remedy
        )
        if message.event is not None:
            self._spread(child, message.event)

    # ── telling ─────────────────────────────────────────────────────────────────────────────────

    def on_GetEvents(self, message: GetEvents, sender: ActorAddress) -> None:
        self.send(sender, Events(self.events.after(message.after)))

    def on_ListActors(self, message: ListActors, sender: ActorAddress) -> None:
        me = ActorRow(
            name=self.name,
            kind=self.kind,
            parent=None,
            address=str(self.myAddress),
            pid=os.getpid(),
            state="stopping" if self.stopping else "running",
            since=self.started_at,
            restarts=0,
        )
        rows = [child.row(self.name) for child in self.children.values()]
        self.send(sender, ActorList((me, *rows)))

    def on_InspectActor(self, message: InspectActor, sender: ActorAddress) -> None:
        child = self.children.get(message.name)
        if message.name == self.name:
            super().on_InspectActor(message, sender)
        elif child is None:
            self.send(sender, Refused(f"there is no actor {message.name!r}", self._known()))
        elif child.ref is None:
            self.send(sender, Refused(f"{message.name} is {child.state}: {child.detail}"))
        else:
            self._token += 1
            self.inspections[self._token] = sender
            self.send(child.ref.address, InspectActor(message.name, self._token))
            self.driver.loop.call_later(INSPECTION, self.inspections.pop, self._token, None)

    def on_ActorInspected(self, message: ActorInspected, sender: ActorAddress) -> None:
        asker = self.inspections.pop(message.token, None)
        child = self.children.get(message.name)
        if asker is not None and child is not None:
            facts = {**message.facts, "restarts": child.restarts}
            self.send(asker, ActorInspected(message.name, 0, facts))

    def facts(self) -> dict[str, Any]:
        return {
            "children": len(self.children),
            "restarts": sum(child.restarts for child in self.children.values()),
            "events": self.events.count,
        }

    def _known(self) -> str:
        return "known are " + ", ".join([self.name, *self.children])

    # ── steering ────────────────────────────────────────────────────────────────────────────────

    def on_SpawnComponent(self, message: SpawnComponent, sender: ActorAddress) -> None:
        spec = message.spec
        if self.stopping is not None:
            self.send(sender, Refused("the system is stopping"))
            return
        if spec.name in self.children or spec.name == self.name:
            reason = f"there is an actor {spec.name!r} already"
            self.send(sender, Refused(reason, "choose another with --name"))
            return
        self._add(spec.name, "component", spec).waiters.append(partial(self.send, sender))

    def on_StopActor(self, message: StopActor, sender: ActorAddress) -> None:
        child = self.children.get(message.name)
        if child is None and message.name != self.name:
            self.send(sender, Refused(f"there is no actor {message.name!r}", self._known()))
        elif child is None or child.kind == "router":
            reason = f"{message.name} can't be stopped alone"
            self.send(sender, Refused(reason, "stop the whole system: emp-admin stop"))
        else:
            child.waiters.append(partial(self.send, sender))
            self._stop(child)

    def _stop(self, child: Child) -> None:
        child.stopping = True
        if child.address is None:  # between two lives
            self._gone(child)
        else:
            stop: object = ActorExitRequest()
            if child.kind == "connection":
                stop = CloseConnection(CLOSE_GRACE)
            elif child.ref is not None:
                stop = ShutDownComponent(CLOSE_GRACE)
            self.send(child.address, stop)
            patience = EXIT_GRACE if child.silent else STOP_LIMIT
            self.driver.loop.call_later(patience, self._end, child, child.address)

    def _end(self, child: Child, address: ActorAddress) -> None:
        """It was told to stop, and should have."""
        if child.address is None or child.address != address:
            return
        if self.embedded:
            self.send(address, ActorExitRequest())
        elif not child.fate:
            self._kill(child, "it was told to stop and did not")

    def on_ReconnectConnection(self, message: ReconnectConnection, sender: ActorAddress) -> None:
        child = self.children.get(message.name)
        if child is None or child.kind != "connection":
            reason = f"there is no connection {message.name!r}"
            names = [other.name for other in self.children.values() if other.kind == "connection"]
            self.send(sender, Refused(reason, "known are " + ", ".join(names)))
        elif child.address is None or child.stopping:
            self.send(sender, Refused(f"{message.name} is {child.state}: {child.detail}"))
        else:
            self._tell(child, message)
            self.send(sender, Done(child.name))

    def on_ReloadRoutes(self, message: ReloadRoutes, sender: ActorAddress) -> None:
        router = self.children["router"]
        if self.stopping is not None or router.ref is None:
            self.send(sender, Refused("the router does not run now", "try again"))
        elif self.reload is not None:
            self.send(sender, Refused("the routes are being reloaded already", "try again"))
        else:
            self.reload = Reload(sender)
            router.patience = RELOAD_SECONDS
            self.send(router.ref.address, message)
            late = Refused(f"the routes could not be reloaded within {RELOAD_SECONDS:g} s")
            self.driver.loop.call_later(RELOAD_SECONDS, self._give_up, self.reload, late)

    def on_RoutesRead(self, message: RoutesRead, sender: ActorAddress) -> None:
        """The router has found no mistake in them: start the components that are new."""
        self._has_read()
        reload = self.reload
        if reload is None:
            self.send(sender, UseRoutes(None))
        elif (problem := differing(self.plan.connections, message.connections)) is not None:
            self._give_up(reload, problem)
        else:
            reload.begin(message, self._specs(), {self.name, *self.children})
            self.routed |= {spec.reference for spec in message.components}
            for spec in reload.starting:
                heard = partial(self._heard, reload)
                self._add(spec.name, "component", spec).waiters.append(heard)
            self._use_routes(reload)

    def _has_read(self) -> None:
        """A sign of life, before what it was asked meanwhile is answered."""
        router = self.children["router"]
        router.missed, router.patience = 0, 0.0

    def _heard(self, reload: Reload, answer: Done | Refused) -> None:
        """A component has started, or will not."""
        if isinstance(answer, Refused):
            self._give_up(reload, answer)
        elif self.reload is reload:
            reload.left -= 1
            self._use_routes(reload)

    def _use_routes(self, reload: Reload) -> None:
        router = self.children["router"].ref
        if not reload.left and router is not None:
            self.send(router.address, UseRoutes(reload.announce))

    def on_RoutesReloaded(self, message: RoutesReloaded, sender: ActorAddress) -> None:
        reload, self.reload = self.reload, None
        if reload is not None:
            components = (*self.plan.components, *reload.starting)
            self.plan = replace(self.plan, components=components)
            self.events.add("reloaded", "router", f"{message.routes} routes")
            self.send(reload.asker, message)

    def on_Refused(self, message: Refused, sender: ActorAddress) -> None:
        """The router has found mistakes in the routes."""
        self._has_read()
        if self.reload is not None:
            self._give_up(self.reload, message)

    def _give_up(self, reload: Reload, reason: Refused) -> None:
        if self.reload is not reload:
            return
        self.reload = None
        router = self.children["router"].ref
        if router is not None:
            self.send(router.address, UseRoutes(None))
        for spec in reload.starting:
            child = self.children.get(spec.name)
            if child is not None:
                child.waiters.clear()
                self._stop(child)
        self.send(reload.asker, reason)

    def on_Done(self, message: Done, sender: ActorAddress) -> None:
        """A connection has said good-bye, or a component has ended."""
        child = self.children.get(message.detail)
        if child is None or child.address is None:
            return
        if self._ending and child.name in self._ending and not child.stopping:
            # It lives on: the connections may have to tell it what they could not send.
            self._ended(child.name)
            self._stopped_when_empty()
        else:
            self.send(child.address, ActorExitRequest())
