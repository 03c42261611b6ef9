"""What we say to others: who gets an error, and in whose name we speak."""

from __future__ import annotations

from pathlib import Path

import pytest

from emp import ns
from emp.errors import ItemNotFound
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
