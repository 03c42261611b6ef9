"""What becomes of stanzas whose delivery is in doubt, because their session ended unacknowledged.

Sent again is what the other side certainly has not got, and what does no harm when it comes twice.
The rest goes back to its sender, who alone can know whether twice or never is worse. A message of
type error is among the rest: people see it, and where it answers a room it ends our stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import Enum, auto
from typing import Final

from emp.config import ConnectionKind
from emp.jid import JID
from emp.stanza import Stanza
from emp.stream.management import Unsent
from emp.view import tree_of
from emp.xep.delay import DELAY, Delay

IN_DOUBT: Final = "the connection was lost, and the other side may have it or not"
UNANSWERED: Final = "the connection was lost before the answer came"
PRESENCE_OVER: Final = "the connection was lost, and with it whatever presence it had shown"


class _Fate(Enum):
    """What to do with a stanza."""

    AGAIN = auto()  # send it once more
    LATE = auto()  # … and say when it was sent
    REPORT = auto()
    DROP = auto()


_SUBSCRIPTION: Final = frozenset({"subscribe", "subscribed", "unsubscribe", "unsubscribed"})


def undeliverable(
    unsent: Iterable[Unsent], now: datetime, own: JID, kind: ConnectionKind
) -> tuple[list[Stanza], list[tuple[Unsent, str]]]:
    """Sorts the stanzas of a session that is over: those to send again, in order, and those to
    report to their senders, each with the reason.

    unsent: as Management.take_lost() gives them; now: with time zone, for XEP-0203; own: our JID.
    What was about presence that ended with the session is in neither list.
    """
    again: list[Stanza] = []
    failed: list[tuple[Unsent, str]] = []
    for each in unsent:
        fate, reason = _fate(each, kind)
        if fate is _Fate.AGAIN:
            again.append(each.stanza)
        elif fate is _Fate.LATE:
            again.append(_stamped(each.stanza, Delay(now, own)))
        elif fate is _Fate.REPORT:
            failed.append((each, reason))
    return again, failed


def _fate(unsent: Unsent, kind: ConnectionKind) -> tuple[_Fate, str]:
    stanza = unsent.stanza
    if stanza.is_request:
        return _Fate.REPORT, UNANSWERED  # whoever asked was told that already
    if stanza.kind == "iq":
        return _Fate.AGAIN, ""  # an answer: the second one meets nobody who waits for it
    if stanza.kind == "presence":
        return _presence(stanza, kind)
    if not unsent.certain:
        return _Fate.REPORT, IN_DOUBT
    return (_Fate.AGAIN if stanza.type == "error" else _Fate.LATE), ""


def _presence(stanza: Stanza, kind: ConnectionKind) -> tuple[_Fate, str]:
    if stanza.type in _SUBSCRIPTION:
        return _Fate.LATE, ""  # RFC 6121 §3: a state that is set twice is the same state
    if kind == "component":
        return _Fate.AGAIN, ""  # likewise; XEP-0114 servers end nobody's presence with a stream
    if stanza.type == "available" and stanza.to_text is not None:
        return _Fate.REPORT, PRESENCE_OVER  # in a room, say: joining again is not for us to decide
    return _Fate.DROP, ""  # the server has ended it, and the next session sends its own


def _stamped(stanza: Stanza, delay: Delay) -> Stanza:
    """A copy with a delay, unless it has one: the first one knows best when it was sent."""
    if tree_of(stanza).find(DELAY) is not None:
        return stanza
    twin = Stanza.parse(stanza.to_bytes())
    twin.tree.append(delay.to_xml())
    return twin
