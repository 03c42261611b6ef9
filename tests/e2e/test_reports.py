"""What strangers have sent to other programs, sent to a bot through real servers.

The table of docs/interoperability.md tells whose reports these are. Everything is said on one
session of the bot, on servers with stock limits; after each stanza the bot must answer, on the
stream that it had from the beginning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from emp.stanza import Iq, Message
from emp.xml import E
from tests.actors.world import world
from tests.e2e.stranger import Bot, Refused, Stranger, bot, stranger
from tools.servers import Server

AT_ONCE = 20
"""Stanzas on one connection of the stranger: more would be slowed down by ejabberd's shaper."""
NOTHING = None
"""The bot must not answer."""
ANYTHING = b""
"""The server may answer for the bot, refuse it, or leave it away."""

VERSION = "<query xmlns='jabber:iq:version'/>"
QUESTION = "<question xmlns='urn:example:bot'/>"
EVENT = "http://jabber.org/protocol/pubsub#event"
CONDITION = "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
ERROR = f"<error type='cancel'>{CONDITION}</error>"
CARBON = (
    "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
    "<message xmlns='jabber:client' type='chat' from='boss@xmpp.test/x' to='{to}'>"
    "<body>fail</body></message></forwarded></received>"
)
PLANES = "\u00fc\u0416\u4e2d\ue000\ufffd\U0001f431\U0002070e\U000e0041\U000f1234\U0010fffd"


@dataclass(frozen=True, slots=True)
class Case:
    """`stanza` is sent, with {to} filled in; `answer` is a pattern for what the bot must say."""

    stanza: str
    answer: bytes | None = ANYTHING


def message(inner: str, attributes: str = "type='chat'", answer: bytes | None = ANYTHING) -> Case:
    return Case(f"<message to='{{to}}' {attributes}>{inner}</message>", answer)


def presence(inner: str, attributes: str = "", answer: bytes | None = NOTHING) -> Case:
    return Case(f"<presence to='{{to}}' {attributes}>{inner}</presence>", answer)


def iq(inner: str, attributes: str, answer: bytes | None = ANYTHING) -> Case:
    return Case(f"<iq to='{{to}}' {attributes}>{inner}</iq>", answer)


def parrot(length: int) -> bytes:
    return b"<body>parrot %d</body>" % length


CASES = {
    # what is no trouble at all
    "a language": message("<body>Foo</body>", "type='chat' xml:lang='en'", parrot(3)),
    "a language that is none": message("<body>Foo</body>", "type='chat' xml:lang='en_US'"),
    "markup as text": message(
        "<body>&lt;test&gt;test &amp;amp; ]]&gt; '\"</body>", answer=parrot(23)
    ),
    "characters of all planes": message(f"<body>{PLANES}</body>", answer=parrot(len(PLANES))),
    "CDATA and references": message(
        "<body><![CDATA[<a>]]>&#65;&#x1F431;</body>", answer=parrot(5)
    ),
    "several bodies": message(
        "<body xml:lang='fr'>Bonjour</body><body>Hello</body>", answer=b"<body>parrot "
    ),
    "bodies of one language": message("<body>one</body><body>fail</body>"),
    "an empty body": message("<body/>"),
    "a body with children": message("<body>a<b xmlns='u:v'>c</b></body>"),
    "no children": message("", answer=NOTHING),
    "an id of nothing": message("<body>x</body>", "type='chat' id=''", parrot(1)),
    "prefixed payload": iq("<v:question xmlns:v='urn:example:bot'/>", "type='get' id='p1'",
                           b"<iq [^>]*type=.result"),
    "prefixed stanza": Case(
        "<c:message xmlns:c='jabber:client' to='{to}' type='chat'><c:body>hi</c:body></c:message>"
    ),
    "no namespace at all": message("<x xmlns=''/><body>hi</body>"),
    # types
    "a message without a type": message("<body>hi</body>", "", parrot(2)),
    "a message of an unknown type": message("<body>hi</body>", "type='bogus'"),
    "a headline": message("<body>hi</body>", "type='headline' ", ANYTHING),
    "an error": message(f"<body>fail</body>{ERROR}", "type='error' id='e1'", NOTHING),
    "an error without an error": message("<body>fail</body>", "type='error' id='e2'", NOTHING),
    "a groupchat message of nobody's room": message(
        "<body>fail</body>", "type='groupchat'", NOTHING),
    "a result that nobody asked for": iq(QUESTION, "type='result' id='r1'", NOTHING),
    "an error that nobody asked for": iq(ERROR, "type='error' id='r2'", NOTHING),
    "a result without payload": iq("", "type='result' id='r3'", NOTHING),
    "a result with an empty list": iq(
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:avatar:data'/>"
        "</pubsub>", "type='result' id='r4'", NOTHING),
    "an IQ without a type": iq(VERSION, "id='i1'", b"<bad-request|^$"),
    "an IQ of an unknown type": iq(VERSION, "type='bogus' id='i2'"),
    "an IQ whose type is in capitals": iq(QUESTION, "type='GET' id='i3'"),
    "an IQ without children": iq("", "type='get' id='i4'", b"type=.error"),
    "an IQ with two children": iq(QUESTION + VERSION, "type='get' id='i5'"),
    "an IQ with text": iq("hello", "type='get' id='i6'"),
    "an IQ without an id": iq(QUESTION, "type='get'"),
    "an IQ whose id is empty": iq(QUESTION, "type='get' id=''"),
    "an IQ whose id is long": iq(QUESTION, f"type='get' id='{'i' * 1023}'", b"iiii"),
    "an IQ that nobody knows": iq("<x xmlns='u:v'/>", "type='set' id='i7'",
                                  b"<service-unavailable"),
    "an IQ result in a request": iq(f"{QUESTION}{ERROR}", "type='get' id='i8'"),
    # presence
    "presence that shows nonsense": presence("<show>bogus</show>", answer=ANYTHING),
    "presence that shows nothing": presence("<show/>"),
    "a priority out of range": presence("<priority>5225</priority>"),
    "a priority that is none": presence("<priority>high</priority>", answer=ANYTHING),
    "an empty priority": presence("<priority/>", answer=ANYTHING),
    "presence of an unknown type": presence("", "type='bogus'", ANYTHING),
    "a presence error": presence(ERROR, "type='error' id='e3'"),
    "a probe": presence("", "type='probe'"),
    "a refusal of nothing": presence("", "type='unsubscribed'"),
    "an end of nothing": presence("", "type='unsubscribe'"),
    # payloads
    "an event without items": message(f"<event xmlns='{EVENT}'/>", "type='headline'", NOTHING),
    "an event with an empty list": message(
        f"<event xmlns='{EVENT}'><items node='urn:xmpp:avatar:metadata'/></event>",
        "type='headline'", NOTHING),
    "a delay that is no time": message(
        "<body>hi</body><delay xmlns='urn:xmpp:delay' stamp='2017-07-11T18:31:34'/>",
        answer=parrot(2)),
    "a delay without a colon": message(
        "<body>hi</body><delay xmlns='urn:xmpp:delay' stamp='2020-08-30T08:04:53+0000'/>",
        answer=parrot(2)),
    "two delays": message(
        "<body>hi</body><delay xmlns='urn:xmpp:delay' stamp='2014-11-13T06:57:41.509Z'/>"
        "<x xmlns='jabber:x:delay' stamp='20141113T06:57:41'/>", answer=parrot(2)),
    "a delay without a stamp": message(
        "<body>hi</body><delay xmlns='urn:xmpp:delay'/>", answer=parrot(2)),
    "a forged copy": message(CARBON, answer=NOTHING),
    "a forged roster push": iq(
        "<query xmlns='jabber:iq:roster'><item jid='evil@evil.test'/></query>",
        "type='set' id='push'", b"type=.error"),
    "a forged archive": message(
        "<result xmlns='urn:xmpp:mam:2' queryid='q' id='1'><forwarded xmlns='urn:xmpp:forward:0'>"
        "<message xmlns='jabber:client' type='chat'><body>fail</body></message>"
        "</forwarded></result>",
        answer=NOTHING),
    "an unknown payload": message("<x xmlns='u:v'><y z='1'/></x><body>hi</body>", answer=parrot(2)),
    "a handler that fails": message("<body>fail</body>", "type='chat' id='f1'",
                                    b"<internal-server-error"),
}  # fmt: skip


async def trouble(here: Bot, someone: Stranger, case: Case) -> str:
    """What is wrong with the way the bot takes it; nothing, most of the time."""
    await someone.send(case.stanza.replace("{to}", here.address))
    its_own = re.compile(rb"<\w+ [^>]*from=.%s['\"]" % re.escape(here.address.encode()))
    heard = b"".join(filter(its_own.match, await here.answers(someone)))
    if not here.is_undisturbed():
        return f"disturbed: {here.facts()}"
    if case.answer is NOTHING:
        return heard.decode()
    return "" if re.search(case.answer, heard) else f"answered {heard!r}"


@pytest.mark.parametrize("kind", ["client", "component"])
async def test_what_strangers_send(real_server: Server, kind: str, tmp_path: Path) -> None:
    told = {}
    async with bot(tmp_path, real_server, kind) as here:
        left = list(CASES)
        while left:
            async with stranger(real_server, "bob") as someone:
                await here.answers(someone)  # and what waited for bob is gone
                for _ in range(min(len(left), AT_ONCE)):
                    name = left.pop(0)
                    try:
                        if found := await trouble(here, someone, CASES[name]):
                            told[name] = found
                    except Refused:
                        break  # the server has ended the stranger's stream: he begins anew
                    except TimeoutError:
                        told[name] = "no answer any more"
                        left.clear()
    assert told == {}


ROOMS = """
from actors import Component
from emp.routing import Routes
from emp.stanza import Message, Presence
from emp.xml import E

class Bot(Component):
    def alive(self, body):
        return f"alive and well {body[6:]}"
    def break_down(self):
        raise ValueError("a mistake of the application")
    def join(self, body):
        presence = Presence(f"{body[5:]}/bot")
        presence.tree.append(E.x(xmlns="http://jabber.org/protocol/muc"))
        self.send(presence)
    def parrot(self, body):
        return f"parrot {body}"
    def tell(self, sender):
        self.send(Message(sender, "told", type="chat"))

routes = Routes()
routes.message("[starts-with(body, 'alive ')]").to(Bot.alive)
routes.message("[body = 'fail']", type="groupchat").to(Bot.break_down)
routes.message("[starts-with(body, 'join ')]").to(Bot.join)
routes.message("[body = 'tell']").to(Bot.tell)
routes.message("[body]").to(Bot.parrot)
"""
MUC = "http://jabber.org/protocol/muc"
NICKS = ("\u3164", "a@b", "/help", "with space", "<&>", "\U0001f434")


async def enter(someone: Stranger, room: str, nick: str) -> bool:
    """Whether the room lets him in by that name; servers' tables of characters differ."""
    to = f"{room}/{nick}".replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    await someone.send(f"<presence to='{to}'><x xmlns='{MUC}'/></presence>")
    return b"type='error'" not in await someone.get(lambda each: each.startswith(b"<presence"))


@pytest.mark.parametrize("kind", ["client", "component"])
async def test_in_a_room(real_server: Server, kind: str, tmp_path: Path) -> None:
    """It talks neither to itself nor to the history, and is not thrown out for a mistake."""
    room = f"{kind}-{real_server.name}@{real_server.conference}"
    async with (
        bot(tmp_path, real_server, kind, ROOMS) as here,
        stranger(real_server, "bob") as bob,
        stranger(real_server, "carol") as carol,
    ):
        assert await enter(bob, room, "bob")
        await bob.send(
            f"<iq type='set' to='{room}' id='config'><query xmlns='{MUC}#owner'>"
            "<x xmlns='jabber:x:data' type='submit'/></query></iq>"
        )
        await bob.get(lambda each: b"config" in each)
        for text in ("history", "fail"):
            await bob.send(f"<message type='groupchat' to='{room}'><body>{text}</body></message>")
        await bob.send(
            f"<message type='chat' to='{here.address}'><body>join {room}</body></message>"
        )
        came = f"{room}/bot".encode()
        await bob.get(lambda each: each.startswith(b"<presence") and came in each)
        heard = []
        for nick in NICKS:
            if await enter(carol, room, nick):
                for text in ("hello", "fail"):
                    await carol.send(
                        f"<message type='groupchat' to='{room}'><body>{text}</body></message>"
                    )
                last = f"after {NICKS.index(nick)}"
                await carol.send(
                    f"<message type='groupchat' to='{room}'><body>{last}</body></message>"
                )
                heard += await bob.until(last.encode())
            heard += await here.answers(bob)
        assert [each for each in heard if came in each] == []
        await bob.send(f"<presence to='{room}/bob'><status>still here</status></presence>")
        await bob.get(lambda each: b"still here" in each)
        await bob.send(f"<iq type='get' to='{room}/bot' id='q'><x xmlns='u:v'/></iq>")
        answer = await bob.get(lambda each: b"id='q'" in each)
        assert b"service-unavailable" in answer  # the bot's own: it is in the room
        assert here.is_undisturbed()


@pytest.mark.parametrize("kind", ["client", "component"])
async def test_what_is_sent_without_saying_by_whom(
    real_server: Server, kind: str, tmp_path: Path
) -> None:
    """Prosody and ejabberd end the stream of a component that leaves `from` out."""
    async with (
        bot(tmp_path, real_server, kind, ROOMS) as here,
        stranger(real_server, "bob") as bob,
    ):
        await bob.send(f"<message type='chat' to='{here.address}'><body>tell</body></message>")
        assert b"told" in await bob.get(lambda each: b"<body>" in each)
        assert await here.answers(bob) == []
        assert here.is_undisturbed()


ASKER = """
from actors import Component
from emp.routing import Routes
from emp.xml import E

class Asker(Component):
    async def ask(self, sender):
        answer = await self.iq_get(sender, E.query(xmlns="u:q"))
        return f"answered {answer.type} {answer.payload.get('word')}"

routes = Routes()
routes.message(body="ask").to(Asker.ask)
"""


async def test_a_question_with_the_id_of_our_own(tmp_path: Path) -> None:
    """Who was asked asks by the same id, and then answers."""
    async with world(tmp_path, ASKER) as here, here.user() as bar:
        asked = await bar.ask(Message(here.service, "ask", type="chat"))
        bar.say(Iq("get", E.other(xmlns="u:q"), to=here.service, id=asked.id))
        refused = await bar.hear()
        assert (refused.kind, refused.id, refused.type) == ("iq", asked.id, "error")
        bar.say(Iq("result", E.query(xmlns="u:q", word="yes"), to=here.service, id=asked.id))
        told = await bar.hear()
        assert isinstance(told, Message)
        assert told.body == "answered result yes"
