"""Which stanzas the other side has, and which of its own we have handled: the books of XEP-0198.

One `Management` belongs to one connection and outlives its streams. Stanzas have numbers from 1 in
each direction that are never reset; `h` of the wire counts from where the present session began,
modulo 2³². Streams without XEP-0198 use the outgoing half too: what a ping that came back proves
counts as an acknowledgement, so that whatever a dead connection swallowed can be named.

No XML and no I/O here: the stanza feature emp.stream.features.sm speaks the protocol.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from emp.errors import RemoteProtocolError
from emp.jid import JID
from emp.stanza import Stanza

MODULUS: Final = 2**32
"""XEP-0198 §4: h wraps around."""

UNACKNOWLEDGED: Final = 4096
"""Stanzas kept until the other side has acknowledged them. With XEP-0198 the sender has to wait at
this bound; without it the oldest are forgotten, for nobody promised to acknowledge them."""


@dataclass(frozen=True, slots=True)
class Unsent:
    """A stanza that was written, and whose arrival was not acknowledged before its session ended.

    number: as counted by `Management.sent`. certain: the other side said that it has not got it;
    else it may have, and only its acknowledgement was lost.
    """

    number: int
    stanza: Stanza
    certain: bool


class Management:
    """The books of one connection. RemoteProtocolError where the peer's counts are impossible."""

    __slots__ = (
        "_handled_base",
        "_reported",
        "_sent_base",
        "_told",
        "acknowledged",
        "active",
        "forgotten",
        "generation",
        "handled",
        "id",
        "jid",
        "location",
        "lost",
        "max_seconds",
        "origin",
        "received",
        "sent",
        "unacknowledged",
    )

    def __init__(self) -> None:
        self.active = False  # acknowledgements of XEP-0198 flow on the present stream
        self.id: str | None = None  # of a session that can be resumed
        self.jid: JID | None = None  # whose session it is, or was
        self.location: str | None = None  # where the server wants it to be resumed
        self.max_seconds: int | None = None  # how long the server keeps it
        self.sent = 0  # number of the last stanza that was written
        self.acknowledged = 0  # … and of the last that the other side has
        self.unacknowledged: deque[Stanza] = deque()
        self.forgotten = 0  # written, neither acknowledged nor kept
        self.lost: list[Unsent] = []  # of sessions that are over; see take_lost()
        self.received = 0  # number of the last stanza that was reported to our caller
        self.handled = 0  # all up to this number are handled
        # After a resumption the peer sends again what it was not told to be handled, although we
        # may have it already: those get the numbers that they had. Our caller sees by a change of
        # `generation` that the next stanza reported to it has the number `origin` + 1.
        self.generation = 0
        self.origin = 0
        self._told = 0
        self._reported = 0  # the highest number that was ever received
        self._sent_base = 0
        self._handled_base = 0

    @property
    def full(self) -> bool:
        """Whether senders have to wait for acknowledgements."""
        return self.active and len(self.unacknowledged) >= UNACKNOWLEDGED

    @property
    def h(self) -> int:
        """What to tell the peer: stanzas handled in this session, modulo 2³² (XEP-0198 §4)."""
        return max(0, self.handled - self._handled_base) % MODULUS

    @property
    def send_count(self) -> int:
        """The highest h that the peer can rightly say, modulo 2³²."""
        return (self.sent - self._sent_base) % MODULUS

    # -- what happens ------------------------------------------------------------------------

    def record(self, stanzas: Sequence[Stanza]) -> None:
        """These were written."""
        self.sent += len(stanzas)
        self.unacknowledged.extend(stanzas)
        if len(self.unacknowledged) > UNACKNOWLEDGED and not (self.active or self.id):
            excess = len(self.unacknowledged) - UNACKNOWLEDGED
            self._let_go(excess)
            self.forgotten += excess

    def enable(
        self, id: str | None, max_seconds: int | None, location: str | None, early: int = 0
    ) -> None:
        """A session begins. `early` stanzas from before it are still to be reported."""
        self.begin()
        self.count(id, max_seconds, location, early)

    def count(
        self, id: str | None, max_seconds: int | None, location: str | None, early: int = 0
    ) -> None:
        """The session that has begun is counted: the peer what we wrote since, we what comes."""
        self.active = True
        self.id, self.max_seconds, self.location = id, max_seconds, location
        self._handled_base = self.received + early

    def begin(self) -> None:
        """A new session: what comes is new, even if the last one ended while the peer was sending
        again what we had already."""
        self.abandon()
        self._sent_base = self.sent
        self.received = self.origin = max(self.received, self._reported)
        self.generation += 1

    def acknowledge(self, h: int) -> int:
        """The peer has handled `h` stanzas; returns how many that is more than before."""
        news = (h - (self.acknowledged - self._sent_base)) % MODULUS
        if news > len(self.unacknowledged):
            outstanding = len(self.unacknowledged)
            text = f"h={h} acknowledges {news} stanzas, {outstanding} are outstanding"
            raise RemoteProtocolError("undefined-condition", text)
        self.prove(self.acknowledged + news)
        return news

    def prove(self, number: int) -> None:
        """All up to `number` have arrived."""
        self._let_go(number - self.acknowledged)

    def _let_go(self, count: int) -> None:
        """Of the oldest; none if the count is negative. One call for each, so no more than that."""
        popleft = self.unacknowledged.popleft
        for _ in range(count):
            popleft()
        if count > 0:
            self.acknowledged += count

    def ask_to_resume(self) -> int:
        """The h for <resume/>: what comes after it will be sent again."""
        self._told = self.handled
        return self.h

    def resume(self, h: int) -> list[Stanza]:
        """The session goes on; returns what has to be written once more, in order."""
        self.acknowledge(h)
        self.active = True
        self._reported = max(self._reported, self.received)
        self.received = self.origin = self._told
        self.generation += 1
        return list(self.unacknowledged)

    def interrupt(self) -> None:
        """The stream is gone; a session that can be resumed stays."""
        self.active = False
        if self.id is None:
            self.abandon()

    def abandon(self, *, certain: bool = False) -> None:
        """The session cannot be resumed: what is not acknowledged is lost, see take_lost()."""
        self.active = False
        self.id = self.location = self.max_seconds = None
        first = self.acknowledged + 1
        self.lost += [
            Unsent(number, stanza, certain)
            for number, stanza in enumerate(self.unacknowledged, first)
        ]
        self.unacknowledged.clear()
        self.acknowledged = self.sent

    def take_lost(self) -> list[Unsent]:
        """What sessions that are over have not delivered, oldest first; each is returned once."""
        lost, self.lost = self.lost, []
        return lost
