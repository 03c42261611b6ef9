"""Delayed delivery (XEP-0203), and the dates of XMPP (XEP-0082)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from emp import ns
from emp.errors import JIDError
from emp.jid import JID
from emp.stanza import Stanza
from emp.xml import Element, build

DELAY: Final = f"{{{ns.DELAY}}}delay"

# XEP-0082 §3.2, DateTime profile. Digits of the fraction are bounded: peers write them.
_DATETIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,30}))?(?:Z|([+-])(\d\d):(\d\d))",
    re.ASCII,
).fullmatch


def format_datetime(moment: datetime) -> str:
    """The DateTime profile of XEP-0082, in UTC. ValueError for a moment without time zone."""
    if moment.tzinfo is None:
        raise ValueError("a moment without time zone says nothing to others")
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    return f"{text}Z"


def parse_datetime(text: str) -> datetime:
    """The moment that the text is in the DateTime profile of XEP-0082. ValueError if it is none.

    Digits beyond microseconds are dropped.
    """
    found = _DATETIME(text)
    if found is None:
        raise ValueError(f"not a date of XEP-0082: {text!r:.80}")
    *fields, fraction, sign, hours, minutes = found.groups()
    zone = UTC
    if sign is not None:
        if int(hours) > 14 or int(minutes) > 59:  # XML Schema part 2 §3.2.7.3
            raise ValueError(f"not a time zone: {text!r:.80}")
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        zone = timezone(-offset if sign == "-" else offset)
    microseconds = int((fraction or "0")[:6].ljust(6, "0"))
    year, month, day, hour, minute, second = map(int, fields)
    return datetime(year, month, day, hour, minute, second, microseconds, zone)


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
    return first_delay(stanza.tree)


def first_delay(parent: Element) -> Delay | None:
    """The first <delay/> among the children that can be understood, else None."""
    for child in parent.iterchildren(DELAY):
        try:
            stamp = parse_datetime(child.get("stamp") or "")
            sender = child.get("from")
            return Delay(stamp, JID.parse(sender) if sender else None, child.text or None)
        except (ValueError, JIDError):
            continue
    return None
