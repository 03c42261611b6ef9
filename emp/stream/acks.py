"""Who asks whom what arrived, on one stream: acknowledgements of XEP-0198 §4, or pings.

The books are emp.stream.management and outlive the stream; what is here ends with it: which
questions are open, and which answers are due. Where there is no XEP-0198, a ping that comes back
(XEP-0199) proves that everything before it was taken: streams are worked off in order. A component
pings itself, for its server has to route that back to it; a client pings its server.

All of it costs a few operations per batch. Per stanza there is one append and one popleft, and
a look at its kind while a ping is out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from emp import ns
from emp.errors import JIDError
from emp.jid import JID
from emp.stanza import Stanza, make_id
from emp.stream.management import Management
from emp.xml import escape

ASK_AFTER: Final = 32
"""Stanzas written since the last question, from which on we ask again: an answer costs both sides
some 10 µs, and whoever sends without a pause asks once per round trip anyway."""

ASK_BYTES: Final = 32_768
"""Bytes written since the last question, from which on we ask again although it is open. Stock
servers read 3,000 (ejabberd) or 10,000 (Prosody) bytes a second of a client, and a question behind
all that we have would be answered after minutes: silence, for which they would be taken for gone.
So there is an answer every eleven seconds, and `ping_timeout` is twenty."""

PING_AFTER: Final = 512
"""The same without XEP-0198: a ping goes through the server's whole routing."""

TELL_AFTER: Final = 100
"""Stanzas handled that were not acknowledged, from which on we do so unasked: some servers never
ask, and all of them hold what is not acknowledged in memory."""

PINGS: Final = 8
"""Pings that may be without an answer; the oldest beyond that are forgotten. There is more than one
only where a server ignores them."""

_REQUEST: Final = f"<r xmlns='{ns.SM}'/>"


class Acks:
    """Speaks for one stream.

    queue: takes XML for the peer. ping: the domain to ask where there is no XEP-0198, "" for none.
    own: what to write into `from` of pings. prompt: our caller has handled what is reported to it
    before it calls the stream again.
    """

    __slots__ = (
        "_asked",
        "_asked_for",
        "_behind",
        "_hushed",
        "_owed",
        "_own",
        "_ping",
        "_pings",
        "_prompt",
        "_queue",
        "_told",
        "_unheard",
        "enabling",
        "management",
    )

    def __init__(
        self,
        management: Management,
        queue: Callable[[str], None],
        *,
        ping: str = "",
        own: str = "",
        prompt: bool = False,
    ) -> None:
        self.adopt(management)
        self._queue = queue
        self._ping, self._own = ping, own
        self._prompt = prompt
        self._asked = False  # <r/> is out
        self._asked_for = 0  # number of the last stanza that was asked for
        self._behind = 0  # bytes written since then
        self._pings: dict[str, int] = {}  # id → number, in the order of asking
        self._hushed = self._unheard = False
        # <enable/> is without an answer: what would come back from a ping might count, or not.
        self.enabling = False
        self._owed = 0  # number up to which the peer asked before we had handled it; 0: nothing

    def adopt(self, management: Management) -> None:
        """The stream goes on with these books."""
        self.management = management
        self._told = management.handled  # number of the last stanza that we acknowledged

    # -- what we write -----------------------------------------------------------------------

    @property
    def requested(self) -> bool:
        """Whether a question is open."""
        return self._asked or bool(self._pings)

    @property
    def unasked(self) -> bool:
        """Whether something was written since the last question, and none is open."""
        management = self.management
        return management.sent > max(self._asked_for, management.acknowledged) and not (
            self._asked or self._pings
        )

    def wrote(self, stanzas: Sequence[Stanza], size: int) -> None:
        """These are on their way, in `size` bytes or so; asks for them when it is time."""
        if self.management.active or self._ping:
            self.management.record(stanzas)
            self._behind += size
            self._ask_when_due()

    def request(self) -> None:
        """Asks the peer what it has, whatever is open already. Nothing where nobody can say."""
        management = self.management
        if management.active:
            self._queue(_REQUEST)
            self._asked = True
        elif self._ping and not self.enabling:
            self._send_ping()
        self._asked_for, self._behind = management.sent, 0

    def answered(self, h: int) -> None:
        """<a h='…'/> came. RemoteProtocolError if the peer cannot have that many."""
        self.management.acknowledge(h)
        self._asked = False
        self._ask_when_due()

    def _ask_when_due(self) -> None:
        if self._asked and self._behind >= ASK_BYTES:
            self.request()
        if self._asked or self._pings or self.enabling:
            return
        management = self.management
        news = management.sent - max(self._asked_for, management.acknowledged)
        if news >= (ASK_AFTER if management.active else PING_AFTER):
            self.request()

    # -- what we read ------------------------------------------------------------------------

    def received(self, stanzas: list[Stanza]) -> list[Stanza]:
        """Counts what came in; returns it without answers to pings."""
        if self._pings:
            stanzas = [each for each in stanzas if each.kind != "iq" or not self._is_pong(each)]
        management = self.management
        management.received += len(stanzas)
        if self._prompt:
            management.handled = management.received
        return stanzas

    def skipped(self) -> None:
        """Counts a stanza that is not taken."""
        management = self.management
        management.received += 1
        if self._prompt:
            management.handled = management.received

    def asked(self) -> None:
        """<r/> came: answers with what is handled, and once more when the rest is."""
        if self._hushed:
            self._unheard = True
            return
        self._tell()
        management = self.management
        self._owed = management.received if management.handled < management.received else 0

    def hush(self, hushed: bool) -> None:
        """Whether our bytes do not leave: then one answer waits for all questions, for they would
        pile up with a peer that asks and never reads."""
        self._hushed = hushed
        if self._unheard and not hushed:
            self._unheard = False
            self.asked()

    def handled(self, number: int, *, writable: bool) -> None:
        """Our caller has handled all up to `number`; says so to the peer when that is due."""
        management = self.management
        if number <= management.handled:
            return
        management.handled = number
        if management.active and writable:
            due = number - self._told >= TELL_AFTER
            if due or number >= self._owed > 0:
                self._tell()

    def farewell(self) -> None:
        """Before our </stream:stream>: says what we have, and asks what the peer has."""
        management = self.management
        if management.active:
            if self._unheard or management.handled > self._told:
                self._unheard = False
                self._tell()
            if management.unacknowledged:
                self.request()

    def goodbye(self) -> None:
        """The peer has answered our </stream:stream> with its own: it has taken all before ours.

        With XEP-0198 it was asked, and knows better.
        """
        if not self.management.active:
            self.management.prove(self.management.sent)

    def _tell(self) -> None:
        management = self.management
        self._queue(f"<a xmlns='{ns.SM}' h='{management.h}'/>")
        self._told = management.handled
        if self._told >= self._owed:
            self._owed = 0

    # -- pings -------------------------------------------------------------------------------

    def _send_ping(self) -> None:
        id = make_id()
        self._pings[id] = self.management.sent
        if len(self._pings) > PINGS:
            del self._pings[next(iter(self._pings))]
        sender = f" from='{escape(self._own)}'" if self._own else ""
        self._queue(
            f"<iq type='get' id='{id}'{sender} to='{escape(self._ping)}'>"
            f"<ping xmlns='{ns.PING}'/></iq>"
        )

    def _is_pong(self, stanza: Stanza) -> bool:
        """Whether it is a ping of ours that came back, or the answer to one, whatever it says."""
        number = self._pings.get(stanza.id or "")
        if number is None or not self._is_from_the_pinged(stanza):
            return False
        # Older ones were overtaken, which cannot be: nobody answers them.
        self._pings = {id: other for id, other in self._pings.items() if other > number}
        self.management.prove(number)
        self._ask_when_due()
        return True

    def _is_from_the_pinged(self, stanza: Stanza) -> bool:
        if stanza.from_text is None:
            return not self._own  # RFC 6120 §8.1.2.1: a client's own server may leave it out
        try:
            return stanza.from_ == JID.parse(self._ping)
        except JIDError:
            return False
