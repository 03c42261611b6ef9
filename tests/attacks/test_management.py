"""Attacks through stream management (XEP-0198): sessions and counts that cannot be."""

from __future__ import annotations

import pytest

from emp.errors import ConnectionFailed
from emp.net import open_stream
from emp.net.transport import WRITE_HIGH_WATER
from emp.stanza import Message
from emp.stream.management import Management
from tests.attacks.hostile import Dialogue
from tests.attacks.support import Attacks
from tests.attacks.test_xml import then
from tests.attacks.words import BIND
from tests.emp.net.support import Sink

SM = b"<sm xmlns='urn:xmpp:sm:3'/>"


def sm(name: str, attributes: str = "") -> bytes:
    return f"<{name} xmlns='urn:xmpp:sm:3' {attributes}/>".encode()


async def managed(dialogue: Dialogue, enabled: bytes = b"") -> None:
    """All up to a session with stream management, and the victim's presence."""
    await dialogue.authenticated()
    await dialogue.header(BIND, SM)
    await dialogue.bind()
    await dialogue.expect(rb"<enable [^>]*>")
    dialogue.send(enabled or sm("enabled", "id='some-id' resume='true'"))
    await dialogue.expect(rb"<presence")


# What is said to a victim that has stream management on, or off, and never makes sense.
UNASKED = {
    "enabled": sm("enabled", "id='x' resume='true'"),
    "resumed": sm("resumed", "previd='some-id' h='0'"),
    "failed": sm("failed"),
    "enable": sm("enable"),
    "resume": sm("resume", "previd='some-id' h='0'"),
    "something else": sm("evil"),
}


@pytest.mark.parametrize("name", UNASKED)
@pytest.mark.parametrize("on", [True, False])
async def test_sessions_without_being_asked(attacks: Attacks, on: bool, name: str) -> None:
    stage = managed if on else Dialogue.session
    async with attacks.session(then(stage, UNASKED[name])) as (server, sink, stream):
        before = stream.management.id
        error = await sink.end()
        assert isinstance(error, ConnectionFailed)
        assert (error.step, error.permanent) == ("stream", False)
        await server.over()
        assert server.said.stream_error == "unsupported-stanza-type"
        assert stream.management.id in (before, None)  # not one that the attacker has given


@pytest.mark.parametrize("name", ["enabled", "resumed", "failed"])
@pytest.mark.parametrize("where", ["before binding", "instead of binding"])
async def test_sessions_while_negotiating(attacks: Attacks, where: str, name: str) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.authenticated()
        if where == "instead of binding":
            await dialogue.header(BIND, SM)
            await dialogue.expect(rb"<iq [^>]*><bind")
        else:
            await dialogue.header()
        dialogue.send(UNASKED[name])

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert error.step == "bind"
        assert b"<presence" not in server.said.said


@pytest.mark.parametrize("name", ["r", "a"])
async def test_acknowledgements_without_a_session(attacks: Attacks, name: str) -> None:
    async with attacks.session(then(Dialogue.session, sm(name, "h='0'"))) as (server, sink, _):
        assert isinstance(await sink.end(), ConnectionFailed)
        await server.over()
        assert server.said.stream_error == "unsupported-stanza-type"


# The victim has sent one stanza, its presence.
COUNTS = {
    "more than sent": ("2", "undefined-condition"),
    "much more than sent": ("4000000000", "undefined-condition"),
    "less than before": ("4294967295", "undefined-condition"),
    "too large": ("4294967296", "bad-format"),
    "negative": ("-1", "bad-format"),
    "none": ("", "bad-format"),
    "no number": ("one", "bad-format"),
    "other digits": ("١", "bad-format"),
    "white space": (" 1", "bad-format"),
    "endless": ("1" * 10_000, "bad-format"),
}


@pytest.mark.parametrize("name", COUNTS)
async def test_acknowledges_what_was_not_sent(attacks: Attacks, name: str) -> None:
    h, condition = COUNTS[name]
    async with attacks.session(then(managed, sm("a", f"h='{h}'"))) as (server, sink, _):
        error = await sink.end()
        assert isinstance(error, ConnectionFailed)
        assert (error.step, error.permanent) == ("stream", False)
        await server.over()
        assert server.said.stream_error == condition


# -- resumption -----------------------------------------------------------------------------------

RESUMPTIONS = {
    "another session": sm("resumed", "previd='another' h='1'"),
    "no session": sm("resumed", "h='1'"),
    "more than sent": sm("resumed", "previd='some-id' h='7'"),
    "no count": sm("resumed", "previd='some-id'"),
}


@pytest.mark.parametrize("name", RESUMPTIONS)
async def test_a_resumption_that_cannot_be(attacks: Attacks, name: str) -> None:
    """The session is given up, and no stanza of it is lost without a word."""
    management = Management()

    async def begin(dialogue: Dialogue) -> None:
        await managed(dialogue)
        dialogue.hang_up()

    async def resume(dialogue: Dialogue) -> None:
        await dialogue.authenticated()
        await dialogue.header(BIND, SM)
        await dialogue.expect(rb"<resume [^>]*previd=['\"]some-id")
        dialogue.send(RESUMPTIONS[name])

    async with attacks.server(begin) as server:
        sink = Sink()
        stream = await open_stream(attacks.client(server), sink, management=management)
        stream.send([Message("juliet@im.test", "did you get this?")])
        await sink.end()
        assert management.id == "some-id"
    async with attacks.server(resume) as server:
        sink = Sink()
        with pytest.raises(ConnectionFailed) as caught:
            await open_stream(attacks.client(server), sink, management=management)
        assert (caught.value.step, caught.value.permanent) == ("bind", False)
        await server.over()
        assert server.said.stream_error in ("undefined-condition", "bad-format")
        assert sink.batches == []
    assert management.id is None
    assert [each.stanza.kind for each in management.take_lost()][-1] == "message"


async def test_the_location_must_be_us(attacks: Attacks) -> None:
    """A server may say where to resume: TLS still wants our domain there."""
    async with attacks.server(
        Dialogue.session, context=attacks.authority.context("evil.test")
    ) as elsewhere:

        async def begin(dialogue: Dialogue) -> None:
            location = f"location='127.0.0.1:{elsewhere.port}'"
            await managed(dialogue, sm("enabled", f"id='some-id' resume='true' {location}"))
            dialogue.hang_up()

        management = Management()
        async with attacks.server(begin) as server:
            sink = Sink()
            await open_stream(attacks.client(server), sink, management=management)
            await sink.end()
            assert management.location
            with pytest.raises(ConnectionFailed):
                await open_stream(
                    attacks.client(server, port=1),
                    Sink(),
                    management=management,
                    other_host=management.location,
                )
        await elsewhere.over()
        assert all(not dialogue.credentials for dialogue in elsewhere.dialogues)
        assert elsewhere.dialogues


# -- memory ---------------------------------------------------------------------------------------


QUESTIONS = 200_000
"""Their answers are 9 MB: more than what the buffers of the two sockets hold together."""


async def test_questions_whose_answers_nobody_takes(attacks: Attacks) -> None:
    """Each <r/> wants an answer, and the attacker does not read them: they must not pile up."""
    question = sm("r")

    async def script(dialogue: Dialogue) -> None:
        await managed(dialogue)
        dialogue.stop_reading()
        await dialogue.flood(question * 1000, QUESTIONS // 1000)
        dialogue.send(b"<message id='at last'/>")

    async with attacks.session(script) as (_, sink, stream):
        assert (await sink.stanza()).id == "at last"
        transport = stream._transport
        assert transport is not None
        assert transport.get_write_buffer_size() < 2 * WRITE_HIGH_WATER
