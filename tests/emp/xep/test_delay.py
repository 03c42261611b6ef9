"""XEP-0203 delays."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from emp.jid import JID
from emp.stanza import Message
from emp.xep.delay import Delay, delay_of
from emp.xml import E, parse

MOON = datetime(1969, 7, 21, 2, 56, 15, tzinfo=UTC)


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
