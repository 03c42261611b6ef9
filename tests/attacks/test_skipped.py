"""What strangers send, and servers pass on, that we will not take: it costs one stanza.

The whole way, from the socket to the application and back.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.attacks.application import CLIENT, COMPONENT, application
from tests.attacks.hostile import PATIENCE, Dialogue
from tests.attacks.support import Attacks
from tests.attacks.test_strangers import message, play, said
from tests.emp.stream.test_skipping import DEEP, INSIDE, LONG

WHAT = INSIDE | LONG | {"too large": (b"<body>" + b"&apos;" * 12_000 + b"</body>", "stanza_bytes")}
LIMIT = "stanza_bytes = 70000\n"
SM = b"<sm xmlns='urn:xmpp:sm:3'/>"


@pytest.mark.parametrize("name", WHAT)
@pytest.mark.parametrize("kind", ["client", "component"])
async def test_it_is_answered_and_the_session_goes_on(
    attacks: Attacks, tmp_path: Path, kind: str, name: str
) -> None:
    to = "romeo@im.test/orchard" if kind == "client" else "x@bot.im.test"

    def stanza(start: str, sender: str = "mallory@evil.test/x") -> bytes:
        inside = WHAT[name][0]
        tag, _, _ = start.partition(" ")
        return f"<{start} from='{sender}' to='{to}'>".encode() + inside + f"</{tag}>".encode()

    async def script(dialogue: Dialogue) -> None:
        await (dialogue.session() if kind == "client" else dialogue.component())
        dialogue.send(message("before", to=to))
        dialogue.send(stanza("message type='chat' id='m1'"))
        dialogue.send(stanza("iq type='set' id='q1'"))
        dialogue.send(stanza("presence id='p1'") + stanza("message type='groupchat' id='g1'"))
        dialogue.send(stanza("iq type='result' id='r1'") + stanza("message type='error' id='e1'"))
        dialogue.send(message("behind", to=to))
        await dialogue.expect(said("heard behind"))

    dialogue = await play(
        attacks, tmp_path, script, (CLIENT if kind == "client" else COMPONENT) + LIMIT
    )
    refused = re.findall(rb"<(?:message|iq|presence) [^>]*type=\"error\"[^>]*>", dialogue.said)
    assert [re.findall(rb' id="([^"]*)"', each) for each in refused] == [[b"m1"], [b"q1"]]
    assert all(b'to="mallory@evil.test/x"' in each for each in refused)
    condition = b"not-acceptable" if WHAT[name][1] == "reserved_namespace" else b"policy-violation"
    assert dialogue.said.count(b"<" + condition) == 2
    assert re.search(said("heard before"), dialogue.said)
    assert dialogue.stream_error is None


async def test_an_answer_that_is_skipped_is_told_at_once(attacks: Attacks, tmp_path: Path) -> None:
    """Whoever waits for it, roster included, does not wait for a timeout."""

    async def script(dialogue: Dialogue) -> None:
        await dialogue.session()
        fetched = re.search(
            rb"<iq [^>]*id=['\"]([^'\"]*)['\"][^>]*><query [^>]*roster", dialogue.said
        )
        assert fetched is not None
        dialogue.send(b"<iq type='result' id='%s'>%s</iq>" % (fetched[1], DEEP))
        dialogue.send(message("ask juliet@im.test"))
        request = await dialogue.expect(rb"<iq [^>]*>\s*<query [^>]*urn:example:secret")
        id = re.search(rb" id=['\"]([^'\"]*)", request[0])
        assert id is not None
        answer = b"<iq type='result' id='%s' from='juliet@im.test'>%s</iq>" % (id[1], DEEP)
        dialogue.send(answer)
        await dialogue.expect(rb"<message [^>]*type=\"error\"")  # long before 60 seconds
        dialogue.send(message("bye"))
        await dialogue.expect(said("heard bye"))

    await play(attacks, tmp_path, script, CLIENT + "roster = true\n")


async def test_an_answer_to_a_component_that_is_skipped(attacks: Attacks, tmp_path: Path) -> None:
    """It is for the contact that has asked."""

    async def script(dialogue: Dialogue) -> None:
        await dialogue.component()
        dialogue.send(message("ask juliet@im.test", to="x@bot.im.test"))
        request = await dialogue.expect(rb"<iq [^>]*>\s*<query [^>]*urn:example:secret")
        assert b'from="x@bot.im.test"' in request[0]
        id = re.search(rb" id=['\"]([^'\"]*)", request[0])
        assert id is not None
        answer = b"<iq type='result' id='%s' from='juliet@im.test' to='x@bot.im.test'>" % id[1]
        dialogue.send(answer + DEEP + b"</iq>")
        await dialogue.expect(rb"<message [^>]*type=\"error\"")  # long before 60 seconds

    await play(attacks, tmp_path, script, COMPONENT)


async def test_a_stranger_cannot_answer_by_it(attacks: Attacks, tmp_path: Path) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.session()
        dialogue.send(message("ask juliet@im.test"))
        request = await dialogue.expect(rb"<iq [^>]*>\s*<query [^>]*urn:example:secret")
        id = re.search(rb" id=['\"]([^'\"]*)", request[0])
        assert id is not None
        start = b"<iq type='result' id='%s'" % id[1]
        dialogue.send(start + b" from='mallory@evil.test'>" + DEEP + b"</iq>")
        dialogue.send(start + b" from='juliet@im.test'><x xmlns='u' word='truth'/></iq>")
        await dialogue.expect(said("answered truth"))

    await play(attacks, tmp_path, script, CLIENT)


async def test_it_is_acknowledged(attacks: Attacks, tmp_path: Path) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.authenticated()
        await dialogue.header(b"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>" + SM)
        await dialogue.bind()
        await dialogue.expect(rb"<enable [^>]*>")
        dialogue.send(b"<enabled xmlns='urn:xmpp:sm:3' id='s' resume='true'/>")
        await dialogue.expect(rb"<presence")
        bad = b"<message from='a@b/c'>" + DEEP + b"</message>"
        dialogue.send(message("one") + bad + bad + message("two"))
        await dialogue.expect(said("heard two"))
        dialogue.send(b"<r xmlns='urn:xmpp:sm:3'/>")
        await dialogue.expect(rb"<a [^>]*h=['\"]4['\"]")

    await play(attacks, tmp_path, script, CLIENT)


COUNTING = """
from actors import Component
from emp.routing import Routes

class Counting(Component):
    async def count(self):
        return f"{len(await self.roster(timeout=60))} contacts"

routes = Routes()
routes.message("[body]").to(Counting.count)
"""


async def test_twenty_thousand_contacts(attacks: Attacks, tmp_path: Path) -> None:
    item = "<item jid='contact-%d@example.org' name='Contact &lt;%d&gt;' subscription='both'>"
    items = "".join(f"{item % (n, n)}<group>All of them</group></item>" for n in range(20_000))
    done = asyncio.Event()

    async def script(dialogue: Dialogue) -> None:
        await dialogue.session()
        asked = rb"<iq [^>]*id=['\"]([^'\"]*)['\"][^>]*><query [^>]*roster"
        fetched = re.search(asked, dialogue.said)
        assert fetched is not None
        query = f"<query xmlns='jabber:iq:roster'>{items}</query>".encode()
        dialogue.send(b"<iq type='result' id='%s'>%s</iq>" % (fetched[1], query))
        dialogue.send(message("how many?"))
        await dialogue.expect(rb"<body>20000 contacts")
        done.set()

    async with attacks.server(script) as server:
        # Less than the default, so that it is the other limit that lets it pass.
        settings = f'{CLIENT}{LIMIT}roster = true\nca_file = "{attacks.authority.ca_file}"\n'
        async with application(tmp_path, server, COUNTING, settings), asyncio.timeout(PATIENCE):
            await done.wait()
