"""Attacks on authentication with SASL2 (XEP-0388), tokens (XEP-0484), and what is remembered."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from emp.errors import ConnectionFailed
from emp.net import open_stream
from emp.sasl import Memory
from emp.stream.management import Management
from emp.tokens import TokenStore
from tests.attacks.hostile import Dialogue
from tests.attacks.support import Attacks
from tests.attacks.test_management import SM, managed, sm
from tests.attacks.test_sasl import CHALLENGES
from tests.attacks.words import BIND, PASSWORD, authentication, features, mechanisms, sasl, success2
from tests.emp.net.support import Sink

OFFER = authentication("SCRAM-SHA-256")
BIND2 = b"<bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:sm:3'/></inline></bind>"
FAST = b"<fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-NONE</mechanism></fast>"


async def test_an_honest_login(attacks: Attacks) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.secure()
        await dialogue.header(OFFER, mechanisms("SCRAM-SHA-256"))
        await dialogue.log_in2()
        dialogue.send(features(BIND))
        await dialogue.bind()

    async with attacks.session(script) as (server, _, stream):
        assert str(stream.jid) == "romeo@im.test/orchard"
        assert server.said.credentials


@pytest.mark.parametrize("name", CHALLENGES)
async def test_a_bad_challenge_gets_no_proof(attacks: Attacks, name: str) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.secure()
        await dialogue.header(OFFER)
        await dialogue.log_in2(challenge=CHALLENGES[name])

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert (error.step, error.permanent) == ("authenticate", True)
        assert b"<response" not in server.said.said


SUCCESSES: dict[str, Callable[[bytes], bytes]] = {
    "wrong signature": lambda v: success2(b"v=" + base64.b64encode(bytes(32))),
    "no signature": lambda v: success2(None),
    "empty signature": lambda v: success2(b""),
    "signature cut": lambda v: success2(v[:-4]),
    "success of RFC 6120": lambda v: sasl("success", v),
    "another account": lambda v: success2(v, b"mallory@im.test"),
    "another domain": lambda v: success2(v, b"romeo@evil.test"),
    "no account": lambda v: success2(v, b""),
    "a session that was not asked for": lambda v: success2(
        v, more=b"<resumed xmlns='urn:xmpp:sm:3' previd='x' h='0'/>"
    ),
    "a binding that was not asked for": lambda v: success2(
        v, b"romeo@im.test/x", b"<bound xmlns='urn:xmpp:bind:0'/>"
    ),
}


@pytest.mark.parametrize("name", SUCCESSES)
async def test_success_without_the_servers_proof(attacks: Attacks, name: str) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.secure()
        await dialogue.header(OFFER)
        await dialogue.log_in2(success=SUCCESSES[name])
        dialogue.send(features(BIND))

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert error.step == "authenticate"
        assert b"<iq" not in server.said.said
        assert b"<presence" not in server.said.said


@pytest.mark.parametrize("weak", ["PLAIN", "LOGIN", "ANONYMOUS", "EXTERNAL"])
async def test_only_weak_mechanisms(attacks: Attacks, weak: str) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.secure()
        await dialogue.header(authentication(weak), mechanisms(weak))

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert (error.step, error.permanent) == ("authenticate", True)
        assert server.said.credentials == []


async def test_nothing_of_it_in_clear(attacks: Attacks) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.header(authentication("SCRAM-SHA-256", "PLAIN", inline=BIND2 + FAST))

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert error.step == "secure"
        assert server.said.credentials == []


@pytest.mark.parametrize("id", ["another", ""])
async def test_another_session_in_the_success(attacks: Attacks, id: str) -> None:
    """XEP-0198 inside SASL2: the session that is resumed must be the one that was asked for."""
    management = Management()

    async def begin(dialogue: Dialogue) -> None:
        await managed(dialogue)
        dialogue.hang_up()

    async def resume(dialogue: Dialogue) -> None:
        resumed = sm("resumed", f"previd='{id}' h='1'")
        await dialogue.secure()
        await dialogue.header(authentication("SCRAM-SHA-256", inline=SM + BIND2))
        request = await dialogue.log_in2(
            success=lambda v: success2(v, b"romeo@im.test/orchard", resumed)
        )
        assert re.search(rb"previd=['\"]some-id", request)

    async with attacks.server(begin) as server:
        sink = Sink()
        await open_stream(attacks.client(server), sink, management=management)
        await sink.end()
    async with attacks.server(resume) as server:
        with pytest.raises(ConnectionFailed):
            await open_stream(attacks.client(server), Sink(), management=management)
    assert management.id is None


# -- what is remembered ---------------------------------------------------------------------------

DOWNGRADES = {
    "SHA-1": mechanisms("SCRAM-SHA-1"),
    "SHA-1 and PLAIN": mechanisms("SCRAM-SHA-1", "PLAIN"),
    "PLAIN": mechanisms("PLAIN"),
    "SASL2 with SHA-1": authentication("SCRAM-SHA-1"),
    "SASL2 with PLAIN": authentication("PLAIN"),
}


@pytest.mark.parametrize("name", DOWNGRADES)
async def test_what_was_better_once_must_not_get_worse(attacks: Attacks, name: str) -> None:
    """RFC 6120 §13.8: after a login with SCRAM-SHA-256 the same server offers less."""
    memory, allowed = Memory(), ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN")

    async def weaker(dialogue: Dialogue) -> None:
        await dialogue.secure()
        await dialogue.header(DOWNGRADES[name])
        play = dialogue.log_in2 if "SASL2" in name else dialogue.log_in
        await play()

    async with attacks.server(Dialogue.session) as server:
        settings = attacks.client(server, mechanisms=allowed)
        stream = await open_stream(settings, Sink(), memory=memory)
        stream.abort()
    async with attacks.server(weaker) as server:
        settings = attacks.client(server, mechanisms=allowed)
        with pytest.raises(ConnectionFailed) as caught:
            await open_stream(settings, Sink(), memory=memory)
        assert (caught.value.step, caught.value.permanent) == ("authenticate", True)
        assert "before" in caught.value.reason
        await server.over()
        assert PASSWORD.encode() not in base64_decoded(server.said.said)
        assert b"<response" not in server.said.said


def base64_decoded(said: bytes) -> bytes:
    """All texts of elements that are base64, in clear."""
    found = re.findall(rb">([A-Za-z0-9+/]+={0,2})<", said)
    return b" ".join(base64.b64decode(text + b"=" * (-len(text) % 4)) for text in found)


@pytest.mark.parametrize("told", ["AAAA", "", "%%%"])
async def test_the_offer_was_changed_on_the_way(attacks: Attacks, told: str) -> None:
    """XEP-0474: the hash of what the server says to have offered is not that of what came."""

    async def script(dialogue: Dialogue) -> None:
        await dialogue.secure()
        await dialogue.header(mechanisms("SCRAM-SHA-256"))
        await dialogue.log_in(challenge=lambda nonce: f"r={nonce}x,s=c2FsdA==,i=4096,h={told}")

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert (error.step, error.permanent) == ("authenticate", True)
        assert b"<response" not in server.said.said


async def test_a_token_file_is_private(attacks: Attacks, tmp_path: Path) -> None:
    """What logs us in next time is readable for nobody else."""
    token = b"<token xmlns='urn:xmpp:fast:0' token='secret-token' expiry='2999-01-01T00:00:00Z'/>"

    async def script(dialogue: Dialogue) -> None:
        await dialogue.secure()
        await dialogue.header(authentication("SCRAM-SHA-256", inline=FAST))
        await dialogue.log_in2(success=lambda v: success2(v, more=token))
        dialogue.send(features(BIND))
        await dialogue.bind()

    file = tmp_path / "tokens"
    store = TokenStore(file)
    async with attacks.server(script) as server:
        stream = await open_stream(attacks.client(server), Sink(), tokens=store)
        stream.abort()
    assert b"secret-token" in file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    assert "secret-token" not in repr(store) + repr(vars(store))


async def test_an_impostor_does_not_know_the_token(attacks: Attacks, tmp_path: Path) -> None:
    """A server that takes a token without proving that it knows it is not believed."""
    token = b"<token xmlns='urn:xmpp:fast:0' token='secret-token' expiry='2999-01-01T00:00:00Z'/>"
    offer = authentication("SCRAM-SHA-256", inline=FAST)

    async def honest(dialogue: Dialogue) -> None:
        await dialogue.secure()
        await dialogue.header(offer)
        await dialogue.log_in2(success=lambda v: success2(v, more=token))
        dialogue.send(features(BIND))
        await dialogue.bind()

    async def impostor(dialogue: Dialogue) -> None:
        await dialogue.secure()
        await dialogue.header(offer)
        await dialogue.expect(rb"<authenticate [^>]*HT-SHA-256-NONE.*</authenticate>")
        dialogue.send(success2(bytes(32)) + features(BIND))

    store = TokenStore(None)
    async with attacks.server(honest) as server:
        stream = await open_stream(attacks.client(server), Sink(), tokens=store)
        stream.abort()
    async with attacks.server(impostor) as server:
        with pytest.raises(ConnectionFailed) as caught:
            await open_stream(attacks.client(server), Sink(), tokens=store)
        assert caught.value.step == "authenticate"
        await server.over()
        assert b"secret-token" not in base64_decoded(server.said.said) + server.said.said
        assert b"<iq" not in server.said.said
    async with attacks.server(honest) as server:  # with the password again, and a proof of that
        stream = await open_stream(attacks.client(server), Sink(), tokens=store)
        stream.abort()
