"""The connection actor: one XMPP session, kept alive, and the books of what goes through it.

The protocol is in `emp.net` and `emp.stream`; connecting, and connecting again, in `actors.life`;
the books are `actors.ledger` (what came in), `actors.outbox` and `emp.stream.management` (what goes
out), and `actors.requests`. What is here is who is told what, and when the socket is paused.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from actors import skipping
from actors.base import BaseActor, logger
from actors.flow import Inflow, Outflow
from actors.gate import Gate
from actors.ledger import UNACKNOWLEDGED, Ledger
from actors.life import Life
from actors.messages import (
    ActorLost,
    AskHolders,
    AskIq,
    AskRoster,
    BatchTaken,
    CloseConnection,
    ConnectionChanged,
    ConnectionDrained,
    ConnectionProgressed,
    ConnectionSpec,
    Done,
    HoldersGiven,
    IntroduceRouter,
    IqAnswered,
    PassStanzas,
    ReconnectConnection,
    Ref,
    RefuseStanzas,
    ReleaseConnection,
    ReportUnsent,
    RosterGiven,
    RouteStanzas,
    SendStanzas,
    SkipStanzas,
    StanzasHandled,
    StartConnection,
)
from actors.outbox import TRIES, Outbox, Outgoing, runs
from actors.pause import Pause
from actors.reports import Reports
from actors.requests import Requests, RosterRequests, late
from actors.seldom import Seldom
from emp.answer import refusal
from emp.errors import (
    EmpError,
    InternalServerError,
    LocalProtocolError,
    ResourceConstraint,
    ServiceUnavailable,
    StanzaError,
    StanzasTooLarge,
)
from emp.events import SendFailed
from emp.jid import JID
from emp.net import XMPPStream
from emp.session import ClientSession
from emp.stanza import Stanza
from emp.stream.events import StanzaSkipped
from emp.stream.management import Management
from emp.view import with_from, without_from

STOPPING = ServiceUnavailable("the service is stopping", type="wait")
OVERLOADED = ResourceConstraint("too many stanzas are waiting here", type="wait")

HOLDERS_SECONDS = 1.0
"""Seconds for the router to say who has our stanzas in hand. It takes it some milliseconds."""


class ConnectionActor(BaseActor):
    """Holds one session open and passes stanzas between it and the rest."""

    kind = "connection"

    def __init__(self) -> None:
        super().__init__()
        self.life: Life
        self.gate: Gate
        self.management: Management  # of the life
        self.stream: XMPPStream | None = None  # of the life, once we were told
        self.ledger = Ledger()
        self.outbox = Outbox()
        self.session: ClientSession | None = None
        self.roster_asked = RosterRequests(self._tell_asker)
        self.requests = Requests(self._tell_asker, self._pause_or_resume)
        self.reports = Reports(self._tell_sender)
        self.outflow: Outflow[tuple[int, Stanza]] = Outflow()
        self.inflows: dict[int, tuple[Ref, Inflow]] = {}
        self.owed: list[tuple[Ref, int]] = []
        # number → components that must hear when that stanza is handled, by incarnation
        self.awaited: dict[int, dict[int, Ref]] = {}
        self.counts: Counter[str] = Counter()
        self._told_skipped = Seldom()
        self.paused = False
        self.pause = Pause(self._pause_lasts, self._pause_over)
        self._asked: asyncio.TimerHandle | None = None  # who holds us up
        self.closing = self.closed = False
        self._generation = 0
        self._bytes_seen = 0
        self._acknowledged = 0  # when the stream began
        self._closed = 0  # the generation of the stream that was closed last
        self._poison = ("", 0)  # what we could not read last, and behind which stanza
        self._fruitless = 0  # streams, one after the other, that the server ended with an error
        self._drained = asyncio.Event()
        self._released = asyncio.Event()

    # ── life ────────────────────────────────────────────────────────────────────────────────────

    def on_StartConnection(self, message: StartConnection, sender: Any) -> None:
        self.become(message.app_name, message.spec.name, message.log_level)
        self.spec: ConnectionSpec = message.spec
        self.router, self.supervisor = message.router, sender
        self.life = Life(self.name, self.spec.settings, self.incarnation, self)
        self.management = self.life.management
        if self.spec.settings.kind == "client":
            self.session = ClientSession(self.spec.settings)
        self.domain = JID.parse(self.spec.settings.host).domain
        self.gate = Gate(self.name, self.domain, self.requests, self.session, self._write)
        self.started(sender)
        self.life.begin()

    def tell_supervisor(self, message: ConnectionChanged | ConnectionProgressed) -> None:
        self.send(self.supervisor, message)

    def stream_opened(self, stream: XMPPStream) -> None:
        self.stream = stream
        self.paused = False  # this stream was not paused yet
        self.pause.end()
        self._bytes_seen = 0
        self._pause_or_resume()
        if not stream.resumed:
            self._session_over()
        self._acknowledged = self.management.acknowledged
        kept = self.outbox.take_offline()
        if self.session is not None:
            self._write(self.session.opened(stream.jid, stream.resumed, stream.features))
            for nonza in self.session.nonzas():
                stream.send_nonza(nonza)
        for sender, stanzas in runs(kept):
            self._write(stanzas, sender)
        if not stream.write_blocked:
            self._pay()

    def stream_closed(self, refused: bool, unreadable: str = "") -> None:
        self.stream = None
        self.pause.end()
        management = self.management
        if unreadable and management.generation != self._closed:  # not while we were logging in
            self._give_up_poison(unreadable)
        self._closed = management.generation
        arrived = management.acknowledged > self._acknowledged or not management.unacknowledged
        self._fruitless = self._fruitless + 1 if refused and not arrived else 0
        if self._fruitless >= TRIES:  # what is sent again is what it does not bear
            self._fruitless = 0
            self.counts["given_up"] += 1
            management.abandon()
        if management.id is None:  # the session cannot be resumed
            self._session_over()

    def _give_up_poison(self, condition: str) -> None:
        """What broke the stream would come again with each resumption, and nothing behind it would
        ever be read: with the second time at the same place the session is over."""
        management = self.management
        poison = condition, management.received
        if poison == self._poison and management.id is not None:
            logger.warning(
                "%s: the session is given up, a new one begins: what comes behind stanza %d ends "
                "every stream (%s)",
                self.name,
                management.received,
                condition,
            )
            management.abandon()
            self.counts["given_up"] += 1
        self._poison = poison

    def _session_over(self) -> None:
        """No answer comes any more. What is not acknowledged is sent again where that is safe, or
        given back to whoever sent it."""
        self.requests.forget("the connection was lost before the answer came")
        lost = self.management.take_lost()
        for each in self.outbox.recover(lost, self.spec.settings, datetime.now(UTC)):
            self._report([each.item], each.reason, uncertain=each.uncertain)

    def gave_up(self, reason: str) -> None:
        self.management.abandon()
        self._session_over()
        self._report(self.outbox.take_offline(), reason)
        self._pay()

    def on_ReconnectConnection(self, message: ReconnectConnection, sender: Any) -> None:
        if not self.closing:
            self.life.hurry()

    def on_CloseConnection(self, message: CloseConnection, sender: Any) -> None:
        if not self.closing:
            self.closing = True
            self.driver.loop.create_task(self._close(message.grace, message.hold))

    def on_ReleaseConnection(self, message: ReleaseConnection, sender: Any) -> None:
        self._released.set()

    async def _close(self, grace: float, hold: float) -> None:
        """Take nothing in, let what is on the books be handled, say good-bye. `grace` is for all
        that; up to `hold` seconds more are for what components say when they end."""
        deadline = self.driver.loop.time() + grace
        self._pause_or_resume()
        if self.ledger.held:
            self._drained.clear()
            try:
                await asyncio.wait_for(self._drained.wait(), grace)
            except TimeoutError:
                held = list(self.ledger.held)
                logger.warning("%s: stopping with %d stanzas not handled", self.name, len(held))
                self._refuse(held, STOPPING)
        if hold:
            drained = self.driver.loop.time()
            self.send(self.supervisor, ConnectionDrained(self.name))
            try:
                await asyncio.wait_for(self._released.wait(), hold)
            except TimeoutError:
                logger.warning("%s: stopping before the components have ended", self.name)
            deadline += self.driver.loop.time() - drained
        await self.life.stop(deadline - self.driver.loop.time())
        self.stream = None
        self.management.abandon()
        self._session_over()
        self._report(self.outbox.take_offline(), "the service is stopping")
        self.reports.flush()
        # What we have taken is settled; who has more on the way sees us go, and reports it.
        self.closed = True
        self.owed = [(ref, inflow.all()) for ref, inflow in self.inflows.values()]
        self._pay()
        self.send(self.supervisor, Done(self.name))

    def exit(self) -> None:
        self.life.abort()

    # ── the stream's side (emp.net.StreamSink) ──────────────────────────────────────────────────

    def stanzas_received(self, stanzas: list[Stanza]) -> None:
        self.driver.turn(self._take_in, stanzas)

    def _take_in(self, stanzas: list[Stanza]) -> None:
        # Hot path: no work per stanza beyond the checks; the rest is per batch.
        stream, management = self.stream, self.management
        if management.generation != self._generation:  # a session began, or goes on
            self._begin_generation()
        seen = stream.bytes_received if stream is not None else 0
        size, self._bytes_seen = seen - self._bytes_seen, seen
        # All stanzas are numbered, those too that go no further: acknowledgements count them all.
        items = self.ledger.admit(stanzas, size)
        wanted = self.gate.admit(items)
        if len(wanted) < len(items):
            self._strike({number for number, _ in items} - {number for number, _ in wanted})
        if self.closing:
            self._refuse([number for number, _ in wanted], STOPPING)
        elif self.ledger.overfull and (len(self.requests) or self.management.full):
            self._refuse([number for number, _ in wanted], OVERLOADED)
        elif wanted:
            self.outflow.waiting.extend(wanted)
            self._flush()
        if management.active and self.ledger.last - management.handled > UNACKNOWLEDGED:
            self._acknowledge()
        self._pause_or_resume()  # refusals fill the socket too
        if self.session is not None and len(self.roster_asked):
            self._give_roster()

    def stanza_skipped(self, skipped: StanzaSkipped) -> None:
        self.driver.turn(self._skip, skipped)

    def _skip(self, skipped: StanzaSkipped) -> None:
        """Number a stanza that we do not take, and answer it where that may be."""
        if self.management.generation != self._generation:
            self._begin_generation()
        if self.stream is not None:
            self._bytes_seen = self.stream.bytes_received
        for number, stanza in self.ledger.admit([skipped.stanza], 0):
            self.counts["skipped"] += 1
            error = skipping.refusal_of(skipped, self.spec.settings)
            if self._told_skipped.may((skipped.limit, stanza.kind), self.driver.loop.time()):
                text = "%s: skipped a %s of %d bytes from %.200r: %s"
                known = (stanza.kind, skipped.size, stanza.from_text)
                logger.warning(text, self.name, *known, error.text)
            if skipped.known:
                self.gate.refuse(stanza, error)
            self._strike((number,))
        self._pause_or_resume()

    def awaits(self, id: str) -> bool:
        """Whether the result of an IQ request of ours with this id is due."""
        session = self.session
        return id in self.requests or (session is not None and session.awaits(id))

    def _begin_generation(self) -> None:
        """What comes next are the first stanzas of a session, or of one that goes on."""
        self._generation = self.management.generation
        self.ledger.rewind(self.management.origin)

    def _refuse(self, numbers: Iterable[int], error: StanzaError) -> None:
        """Strike stanzas from the books with an error for their senders."""
        struck = self._strike(numbers)
        refused = [stanza for stanza in struck if stanza.kind != "presence"]  # nobody misses it
        if not self.counts["refused"] and refused:
            logger.warning("%s: refusing stanzas: %s", self.name, error.text)
        self.counts["refused"] += len(refused)
        self._write([reply for stanza in refused for reply in refusal(stanza, error)])

    def stream_lost(self, error: EmpError | None) -> None:
        self.life.ended(error)

    def write_paused(self) -> None:
        """The senders' credit is kept back until there is room; and acknowledgements that make it
        must be read."""
        self._pause_or_resume()

    def write_resumed(self) -> None:
        self._pay()
        self._pause_or_resume()

    def _pay(self) -> None:
        """Give back the credit that was kept back."""
        owed, self.owed = self.owed, []
        for ref, batch in owed:
            self.send(ref.address, BatchTaken(self.incarnation, ref.incarnation, batch))

    def _pause_or_resume(self) -> None:
        stream, management = self.stream, self.management
        if stream is None:
            return
        # Hot path: mostly nothing is full.
        blocked = stream.write_blocked and not management.full
        if not (self.paused or blocked or self.ledger.full):
            return
        # Who awaits answers must go on reading, or what fills the books may wait for ever for what
        # stands in the socket. Then what comes beyond the second bound is refused; and everything
        # while we are closing. Acknowledgements that we wait for are answers too.
        awaiting = self.closing or len(self.requests) > 0 or management.full
        if not self.paused and (blocked or (self.ledger.full and not awaiting)):
            self.paused = True
            self.pause.begin(self.driver.loop)
            stream.pause_reading()
        elif self.paused and not blocked and (awaiting or self.ledger.drained):
            self.paused = False
            self.pause.end()
            stream.resume_reading()

    def _pause_lasts(self) -> None:
        """Say who holds us up. The router knows it; where it says nothing, it is the router."""
        silent = "the router, which does not answer"
        self._asked = self.driver.loop.call_later(HOLDERS_SECONDS, self._say_paused, silent)
        self.send(self.router.address, AskHolders(self.ref))

    def on_HoldersGiven(self, message: HoldersGiven, sender: Any) -> None:
        if message.incarnation == self.incarnation:
            self._say_paused(message.holders)

    def _say_paused(self, holders: str) -> None:
        asked, self._asked = self._asked, None
        if asked is None or self.stream is None or not self.pause.told:
            return
        asked.cancel()
        why = f"{len(self.ledger.held)} stanzas are not handled; in hand: {holders}"
        if self.stream.write_blocked and self.ledger.drained:
            why = "the server takes nothing of what is sent"
        detail = f"nothing has been read for {self.pause.seconds:.0f} s: {why}"
        logger.warning("%s: %s", self.name, detail)
        self.tell_supervisor(ConnectionChanged(self.name, self.incarnation, "paused", detail))

    def _pause_over(self, seconds: float) -> None:
        if self.stream is None:
            return
        logger.warning("%s: reading goes on after %.0f s", self.name, seconds)
        if self.life.state == "connected":
            news = ConnectionChanged(self.name, self.incarnation, "connected", self.life.reason)
            self.tell_supervisor(news)

    # ── the actors' side ────────────────────────────────────────────────────────────────────────

    def _flush(self) -> None:
        weight = None if self.embedded else _weight
        outflow = self.outflow
        while outflow.waiting and (batch := outflow.next_batch(weight)) is not None:
            number, items = batch
            spec, settings = self.spec, self.spec.settings
            component = settings.kind == "component"
            self.send(
                self.router.address,
                RouteStanzas(self.ref, number, settings.name, spec.resource, component, items),
            )

    def on_BatchTaken(self, message: BatchTaken, sender: Any) -> None:
        if message.incarnation == self.incarnation and message.taker == self.router.incarnation:
            self.outflow.taken(message.batch)
            self._flush()

    def on_IntroduceRouter(self, message: IntroduceRouter, sender: Any) -> None:
        self.router = message.router
        self.outflow = Outflow()
        if held := self.ledger.held:
            text = "%s: the router was lost with up to %d stanzas in hand, the first a %s from %s"
            first = next(iter(held.values()))
            logger.warning(text, self.name, len(held), first.kind, first.from_text)
        self.outflow.waiting.extend(self.ledger.held.items())
        self._flush()

    def on_SendStanzas(self, message: SendStanzas, sender: Any) -> None:
        if message.incarnation != self.incarnation or self.closed:
            return
        struck = self._strike(message.handled)
        stanzas: Sequence[Stanza] = message.stanzas
        if len(struck) < len(message.handled):  # their component was believed lost
            due = {(stanza.from_text, stanza.id) for stanza in struck}
            stanzas = [stanza for stanza in stanzas if not late(stanza, due)]
        self._write(stanzas, message.sender)
        incarnation = message.sender.incarnation
        if incarnation not in self.inflows:
            self.inflows[incarnation] = message.sender, Inflow()
        inflow = self.inflows[incarnation][1]
        inflow.take(message.batch)
        credit = inflow.credit()
        if credit is None:
            return
        # Without a stream the senders keep what is theirs, rather than fill our shelf: but not for
        # a connection that will not come back.
        blocked = self.stream.write_blocked if self.stream is not None else not self.life.over
        if blocked:
            self.owed.append((message.sender, credit))
        else:
            self.send(message.sender.address, BatchTaken(self.incarnation, incarnation, credit))

    def on_RefuseStanzas(self, message: RefuseStanzas, sender: Any) -> None:
        if message.incarnation != self.incarnation:
            return
        replies: list[Stanza] = []
        struck = self._strike(message.handled)
        if struck and isinstance(message.error, InternalServerError):
            logger.warning("%s: %d stanzas: %s", self.name, len(struck), message.error.text)
        for stanza in struck:
            if message.bounce or stanza.kind == "iq":
                replies.extend(refusal(stanza, message.error))
        self._write(replies)

    def on_ActorLost(self, message: ActorLost, sender: Any) -> None:
        self.inflows.pop(message.incarnation, None)
        for waiters in self.awaited.values():
            waiters.pop(message.incarnation, None)

    def on_SkipStanzas(self, message: SkipStanzas, sender: Any) -> None:
        """It comes to us first: what its component has answered before is written already."""
        if message.incarnation != self.incarnation:
            return
        waiter, router, held = message.sender, self.router, self.ledger.held
        for number, _ in message.items:
            self.awaited.setdefault(number, {})[waiter.incarnation] = waiter
        items = tuple([(no, held[no], call) for no, call in message.items if no in held])
        if items and message.router == router.incarnation:  # else a new one is given them again
            passing = PassStanzas(self.ref, waiter.incarnation, router.incarnation, items)
            self.send(router.address, passing)
        self._tell_handled()

    def _tell_handled(self) -> None:
        """To the components that wait for it."""
        told: dict[int, tuple[Ref, list[int]]] = {}
        for number in sorted(self.awaited.keys() - self.ledger.held.keys()):
            for incarnation, waiter in self.awaited.pop(number).items():
                told.setdefault(incarnation, (waiter, []))[1].append(number)
        for incarnation, (waiter, numbers) in told.items():
            message = StanzasHandled(self.incarnation, incarnation, tuple(numbers))
            self.send(waiter.address, message)

    def _strike(self, numbers: Iterable[int]) -> list[Stanza]:
        struck = self.ledger.handled(numbers)
        if not self.ledger.held:
            self._drained.set()
        if self.awaited:
            self._tell_handled()
        self._acknowledge()
        if self.paused:
            self._pause_or_resume()
        return struck

    def _acknowledge(self) -> None:
        """Say what is handled, or has waited for that too long."""
        ledger, management = self.ledger, self.management
        prefix = ledger.prefix
        if self.stream is not None and management.active:
            if ledger.last - prefix > UNACKNOWLEDGED:
                ledger.hurry()
                prefix = ledger.prefix
            self.stream.handled(prefix)
        else:  # nobody is to be told
            management.handled = prefix

    def _write(self, stanzas: Sequence[Stanza], sender: Ref | None = None) -> str:
        """Write, or keep for the next stream. Returns why some of them cannot be sent at all."""
        if not stanzas:
            return ""
        stream = self.stream
        if stream is None or self.outbox.offline:  # those that are kept go first
            self._keep(stanzas, sender)
            return ""
        reason = ""
        if self.session is None:
            stanzas = self._named(stanzas)
            if not self.gate.may_send(stanzas):
                stanzas, reason = self._in_our_name(stanzas, sender), self._foreign
        else:
            stanzas = self._unnamed(stanzas)
        try:
            stream.send(stanzas)
        except StanzasTooLarge as error:
            reason = str(error)
            self._report([Outgoing(each, sender) for each in error.stanzas], reason)
            self._write([each for each in stanzas if each not in error.stanzas], sender)
            return reason
        except LocalProtocolError as error:  # the stream is closing under us
            logger.debug("%s: kept %d stanzas: %s", self.name, len(stanzas), error)
            self._keep(stanzas, sender)
            return reason
        management = self.management
        self.outbox.written(management.sent, sender, management.acknowledged)
        self.counts["sent"] += len(stanzas)
        return reason

    # Hot path: mostly there is nothing to be done.

    def _named(self, stanzas: Sequence[Stanza]) -> Sequence[Stanza]:
        """A component's stanzas: they must have a `from` (XEP-0114)."""
        for stanza in stanzas:
            if stanza.from_text is None:
                own = self.domain
                return [
                    each if each.from_text is not None else with_from(each, own) for each in stanzas
                ]
        return stanzas

    def _unnamed(self, stanzas: Sequence[Stanza]) -> Sequence[Stanza]:
        """A client's stanzas: whom they are from is for the server to say (RFC 6120 §8.1.2.1),
        which ends the stream where it does not agree."""
        for stanza in stanzas:
            if stanza.from_text is not None:
                return [each if each.from_text is None else without_from(each) for each in stanzas]
        return stanzas

    @property
    def _foreign(self) -> str:
        return f"a component sends from {self.domain} only, and to somebody"

    def _in_our_name(self, stanzas: Sequence[Stanza], sender: Ref | None) -> Sequence[Stanza]:
        """Those that a component may send; for the others the server would end the stream."""
        foreign = [stanza for stanza in stanzas if not self.gate.may_send((stanza,))]
        self._report([Outgoing(stanza, sender) for stanza in foreign], self._foreign)
        return [stanza for stanza in stanzas if stanza not in foreign]

    def _keep(self, stanzas: Sequence[Stanza], sender: Ref | None) -> None:
        excess = self.outbox.keep(stanzas, sender)
        self._report(excess, "no connection, and too many stanzas wait for one")
        if self.life.over:
            self._report(self.outbox.take_offline(), self.life.reason)

    def _report(self, items: Sequence[Outgoing], reason: str, *, uncertain: bool = False) -> None:
        """Give stanzas that were not sent back to whoever sent them. uncertain: they were written,
        and nobody has said that they did not arrive; of one that is sent again we know that."""
        loop, in_doubt = self.driver.loop, self.outbox.in_doubt
        for doubt, group in groupby(items, lambda item: uncertain or in_doubt(item.stanza)):
            self.reports.add(group, self.name, reason, loop, uncertain=doubt)

    def _tell_sender(self, sender: Ref, failures: tuple[SendFailed, ...]) -> None:
        self.send(sender.address, ReportUnsent(self.ref, sender.incarnation, failures))

    # ── requests of our own ─────────────────────────────────────────────────────────────────────

    def on_AskIq(self, message: AskIq, sender: Any) -> None:
        if message.incarnation != self.incarnation:
            return
        if self.stream is None:
            self.requests.answer(message, None, "there is no connection")
            return
        try:
            self.requests.add(message, self.stream.jid, self.driver.loop)
        except LocalProtocolError as error:
            self.requests.answer(message, None, str(error))
            return
        reason = self._write((message.iq,))  # in our name: the asker hears from `requests`
        offline = self.outbox.offline
        if offline and offline[-1].stanza is message.iq:
            offline.pop()
            reason = "the connection is being lost"
        if reason:
            self.requests.withdraw(message, reason)
        self._pause_or_resume()

    def _tell_asker(self, asked: AskIq | AskRoster, answer: IqAnswered | RosterGiven) -> None:
        self.send(asked.asker.address, answer)

    def on_AskRoster(self, message: AskRoster, sender: Any) -> None:
        if message.incarnation == self.incarnation:
            self.roster_asked.add(message, self.driver.loop.time())
            self._give_roster()

    def _give_roster(self) -> None:
        """To all who asked, when there is one: who asks too early waits, and has a time limit."""
        session = self.session
        if session is None or not self.spec.settings.roster:
            self.roster_asked.give(None, "roster = true is not set for this connection")
        elif (roster := session.roster) is not None:
            self.roster_asked.give(tuple(roster.values()))

    def facts(self) -> dict[str, Any]:
        life, stream, management, counts = self.life, self.stream, self.management, self.counts
        return {
            "state": life.state,
            "since": life.since,
            "reason": life.reason,
            "attempts": life.reconnection.attempts,
            "failures": dict(life.failures),
            "violations": dict(life.violations),
            "jid": str(stream.jid) if stream else None,
            "stream_management": "on" if management.active else "off",
            "resumable": management.id is not None,
            "stanzas_in": self.ledger.total,
            "stanzas_out": counts["sent"],
            "not_handled": len(self.ledger.held),
            "acknowledged_early": len(self.ledger.early),
            "acknowledged_early_total": self.ledger.hurried,
            "not_acknowledged": len(management.unacknowledged),
            "waiting_for_router": len(self.outflow.waiting),
            "kept_offline": len(self.outbox.offline),
            "unsent": self.reports.count,
            "refused": counts["refused"],
            "skipped": counts["skipped"],
            "sessions_given_up": counts["given_up"],
            "repeated": self.ledger.repeated,
            "pending_requests": len(self.requests),
            "uninvited_answers": self.gate.counts["uninvited"],
            "malformed_addresses": self.gate.counts["malformed"],
            "misaddressed": self.gate.counts["misaddressed"],
            "reading_paused": self.paused,
            "reading_paused_seconds": round(self.pause.seconds, 1),
            **(self.session.facts() if self.session is not None else {}),
        }


def _weight(item: tuple[int, Stanza]) -> int:
    return len(item[1].to_bytes())
