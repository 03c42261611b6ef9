"""What we say to others, at real servers: a bot in a room, and the contacts of a component."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from emp import ns
from emp.errors import ItemNotFound
from emp.stanza import Iq, Message, Presence, Stanza
from emp.xml import E
from tests.e2e.application import application
from tests.e2e.member import Member, member
from tests.e2e.place import real
from tools.servers import Server

BOT = """
from actors import Component
from emp import ns
from emp.errors import ItemNotFound, LocalProtocolError
from emp.jid import JID
from emp.routing import Routes
from emp.stanza import Message, Presence
from emp.xml import E

class Bot(Component):
    def join(self, room: JID) -> str:
        self.send(Presence(room, E.x(E.history(maxstanzas="0"), xmlns=ns.MUC)))
        return "joining"

    def hello(self, sender: JID) -> str:
        return f"hello {sender.resource}"

    def crash(self):
        1 / 0

    def fails(self):
        self.fail(ItemNotFound, "no such thing")

    def nobody(self):
        try:
            self.send(Presence())
        except LocalProtocolError as error:
            return str(error)

    def names(self):
        return self.stanza.reply("in our name")

    async def relay(self, sender: JID) -> str:
        await self.iq_get(sender, E.ping(xmlns=ns.PING))
        return "pong"

routes = Routes()
routes.message("starts-with(body, 'join ')", room="substring-after(body, ' ')").to(Bot.join)
for type in ("normal", "chat", "groupchat"):
    routes.message(body="hi", type=type).to(Bot.hello)
    routes.message(body="crash", type=type).to(Bot.crash)
    routes.message(body="fails", type=type).to(Bot.fails)
for name in ("nobody", "names", "relay"):
    routes.message(body=name).to(Bot, name)
"""


class Bot(NamedTuple):
    """A bot that runs. address: where it is written to."""

    server: Server
    kind: str
    address: str


@pytest.fixture(params=["client", "component"])
async def bot(
    request: pytest.FixtureRequest, real_server: Server, tmp_path: Path
) -> AsyncIterator[Bot]:
    server, kind = real_server, request.param
    here = f'server = "{server.host}"\n'
    if kind == "client":
        address = f"alice@{server.domain}/bot"
        config = (
            f'kind = "client"\nnode = "alice"\nhost = "{server.domain}"\nresource = "bot"\n'
            f'password = "{server.account("alice")}"\nport = {server.client_port}\n'
            f'ca_file = "{server.ca_file}"\n'
        )
    else:
        address = f"bot@{server.components[0]}/x"
        config = (
            f'host = "{server.components[0]}"\nsecret = "{server.component_secret}"\n'
            f"port = {server.component_port}\n"
        )
    (tmp_path / "emp.toml").write_text(f"[connections.main]\n{here}{config}")
    (tmp_path / "bot.py").write_text(BOT)
    async with application(str(tmp_path / "bot.py")) as running:
        yield Bot(server, kind, address)
        # One session, from the beginning to the end.
        assert "ended the stream" not in running.text, running.text


@contextlib.asynccontextmanager
async def person(bot: Bot, name: str) -> AsyncIterator[Member]:
    async with member(real(bot.server), name, resource=f"r{uuid.uuid4().hex[:6]}") as someone:
        yield someone


def says(body: str) -> Callable[[Stanza], bool]:
    return lambda each: isinstance(each, Message) and each.type != "error" and each.body == body


def is_in(room: str) -> Callable[[Stanza], bool]:
    return lambda each: each.kind == "presence" and each.from_text == room


async def enter(someone: Member, room: str, nick: str) -> None:
    someone.say(Presence(f"{room}/{nick}", E.x(E.history(maxstanzas="0"), xmlns=ns.MUC)))
    await someone.next(lambda each: b"110" in each.to_bytes())  # our own presence comes last


async def test_a_bot_stays_in_its_room(bot: Bot) -> None:
    room = f"r{uuid.uuid4().hex[:8]}@{bot.server.conference}"
    async with person(bot, "bob") as bob, person(bot, "carol") as carol:
        await enter(bob, room, "bob")
        form = E.x(xmlns=ns.DATA_FORMS, type="submit")
        opened = Iq("set", E.query(form, xmlns=ns.MUC_OWNER), to=room)  # an instant room
        assert (await bob.ask(opened)).type == "result"
        bob.say(Message(bot.address, f"join {room}/bot", type="chat"))
        await bob.next(is_in(f"{room}/bot"))
        await enter(carol, room, "\u3164")
        for someone in (carol, bob):
            someone.say(
                Message(room, "crash", type="groupchat"),
                Message(room, "fails", type="groupchat"),
                Message(f"{room}/bot", "crash", type="chat"),
                Message(room, "hi", type="groupchat"),
            )
            greeting = await bob.next(
                lambda each: isinstance(each, Message) and (each.body or "").startswith("hello ")
            )
            assert greeting.from_text == f"{room}/bot"
            assert greeting.type == "groupchat"


async def test_who_writes_to_it_is_answered(bot: Bot) -> None:
    async with person(bot, "bob") as bob:
        bob.say(Message(bot.address, "fails", type="chat"))
        failed = await bob.next(lambda each: each.type == "error" and each.kind == "message")
        assert isinstance(failed.failure, ItemNotFound)
        addresses = [bot.address]
        if bot.kind == "component":
            domain = bot.server.components[0]
            addresses += [f"♥@{domain}", f"\u1160@{domain}/x", f"ann@{domain}"]
        for address in addresses:
            bob.say(Message(address, "names", type="chat"))
            assert (await bob.next(says("in our name"))).from_text == address
            bob.say(Message(address, "relay", type="chat"))
            asked = await bob.next(lambda each: isinstance(each, Iq))
            assert isinstance(asked, Iq)
            assert asked.from_text == address
            bob.say(asked.result())
            assert (await bob.next(says("pong"))).from_text == address
            bob.say(Message(address, "relay", type="chat"))
            asked = await bob.next(lambda each: isinstance(each, Iq))
            bob.say(asked.error(ItemNotFound("between you and me")))
            failed = await bob.next(lambda each: each.type == "error" and each.kind == "message")
            assert failed.failure is not None
            assert failed.failure.condition == "internal-server-error"
            assert "between" not in failed.failure.text


async def test_a_stanza_to_nobody_costs_no_stream(bot: Bot) -> None:
    async with person(bot, "bob") as bob:
        bob.say(Message(bot.address, "nobody", type="chat"))
        if bot.kind == "component":
            told = await bob.next(lambda each: isinstance(each, Message))
            assert "without `to`" in (told.body or "")  # type: ignore[attr-defined]
        bob.say(Message(bot.address, "hi", type="chat"))
        await bob.next(lambda each: isinstance(each, Message) and "hello" in (each.body or ""))
