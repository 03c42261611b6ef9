"""Delayed delivery (XEP-0203)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from emp import ns
from emp.errors import JIDError
from emp.jid import JID
from emp.stanza import Stanza
from emp.view import tree_of
from emp.xep.timestamps import format_datetime, parse_datetime
from emp.xml import Element, build

DELAY: Final = f"{{{ns.DELAY}}}delay"


@dataclass(frozen=True, slots=True)
class Delay:
    """When a stanza was sent, if it took its time. `from_`: who kept it, as far as that is known.

    Anyone can claim a delay (XEP-0203 §8): it is for showing, not for deciding.
    """

    stamp: datetime
    from_: JID | None = None
    reason: str | None = None

    def to_xml(self) -> Element:
        """The element. ValueError for a stamp without time zone."""
        stamp = format_datetime(self.stamp)
        return build(DELAY, self.reason, {"from": self.from_, "stamp": stamp})


def delay_of(stanza: Stanza) -> Delay | None:
    """The first delay of the stanza that can be understood, else None."""
    return first_delay(tree_of(stanza))


def first_delay(parent: Element) -> Delay | None:
    """The first <delay/> among the children that can be understood, else None."""
    for child in parent.iterchildren(DELAY):
        try:
            stamp = parse_datetime(child.get("stamp") or "")
            sender = child.get("from")
            return Delay(stamp, JID.received(sender) if sender else None, child.text or None)
        except (ValueError, JIDError):
            continue
    return None
