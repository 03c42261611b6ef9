"""Attacks on authentication: get the password, or be believed without knowing it."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from emp.net import open_stream
from tests.attacks.hostile import Dialogue
from tests.attacks.support import Attacks, component, refused
from tests.attacks.words import (
    BIND,
    CLIENT_HEADER,
    PASSWORD,
    SCRAM,
    SECRET,
    features,
    mechanisms,
    sasl,
)
from tests.emp.net.support import Sink

PLAIN = mechanisms("PLAIN")
SALT = "c2FsdA=="

# -- downgrade ------------------------------------------------------------------------------------

WEAK = {
    "PLAIN": PLAIN,
    "PLAIN twice": mechanisms("PLAIN", "PLAIN"),
    "LOGIN": mechanisms("LOGIN", "PLAIN"),
    "CRAM-MD5": mechanisms("CRAM-MD5", "DIGEST-MD5", "PLAIN"),
    "another case": mechanisms("scram-sha-256", "PLAIN"),
    "nothing": mechanisms(),
    "anonymous": mechanisms("ANONYMOUS"),
    "external": mechanisms("EXTERNAL"),
}


@pytest.mark.parametrize("name", WEAK)
async def test_only_weak_mechanisms(attacks: Attacks, name: str) -> None:
    """Under good TLS: whoever holds the server still does not get the password for the asking."""

    async def script(dialogue: Dialogue) -> None:
        await dialogue.secure()
        await dialogue.header(WEAK[name])

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert (error.step, error.permanent) == ("authenticate", True)
        assert server.said.credentials == []
        assert server.said.since == b"</stream:stream>"


@pytest.mark.parametrize("allowed", [("PLAIN",), ("SCRAM-SHA-256", "PLAIN")])
async def test_plain_in_clear(attacks: Attacks, allowed: tuple[str, ...]) -> None:
    """Even who allows clear text and PLAIN does not get both at once."""

    async def script(dialogue: Dialogue) -> None:
        await dialogue.header(PLAIN)

    async with attacks.server(script) as server:
        error = await attacks.refused(server, tls="none", mechanisms=allowed)
        assert (error.step, error.permanent) == ("authenticate", True)
        assert server.said.credentials == []


async def test_the_strongest_mechanism_is_taken(attacks: Attacks) -> None:
    """Whatever the server's order, and although PLAIN is allowed."""

    async def script(dialogue: Dialogue) -> None:
        await dialogue.secure()
        await dialogue.header(mechanisms("PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"))
        auth = await dialogue.expect(rb"<auth [^>]*mechanism=['\"]([^'\"]*)")
        assert auth[1] == b"SCRAM-SHA-256"
        dialogue.send(sasl("failure"))

    async with attacks.server(script) as server:
        allowed = ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN")
        error = await attacks.refused(server, mechanisms=allowed)
        assert error.step == "authenticate"
        assert PASSWORD.encode() not in server.said.said


# -- the server's first message -------------------------------------------------------------------

CHALLENGES: dict[str, Callable[[str], str]] = {
    "1 iteration": lambda nonce: f"r={nonce}x,s={SALT},i=1",
    "one too few": lambda nonce: f"r={nonce}x,s={SALT},i=4095",
    "no iterations": lambda nonce: f"r={nonce}x,s={SALT},i=0",
    "-1 iterations": lambda nonce: f"r={nonce}x,s={SALT},i=-1",
    "1,000,000,000 iterations": lambda nonce: f"r={nonce}x,s={SALT},i=1000000000",
    "2 to the 31st iterations": lambda nonce: f"r={nonce}x,s={SALT},i={2**31}",
    "endless number": lambda nonce: f"r={nonce}x,s={SALT},i={'9' * 3000}",
    "iterations in other digits": lambda nonce: f"r={nonce}x,s={SALT},i=٤٠٩٦",
    "nonce not extended": lambda nonce: f"r={nonce},s={SALT},i=4096",
    "nonce cut": lambda nonce: f"r={nonce[:-1]},s={SALT},i=4096",
    "nonce of its own": lambda nonce: f"r=server{nonce},s={SALT},i=4096",
    "no nonce": lambda nonce: f"r=,s={SALT},i=4096",
    "empty salt": lambda nonce: f"r={nonce}x,s=,i=4096",
    "bad salt": lambda nonce: f"r={nonce}x,s=?,i=4096",
    "wrong order": lambda nonce: f"s={SALT},r={nonce}x,i=4096",
    "mandatory extension": lambda nonce: f"m=evil,r={nonce}x,s={SALT},i=4096",
    "mandatory extension behind": lambda nonce: f"r={nonce}x,s={SALT},i=4096,m=evil",
    "empty": lambda nonce: "",
    "kilobytes": lambda nonce: f"r={nonce}{'x' * 10_000},s={SALT},i=4096",
}


@pytest.mark.parametrize("name", CHALLENGES)
async def test_a_bad_challenge_gets_no_proof(attacks: Attacks, name: str) -> None:
    """The proof could be tried against passwords at leisure: the attacker must not choose how."""

    async def script(dialogue: Dialogue) -> None:
        await dialogue.secure()
        await dialogue.header(SCRAM)
        await dialogue.log_in(challenge=CHALLENGES[name])

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert (error.step, error.permanent) == ("authenticate", True)
        assert server.said.since.startswith(b"<abort ")
        assert b"<response" not in server.said.said


async def test_endless_challenges(attacks: Attacks) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.secure()
        await dialogue.header(SCRAM)
        await dialogue.log_in(success=lambda verifier: sasl("challenge", verifier))
        await dialogue.expect(rb"<response")
        await dialogue.flood(sasl("challenge", b"v=more"), 1000)

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert error.step == "authenticate"
        assert server.said.said.count(b"<response") == 2


# -- the server's last message --------------------------------------------------------------------

SUCCESSES: dict[str, Callable[[bytes], bytes]] = {
    "wrong signature": lambda v: sasl("success", b"v=" + base64.b64encode(bytes(32))),
    "one bit": lambda v: sasl("success", v[:2] + bytes([v[2] ^ 1]) + v[3:]),
    "no signature": lambda v: sasl("success"),
    "empty signature": lambda v: sasl("success", b"v="),
    "signature cut": lambda v: sasl("success", v[:-4]),
    "an error": lambda v: sasl("success", b"e=other-error"),
    "something else": lambda v: sasl("success", b"x=" + v[2:]),
    "not base64": lambda v: sasl("success").replace(b"></", b">%%%</"),
    "signature in the challenge, wrong": lambda v: sasl("challenge", b"v=AAAA") + sasl("success"),
}


@pytest.mark.parametrize("name", SUCCESSES)
async def test_success_without_the_servers_proof(attacks: Attacks, name: str) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.secure()
        await dialogue.header(SCRAM)
        await dialogue.log_in(success=SUCCESSES[name])
        await dialogue.header(BIND)

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert error.step == "authenticate"
        assert server.said.said.count(b"<stream:stream") == 2  # none after the "success"
        assert b"<bind" not in server.said.said


async def test_success_at_once(attacks: Attacks) -> None:
    """Before any challenge: a server that never saw a proof, and gave none."""

    async def script(dialogue: Dialogue) -> None:
        await dialogue.secure()
        await dialogue.header(SCRAM)
        await dialogue.expect(rb"</auth>")
        dialogue.send(sasl("success"))

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert error.step == "authenticate"
        assert server.said.since == b"</stream:stream>"


async def test_no_authentication_at_all(attacks: Attacks) -> None:
    """The server offers binding to who has not shown, nor seen, any proof."""

    async def script(dialogue: Dialogue) -> None:
        await dialogue.secure()
        await dialogue.header(BIND)

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert error.step == "authenticate"
        assert b"<iq" not in server.said.said


async def test_success_twice(attacks: Attacks) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.authenticated()
        await dialogue.expect(rb"<stream:stream[^>]*>")
        dialogue.send(CLIENT_HEADER + features(BIND) + sasl("success"))

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert error.step == "bind"
        assert server.said.stream_error == "unsupported-stanza-type"


async def test_the_component_secret_is_never_sent(attacks: Attacks) -> None:
    """XEP-0114 proves nothing about the server, but its hash must not give the secret away."""

    async with attacks.server(Dialogue.component) as server:
        stream = await open_stream(component(server), Sink())
        stream.abort()
        await server.over()
        assert SECRET.encode() not in server.said.said
        assert base64.b64encode(SECRET.encode()) not in server.said.said


@pytest.mark.parametrize("answer", [b"<success/>", b"<message/>", b"<handshake2/>"])
async def test_a_component_waits_for_the_handshake(attacks: Attacks, answer: bytes) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.expect(rb"<stream:stream[^>]*>")
        dialogue.send(
            b"<stream:stream xmlns='jabber:component:accept'"
            b" xmlns:stream='http://etherx.jabber.org/streams' from='bot.im.test' id='s1'>" + answer
        )

    async with attacks.server(script) as server:
        error = await refused(server, component(server))
        assert error.step == "authenticate"
        assert server.said.stream_error
