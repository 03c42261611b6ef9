"""Components: the user's classes, and the actor that runs them.

A `Component` is a plain object; `ComponentActor` hosts it. Actions are methods. What an action
returns is sent (`emp.answer`); what it raises is answered; a coroutine goes on while other stanzas
are handled, but stanzas of one sender are handled in the order of their arrival.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Iterable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn

from actors.base import BaseActor, logger
from actors.lanes import Lane, Source, writable
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
from emp.binding import bind
from emp.errors import ConfigError, EmpError, InternalServerError, LocalProtocolError, StanzaError
from emp.jid import JID
from emp.stanza import Iq, Stanza

IQ_TIMEOUT = 30.0
"""Seconds to wait for the answer to an IQ request when the action doesn't say."""

IQ_GRACE = 2.0
"""Seconds more before an asker gives up on a connection actor that doesn't even report the
timeout."""

OUTGOING_STANZAS = 10_000
"""Stanzas that wait for a connection to take them, beyond which `Component.send` refuses more:
enough for any burst, and far from filling memory."""

LOST_KEPT = 64
"""Connections that are remembered to be gone, for the stanzas of theirs that are still on the
way."""

_context: ContextVar[Lane | None] = ContextVar("emp.connection", default=None)


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

        A component connection (XEP-0114) adds its own domain where `from` is missing. Raises
        LocalProtocolError when 10,000 stanzas wait already, or there is no telling which
        connection is meant.
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
        self.handled = self.failed = 0
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
        for number, action, captures in message.calls:
            try:
                source.calls[number] = bind(getattr(type(self.component), action), captures)
            except (AttributeError, EmpError):  # the file has changed since the router read it
                logger.exception("%s: there is no action %s any more", self.name, action)
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
            lane.lose()
        for connection, answer in self.asks.values():
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
        lane.outflow.waiting.append((None, writable((stanza,))))
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
            "requests_asked": len(self.asks),
            "waiting_to_be_sent": sum(len(lane.outflow.waiting) for lane in self.lanes.values()),
        }
