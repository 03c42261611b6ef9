"""Attacks by other users, through an honest server: answers, pushes and copies in others' names.

The whole way, from the socket to the action of an application and back.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attacks.application import CLIENT, COMPONENT, application
from tests.attacks.hostile import PATIENCE, Dialogue, Script
from tests.attacks.support import Attacks

APP = """
from actors import Component
from emp import ns
from emp.routing import Routes
from emp.xml import E

class Trusting(Component):
    async def ask(self, body):
        to, _, kind = body.removeprefix("ask ").partition(" ")
        answer = await self.iq_get(to or None, E.query(xmlns="urn:example:secret"), timeout=60)
        return f"answered {answer.payload.get('word')}"
    async def contacts(self):
        items = await self.roster()
        return "contacts " + " ".join(sorted(str(jid) for jid in items))
    def tell(self, body, sender):
        return f"heard {body} of {sender}"

routes = Routes()
routes.message("[starts-with(body, 'ask ')]").to(Trusting.ask)
routes.message("[body='contacts']").to(Trusting.contacts)
routes.message("[body]").to(Trusting.tell)
"""

WELL_KNOWN = "juliet@im.test/balcony"


def message(body: str, sender: str = WELL_KNOWN, more: str = "", to: str = "") -> bytes:
    to = to or "romeo@im.test/orchard"
    inner = f"<body>{body}</body>" if body else ""
    return f"<message type='chat' from='{sender}' to='{to}'>{inner}{more}</message>".encode()


def said(body: str) -> bytes:
    return b"<body>" + re.escape(body.encode())


async def play(attacks: Attacks, tmp_path: Path, script: Script, settings: str) -> Dialogue:
    """Let the application run until the script is done; returns what was said."""
    done = asyncio.get_running_loop().create_future()

    async def to_the_end(dialogue: Dialogue) -> None:
        try:
            await script(dialogue)
        except BaseException as fault:
            if not done.done():
                done.set_exception(fault)
            raise
        if not done.done():
            done.set_result(None)

    async with attacks.server(to_the_end) as server:
        settings += f'ca_file = "{attacks.authority.ca_file}"\n' if "client" in settings else ""
        async with application(tmp_path, server, APP, settings):
            async with asyncio.timeout(PATIENCE):
                await done
            return server.dialogues[0]


# -- answers --------------------------------------------------------------------------------------

MALLORY = "mallory@evil.test/x"
LIARS: dict[str, tuple[str, list[str | None]]] = {
    "a user": (
        WELL_KNOWN,
        [
            *(MALLORY, "juliet@im.test", "juliet@im.test/other", "im.test", "evil.test", None, ""),
            *("romeo@im.test", "romeo@im.test/orchard", "juliet@im.test/Balcony", "@@@"),
        ],
    ),
    "our server": (
        "im.test",
        [MALLORY, "mallory@im.test", "evil.test", "im.test/x", "im.test.evil.test"],
    ),
    "our account": ("romeo@im.test", [MALLORY, "mallory@im.test", "romeo@evil.test"]),
    "nobody in particular": ("", [MALLORY, "mallory@im.test", "evil.test", "im.test/x"]),
}


def result(id: bytes, sender: str | None, word: str) -> bytes:
    of = f" from='{sender}'" if sender is not None else ""
    payload = f"<query xmlns='urn:example:secret' word='{word}'/>"
    return f"<iq type='result' id='{id.decode()}'{of}>{payload}</iq>".encode()


@pytest.mark.parametrize("name", LIARS)
async def test_an_answer_counts_from_who_was_asked(
    attacks: Attacks, tmp_path: Path, name: str
) -> None:
    asked, liars = LIARS[name]

    async def script(dialogue: Dialogue) -> None:
        await dialogue.session()
        dialogue.send(message(f"ask {asked}"))
        request = await dialogue.expect(rb"<iq [^>]*>\s*<query [^>]*urn:example:secret")
        id = re.search(rb" id=['\"]([^'\"]*)", request[0])
        assert id is not None
        for liar in liars:
            dialogue.send(result(id[1], liar, "lie"))
        dialogue.send(result(id[1], asked or None, "truth"))
        dialogue.send(result(id[1], asked or None, "too-late"))
        await dialogue.expect(said("answered "))
        dialogue.send(message("bye"))
        await dialogue.expect(said("heard bye"))

    dialogue = await play(attacks, tmp_path, script, CLIENT)
    assert b"answered truth" in dialogue.said
    assert b"answered lie" not in dialogue.said


async def test_ids_cannot_be_guessed(attacks: Attacks, tmp_path: Path) -> None:
    """Who has seen a hundred of them knows nothing of the next."""
    ids: list[bytes] = []

    async def script(dialogue: Dialogue) -> None:
        await dialogue.session()
        for _ in range(100):
            dialogue.send(message(f"ask {MALLORY}"))
            request = await dialogue.expect(rb"<iq [^>]*>\s*<query [^>]*urn:example:secret")
            id = re.search(rb" id=['\"]([^'\"]*)", request[0])
            assert id is not None
            ids.append(id[1])
            dialogue.send(result(id[1], MALLORY, "word"))
            await dialogue.expect(said("answered word"))

    await play(attacks, tmp_path, script, CLIENT)
    assert len(set(ids)) == 100
    assert min(map(len, ids)) >= 16
    # No common beginning, no common end, no counter: at each place many characters occur.
    variety = [len({id[at] for id in ids}) for at in range(16)]
    assert min(variety) >= 8


# -- roster pushes --------------------------------------------------------------------------------

PUSH = (
    "<iq type='set' id='push'{sender} to='romeo@im.test/orchard'><query xmlns='jabber:iq:roster'>"
    "<item jid='{jid}' subscription='both'/></query></iq>"
)
FORGERS = {
    "a stranger": MALLORY,
    "a contact": WELL_KNOWN,
    "our domain": "im.test",
    "our account on another server": "romeo@im.test.evil.test",
    "a resource of ours": "romeo@im.test/balcony",
    "ourselves": "romeo@im.test/orchard",
    "no JID": "@@@",
    "a look-alike": "rom\u0435o@im.test",
}


async def with_roster(dialogue: Dialogue) -> None:
    await dialogue.session()
    fetched = re.search(rb"<iq [^>]*id=['\"]([^'\"]*)['\"][^>]*><query [^>]*roster", dialogue.said)
    assert fetched is not None
    dialogue.send(
        b"<iq type='result' id='%s'><query xmlns='jabber:iq:roster'>"
        b"<item jid='juliet@im.test' subscription='both'/></query></iq>" % fetched[1]
    )


@pytest.mark.parametrize("name", FORGERS)
async def test_roster_push_from_strangers(attacks: Attacks, tmp_path: Path, name: str) -> None:
    """CVE-2015-8688 and its likes: who may push contacts may read what we tell them."""
    sender = FORGERS[name]

    async def script(dialogue: Dialogue) -> None:
        await with_roster(dialogue)
        dialogue.send(PUSH.format(sender=f" from='{sender}'", jid="mallory@evil.test").encode())
        dialogue.send(message("contacts"))
        await dialogue.expect(said("contacts juliet@im.test<"))

    dialogue = await play(attacks, tmp_path, script, CLIENT + "roster = true\n")
    assert not re.search(rb"<iq [^>]*type=['\"]result['\"]", dialogue.said)  # no consent


@pytest.mark.parametrize("sender", ["", " from='romeo@im.test'", " from='Romeo@IM.test'"])
async def test_roster_push_from_our_account(attacks: Attacks, tmp_path: Path, sender: str) -> None:
    async def script(dialogue: Dialogue) -> None:
        await with_roster(dialogue)
        dialogue.send(PUSH.format(sender=sender, jid="nurse@im.test").encode())
        await dialogue.expect(rb"<iq [^>]*type=['\"]result['\"]")
        dialogue.send(message("contacts"))
        await dialogue.expect(said("contacts juliet@im.test nurse@im.test"))

    await play(attacks, tmp_path, script, CLIENT + "roster = true\n")


async def test_roster_push_for_a_component(attacks: Attacks, tmp_path: Path) -> None:
    """It has no roster; whoever pushes gets an error, as for any request that nobody answers."""

    async def script(dialogue: Dialogue) -> None:
        await dialogue.component()
        push = PUSH.format(sender=f" from='{MALLORY}'", jid="mallory@evil.test")
        dialogue.send(push.replace("romeo@im.test/orchard", "bot.im.test").encode())
        await dialogue.expect(rb"<service-unavailable")

    await play(attacks, tmp_path, script, COMPONENT)


# -- carbons --------------------------------------------------------------------------------------

INNER = (
    "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' type='chat'"
    " from='juliet@im.test/balcony' to='romeo@im.test/other'><body>falsehood</body></message>"
    "</forwarded>"
)
WRAPPERS: dict[str, Callable[[str], bytes]] = {
    "received": lambda sender: message(
        "", sender, f"<received xmlns='urn:xmpp:carbons:2'>{INNER}</received>"
    ),
    "sent": lambda sender: message("", sender, f"<sent xmlns='urn:xmpp:carbons:2'>{INNER}</sent>"),
    "behind another": lambda sender: message(
        "", sender, f"<x xmlns='urn:x'/><sent xmlns='urn:xmpp:carbons:2'>{INNER}</sent>"
    ),
    "behind a body": lambda sender: message(
        "falsehood", sender, f"<sent xmlns='urn:xmpp:carbons:2'>{INNER}</sent>"
    ),
}


@pytest.mark.parametrize("forger", FORGERS)
@pytest.mark.parametrize("wrapper", WRAPPERS)
async def test_carbons_from_strangers(
    attacks: Attacks, tmp_path: Path, wrapper: str, forger: str
) -> None:
    """CVE-2017-5589 and its likes: a message in anybody's name."""

    async def script(dialogue: Dialogue) -> None:
        await dialogue.session()
        dialogue.send(WRAPPERS[wrapper](FORGERS[forger]))
        dialogue.send(message("bye"))
        await dialogue.expect(said("heard bye"))

    for settings in ("carbons = true\n", ""):
        dialogue = await play(attacks, tmp_path, script, CLIENT + settings)
        assert b"falsehood" not in dialogue.said


OTHER_WRAPPERS = {
    "forwarded": INNER,
    "archive": f"<result xmlns='urn:xmpp:mam:2' id='1'>{INNER}</result>",
    "old carbons": f"<sent xmlns='urn:xmpp:carbons:1'>{INNER}</sent>",
    "message in a message": "<message xmlns='jabber:client' from='juliet@im.test/balcony'>"
    "<body>falsehood</body></message>",
    "event": f"<event xmlns='http://jabber.org/protocol/pubsub#event'>{INNER}</event>",
}


@pytest.mark.parametrize("name", OTHER_WRAPPERS)
async def test_what_is_wrapped_is_not_routed(attacks: Attacks, tmp_path: Path, name: str) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.session()
        for sender in (MALLORY, "romeo@im.test", "im.test"):
            dialogue.send(message("", sender, OTHER_WRAPPERS[name]))
        dialogue.send(message("bye"))
        await dialogue.expect(said("heard bye"))

    dialogue = await play(attacks, tmp_path, script, CLIENT + "carbons = true\n")
    assert b"falsehood of" not in dialogue.said


# -- duplicates in others' names ------------------------------------------------------------------


async def test_stanza_ids_of_strangers_suppress_nothing(attacks: Attacks, tmp_path: Path) -> None:
    """XEP-0359 §7: only ids that our own server gives may make us throw a message away."""

    def marked(by: str, sender: str, body: str) -> bytes:
        return message(body, sender, f"<stanza-id xmlns='urn:xmpp:sid:0' id='7' by='{by}'/>")

    async def script(dialogue: Dialogue) -> None:
        await dialogue.session()
        dialogue.send(marked("evil.test", MALLORY, "first"))
        dialogue.send(marked("evil.test", WELL_KNOWN, "second"))
        dialogue.send(marked("romeo@im.test", MALLORY, "third"))
        dialogue.send(marked("romeo@im.test", WELL_KNOWN, "fourth"))
        dialogue.send(marked("romeo@im.test", WELL_KNOWN, "fifth"))  # our server says: again
        dialogue.send(message("bye"))
        await dialogue.expect(said("heard bye"))

    dialogue = await play(attacks, tmp_path, script, CLIENT)
    for body in ("first", "second", "third", "fourth"):
        assert re.search(said(f"heard {body}"), dialogue.said)
    assert b"heard fifth" not in dialogue.said


# -- subscriptions --------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["ask", "deny"])
async def test_nobody_sees_our_presence_for_the_asking(
    attacks: Attacks, tmp_path: Path, policy: str
) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.session()
        dialogue.send(b"<presence type='subscribe' from='mallory@evil.test'/>")
        dialogue.send(b"<presence type='subscribe' from='@@@'/><presence type='subscribe'/>")
        dialogue.send(message("bye"))
        await dialogue.expect(said("heard bye"))

    dialogue = await play(attacks, tmp_path, script, CLIENT + f'subscriptions = "{policy}"\n')
    assert b"subscribed'" not in dialogue.said.replace(b"unsubscribed'", b"")
    assert b'subscribed"' not in dialogue.said.replace(b'unsubscribed"', b"")
