"""Attacks on TLS: leave it out, slip something in before it, show the wrong certificate."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest

from tests.attacks.certificates import Authority
from tests.attacks.hostile import Dialogue
from tests.attacks.support import Attacks
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

PLAIN = mechanisms("PLAIN")
FAILURE = b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"

# -- stripping ------------------------------------------------------------------------------------

# What the victim gets to see instead of an offer of STARTTLS.
STRIPPED = {
    "no offer": features(SCRAM, PLAIN),
    "no offer, authenticated already": features(BIND),
    "nothing": features(),
    "wrong namespace": features(STARTTLS.replace(b":xmpp-tls", b":xmpp-tis"), PLAIN),
    "hidden in another": features(b"<x xmlns='urn:x'>" + STARTTLS + b"</x>", PLAIN),
}


@pytest.mark.parametrize("name", STRIPPED)
async def test_starttls_is_stripped(attacks: Attacks, name: str) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.expect(rb"<stream:stream[^>]*>")
        dialogue.send(CLIENT_HEADER + STRIPPED[name])

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert (error.step, error.permanent) == ("secure", True)
        assert server.said.since == b"</stream:stream>"  # nothing of worth after the features
        assert server.said.credentials == []


@pytest.mark.parametrize("more", [b"", features(PLAIN), CLIENT_HEADER + features(PLAIN)])
async def test_starttls_is_refused(attacks: Attacks, more: bytes) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.header(STARTTLS)
        await dialogue.expect(rb"<starttls [^>]*/>")
        dialogue.send(FAILURE + more)

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert (error.step, error.permanent) == ("secure", True)
        assert server.said.since in (b"", b"</stream:stream>")
        assert server.said.credentials == []


ANSWERS = {
    "success": sasl("success"),
    "features": features(PLAIN),
    "header": CLIENT_HEADER,
    "proceed of another namespace": PROCEED.replace(b":xmpp-tls", b":xmpp-sasl"),
    "message": b"<message><body>hi</body></message>",
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_something_else_than_proceed(attacks: Attacks, name: str) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.header(STARTTLS)
        await dialogue.expect(rb"<starttls [^>]*/>")
        dialogue.send(ANSWERS[name])

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert error.step == "secure"
        assert server.said.stream_error
        assert server.said.credentials == []


async def test_proceed_without_tls(attacks: Attacks) -> None:
    """The server says that TLS begins, and goes on in clear."""

    async def script(dialogue: Dialogue) -> None:
        await dialogue.header(STARTTLS)
        await dialogue.expect(rb"<starttls [^>]*/>")
        dialogue.send(PROCEED)
        await dialogue.expect(rb"\x16\x03")  # the ClientHello
        dialogue.send(CLIENT_HEADER + features(PLAIN))

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert error.step == "secure"
        assert server.said.credentials == []


# -- injection ------------------------------------------------------------------------------------

INJECTED = {
    "features": CLIENT_HEADER + features(PLAIN),
    "stanza": b"<message from='im.test'><body>pay 100 EUR</body></message>",
    "success": sasl("success"),
    "white space": b" ",
    "part of a tag": b"<",
    "another proceed": PROCEED,
    "half a stanza": b"<iq type='set' from='im.test'><query",
}


@pytest.mark.parametrize("name", INJECTED)
async def test_injection_behind_proceed(attacks: Attacks, name: str) -> None:
    """In the same segment as <proceed/>, so that a buffer might keep it (CVE-2011-0411)."""

    async def script(dialogue: Dialogue) -> None:
        await dialogue.header(STARTTLS)
        await dialogue.expect(rb"<starttls [^>]*/>")
        dialogue.send(PROCEED + INJECTED[name])
        await dialogue.start_tls()
        await dialogue.header(SCRAM)
        await dialogue.log_in()

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert error.step == "secure"
        assert server.said.secret == b""
        assert server.said.credentials == []
        assert b"\x16\x03" not in server.said.clear  # not even the ClientHello


@pytest.mark.parametrize("name", [name for name in INJECTED if name != "white space"])
async def test_injection_behind_proceed_in_the_next_segment(attacks: Attacks, name: str) -> None:
    """It comes where the TLS handshake should be, and is no part of it."""

    async def script(dialogue: Dialogue) -> None:
        await dialogue.header(STARTTLS)
        await dialogue.expect(rb"<starttls [^>]*/>")
        dialogue.send(PROCEED)
        await dialogue.expect(rb"\x16\x03")
        dialogue.send(INJECTED[name] + b"\r\n\r\n")
        dialogue.hang_up()

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert error.step == "secure"
        assert server.said.credentials == []


@pytest.mark.parametrize("name", [name for name in INJECTED if name != "white space"])
async def test_injection_behind_success(attacks: Attacks, name: str) -> None:
    """In the same write as <success/>: it would count as sent after authentication."""

    async def script(dialogue: Dialogue) -> None:
        await dialogue.secure()
        await dialogue.header(SCRAM)
        await dialogue.log_in(success=lambda v: sasl("success", v) + INJECTED[name])

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert error.step == "authenticate"
        assert server.said.stream_error
        assert b"<iq" not in server.said.said


async def test_features_from_before_tls_are_forgotten(attacks: Attacks) -> None:
    """PLAIN was offered in clear, by whom we cannot know; under TLS only SCRAM is."""

    async def script(dialogue: Dialogue) -> None:
        await dialogue.header(STARTTLS, PLAIN)
        await dialogue.expect(rb"<starttls [^>]*/>")
        dialogue.send(PROCEED)
        await dialogue.start_tls()
        await dialogue.header()

    async with attacks.server(script) as server:
        error = await attacks.refused(server, mechanisms=("PLAIN",))
        assert error.step == "authenticate"
        assert server.said.credentials == []


# -- the wrong certificate ------------------------------------------------------------------------

# The 19 certificates on which all of this is tried, STARTTLS and direct TLS, are in tests/emp/net;
# here is what matters in the end: who shows one of these gets no credential.
CERTIFICATES: dict[str, Callable[[Authority], ssl.SSLContext]] = {
    "another name": lambda by: by.context("another.test"),
    "a name in the common name": lambda by: by.context(common_name="im.test"),
    "expired": lambda by: by.context("im.test", days=-1),
    "not valid yet": lambda by: by.context("im.test", days=100),
    "self-signed": lambda by: by.context("im.test", self_signed=True),
    "wildcard for the parent": lambda by: by.context("*.im.test"),
    "wildcard for everything": lambda by: by.context("*"),
    "wildcard for a top-level domain": lambda by: by.context("*.*"),
    "wildcard in a label": lambda by: by.context("i*.test"),
    "subdomain": lambda by: by.context("xmpp.im.test"),
    "longer": lambda by: by.context("im.test.evil.example"),
    "address of the server": lambda by: by.context("127.0.0.1", "localhost"),
}


@pytest.mark.parametrize("name", CERTIFICATES)
async def test_the_wrong_certificate_gets_no_credential(attacks: Attacks, name: str) -> None:
    context = CERTIFICATES[name](attacks.authority)
    async with attacks.server(Dialogue.session, context=context) as server:
        error = await attacks.refused(server)
        assert (error.step, error.permanent) == ("secure", True)
        assert server.said.secret == b""
        assert server.said.credentials == []


@pytest.mark.parametrize("name", CERTIFICATES)
async def test_the_wrong_certificate_with_direct_tls(attacks: Attacks, name: str) -> None:
    context = CERTIFICATES[name](attacks.authority)
    async with attacks.server(Dialogue.session, context=context, direct=True) as server:
        error = await attacks.refused(server, tls="direct")
        assert (error.step, error.permanent) == ("secure", True)
        assert server.said.said == b""


async def test_an_authority_that_nobody_trusts(attacks: Attacks) -> None:
    async with attacks.server(Dialogue.session) as server:
        error = await attacks.refused(server, ca_file=None)
        assert (error.step, error.permanent) == ("secure", True)
        assert server.said.credentials == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_tls_of_the_last_century(attacks: Attacks, version: ssl.TLSVersion) -> None:
    context = attacks.authority.context("im.test", newest=version)
    async with attacks.server(Dialogue.session, context=context) as server:
        error = await attacks.refused(server)
        assert error.step == "secure"
        assert server.said.secret == b""
        assert server.said.credentials == []


async def test_compression_is_not_taken(attacks: Attacks) -> None:
    """XEP-0138, and the class of CVE-2014-2744: a small message becomes a huge one."""
    offer = (
        b"<compression xmlns='http://jabber.org/features/compress'><method>zlib</method>"
        b"</compression>"
    )

    async def script(dialogue: Dialogue) -> None:
        await dialogue.authenticated()
        await dialogue.header(offer, BIND)
        await dialogue.bind()
        await dialogue.expect(rb"<presence")
        dialogue.send(b"<compressed xmlns='http://jabber.org/protocol/compress'/>")

    async with attacks.session(script) as (server, sink, _):
        assert "unsupported-stanza-type" in str(await sink.end())
        await server.over()
        assert b"<compress" not in server.said.said
