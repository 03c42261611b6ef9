"""RFC 6121 §2: items, versions, pushes."""

from __future__ import annotations

import pytest

from emp.errors import BadRequest, JidMalformed
from emp.jid import JID
from emp.stanza import Iq
from emp.xep import roster
from emp.xep.roster import Item, Roster
from emp.xml import Element, parse

JULIET, NURSE = JID.parse("juliet@example.com"), JID.parse("nurse@example.com")


def query(items: str = "", ver: str | None = None) -> Element:
    version = "" if ver is None else f" ver='{ver}'"
    return parse(f"<query xmlns='jabber:iq:roster'{version}>{items}</query>")


def item(xml: str) -> Element:
    return query(xml)[0]


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        ("<item jid='juliet@example.com'/>", Item(JULIET)),
        ("<item jid='Juliet@EXAMPLE.com' name=''/>", Item(JULIET)),
        (
            "<item jid='juliet@example.com' name='J' subscription='both' ask='subscribe'"
            " approved='true'><group>b</group><group>a</group><group/><group>a</group></item>",
            Item(JULIET, "J", ("a", "b"), "both", ask=True, approved=True),
        ),
        ("<item jid='juliet@example.com' approved='1'/>", Item(JULIET, approved=True)),
        ("<item jid='juliet@example.com' subscription='odd' ask='odd'/>", Item(JULIET)),
        ("<item jid='juliet@example.com' subscription=''/>", Item(JULIET)),
    ],
)
def test_items(xml: str, expected: Item) -> None:
    assert Item.parse(item(xml)) == expected
    assert Item.parse(parse(Iq("set", expected).to_bytes())[0]) == expected


@pytest.mark.parametrize("xml", ["<item/>", "<item jid=''/>", "<item jid='@@'/>"])
def test_items_without_address(xml: str) -> None:
    with pytest.raises(JidMalformed):
        Item.parse(item(xml))


def test_changes_are_asked_for() -> None:
    (asked,) = roster.set_item(Item(JULIET, "J", ("a",), "both", ask=True)).tree[0]
    assert Item.parse(asked) == Item(JULIET, "J", ("a",))
    (asked,) = roster.remove_item(JULIET).tree[0]
    assert Item.parse(asked) == Item(JULIET, subscription="remove")


def version(iq: Iq) -> str | None:
    assert iq.payload is not None
    return iq.payload.get("ver")


def test_versions() -> None:
    known = Roster()
    assert known.items is None
    assert version(known.get(versions=False)) is None
    assert version(known.get(versions=True)) == ""  # §2.6.2: we have nothing yet
    known.fetched(query("<item jid='juliet@example.com'/>", "v1"))
    assert known.items == {JULIET: Item(JULIET)}
    assert version(known.get(versions=True)) == "v1"
    known.fetched(None)  # nothing has changed
    assert known.items == {JULIET: Item(JULIET)}
    known.pushed(query("<item jid='nurse@example.com'/>", "v2"))
    assert set(known.items) == {JULIET, NURSE}
    assert version(known.get(versions=True)) == "v2"
    known.pushed(query("<item jid='juliet@example.com' subscription='remove'/>", "v3"))
    known.pushed(query("<item jid='juliet@example.com' subscription='remove'/>"))
    assert set(known.items) == {NURSE}
    assert version(known.get(versions=True)) == "v3"
    assert version(known.get(versions=False)) is None
    known.fetched(query("<item jid='juliet@example.com'/>"))  # a server without versions
    assert known.items == {JULIET: Item(JULIET)}
    assert version(known.get(versions=True)) == ""


def test_changes_are_counted() -> None:
    known = Roster()
    seen = [known.changes]
    known.fetched(query())
    seen.append(known.changes)
    known.pushed(query("<item jid='nurse@example.com'/>"))
    seen.append(known.changes)
    known.fetched(None)
    assert seen == sorted(set(seen))
    assert known.changes == seen[-1]


def test_an_empty_answer_to_the_first_get_is_an_empty_roster() -> None:
    known = Roster()
    known.fetched(None)
    assert known.items == {}


def test_a_push_before_the_result_changes_nothing() -> None:
    known = Roster()
    known.pushed(query("<item jid='nurse@example.com'/>", "v9"))
    assert known.items is None
    assert version(known.get(versions=True)) == ""


@pytest.mark.parametrize(
    ("xml", "error"),
    [
        ("", BadRequest),
        ("<item jid='a@b'/><item jid='c@d'/>", BadRequest),
        ("<item jid='@@'/>", JidMalformed),
        ("<item xmlns='urn:x' jid='a@b'/>", BadRequest),
    ],
)
def test_what_is_no_push(xml: str, error: type[Exception]) -> None:
    known = Roster()
    known.fetched(query("<item jid='juliet@example.com'/>", "v1"))
    with pytest.raises(error):
        known.pushed(query(xml, "v2"))
    assert known.items == {JULIET: Item(JULIET)}
    assert known.ver == "v1"


def test_a_result_takes_what_makes_sense() -> None:
    known = Roster()
    known.fetched(
        query(
            "<item jid='@@'/><item/><item jid='juliet@example.com'/>"
            "<item jid='nurse@example.com' subscription='remove'/><x/>"
        )
    )
    assert known.items == {JULIET: Item(JULIET)}


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster, "ITEMS", 2)
    known = Roster()
    known.fetched(query("".join(f"<item jid='{n}@b'/>" for n in range(3))))
    assert known.items is not None
    assert len(known.items) == 2
    known.pushed(query("<item jid='9@b'/>"))
    assert len(known.items) == 2
    known.pushed(query("<item jid='0@b' name='zero'/>"))
    assert known.items[JID.parse("0@b")].name == "zero"


def test_items_are_for_reading() -> None:
    known = Roster()
    known.fetched(query())
    with pytest.raises(TypeError):
        known.items[JULIET] = Item(JULIET)  # type: ignore[index]
