"""The family of actors: who starts, who dies and is replaced, and how all of it ends.

The router starts first, then the components, then the connections, so that no stanza comes in
before somebody can take it. Whoever dies is replaced, at once the first time and with growing
pauses when it keeps dying; the others are told which incarnation is gone and where the new one
lives.

Whoever hangs is killed, and then replaced as if it had died. Silence is counted in beats of our
own: a machine that was suspended, or a supervisor that was held up, has missed one, however long it
took.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from thespian.actors import Actor, ActorAddress, ActorExitRequest

from actors.backoff import backoff
from actors.base import BaseActor, logger
from actors.child import Child
from actors.connection import ConnectionActor
from actors.history import History
from actors.host import ComponentActor
from actors.messages import (
    ActorFailed,
    ActorLost,
    ActorStarted,
    CloseConnection,
    ComponentSpec,
    ConnectionDrained,
    ConnectionNews,
    ConnectionSpec,
    DismissComponent,
    Done,
    IntroduceComponent,
    IntroduceRouter,
    Ping,
    Pong,
    Ref,
    Refused,
    ReleaseConnection,
    ShutDownComponent,
    StartComponent,
    StartConnection,
    StartPlan,
    StartRouter,
    StopSystem,
)
from actors.router import RouterActor
from emp.events import Connected, ConnectionEvent, Disconnected, Resumed

HEARTBEAT = 2.0
"""Seconds between questions whether an actor is there."""

HANG_LIMIT = 10.0
"""Seconds without an answer after which a process is taken to hang, unless the configuration says
otherwise. Its loop has stood still all that time, and so has all that waits for it: what takes so
long belongs into a thread (`blocking`), which holds up no loop."""

STARVED = 6
"""Times that limit for who has no chance to answer: its process would work, and has not had half of
the limit in CPU time since it fell silent. On a machine that has too much to do, that is slow."""

BEATS = 5
"""Questions within that limit, at least: one that is late is no reason to kill."""

STACK_SECONDS = 0.5
"""Seconds that who hangs has to show where, between the signal for that and the one that ends
it."""

SHUTDOWN_GRACE = 6.0
"""Seconds for components to end in order, with their hooks (`actors.host`), while the system
stops."""

DRAIN_GRACE = 0.5
"""Seconds that connections may be late to say that they are drained."""

EXIT_GRACE = 2.0
"""Seconds that exiting actors get before the system goes on without waiting for them."""

CLASSES: dict[str, type[Actor]] = {
    "router": RouterActor,
    "component": ComponentActor,
    "connection": ConnectionActor,
}


class Family(BaseActor):
    """The parent of all the other actors; `actors.supervisor` adds what it is asked."""

    kind = "supervisor"
    forks_children: ClassVar[bool] = True
    """In multiproc: it holds no connection and no thread, so forking is safe, quick, and shares
    memory (`actors.systems.process`)."""

    def __init__(self) -> None:
        super().__init__()
        self.plan: StartPlan
        self.routed: set[str] = set()  # references of classes that routes lead to, or did
        self.children: dict[str, Child] = {}
        self.events = History()
        self.stopping: ActorAddress | None = None
        self._drained: set[str] = set()  # connections that take nothing in any more
        self._ending: set[str] | None = None  # components that were told to end
        self._told: tuple[ComponentSpec, ...] = ()
        self._connecting = False
        self._limit = HANG_LIMIT
        self._pause = HEARTBEAT  # between two beats
        self._killed: list[str] = []  # while we stop

    # ── starting ────────────────────────────────────────────────────────────────────────────────

    def on_StartPlan(self, message: StartPlan, sender: ActorAddress) -> None:
        self.plan = message
        self.routed = {spec.reference for spec in message.components}
        self.events.make_room(len(message.connections))
        self.become(message.app_name, "supervisor", message.log_level)
        self._add("router", "router", None)
        for spec in message.components:
            self._add(spec.name, "component", spec)
        if message.hang_limit is not None:
            self._limit = message.hang_limit
        if self._limit:
            self._pause = min(HEARTBEAT, self._limit / BEATS)
        self.driver.loop.call_later(self._pause, self._beat)
        self.send(sender, Done("started"))

    def _add(self, name: str, kind: str, spec: ComponentSpec | ConnectionSpec | None) -> Child:
        child = self.children[name] = Child(name, kind, spec)
        self._start(child)
        return child

    def _start(self, child: Child) -> None:
        plan, spec = self.plan, child.spec
        router = self.children["router"].ref if child.kind != "router" else None
        child.born = time.monotonic()
        child.missed, child.patience, child.fate = 0, 0.0, ""
        child.enter("starting")
        message: StartRouter | StartComponent | StartConnection
        if isinstance(spec, ComponentSpec):
            routed = spec.reference in self.routed
            message = StartComponent(plan.app, plan.app_name, plan.log_level, spec, routed)
        elif isinstance(spec, ConnectionSpec):
            if router is None:  # the router is starting too; it brings its connections up
                return
            message = StartConnection(plan.app_name, plan.log_level, spec, router)
        else:
            spawned = tuple(spec for spec in self._specs() if spec.routes)
            message = StartRouter(
                plan.app, plan.app_name, plan.log_level, plan.components, spawned, self._workers()
            )
            self._told = (*plan.components, *spawned)
        before = _processes() if not self.embedded else set()
        try:
            child.address = self.createActor(CLASSES[child.kind])
        except Exception:  # noqa: BLE001 - no memory or no process left: that may pass
            logger.exception("cannot start %s %s", child.kind, child.name)
            self._died(child)
            return
        for pid in _processes() - before if not self.embedded else ():
            child.lives_in(pid)
        self.send(child.address, message)

    def _specs(self) -> list[ComponentSpec]:
        specs = [child.spec for child in self.children.values()]
        return [spec for spec in specs if isinstance(spec, ComponentSpec)]

    def _workers(self) -> tuple[tuple[Ref, ComponentSpec], ...]:
        return tuple(
            (child.ref, child.spec)
            for child in self.children.values()
            if isinstance(child.spec, ComponentSpec) and child.ref is not None
        )

    def on_ActorStarted(self, message: ActorStarted, sender: ActorAddress) -> None:
        child = self.children.get(message.ref.name)
        if child is None or child.stopping or child.address != message.ref.address:
            return  # the last word of one that is gone
        child.ref, child.proven = message.ref, True
        child.lives_in(message.pid)
        child.heard, child.pinged = time.monotonic(), False
        if child.kind != "connection":
            child.enter("running")
            self.events.add("started", child.name)
        if child.kind == "router":
            self._router_started(message.ref)
        elif isinstance(child.spec, ComponentSpec):
            self._introduce(child.ref, child.spec)
            self._tell_how_it_is(child)
            self._answer(child, Done(child.name))
        self._start_connections()

    def _router_started(self, router: Ref) -> None:
        for worker in self._workers():  # who has started meanwhile
            self._introduce(*worker)
        specs = self._specs()
        references = {spec.reference for spec in specs}
        for spec in self._told:  # who went while the router was away
            if spec not in specs:
                last = spec.reference not in references
                self.send(router.address, DismissComponent(spec, last))
        for child in list(self.children.values()):  # when all is ready for their stanzas
            if child.kind == "connection" and child.address is not None:
                self.send(child.address, IntroduceRouter(router))
            elif child.kind == "connection" and self.stopping is None:
                self._start(child)

    def _introduce(self, ref: Ref, spec: ComponentSpec) -> None:
        router = self.children["router"].ref
        if router is not None:
            self.send(router.address, IntroduceComponent(ref, spec))

    def _start_connections(self) -> None:
        """Once everybody who takes stanzas is there."""
        takers = [child for child in self.children.values() if child.kind != "connection"]
        if self._connecting or self.stopping or any(child.ref is None for child in takers):
            return
        self._connecting = True
        self.events.add("ready", "components")
        for spec in self.plan.connections:
            self._add(spec.name, "connection", spec)

    # ── dying ───────────────────────────────────────────────────────────────────────────────────

    def on_ActorFailed(self, message: ActorFailed, sender: ActorAddress) -> None:
        child = self.children.get(message.name)
        if child is None:
            return
        if child.proven:  # it has worked before: what keeps it from working may pass
            logger.error("%s: %s", child.name, message.message)
            if child.address is not None:
                self.send(child.address, ActorExitRequest())
            return
        child.stopping = True
        child.enter("failed", message.message)
        if child.waiters:  # an operator's wish that can't be fulfilled: only he needs to know
            self._answer(child, Refused(message.message))
        else:
            self.events.add("failed", child.name, message.message)
        if child.address is not None:
            self.send(child.address, ActorExitRequest())

    def on_ChildActorExited(self, message: Any, sender: ActorAddress) -> None:
        # It can come twice, or for a child that was replaced: then no child has the address.
        for child in list(self.children.values()):
            if child.address is not None and child.address == message.childAddress:
                self._exited(child)
                return

    def _exited(self, child: Child) -> None:
        if child.news is not None and not isinstance(child.news, Disconnected):
            self._spread(child, Disconnected(child.name, "its actor is gone", final=False))
        child.news = None
        lost, child.ref, child.address, child.pid = child.ref, None, None, 0
        if lost is not None:
            for other in self._living():
                self._tell(other, ActorLost(lost.name, lost.incarnation))
        if self.exiting:
            return  # with them all: nobody is left to be told
        if self.stopping is not None:
            self._ended(child.name)
            self._stopped_when_empty()
        elif child.stopping:
            self._gone(child)
        else:
            self._died(child)

    def _gone(self, child: Child) -> None:
        """It stopped because it was to, or because it can't do its work."""
        if child.state != "failed":
            self.events.add("stopped", child.name)
        if child.kind != "router":
            del self.children[child.name]
        if isinstance(child.spec, ComponentSpec):
            self._dismiss(child.spec)
        self._answer(child, Done(child.name))
        self._start_connections()  # they may have waited for it

    def _dismiss(self, spec: ComponentSpec) -> None:
        router = self.children["router"].ref
        if router is not None:
            last = all(other.reference != spec.reference for other in self._specs())
            self.send(router.address, DismissComponent(spec, last))

    def _died(self, child: Child) -> None:
        alive = child.died()
        delay = 0.0 if child.failures == 1 else backoff(child.failures - 1)
        child.enter("restarting", child.fate or f"it died after {alive:.1f} s")
        logger.warning("%s %s died; restarting in %.2f s", child.kind, child.name, delay)
        why = f"{child.fate}; " if child.fate else ""
        self.events.add("died", child.name, f"{why}restarting in {delay:.2f} s")
        self.driver.loop.call_later(delay, self._restart, child)

    def _restart(self, child: Child) -> None:
        living = child.address is not None  # a new router may have started it before its time
        if self.stopping is None and self.children.get(child.name) is child and not living:
            self._start(child)

    def on_PoisonMessage(self, message: Any, sender: ActorAddress) -> None:
        logger.error("a message could not be delivered: %s", type(message.poisonMessage).__name__)

    # ── who is there ────────────────────────────────────────────────────────────────────────────

    def _beat(self) -> None:
        """Ask who has answered the last time: questions don't pile up at one that is hung. Who has
        died without a word is found here: of two that die at once Thespian may notice one, and none
        that dies before its actor is there."""
        for child in list(self.children.values()):
            if child.address is not None and child.gone:
                self._exited(child)
            if child.ref is None:  # it starts, which may take long
                continue
            if not child.pinged:
                child.pinged = True
                self.send(child.ref.address, Ping())
                continue
            silence = child.miss() * self._pause
            # In one process, who is silent is not alone: actors.watchdog sees to that.
            if self._limit and not (child.fate or self.embedded) and self._hangs(child, silence):
                self._kill(child, f"no answer for {silence:g} s")
        if not self.exiting:
            self.driver.loop.call_later(self._pause, self._beat)

    def _hangs(self, child: Child, silence: float) -> bool:
        limit = self._limit
        if silence < limit + child.patience:
            return False
        return silence >= STARVED * limit + child.patience or not child.starved(limit / 2)

    def on_Pong(self, message: Pong, sender: ActorAddress) -> None:
        child = self.children.get(message.name)
        if child is not None and child.ref and child.ref.incarnation == message.incarnation:
            child.heard, child.pinged, child.missed = time.monotonic(), False, 0
            if child.fate and not child.stopping:  # at the last moment
                child.fate = ""
                logger.warning("%s %s answers again, and goes on", child.kind, child.name)

    def _kill(self, child: Child, why: str) -> None:
        """End its process, once it has shown in the log where it stands. What it had in hand is
        refused by the others, as for any death."""
        pid, child.fate = child.pid, f"killed: {why}"
        logger.error(
            "%s %s, process %d, is hung and is killed: %s", child.kind, child.name, pid, why
        )
        self.events.add("hung", child.name, why)
        child.signal(signal.SIGUSR1)  # see actors.systems.process
        self.driver.loop.call_later(STACK_SECONDS, self._killing, child, pid)

    def _killing(self, child: Child, pid: int) -> None:
        pardoned = child.pid != pid or not child.fate
        if not pardoned and child.signal(signal.SIGKILL) and self.stopping is not None:
            self._killed.append(f"{child.name} (process {pid})")

    # ── stopping ────────────────────────────────────────────────────────────────────────────────

    def on_StopSystem(self, message: StopSystem, sender: ActorAddress) -> None:
        """Connections first, then those whom they feed."""
        again = self.stopping is not None
        self.stopping = sender
        if again:
            return
        for child in self._living("connection"):
            self._tell(child, CloseConnection(message.grace, SHUTDOWN_GRACE))
        # A connection that hangs drains nothing, and the components have their hooks to run.
        self.driver.loop.call_later(message.grace + DRAIN_GRACE, self._end_components, True)
        longest = message.grace + SHUTDOWN_GRACE + EXIT_GRACE
        self.driver.loop.call_later(longest, self._exit_all)
        self._stopped_when_empty()

    def on_ConnectionDrained(self, message: ConnectionDrained, sender: ActorAddress) -> None:
        self._drained.add(message.name)
        self._end_components()

    def _end_components(self, late: bool = False) -> None:
        """When nothing comes in any more, the components end; the connections wait for what they
        have to say. Their actors live until the connections have said what became of it."""
        connections = {child.name for child in self._living("connection")}
        if self._ending is None and (late or connections <= self._drained):
            components = [child for child in self._living("component") if child.ref is not None]
            self._ending = {child.name for child in components}
            for child in components:
                self._tell(child, ShutDownComponent(0.0))
            self._release_connections()

    def _ended(self, name: str) -> None:
        if self._ending:
            self._ending.discard(name)
            self._release_connections()

    def _release_connections(self) -> None:
        for child in self._living("connection") if not self._ending else ():
            self._tell(child, ReleaseConnection())

    def _stopped_when_empty(self) -> None:
        self._end_components()
        if not self._living("connection") and not self._ending:
            self._exit_all()
        if not self._living():
            self._say_stopped()

    def _exit_all(self) -> None:
        living = list(self._living())
        for child in living:
            if not child.stopping:
                child.stopping = True
                self._tell(child, ActorExitRequest())
        if living:
            self.driver.loop.call_later(EXIT_GRACE, self._say_stopped)

    def _say_stopped(self) -> None:
        if self.stopping is not None:
            self.send(self.stopping, Done("stopped", tuple(self._killed)))

    # ── what the others are told ────────────────────────────────────────────────────────────────

    def _spread(self, connection: Child, news: ConnectionEvent) -> None:
        """Tell the components what happened to a connection."""
        connection.news = news
        if connection.ref is not None:
            for component in self._living("component"):
                self._tell(component, ConnectionNews(connection.ref, news))

    def _tell_how_it_is(self, component: Child) -> None:
        """A component that starts when connections are up already hears of them."""
        for child in self._living("connection"):
            news = child.news
            if isinstance(news, Resumed):  # to who is new, every session is
                news = Connected(news.connection, news.jid)
            if news is not None and child.ref is not None:
                self._tell(component, ConnectionNews(child.ref, news))

    def _answer(self, child: Child, answer: Done | Refused) -> None:
        waiters, child.waiters = child.waiters, []
        for waiter in waiters:
            waiter(answer)

    def _tell(self, child: Child, message: object) -> None:
        if child.address is not None:
            self.send(child.address, message)

    def _living(self, kind: str | None = None) -> Iterable[Child]:
        return [
            child
            for child in self.children.values()
            if child.address is not None and kind in (None, child.kind)
        ]


def _processes() -> set[int]:
    """Those that this thread has started, as actors start theirs in the multiproc system."""
    thread = threading.get_native_id()
    try:
        return set(
            map(int, Path(f"/proc/{os.getpid()}/task/{thread}/children").read_text().split())
        )
    except OSError:
        return set()
