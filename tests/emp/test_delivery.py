"""emp.delivery: what is sent again, what is reported, what is over."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from emp.config import ConnectionKind
from emp.delivery import IN_DOUBT, PRESENCE_OVER, UNANSWERED, undeliverable
from emp.jid import JID
from emp.stanza import Stanza
from emp.stream.management import Management, Unsent
from emp.xep.delay import Delay, delay_of

NOW = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)
OWN = JID.parse("bot@im.test")

CHAT = "<message to='a@b' type='chat'><body>hi</body></message>"
BOUNCE = "<message to='a@b' type='error'><error type='cancel'/></message>"
GET = "<iq to='a@b' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"
RESULT = "<iq to='a@b' type='result' id='1'/>"
REFUSAL = "<iq to='a@b' type='error' id='1'><error type='cancel'/></iq>"
SHOWN = "<presence><show>away</show></presence>"
GONE = "<presence type='unavailable'/>"
JOIN = "<presence to='room@b/nick'/>"
LEAVE = "<presence to='room@b/nick' type='unavailable'/>"
SUBSCRIBE = "<presence to='a@b' type='subscribe'/>"
SUBSCRIBED = "<presence to='a@b' type='subscribed'/>"
PROBE = "<presence to='a@b' type='probe'/>"


def fate(wire: str, certain: bool, kind: ConnectionKind) -> str:
    """again, late (with a delay), dropped, or the reason that the sender hears."""
    unsent = Unsent(7, Stanza.parse(wire.encode()), certain)
    again, failed = undeliverable([unsent], NOW, OWN, kind)
    if failed:
        assert again == []
        ((same, reason),) = failed
        assert same is unsent
        return reason
    if not again:
        return "dropped"
    (stanza,) = again
    delay = delay_of(stanza)
    assert delay in (None, Delay(NOW, OWN))
    return "again" if delay is None else "late"


@pytest.mark.parametrize(
    ("wire", "certain", "doubtful", "component"),
    [
        (CHAT, "late", IN_DOUBT, IN_DOUBT),
        (BOUNCE, "again", IN_DOUBT, IN_DOUBT),
        (GET, UNANSWERED, UNANSWERED, UNANSWERED),
        (RESULT, "again", "again", "again"),
        (REFUSAL, "again", "again", "again"),
        (SHOWN, "dropped", "dropped", "again"),
        (GONE, "dropped", "dropped", "again"),
        (JOIN, PRESENCE_OVER, PRESENCE_OVER, "again"),
        (LEAVE, "dropped", "dropped", "again"),
        (SUBSCRIBE, "late", "late", "late"),
        (SUBSCRIBED, "late", "late", "late"),
        (PROBE, "dropped", "dropped", "again"),
    ],
)
def test_fates(wire: str, certain: str, doubtful: str, component: str) -> None:
    assert fate(wire, True, "client") == certain
    assert fate(wire, False, "client") == doubtful
    assert fate(wire, False, "component") == component


def test_order_is_kept() -> None:
    books = Management()
    wires = [CHAT, GET, RESULT, SUBSCRIBE, CHAT.replace("hi", "ho")]
    books.record([Stanza.parse(wire.encode()) for wire in wires])
    books.abandon(certain=True)
    again, failed = undeliverable(books.take_lost(), NOW, OWN, "client")
    assert [stanza.kind for stanza in again] == ["message", "iq", "presence", "message"]
    assert [unsent.number for unsent, _ in failed] == [2]


def test_the_original_is_left_as_it_was() -> None:
    original = Stanza.parse(CHAT.encode())
    (again,), _ = undeliverable([Unsent(1, original, True)], NOW, OWN, "client")
    assert delay_of(original) is None
    assert again.to_bytes().startswith(b'<message to="a@b" type="chat"><body>hi</body><delay')


def test_the_first_delay_stays() -> None:
    stamp = "<delay xmlns='urn:xmpp:delay' stamp='2002-09-10T23:08:25Z'/></message>"
    original = Stanza.parse(CHAT.replace("</message>", stamp).encode())
    (again,), _ = undeliverable([Unsent(1, original, True)], NOW, OWN, "client")
    assert again.to_bytes().count(b"<delay") == 1
    assert delay_of(again) == Delay(datetime(2002, 9, 10, 23, 8, 25, tzinfo=UTC))
