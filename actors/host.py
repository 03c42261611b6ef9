"""The actor that runs a component: the batches of the router in, the answers to connections out."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from copy import copy
from pathlib import Path
from typing import Any, Final

from actors.base import BaseActor, logger
from actors.component import Component, NoAnswer
from actors.lanes import Lane, Source, writable
from actors.messages import (
    ActorFailed,
    ActorLost,
    AskIq,
    AskRoster,
    BatchTaken,
    ConnectionNews,
    IqAnswered,
    Ref,
    ReportUnsent,
    RosterGiven,
    RunActions,
    SendStanzas,
    StartComponent,
)
from emp import app as application
from emp.answer import answers, refusal
from emp.binding import bind
from emp.errors import ConfigError, EmpError, InternalServerError, LocalProtocolError, StanzaError
from emp.events import Connected, Disconnected, Resumed, SendFailed
from emp.jid import JID
from emp.stanza import Iq, Stanza
from emp.xep.roster import Item

IQ_GRACE = 2.0
"""Seconds more before an asker gives up on a connection actor that doesn't even report the
timeout."""

OUTGOING_STANZAS = 10_000
"""Stanzas that wait for a connection to take them, beyond which `Component.send` refuses more:
enough for any burst, and far from filling memory."""

NEXT_LIFE = 1.0
"""Seconds after which the stanzas are reported that a connection's actor took with it: mostly there
is a new one by then, and the hook can send them again."""

LOST_KEPT = 64
"""Connections that are remembered to be gone, for the stanzas of theirs that are still on the
way."""

HOOKS: Final[dict[type[object], str]] = {
    Connected: "on_connected",
    Resumed: "on_resumed",
    Disconnected: "on_disconnected",
}
"""The method of `Component` for each kind of news."""

_context: ContextVar[Lane | None] = ContextVar("emp.connection", default=None)


class ComponentActor(BaseActor):
    """Hosts one component object."""

    kind = "component"

    def __init__(self) -> None:
        super().__init__()
        self.component: Component
        self.lanes: dict[int, Lane] = {}
        self.lost: deque[int] = deque(maxlen=LOST_KEPT)
        self.source: Source | None = None
        self.busy: dict[str | None, deque[tuple[Lane, Source, int, Any]]] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.asks: dict[int, tuple[Ref, asyncio.Future[Iq]]] = {}
        self.rosters: dict[int, tuple[Ref, asyncio.Future[tuple[Item, ...]]]] = {}
        self.handled = self.failed = 0
        self.orphans: list[tuple[Lane, list[SendFailed]]] = []  # of connections that are gone
        self._past: set[int] = set()
        self._tokens = 0
        self._flush_due = False

    # ── starting ────────────────────────────────────────────────────────────────────────────────

    def on_StartComponent(self, message: StartComponent, sender: Any) -> None:
        self.become(message.app_name, message.spec.name, message.log_level)
        self.spec = message.spec
        try:
            config = Path(message.app.config) if message.app.config else None
            app = application.load(Path(message.app.path), config)
            found = application.resolve(message.spec.reference, app.directory)
            self.component = self._make(found)
            extra = [(route.xpath, found, route.action) for route in self.spec.routes]
            table = application.with_routes(app, extra)
            if all(route.component is not found for route in table.routes):
                raise ConfigError(
                    f"no route leads to {self.spec.reference}",
                    remedy="give it one with --route and --action",
                )
        except Exception as error:  # noqa: BLE001 - the supervisor waits for one of two answers
            reason = str(error) if isinstance(error, EmpError) else repr(error)
            self.send(sender, ActorFailed(self.name, self.incarnation, reason))
            return
        self.started(sender)

    def _make(self, found: type) -> Component:
        if not issubclass(found, Component):
            raise EmpError(
                f"{found.__qualname__} is not a Component: derive it from actors.Component"
            )
        try:
            component = found()
        except BaseException as error:  # noqa: BLE001 - the user's constructor may raise anything
            raise EmpError(f"{found.__qualname__}() failed: {error!r}") from None
        component._host = self
        return component

    # ── handling ────────────────────────────────────────────────────────────────────────────────

    def on_RunActions(self, message: RunActions, sender: Any) -> None:
        source = self._source(message.router)
        if source is None:
            return
        for call in message.calls:
            try:
                action = getattr(type(self.component), call.action)
                source.calls[call.number] = bind(action, call.captures, call.source)
            except (AttributeError, EmpError):  # the file has changed since the router read it
                logger.exception("%s: there is no action %s any more", self.name, call.action)
        batch, busy = message.batch, self.busy
        # Hot path: a lane is looked up when the connection changes, not for each stanza.
        lane, connection, waiting = None, None, 0
        lanes: dict[int, Lane] = {}
        for item in message.items:
            if item[0] is not connection or lane is None:
                connection = item[0]
                lane = lanes[connection.incarnation] = self._lane(connection)
            number = item[1]
            if number <= lane.suspect and number in lane.seen:
                if number in lane.running:
                    lane.running[number] = source, batch
                    waiting += 1
            elif item[2].from_text in busy:
                busy[item[2].from_text].append((lane, source, batch, item))
                lane.running[number] = source, batch
                waiting += 1
            elif self._act(lane, source, batch, item):
                waiting += 1
        source.inflow.take(batch)
        if waiting:
            source.remaining[batch] = waiting
            source.lanes[batch] = tuple(lanes.values())
        else:
            self._over(source, batch, lanes.values())
        _context.set(None)
        self._flush()

    def _source(self, router: Ref) -> Source | None:
        """Who gives this batch, or None for a router that has a successor: the connections give
        that one everything again."""
        source = self.source
        if source is not None and source.ref.incarnation == router.incarnation:
            return source
        if router.incarnation in self._past:
            return None
        if source is not None:
            self._past.add(source.ref.incarnation)
            for lane in self.lanes.values():
                lane.suspect_all()
        self.source = source = Source(router)
        return source

    def _lane(self, connection: Ref) -> Lane:
        lane = self.lanes.get(connection.incarnation)
        if lane is None:
            lane = Lane(connection)
            if connection.incarnation in self.lost:  # its stanzas were still on the way
                lane.lose()
            else:
                self.lanes[connection.incarnation] = lane
        return lane

    def _act(self, lane: Lane, source: Source, batch: int, item: Any) -> bool:
        """Run one action. True when it goes on as a task."""
        _, number, stanza, call, captures = item
        _context.set(lane)
        try:
            result = source.calls[call](self.component, stanza, captures)
            if not hasattr(result, "__await__"):
                lane.put(number, writable(answers(stanza, result)))
                self.handled += 1
                return False
        except BaseException as error:  # noqa: BLE001 - every failure of an action is answered
            lane.put(number, self._failure(stanza, error))
            return False
        lane.running.setdefault(number, (source, batch))  # a new router may have given it again
        self.busy[stanza.from_text] = deque()
        task = self.driver.loop.create_task(self._finish(lane, number, stanza, result))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return True

    async def _finish(
        self, lane: Lane, number: int, stanza: Stanza, result: Awaitable[Any]
    ) -> None:
        """Wait for an action that goes on, then handle what its sender sent meanwhile."""
        try:
            replies = writable(answers(stanza, await result))
            self.handled += 1
        except BaseException as error:
            if self.exiting:
                raise
            replies = self._failure(stanza, error)
        lane.put(number, replies)
        self._settle(lane, number)
        queue = self.busy.pop(stanza.from_text, None)
        while queue:
            lane, source, batch, item = queue.popleft()
            if self._act(lane, source, batch, item):
                self.busy[stanza.from_text].extend(queue)
                break
            self._settle(lane, item[1])
        self._flush_soon()

    def _settle(self, lane: Lane, number: int) -> None:
        """One stanza less that its batch waits for."""
        source, batch = lane.running.pop(number)
        source.remaining[batch] -= 1
        if not source.remaining[batch]:
            del source.remaining[batch]
            self._over(source, batch, source.lanes.pop(batch))

    def _over(self, source: Source, batch: int, lanes: Iterable[Lane]) -> None:
        """All actions of the batch are over: note which answers must arrive before it is
        handled."""
        ends = [(lane, lane.sent + len(lane.outflow.waiting)) for lane in lanes]
        source.over.append((batch, tuple([end for end in ends if end[1] > end[0].acknowledged])))

    def _failure(self, stanza: Stanza, error: BaseException) -> Sequence[Stanza]:
        if isinstance(error, StanzaError):
            try:
                replies = writable(refusal(stanza, error))
                self.handled += 1
                return replies
            except Exception as fault:  # noqa: BLE001 - a text that XML can't hold, for instance
                error = fault
        self.failed += 1
        incident = secrets.token_hex(4)
        logger.error(
            "incident %s: %s failed on %s from %s",
            incident,
            self.name,
            stanza.kind,
            stanza.from_text,
            exc_info=error,
        )
        return refusal(stanza, InternalServerError(f"incident {incident}"))

    # ── sending ─────────────────────────────────────────────────────────────────────────────────

    def _flush_soon(self) -> None:
        """Flush once for all the tasks that end in this turn of the loop."""
        if not self._flush_due:
            self._flush_due = True
            self.driver.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        for lane in self.lanes.values():
            self._flush_lane(lane)
        source = self.source
        if source is not None and (credit := source.credit()) is not None:
            taken = BatchTaken(self.incarnation, source.ref.incarnation, *credit)
            self.send(source.ref.address, taken)

    def _flush_lane(self, lane: Lane) -> None:
        connection = lane.connection
        while (batch := lane.next_batch(not self.embedded)) is not None:
            self.send(connection.address, SendStanzas(self.ref, connection.incarnation, *batch))

    def on_BatchTaken(self, message: BatchTaken, sender: Any) -> None:
        lane = self.lanes.get(message.taker)
        if lane is not None and message.incarnation == self.incarnation:
            lane.taken(message.batch)
            self._flush_lane(lane)

    def on_ActorLost(self, message: ActorLost, sender: Any) -> None:
        self.lost.append(message.incarnation)
        lane = self.lanes.pop(message.incarnation, None)
        if lane is not None:
            self.orphans.append((lane, lane.lose()))
            self.driver.loop.call_later(NEXT_LIFE, self._report_orphans)
        waiting: list[tuple[Ref, asyncio.Future[Any]]]
        waiting = [*self.asks.values(), *self.rosters.values()]
        for connection, answer in waiting:
            if connection.incarnation == message.incarnation and not answer.done():
                answer.set_exception(NoAnswer(f"the connection {connection.name} was lost"))

    def _current_lane(self) -> Lane:
        """Where the stanza came from that is being handled: its connection, or the next life of
        it. Never another one, which would be another identity."""
        context = _context.get()
        lanes = [
            lane
            for lane in self.lanes.values()
            if context is None or lane.connection.name == context.connection.name
        ]
        if not lanes:
            raise LocalProtocolError("there is no connection to send over")
        if context is None and len(lanes) > 1:
            raise LocalProtocolError("there are several connections, and no stanza to say which")
        return lanes[-1]

    def send_stanza(self, stanza: Stanza) -> None:
        lane = self._current_lane()
        if len(lane.outflow.waiting) >= OUTGOING_STANZAS:
            name = lane.connection.name
            raise LocalProtocolError(f"{OUTGOING_STANZAS} stanzas wait to be sent over {name}")
        # A copy: the caller's own may be changed, and this one may have to be sent once more.
        lane.outflow.waiting.append((None, writable((copy(stanza),))))
        self._flush_soon()

    async def ask_iq(self, iq: Iq, timeout: float) -> Iq:
        lane = self._current_lane()
        connection = lane.connection
        writable((iq,))
        self._tokens += 1
        token = self._tokens
        answer: asyncio.Future[Iq] = self.driver.loop.create_future()
        self.asks[token] = connection, answer
        try:
            self._flush_lane(lane)  # what the action has sent before goes before
            ask = AskIq(self.ref, connection.incarnation, token, iq, timeout)
            self.send(connection.address, ask)
            async with asyncio.timeout(timeout + IQ_GRACE):
                return await answer
        except TimeoutError:
            raise NoAnswer(f"the connection {connection.name} does not answer") from None
        finally:
            del self.asks[token]

    async def ask_roster(self, timeout: float) -> Mapping[JID, Item]:
        connection = self._current_lane().connection
        self._tokens += 1
        token = self._tokens
        answer: asyncio.Future[tuple[Item, ...]] = self.driver.loop.create_future()
        self.rosters[token] = connection, answer
        try:
            ask = AskRoster(self.ref, connection.incarnation, token, timeout)
            self.send(connection.address, ask)
            async with asyncio.timeout(timeout):
                items = await answer
        except TimeoutError:
            raise NoAnswer(f"{connection.name} has no roster after {timeout:g} s") from None
        finally:
            del self.rosters[token]
        return {item.jid: item for item in items}

    def on_RosterGiven(self, message: RosterGiven, sender: Any) -> None:
        _, answer = self.rosters.get(message.token, (None, None))
        if message.incarnation != self.incarnation or answer is None or answer.done():
            return
        if message.items is None:
            answer.set_exception(NoAnswer(message.reason))
        else:
            answer.set_result(message.items)

    def on_IqAnswered(self, message: IqAnswered, sender: Any) -> None:
        _, answer = self.asks.get(message.token, (None, None))
        if message.incarnation != self.incarnation or answer is None or answer.done():
            return
        if message.answer is None:
            answer.set_exception(NoAnswer(message.reason))
        elif (error := message.answer.failure) is not None:
            answer.set_exception(error)
        else:
            answer.set_result(message.answer)

    # ── what the component may want to know ─────────────────────────────────────────────────────

    def on_ConnectionNews(self, message: ConnectionNews, sender: Any) -> None:
        self._notify(self._lane(message.connection), HOOKS[type(message.event)], message.event)

    def on_ReportUnsent(self, message: ReportUnsent, sender: Any) -> None:
        if message.incarnation != self.incarnation:
            return
        self._report(self._lane(message.connection), message.failures)

    def _report_orphans(self) -> None:
        orphans, self.orphans = self.orphans, []
        for lane, failures in orphans:
            self._report(lane, failures)

    def _report(self, lane: Lane, failures: Iterable[SendFailed]) -> None:
        for failure in failures:
            self._notify(lane, "on_send_failed", failure)

    def _notify(self, lane: Lane, hook: str, event: object) -> None:
        _context.set(lane)
        try:
            result = getattr(self.component, hook)(event)
            if hasattr(result, "__await__"):
                task = self.driver.loop.create_task(self._finish_hook(hook, result))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
        except BaseException as error:  # noqa: BLE001 - whatever the user's code raises
            self._hook_failed(hook, error)
        _context.set(None)

    async def _finish_hook(self, hook: str, result: Awaitable[None]) -> None:
        try:
            await result
        except BaseException as error:
            if self.exiting:
                raise
            self._hook_failed(hook, error)

    def _hook_failed(self, hook: str, error: BaseException) -> None:
        self.failed += 1
        logger.error("%s: %s failed", self.name, hook, exc_info=error)

    # ── end ─────────────────────────────────────────────────────────────────────────────────────

    def exit(self) -> None:
        self._report_orphans()
        for task in self.tasks:
            task.cancel()

    def facts(self) -> dict[str, Any]:
        return {
            "class": self.spec.reference,
            "handled": self.handled,
            "failed": self.failed,
            "running": len(self.tasks),
            "requests_asked": len(self.asks),
            "waiting_to_be_sent": sum(len(lane.outflow.waiting) for lane in self.lanes.values()),
        }
