"""Roster versions of the development server (RFC 6121 §2.6)."""

import pytest

from emp import ns
from emp.devserver import roster
from emp.devserver.roster import Log
from emp.jid import JID
from emp.stanza import Iq, Stanza
from emp.xml import E
from tests.emp.devserver.world import JULIET, ROMEO, World

A, B, C = (JID.parse(f"{name}@im.test") for name in "abc")


def get(world: World, ver: str | None, jid: str = ROMEO) -> list[Stanza]:
    world.send(jid, Iq("get", E.query(xmlns=ns.ROSTER, ver=ver)))
    return world.take(jid)


def change(world: World, contact: JID, subscription: str | None = None, name: str = "") -> None:
    item = E.item(jid=contact, subscription=subscription, name=name or None)
    world.send(ROMEO, Iq("set", E.query(item, xmlns=ns.ROSTER)))


def ver_of(stanza: Stanza) -> str | None:
    return None if stanza.payload is None else stanza.payload.get("ver")


def items_of(stanza: Stanza) -> list[tuple[str | None, str | None]]:
    assert stanza.payload is not None
    return [(item.get("jid"), item.get("subscription")) for item in stanza.payload]


def test_the_whole_roster_then_what_has_changed(world: World) -> None:
    world.connect(ROMEO)
    for contact in (A, B):
        change(world, contact)
    world.take(ROMEO)
    (result,) = get(world, "")
    assert items_of(result) == [(str(A), "none"), (str(B), "none")]
    ver = ver_of(result)
    assert ver
    (same,) = get(world, ver)
    assert (same.type, same.payload) == ("result", None)
    change(world, A, "remove")
    change(world, C)
    change(world, B, name="Bee")
    pushed = [each for each in world.take(ROMEO) if each.type == "set"]
    assert all(ver_of(each) for each in pushed)
    same, *delta = get(world, ver)
    assert (same.type, same.payload) == ("result", None)
    assert [items_of(each) for each in delta] == [
        [(str(A), "remove")],
        [(str(C), "none")],
        [(str(B), "none")],
    ]
    assert [ver_of(each) for each in delta] == [ver_of(each) for each in pushed]
    (same,) = get(world, ver_of(delta[-1]))
    assert same.payload is None
    assert len(get(world, ver_of(delta[0]))) == 3


def test_who_knows_no_versions_is_told_none(world: World) -> None:
    world.connect(ROMEO)
    (result,) = get(world, None)
    assert ver_of(result) is None
    assert result.payload is not None
    change(world, A)
    assert [ver_of(each) for each in world.take(ROMEO) if each.type == "set"] == [None]


@pytest.mark.parametrize(
    "ver", ["x", "1", "-1", "{run}-99", "{run}-", "{run}--1", "other-0", "{run}-²"]
)
def test_versions_that_nobody_knows_get_everything(world: World, ver: str) -> None:
    world.connect(ROMEO)
    change(world, A)
    world.take(ROMEO)
    run = world.hub.accounts["romeo"].log.ver.partition("-")[0]
    (result,) = get(world, ver.format(run=run))
    assert items_of(result) == [(str(A), "none")]


def test_rosters_have_versions_of_their_own(world: World) -> None:
    world.connect(ROMEO)
    world.connect(JULIET)
    (mine,) = get(world, "")
    (hers,) = get(world, ver_of(mine), JULIET)
    assert hers.payload is not None


def test_the_log_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster, "ROSTER_ITEMS", 2)
    log = Log()
    versions = [log.ver]
    for contact in (A, B, A, C):
        log.note(contact)
        versions.append(log.ver)
    assert [jid for jid, _ in log.since(versions[2]) or ()] == [A, C]
    assert log.since(versions[1]) is None  # what B did is forgotten
    assert log.since(versions[-1]) == []
