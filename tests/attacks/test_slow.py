"""Attacks with slowness: a server that dribbles for ever, or says nothing at all."""

from __future__ import annotations

import pytest

from emp.errors import ConnectionFailed
from emp.net import open_stream
from tests.attacks.hostile import Dialogue, Script
from tests.attacks.support import Attacks, component, refused
from tests.attacks.words import (
    BIND,
    CLIENT_HEADER,
    PROCEED,
    SCRAM,
    STARTTLS,
)
from tests.emp.net.support import Sink


async def _tls_record(dialogue: Dialogue) -> None:
    """A TLS record of 16 KiB begins, and its bytes come one by one."""
    await dialogue.header(STARTTLS)
    await dialogue.expect(rb"<starttls [^>]*/>")
    dialogue.send(PROCEED)
    await dialogue.expect(rb"\x16\x03")
    dialogue.send(b"\x16\x03\x03\x40\x00")
    await dialogue.dribble(b"\x02")


async def _header(dialogue: Dialogue) -> None:
    await dialogue.expect(rb"<stream:stream[^>]*>")
    dialogue.send(b"<stream:stream from='")
    await dialogue.dribble(b"a")


async def _white_space(dialogue: Dialogue) -> None:
    await dialogue.expect(rb"<stream:stream[^>]*>")
    await dialogue.dribble(b" ")


async def _features(dialogue: Dialogue) -> None:
    await dialogue.expect(rb"<stream:stream[^>]*>")
    dialogue.send(CLIENT_HEADER + b"<stream:features>")
    await dialogue.dribble(b"<x/>")


async def _proceed(dialogue: Dialogue) -> None:
    await dialogue.header(STARTTLS)
    await dialogue.dribble(b" ")


async def _header_under_tls(dialogue: Dialogue) -> None:
    await dialogue.secure()
    await dialogue.dribble(b" ")


async def _challenge(dialogue: Dialogue) -> None:
    await dialogue.secure()
    await dialogue.header(SCRAM)
    dialogue.send(b"<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>")
    await dialogue.dribble(b"A")


async def _success(dialogue: Dialogue) -> None:
    await dialogue.secure()
    await dialogue.header(SCRAM)
    await dialogue.log_in(success=lambda verifier: b" ")
    await dialogue.dribble(b" ")


async def _binding(dialogue: Dialogue) -> None:
    await dialogue.authenticated()
    await dialogue.header(BIND)
    await dialogue.dribble(b" ")


async def _binding_in_a_stanza(dialogue: Dialogue) -> None:
    await dialogue.authenticated()
    await dialogue.header(BIND)
    dialogue.send(b"<iq><x>")
    await dialogue.dribble(b"A")


LORISES: dict[str, tuple[Script, str]] = {
    "white space": (_white_space, "secure"),
    "header": (_header, "secure"),
    "features": (_features, "secure"),
    "proceed": (_proceed, "secure"),
    "TLS": (_tls_record, "secure"),
    "header under TLS": (_header_under_tls, "authenticate"),
    "challenge": (_challenge, "authenticate"),
    "success": (_success, "authenticate"),
    "binding": (_binding, "bind"),
    "stanza": (_binding_in_a_stanza, "bind"),
}
HASTE = 1.0
"""Seconds for each step where we know that it will not come."""


@pytest.mark.parametrize("name", LORISES)
async def test_slow_loris(attacks: Attacks, name: str) -> None:
    """Bytes arrive all the time, and the step never ends: its deadline does not move."""
    play, step = LORISES[name]
    async with attacks.server(play) as server:
        error = await attacks.refused(server, connect_timeout=HASTE)
        assert (error.step, error.permanent) == (step, False)


async def test_slow_loris_for_a_component(attacks: Attacks) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.expect(rb"<stream:stream[^>]*>")
        await dialogue.dribble(b" ")

    async with attacks.server(script) as server:
        error = await refused(server, component(server, connect_timeout=HASTE))
        assert (error.step, error.permanent) == ("authenticate", False)


@pytest.mark.parametrize("start", [b"<message><body>", b"<message to='", b"<"])
async def test_slow_loris_in_a_session(attacks: Attacks, start: bytes) -> None:
    """A stanza that never ends: the peer sends bytes, but does not answer."""

    async def script(dialogue: Dialogue) -> None:
        await dialogue.session()
        dialogue.send(start)
        await dialogue.dribble(b"a")

    hasty = {"keepalive": HASTE / 4, "ping_timeout": HASTE / 4}
    async with attacks.session(script, **hasty) as (_, sink, _):
        error = await sink.end()
        assert isinstance(error, ConnectionFailed)
        assert (error.step, error.permanent) == ("stream", False)


async def test_a_server_that_falls_silent(attacks: Attacks) -> None:
    hasty = {"keepalive": HASTE / 4, "ping_timeout": HASTE / 4}
    async with attacks.session(Dialogue.session, **hasty) as (server, sink, _):
        error = await sink.end()
        assert isinstance(error, ConnectionFailed)
        assert (error.step, error.permanent) == ("stream", False)
        assert server.said.since.strip()  # it was asked


async def test_the_same_for_a_component(attacks: Attacks) -> None:
    async with attacks.server(Dialogue.component) as server:
        sink = Sink()
        hasty = {"keepalive": HASTE / 4, "ping_timeout": HASTE / 4}
        await open_stream(component(server, **hasty), sink)
        error = await sink.end()
        assert isinstance(error, ConnectionFailed)
        assert (error.step, error.permanent) == ("stream", False)
        assert server.said.since.strip()
