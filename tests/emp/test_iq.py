"""An answer counts only from the peer that was asked."""

import pytest

from emp import ns
from emp.errors import ItemNotFound, LocalProtocolError
from emp.iq import PendingIqs
from emp.jid import JID
from emp.stanza import Iq
from emp.xml import E

OWN = JID.parse("foo@localhost/hack")
DOMAIN = JID.parse("hack.localhost")


def pending(own: JID, to: str | None) -> PendingIqs[str]:
    iqs: PendingIqs[str] = PendingIqs()
    iqs.add(Iq("get", E.ping(xmlns=ns.PING), to=to, id="1"), own, "asker", 10.0)
    return iqs


@pytest.mark.parametrize(
    ("own", "to", "answering", "counts"),
    [
        (OWN, "bar@localhost/x", "bar@localhost/x", True),
        (OWN, "bar@localhost/x", "bar@localhost/y", False),
        (OWN, "bar@localhost/x", "bar@localhost", False),
        (OWN, "bar@localhost/x", None, False),
        (OWN, "BAR@localhost/x", "bar@localhost/x", True),
        (OWN, None, None, True),
        (OWN, None, "foo@localhost", True),
        (OWN, None, "foo@localhost/hack", True),
        (OWN, None, "localhost", True),
        (OWN, None, "bar@localhost", False),
        (OWN, "foo@localhost", None, True),
        (OWN, "foo@localhost", "foo@localhost", True),
        (OWN, "foo@localhost", "evil.test", False),
        (OWN, "localhost", None, True),
        (OWN, "localhost", "localhost", True),
        (DOMAIN, "localhost", "localhost", True),
        (DOMAIN, "localhost", None, False),
        (DOMAIN, "bar@localhost/x", "bar@localhost/x", True),
    ],
)
def test_who_may_answer(own: JID, to: str | None, answering: str | None, counts: bool) -> None:
    answer = Iq("result", from_=answering, id="1")
    assert pending(own, to).answered(answer) == ("asker" if counts else None)


def test_an_answer_counts_once() -> None:
    iqs = pending(OWN, "bar@localhost/x")
    answer = Iq("result", from_="bar@localhost/x", id="1")
    assert iqs.answered(answer) == "asker"
    assert iqs.answered(answer) is None


def test_a_wrong_answer_leaves_the_request_pending() -> None:
    iqs = pending(OWN, "bar@localhost/x")
    assert iqs.answered(Iq("result", from_="evil@localhost", id="1")) is None
    assert iqs.answered(Iq("result", from_="bar@localhost/x", id="2")) is None
    assert iqs.answered(Iq("error", ItemNotFound(), from_="bar@localhost/x", id="1")) == "asker"


ANN, HEART = "ann@hack.localhost", "♥@hack.localhost/\u3164"


@pytest.mark.parametrize(
    ("asked_by", "to", "counts"),
    [
        (ANN, ANN, True),
        (ANN, "Ann@hack.localhost", True),
        (ANN, "ann@hack.localhost/x", False),
        (ANN, "eve@hack.localhost", False),
        (ANN, None, False),
        (HEART, HEART, True),
        (HEART, "♥@hack.localhost", False),
        (None, "hack.localhost", True),
        (None, None, True),
    ],
)
def test_an_answer_is_addressed_to_who_asked(
    asked_by: str | None, to: str | None, counts: bool
) -> None:
    iqs: PendingIqs[str] = PendingIqs()
    peer = "bar@localhost/x"
    iq = Iq("get", E.ping(xmlns=ns.PING), to=peer, id="1", from_=asked_by)
    iqs.add(iq, DOMAIN, "asker", 10.0)
    answer = Iq("result", from_=peer, to=to, id="1")
    assert iqs.answered(answer) == ("asker" if counts else None)


def test_deadlines() -> None:
    iqs = pending(OWN, "bar@localhost/x")
    assert iqs.expired(9.9) == []
    assert iqs.expired(10.0) == ["asker"]
    assert len(iqs) == 0


def test_limits() -> None:
    iqs: PendingIqs[str] = PendingIqs(limit=1)
    iqs.add(Iq("get", E.ping(xmlns=ns.PING), id="1"), OWN, "a", 1.0)
    with pytest.raises(LocalProtocolError, match="without an answer"):
        iqs.add(Iq("get", E.ping(xmlns=ns.PING), id="2"), OWN, "b", 1.0)
    with pytest.raises(LocalProtocolError, match="pending already"):
        iqs.add(Iq("get", E.ping(xmlns=ns.PING), id="1"), OWN, "c", 1.0)
    assert iqs.clear() == ["a"]
