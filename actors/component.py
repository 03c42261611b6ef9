"""Components: the user's classes, and the actor that runs them.

A `Component` is a plain object; `ComponentActor` hosts it. Actions are methods. What an action
returns is sent (`emp.answer`); what it raises is answered; a coroutine goes on while other stanzas
are handled, but stanzas of one sender are handled in the order of their arrival.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path
from types import CoroutineType
from typing import Any, NoReturn

from actors.base import BaseActor, logger
from actors.flow import WINDOW, Inflow, Outflow
from actors.messages import (
    ActorFailed,
    ActorLost,
    AskIq,
    BatchTaken,
    IqAnswered,
    Ref,
    RunActions,
    SendStanzas,
    StartComponent,
)
from emp import app as application
from emp.answer import answers, refusal
from emp.binding import Call, bind
from emp.errors import EmpError, InternalServerError, LocalProtocolError, StanzaError
from emp.jid import JID
from emp.stanza import Iq, Stanza

IQ_TIMEOUT = 30.0
"""Seconds to wait for the answer to an IQ request when the action doesn't say."""

IQ_GRACE = 2.0
"""Seconds more before an asker gives up on a connection actor that doesn't even report the
timeout."""

REMEMBERED = 2 * WINDOW
"""Reports per connection that are remembered, to know what a new router gives a second time. Only
those on their way to the connection matter, and no more than a window of them can be."""

_context: ContextVar[Lane] = ContextVar("emp.connection")


class NoAnswer(EmpError):
    """An IQ request got no answer: nobody answered in time, or the connection was lost."""


class Component:
    """The base of users' components. Actions are methods; arguments are bound by name.

    The instance lives as long as its actor: attributes are the component's state. After a crash
    there is a new instance.
    """

    _host: ComponentActor

    def fail(self, error: type[StanzaError], text: str = "") -> NoReturn:
        """Answer with a stanza error: `self.fail(ItemNotFound, "no tweet 7")`."""
        raise error(text)

    def send(self, stanza: Stanza) -> None:
        """Send `stanza` over the connection of the stanza that is being handled.

        A component connection (XEP-0114) adds its own domain where `from` is missing.
        """
        self._host.send_stanza(stanza)

    async def iq_get(
        self, to: JID | str | None, payload: Any, *, timeout: float = IQ_TIMEOUT
    ) -> Iq:
        """Ask with an IQ get; returns the result stanza.

        Raises the `StanzaError` that the peer answered with, or `NoAnswer` after `timeout` seconds
        or when the connection is lost. Other stanzas are handled meanwhile.
        """
        return await self._host.ask_iq(Iq("get", payload, to=to), timeout)

    async def iq_set(
        self, to: JID | str | None, payload: Any, *, timeout: float = IQ_TIMEOUT
    ) -> Iq:
        """Ask with an IQ set; see `iq_get`."""
        return await self._host.ask_iq(Iq("set", payload, to=to), timeout)


class Lane:
    """What goes to one connection: (sequence number that this handles or None, stanzas)."""

    __slots__ = ("connection", "outflow", "recent", "running")

    def __init__(self, connection: Ref) -> None:
        self.connection = connection
        self.outflow: Outflow[tuple[int | None, Sequence[Stanza]]] = Outflow()
        self.running: set[int] = set()
        self.recent: deque[tuple[int, ...]] = deque(maxlen=REMEMBERED)

    def knows(self, number: int) -> bool:
        """True when the stanza is being handled, or was."""
        return (
            number in self.running
            or any(number in numbers for numbers in self.recent)
            or any(number == entry[0] for entry in self.outflow.waiting)
        )


class ComponentActor(BaseActor):
    """Hosts one component object."""

    kind = "component"

    def __init__(self) -> None:
        super().__init__()
        self.component: Component
        self.lanes: dict[int, Lane] = {}
        self.calls: dict[int, Call] = {}
        self.routers: dict[int, Inflow] = {}
        self.remaining: dict[int, int] = {}
        self.done: list[int] = []
        self.busy: dict[str | None, deque[tuple[Lane, Any]]] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.asks: dict[int, asyncio.Future[Iq]] = {}
        self.handled = self.failed = 0
        self._tokens = 0
        self._router: Ref | None = None
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
            application.with_routes(app, [(r.xpath, found, r.action) for r in self.spec.routes])
        except EmpError as error:
            self.send(sender, ActorFailed(self.name, self.incarnation, str(error)))
            return
        self.started(sender)

    def _make(self, found: type) -> Component:
        if not issubclass(found, Component):
            raise EmpError(
                f"{found.__qualname__} is not a Component: derive it from actors.Component"
            )
        try:
            component = found()
        except Exception as error:  # noqa: BLE001 - the user's constructor may raise anything
            raise EmpError(f"{found.__qualname__}() failed: {error!r}") from None
        component._host = self
        return component

    # ── handling ────────────────────────────────────────────────────────────────────────────────

    def on_RunActions(self, message: RunActions, sender: Any) -> None:
        inflow = self._inflow(message.router)
        again = len(self.routers) > 1
        for number, action, captures in message.routes:
            self.calls[number] = bind(getattr(type(self.component), action), captures)
        # Hot path: a lane is looked up when the connection changes, not for each stanza.
        lane, connection, waiting = None, None, 0
        for item in message.items:
            if item[0] is not connection or lane is None:
                connection = item[0]
                lane = self._lane(connection)
            if again and lane.knows(item[1]):
                continue
            if item[2].from_text in self.busy:
                self.busy[item[2].from_text].append((lane, (message.batch, item)))
                lane.running.add(item[1])
                waiting += 1
            elif self._act(lane, message.batch, item):
                waiting += 1
        inflow.take(message.batch)
        if waiting:
            self.remaining[message.batch] = waiting
        else:
            self.done.append(message.batch)
        self._flush()

    def _inflow(self, router: Ref) -> Inflow:
        inflow = self.routers.get(router.incarnation)
        if inflow is None:
            inflow = self.routers[router.incarnation] = Inflow()
            self._router = router
            self.calls.clear()
            self.remaining.clear()
            self.done.clear()
        return inflow

    def _lane(self, connection: Ref) -> Lane:
        lane = self.lanes.get(connection.incarnation)
        if lane is None:
            lane = self.lanes[connection.incarnation] = Lane(connection)
        return lane

    def _act(self, lane: Lane, batch: int, item: Any) -> bool:
        """Run one action. True when it goes on as a task."""
        _, number, stanza, route, captures = item
        _context.set(lane)
        try:
            result = self.calls[route](self.component, stanza, captures)
            if result.__class__ is not CoroutineType:
                lane.outflow.waiting.append((number, answers(stanza, result)))
                self.handled += 1
                return False
        except Exception as error:  # noqa: BLE001 - every failure of an action is answered
            lane.outflow.waiting.append((number, self._failure(stanza, error)))
            return False
        lane.running.add(number)
        self.busy[stanza.from_text] = deque()
        task = self.driver.loop.create_task(self._finish(lane, batch, item, result))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return True

    async def _finish(self, lane: Lane, batch: int, item: Any, coroutine: Any) -> None:
        """Wait for an action that goes on, then handle what its sender sent meanwhile."""
        _, number, stanza, _, _ = item
        try:
            replies = answers(stanza, await coroutine)
            self.handled += 1
        except Exception as error:  # noqa: BLE001 - every failure of an action is answered
            replies = self._failure(stanza, error)
        lane.running.discard(number)
        lane.outflow.waiting.append((number, replies))
        self._settle(batch)
        queue = self.busy.pop(stanza.from_text, None)
        while queue:
            next_lane, (next_batch, next_item) = queue.popleft()
            next_lane.running.discard(next_item[1])
            if self._act(next_lane, next_batch, next_item):
                self.busy[stanza.from_text].extend(queue)
                break
            self._settle(next_batch)
        self._flush_soon()

    def _settle(self, batch: int) -> None:
        left = self.remaining.get(batch, 0) - 1
        if left > 0:
            self.remaining[batch] = left
        elif self.remaining.pop(batch, None) is not None:
            self.done.append(batch)

    def _failure(self, stanza: Stanza, error: Exception) -> Sequence[Stanza]:
        if isinstance(error, StanzaError):
            self.handled += 1
            return refusal(stanza, error)
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
        if self._router is not None:
            credit = self.routers[self._router.incarnation].credit()
            if credit is not None:
                done, self.done = tuple(self.done), []
                taken = BatchTaken(self.name, self._router.incarnation, credit, done)
                self.send(self._router.address, taken)

    def _flush_lane(self, lane: Lane) -> None:
        while (batch := lane.outflow.next_batch()) is not None:
            number, entries = batch
            handled = tuple([entry[0] for entry in entries if entry[0] is not None])
            stanzas = tuple([stanza for entry in entries for stanza in entry[1]])
            lane.recent.append(handled)
            connection = lane.connection
            self.send(
                connection.address,
                SendStanzas(self.ref, connection.incarnation, number, stanzas, handled),
            )

    def on_BatchTaken(self, message: BatchTaken, sender: Any) -> None:
        if message.incarnation != self.incarnation:
            return
        for lane in self.lanes.values():
            if lane.connection.name == message.name:
                lane.outflow.taken(message.batch)
                self._flush_lane(lane)

    def on_ActorLost(self, message: ActorLost, sender: Any) -> None:
        self.lanes.pop(message.incarnation, None)

    def _current_lane(self) -> Lane:
        lane = _context.get(None)
        if lane is None or lane.connection.incarnation not in self.lanes:
            lane = next(reversed(self.lanes.values()), None)
        if lane is None:
            raise LocalProtocolError("no connection has given this component a stanza yet")
        return lane

    def send_stanza(self, stanza: Stanza) -> None:
        self._current_lane().outflow.waiting.append((None, (stanza,)))
        self._flush_soon()

    async def ask_iq(self, iq: Iq, timeout: float) -> Iq:
        connection = self._current_lane().connection
        self._tokens += 1
        token = self._tokens
        answer: asyncio.Future[Iq] = self.driver.loop.create_future()
        self.asks[token] = answer
        try:
            ask = AskIq(self.ref, connection.incarnation, token, iq, timeout)
            self.send(connection.address, ask)
            async with asyncio.timeout(timeout + IQ_GRACE):
                return await answer
        except TimeoutError:
            raise NoAnswer(f"the connection {connection.name} does not answer") from None
        finally:
            del self.asks[token]

    def on_IqAnswered(self, message: IqAnswered, sender: Any) -> None:
        answer = self.asks.get(message.token)
        if message.incarnation != self.incarnation or answer is None or answer.done():
            return
        if message.answer is None:
            answer.set_exception(NoAnswer(message.reason))
        elif (error := message.answer.failure) is not None:
            answer.set_exception(error)
        else:
            answer.set_result(message.answer)

    # ── end ─────────────────────────────────────────────────────────────────────────────────────

    def exit(self) -> None:
        for task in self.tasks:
            task.cancel()

    def facts(self) -> dict[str, Any]:
        return {
            "class": self.spec.reference,
            "handled": self.handled,
            "failed": self.failed,
            "running": len(self.tasks),
            "requests asked": len(self.asks),
            "waiting to be sent": sum(len(lane.outflow.waiting) for lane in self.lanes.values()),
        }
