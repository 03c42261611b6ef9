"""The client session at real servers, and at ours: the other users are slixmpp's."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import slixmpp

from emp import ns
from emp.jid import JID
from emp.stanza import Iq, Message, Presence, Stanza
from emp.xep import carbons, csi, ping, roster
from emp.xep.roster import Item
from emp.xep.stanza_id import stanza_id_of
from tests.e2e.member import Member, member
from tests.e2e.person import STEP_SECONDS, Person
from tests.e2e.place import Place, ours, real
from tests.emp.net.support import dev_server
from tools.servers import Server

PASSWORDS = {name: f"pw-{name}" for name in ("alice", "bob", "carol")}


@pytest.fixture(params=["prosody", "ejabberd", "devserver"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "devserver":
        async with dev_server(tmp_path, accounts=PASSWORDS) as server:
            yield ours(server)
    else:
        yield real(request.getfixturevalue(request.param))


def says(body: str) -> Any:
    return lambda each: isinstance(each, Message) and each.body == body


def shows(type: str) -> Any:
    return lambda each: isinstance(each, Presence) and each.type == type


def ver_sent(someone: Member) -> str | None:
    get = next(each for each in someone.sent if each.payload_name == roster.QUERY)
    assert get.payload is not None
    return get.payload.get("ver")


# -- roster ---------------------------------------------------------------------------------------


async def test_the_roster_is_fetched_pushed_and_then_only_what_has_changed(place: Place) -> None:
    nurse, paris = (JID("x" + uuid.uuid4().hex, place.domain) for _ in range(2))
    async with (
        member(place, "carol", roster=True) as carol,
        member(place, "carol", roster=True, resource="other") as other,
    ):
        await carol.until(lambda: carol.session.roster is not None)
        await other.until(lambda: other.session.roster is not None)
        assert ver_sent(carol) == ""
        assert (await carol.ask(roster.set_item(Item(nurse, "Nurse", ("Staff",))))).type == "result"
        for someone in (carol, other):
            await someone.until(lambda each=someone: nurse in each.session.roster)
        assert (carol.session.roster or {})[nurse] == Item(nurse, "Nurse", ("Staff",))
        # Servers that get no answer to a push may throw the client out; this one is still there.
        assert (await carol.ask(ping.ping())).type == "result"

        await carol.close()
        assert (await other.ask(roster.remove_item(nurse))).type == "result"
        assert (await other.ask(roster.set_item(Item(paris)))).type == "result"
        await carol.open()
        assert ver_sent(carol)
        await carol.until(
            lambda: paris in carol.session.roster and nurse not in carol.session.roster
        )
        await carol.close()
        await carol.open()  # nothing has changed
        changes = carol.session.roster_changes
        assert (await carol.ask(ping.ping())).type == "result"
        assert paris in (carol.session.roster or {})
        assert carol.session.roster_changes == changes
        await other.ask(roster.remove_item(paris))
        assert carol.session.facts()["spoofed_pushes"] == 0


async def test_a_push_from_another_user_is_refused(place: Place) -> None:
    async with member(place, "alice", roster=True) as alice, member(place, "bob") as bob:
        await alice.until(lambda: alice.session.roster is not None)
        before = dict(alice.session.roster or {})
        query = roster.set_item(Item(JID("tybalt", place.domain))).payload
        assert query is not None
        answer = await bob.ask(Iq("set", query, to=alice.jid))
        assert answer.failure is not None
        assert answer.failure.condition == "service-unavailable"
        assert alice.session.roster == before
        assert alice.session.facts()["spoofed_pushes"] == 1


# -- carbons --------------------------------------------------------------------------------------


async def test_carbons_between_two_clients_of_one_account(place: Place) -> None:
    async with (
        member(place, "alice", carbons=True) as alice,
        place.person("alice", "phone") as phone,
        place.person("bob") as bob,
    ):
        await alice.until(lambda: alice.session.facts()["carbons"])
        bob.say(phone.jid, "psst")
        assert (await phone.hear()).body == "psst"
        wrapper = await alice.next(lambda each: each.payload_name == carbons.RECEIVED)
        carbon = carbons.unwrap(wrapper)
        assert (carbon.direction, carbon.message.body) == ("received", "psst")
        assert (carbon.message.from_text, carbon.message.to_text) == (bob.jid, phone.jid)

        phone.say(bob.jid, "what?")
        assert (await bob.hear()).body == "what?"
        wrapper = await alice.next(lambda each: each.payload_name == carbons.SENT)
        carbon = carbons.unwrap(wrapper)
        assert (carbon.direction, carbon.message.body) == ("sent", "what?")
        assert (carbon.message.from_text, carbon.message.to_text) == (phone.jid, bob.jid)


async def test_a_carbon_from_another_user_is_dropped(place: Place) -> None:
    async with member(place, "alice", carbons=True) as alice, member(place, "bob") as bob:
        bob.say(
            Stanza.parse(
                f"<message to='{alice.jid}' type='chat'><received xmlns='{ns.CARBONS}'>"
                f"<forwarded xmlns='{ns.FORWARD}'><message xmlns='{ns.CLIENT}' to='{alice.jid}'"
                f" from='carol@{place.domain}/x' type='chat'><body>I owe bob 100</body></message>"
                "</forwarded></received></message>".encode()
            ),
            Message(alice.jid, "after", type="chat"),
        )
        # Servers keep order between two clients: had the copy been routed, it would come first.
        got = await alice.next(lambda each: each.kind == "message")
        assert isinstance(got, Message)
        assert got.body == "after"
        assert alice.session.facts()["spoofed_carbons"] == 1


# -- subscriptions --------------------------------------------------------------------------------


class Friend:
    """What a slixmpp user sees of subscriptions; it answers nothing by itself."""

    def __init__(self, someone: Person) -> None:
        self.person = someone
        self.heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        client = someone.client
        client.roster.auto_authorize = None
        client.roster.auto_subscribe = False
        for type in ("subscribe", "subscribed", "unsubscribe", "unsubscribed"):
            client.add_event_handler(f"presence_{type}", self._hear)

    def _hear(self, presence: slixmpp.Presence) -> None:
        self.heard.put_nowait((presence["type"], presence["from"].bare))

    def say(self, type: str, to: str) -> None:
        self.person.client.send_presence(pto=to, ptype=type)

    async def hear(self) -> tuple[str, str]:
        async with asyncio.timeout(STEP_SECONDS):
            return await self.heard.get()


@pytest.mark.parametrize(
    ("policy", "answers"),
    [
        ("accept", ["subscribed"]),
        ("accept-and-reciprocate", ["subscribed", "subscribe"]),
        ("deny", ["unsubscribed"]),
    ],
)
async def test_subscription_policies(place: Place, policy: str, answers: list[str]) -> None:
    alice_jid, bob_jid = f"alice@{place.domain}", f"bob@{place.domain}"
    async with (
        member(place, "alice", subscriptions=policy, roster=True) as alice,
        place.person("bob") as someone,
    ):
        bob = Friend(someone)
        await alice.until(lambda: alice.session.roster is not None)
        async with asyncio.timeout(STEP_SECONDS):
            await someone.client.get_roster()  # RFC 6121 §3.1.6: answers go to who has asked
        bob.say("subscribe", alice_jid)
        heard = [await bob.hear() for _ in answers]
        assert sorted(heard) == sorted((type, alice_jid) for type in answers)
        if policy == "deny":
            assert alice.session.facts()["refused_subscriptions"] == 1
        else:
            routed = await alice.next(shows("subscribe"))
            assert routed.from_text == bob_jid
        if policy == "accept-and-reciprocate":
            bob.say("subscribed", alice_jid)
            await alice.next(shows("subscribed"))
            await alice.until(
                lambda: alice.session.roster[JID.parse(bob_jid)].subscription == "both"
            )
        # As before, for the next test.
        await alice.ask(roster.remove_item(JID.parse(bob_jid)))
        async with asyncio.timeout(STEP_SECONDS):
            await someone.client.del_roster_item(alice_jid)


# -- client state, capabilities, ids --------------------------------------------------------------


async def test_the_client_state_is_taken(place: Place) -> None:
    async with member(place, "alice", client_state="inactive") as alice:
        assert alice.session.nonzas() == [csi.nonza("inactive")]
        assert (await alice.ask(ping.ping())).type == "result"
        alice.session.client_state = "active"
        assert alice.stream is not None
        for nonza in alice.session.nonzas():
            alice.stream.send_nonza(nonza)
        assert (await alice.ask(ping.ping())).type == "result"


async def test_capabilities_are_what_they_say(place: Place) -> None:
    """slixmpp computes the hash of our answer, and compares it with the one in our presence."""
    async with (
        place.person("bob") as bob,
        member(place, "alice", caps="https://example.org/bot", presence=True) as alice,
    ):
        caps = alice.session.presence().payload
        assert caps is not None
        client = bob.client
        client.register_plugin("xep_0030")
        client.register_plugin("xep_0115")
        node = f"{caps.get('node')}#{caps.get('ver')}"
        answer = await client.plugin["xep_0030"].get_info(
            jid=alice.jid, node=node, timeout=STEP_SECONDS, local=False, cached=False
        )
        info = answer["disco_info"]
        assert client.plugin["xep_0115"].generate_verstring(info, "sha-1") == caps.get("ver")
        assert {("client", "bot")} == {each[:2] for each in info["identities"]}
        assert set(info["features"]) == {ns.CAPS, ns.DISCO_INFO}


async def test_the_account_gives_messages_an_id(place: Place) -> None:
    async with member(place, "alice") as alice, place.person("bob") as bob:
        own = JID("alice", place.domain)
        ids = set()
        for _ in range(2):
            bob.say(alice.jid, "again and again")  # said again is not sent again
            ids.add(stanza_id_of(await alice.next(says("again and again")), own))
        assert len(ids) == 2
        assert None not in ids
        assert alice.session.facts()["duplicates"] == 0


async def test_a_message_that_was_sent_again_is_dropped(place: Place) -> None:
    """The connection is lost before the acknowledgement was sent, and the session not resumed."""
    async with member(place, "alice") as alice, place.person("bob") as bob:
        alice.acknowledges = False
        bob.say(f"alice@{place.domain}", "once")
        await alice.next(says("once"))
        assert alice.stream is not None
        alice.stream.abort()
        alice.acknowledges = True
        await alice.open()  # for the same resource: the server gives up the old session
        assert (await alice.ask(ping.ping())).type == "result"
        # ejabberd may find nobody available just then, and keep the message for the next time.
        await alice.close()
        await alice.open()
        await alice.until(lambda: alice.session.facts()["duplicates"] == 1)
        bob.say(alice.jid, "after")
        got = await alice.next(lambda each: isinstance(each, Message) and bool(each.body))
        assert isinstance(got, Message)
        assert got.body == "after"


async def test_a_copy_that_was_sent_again_is_dropped(prosody: Server) -> None:
    """Prosody keeps copies that were not acknowledged as if they were messages.

    Carol's, who has no session elsewhere: one that may still be resumed would get the copy.
    """
    place = real(prosody)
    async with member(place, "carol", carbons=True) as carol, place.person("bob") as bob:
        await carol.until(lambda: carol.session.facts()["carbons"])
        carol.acknowledges = False
        async with place.person("carol", "phone") as phone:
            bob.say(phone.jid, "psst")
            await carol.next(lambda each: each.payload_name == carbons.RECEIVED)
        await carol.close()
        carol.acknowledges = True
        await carol.open()
        await carol.until(lambda: carol.session.facts()["duplicates"] == 1)
