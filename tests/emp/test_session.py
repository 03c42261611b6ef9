"""emp.session: whom the account believes, and what it does by itself. Attacks first."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from emp import ns, session
from emp.config import ConnectionSettings
from emp.errors import StanzaError
from emp.jid import JID
from emp.session import CONSUMED, ROUTE, ClientSession
from emp.stanza import Iq, Message, Presence, Stanza
from emp.xep import carbons, csi, disco, roster
from emp.xep.roster import Item
from emp.xep.stanza_id import stanza_id
from emp.xml import E, parse
from tests.emp.xep.test_carbons import INNER, wrapped

OWN = JID.parse("romeo@montague.example")
FULL = OWN.replace(resource="home")
JULIET = JID.parse("juliet@capulet.example")
STRANGERS = [
    "tybalt@capulet.example/home",
    "tybalt@capulet.example",
    str(FULL),
    "romeo@montague.example/garden",
    "montague.example",
    "romeo@montague.example.evil",
    "@@",
    "",
]
"""Who is not our account: an empty `from` is not an absent one."""


def settings(**more: Any) -> ConnectionSettings:
    values: dict[str, Any] = {"name": "romeo", "kind": "client", "node": "romeo"}
    return ConnectionSettings(**(values | {"host": "montague.example", "password": "p"} | more))


def opened(*features: str, **more: Any) -> tuple[ClientSession, list[Stanza]]:
    """A session on its first stream, and what it wants to be sent."""
    found = ClientSession(settings(**more))
    return found, found.opened(FULL, False, features)


def stanza(wire: str) -> Stanza:
    return Stanza.parse(wire.encode())


def push(from_: str | None, item: str = "<item jid='nurse@capulet.example'/>") -> Stanza:
    sender = "" if from_ is None else f" from='{from_}'"
    query = f"<query xmlns='jabber:iq:roster' ver='v2'>{item}</query>"
    return stanza(f"<iq type='set' id='push'{sender} to='{FULL}'>{query}</iq>")


def with_roster(*items: Item, ver: str | None = "v1", **more: Any) -> ClientSession:
    found, sent = opened(roster.FEATURE, roster=True, **more)
    get = next(each for each in sent if each.payload_name == roster.QUERY)
    assert isinstance(get, Iq)
    answer = get.result(E.query(*items, xmlns=ns.ROSTER, ver=ver))
    assert found.receive(Stanza.parse(answer.to_bytes())) is CONSUMED
    return found


# -- attacks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("from_", STRANGERS)
def test_a_roster_push_from_a_stranger_is_refused(from_: str) -> None:
    found = with_roster(Item(JULIET))
    verdict = found.receive(push(from_))
    assert not verdict.route
    (reply,) = verdict.replies
    assert (reply.type, reply.id, reply.to_text) == ("error", "push", from_)
    assert reply.failure is not None
    assert reply.failure.condition == "service-unavailable"
    assert set(found.roster or {}) == {JULIET}
    assert found.facts()["spoofed_pushes"] == 1


@pytest.mark.parametrize("carbons_wanted", [True, False])
@pytest.mark.parametrize("direction", ["received", "sent"])
@pytest.mark.parametrize("from_", STRANGERS)
def test_a_carbon_from_a_stranger_is_dropped(
    from_: str, direction: str, carbons_wanted: bool
) -> None:
    found, _ = opened(carbons=carbons_wanted)
    for type in ("chat", "normal", "headline", "groupchat", "error"):
        spoofed = wrapped(from_ or None, direction=direction, type=type)
        if not from_:
            spoofed.from_text = ""
        assert found.receive(spoofed) is CONSUMED
    assert found.facts()["spoofed_carbons"] == 5


def test_a_carbon_without_sender_is_dropped() -> None:
    found, _ = opened(carbons=True)
    assert found.receive(wrapped(None)) is CONSUMED


def test_a_carbon_cannot_hide_behind_another_payload() -> None:
    found, _ = opened(carbons=True)
    before = "<body>hi</body><active xmlns='http://jabber.org/protocol/chatstates'/>"
    assert found.receive(wrapped(STRANGERS[0], before=before)) is CONSUMED
    own = f"<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='{OWN}'/>"
    assert found.receive(wrapped(STRANGERS[0], before=own)) is CONSUMED
    assert found.facts()["spoofed_carbons"] == 2


@pytest.mark.parametrize("from_", [JULIET, "tybalt@capulet.example/home", "@@", "montague.evil"])
def test_a_roster_from_a_stranger_is_not_taken(from_: object) -> None:
    found, sent = opened(roster=True)
    get = next(each for each in sent if each.payload_name == roster.QUERY)
    query = "<query xmlns='jabber:iq:roster'><item jid='tybalt@capulet.example'/></query>"
    spoofed = f"<iq type='result' id='{get.id}' from='{from_}'>{query}</iq>"
    assert found.receive(stanza(spoofed)) is ROUTE  # as any answer that nobody asked for
    assert found.roster is None
    guessed = f"<iq type='result' id='1'>{query}</iq>"
    assert found.receive(stanza(guessed)) is ROUTE
    assert found.roster is None


def test_ids_of_our_requests_cannot_be_guessed() -> None:
    found, first = opened(roster=True, carbons=True)
    again = found.opened(FULL, False, ())
    ids = [each.id for each in (*first, *again) if each.kind == "iq"]
    assert len(set(ids)) == 4
    assert all(len(id or "") >= 16 for id in ids)


def test_nobody_suppresses_the_messages_of_others() -> None:
    # Where the server lets ids in its name pass, a stranger may guess one that is to come.
    found, _ = opened()
    assert found.receive(Message(FULL, "!", stanza_id("7", OWN), from_="tybalt@x/y")) is ROUTE
    assert found.receive(Message(FULL, "hi", stanza_id("7", OWN), from_=JULIET)) is ROUTE
    assert found.facts()["duplicates"] == 0


def test_attacks_are_logged_once_and_without_line_breaks(caplog: pytest.LogCaptureFixture) -> None:
    found = with_roster()
    with caplog.at_level(logging.INFO, "emp.session"):
        for _ in range(3):
            found.receive(push("evil@x/line&#10;break"))
            found.receive(wrapped("tybalt@capulet.example/home"))
    assert len(caplog.messages) == 2
    assert not any("\n" in message for message in caplog.messages)
    assert found.facts()["spoofed_pushes"] == found.facts()["spoofed_carbons"] == 3


# -- ordinary stanzas -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wire",
    [
        "<message from='a@b/c'><body>hi</body></message>",
        "<message/>",
        "<message><body>hi</body><x xmlns='urn:x'/></message>",
        "<message><received xmlns='urn:xmpp:receipts' id='1'/></message>",
        "<message><enable xmlns='urn:xmpp:carbons:2'/></message>",
        "<presence from='a@b/c'/>",
        "<presence from='a@b/c' type='unavailable'/>",
        "<presence from='a@b' type='subscribed'/>",
        "<presence from='a@b' type='unsubscribe'/>",
        "<presence from='a@b' type='unsubscribed'/>",
        "<presence from='@' type='unsubscribed'/>",
        "<presence from='a@b/c' type='error'/>",
        "<presence from='@' type='subscribe'/>",
        "<iq type='get' id='1' from='a@b/c'><query xmlns='jabber:iq:roster'/></iq>",
        "<iq type='get' id='1' from='a@b/c'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<iq type='set' id='1' from='a@b/c'><query xmlns='jabber:iq:private'/></iq>",
        "<iq type='get' id='1' from='a@b/c'>"
        "<query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
        "<iq type='result' id='1' from='a@b/c'/>",
        "<iq type='error' id='1' from='@'/>",
        "<iq/>",
    ],
)
def test_what_is_not_for_the_session_passes(wire: str) -> None:
    found, _ = opened(roster=True, carbons=True, caps="urn:example:bot", subscriptions="deny")
    assert found.receive(stanza(wire)) is ROUTE


def test_an_ordinary_message_is_hardly_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = opened()
    monkeypatch.setattr(found, "_message", lambda stanza: pytest.fail("looked at closely"))
    assert found.receive(stanza("<message from='a@b/c'><body>hi</body></message>")) is ROUTE


# -- what is sent first ---------------------------------------------------------------------------


def names(stanzas: list[Stanza]) -> list[str]:
    return [str(each.payload_name or each.kind) for each in stanzas]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, ["presence"]),
        ({"presence": False}, []),
        ({"roster": True}, [roster.QUERY, "presence"]),
        ({"carbons": True}, [carbons.ENABLE, "presence"]),
        ({"carbons": True, "roster": True}, [carbons.ENABLE, roster.QUERY, "presence"]),
        ({"carbons": True, "presence": False}, [carbons.ENABLE]),
    ],
)
def test_first_words(more: dict[str, Any], expected: list[str]) -> None:
    found, sent = opened(**more)
    assert names(sent) == expected
    assert all(each.to_text is None for each in sent)
    assert found.opened(FULL, True, ()) == []
    assert names(found.opened(FULL, False, ())) == expected


def test_presence_is_as_configured() -> None:
    caps = "https://example.org/bot"
    _, (shown,) = opened(show="dnd", status="Busy <&>", priority=-5, caps=caps)
    assert isinstance(shown, Presence)
    assert (shown.show, shown.status, shown.priority) == ("dnd", "Busy <&>", -5)
    assert shown.payload is not None
    assert shown.payload.get("node") == caps
    _, (plain,) = opened()
    assert plain.to_bytes() == b"<presence/>"


@pytest.mark.parametrize(
    ("state", "features", "expected"),
    [
        (None, [csi.FEATURE], []),
        ("inactive", [csi.FEATURE], ["<inactive xmlns='urn:xmpp:csi:0'/>"]),
        ("active", [csi.FEATURE], ["<active xmlns='urn:xmpp:csi:0'/>"]),
        ("inactive", [], []),
        ("inactive", [roster.FEATURE], []),
    ],
)
def test_client_state(state: str | None, features: list[str], expected: list[str]) -> None:
    found, _ = opened(*features, client_state=state)
    assert found.nonzas() == expected
    for offered in (features, []):  # XEP-0352 §5: a resumed stream is active; SASL2 has no offers
        found.opened(FULL, True, offered)
        assert found.nonzas() == expected


def test_client_state_may_change() -> None:
    found, _ = opened(csi.FEATURE, client_state="inactive")
    found.client_state = "active"
    assert found.nonzas() == [csi.nonza("active")]
    assert found.facts()["client_state"] == "active"


# -- roster ---------------------------------------------------------------------------------------


def test_the_roster_is_fetched_and_pushed() -> None:
    found = with_roster(Item(JULIET, "J", subscription="both"))
    assert found.roster == {JULIET: Item(JULIET, "J", subscription="both")}
    changes = found.roster_changes
    for from_ in (None, str(OWN), "ROMEO@montague.example"):
        verdict = found.receive(push(from_))
        assert not verdict.route
        (reply,) = verdict.replies
        assert (reply.kind, reply.type, reply.id) == ("iq", "result", "push")
    assert set(found.roster) == {JULIET, JID.parse("nurse@capulet.example")}
    assert found.roster_changes > changes
    assert found.facts()["roster_items"] == 2


def test_a_push_that_is_none_is_answered_so() -> None:
    found = with_roster(Item(JULIET))
    verdict = found.receive(push(None, ""))
    (reply,) = verdict.replies
    assert isinstance(reply.failure, StanzaError)
    assert reply.failure.condition == "bad-request"
    assert set(found.roster or {}) == {JULIET}


def test_the_next_stream_asks_for_what_has_changed() -> None:
    found = with_roster(Item(JULIET))
    get, _ = found.opened(FULL, False, [roster.FEATURE])
    assert isinstance(get, Iq)
    assert get.payload is not None
    assert get.payload.get("ver") == "v1"
    assert found.receive(get.result()) is CONSUMED
    assert found.roster == {JULIET: Item(JULIET)}
    found.receive(push(None))
    get, _ = found.opened(FULL, False, [roster.FEATURE])
    assert get.payload is not None
    assert get.payload.get("ver") == "v2"
    get, _ = found.opened(FULL, False, [])
    assert get.payload is not None
    assert get.payload.get("ver") is None


def test_answers_of_an_old_stream_do_not_count() -> None:
    found, (old, _) = opened(roster=True)
    found.opened(FULL, False, ())
    assert isinstance(old, Iq)
    assert found.receive(old.result(E.query(xmlns=ns.ROSTER))) is ROUTE
    assert found.roster is None


def test_answers_to_what_a_resumed_stream_had_asked_count() -> None:
    found, (asked, _) = opened(roster=True)
    found.opened(FULL, True, ())
    assert isinstance(asked, Iq)
    assert found.receive(asked.result(E.query(xmlns=ns.ROSTER))) is CONSUMED
    assert found.roster == {}


@pytest.mark.parametrize(
    "from_", ["", f" from='{OWN}'", f" from='{FULL}'", " from='montague.example'"]
)
def test_who_may_answer_for_the_account(from_: str) -> None:
    found, (asked, _) = opened(roster=True)
    answer = f"<iq type='result' id='{asked.id}'{from_}><query xmlns='jabber:iq:roster'/></iq>"
    assert found.receive(stanza(answer)) is CONSUMED
    assert found.roster == {}


def test_servers_without_roster_and_carbons(caplog: pytest.LogCaptureFixture) -> None:
    found, sent = opened(roster=True, carbons=True)
    for asked in sent[:2]:
        refused = f"<iq type='error' id='{asked.id}'><error type='cancel'/></iq>"
        assert found.receive(stanza(refused)) is CONSUMED
    assert found.roster is None
    assert found.facts()["carbons"] is False
    assert len(caplog.messages) == 2


# -- carbons --------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("direction", ["received", "sent"])
def test_genuine_carbons_are_routed_as_they_came(direction: str, wanted: bool) -> None:
    found, _ = opened(carbons=wanted)
    given = wrapped(direction=direction)
    before = given.to_bytes()
    assert found.receive(given) is ROUTE
    assert given.to_bytes() == before
    assert carbons.unwrap(given).direction == direction


def test_carbons_are_on_when_the_server_says_so() -> None:
    found, (asked, _) = opened(carbons=True)
    assert found.facts()["carbons"] is False
    assert isinstance(asked, Iq)
    found.receive(asked.result())
    assert found.facts()["carbons"] is True
    found.opened(FULL, False, ())
    assert found.facts()["carbons"] is False


# -- subscriptions --------------------------------------------------------------------------------


def subscribe(from_: object = f"{JULIET}/balcony") -> Stanza:
    return stanza(f"<presence type='subscribe' from='{from_}' to='{OWN}'/>")


@pytest.mark.parametrize(
    ("policy", "route", "replies"),
    [
        ("ask", True, []),
        ("accept", True, ["subscribed"]),
        ("accept-and-reciprocate", True, ["subscribed", "subscribe"]),
        ("deny", False, ["unsubscribed"]),
    ],
)
def test_policies(policy: str, route: bool, replies: list[str]) -> None:
    found, _ = opened(subscriptions=policy)
    verdict = found.receive(subscribe())
    assert verdict.route is route
    assert [each.type for each in verdict.replies] == replies
    assert all(each.to == JULIET and each.kind == "presence" for each in verdict.replies)
    assert found.facts()["refused_subscriptions"] == (policy == "deny")


@pytest.mark.parametrize("policy", ["ask", "accept", "accept-and-reciprocate", "deny"])
@pytest.mark.parametrize("from_", [OWN, FULL, f"{OWN}/garden"])
def test_our_own_account_needs_no_subscription(policy: str, from_: JID) -> None:
    found, _ = opened(subscriptions=policy)
    assert found.receive(subscribe(from_)) is CONSUMED
    assert found.receive(stanza("<presence type='subscribe'/>")) is CONSUMED


@pytest.mark.parametrize(
    ("item", "asks"),
    [
        (None, True),
        (Item(JULIET), True),
        (Item(JULIET, subscription="from"), True),
        (Item(JULIET, subscription="from", ask=True), False),
        (Item(JULIET, subscription="to"), False),
        (Item(JULIET, subscription="both"), False),
    ],
)
def test_who_is_subscribed_already_is_not_asked_in_return(item: Item | None, asks: bool) -> None:
    found = with_roster(*([item] if item else []), subscriptions="accept-and-reciprocate")
    sent = [each.type for each in found.receive(subscribe()).replies]
    assert sent == (["subscribed", "subscribe"] if asks else ["subscribed"])


def test_asking_in_return_is_no_loop() -> None:
    found, _ = opened(subscriptions="accept-and-reciprocate")
    first, second = found.receive(subscribe()), found.receive(subscribe())
    assert [each.type for each in first.replies] == ["subscribed", "subscribe"]
    assert [each.type for each in second.replies] == ["subscribed"]
    gone = stanza(f"<presence type='unsubscribed' from='{JULIET}' to='{OWN}'/>")
    assert found.receive(gone) is ROUTE
    assert len(found.receive(subscribe()).replies) == 2


def test_what_was_asked_in_return_is_remembered_within_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "RECIPROCATED", 2)
    found, _ = opened(subscriptions="accept-and-reciprocate")
    for name in ("a@x", "b@x", "c@x"):
        assert len(found.receive(subscribe(name)).replies) == 2
    assert len(found.receive(subscribe("c@x")).replies) == 1
    assert len(found.receive(subscribe("a@x")).replies) == 2


# -- capabilities ---------------------------------------------------------------------------------

BOT = "https://example.org/bot"


def test_the_question_behind_our_caps_is_answered() -> None:
    found = ClientSession(settings(caps=BOT), features=["urn:xmpp:ping"])
    (shown,) = found.opened(FULL, False, ())
    assert shown.payload is not None
    node = f"{BOT}#{shown.payload.get('ver')}"
    asked = disco.ask(FULL, node)
    asked.from_ = "juliet@capulet.example/balcony"
    verdict = found.receive(asked)
    assert not verdict.route
    (reply,) = verdict.replies
    assert (reply.type, reply.id, reply.to_text) == ("result", asked.id, asked.from_text)
    assert reply.payload is not None
    info = disco.read(reply.payload)
    assert info.node == node
    assert info.features == {ns.DISCO_INFO, ns.CAPS, "urn:xmpp:ping"}
    assert [(each.category, each.type) for each in info.identities] == [("client", "bot")]


@pytest.mark.parametrize("node", [None, BOT, f"{BOT}#", f"{BOT}#other", "x"])
def test_other_questions_are_routed(node: str | None) -> None:
    found, _ = opened(caps=BOT)
    assert found.receive(disco.ask(FULL, node)) is ROUTE


def test_without_caps_all_questions_are_routed() -> None:
    found, (shown,) = opened()
    assert shown.payload is None
    assert found.receive(disco.ask(FULL, "None#")) is ROUTE


# -- duplicates -----------------------------------------------------------------------------------


def numbered(id: str, by: object = OWN, *first: Any) -> Stanza:
    wire = Message(FULL, "hi", *first, stanza_id(id, JID.parse(str(by))), from_=JULIET).to_bytes()
    return Stanza.parse(wire)


def test_a_message_that_came_twice_is_dropped() -> None:
    found, _ = opened()
    verdicts = [found.receive(numbered(id)) for id in ("1", "2", "1", "2", "3")]
    assert verdicts == [ROUTE, ROUTE, CONSUMED, CONSUMED, ROUTE]
    found.opened(FULL, False, ())  # the memory outlives the stream: that is its purpose
    assert found.receive(numbered("3")) is CONSUMED
    assert found.facts()["duplicates"] == 3


def test_the_id_need_not_be_the_first_payload() -> None:
    found, _ = opened()
    state = parse("<active xmlns='http://jabber.org/protocol/chatstates'/>")
    assert found.receive(numbered("1", OWN, state)) is ROUTE
    assert found.receive(numbered("1", OWN, state)) is CONSUMED


def copied(id: str, direction: str = "received") -> Stanza:
    own = f"<stanza-id xmlns='urn:xmpp:sid:0' id='{id}' by='{OWN}'/></message>"
    return wrapped(direction=direction, inner=INNER.replace("</message>", own))


@pytest.mark.parametrize("direction", ["received", "sent"])
def test_a_copy_that_came_twice_is_dropped(direction: str) -> None:
    # Servers send copies again as well, and the wrapper has no id of its own.
    found, _ = opened(carbons=True)
    verdicts = [found.receive(copied(id, direction)) for id in ("1", "2", "1")]
    assert verdicts == [ROUTE, ROUTE, CONSUMED]


def test_the_copy_of_what_came_already_is_dropped() -> None:
    found, _ = opened(carbons=True)
    direct = Message(FULL, "hi", stanza_id("1", OWN), from_=f"{JULIET}/balcony")
    assert found.receive(direct) is ROUTE
    assert found.receive(copied("1")) is CONSUMED


def test_a_broken_copy_passes() -> None:
    found, _ = opened(carbons=True)
    assert [found.receive(wrapped(inner="")) for _ in range(2)] == [ROUTE, ROUTE]


@pytest.mark.parametrize("by", [JULIET, FULL, "montague.example", "room@muc.example"])
def test_ids_of_others_mean_nothing(by: object) -> None:
    found, _ = opened()
    assert found.receive(numbered("1", by)) is ROUTE
    assert found.receive(numbered("1", by)) is ROUTE


def test_messages_without_id_are_never_duplicates() -> None:
    found, _ = opened()
    same = Message(FULL, "hi", from_=JULIET, id="same").to_bytes()
    assert [found.receive(Stanza.parse(same)) for _ in range(2)] == [ROUTE, ROUTE]


def test_ids_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "SEEN_IDS", 3)
    found, _ = opened()
    for id in ("1", "2", "3", "4"):
        assert found.receive(numbered(id)) is ROUTE
    assert [found.receive(numbered(id)) for id in ("2", "3", "4")] == [CONSUMED] * 3
    assert found.receive(numbered("1")) is ROUTE
