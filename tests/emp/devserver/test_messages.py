"""Carbons, stanza-ids and offline messages of the development server."""

from collections.abc import Iterable
from typing import Any

import pytest

from emp import ns
from emp.devserver import messages
from emp.jid import JID
from emp.stanza import Iq, Message, Presence, Stanza
from emp.xep import carbons
from emp.xep.delay import delay_of
from emp.xep.stanza_id import stanza_id, stanza_id_of
from emp.xml import E
from tests.emp.devserver.world import COMPONENT, JULIET, ROMEO, World, condition

HOME, PHONE = "romeo@im.test/home", "romeo@im.test/phone"
ACCOUNT = JID.parse("romeo@im.test")
NO_STORE = E("no-store", xmlns=ns.HINTS)
TYPING = E.composing(xmlns=ns.CHAT_STATES)


def enable(world: World, *jids: str, request: Iq | None = None) -> None:
    for jid in jids:
        world.send(jid, Stanza.parse((request or carbons.enable()).to_bytes()))
        assert world.one(jid).type == "result"


@pytest.fixture
def family(world: World) -> World:
    """Romeo with three clients, two of them with carbons, and Juliet."""
    for jid in (ROMEO, HOME, PHONE, JULIET):
        world.connect(jid)
    clear(world)
    enable(world, ROMEO, HOME)
    return world


def clear(world: World) -> None:
    for jid in world.inbox:
        world.take(jid)


def bodies(stanzas: Iterable[Stanza]) -> list[str | None]:
    return [stanza.body for stanza in stanzas if isinstance(stanza, Message)]


def copies(world: World, jid: str) -> list[tuple[str, str | None]]:
    return [
        (carbon.direction, carbon.message.body) for carbon in map(carbons.unwrap, world.take(jid))
    ]


# -- carbons --------------------------------------------------------------------------------------


def test_what_one_client_gets_the_others_get_as_copies(family: World) -> None:
    family.send(JULIET, Message(ROMEO, "hi", type="chat", id="7"))
    assert bodies(family.take(ROMEO)) == ["hi"]
    (copy,) = family.take(HOME)
    assert (copy.from_text, copy.to_text, copy.type) == ("romeo@im.test", HOME, "chat")
    carbon = carbons.unwrap(copy)
    assert (carbon.direction, carbon.message.from_text, carbon.message.to_text) == (
        *("received", JULIET),
        ROMEO,
    )
    assert (carbon.message.id, carbon.message.body) == ("7", "hi")
    assert family.take(PHONE) == []


def test_what_one_client_says_the_others_get_as_copies(family: World) -> None:
    family.send(PHONE, Message(JULIET, "hi", type="chat"))
    assert bodies(family.take(JULIET)) == ["hi"]
    assert copies(family, ROMEO) == copies(family, HOME) == [("sent", "hi")]
    assert family.take(PHONE) == []
    family.send(HOME, Message(JULIET, "ho", type="chat"))
    assert copies(family, ROMEO) == [("sent", "ho")]
    assert family.take(HOME) == []


def test_nobody_gets_the_same_message_twice(family: World) -> None:
    family.send(PHONE, Presence(priority=1))
    clear(family)
    family.send(JULIET, Message(ACCOUNT, "hi", type="chat"))
    assert bodies(family.take(PHONE)) == ["hi"]
    assert copies(family, ROMEO) == copies(family, HOME) == [("received", "hi")]
    family.send(ROMEO, Message(HOME, "note to self", type="chat"))
    assert bodies(family.take(HOME)) == ["note to self"]
    assert copies(family, ROMEO) == [("received", "note to self")]
    assert family.take(PHONE) == []


@pytest.mark.parametrize(
    ("message", "copied"),
    [
        (Message(ROMEO, "hi", type="chat"), True),
        (Message(ROMEO, "hi"), True),
        (Message(ROMEO, None, TYPING, type="chat"), True),
        (Message(ROMEO, None, TYPING), True),
        (Message(ROMEO, None, E.event(xmlns="urn:x")), False),
        (Message(ROMEO, "hi", type="headline"), False),
        (Message(ROMEO, "hi", type="groupchat"), False),
        (Message(ROMEO, "hi", type="error"), False),
        (Message(ROMEO, "hi", *carbons.private(), type="chat"), False),
        (Message(ROMEO, "hi", carbons.private()[0], type="chat"), False),
        (Message(ROMEO, "hi", carbons.private()[1], type="chat"), False),
        (Message(ROMEO, "hi", E.x(xmlns=ns.MUC_USER), type="chat"), False),
    ],
)
def test_which_messages_are_copied(family: World, message: Message, copied: bool) -> None:
    family.send(JULIET, Stanza.parse(message.to_bytes()))
    assert len(family.take(ROMEO)) == 1
    assert len(family.take(HOME)) == copied


def test_what_is_said_in_private_to_an_occupant_is_copied(family: World) -> None:
    pm = Message("room@hack.im.test/nick", "psst", E.x(xmlns=ns.MUC_USER), type="chat")
    family.send(PHONE, pm)
    assert copies(family, HOME) == [("sent", "psst")]


def test_carbons_can_be_switched_off_and_on_again(family: World) -> None:
    for request, expected in ((carbons.disable(), 0), (carbons.enable(), 1)):
        enable(family, HOME, HOME, request=request)  # twice is no fault: XEP-0280 §10.1
        family.send(JULIET, Message(ROMEO, "hi", type="chat"))
        assert len(family.take(HOME)) == expected
    clear(family)


def test_a_client_that_is_gone_gets_no_copies(family: World) -> None:
    family.hub.leave(family.resources[HOME])
    clear(family)
    family.send(JULIET, Message(ROMEO, "hi", type="chat"))
    assert family.take(HOME) == []


# -- stanza-ids -----------------------------------------------------------------------------------


@pytest.mark.parametrize("to", [ROMEO, "romeo@im.test"])
@pytest.mark.parametrize("type", ["chat", "normal"])
def test_the_account_gives_each_message_an_id(world: World, to: str, type: str) -> None:
    world.connect(ROMEO)
    world.connect(JULIET)
    for _ in range(2):
        world.send(JULIET, Message(to, "hi", type=type))
    world.send(COMPONENT, Message(to, "hi", type=type, from_="bot@hack.im.test"))
    ids = [stanza_id_of(stanza, ACCOUNT) for stanza in world.take(ROMEO)]
    assert None not in ids
    assert len(set(ids)) == 3


@pytest.mark.parametrize("type", ["chat", "normal", "headline", "groupchat", "error"])
def test_ids_in_the_accounts_name_are_removed(world: World, type: str) -> None:
    world.connect(ROMEO)
    spoofed = Message(
        *(ROMEO, "hi", stanza_id("evil", ACCOUNT), stanza_id("good", JID.parse("room@muc.x"))),
        type=type,
        from_="room@hack.im.test",
    )
    world.send(COMPONENT, spoofed)
    got = world.one(ROMEO)
    assert b"evil" not in got.to_bytes()
    assert stanza_id_of(got, JID.parse("room@muc.x")) == "good"


def test_the_copy_has_the_same_id(family: World) -> None:
    family.send(JULIET, Message(ROMEO, "hi", type="chat"))
    copy = carbons.unwrap(family.one(HOME)).message
    assert stanza_id_of(copy, ACCOUNT) == stanza_id_of(family.one(ROMEO), ACCOUNT) is not None


def test_the_account_announces_it(world: World) -> None:
    world.connect(ROMEO)
    for to, feature in (
        (None, ns.STANZA_ID),
        ("romeo@im.test", ns.STANZA_ID),
        ("im.test", ns.CARBONS),
    ):
        world.send(ROMEO, Iq("get", E.query(xmlns=ns.DISCO_INFO), to=to))
        assert feature.encode() in world.one(ROMEO).to_bytes()


# -- offline --------------------------------------------------------------------------------------


def come(world: World, jid: str, priority: int | None = 0) -> list[Stanza]:
    """What a new client gets, presence apart."""
    world.connect(jid, priority=None)
    if priority is not None:
        world.send(jid, Presence(priority=priority))
    return [stanza for stanza in world.take(jid) if stanza.kind == "message"]


@pytest.mark.parametrize(
    ("to", "type"), [("romeo@im.test", "chat"), ("romeo@im.test", "normal"), (ROMEO, "chat")]
)
def test_messages_wait_for_who_is_away(world: World, to: str, type: str) -> None:
    world.connect(JULIET)
    world.send(JULIET, Message(to, "first", type=type))
    world.send(JULIET, Message(to, "second", type=type))
    assert world.take(JULIET) == []
    first, second = come(world, ROMEO)
    assert bodies([first, second]) == ["first", "second"]
    assert (first.from_text, first.to_text, first.type) == (JULIET, to, type)
    delay = delay_of(first)
    assert delay is not None
    assert str(delay.from_) == "im.test"
    assert stanza_id_of(first, ACCOUNT)
    assert come(world, HOME) == []  # they were delivered


@pytest.mark.parametrize("priority", [None, -1])
def test_a_client_that_takes_no_messages_gets_none(world: World, priority: int | None) -> None:
    world.connect(JULIET)
    world.send(JULIET, Message("romeo@im.test", "hi"))
    assert come(world, ROMEO, priority) == []
    world.send(ROMEO, Presence(priority=1))
    assert "hi" in bodies(world.take(ROMEO))


@pytest.mark.parametrize(
    "message",
    [
        Message("romeo@im.test", "hi", type="headline"),
        Message("romeo@im.test", "hi", type="groupchat"),
        Message("romeo@im.test", "hi", NO_STORE, type="chat"),
        Message("romeo@im.test", None, TYPING, type="chat"),
        Message(ROMEO, "hi", type="normal"),
    ],
)
def test_what_does_not_wait(world: World, message: Any) -> None:
    world.connect(JULIET)
    world.send(JULIET, Stanza.parse(message.to_bytes()))
    refused = world.take(JULIET)
    assert [condition(each) for each in refused] == (
        [] if message.type == "headline" else ["service-unavailable"]
    )
    assert come(world, ROMEO) == []


def test_errors_do_not_wait(world: World) -> None:
    world.connect(JULIET)
    world.send(JULIET, Message("romeo@im.test", "hi", type="error"))
    assert world.take(JULIET) == []
    assert come(world, ROMEO) == []


def test_what_waits_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "OFFLINE_MESSAGES", 2)
    world.connect(JULIET)
    for number in range(3):
        world.send(JULIET, Message("romeo@im.test", str(number), type="chat"))
    assert condition(world.one(JULIET)) == "service-unavailable"
    assert bodies(come(world, ROMEO)) == ["0", "1"]


# -- what was on its way to a client that is gone -------------------------------------------------


def test_what_comes_back_keeps_its_id(world: World) -> None:
    romeo = world.connect(ROMEO)
    world.connect(JULIET)
    world.send(JULIET, Message("romeo@im.test", "hi", type="chat"))
    lost = world.one(ROMEO)
    world.hub.leave(romeo)
    world.hub.route_again(lost)
    (again,) = come(world, HOME)
    assert stanza_id_of(again, ACCOUNT) == stanza_id_of(lost, ACCOUNT) is not None


def test_copies_are_made_once(family: World) -> None:
    family.send(JULIET, Message(HOME, "hi", type="chat"))
    lost, copy = family.one(HOME), family.one(ROMEO)
    family.hub.leave(family.resources[HOME])
    clear(family)
    family.hub.route_again(lost)
    assert bodies(family.take(PHONE)) == ["hi"]
    assert family.take(ROMEO) == []
    family.hub.leave(family.resources[ROMEO])
    clear(family)
    family.hub.route_again(copy)
    assert family.take(PHONE) == []


def test_other_stanzas_go_the_usual_way(world: World) -> None:
    world.connect(ROMEO)
    request = Iq("get", E.query(xmlns="urn:x"), to="juliet@im.test/gone", from_=ROMEO, id="q")
    world.hub.route_again(request)
    assert (world.one(ROMEO).id, world.take(ROMEO)) == ("q", [])
