"""XEP-0082: dates and times."""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emp.xep.timestamps import (
    format_date,
    format_datetime,
    format_time,
    parse_date,
    parse_datetime,
    parse_time,
)

MOON = datetime(1969, 7, 21, 2, 56, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1969-07-21T02:56:15Z", MOON),  # XEP-0082 §3.2
        ("1969-07-20T21:56:15-05:00", MOON),
        ("1969-07-21T02:56:15+00:00", MOON),
        ("1969-07-21T02:56:15.5Z", MOON + timedelta(microseconds=500_000)),
        ("1969-07-21T02:56:15.123456789Z", MOON + timedelta(microseconds=123_456)),
        ("1969-07-21T08:26:15+05:30", MOON),
    ],
)
def test_dates(text: str, moment: datetime) -> None:
    assert parse_datetime(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "19690721T02:56:15",  # XEP-0091
        "1969-07-21T02:56:15",  # no zone
        "1969-07-21 02:56:15Z",
        "1969-07-21T02:56Z",
        "1969-07-21T02:56:15.Z",
        "1969-07-21T02:56:15.5",
        "1969-7-21T02:56:15Z",
        "1969-02-30T02:56:15Z",
        "1969-07-21T24:56:15Z",
        "1969-07-21T02:56:60Z",
        "1969-07-21T02:56:15+99:00",
        "1969-07-21T02:56:15+05:60",
        "1969-07-21T02:56:15z",
        "0000-07-21T02:56:15Z",
        "-1969-07-21T02:56:15Z",
        "1969-07-21T02:56:15Z\n",
        "１９６９-07-21T02:56:15Z",
        "1969-07-21T02:56:15." + "9" * 100_000 + "Z",
    ],
)
def test_no_dates(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it is what is documented
        parse_datetime(text)


def test_written_in_utc() -> None:
    assert format_datetime(MOON) == "1969-07-21T02:56:15Z"
    new_york = timezone(timedelta(hours=-5))
    assert format_datetime(MOON.astimezone(new_york)) == "1969-07-21T02:56:15Z"
    with pytest.raises(ValueError, match="zone"):
        format_datetime(datetime(1969, 7, 21))


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_is_written_is_read(moment: datetime) -> None:
    assert parse_datetime(format_datetime(moment)) == moment


@given(st.text(alphabet="0123456789-:.TZ+ ", max_size=40))
def test_any_text_is_read_or_a_value_error(text: str) -> None:
    for parse in (parse_datetime, parse_date, parse_time):
        with contextlib.suppress(ValueError):
            parse(text)


@pytest.mark.parametrize(
    ("text", "day"),
    [("1776-07-04", date(1776, 7, 4)), ("2024-02-29", date(2024, 2, 29)), ("0001-01-01", date.min)],
)
def test_days(text: str, day: date) -> None:
    assert parse_date(text) == day
    assert format_date(day) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2023-02-29",
        "1776-7-4",
        "17760704",
        "1776-07-04Z",
        "0000-01-01",
        "1776-07-04\n",
        "-1776-07-04",
    ],
)
def test_no_days(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it is what is documented
        parse_date(text)


EAST = timezone(timedelta(hours=5, minutes=30))
WEST = timezone(-timedelta(hours=3, minutes=30))


@pytest.mark.parametrize(
    ("text", "clock"),
    [
        ("16:00:00", time(16)),  # XEP-0082 §3.3
        ("16:00:00Z", time(16, tzinfo=UTC)),
        ("16:00:00+05:30", time(16, tzinfo=EAST)),
        ("16:00:00-03:30", time(16, tzinfo=WEST)),
        ("16:00:00.000250", time(16, 0, 0, 250)),
    ],
)
def test_times(text: str, clock: time) -> None:
    assert parse_time(text) == clock
    assert parse_time(text).utcoffset() == clock.utcoffset()
    assert format_time(clock) == text


@pytest.mark.parametrize(
    "text",
    ["", "16:00", "24:00:00", "16:00:60", "4:00:00", "16:00:00z", "16:00:00.", "16:00:00+15:00"],
)
def test_no_times(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it is what is documented
        parse_time(text)


def test_a_zone_that_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        format_time(time(16, tzinfo=timezone(timedelta(seconds=7))))


zones: st.SearchStrategy[Any] = st.none() | st.integers(-14 * 60, 14 * 60).map(
    lambda minutes: timezone(timedelta(minutes=minutes))
)


@given(st.times(timezones=zones), st.dates())
def test_times_and_days_that_are_written_are_read(clock: time, day: date) -> None:
    found = parse_time(format_time(clock))
    assert (found.replace(tzinfo=None), found.utcoffset()) == (
        clock.replace(tzinfo=None),
        clock.utcoffset(),
    )
    assert parse_date(format_date(day)) == day
