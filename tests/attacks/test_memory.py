"""Attacks on memory: XML bombs, and what never ends. The victim leaves before it has spent much."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import pytest

from emp.errors import ConnectionFailed
from emp.net import open_stream
from emp.stanza import Message
from tests.attacks.hostile import Dialogue
from tests.attacks.support import Attacks, Memory, component
from tests.attacks.words import CLIENT_HEADER, SCRAM
from tests.emp.net.support import Sink

MIB = 1024 * 1024
BOUND = 32 * MIB
"""What an attack may cost at most: a stanza of 256 KiB in `<a/>` is 65,000 nodes of libxml2, and
the buffers of the attacker are in this process too. Whatever grows without a bound passes it."""

SEND = 512 * MIB
"""How much the attacker would send: far more than the bound."""

SENT = 16 * MIB
"""How much of it leaves the attacker at most before the victim has gone: what is in the buffers of
the two sockets on its way."""

SKIPPED = 24 * MIB
"""How much there is of a stanza that is skipped: a hundred times what may be held of it."""

CHUNK = 64 * 1024


class Bomb(NamedTuple):
    """`start` is sent once, `more` for ever; the answer is `condition`."""

    start: bytes
    more: bytes
    condition: str


LAUGHS = b"<!DOCTYPE lolz [<!ENTITY lol 'lol'>" + b"".join(
    b"<!ENTITY lol%d '%s'>" % (level, b"&lol%d;" % (level - 1) * 10) for level in range(1, 10)
)
BOMBS = {
    "billion laughs": Bomb(
        LAUGHS + b"]><message><body>&lol9;</body></message>", b" ", "restricted-xml"
    ),
    "quadratic blowup": Bomb(
        b"<!DOCTYPE m [<!ENTITY a '" + b"a" * 50_000 + b"'>]><message><body>",
        b"&a;",
        "restricted-xml",
    ),
    "external entity": Bomb(
        b"<!DOCTYPE m [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><message><body>&a;</body></message>",
        b" ",
        "restricted-xml",
    ),
    "entity of the network": Bomb(
        b"<!DOCTYPE m SYSTEM 'http://127.0.0.1:1/evil.dtd'><message/>", b" ", "restricted-xml"
    ),
    "parameter entity": Bomb(
        b"<!DOCTYPE m [<!ENTITY % a '<!ENTITY &#37; b \"%a;%a;\">'> %a;]>", b" ", "restricted-xml"
    ),
    "endless DTD": Bomb(b"<!DOCTYPE m [", b"<!ENTITY a 'a'>", "restricted-xml"),
    "endless comment": Bomb(b"<!--", b"a", "restricted-xml"),
    "endless instruction": Bomb(b"<?a ", b"a", "restricted-xml"),
    "endless text": Bomb(b"<message><body>", b"a", "policy-violation"),
    "endless CDATA": Bomb(b"<message><body><![CDATA[", b"a", "policy-violation"),
    "endless white space in a stanza": Bomb(b"<message><body>", b" ", "policy-violation"),
    "endless references": Bomb(b"<message><body>", b"&#65;", "policy-violation"),
    "endless attribute": Bomb(b"<message id='", b"a", "policy-violation"),
    "endless attribute with >": Bomb(b"<message id='", b">", "policy-violation"),
    "endless name": Bomb(b"<message><", b"a", "policy-violation"),
    "endless tag": Bomb(b"<message ", b" ", "policy-violation"),
    "endless attributes": Bomb(
        b"<message ", b"".join(b" a%d=''" % n for n in range(40_000)), "policy-violation"
    ),
    "endless namespaces": Bomb(
        b"<message ", b"".join(b" xmlns:a%d='u'" % n for n in range(40_000)), "policy-violation"
    ),
    "endless children": Bomb(b"<message>", b"<a/>", "policy-violation"),
    "endless children with attributes": Bomb(b"<message>", b"<a b='' c=''/>", "policy-violation"),
    "endless namespaces of children": Bomb(
        b"<message>", b"".join(b"<a xmlns='u:%d'/>" % n for n in range(40_000)), "policy-violation"
    ),
    "endless depth": Bomb(b"<message>", b"<a>", "policy-violation"),
    "endless stanzas in a stanza": Bomb(b"<message>", b"<message></message>", "policy-violation"),
    "endless text between stanzas": Bomb(b"", b"a", "bad-format"),
}


LIMITS = {name: bomb for name, bomb in BOMBS.items() if bomb.condition == "policy-violation"}
FAULTS = {name: bomb for name, bomb in BOMBS.items() if name not in LIMITS}


def bombard(stage: Callable[[Dialogue], object], bomb: Bomb, memory: Memory, sent: list[int]):  # type: ignore[no-untyped-def]
    """The script that gets to a stage, and then explodes."""
    chunk = bomb.more * max(CHUNK // len(bomb.more), 1)

    async def script(dialogue: Dialogue) -> None:
        await stage(dialogue)  # type: ignore[misc]
        dialogue.send(bomb.start)

        def count() -> None:
            sent[0] += len(chunk)
            memory.look()

        await dialogue.flood(chunk, SEND // len(chunk), count)

    return script


async def _under_tls(dialogue: Dialogue) -> None:
    await dialogue.secure()
    await dialogue.expect(rb"<stream:stream[^>]*>")
    dialogue.send(CLIENT_HEADER)


async def _in_features(dialogue: Dialogue) -> None:
    await _under_tls(dialogue)
    dialogue.send(b"<stream:features>")


async def _in_challenge(dialogue: Dialogue) -> None:
    await dialogue.secure()
    await dialogue.header(SCRAM)
    await dialogue.expect(rb"</auth>")
    dialogue.send(b"<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>")


async def _in_clear(dialogue: Dialogue) -> None:
    await dialogue.expect(rb"<stream:stream[^>]*>")
    dialogue.send(CLIENT_HEADER)


@pytest.mark.parametrize("name", FAULTS)
async def test_bomb_in_a_session(attacks: Attacks, name: str) -> None:
    bomb, memory, sent = BOMBS[name], Memory(), [0]
    script = bombard(Dialogue.session, bomb, memory, sent)
    async with attacks.session(script) as (server, sink, _):
        error = await sink.end()
        assert isinstance(error, ConnectionFailed)
        assert (error.step, error.permanent) == ("stream", False)
        await server.over()
        assert server.said.stream_error == bomb.condition
        assert sink.batches == []
    assert memory.grown < BOUND
    assert sent[0] < SENT


@pytest.mark.parametrize("name", BOMBS)
async def test_bomb_in_clear(attacks: Attacks, name: str) -> None:
    """From whoever is on the way, before any TLS."""
    bomb, memory, sent = BOMBS[name], Memory(), [0]
    async with attacks.server(bombard(_in_clear, bomb, memory, sent)) as server:
        error = await attacks.refused(server)
        assert error.step == "secure"
        assert server.said.stream_error == bomb.condition
    assert memory.grown < BOUND
    assert sent[0] < SENT


@pytest.mark.parametrize("name", LIMITS)
async def test_a_stanza_without_end_is_skipped(attacks: Attacks, name: str) -> None:
    """It ends nothing, and costs nothing."""
    bomb, memory = BOMBS[name], Memory()
    chunk = bomb.more * max(CHUNK // len(bomb.more), 1)

    async def script(dialogue: Dialogue) -> None:
        await dialogue.session()
        dialogue.send(b"<message id='before'/>" + bomb.start)
        await dialogue.flood(chunk, SKIPPED // len(chunk), memory.look)
        done.set()

    done = asyncio.Event()
    async with attacks.session(script, stanza_bytes=262_144) as (server, sink, _):
        await done.wait()
        assert sink.ends == []
        assert server.said.stream_error is None
        assert [stanza.id for batch in sink.batches for stanza in batch] == ["before"]
    assert memory.grown < BOUND


@pytest.mark.parametrize("name", FAULTS)
async def test_bomb_for_a_component(attacks: Attacks, name: str) -> None:
    bomb, memory, sent = BOMBS[name], Memory(), [0]

    async def stage(dialogue: Dialogue) -> None:
        await dialogue.component()
        await dialogue.expect(b"<message")

    async with attacks.server(bombard(stage, bomb, memory, sent)) as server:
        sink = Sink()
        stream = await open_stream(component(server), sink)
        stream.send([Message("juliet@im.test", "here I am")])
        error = await sink.end()
        assert isinstance(error, ConnectionFailed)
        await server.over()
        assert server.said.stream_error == bomb.condition
    assert memory.grown < BOUND
    assert sent[0] < SENT


ENDLESS = {
    "features": (_in_features, b"<x xmlns='u'/>", "policy-violation"),
    "challenge": (_in_challenge, b"AAAA", "policy-violation"),
    "white space in the challenge": (_in_challenge, b" ", "policy-violation"),
    "message before authentication": (_under_tls, b"<message/>", "not-authorized"),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_endless_negotiation(attacks: Attacks, name: str) -> None:
    stage, more, condition = ENDLESS[name]
    memory, sent = Memory(), [0]
    script = bombard(stage, Bomb(b"", more, condition), memory, sent)
    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert error.step == "authenticate"
        assert server.said.stream_error == condition
    assert memory.grown < BOUND
    assert sent[0] < SENT


@pytest.mark.parametrize("header", [b"<stream:stream from='", b"<?xml version='1.0'", b"<stream:"])
async def test_endless_header(attacks: Attacks, header: bytes) -> None:
    async def nothing(dialogue: Dialogue) -> None:
        await dialogue.expect(rb"<stream:stream[^>]*>")

    memory, sent = Memory(), [0]
    script = bombard(nothing, Bomb(header, b"a", ""), memory, sent)
    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert error.step == "secure"
        assert server.said.stream_error == "policy-violation"
    assert memory.grown < BOUND
    assert sent[0] < SENT


async def test_white_space_costs_nothing(attacks: Attacks) -> None:
    """Between stanzas it is legal, in any amount (RFC 6120 §4.6.1)."""
    memory = Memory()

    async def script(dialogue: Dialogue) -> None:
        await dialogue.session()
        await dialogue.flood(b" " * CHUNK, 2 * BOUND // CHUNK, memory.look)
        dialogue.send(b"<message id='at last'/>")

    async with attacks.session(script) as (_, sink, _):
        assert (await sink.stanza()).id == "at last"
    assert memory.grown < BOUND
