"""Attacks on the order of things: what comes too early, twice, from elsewhere, or never ends."""

from __future__ import annotations

import pytest

from emp.errors import ConnectionFailed
from tests.attacks.hostile import Dialogue
from tests.attacks.support import Attacks
from tests.attacks.test_xml import STAGES, then
from tests.attacks.words import (
    BIND,
    CLIENT_HEADER,
    PROCEED,
    SCRAM,
    STARTTLS,
    features,
    mechanisms,
    sasl,
)

MESSAGE = b"<message from='im.test'><body>trust me</body></message>"
SESSION = b"<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>"

# -- too early, or twice --------------------------------------------------------------------------

# Sent in place of features, wherever features are due.
EARLY = {
    "message": (MESSAGE, "not-authorized"),
    "presence": (b"<presence from='juliet@im.test'/>", "not-authorized"),
    "iq": (b"<iq type='set' id='1'><query xmlns='jabber:iq:roster'/></iq>", "not-authorized"),
    "unknown element": (b"<query xmlns='jabber:iq:roster'/>", "unsupported-stanza-type"),
    "stanza of servers": (b"<message xmlns='jabber:server'/>", "unsupported-stanza-type"),
    "second header": (CLIENT_HEADER.partition(b"?>")[2], "unsupported-stanza-type"),
    "text": (b"hello" + MESSAGE, "bad-format"),
    "proceed": (PROCEED, "unsupported-stanza-type"),
    "challenge": (sasl("challenge", b"r=x"), "unsupported-stanza-type"),
    "success": (sasl("success", b"v=x"), "unsupported-stanza-type"),
}


@pytest.mark.parametrize("name", EARLY)
@pytest.mark.parametrize("stage", ["secure", "authenticate", "bind"])
async def test_too_early(attacks: Attacks, stage: str, name: str) -> None:
    data, condition = EARLY[name]
    play, step = STAGES[stage]
    async with attacks.server(then(play, data)) as server:
        error = await attacks.refused(server)
        assert error.step == step
        assert server.said.stream_error == condition
        if step == "secure":
            assert server.said.credentials == []


@pytest.mark.parametrize("offers", [(STARTTLS,), (STARTTLS, SCRAM), (SCRAM,), ()])
async def test_features_twice_in_clear(attacks: Attacks, offers: tuple[bytes, ...]) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.header(STARTTLS)
        dialogue.send(features(*offers))

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert error.step == "secure"
        assert server.said.stream_error == "policy-violation"
        assert server.said.credentials == []


async def test_features_twice_under_tls(attacks: Attacks) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.secure()
        await dialogue.header(SCRAM)
        dialogue.send(features(mechanisms("PLAIN")))

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert error.step == "authenticate"
        assert server.said.stream_error == "policy-violation"
        assert server.said.said.count(b"<auth") == 1


async def test_tls_offered_again_under_tls(attacks: Attacks) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.secure()
        await dialogue.header(STARTTLS)

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert error.step == "authenticate"
        assert b"<starttls" not in server.said.secret


# What a server may not say any more once there is a session.
LATE = {
    "features": (features(STARTTLS, mechanisms("PLAIN")), "unsupported-stanza-type"),
    "second header": (CLIENT_HEADER.partition(b"?>")[2], "unsupported-stanza-type"),
    "proceed": (PROCEED, "unsupported-stanza-type"),
    "challenge": (sasl("challenge", b"r=x"), "unsupported-stanza-type"),
    "success": (sasl("success"), "unsupported-stanza-type"),
    "failure": (sasl("failure"), "unsupported-stanza-type"),
    "unknown element": (b"<query xmlns='jabber:iq:roster'/>", "unsupported-stanza-type"),
    "stanza of servers": (b"<message xmlns='jabber:server'/>", "unsupported-stanza-type"),
    "stanza of nobody": (b"<message xmlns='urn:evil'/>", "unsupported-stanza-type"),
    "handshake": (b"<handshake/>", "unsupported-stanza-type"),
    "text": (b"hello" + MESSAGE, "bad-format"),
}


@pytest.mark.parametrize("name", LATE)
async def test_too_late(attacks: Attacks, name: str) -> None:
    data, condition = LATE[name]
    async with attacks.session(then(Dialogue.session, data + MESSAGE)) as (server, sink, _):
        error = await sink.end()
        assert isinstance(error, ConnectionFailed)
        assert (error.step, error.permanent) == ("stream", False)
        await server.over()
        assert server.said.stream_error == condition
        assert sink.batches == []
        assert server.said.said.count(b"<auth") == 1


# -- the end --------------------------------------------------------------------------------------

END = b"</stream:stream>"
ENDS = {
    "end": END,
    "end and a second root": END + CLIENT_HEADER + features(STARTTLS) + MESSAGE,
    "end and a stanza": END + MESSAGE,
}


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("stage", STAGES)
async def test_early_end(attacks: Attacks, stage: str, name: str) -> None:
    play, step = STAGES[stage]
    async with attacks.server(then(play, ENDS[name])) as server:
        error = await attacks.refused(server)
        assert (error.step, error.permanent) == (step, False)
        assert server.said.since.endswith(END)


@pytest.mark.parametrize("name", ENDS)
async def test_what_follows_the_end_of_a_session_counts_for_nothing(
    attacks: Attacks, name: str
) -> None:
    async with attacks.session(then(Dialogue.session, ENDS[name])) as (server, sink, _):
        assert await sink.end() is None
        await server.over()
        assert sink.batches == []
        assert server.said.since.endswith(END)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("part", [b"", b"<message><body>half", b"<", b"<message to='a"])
async def test_cut_off_while_negotiating(attacks: Attacks, stage: str, part: bytes) -> None:
    play, step = STAGES[stage]

    async def script(dialogue: Dialogue) -> None:
        await play(dialogue)
        dialogue.send(part)
        dialogue.hang_up()

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert (error.step, error.permanent) == (step, False)


@pytest.mark.parametrize(
    "part", [b"", b"<message><body>half", b"<message><body>all</body></message"]
)
async def test_half_a_stanza_is_none(attacks: Attacks, part: bytes) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.session()
        dialogue.send(part)
        dialogue.hang_up()

    async with attacks.session(script) as (_, sink, _):
        error = await sink.end()
        assert isinstance(error, ConnectionFailed)
        assert (error.step, error.permanent) == ("stream", False)
        assert sink.batches == []


# -- binding --------------------------------------------------------------------------------------

BOUND = {
    "another account": (b"mallory@im.test/orchard", "undefined-condition"),
    "another domain": (b"romeo@evil.test/orchard", "undefined-condition"),
    "the server": (b"im.test/orchard", "undefined-condition"),
    "no resource": (b"romeo@im.test", "bad-format"),
    "no JID": (b"@@@", "bad-format"),
    "nothing": (b"", "bad-format"),
    "huge": (b"romeo@im.test/" + b"x" * 1024, "bad-format"),
}


@pytest.mark.parametrize("name", BOUND)
async def test_bound_to_somebody_else(attacks: Attacks, name: str) -> None:
    """Our own address decides whose roster pushes and carbons we believe."""
    jid, condition = BOUND[name]

    async def script(dialogue: Dialogue) -> None:
        await dialogue.authenticated()
        await dialogue.header(BIND)
        await dialogue.bind(jid)

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert error.step == "bind"
        assert server.said.stream_error == condition
        assert b"<presence" not in server.said.said


@pytest.mark.parametrize(
    "answer",
    [
        b"<iq type='result' id='guess'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
        b"<jid>romeo@im.test/x</jid></bind></iq>",
        b"<iq type='set' id='1'><query xmlns='jabber:iq:roster'/></iq>",
        MESSAGE,
    ],
)
async def test_something_else_than_the_binding(attacks: Attacks, answer: bytes) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.authenticated()
        await dialogue.header(BIND)
        await dialogue.expect(rb"<iq [^>]*><bind")
        dialogue.send(answer)

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert error.step == "bind"
        assert server.said.stream_error == "not-authorized"


async def test_a_flood_before_the_session(attacks: Attacks) -> None:
    """A legacy session is being asked for: what comes meanwhile is for our caller, who can pause
    the socket; the session has done nothing wrong."""

    async def script(dialogue: Dialogue) -> None:
        await dialogue.authenticated()
        await dialogue.header(BIND, SESSION)
        await dialogue.bind()
        await dialogue.expect(rb"<session")
        await dialogue.flood(MESSAGE, 2000)
        await dialogue.expect(rb"never")

    async with attacks.session(script) as (_, sink, stream):
        stream.pause_reading()
        stream.resume_reading()
        assert [(await sink.stanza()).kind for _ in range(2000)] == ["message"] * 2000
        assert sink.ends == []
