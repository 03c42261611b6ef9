"""The dates and times of XMPP (XEP-0082), which are those of XML Schema with years of four digits.

All of them raise ValueError for what is none. Digits beyond microseconds are dropped.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Final

_DATE: Final = r"(\d{4})-(\d\d)-(\d\d)"
# Digits of the fraction are bounded: peers write them.
_TIME: Final = r"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,30}))?"
_ZONE: Final = r"(?:Z|([+-])(\d\d):(\d\d))"

_is_date: Final = re.compile(_DATE, re.ASCII).fullmatch
_is_time: Final = re.compile(rf"{_TIME}(Z|[+-]\d\d:\d\d)?", re.ASCII).fullmatch
_is_zone: Final = re.compile(_ZONE, re.ASCII).fullmatch
_is_datetime: Final = re.compile(f"{_DATE}T{_TIME}{_ZONE}", re.ASCII).fullmatch


def format_datetime(moment: datetime) -> str:
    """The DateTime profile (§3.2), in UTC. ValueError for a moment without time zone."""
    if moment.tzinfo is None:
        raise ValueError("a moment without time zone says nothing to others")
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    return f"{text}Z"


def parse_datetime(text: str) -> datetime:
    """The moment that the text is in the DateTime profile (§3.2), in the zone that it names."""
    found = _is_datetime(text)
    if found is None:
        raise ValueError(f"not a date of XEP-0082: {text!r:.80}")
    year, month, day, hour, minute, second = map(int, found.group(1, 2, 3, 4, 5, 6))
    micros, zone = _microseconds(found[7]), _zone(found[8], found[9], found[10])
    return datetime(year, month, day, hour, minute, second, micros, zone)


def format_date(day: date) -> str:
    """The Date profile (§3.1)."""
    return f"{day.year:04}-{day.month:02}-{day.day:02}"


def parse_date(text: str) -> date:
    """The day that the text is in the Date profile (§3.1)."""
    found = _is_date(text)
    if found is None:
        raise ValueError(f"not a day of XEP-0082: {text!r:.80}")
    return date(*map(int, found.groups()))


def format_time(clock: time) -> str:
    """The Time profile (§3.3), with the zone if the time has one of whole minutes."""
    text = clock.replace(tzinfo=None).isoformat()
    offset = clock.utcoffset()
    if offset is None:
        return text
    minutes, rest = divmod(offset, timedelta(minutes=1))
    if rest:
        raise ValueError(f"XEP-0082 has no time zone of {offset}")
    if not minutes:
        return f"{text}Z"
    return f"{text}{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def parse_time(text: str) -> time:
    """The time of day that the text is in the Time profile (§3.3); its zone where it names one."""
    found = _is_time(text)
    if found is None:
        raise ValueError(f"not a time of XEP-0082: {text!r:.80}")
    zone = _is_zone(found[5]) if found[5] else None
    hour, minute, second = map(int, found.group(1, 2, 3))
    return time(
        hour,
        minute,
        second,
        _microseconds(found[4]),
        None if zone is None else _zone(*zone.groups()),
    )


def _microseconds(fraction: str | None) -> int:
    return int((fraction or "0")[:6].ljust(6, "0"))


def _zone(sign: str | None, hours: str, minutes: str) -> tzinfo:
    if sign is None:
        return UTC
    if int(hours) > 14 or int(minutes) > 59:  # XML Schema part 2 §3.2.7.3
        raise ValueError(f"not a time zone: {sign}{hours}:{minutes}")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if sign == "-" else offset)
