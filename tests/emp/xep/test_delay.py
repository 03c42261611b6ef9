"""XEP-0082 dates and XEP-0203 delays."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emp.jid import JID
from emp.stanza import Message
from emp.xep.delay import Delay, delay_of, format_datetime, parse_datetime
from emp.xml import E, parse

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
def test_any_text_is_a_date_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_datetime(text).tzinfo is not None


def test_a_delay_there_and_back() -> None:
    delay = Delay(MOON, JID.parse("capulet.com"), "Offline Storage")
    stanza = Message("a@b", "hi", delay)
    assert delay_of(stanza) == delay
    assert b'stamp="1969-07-21T02:56:15Z"' in stanza.to_bytes()


@pytest.mark.parametrize(
    "xml",
    [
        "<delay xmlns='urn:xmpp:delay'/>",
        "<delay xmlns='urn:xmpp:delay' stamp='yesterday'/>",
        "<delay xmlns='urn:xmpp:delay' stamp='1969-07-21T02:56:15Z' from='@@'/>",
        "<delay xmlns='urn:other' stamp='1969-07-21T02:56:15Z'/>",
        "<x xmlns='urn:x'><delay xmlns='urn:xmpp:delay' stamp='1969-07-21T02:56:15Z'/></x>",
    ],
)
def test_what_cannot_be_understood_is_none(xml: str) -> None:
    assert delay_of(Message("a@b", "hi", parse(xml))) is None


def test_nonsense_does_not_hide_what_makes_sense() -> None:
    bad = E.delay(xmlns="urn:xmpp:delay", stamp="yesterday")
    assert delay_of(Message("a@b", None, bad, Delay(MOON))) == Delay(MOON)
