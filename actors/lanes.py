"""The books of a component: where its stanzas come from, and where its answers go.

A `Source` is a router, with the batches that it gave; a `Lane` is a connection, with what goes
there. Plain objects: `actors.sending` says when to send what they hold.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from actors.flow import BATCH, BATCH_BYTES, Inflow, Outflow
from actors.ledger import HELD_STANZAS
from actors.messages import AskIq, Ref, SkipStanzas
from emp.binding import Call
from emp.errors import JIDError, LocalProtocolError
from emp.events import SendFailed
from emp.jid import JID
from emp.stanza import Stanza
from emp.view import with_from

if TYPE_CHECKING:
    from actors.handling import Handling


class Source:
    """A router that gives us stanzas: its batches, until everything in them is handled."""

    __slots__ = (
        "calls", "done", "finished", "handlings", "inflow", "lanes", "often", "over", "ref",
        "remaining",
    )  # fmt: skip

    def __init__(self, router: Ref, often: int = sys.maxsize) -> None:
        """often: stanzas that leave our mailbox before the router must hear of it."""
        self.ref = router
        self.often = often
        self.finished = 0  # stanzas that have left it, and the router does not know
        self.inflow = Inflow()
        self.calls: dict[int, Call] = {}
        self.handlings: dict[int, Handling] = {}  # the same calls → all else about them
        self.remaining: dict[int, int] = {}  # batch → actions of it that go on
        self.lanes: dict[int, tuple[Lane, ...]] = {}  # the same batch → where its answers go
        self.over: list[tuple[int, tuple[tuple[Lane, int], ...]]] = []
        self.done: list[int] = []

    def credit(self) -> tuple[int, tuple[int, ...], int] | None:
        """What to report now: the batch up to which all were taken, those that are handled, and
        how many stanzas have left our mailbox since.

        A batch whose actions are over is handled when its answers have reached the connections,
        `over` says how far: until then they would be lost with us.
        """
        credit = self.inflow.all() if self.finished >= self.often else self.inflow.credit()
        if credit is None:
            return None
        # One connection may take long to acknowledge, so any of them may be the next.
        still = []
        for entry in self.over:
            if all(lane.acknowledged >= entries for lane, entries in entry[1]):
                self.done.append(entry[0])
            else:
                still.append(entry)
        self.over = still
        done, self.done = tuple(self.done), []
        finished, self.finished = self.finished, 0
        return credit, done, finished


class Sent(NamedTuple):
    """A batch on its way: entries up to it; the stanzas, and the numbers of those they handle."""

    batch: int
    entries: int
    stanzas: tuple[Stanza, ...]
    handled: tuple[int, ...]


class Lane:
    """What goes to one connection: (sequence number that this handles or None, stanzas).

    domain: in whose name a component's connection speaks; None for a client's, whose server knows.
    """

    __slots__ = (
        "acknowledged",
        "asks",
        "connection",
        "domain",
        "gone",
        "outflow",
        "present",
        "recent",
        "running",
        "seen",
        "sent",
        "suspect",
        "unsure",
        "waiters",
    )

    def __init__(self, connection: Ref, domain: str | None = None) -> None:
        self.connection, self.domain = connection, domain
        self.outflow: Outflow[tuple[int | None, Sequence[Stanza]]] = Outflow()
        # number → whose batch waits for it, and what that one calls its action
        self.running: dict[int, tuple[Source, int, int]] = {}
        self.unsure: deque[Sent] = deque()  # not acknowledged
        self.recent: deque[int] = deque(maxlen=2 * HELD_STANZAS)  # acknowledged: no more is held
        self.sent = self.acknowledged = 0  # entries of the outflow
        self.seen: set[int] = set()
        self.suspect = 0
        # Requests, and what is passed on: entries that go before it, the message.
        self.asks: deque[tuple[int, AskIq | SkipStanzas]] = deque()
        # Those who wait until less than so many entries wait to be sent.
        self.waiters: list[tuple[int, asyncio.Future[None]]] = []
        self.gone = False
        # What is being handled where it is only known that it came from there; see actors.sending.
        # One object for all of them: a context variable that stays the same costs nothing.
        self.present: tuple[Ref, int, None, int, dict[str, Any]] = (connection, 0, None, 0, {})

    def writable(self, stanzas: Sequence[Stanza], sender: str | None) -> Sequence[Stanza]:
        """The stanzas as they can go there: those of a component that do not say from whom they are
        are from `sender`. Raises LocalProtocolError as writable(), and where nobody is addressed:
        of a client that is the account, but a component has none, and servers end its stream; or
        in somebody else's name."""
        # Hot path: what an action returns is mostly an answer in the name that was addressed.
        if self.domain is not None:
            for stanza in stanzas:
                if stanza.from_text != sender or stanza.to_text is None:
                    stanzas = self._addressed(stanzas, sender)
                    break
        return writable(stanzas)

    def _addressed(self, stanzas: Sequence[Stanza], sender: str | None) -> Sequence[Stanza]:
        for stanza in stanzas:
            own = stanza.from_text
            if own is not None and own != sender:
                self.check_name(own)
            if stanza.to_text is None:
                kind = stanza.kind
                raise LocalProtocolError(
                    f"{'an' if kind == 'iq' else 'a'} {kind} without `to`: what a component"
                    f" sends must say to whom (XEP-0114); write {kind.capitalize()}(to=…)"
                )
        if sender is None:
            return stanzas
        return [with_from(each, sender) if each.from_text is None else each for each in stanzas]

    def check_name(self, name: str | None) -> None:
        """Raises LocalProtocolError if what goes there cannot be from that address."""
        try:
            if name is None or JID.received(name).domain == self.domain:
                return
        except JIDError:
            pass
        whose = "a client speaks in its own name only"
        if self.domain is not None:
            whose = f"{self.connection.name} speaks in the names of {self.domain} only"
        raise LocalProtocolError(f"from_={name!r:.200}: {whose}")

    def put(self, number: int, replies: Sequence[Stanza]) -> None:
        """`replies` are what handles the stanza `number`. Many become many entries: a batch has a
        bound."""
        if len(replies) > 1:
            self.add(replies[:-1])
            replies = replies[-1:]
        self.outflow.waiting.append((number, replies))

    def add(self, stanzas: Iterable[Stanza]) -> None:
        """These are to be sent, and handle nothing."""
        self.outflow.waiting.extend((None, (stanza,)) for stanza in stanzas)

    def ask(self, ask: AskIq) -> None:
        """The request goes after all that waits now, and before all that comes later."""
        self.asks.append((self.sent + len(self.outflow.waiting), ask))

    def skip(self, number: int, call: int, sender: Ref, router: int) -> None:
        """That stanza is passed on, after all that waits now: `SkipStanzas`."""
        before = self.sent + len(self.outflow.waiting)
        items: tuple[tuple[int, int], ...] = ((number, call),)
        if self.asks and self.asks[-1][0] == before:  # those of a batch go together
            last = self.asks[-1][1]
            if isinstance(last, SkipStanzas) and last.router == router:
                self.asks.pop()
                items = (*last.items, *items)
        incarnation = self.connection.incarnation
        self.asks.append((before, SkipStanzas(sender, incarnation, router, items)))

    def withdraw(self, ask: AskIq) -> None:
        """Nobody waits for an answer any more."""
        if self.asks:
            self.asks = deque(entry for entry in self.asks if entry[1] is not ask)

    def wake(self) -> None:
        """Those who waited for room go on where there is some."""
        waiters, self.waiters = self.waiters, []
        for most, waiter in waiters:
            if len(self.outflow.waiting) >= most and not self.gone:
                self.waiters.append((most, waiter))
            elif not waiter.done():
                waiter.set_result(None)

    def next_batch(self, framed: bool) -> tuple[int, tuple[Stanza, ...], tuple[int, ...]] | None:
        """The batch to send now: its number, stanzas, and the numbers that they handle. `framed`
        when it goes to another process."""
        most = self.asks[0][0] - self.sent if self.asks else BATCH
        batch = self.outflow.next_batch(_weight if framed else None, most)
        if batch is None:
            return None
        number, entries = batch
        self.sent += len(entries)
        handled = tuple([entry[0] for entry in entries if entry[0] is not None])
        stanzas = tuple([stanza for entry in entries for stanza in entry[1]])
        self.unsure.append(Sent(number, self.sent, stanzas, handled))
        return number, stanzas, handled

    def taken(self, batch: int) -> None:
        self.outflow.taken(batch)
        while self.unsure and self.unsure[0].batch <= batch:
            sent = self.unsure.popleft()
            self.acknowledged = sent.entries
            self.recent.extend(sent.handled)

    def lose(self) -> list[SendFailed]:
        """The connection is gone: nobody waits for anything that goes there. Returns what it has
        not taken, or may not have."""
        self.acknowledged = sys.maxsize
        self.gone = True
        self.asks.clear()
        self.wake()
        name, reason = self.connection.name, "the actor of the connection is gone"
        given = [stanza for sent in self.unsure for stanza in sent.stanzas]
        waiting = [stanza for _, stanzas in self.outflow.waiting for stanza in stanzas]
        self.unsure.clear()
        self.outflow.waiting.clear()
        return [
            *(SendFailed(name, stanza, reason, True) for stanza in given),
            *(SendFailed(name, stanza, reason, False) for stanza in waiting),
        ]

    def suspect_all(self) -> None:
        """There is a new router. What it gives again, of what is being handled or was, is in
        `seen`, and so among the numbers up to `suspect`."""
        self.seen = {*self.running, *self.recent}
        self.seen.update(number for sent in self.unsure for number in sent.handled)
        self.seen.update(number for number, _ in self.outflow.waiting if number is not None)
        self.suspect = max(self.seen, default=0)


def _weight(entry: tuple[int | None, Sequence[Stanza]]) -> int:
    return sum([len(stanza.to_bytes()) for stanza in entry[1]])


def writable(stanzas: Sequence[Stanza]) -> Sequence[Stanza]:
    """The stanzas, each with its bytes made: what can't be written is the fault of the action, and
    must not become that of the connection. Raises LocalProtocolError."""
    for stanza in stanzas:
        size = len(stanza.to_bytes())
        if size > BATCH_BYTES:
            raise LocalProtocolError(f"a stanza of {size} bytes is too large to be sent")
    return stanzas
