"""The half of a component's actor that sends: to which connection, in which order, and who waits
for what comes back."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from copy import copy
from typing import Any, TypeAlias, TypeVar

from actors.base import BaseActor
from actors.component import NoAnswer
from actors.flow import BATCH
from actors.lanes import Lane, Source
from actors.messages import (
    ActorLost,
    AskIq,
    AskRoster,
    BatchTaken,
    IqAnswered,
    Ref,
    RosterGiven,
    SendStanzas,
)
from emp.errors import LocalProtocolError, StanzaError
from emp.events import SendFailed
from emp.jid import JID
from emp.stanza import Iq, Stanza
from emp.xep.roster import Item

IQ_GRACE = 2.0
"""Seconds more before an asker gives up on a connection actor that doesn't even report the
timeout."""

OUTGOING_STANZAS = 10_000
"""Stanzas that wait for a connection to take them, beyond which `Component.send` refuses more:
enough for any burst, and far from filling memory."""

AHEAD = BATCH
"""Stanzas that wait for a connection, beyond which a generator waits too: a full batch keeps the
connection busy until the generator goes on."""

NEXT_LIFE = 1.0
"""Seconds after which the stanzas are reported that a connection's actor took with it: mostly there
is a new one by then, and the hook can send them again."""

LOST_KEPT = 64
"""Connections that are remembered to be gone, for the stanzas of theirs that are still on the
way."""

Present: TypeAlias = tuple[Ref, int, Stanza | None, int, Mapping[str, Any]]
"""What is being handled: an item of `RunActions`, or a connection with no stanza, for hooks."""

present: ContextVar[Present | None] = ContextVar("emp.present", default=None)
"""Goes with tasks and threads. While an action is called, `Sender.acting` is what counts: to set a
context variable anew for each stanza would take a fifth of a microsecond."""

T = TypeVar("T")


class Sender(BaseActor):
    """Lanes to the connections, and the requests whose answers are due."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes: dict[int, Lane] = {}
        self.lost: deque[int] = deque(maxlen=LOST_KEPT)
        self.source: Source | None = None
        self.asks: dict[int, tuple[Ref, asyncio.Future[Iq]]] = {}
        self.rosters: dict[int, tuple[Ref, asyncio.Future[tuple[Item, ...]]]] = {}
        self.orphans: list[tuple[Lane, list[SendFailed]]] = []  # of connections that are gone
        self._tokens = 0
        self._flush_due = False
        self._thread = threading.get_ident()
        self.acting: Present | None = None  # whose action is being called, in this turn
        self.ended = False  # no action goes on, and nothing more is sent

    # ── lanes ───────────────────────────────────────────────────────────────────────────────────

    def _lane(self, connection: Ref) -> Lane:
        lane = self.lanes.get(connection.incarnation)
        if lane is None:
            lane = Lane(connection, self.domain_of(connection))
            if connection.incarnation in self.lost:  # its stanzas were still on the way
                lane.lose()
            else:
                self.lanes[connection.incarnation] = lane
        return lane

    def domain_of(self, connection: Ref) -> str | None:
        """Of a component's connection, its domain; None for a client's."""
        raise NotImplementedError

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
        while True:
            while lane.asks and lane.asks[0][0] <= lane.sent:
                self.send(connection.address, lane.asks.popleft()[1])
            batch = lane.next_batch(not self.embedded)
            if batch is None:
                break
            self.send(connection.address, SendStanzas(self.ref, connection.incarnation, *batch))
        if lane.waiters:
            lane.wake()

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

    def _report_orphans(self) -> None:
        """Tell the component what became of the stanzas in `orphans`."""
        raise NotImplementedError

    def _current_lane(self, name: str | None = None) -> Lane:
        """The connection of that name; without a name the one where the stanza came from that is
        being handled, or its next life. Never another one, which would be another identity."""
        context = self.here
        wanted = name if name is not None or context is None else context[0].name
        lanes = list(self.lanes.values())
        if wanted is not None:
            lanes = [lane for lane in lanes if lane.connection.name == wanted]
        if not lanes and name is not None:
            known = ", ".join(lane.connection.name for lane in self.lanes.values()) or "none"
            raise LocalProtocolError(f"there is no connection {name!r}; there are now: {known}")
        if not lanes:
            raise LocalProtocolError("there is no connection to send over")
        if wanted is None and len(lanes) > 1:
            raise LocalProtocolError(
                "there are several connections, and no stanza to say which: name it, as in"
                ' connection="main"'
            )
        return lanes[-1]

    @property
    def here(self) -> Present | None:
        """What is being handled."""
        if self.acting is not None and not self.in_thread:
            return self.acting
        return present.get()

    # ── from threads ────────────────────────────────────────────────────────────────────────────

    @property
    def in_thread(self) -> bool:
        """Whether this runs in a thread of a blocking action."""
        return threading.get_ident() != self._thread

    def in_loop(self, function: Callable[..., T], *args: Any) -> T:
        """Call the function in the loop's thread and wait for what it returns or raises. So all
        books are kept in one thread, and what a thread sends keeps its order."""
        if not self.in_thread:
            return function(*args)
        answer: Future[T] = Future()

        def call() -> None:
            try:
                if self.ended:
                    raise LocalProtocolError("the component has stopped")
                answer.set_result(function(*args))
            except BaseException as error:  # noqa: BLE001 - it belongs to who called
                answer.set_exception(error)

        try:
            self.driver.loop.call_soon_threadsafe(call)
        except RuntimeError:
            raise LocalProtocolError("the component has stopped") from None
        return answer.result()

    # ── sending ─────────────────────────────────────────────────────────────────────────────────

    def send_stanza(self, stanza: Stanza, connection: str | None = None) -> None:
        lane = self.in_loop(self._open_lane, connection)
        # A copy: the caller's own may be changed, and this one may have to be sent once more.
        stanzas = lane.writable((copy(stanza),), self._contact(lane))
        self.in_loop(self._enqueue, stanzas, lane)

    def _open_lane(self, connection: str | None = None) -> Lane:
        if self.ended:  # nobody would hear what becomes of it
            raise LocalProtocolError("the component has stopped")
        return self._current_lane(connection)

    def _contact(self, lane: Lane) -> str | None:
        """Whom of our domain the stanza is addressed to that is being handled, if it came from
        there: we speak in that name."""
        here = self.here
        if here is None or here[2] is None or here[0].name != lane.connection.name:
            return None
        return here[2].to_text

    def _enqueue(self, stanzas: Sequence[Stanza], lane: Lane | None = None) -> None:
        if lane is None or lane.gone or self.ended:
            lane = self._open_lane(None if lane is None else lane.connection.name)
        if len(lane.outflow.waiting) >= OUTGOING_STANZAS:
            name = lane.connection.name
            raise LocalProtocolError(f"{OUTGOING_STANZAS} stanzas wait to be sent over {name}")
        lane.add(stanzas)
        self._flush_soon()

    async def room(self, lane: Lane, most: int = AHEAD) -> None:
        """Wait while `most` stanzas or more wait to be sent there. For who makes a lot of it."""
        if len(lane.outflow.waiting) >= most:
            self._flush_lane(lane)
        while len(lane.outflow.waiting) >= most and not lane.gone:
            waiter: asyncio.Future[None] = self.driver.loop.create_future()
            lane.waiters.append((most, waiter))
            await waiter

    # ── asking ──────────────────────────────────────────────────────────────────────────────────

    async def ask_iq(self, iq: Iq, timeout: float, name: str | None = None) -> Iq:
        lane = self._current_lane(name)
        connection = lane.connection
        lane.check_name(iq.from_text)
        (iq,) = lane.writable((iq,), self._contact(lane) or lane.domain)  # type: ignore[assignment]
        self._tokens += 1
        token = self._tokens
        answer: asyncio.Future[Iq] = self.driver.loop.create_future()
        self.asks[token] = connection, answer
        ask = AskIq(self.ref, connection.incarnation, token, iq, timeout)
        try:
            lane.ask(ask)
            self._flush_lane(lane)
            async with asyncio.timeout(timeout + IQ_GRACE):
                return await answer
        except TimeoutError:
            fault = NoAnswer(f"the connection {connection.name} does not answer")
            fault.request = iq
            raise fault from None
        except (StanzaError, NoAnswer) as error:
            error.request = iq  # it is not our word, see Answerer._failure
            raise
        finally:
            lane.withdraw(ask)
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
