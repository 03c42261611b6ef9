"""The applications of the guides, played: what the text says of them is what they do."""

from __future__ import annotations

import re
from pathlib import Path

from emp.errors import BadRequest, Forbidden, PolicyViolation
from emp.stanza import Iq, Message, Stanza
from emp.xml import E
from tests.actors.world import User, world

DOCS = Path(__file__).resolve().parents[2] / "docs"
_BLOCK = r"^```python\n(# {}\n.*?)^```$"
SHOP = "urn:example:shop"


def application(guide: str, name: str) -> str:
    """The code of that name, for the domain of the world's component."""
    found = re.findall(_BLOCK.format(re.escape(name)), (DOCS / guide).read_text(), re.M | re.S)
    assert len(found) == 1
    return str(found[0]).replace("game.localhost", "main.localhost")


async def says(user: User, to: str, text: str) -> str | None:
    answer = await user.ask(Message(to, text, type="chat"))
    assert isinstance(answer, Message)
    return answer.body


async def test_errors_in_a_shop(tmp_path: Path) -> None:
    service = "foo@localhost/main"
    async with (
        world(tmp_path, application("stanzas.md", "shop.py")) as here,
        here.user("bar") as bar,
        here.user("baz") as baz,
    ):
        failure = (await baz.ask(Iq("set", E.order(xmlns=SHOP), to=service))).failure
        assert isinstance(failure, Forbidden)
        assert failure.application is not None
        assert failure.application.tag == f"{{{SHOP}}}join_first"
        many = E.order(xmlns=SHOP, pieces=11)
        failure = (await bar.ask(Iq("set", many, to=service))).failure
        assert isinstance(failure, PolicyViolation)
        assert failure.application is not None
        assert failure.application.text == "10"
        ordered = await bar.ask(Iq("set", E.order(xmlns=SHOP), to=service))
        assert ordered.payload_name == f"{{{SHOP}}}ordered"

        limit = E.limit("7", xmlns=SHOP)
        for error, words in (
            (PolicyViolation("too fast", application=limit), "not now: too fast 7"),
            (BadRequest("what?"), "refused (modify): bad-request what?"),
        ):
            asked = await bar.ask(Message(service, "ask bar@localhost/test", type="chat"))
            assert asked.payload_name == f"{{{SHOP}}}stock"
            answer = await bar.ask(asked.error(error))
            assert isinstance(answer, Message)
            assert answer.body == words
        asked = await bar.ask(Message(service, "ask bar@localhost/test", type="chat"))
        assert isinstance(asked, Iq)
        answer = await bar.ask(asked.result(E.stock("3", xmlns=SHOP)))
        assert isinstance(answer, Message)
        assert answer.body == "in stock: 3"

        assert await says(bar, service, "gone?") == "nobody"
        lost = Stanza.parse(
            b"<message type='error' to='foo@localhost/main'><error type='cancel'>"
            b"<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
        )
        bar.say(lost)
        assert await says(bar, service, "gone?") == "bar@localhost"


async def test_notes_in_sqlite(tmp_path: Path) -> None:
    async with (
        world(tmp_path, application("background.md", "notes.py")) as here,
        here.user("bar") as bar,
        here.user("baz") as baz,
    ):
        assert await says(bar, here.service, "add it's; DROP TABLE notes") == "note 1"
        assert await says(baz, here.service, "add mine") == "note 2"
        assert await says(bar, here.service, "show 1") == "it's; DROP TABLE notes"
        refused = await baz.ask(Message(here.service, "show 1", type="chat"))
        assert refused.failure is not None
        assert refused.failure.condition == "item-not-found"
        for number in range(50):
            bar.say(Message(here.service, f"add {number}", type="chat"))
        noted = [await bar.hear() for _ in range(50)]
        numbers = [int((each.body or "").split()[1]) for each in noted if isinstance(each, Message)]
        assert numbers == sorted(numbers)
        assert len(here.actor("Notes").component.idle) <= 4


async def test_reminders(tmp_path: Path) -> None:
    source = application("background.md", "reminders.py")
    async with world(tmp_path, source) as here, here.user("bar") as bar:
        bar.say(Message(here.service, "remind 3600 cake", type="chat"))
        bar.say(Message(here.service, "remind 0 tea", type="chat"))
        heard = [await bar.hear() for _ in range(3)]
        bodies = [each.body for each in heard if isinstance(each, Message)]
        assert bodies == ["I will", "I will", "remember: tea"]
        assert len(here.actor("Reminders").component.waiting) == 1


async def test_one_counts_what_many_answer(tmp_path: Path) -> None:
    async with (
        world(tmp_path, application("background.md", "visits.py")) as here,
        here.user("bar") as bar,
        here.user("baz") as baz,
    ):
        for user in (bar, baz):
            assert await says(user, here.service, "hello") == "olleh"
        assert await says(bar, here.service, "again") == "niaga"
        assert await says(baz, here.service, "report") == "3 messages of 2 users"


async def test_many_ask_one(tmp_path: Path) -> None:
    source = application("background.md", "game.py")
    async with (
        world(tmp_path, source, kind="component") as here,
        here.user("bar") as bar,
        here.user("baz") as baz,
    ):
        assert await says(bar, "main.localhost", "41") == "no"
        assert await says(bar, "main.localhost", "42") == "yes! 1 so far"
        assert await says(bar, "any@main.localhost/x", "42") == "yes! 2 so far"
        assert await says(baz, "main.localhost", "42") == "yes! 1 so far"
        cheat = E.add(xmlns="urn:example:game", user="baz@localhost", points=100)
        refused = await baz.ask(Iq("set", cheat, to="scores@main.localhost"))
        assert refused.failure is not None
        assert refused.failure.condition == "service-unavailable"


POOLED = """
from actors import Component
from emp.routing import Routes

class Pooled(Component):
    pool = 4
    def __init__(self): self.had = []
    def startup(self): self.had.append("startup")
    def hello(self): return "hello"

routes = Routes()
routes.message("[body='hello']").to(Pooled.hello)
"""


async def test_what_a_pool_multiplies(tmp_path: Path) -> None:
    async with world(tmp_path, POOLED) as here:
        names = ["Pooled", "Pooled-2", "Pooled-3", "Pooled-4"]
        workers = [here.actor(name).component for name in names]
        assert [each.had for each in workers] == [["startup"]] * 4
        assert len({id(each) for each in workers}) == 4


KEEPER = """
from actors import Component
from emp.jid import JID
from emp.routing import Routes
from emp.stanza import Message
from emp.xml import E

class Keeper(Component):
    def __init__(self):
        self.greeting = Message(type="chat")
        self.greeting.tree.append(E.kept(xmlns="urn:x"))
    def returned(self, sender: JID, body: str):
        self.greeting.to, self.greeting.body = sender, body
        return self.greeting
    def sent(self, sender: JID, body: str):
        for word in body.split():
            self.greeting.to, self.greeting.body = sender, word
            self.greeting.payload.set("word", word)
            self.send(self.greeting)
    def yielded(self, sender: JID, body: str):
        for word in body.split():
            self.greeting.to, self.greeting.body = sender, word
            self.greeting.payload.set("word", word)
            yield self.greeting
    def forwarded(self, stanza, payload):
        payload.set("seen", "true")
        stanza.to, stanza.from_ = stanza.from_, None
        return stanza

routes = Routes(namespaces={"x": "urn:x"})
routes.message("x:look").to(Keeper.forwarded)
routes.message("[contains(body, 'sent')]").to(Keeper.sent)
routes.message("[contains(body, 'yielded')]").to(Keeper.yielded)
routes.message("[body]").to(Keeper.returned)
"""


async def test_a_stanza_is_sent_as_it_was(tmp_path: Path) -> None:
    async with world(tmp_path, KEEPER) as here, here.user("bar") as bar:
        for text in ("a", "b", "c", "1 sent 2", "3 yielded 4"):
            bar.say(Message(here.service, text, type="chat"))
        heard = [await bar.hear() for _ in range(9)]
        bodies = [each.body for each in heard if isinstance(each, Message)]
        assert bodies == ["a", "b", "c", "1", "sent", "2", "3", "yielded", "4"]
        words = [each.payload.get("word") for each in heard[3:] if each.payload is not None]
        assert words == bodies[3:]
        back = await bar.ask(Message(here.service, "x", E.look(xmlns="urn:x"), type="chat"))
        assert back.payload is not None
        assert back.payload.get("seen") == "true"
