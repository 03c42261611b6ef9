"""The connection actor: one XMPP stream, kept alive, and the books of what came in through it.

The protocol is in `emp.net` and `emp.stream`; the books are in `actors.ledger`; pending requests
are in `emp.iq`. What is here is who is told what, and when the socket is paused.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from actors.backoff import backoff
from actors.base import BaseActor, logger
from actors.flow import Inflow, Outflow
from actors.ledger import Ledger
from actors.messages import (
    ActorLost,
    AskIq,
    BatchTaken,
    CloseConnection,
    ConnectionChanged,
    ConnectionProgressed,
    ConnectionSpec,
    Done,
    IntroduceRouter,
    IqAnswered,
    Ref,
    RefuseStanzas,
    RouteStanzas,
    SendStanzas,
    StartConnection,
)
from emp.answer import refusal
from emp.errors import (
    ConnectionFailed,
    EmpError,
    JIDError,
    JidMalformed,
    LocalProtocolError,
    ResourceConstraint,
    ServiceUnavailable,
    StanzaError,
)
from emp.iq import PendingIqs
from emp.jid import JID
from emp.net import ESTABLISHED, XMPPStream, open_stream
from emp.stanza import Iq, Stanza

OFFLINE_STANZAS = 1000
"""Outgoing stanzas kept while there is no stream. The oldest beyond that are reported as not
sent."""

IQ_SWEEP = 0.25
"""Seconds between looks for requests whose time is up: the precision of a timeout."""

GOODBYE = 1.0
"""Seconds for the server's good-bye, however long it took to get that far."""

STABLE = 30.0
"""Seconds a stream must live for the next failure to count as the first again."""


STOPPING = ServiceUnavailable("the service is stopping", type="wait")
OVERLOADED = ResourceConstraint("too many stanzas are waiting here", type="wait")


class ConnectionActor(BaseActor):
    """Holds one stream open and passes stanzas between it and the rest."""

    kind = "connection"

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.pending: PendingIqs[AskIq] = PendingIqs()
        self.outflow: Outflow[tuple[int, Stanza]] = Outflow()
        self.inflows: dict[int, Inflow] = {}
        self.owed: list[tuple[Ref, int]] = []
        self.offline: deque[Stanza] = deque()
        self.stream: XMPPStream | None = None
        self.paused = False
        self.proven = False
        self.closing = False
        self.state = "starting"
        self.reason = ""
        self.since = time.time()
        self.attempts = 0
        self.sent = self.dropped = self.refused = self.uninvited = self.malformed = 0
        self._bytes_seen = 0
        self._sweeping = False
        self._step_began = 0.0
        self._ended: asyncio.Future[EmpError | None] | None = None
        self._life: asyncio.Task[None] | None = None
        self._drained: asyncio.Event = asyncio.Event()

    # ── life ────────────────────────────────────────────────────────────────────────────────────

    def on_StartConnection(self, message: StartConnection, sender: Any) -> None:
        self.become(message.app_name, message.spec.name, message.log_level)
        self.spec: ConnectionSpec = message.spec
        self.router, self.supervisor = message.router, sender
        self.started(sender)
        self._life = self.driver.loop.create_task(self._live())

    async def _live(self) -> None:
        """Connect, and connect again whenever the stream ends, until told to stop."""
        while not self.closing:
            error: EmpError | None
            try:
                error = await self._one_stream()
            except EmpError as failure:
                error = failure
            except Exception as fault:  # noqa: BLE001 - a bug of ours; giving up helps nobody
                logger.exception("%s: the connection failed; trying again", self.name)
                error = EmpError(repr(fault))
            if self.closing:
                return
            if isinstance(error, ConnectionFailed) and self._is_final(error):
                self._fail(error)
                return
            self.attempts += 1
            delay = backoff(self.attempts)
            reason = str(error) if error else "the server closed the stream"
            self._change("waiting", reason, retry_in=delay)
            await asyncio.sleep(delay)

    def _is_final(self, error: ConnectionFailed) -> bool:
        """What is wrong before the first stream is wrong with the configuration. Afterwards, what
        stands against a new stream may pass: our own old one that the server still holds, a server
        that is coming up. But whoever is thrown out of a stream for good is not wanted back."""
        return error.permanent and (not self.proven or error.step == ESTABLISHED)

    async def _one_stream(self) -> EmpError | None:
        """One stream from connecting to its end; returns why it ended (None: closed in order)."""
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        self._step_began = loop.time()
        self._bytes_seen = 0
        self._change("connecting", "")
        self.stream = await open_stream(self.spec.settings, self, progress=self._progress)
        began = loop.time()
        self.proven = True
        self._change("connected", str(self.stream.jid))
        self.paused = False  # this stream was not paused yet
        self._pause_or_resume()
        self._write(())
        try:
            return await self._ended
        finally:
            self.stream = None
            self._pay()
            if loop.time() - began >= STABLE:
                self.attempts = 0
            for asked in self.pending.clear():
                self._answer(asked, None, "the connection was lost before the answer came")

    def _fail(self, error: ConnectionFailed) -> None:
        self._change("failed", f"{error.step}: {error.reason}", remedy=error.remedy)
        for asked in self.pending.clear():
            self._answer(asked, None, str(error))

    def _change(
        self, state: str, detail: str, retry_in: float | None = None, remedy: str | None = None
    ) -> None:
        self.state, self.reason, self.since = state, detail, time.time()
        change = ConnectionChanged(self.name, self.incarnation, state, detail, retry_in, remedy)
        self.send(self.supervisor, change)

    def _progress(self, step: str, detail: str) -> None:
        now = self.driver.loop.time()
        seconds, self._step_began = now - self._step_began, now
        progressed = ConnectionProgressed(self.name, self.incarnation, step, detail, seconds)
        self.send(self.supervisor, progressed)

    def on_CloseConnection(self, message: CloseConnection, sender: Any) -> None:
        if self.closing:
            return
        self.closing = True
        self.driver.loop.create_task(self._close(message.grace))

    async def _close(self, grace: float) -> None:
        """Take nothing in, let what is on the books be handled, say good-bye. `grace` is for all
        that."""
        deadline = self.driver.loop.time() + grace
        self._pause_or_resume()
        if self.ledger.held:
            self._drained.clear()
            try:
                await asyncio.wait_for(self._drained.wait(), grace)
            except TimeoutError:
                logger.warning(
                    "%s: stopping with %d stanzas not handled", self.name, len(self.ledger.held)
                )
                self._refuse(list(self.ledger.held), STOPPING)
        if self.stream is not None:
            left = deadline - self.driver.loop.time()
            await self.stream.close(max(left, GOODBYE))
        if self.offline:
            logger.error("%s: %d stanzas not sent: stopped", self.name, len(self.offline))
        if self._life is not None:
            self._life.cancel()
        self._change("stopped", "")
        self.send(self.supervisor, Done(self.name))

    def exit(self) -> None:
        if self._life is not None:
            self._life.cancel()
        if self.stream is not None:
            self.stream.abort()

    # ── the stream's side (emp.net.StreamSink) ──────────────────────────────────────────────────

    def stanzas_received(self, stanzas: list[Stanza]) -> None:
        # Hot path: no work per stanza beyond the checks; the rest is per batch.
        stream = self.stream
        seen = stream.bytes_received if stream is not None else 0
        size, self._bytes_seen = seen - self._bytes_seen, seen
        # All stanzas are numbered, those too that go no further: acknowledgements count them all.
        items = self.ledger.admit(stanzas, size)
        wanted = [item for item in items if self._admissible(item[1])]
        if len(wanted) < len(items):
            self.ledger.handled({number for number, _ in items} - {number for number, _ in wanted})
        if self.closing:
            self._refuse([number for number, _ in wanted], STOPPING)
        elif self.ledger.overfull and len(self.pending):
            self._refuse([number for number, _ in wanted], OVERLOADED)
        elif wanted:
            self.outflow.waiting.extend(wanted)
            self._flush()
        self._pause_or_resume()  # refusals fill the socket too

    def _refuse(self, numbers: Iterable[int], error: StanzaError) -> None:
        """Strike stanzas from the books with an error for their senders."""
        struck = self.ledger.handled(numbers)
        if not self.refused and struck:
            logger.warning("%s: refusing stanzas: %s", self.name, error.text)
        self.refused += len(struck)
        self._write([reply for stanza in struck for reply in _bounce(stanza, error)])

    def stream_lost(self, error: EmpError | None) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(error)

    def write_paused(self) -> None:
        """The socket is full: the senders' credit is kept back until it is not."""

    def write_resumed(self) -> None:
        self._pay()
        self._pause_or_resume()

    def _pay(self) -> None:
        """Give back the credit that was kept back."""
        owed, self.owed = self.owed, []
        for ref, batch in owed:
            self.send(ref.address, BatchTaken(self.incarnation, ref.incarnation, batch))

    def _admissible(self, stanza: Stanza) -> bool:
        """False for what goes no further: answers to our own requests, and addresses that are
        none."""
        if isinstance(stanza, Iq) and not stanza.is_request:
            asked = self._asked(stanza)
            if asked is None:
                self.uninvited += 1
            else:
                self._answer(asked, stanza)
            return False
        try:
            if stanza.from_text is not None:
                JID.parse(stanza.from_text)
            if stanza.to_text is not None:
                JID.parse(stanza.to_text)
        except JIDError as error:
            self.malformed += 1
            logger.info("%s: refused a stanza: %s", self.name, error)
            self._write(refusal(stanza, JidMalformed(str(error))))
            return False
        return True

    def _pause_or_resume(self) -> None:
        stream = self.stream
        if stream is None:
            return
        # Who awaits answers must go on reading, or what fills the books may wait for ever for what
        # stands in the socket. Then what comes beyond the second bound is refused; and everything
        # while we are closing.
        awaiting = self.closing or len(self.pending) > 0
        if not self.paused and (stream.write_blocked or (self.ledger.full and not awaiting)):
            self.paused = True
            stream.pause_reading()
        elif self.paused and not stream.write_blocked and (awaiting or self.ledger.drained):
            self.paused = False
            stream.resume_reading()

    # ── the actors' side ────────────────────────────────────────────────────────────────────────

    def _flush(self) -> None:
        weight = None if self.embedded else _weight
        while (batch := self.outflow.next_batch(weight)) is not None:
            number, items = batch
            component = self.spec.settings.kind == "component"
            self.send(
                self.router.address,
                RouteStanzas(self.ref, number, self.spec.resource, component, items),
            )

    def on_BatchTaken(self, message: BatchTaken, sender: Any) -> None:
        if message.incarnation == self.incarnation and message.taker == self.router.incarnation:
            self.outflow.taken(message.batch)
            self._flush()

    def on_IntroduceRouter(self, message: IntroduceRouter, sender: Any) -> None:
        self.router = message.router
        self.outflow = Outflow()
        self.outflow.waiting.extend(self.ledger.held.items())
        self._flush()

    def on_SendStanzas(self, message: SendStanzas, sender: Any) -> None:
        if message.incarnation != self.incarnation:
            return
        struck = self._strike(message.handled)
        stanzas: Sequence[Stanza] = message.stanzas
        if len(struck) < len(message.handled):
            stanzas = _without_late_answers(stanzas, struck)
        self._write(stanzas)
        inflow = self.inflows.get(message.sender.incarnation)
        if inflow is None:
            inflow = self.inflows[message.sender.incarnation] = Inflow()
        inflow.take(message.batch)
        credit = inflow.credit()
        if credit is None:
            return
        if self.stream is not None and self.stream.write_blocked:
            self.owed.append((message.sender, credit))
        else:
            taken = BatchTaken(self.incarnation, message.sender.incarnation, credit)
            self.send(message.sender.address, taken)

    def on_RefuseStanzas(self, message: RefuseStanzas, sender: Any) -> None:
        if message.incarnation != self.incarnation:
            return
        replies: list[Stanza] = []
        struck = self._strike(message.handled)
        if message.bounce and struck:
            logger.warning("%s: %d stanzas: %s", self.name, len(struck), message.error.text)
        for stanza in struck:
            if message.bounce or stanza.kind == "iq":
                replies.extend(_bounce(stanza, message.error))
        self._write(replies)

    def on_ActorLost(self, message: ActorLost, sender: Any) -> None:
        self.inflows.pop(message.incarnation, None)

    def _strike(self, numbers: Iterable[int]) -> list[Stanza]:
        struck = self.ledger.handled(numbers)
        if not self.ledger.held:
            self._drained.set()
        if self.paused:
            self._pause_or_resume()
        return struck

    def _write(self, stanzas: Sequence[Stanza]) -> None:
        """Write, or keep for the next stream; `()` writes what was kept."""
        if self.stream is None:
            self.offline.extend(stanzas)
            self._drop_overflow()
            return
        if self.offline:
            stanzas = [*self.offline, *stanzas]
            self.offline.clear()
        if not stanzas:
            return
        if self.spec.settings.kind == "component":
            for stanza in stanzas:
                if stanza.from_text is None:  # XEP-0114: a component's stanzas must have a `from`
                    stanza.from_ = self.spec.settings.host
        try:
            self.stream.send(stanzas)
            self.sent += len(stanzas)
        except LocalProtocolError as error:  # the stream is closing under us
            logger.debug("%s: kept %d stanzas: %s", self.name, len(stanzas), error)
            self.offline.extend(stanzas)
            self._drop_overflow()

    def _drop_overflow(self) -> None:
        excess = len(self.offline) - OFFLINE_STANZAS
        if excess > 0:
            for _ in range(excess):
                self.offline.popleft()
            self.dropped += excess
            logger.error("%s: %d stanzas not sent: no connection", self.name, excess)

    # ── requests of our own ─────────────────────────────────────────────────────────────────────

    def on_AskIq(self, message: AskIq, sender: Any) -> None:
        if message.incarnation != self.incarnation:
            return
        if self.stream is None:
            self._answer(message, None, "there is no connection")
            return
        deadline = self.driver.loop.time() + message.timeout
        try:
            self.pending.add(message.iq, self.stream.jid, message, deadline)
        except LocalProtocolError as error:
            self._answer(message, None, str(error))
            return
        self._write((message.iq,))
        if self.offline and self.offline[-1] is message.iq:
            self.offline.pop()  # the stream is ending; the asker will hear it, and may ask again
        self._pause_or_resume()
        if not self._sweeping:
            self._sweeping = True
            self.driver.loop.call_later(IQ_SWEEP, self._sweep)

    def _sweep(self) -> None:
        for asked in self.pending.expired(self.driver.loop.time()):
            self._answer(asked, None, f"no answer within {asked.timeout:g} s")
        self._pause_or_resume()
        self._sweeping = bool(self.pending)
        if self._sweeping:
            self.driver.loop.call_later(IQ_SWEEP, self._sweep)

    def _asked(self, stanza: Stanza) -> AskIq | None:
        try:
            return self.pending.answered(stanza)
        except JIDError:
            return None

    def _answer(self, asked: AskIq, stanza: Stanza | None, reason: str = "") -> None:
        answer = stanza if isinstance(stanza, Iq) else None
        answered = IqAnswered(asked.asker.incarnation, asked.token, answer, reason)
        self.send(asked.asker.address, answered)

    def facts(self) -> dict[str, Any]:
        stream = self.stream
        return {
            "state": self.state,
            "since": self.since,
            "reason": self.reason,
            "attempts": self.attempts,
            "jid": str(stream.jid) if stream else None,
            "stanzas_in": self.ledger.total,
            "stanzas_out": self.sent,
            "not_handled": len(self.ledger.held),
            "waiting_for_router": len(self.outflow.waiting),
            "kept_offline": len(self.offline),
            "dropped": self.dropped,
            "refused": self.refused,
            "pending_requests": len(self.pending),
            "uninvited_answers": self.uninvited,
            "malformed_addresses": self.malformed,
            "reading_paused": self.paused,
        }


def _weight(item: tuple[int, Stanza]) -> int:
    return len(item[1].to_bytes())


def _bounce(stanza: Stanza, error: StanzaError) -> Sequence[Stanza]:
    """The error for a request or a message; presence gets none."""
    return refusal(stanza, error) if stanza.kind != "presence" else ()


def _without_late_answers(stanzas: Sequence[Stanza], struck: Sequence[Stanza]) -> list[Stanza]:
    """`stanzas` without the answers to requests that somebody else has answered already, when their
    component was believed lost: an IQ gets one answer. `struck` are those that were due."""
    due = {(stanza.from_text, stanza.id) for stanza in struck}
    return [
        stanza
        for stanza in stanzas
        if stanza.kind != "iq" or stanza.is_request or (stanza.to_text, stanza.id) in due
    ]
