"""Which of a component's stanzas are answered, and how: the books behind `Component.reply`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from copy import copy
from time import monotonic
from typing import Any, Final, NamedTuple, TypeAlias

from actors.base import logger
from actors.component import Component, NoAnswer
from actors.handling import MADE_HERE, Handling, Skip
from actors.lanes import Lane, Source, writable
from actors.messages import Ref
from actors.seldom import Seldom
from actors.sending import Sender
from actors.threads import Job
from emp.answer import answers, answers_it, refusal
from emp.errors import (
    InternalServerError,
    LocalProtocolError,
    RemoteServerTimeout,
    StanzaError,
)
from emp.stanza import Iq, Stanza

Item: TypeAlias = tuple[Ref, int, Stanza, int, Any]
"""See `actors.messages.RunActions`."""

ANSWERED: Final = "the request is answered already, and one answer is all that it gets"


NO_ANSWER: Final = ""
UNREACHABLE: Final = frozenset(
    {
        NO_ANSWER,
        "recipient-unavailable",
        "remote-server-not-found",
        "remote-server-timeout",
        "resource-constraint",
    }
)
"""What others answer to us, or do not, where our asker may try again later: remote-server-timeout.
Whatever else they say is for us alone: internal-server-error."""


class Outcome(NamedTuple):
    """How the handling of a stanza has ended."""

    replies: Sequence[Stanza] = ()
    failed: bool = False
    skipped: bool = False


class Work:
    """An action that goes on.

    late: its time was up, and its stanza is answered. over: nobody waits for it any more.
    """

    __slots__ = (
        "began", "handling", "item", "job", "key", "lane", "late", "over", "task", "timer",
        "yielded",
    )  # fmt: skip

    def __init__(self, lane: Lane, item: Item, handling: Handling, key: str) -> None:
        self.lane, self.item, self.handling, self.key = lane, item, handling, key
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.job: Job | None = None
        self.began = 0.0  # in the thread
        self.late = self.over = self.yielded = False


class Answerer(Sender):
    """Knows what of the component's stanzas is answered."""

    component: Component

    def __init__(self) -> None:
        super().__init__()
        self.works: dict[tuple[int, int], Work] = {}
        self.answered: set[tuple[int, int]] = set()  # and their actions go on
        self.handled = self.failed = self.skipped = self.overdue = 0
        self._idle: asyncio.Event | None = None
        self._told_unsent = Seldom()

    def _forget(self, work: Work) -> None:
        """It has ended, or nobody will ever run it."""
        self.works.pop(name_of(work.item), None)
        if self._idle is not None and not self.works:
            self._idle.set()

    async def idle(self, seconds: float) -> bool:
        """Wait until no action goes on; False when some still do after so many seconds."""
        if not self.works:
            return True
        self._idle = asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    @property
    def item(self) -> Item:
        """What is being handled. Raises LocalProtocolError where nothing is."""
        item = self.here
        if item is None or item[2] is None:
            raise LocalProtocolError("no stanza is being handled here")
        return item  # type: ignore[return-value]

    def send_stanza(self, stanza: Stanza, connection: str | None = None) -> None:
        """See `Component.send`. What answers the request that is being handled is its answer, or
        there would be two."""
        here = self.here if isinstance(stanza, Iq) and not stanza.is_request else None
        if here is not None and here[2] is not None and answers_it(here[2], stanza):
            self.reply(stanza)
        else:
            super().send_stanza(stanza, connection)

    def reply(self, result: Any) -> None:
        """See `Component.reply`."""
        item = self.item
        name, stanza = name_of(item), item[2]
        if name in self.answered and result is None:
            raise LocalProtocolError(ANSWERED)
        replies = self._replies(item, result)
        self.in_loop(self._give, item, replies, stanza.is_request)

    def _give(self, item: Item, replies: Sequence[Stanza], final: bool) -> None:
        """Send parts of the answer; `final` when the stanza is answered with them."""
        name = name_of(item)
        work = self.works.get(name)
        lane = self.lanes.get(name[0])
        if work is not None and work.late:
            raise LocalProtocolError("the action has taken too long, and its stanza is answered")
        if lane is None or not final or name in self.answered:
            self._enqueue(replies)
            return
        if work is None and self.acting is not item:
            raise LocalProtocolError("the request is answered already: its action is over")
        lane.put(item[1], replies)
        self.answered.add(name)
        self._flush_soon()

    # ── the end of an action ────────────────────────────────────────────────────────────────────

    def _respond(self, handling: Handling | None, item: Item, error: BaseException) -> Any:
        """What the component says to an exception; raises it, or another one, where nothing."""
        if handling is None:
            raise error
        return handling.respond(self.component, item[2], item[4], error)

    def _replies(self, item: Item, result: Any) -> Sequence[Stanza]:
        """The stanzas that a result means. Of a request that is answered already, there may be
        others, but not another answer. Raises what is wrong with it."""
        stanza = item[2]
        if name_of(item) not in self.answered:
            lane = self.lanes.get(item[0].incarnation)
            named = lane is None or lane.domain is not None
            replies = answers(stanza, result, named=named)
            if type(result) not in MADE_HERE:
                replies = [copy(each) for each in replies]
            return self._written(item, replies)
        if result is None:
            return ()
        items = result if isinstance(result, (list, tuple)) else (result,)
        for each in items:
            if not isinstance(each, Stanza) or answers_it(stanza, each):
                raise LocalProtocolError(ANSWERED)
        return self._written(item, [copy(each) for each in items])

    def _written(self, item: Item, stanzas: Sequence[Stanza]) -> Sequence[Stanza]:
        """The stanzas as they can go where `item` came from. Raises LocalProtocolError."""
        lane = self.lanes.get(item[0].incarnation)
        return writable(stanzas) if lane is None else lane.writable(stanzas, item[2].to_text)

    def _action(self, item: Item) -> str:
        """The action that has it, for people."""
        handling = self.source.handlings.get(item[3]) if self.source is not None else None
        return self.name if handling is None else f"{self.name}, action {handling.action},"

    def _failure(self, item: Item, error: BaseException, *, given: bool = False) -> Outcome:
        """How it ends with an exception that nobody had anything to say to. `given`: parts of an
        answer have been sent."""
        stanza, answered = item[2], name_of(item) in self.answered
        if isinstance(error, Skip):
            if not answered and not given:
                return Outcome(skipped=True)
            skip = error
            error = LocalProtocolError("skip() comes too late: something was answered already")
            error.__cause__ = skip  # the log shows where
        asked = error.request if isinstance(error, (StanzaError, NoAnswer)) else None
        if asked is not None:
            return self._refused_by_others(item, error, asked, answered)
        if isinstance(error, StanzaError) and not answered:
            try:
                replies = writable(refusal(stanza, error))
                if not replies:
                    self._tell_unsent(item, error)
                return Outcome(replies)
            except Exception as fault:  # noqa: BLE001 - a text that XML can't hold, for instance
                error = fault
        incident = secrets.token_hex(4)
        logger.error(
            "incident %s: %s failed on %s from %s",
            incident,
            self._action(item),
            stanza.kind,
            stanza.from_text,
            exc_info=error,
        )
        if answered:
            return Outcome(failed=True)
        failure = InternalServerError(f"incident {incident}")
        return Outcome(refusal(stanza, failure), failed=True)

    def _refused_by_others(
        self, item: Item, error: BaseException, asked: Stanza, answered: bool
    ) -> Outcome:
        """It ends with what somebody else has answered to us: that is between us and him."""
        stanza, incident = item[2], secrets.token_hex(4)
        logger.error(
            "incident %s: %s failed on %s from %s, as it asked iq %s %s of %s: %s",
            incident,
            self._action(item),
            stanza.kind,
            stanza.from_text,
            asked.type,
            asked.payload_name,
            asked.to_text or "its server",
            error,
        )
        unreachable = getattr(error, "condition", NO_ANSWER) in UNREACHABLE
        failure = RemoteServerTimeout if unreachable else InternalServerError
        replies = () if answered else refusal(stanza, failure(f"incident {incident}"))
        return Outcome(replies, failed=True)

    def _tell_unsent(self, item: Item, error: StanzaError) -> None:
        stanza = item[2]
        where = f"{stanza.kind} of type {stanza.type}"
        if self._told_unsent.may((self._action(item), where, error.condition), monotonic()):
            logger.warning(
                "%s: not sent, as no error answers this %s from %.200r: %s",
                self._action(item).rstrip(","),
                where,
                stanza.from_text,
                error,
            )

    def _conclude(
        self, lane: Lane, item: Item, outcome: Outcome, source: Source | None = None
    ) -> None:
        """The stanza is handled: enter it in the books."""
        name, number = name_of(item), item[1]
        if outcome.skipped:
            self._skip(lane, item, source)
        elif name in self.answered:
            self.answered.discard(name)
            lane.add(outcome.replies)
        else:
            lane.put(number, outcome.replies)
        self.failed += outcome.failed
        self.skipped += outcome.skipped
        self.handled += not (outcome.failed or outcome.skipped)

    def _skip(self, lane: Lane, item: Item, source: Source | None) -> None:
        """The router shall give it to somebody else, or to another action of ours."""
        number, call = item[1], item[3]
        # A new router may have given it again since.
        giver, _, call = lane.running.get(number, (source, 0, call))
        lane.seen.discard(number)
        if lane.gone:
            return
        router = giver.ref.incarnation if giver is not None else 0
        lane.skip(number, call, self.ref, router)
        self._hold(item)

    def _hold(self, item: Item) -> None:
        """What comes behind it, of the same key, waits until it is handled wherever it goes."""
        raise NotImplementedError


def name_of(item: Item) -> tuple[int, int]:
    return item[0].incarnation, item[1]


def refused(item: Item, error: StanzaError) -> Outcome:
    return Outcome(refusal(item[2], error), failed=True)
