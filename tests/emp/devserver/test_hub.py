"""The routing table without sockets: who gets what."""

import pytest
from lxml import etree

from emp import ns
from emp.jid import JID
from emp.stanza import Iq, Message, Presence, Stanza
from emp.xml import E, parse
from tests.emp.devserver.world import COMPONENT, JULIET, ROMEO, World, condition, shown

# -- messages -------------------------------------------------------------------------------------


def test_full_jid(world: World) -> None:
    world.connect(ROMEO)
    world.connect(JULIET)
    world.send(ROMEO, Message(JULIET, "hi", type="chat", id="1"))
    got = world.one(JULIET)
    assert isinstance(got, Message)
    assert (got.body, got.from_text, got.id) == ("hi", ROMEO, "1")
    assert world.take(ROMEO) == []


def test_from_is_always_overwritten(world: World) -> None:
    world.connect(ROMEO)
    world.connect(JULIET)
    world.send(ROMEO, Message(JULIET, "hi", from_="juliet@im.test/balcony"))
    assert world.one(JULIET).from_text == ROMEO


def test_bare_jid_goes_to_the_highest_priority(world: World) -> None:
    world.connect(ROMEO)
    world.connect("juliet@im.test/low", priority=1)
    world.connect("juliet@im.test/high", priority=5)
    world.connect("juliet@im.test/never", priority=-1)
    world.connect("juliet@im.test/silent", priority=None)
    world.take("juliet@im.test/low")
    world.take("juliet@im.test/high")
    world.send(ROMEO, Message("juliet@im.test", "hi"))
    assert len(world.take("juliet@im.test/high")) == 1
    assert world.take("juliet@im.test/low") == []
    world.send(ROMEO, Message("juliet@im.test", "news", type="headline"))
    assert len(world.take("juliet@im.test/high")) == 1
    assert len(world.take("juliet@im.test/low")) == 1
    assert world.take("juliet@im.test/silent") == []


def test_chat_to_a_resource_that_left_goes_to_the_others(world: World) -> None:
    world.connect(ROMEO)
    world.connect(JULIET)
    world.send(ROMEO, Message("juliet@im.test/gone", "hi", type="chat"))
    assert world.one(JULIET).to_text == "juliet@im.test/gone"
    world.send(ROMEO, Message("juliet@im.test/gone", "hi", type="normal"))
    assert condition(world.one(ROMEO)) == "service-unavailable"


def test_message_to_nobody_goes_to_oneself(world: World) -> None:
    world.connect(ROMEO)
    world.send(ROMEO, Message(None, "note to self"))
    assert world.one(ROMEO).to_text == "romeo@im.test"


@pytest.mark.parametrize(
    ("stanza", "expected"),
    [
        (Message("juliet@im.test/gone", "gone"), "service-unavailable"),
        (Message("nobody@im.test", "unknown"), "service-unavailable"),
        (Message("im.test", "server"), "service-unavailable"),
        (Message("juliet@im.test", "room", type="groupchat"), "service-unavailable"),
        (Message("x@elsewhere.test", "remote"), "remote-server-not-found"),
        (Message("x@other.im.test", "no such component"), "remote-server-not-found"),
        (Message("x@offline.im.test", "not connected"), "service-unavailable"),
        (Iq("get", E.query(xmlns="urn:x"), to="nobody@im.test"), "service-unavailable"),
        (Iq("set", E.query(xmlns="urn:x"), to="juliet@im.test"), "service-unavailable"),
        (Iq("get", E.query(xmlns="urn:x"), to="juliet@im.test/gone"), "service-unavailable"),
        (Iq("get", E.query(xmlns="urn:x"), to="im.test"), "service-unavailable"),
        (Iq("get", E.query(xmlns="urn:x"), to="im.test/x"), "service-unavailable"),
        (Iq("get", E.query(xmlns="urn:x")), "service-unavailable"),
        (Iq("get", E.query(xmlns="urn:x"), to="elsewhere.test"), "remote-server-not-found"),
        (Presence("room@elsewhere.test/nick"), "remote-server-not-found"),
        (Presence("x@elsewhere.test", type="subscribe"), "remote-server-not-found"),
    ],
)
def test_undeliverable_comes_back(world: World, stanza: Stanza, expected: str) -> None:
    world.connect(ROMEO)
    stanza.id = "42"
    to = stanza.to_text
    world.send(ROMEO, Stanza.parse(stanza.to_bytes()))
    got = world.take(ROMEO)[-1]  # a request for subscription changes the roster first
    assert (got.kind, got.type, got.id, got.to_text) == (stanza.kind, "error", "42", ROMEO)
    assert got.from_text == (to or "romeo@im.test")
    assert condition(got) == expected


@pytest.mark.parametrize(
    "wire",
    [
        b'<message to="nobody@im.test" type="error"><body>x</body></message>',
        b'<message to="nobody@im.test" type="headline"><body>x</body></message>',
        b'<iq to="nobody@im.test" type="result" id="1"/>',
        b'<iq to="nobody@im.test" type="error" id="1"/>',
        b'<iq to="x@elsewhere.test" type="result" id="1"/>',
        b'<iq type="result" id="1"/>',
        b'<iq to="im.test" type="result" id="1"/>',
        b'<iq to="im.test" type="nonsense" id="1"/>',
        b'<presence to="nobody@im.test"/>',
        b'<presence to="nobody@im.test" type="subscribe"/>',
        b'<presence to="x@elsewhere.test" type="unavailable"/>',
        b'<presence to="x@elsewhere.test" type="nonsense"/>',
        b'<presence type="subscribe"/>',
        b'<presence type="nonsense"/>',
    ],
)
def test_no_answer_where_none_is_due(world: World, wire: bytes) -> None:
    world.connect(ROMEO)
    world.send(ROMEO, Stanza.parse(wire))
    assert world.take(ROMEO) == []


def test_bad_addresses_are_answered(world: World) -> None:
    world.connect(ROMEO)
    world.send(ROMEO, Stanza.parse(b'<iq to="@@" type="get" id="7"><q xmlns="x"/></iq>'))
    got = world.one(ROMEO)
    assert (got.id, got.from_text, condition(got)) == ("7", "im.test", "jid-malformed")
    wire = b'<message from="bot@hack.im.test" to="a@b@c"><body>x</body></message>'
    world.send(COMPONENT, Stanza.parse(wire))
    assert condition(world.one(COMPONENT)) == "jid-malformed"


# -- components -----------------------------------------------------------------------------------


def test_component_and_client_talk(world: World) -> None:
    world.connect(ROMEO)
    world.send(ROMEO, Message("bot@hack.im.test", "hi"))
    assert world.one(COMPONENT).from_text == ROMEO
    world.send(COMPONENT, Message(ROMEO, "ho", from_="bot@hack.im.test"))
    assert world.one(ROMEO).from_text == "bot@hack.im.test"


def test_component_gets_its_errors(world: World) -> None:
    world.send(COMPONENT, Message("nobody@im.test", "x", from_="bot@hack.im.test"))
    got = world.one(COMPONENT)
    assert (got.to_text, condition(got)) == ("bot@hack.im.test", "service-unavailable")


def test_component_asks_the_server(world: World) -> None:
    world.send(COMPONENT, Iq("get", E.ping(xmlns=ns.PING), to="im.test", from_=COMPONENT, id="p"))
    got = world.one(COMPONENT)
    assert (got.type, got.id, got.from_text) == ("result", "p", "im.test")


def test_iq_between_clients(world: World) -> None:
    world.connect(ROMEO)
    world.connect(JULIET, priority=None)
    world.send(ROMEO, Iq("get", E.query(xmlns="urn:x"), to=JULIET, id="q"))
    asked = world.one(JULIET)
    assert isinstance(asked, Iq)
    world.send(JULIET, asked.result())
    got = world.one(ROMEO)
    assert (got.type, got.id, got.from_text) == ("result", "q", JULIET)


# -- the server itself ----------------------------------------------------------------------------


def ask(world: World, payload: etree._Element, to: str | None = "im.test") -> Stanza:
    world.connect(ROMEO)
    world.send(ROMEO, Iq("get", payload, to=to))
    return world.one(ROMEO)


def test_disco_info(world: World) -> None:
    query = ask(world, E.query(xmlns=ns.DISCO_INFO)).payload
    assert query is not None
    features = [child.get("var") for child in query.findall(f"{{{ns.DISCO_INFO}}}feature")]
    assert ns.PING in features
    identity = query.find(f"{{{ns.DISCO_INFO}}}identity")
    assert identity is not None
    assert (identity.get("category"), identity.get("type")) == ("server", "im")


def test_disco_items_are_the_connected_components(world: World) -> None:
    query = ask(world, E.query(xmlns=ns.DISCO_ITEMS)).payload
    assert query is not None
    assert [item.get("jid") for item in query] == [COMPONENT]


def test_disco_node(world: World) -> None:
    got = ask(world, E.query(xmlns=ns.DISCO_INFO, node="x"))
    assert condition(got) == "item-not-found"


def test_ping_and_version(world: World) -> None:
    assert ask(world, E.ping(xmlns=ns.PING)).type == "result"
    query = ask(World(), E.query(xmlns=ns.VERSION)).payload
    assert query is not None
    assert query.findtext(f"{{{ns.VERSION}}}name") == "EMP development server"


# -- binding --------------------------------------------------------------------------------------


def test_resources_are_unique(world: World) -> None:
    first = world.connect(ROMEO)
    second = world.hub.bind(JID.parse("romeo@im.test"), "garden", lambda stanza: None)
    third = world.hub.bind(JID.parse("romeo@im.test"), None, lambda stanza: None)
    assert len({first.jid, second.jid, third.jid}) == 3
    assert str(second.jid).startswith("romeo@im.test/garden-")
    assert third.jid.resource


def test_who_left_is_gone(world: World) -> None:
    romeo = world.connect(ROMEO)
    world.connect(JULIET)
    world.hub.leave(romeo)
    world.hub.leave(romeo)
    world.send(JULIET, Message(ROMEO, "hi"))
    assert condition(world.one(JULIET)) == "service-unavailable"


# -- presence and subscriptions -------------------------------------------------------------------


def test_subscription_from_request_to_presence(world: World) -> None:
    world.connect(ROMEO)
    world.connect(JULIET)
    assert world.roster(ROMEO) == {}
    world.send(ROMEO, Presence("juliet@im.test", type="subscribe"))
    push = world.one(ROMEO)
    assert (push.kind, push.type, push.to_text, push.from_text) == ("iq", "set", ROMEO, None)
    assert world.roster(ROMEO) == {"juliet@im.test": "none subscribe"}
    assert shown(world.take(JULIET)) == [("subscribe", "romeo@im.test")]
    world.send(JULIET, Presence("romeo@im.test", type="subscribed"))
    got = world.take(ROMEO)
    assert [(s.kind, s.type) for s in got] == [
        ("iq", "set"),
        ("presence", "subscribed"),
        ("presence", "available"),
    ]
    assert got[-1].from_text == JULIET
    assert world.roster(ROMEO) == {"juliet@im.test": "to"}
    assert world.roster(JULIET) == {"romeo@im.test": "from"}


def test_presence_reaches_watchers_only(world: World) -> None:
    world.connect(ROMEO)
    world.connect(JULIET)
    world.subscribe(ROMEO, JULIET)
    world.send(JULIET, Presence(status="at home"))
    assert isinstance(seen := world.one(ROMEO), Presence)
    assert (seen.from_text, seen.status) == (JULIET, "at home")
    world.take(JULIET)
    world.send(ROMEO, Presence(status="nobody sees"))
    assert world.take(JULIET) == []


def test_newcomer_sees_who_is_there_and_is_seen_leaving(world: World) -> None:
    world.connect(ROMEO)
    world.connect(JULIET)
    world.subscribe(ROMEO, JULIET)
    world.subscribe(JULIET, ROMEO)
    world.hub.leave(world.resources[JULIET])
    assert shown(world.take(ROMEO)) == [("unavailable", JULIET)]
    late = world.hub.bind(
        JID.parse("juliet@im.test"), "late", world._receiver("juliet@im.test/late")
    )
    world.hub.from_client(late, Presence())
    assert shown(world.take(ROMEO)) == [("available", "juliet@im.test/late")]
    assert ("available", ROMEO) in shown(world.take("juliet@im.test/late"))


def test_own_resources_see_each_other(world: World) -> None:
    world.connect(ROMEO)
    other = world.hub.bind(JID.parse("romeo@im.test"), "b", world._receiver("romeo@im.test/b"))
    world.hub.from_client(other, Presence())
    assert ("available", "romeo@im.test/b") in shown(world.take(ROMEO))
    assert ("available", ROMEO) in shown(world.take("romeo@im.test/b"))


def test_request_waits_for_the_user(world: World) -> None:
    world.connect(ROMEO)
    world.send(ROMEO, Presence("juliet@im.test", type="subscribe"))
    juliet = world.hub.bind(JID.parse("juliet@im.test"), "balcony", world._receiver(JULIET))
    world.hub.from_client(juliet, Presence())
    assert ("subscribe", "romeo@im.test") in shown(world.take(JULIET))


def test_second_request_is_answered_by_the_server(world: World) -> None:
    world.connect(ROMEO)
    world.connect(JULIET)
    world.subscribe(ROMEO, JULIET)
    world.hub.accounts["romeo"].roster.clear()
    world.send(ROMEO, Presence("juliet@im.test", type="subscribe"))
    assert ("subscribed", "juliet@im.test") in shown(world.take(ROMEO))
    assert world.take(JULIET) == []


def test_nobody_allows_what_nobody_asked_for(world: World) -> None:
    world.connect(ROMEO)
    world.connect(JULIET)
    world.send(JULIET, Presence("romeo@im.test", type="subscribed"))
    world.send(COMPONENT, Presence(ROMEO, type="subscribed", from_="bot@hack.im.test"))
    assert world.take(ROMEO) == []
    assert world.roster(ROMEO) == {}
    assert world.roster(JULIET) == {}


@pytest.mark.parametrize("by", ["watcher", "contact"])
def test_subscription_ends(world: World, by: str) -> None:
    world.connect(ROMEO)
    world.connect(JULIET)
    world.subscribe(ROMEO, JULIET)
    if by == "watcher":
        world.send(ROMEO, Presence("juliet@im.test", type="unsubscribe"))
        assert shown(world.take(JULIET)) == [("unsubscribe", "romeo@im.test")]
    else:
        world.send(JULIET, Presence("romeo@im.test", type="unsubscribed"))
        assert ("unsubscribed", "juliet@im.test") in shown(world.take(ROMEO))
    world.take(ROMEO)
    assert world.roster(ROMEO) == {"juliet@im.test": "none"}
    assert world.roster(JULIET) == {"romeo@im.test": "none"}
    world.send(JULIET, Presence(status="unseen"))
    assert world.take(ROMEO) == []


def test_refused_request(world: World) -> None:
    world.connect(ROMEO)
    world.connect(JULIET)
    world.send(ROMEO, Presence("juliet@im.test", type="subscribe"))
    world.send(JULIET, Presence("romeo@im.test", type="unsubscribed"))
    assert ("unsubscribed", "juliet@im.test") in shown(world.take(ROMEO))
    assert world.roster(ROMEO) == {"juliet@im.test": "none"}


def test_component_as_contact(world: World) -> None:
    bot = "bot@hack.im.test"
    world.connect(ROMEO)
    world.send(ROMEO, Presence(bot, type="subscribe"))
    assert shown(world.take(COMPONENT)) == [("subscribe", "romeo@im.test")]
    world.send(COMPONENT, Presence("romeo@im.test", type="subscribed", from_=bot))
    world.send(COMPONENT, Presence(ROMEO, from_=bot))
    assert shown(world.take(ROMEO)) == [("subscribed", bot), ("available", bot)]
    assert world.roster(ROMEO) == {bot: "to"}
    world.connect("romeo@im.test/second")
    assert shown(world.take(COMPONENT)) == [("probe", "romeo@im.test/second")]


def test_probe_is_answered_to_subscribers_only(world: World) -> None:
    bot = "bot@hack.im.test"
    world.connect(ROMEO)
    probe = Presence("romeo@im.test", type="probe", from_=bot)
    world.send(COMPONENT, Stanza.parse(probe.to_bytes()))
    assert world.take(COMPONENT) == []
    world.send(COMPONENT, Presence("romeo@im.test", type="subscribe", from_=bot))
    world.send(ROMEO, Presence(bot, type="subscribed"))
    world.take(COMPONENT)
    world.send(COMPONENT, probe)
    assert shown(world.take(COMPONENT)) == [("available", ROMEO)]


def test_directed_presence_is_taken_back_at_the_end(world: World) -> None:
    romeo = world.connect(ROMEO)
    world.send(ROMEO, Presence("room@hack.im.test/nick"))
    world.send(ROMEO, Presence("room2@hack.im.test/nick"))
    world.send(ROMEO, Presence("room2@hack.im.test/nick", type="unavailable"))
    world.take(COMPONENT)
    world.hub.leave(romeo)
    gone = world.one(COMPONENT)
    assert (gone.type, gone.to_text) == ("unavailable", "room@hack.im.test/nick")


# -- roster ---------------------------------------------------------------------------------------


def roster_set(text: str) -> Iq:
    return Iq("set", parse(f'<query xmlns="{ns.ROSTER}">{text}</query>'), id="s")


def test_item_is_added_changed_and_removed(world: World) -> None:
    world.connect(ROMEO)
    other = world.connect("romeo@im.test/second")
    world.take(ROMEO)
    assert world.roster(ROMEO) == {}
    world.send(
        ROMEO, roster_set('<item jid="nurse@im.test/x" name="Nurse"><group>Staff</group></item>')
    )
    push, result = world.take(ROMEO)
    assert (push.type, result.type, result.id) == ("set", "result", "s")
    assert push.payload is not None
    (item,) = push.payload
    assert (item.get("jid"), item.get("name"), item.get("subscription")) == (
        "nurse@im.test",
        "Nurse",
        "none",
    )
    assert item.findtext(f"{{{ns.ROSTER}}}group") == "Staff"
    assert not other.wants_roster
    assert world.take("romeo@im.test/second") == []
    world.send(ROMEO, roster_set('<item jid="nurse@im.test" subscription="remove"/>'))
    push, result = world.take(ROMEO)
    assert push.payload is not None
    assert push.payload[0].get("subscription") == "remove"
    assert world.roster(ROMEO) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "bad-request"),
        ('<item jid="a@im.test"/><item jid="b@im.test"/>', "bad-request"),
        ("<item/>", "bad-request"),
        ('<item jid="@@"/>', "jid-malformed"),
        ('<item jid="stranger@im.test" subscription="remove"/>', "item-not-found"),
    ],
)
def test_bad_roster_changes(world: World, text: str, expected: str) -> None:
    world.connect(ROMEO)
    world.send(ROMEO, roster_set(text))
    assert condition(world.one(ROMEO)) == expected


def test_nobody_reads_the_roster_of_others(world: World) -> None:
    world.connect(ROMEO)
    world.connect(JULIET)
    world.send(ROMEO, Iq("get", E.query(xmlns=ns.ROSTER), to="juliet@im.test"))
    assert condition(world.one(ROMEO)) == "service-unavailable"


def test_removing_a_contact_ends_both_subscriptions(world: World) -> None:
    world.connect(ROMEO)
    world.connect(JULIET)
    world.subscribe(ROMEO, JULIET)
    world.subscribe(JULIET, ROMEO)
    world.send(ROMEO, roster_set('<item jid="juliet@im.test" subscription="remove"/>'))
    assert {t for t, _ in shown(world.take(JULIET))} >= {"unsubscribe", "unsubscribed"}
    world.take(ROMEO)
    assert world.roster(JULIET) == {"romeo@im.test": "none"}
