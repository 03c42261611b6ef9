"""What we say to others: who gets an error, and in whose name we speak."""

from __future__ import annotations

from pathlib import Path

import pytest

from emp import ns
from emp.errors import CONDITIONS, ItemNotFound
from emp.stanza import Iq, Message, Presence, Stanza
from emp.xml import E
from tests.actors.world import User, world

FAILING = """
import asyncio
from actors import Component, rescue
from emp.errors import Forbidden, ItemNotFound
from emp.routing import Routes

class Rescued(Exception): pass

@rescue(Rescued, with_=Forbidden)
class Failing(Component):
    def crash(self): 1 / 0
    def fails(self): self.fail(ItemNotFound, "no such thing")
    async def later(self):
        await asyncio.sleep(0)
        self.fail(ItemNotFound, "no such thing")
    def rescued(self): raise Rescued
    def typed(self, id: int): return "?"
    def nothing(self): pass
    def now(self, body): return body

routes = Routes()
routes.iq_get("*").to(Failing.fails)
routes.presence("status").to(Failing.fails)
routes.presence().to(Failing.nothing)
for type in ("normal", "chat", "groupchat", "headline"):
    for name in ("crash", "fails", "later", "rescued"):
        routes.message(body=name, type=type).to(Failing, name)
    routes.message(body="typed", type=type, id="string('x')").to(Failing.typed)
    routes.message("[body]", type=type).to(Failing.now)
"""
WAYS = {
    "crash": "internal-server-error",
    "fails": "item-not-found",
    "later": "item-not-found",
    "rescued": "forbidden",
    "typed": "bad-request",
}


async def failures(bar: User, *stanzas: Stanza) -> list[str]:
    """The conditions of the errors that come for them."""
    last = Message(stanzas[0].to_text, "that was all")
    bar.say(*stanzas, last)
    found = []
    while (heard := await bar.hear()).failure is not None:
        found.append(heard.failure.condition)
    assert isinstance(heard, Message)
    assert heard.body == "that was all"
    return found


@pytest.mark.parametrize(
    ("type", "answered"), [("normal", True), ("chat", True), ("groupchat", False)]
)
async def test_who_is_told_that_an_action_has_failed(
    tmp_path: Path, type: str, answered: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    async with world(tmp_path, FAILING) as here, here.user() as bar:
        found = await failures(bar, *(Message(here.service, way, type=type) for way in WAYS))
        text = capfd.readouterr().err
        assert "ZeroDivisionError" in text  # whoever hears of it
        assert ("not sent" in text) != answered
        if answered:
            assert sorted(found) == sorted(WAYS.values())
        else:
            assert found == []
            told = "Failing.fails: not sent, as no error answers this message of type groupchat"
            assert f"{told} from 'bar@localhost/test': item-not-found: no such thing" in text


@pytest.mark.parametrize(
    "stanza",
    [
        Message(None, "fails", type="headline"),
        Message(None, "fails", E.x(xmlns=ns.MUC_USER), type="chat"),
        Message(None, "fails", E.x(E.invite(), xmlns=ns.MUC_USER)),
        Message(None, "fails", ItemNotFound(), type="error"),
        Presence(None, status="fails"),
    ],
)
async def test_who_gets_no_error(tmp_path: Path, stanza: Stanza) -> None:
    async with world(tmp_path, FAILING) as here, here.user() as bar:
        stanza.to = here.service
        assert await failures(bar, stanza) == []


async def test_a_request_is_always_answered(tmp_path: Path) -> None:
    async with world(tmp_path, FAILING) as here, here.user() as bar:
        get = Iq("get", E.x(xmlns=ns.MUC_USER), to=here.service)
        assert await failures(bar, get) == ["item-not-found"]


# ── in whose name ───────────────────────────────────────────────────────────────────────────────

SPEAKING = """
import asyncio
from actors import Component
from emp import ns
from emp.errors import BadRequest, ItemNotFound, LocalProtocolError, StanzaError
from emp.jid import JID
from emp.routing import Routes
from emp.stanza import Iq, Message, Presence
from emp.xml import E

PING = E.ping(xmlns=ns.PING)
CACHED = Message("bar@localhost/test", "cached")

class Speaking(Component):
    async def nobody(self, sender):
        faults = []
        for send in (
            lambda: self.send(Presence()),
            lambda: self.send(Message(None, "x")),
            lambda: self.send(Iq("get", PING)),
            lambda: self.reply(Message(None, "x")),
        ):
            try:
                send()
            except LocalProtocolError as error:
                faults.append(str(error).partition(":")[0])
        for ask in (self.iq_get, self.iq_set):
            try:
                await ask(None, PING)
            except LocalProtocolError as error:
                faults.append(str(error).partition(":")[0])
        return ", ".join(faults)

    def nobody_returned(self):
        return Presence()

    def nobody_yielded(self, sender):
        try:
            yield Message(None, "x")
        except LocalProtocolError as error:
            yield str(error).partition(":")[0]

    async def asks(self, sender):
        self.say(sender, "said")
        self.send(Message(sender, "sent"))
        self.send(CACHED)
        self.say(sender, "named", from_="other@main.localhost")
        await self.iq_get(sender, PING)
        self.say(sender, "answered")
        await self.iq_set(sender, PING, from_="other@main.localhost/x")
        return "done"

    async def asks_bar(self):
        await self.iq_get("bar@localhost/test", PING)
        return "answered"

    async def stranger(self, sender):
        try:
            await self.iq_get(sender, PING, from_="ann@elsewhere.test")
        except LocalProtocolError as error:
            return str(error)

    def foreign(self, sender):
        for name in ("ann@elsewhere.test", "main.localhost.test", "@main.localhost"):
            for make in (Message, Presence):
                try:
                    stanza = make(sender)
                    stanza.from_text = name
                    self.send(stanza)
                except LocalProtocolError:
                    continue
                return name
        return "not sent"

    def foreign_result(self):
        result = self.stanza.result()
        result.from_ = "ann@elsewhere.test"
        return result

    def cached(self):
        return CACHED

    def text(self): return "text"
    def element(self): return E.x(xmlns="urn:example")
    def made(self): return self.stanza.reply("made")
    def sends(self, sender): self.send(Message(sender, "sent", from_="foo@localhost/main"))
    def result(self): return None
    def made_result(self): return self.stanza.result()
    def fails(self): self.fail(ItemNotFound)

    async def relay(self, sender):
        await self.iq_get(sender, PING, timeout=0.3)
    async def caught(self, sender):
        try:
            await self.iq_get(sender, PING)
        except ItemNotFound as error:
            raise BadRequest("ours") from error
    async def answered(self, sender):
        self.reply(None)
        await self.iq_get(sender, PING)

routes = Routes(namespaces={"e": "urn:example"})
for name in ("nobody", "nobody_returned", "nobody_yielded", "asks", "stranger", "foreign", "cached",
             "text", "element", "made", "sends", "relay", "caught", "fails"):
    routes.message(body=name).to(Speaking, name)
for name in ("result", "made_result", "foreign_result", "relay", "caught", "fails", "answered"):
    routes.iq_get(f"e:{name}").to(Speaking, name)
routes.message(body="ask bar").to(Speaking.asks_bar)
routes.message(type="groupchat").to(Speaking.relay)
"""
ANN = "ann@main.localhost/x"


def get(name: str, to: str | None) -> Iq:
    return Iq("get", E(name, xmlns="urn:example"), to=to)


def body(stanza: Stanza) -> str | None:
    assert isinstance(stanza, Message), stanza
    return stanza.body


async def test_a_component_must_say_to_whom(tmp_path: Path) -> None:
    async with world(tmp_path, SPEAKING, "component") as here, here.user() as bar:
        told = (await bar.ask(Message(ANN, "nobody"))).tree.findtext("{*}body")
        kinds = ("presence", "message", "iq", "message", "iq", "iq")
        assert told == ", ".join(
            f"{'an' if kind == 'iq' else 'a'} {kind} without `to`" for kind in kinds
        )
        error = (await bar.ask(Message(ANN, "nobody_returned"))).failure
        assert error is not None
        assert error.condition == "internal-server-error"
        assert body(await bar.ask(Message(ANN, "nobody_yielded"))) == "a message without `to`"
        assert here.actor("main").life.state == "connected"


async def test_a_contact_speaks_and_asks_in_its_own_name(tmp_path: Path) -> None:
    async with world(tmp_path, SPEAKING, "component") as here, here.user() as bar:
        here.actor("Speaking").component.say("bar@localhost/test", "by itself")
        assert (await bar.hear()).from_text == "main.localhost"
        bar.say(Message(ANN, "asks"))
        heard = [await bar.hear() for _ in range(5)]
        assert [(body(each), each.from_text) for each in heard[:4]] == [
            ("said", ANN),
            ("sent", ANN),
            ("cached", ANN),
            ("named", "other@main.localhost"),
        ]
        assert isinstance(heard[4], Iq)
        assert heard[4].from_text == ANN
        answered = await bar.ask(heard[4].result())
        assert (body(answered), answered.from_text) == ("answered", ANN)
        asked = await bar.hear()
        assert isinstance(asked, Iq)
        assert (asked.type, asked.from_text) == ("set", "other@main.localhost/x")
        done = await bar.ask(asked.result())
        assert (body(done), done.from_text) == ("done", ANN)
        told = body(await bar.ask(Message(ANN, "stranger")))
        assert told == "from_='ann@elsewhere.test': main speaks in the names of main.localhost only"
        assert body(await bar.ask(Message(ANN, "foreign"))) == "not sent"
        error = (await bar.ask(get("foreign_result", ANN))).failure
        assert error is not None  # a request is answered all the same
        assert error.condition == "internal-server-error"
        # What is sent twice is in the name of who sends it.
        for name in ("ann@main.localhost", "bob@main.localhost"):
            assert (await bar.ask(Message(name, "cached"))).from_text == name


async def test_two_contacts_ask_one_peer(tmp_path: Path) -> None:
    async with (
        world(tmp_path, SPEAKING, "component") as here,
        here.user() as bar,
        here.user("baz") as baz,
    ):
        asked = []
        for name, user in (("ann@main.localhost", bar), ("bob@main.localhost", baz)):
            user.say(Message(name, "ask bar"))
            asked.append(await bar.hear())
        for request in reversed(asked):
            assert isinstance(request, Iq)
            forged = request.result()
            forged.to = "eve@main.localhost"  # has not asked
            bar.say(forged, request.result())
        assert (await baz.hear()).from_text == "bob@main.localhost"
        assert (await bar.hear()).from_text == "ann@main.localhost"
        assert here.actor("main").gate.counts["uninvited"] == 2


async def test_a_client_leaves_its_name_to_its_server(tmp_path: Path) -> None:
    async with world(tmp_path, SPEAKING) as here, here.user() as bar:
        stream = here.actor("main").stream
        written: list[bytes] = []
        send = stream.send

        def spy(stanzas: list[Stanza]) -> None:
            written.extend(each.to_bytes() for each in stanzas)
            send(stanzas)

        stream.send = spy
        for to in (here.service, "foo@localhost"):
            for name in ("text", "element", "made", "sends", "fails"):
                if to == here.service or name != "fails":
                    heard = await bar.ask(Message(to, name, type="chat"))
                    assert heard.from_text == here.service
        for name in ("result", "made_result", "foreign_result", "fails", "nobody_handles_this"):
            heard = await bar.ask(get(name, here.service))
            assert heard.from_text == here.service
        bad = get("result", here.service)
        bad.type = "SET"
        await bar.ask(bad)
        assert len(written) == 15
        assert not [each for each in written if b" from=" in each]


@pytest.mark.parametrize(
    ("type", "id"), [("SET", "1"), ("bogus", "1"), ("", "1"), ("get", None), ("set", None)]
)
@pytest.mark.parametrize("kind", ["client", "component"])
async def test_requests_that_are_none(tmp_path: Path, kind: str, type: str, id: str | None) -> None:
    async with world(tmp_path, SPEAKING, kind) as here, here.user() as bar:
        request = get("result", here.service if kind == "client" else ANN)
        request.type, request.id = type, id
        answer = await bar.ask(request)
        assert answer.failure is not None
        assert (answer.failure.condition, answer.id) == ("bad-request", id)
        assert (await bar.ask(get("result", request.to_text))).type == "result"


# ── what others answer to us ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("item-not-found", "internal-server-error"),
        ("forbidden", "internal-server-error"),
        ("service-unavailable", "internal-server-error"),
        ("internal-server-error", "internal-server-error"),
        ("remote-server-timeout", "remote-server-timeout"),
        ("remote-server-not-found", "remote-server-timeout"),
        ("recipient-unavailable", "remote-server-timeout"),
        ("resource-constraint", "remote-server-timeout"),
        (None, "remote-server-timeout"),
    ],
)
async def test_an_error_for_us_is_not_our_answer(
    tmp_path: Path, theirs: str | None, ours: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async with world(tmp_path, SPEAKING) as here, here.user() as bar:
        asked = await bar.ask(get("relay", here.service))
        if theirs is not None:
            bar.say(asked.error(CONDITIONS[theirs]("secret of theirs")))
        answer = await bar.hear()
        assert answer.failure is not None
        assert answer.failure.condition == ours
        word, incident = answer.failure.text.split()
        assert word == "incident"
        (line,) = (each for each in capfd.readouterr().err.splitlines() if incident in each)
        assert "Speaking.relay" in line
        assert "failed on iq from bar@localhost/test" in line
        assert "iq get {urn:xmpp:ping}ping of bar@localhost/test" in line
        assert (f"{theirs}: secret of theirs" if theirs else "no answer within 0.3 s") in line


@pytest.mark.parametrize("kind", ["iq", "message"])
async def test_what_an_action_makes_of_it_is_our_answer(tmp_path: Path, kind: str) -> None:
    async with world(tmp_path, SPEAKING) as here, here.user() as bar:
        for name, condition in (("caught", "bad-request"), ("fails", "item-not-found")):
            to = here.service
            heard = await bar.ask(get(name, to) if kind == "iq" else Message(to, name))
            if name == "caught":
                heard = await bar.ask(heard.error(ItemNotFound()))
            assert heard.failure is not None
            assert heard.failure.condition == condition


async def test_what_others_answer_is_nothing_for_a_room(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with world(tmp_path, SPEAKING) as here, here.user() as bar:
        asked = await bar.ask(Message(here.service, "relay", type="groupchat"))
        bar.say(asked.error(ItemNotFound()))
        assert (await bar.ask(get("result", here.service))).type == "result"
        asked = await bar.ask(get("answered", here.service))
        assert asked.type == "result"
        asked = await bar.hear()
        bar.say(asked.error(ItemNotFound()))
        assert (await bar.ask(get("result", here.service))).type == "result"
        assert capfd.readouterr().err.count("incident ") == 2


async def test_the_gateway_of_the_guide(tmp_path: Path) -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs" / "components.md").read_text()
    _, _, rest = guide.partition("```python\n# gateway.py\n")
    source, _, _ = rest.partition("```")
    async with world(tmp_path, source, "component") as here, here.user() as bar:
        asked = await bar.ask(Message("ann@main.localhost", "hello"))
        assert isinstance(asked, Iq)
        assert (asked.type, asked.from_text) == ("get", "ann@main.localhost")
        identity = E.identity(category="client", type="pc", name="Balcony")
        hello = await bar.ask(asked.result(E.query(identity, xmlns=ns.DISCO_INFO)))
        assert (body(hello), hello.from_text) == ("hello, Balcony", "ann@main.localhost")
