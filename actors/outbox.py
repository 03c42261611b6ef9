"""What a connection is to send: kept while there is no stream, and whose each stanza is.

`emp.stream.management.Management` knows which stanzas the server has got, by number; here is who
sent them, so that whoever sent one that is lost can be told. Plain objects, no actor.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final, NamedTuple

from actors.flow import BATCH, BATCH_BYTES, WINDOW
from actors.messages import Ref
from emp.config import ConnectionSettings
from emp.delivery import undeliverable
from emp.jid import JID
from emp.stanza import Stanza
from emp.stream.management import Unsent

OFFLINE_STANZAS = 2 * WINDOW * BATCH
"""Outgoing stanzas kept while there is no stream: what two busy components have on the way to us
when the stream is lost, and are not given the credit for before it is back. The oldest beyond that
are given back."""

TRIES: Final = 5
"""Sessions in which a stanza is written before it is given back. A stanza for which the server ends
the stream would end every one."""


class Outgoing(NamedTuple):
    """A stanza and the actor that sent it; None for the connection itself."""

    stanza: Stanza
    sender: Ref | None


class Failure(NamedTuple):
    """What did not reach the server, or may not have."""

    item: Outgoing
    reason: str
    uncertain: bool


class Outbox:
    """The outgoing books of one connection."""

    __slots__ = ("_senders", "_tries", "offline")

    def __init__(self) -> None:
        self.offline: deque[Outgoing] = deque()
        self._senders: deque[tuple[int, Ref | None]] = deque()  # (last number, who), ascending
        # id() → what is sent again, how often it was, and whether the server may have it already.
        self._tries: dict[int, tuple[Stanza, int, bool]] = {}

    def written(self, upto: int, sender: Ref | None, acknowledged: int) -> None:
        """`sender` sent what was written last, up to the number `upto`. Numbers that are
        `acknowledged` are asked for no more."""
        senders = self._senders
        while senders and senders[0][0] <= acknowledged:
            senders.popleft()
        # Hot path: a sender that goes on sending makes no new entry.
        if senders and _same(senders[-1][1], sender):
            senders[-1] = (upto, sender)
        else:
            senders.append((upto, sender))

    def sender_of(self, number: int) -> Ref | None:
        """Who sent the stanza with that number, if it is not acknowledged."""
        return next((sender for upto, sender in self._senders if number <= upto), None)

    def keep(self, stanzas: Iterable[Stanza], sender: Ref | None) -> list[Outgoing]:
        """Keep for the next stream; returns those for which there is no room any more."""
        self.offline.extend(Outgoing(stanza, sender) for stanza in stanzas)
        excess = len(self.offline) - OFFLINE_STANZAS
        return [self.offline.popleft() for _ in range(excess)]

    def recover(
        self, lost: Iterable[Unsent], settings: ConnectionSettings, now: datetime
    ) -> list[Failure]:
        """A session is over. What may be sent again is kept, before all that is kept already;
        returns what has to be reported."""
        own, kind = JID.parse(settings.address), settings.kind
        kept, known = list(self.offline), self._tries
        keys = [id(each.stanza) for each in kept]
        self._tries = {key: known[key] for key in keys if key in known}
        self.offline.clear()
        reports = []
        for unsent in lost:
            sender, written = self.sender_of(unsent.number), unsent.stanza
            if sender is None and written.is_request:
                continue  # who asked has heard of it
            _, tries, doubtful = known.get(id(written), (written, 1, False))
            if not unsent.certain:
                doubtful = True
            again, failed = undeliverable((unsent,), now, own, kind)
            for stanza in again:
                item = Outgoing(stanza, sender)
                if tries < TRIES:
                    self._tries[id(stanza)] = stanza, tries + 1, doubtful
                    self.offline.append(item)
                else:
                    reason = f"{TRIES} connections were lost with it"
                    reports.append(Failure(item, reason, doubtful))
            for _, reason in failed:
                reports.append(Failure(Outgoing(written, sender), reason, doubtful))
        self.offline.extend(kept)
        return reports

    def in_doubt(self, stanza: Stanza) -> bool:
        """Whether it is to be sent once more, and the server may have it from the first time."""
        known = self._tries.get(id(stanza))
        return known is not None and known[2]

    def take_offline(self) -> list[Outgoing]:
        """What was kept, in order."""
        kept = list(self.offline)
        self.offline.clear()
        return kept


def runs(items: Iterable[Outgoing]) -> Iterator[tuple[Ref | None, list[Stanza]]]:
    """The stanzas in order, those of one sender in a row together, as far as they fit into one
    message to an actor."""
    group: list[Stanza] = []
    whose: Ref | None = None
    size = 0
    for stanza, sender in items:
        weight = len(stanza.to_bytes())
        full = size + weight > BATCH_BYTES or len(group) >= OFFLINE_STANZAS
        if group and (full or not _same(whose, sender)):
            yield whose, group
            group, size = [], 0
        whose = sender
        group.append(stanza)
        size += weight
    if group:
        yield whose, group


def _same(one: Ref | None, other: Ref | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.incarnation == other.incarnation
