"""Attacks on a running application: what its server can do to it, and what it does about that."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from emp.net import transport
from tests.attacks.application import CLIENT, COMPONENT, ECHO, application
from tests.attacks.hostile import PATIENCE, Dialogue
from tests.attacks.support import Attacks
from tests.attacks.test_elsewhere import see_other_host
from tests.attacks.test_management import managed
from tests.attacks.test_strangers import PUSH, message, said
from tests.attacks.test_xml import FAULTS
from tests.attacks.words import CLIENT_HEADER, PASSWORD, SECRET, sasl
from tests.e2e.application import started

HELLO = message("hello")

# -- what passes is tried again -------------------------------------------------------------------

TRANSIENT = {
    "hang up": b"",
    "end": b"</stream:stream>",
    "half a stanza": b"<message><body>half",
    "billion laughs": b"<!DOCTYPE lolz [<!ENTITY lol 'lol'>]>",
    "stream error": b"<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
    b"</stream:error></stream:stream>",
    "elsewhere": see_other_host("127.0.0.1:1"),
    **{name: data for name, (data, _) in FAULTS.items() if name in ("NUL", "not UTF-8", "comment")},
}


@pytest.mark.parametrize("name", TRANSIENT)
@pytest.mark.parametrize("kind", ["client", "component"])
async def test_it_comes_back(attacks: Attacks, tmp_path: Path, kind: str, name: str) -> None:
    """After every fault of a stream there is another one, and it works."""
    stage, settings, hello = (
        (Dialogue.session, with_authority(attacks, CLIENT), HELLO)
        if kind == "client"
        else (Dialogue.component, COMPONENT, message("hello", to="bot.im.test"))
    )

    async def script(dialogue: Dialogue) -> None:
        await stage(dialogue)
        dialogue.send(hello)
        await dialogue.expect(said("you said hello"))
        if dialogue is server.dialogues[0]:
            dialogue.send(TRANSIENT[name])
            dialogue.hang_up()

    server = attacks.server(script)
    async with server, application(tmp_path, server, ECHO, settings) as here:
        await here.until("connected", "main")
        second = await server.visitor(1)
        await here.until("connected", "main")
        async with asyncio.timeout(PATIENCE):
            while b"you said hello" not in second.said:
                await asyncio.sleep(0.01)


def with_authority(attacks: Attacks, settings: str) -> str:
    return f'{settings}ca_file = "{attacks.authority.ca_file}"\n'


# -- what does not pass is not --------------------------------------------------------------------


async def test_a_stripper_is_not_tried_again(attacks: Attacks, tmp_path: Path) -> None:
    """Who meets a server without TLS stops, and the operator hears why."""
    settings = with_authority(attacks, CLIENT)
    async with (
        attacks.server(Dialogue.header) as server,
        application(tmp_path, server, ECHO, settings) as here,
    ):
        await here.until("failed", "main")
        await server.over()
        assert server.said.credentials == []


@pytest.mark.parametrize("system", ["embedded", "multiproc"])
async def test_emp_start_against_a_stripper(attacks: Attacks, tmp_path: Path, system: str) -> None:
    """The whole program: it ends, says what is wrong, and nowhere shows the password."""
    (tmp_path / "victim.py").write_text(ECHO)
    async with attacks.server(Dialogue.header) as server:
        settings = with_authority(attacks, CLIENT)
        (tmp_path / "emp.toml").write_text(
            f'[log]\nlevel = "debug"\n[connections.main]\nserver = "127.0.0.1"\n'
            f"port = {server.port}\n{settings}"
        )
        async with started(str(tmp_path / "victim.py"), "--system", system) as victim:
            assert await victim.ended() == 1
            assert "does no TLS" in victim.text
            assert PASSWORD not in victim.text
            assert "Traceback" not in victim.text
        assert server.said.credentials == []


@pytest.mark.parametrize("kind", ["client", "component"])
async def test_secrets_are_nowhere(
    attacks: Attacks, tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Refused, and with all logs on: neither log nor facts nor reports show a secret."""
    secret = PASSWORD if kind == "client" else SECRET

    async def refuse(dialogue: Dialogue) -> None:
        if kind == "component":
            await dialogue.expect(rb"<stream:stream[^>]*>")
            dialogue.send(CLIENT_HEADER.replace(b"jabber:client", b"jabber:component:accept"))
            await dialogue.expect(rb"</handshake>")
            dialogue.send(b"<stream:error><not-authorized/></stream:error></stream:stream>")
        else:
            await dialogue.secure()
            await dialogue.header(MECHANISMS)
            await dialogue.log_in(success=lambda verifier: sasl("failure"))

    settings = with_authority(attacks, CLIENT) if kind == "client" else COMPONENT
    settings += '[log]\nlevel = "debug"\n'
    async with attacks.server(refuse) as server:
        async with application(tmp_path, server, ECHO, settings) as here:
            await here.until("failed" if kind == "client" else "waiting", "main")
            actor = here.actor("main")
            shown = repr(actor.facts()) + repr(vars(actor)) + repr(actor.spec)
        assert server.dialogues[0].credentials
    output = capfd.readouterr()
    assert secret not in shown + output.out + output.err


MECHANISMS = (
    b"<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-256</mechanism>"
    b"</mechanisms>"
)

# -- in whose name --------------------------------------------------------------------------------

REPEATER = """
from actors import Component
from emp.routing import Routes
from emp.stanza import Message

class Repeater(Component):
    def speak(self, body):
        if body == "bye":
            return "bye"
        answer = Message("juliet@im.test", "in the name of " + body)
        answer.from_ = body.removeprefix("as ")
        return answer

routes = Routes()
routes.message("[body]").to(Repeater.speak)
"""

FOREIGN = {
    "another domain": "admin@evil.test",
    "the server": "im.test",
    "the server's admin": "admin@im.test",
    "a subdomain": "bank.bot.im.test",
    "our domain as a prefix": "bot.im.test.evil.test",
    "our domain as a suffix": "notbot.im.test",
    "our domain as a name": "bot.im.test@evil.test",
    "our domain as a resource": "evil.test/bot.im.test",
    "our domain as a resource with an @": "evil.test/x@bot.im.test",
    "a look-alike": "b\u043et.im.test",
}


@pytest.mark.parametrize("name", FOREIGN)
async def test_a_component_is_not_addressed_by_other_names(
    attacks: Attacks, tmp_path: Path, name: str
) -> None:
    """What is not for our domain is not ours, and no answer leaves in that name."""

    async def script(dialogue: Dialogue) -> None:
        await dialogue.component()
        dialogue.send(message("hello", to=FOREIGN[name]))
        dialogue.send(
            f"<iq type='get' id='1' from='mallory@evil.test' to='{FOREIGN[name]}'>"
            "<query xmlns='urn:x'/></iq>".encode()
        )
        dialogue.send(message("bye", to="bot.im.test"))
        await dialogue.expect(said("you said bye"))
        done.set()

    done = asyncio.Event()
    async with attacks.server(script) as server:
        async with application(tmp_path, server, ECHO, COMPONENT):
            async with asyncio.timeout(PATIENCE):
                await done.wait()
        sent = re.findall(rb"<(?:message|iq|presence) [^>]*from=['\"]([^'\"]*)", server.said.said)
        assert sent == [b"bot.im.test"]


@pytest.mark.parametrize("name", FOREIGN)
async def test_a_component_does_not_speak_in_other_names(
    attacks: Attacks, tmp_path: Path, name: str
) -> None:
    """A server would end the stream for it (invalid-from), with all that is under way: it is a
    fault of the action, and answered as one."""

    async def script(dialogue: Dialogue) -> None:
        await dialogue.component()
        dialogue.send(message(f"as {FOREIGN[name]}", to="bot.im.test"))
        dialogue.send(message("as friend@bot.im.test/x", to="bot.im.test"))
        dialogue.send(message("as BOT.im.test", to="bot.im.test"))
        dialogue.send(message("bye", to="bot.im.test"))
        await dialogue.expect(said("bye"))
        done.set()

    done = asyncio.Event()
    async with attacks.server(script) as server:
        async with application(tmp_path, server, REPEATER, COMPONENT):
            async with asyncio.timeout(PATIENCE):
                await done.wait()
        sent = re.findall(rb"<(?:message|iq|presence) [^>]*from=['\"]([^'\"]*)", server.said.said)
        assert [each.lower() for each in sent] == [
            b"bot.im.test",
            b"friend@bot.im.test/x",
            b"bot.im.test",
            b"bot.im.test",
        ]


ADDRESSES = ["@@", "a@b@c", "x" * 1024, "a b@evil.test", "@evil.test", "evil.test/", "\u202e@evil"]


@pytest.mark.parametrize("kind", ["client", "component"])
async def test_addresses_that_are_none(attacks: Attacks, tmp_path: Path, kind: str) -> None:
    """They reach no action: keys, routes and logs would have to trust them."""
    stage, settings, own = (
        (Dialogue.session, with_authority(attacks, CLIENT), "romeo@im.test/orchard")
        if kind == "client"
        else (Dialogue.component, COMPONENT, "bot.im.test")
    )

    async def script(dialogue: Dialogue) -> None:
        await stage(dialogue)
        for address in ADDRESSES:
            dialogue.send(message("hello", address, to=own))
            dialogue.send(message("hello", to=address))
        dialogue.send(message("bye", to=own))
        await dialogue.expect(said("you said bye"))
        done.set()

    done = asyncio.Event()
    async with attacks.server(script) as server:
        async with application(tmp_path, server, ECHO, settings):
            async with asyncio.timeout(PATIENCE):
                await done.wait()
        assert b"you said hello" not in server.said.said


WELCOMING = """
from actors import Component
from emp.jid import JID
from emp.routing import Routes

class Welcoming(Component):
    def hello(self, sender: JID, body: str, name: JID, user: str) -> str:
        assert sender == name and sender.local == user
        self.say(str(sender), "by its text")
        return f"welcome {sender.local} of {sender.domain}"

routes = Routes()
routes.message("[body]", from_="{user}@{domain}/{device}", name="@from").to(Welcoming.hello)
"""
STRANGE = [
    "\u2665@evil.test/x",
    "\u3164@evil.test/x",
    "room@evil.test/\u3164",
    "room@evil.test/\u0378",
    "room@evil.test/\U0001f468\u200d\U0001f469",
    "room@evil.test/\u00ad",
    "a@under_score.test/ x ",
    "\u2665" * 341 + "@evil.test/" + "\u00ad" * 511,
]


@pytest.mark.parametrize("kind", ["client", "component"])
async def test_addresses_that_we_would_not_make(
    attacks: Attacks, tmp_path: Path, kind: str
) -> None:
    """Whom a server knows by which name is its business: they route, and are answered."""
    stage, settings, own = (
        (Dialogue.session, with_authority(attacks, CLIENT), "romeo@im.test/orchard")
        if kind == "client"
        else (Dialogue.component, COMPONENT, "\u2665@bot.im.test/\u3164")
    )

    async def script(dialogue: Dialogue) -> None:
        await stage(dialogue)
        for address in STRANGE:
            dialogue.send(message("hello", address, to=own))
            local, _, rest = address.partition("@")
            await dialogue.expect(b'to="' + address.encode() + b'"' + b"[^>]*>" + said("by its"))
            await dialogue.expect(
                b"to=\"" + address.encode() + b"\"" + b"[^>]*>"
                + said(f"welcome {local} of {rest.partition('/')[0]}")
            )  # fmt: skip
        done.set()

    done = asyncio.Event()
    async with attacks.server(script) as server:
        async with application(tmp_path, server, WELCOMING, settings):
            async with asyncio.timeout(PATIENCE):
                await done.wait()
        if kind == "component":
            welcome = re.search(
                rb"<message [^>]*from=\"([^\"]*)\"[^>]*><body>wel", server.said.said
            )
            assert welcome is not None
            assert welcome[1] == own.encode()


# -- floods ---------------------------------------------------------------------------------------

PATIENCE_OF_THE_VICTIM = 5000
"""Stanzas without acknowledgement, instead of emp.net.transport.HOPELESS, to be done sooner."""


async def test_refusals_that_nobody_takes(
    attacks: Attacks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spoofed roster pushes, one after the other, and the server acknowledges nothing that we
    answer: it must not pile up."""
    monkeypatch.setattr(transport, "HOPELESS", PATIENCE_OF_THE_VICTIM)
    push = PUSH.format(sender=" from='mallory@evil.test'", jid="mallory@evil.test").encode()

    async def script(dialogue: Dialogue) -> None:
        await managed(dialogue)
        await dialogue.flood(push * 100, 100_000)

    async with (
        attacks.server(script) as server,
        application(tmp_path, server, ECHO, with_authority(attacks, CLIENT)) as here,
    ):
        await here.until("waiting", "main")
        facts = here.actor("main").facts()
        assert "acknowledges nothing" in facts["reason"]
        assert facts["not_acknowledged"] <= PATIENCE_OF_THE_VICTIM + 1
        await server.visitor(1)  # and tries again
