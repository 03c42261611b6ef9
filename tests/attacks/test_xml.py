"""Attacks on the parser: what is no XML, and what is more XML than XMPP allows (RFC 6120 §11)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from emp.errors import ConnectionFailed
from emp.net import open_stream
from emp.stanza import Message
from tests.attacks.hostile import Dialogue
from tests.attacks.support import Attacks, component, refused
from tests.attacks.words import CLIENT_HEADER, SCRAM, STARTTLS
from tests.emp.net.support import Sink

MANY = b" ".join(b"a%d=''" % number for number in range(20_000))

# Wherever it comes in a stream: what is sent, and the stream error that answers it.
FAULTS = {
    "DTD": (b"<!DOCTYPE message>", "restricted-xml"),
    "DTD with an entity": (
        b"<!DOCTYPE m [<!ENTITY e 'x'>]><message>&e;</message>",
        "restricted-xml",
    ),
    "DTD in a stanza": (b"<message><!DOCTYPE a></message>", "restricted-xml"),
    "entity declaration": (b"<message><!ENTITY e 'x'></message>", "restricted-xml"),
    "comment": (b"<message><!-- --></message>", "restricted-xml"),
    "comment between stanzas": (b"<!-- -->", "restricted-xml"),
    "processing instruction": (b"<message><?php echo ?></message>", "restricted-xml"),
    "processing instruction between": (b"<?xml-stylesheet href='a'?>", "restricted-xml"),
    "second XML declaration": (b"<?xml version='1.0'?>", "restricted-xml"),
    "entity": (b"<message><body>&secret;</body></message>", "restricted-xml"),
    "entity in an attribute": (b"<message id='&secret;'/>", "restricted-xml"),
    "not UTF-8": (b"<message><body>\xff</body></message>", "unsupported-encoding"),
    "overlong UTF-8": (b"<message><body>\xc0\xaf</body></message>", "unsupported-encoding"),
    "surrogate in UTF-8": (b"<message><body>\xed\xa0\x80</body></message>", "unsupported-encoding"),
    "beyond Unicode": (b"<message><body>\xf7\x80\x80\x80</body></message>", "unsupported-encoding"),
    "UTF-8 cut off": (b"<message><body>\xe2\x82</body></message>", "unsupported-encoding"),
    "UTF-16": ("<message/>".encode("utf-16"), "unsupported-encoding"),
    "NUL": (b"<message><body>\0</body></message>", "not-well-formed"),
    "NUL between": (b"\0<message/>", "not-well-formed"),
    "NUL by number": (b"<message><body>&#0;</body></message>", "not-well-formed"),
    "control character": (b"<message><body>\x01</body></message>", "not-well-formed"),
    "surrogate by number": (b"<message><body>&#xD800;</body></message>", "not-well-formed"),
    "undeclared prefix": (b"<evil:message/>", "not-well-formed"),
    "undeclared prefix inside": (b"<message><evil:x/></message>", "not-well-formed"),
    "undeclared prefix of an attribute": (b"<message evil:to='a'/>", "not-well-formed"),
    "prefix xml declared anew": (b"<message xmlns:xml='evil'/>", "not-well-formed"),
    "two colons": (b"<message xmlns:a='u'><a:b:c/></message>", "not-well-formed"),
    "attribute twice": (b"<message to='a' to='b'/>", "not-well-formed"),
    "attribute without quotes": (b"<message to=a/>", "not-well-formed"),
    "tag in an attribute": (b"<message to='<iq/>'/>", "not-well-formed"),
    "wrong end": (b"<message></iq>", "not-well-formed"),
    "end without start": (b"</message>", "not-well-formed"),
}

# Before stanzas flow, these end a stream too; then they cost a stanza (test_skipped.py).
LIMITS = {
    "deep nesting": (b"<message>" + b"<a>" * 5000, "policy-violation"),
    "20,000 attributes": (b"<message><x %s/></message>" % MANY, "policy-violation"),
    "long name": (b"<message><%s/></message>" % (b"a" * 60_000), "policy-violation"),
}

Stage = Callable[[Dialogue], Awaitable[None]]


async def _in_clear(dialogue: Dialogue) -> None:
    await dialogue.expect(rb"<stream:stream[^>]*>")
    dialogue.send(CLIENT_HEADER)


async def _before_authentication(dialogue: Dialogue) -> None:
    await dialogue.secure()
    await dialogue.expect(rb"<stream:stream[^>]*>")
    dialogue.send(CLIENT_HEADER)


async def _during_authentication(dialogue: Dialogue) -> None:
    await dialogue.secure()
    await dialogue.header(SCRAM)
    await dialogue.expect(rb"</auth>")


async def _before_binding(dialogue: Dialogue) -> None:
    await dialogue.authenticated()
    await dialogue.expect(rb"<stream:stream[^>]*>")
    dialogue.send(CLIENT_HEADER)


STAGES: dict[str, tuple[Stage, str]] = {
    "secure": (_in_clear, "secure"),
    "authenticate": (_before_authentication, "authenticate"),
    "challenge": (_during_authentication, "authenticate"),
    "bind": (_before_binding, "bind"),
}


def then(stage: Stage, data: bytes) -> Stage:
    """The script that gets to a stage honestly, and sends something bad."""

    async def script(dialogue: Dialogue) -> None:
        await stage(dialogue)
        dialogue.send(data)

    return script


@pytest.mark.parametrize("name", FAULTS | LIMITS)
@pytest.mark.parametrize("stage", STAGES)
async def test_bad_xml_while_negotiating(attacks: Attacks, stage: str, name: str) -> None:
    data, condition = (FAULTS | LIMITS)[name]
    play, step = STAGES[stage]
    async with attacks.server(then(play, data)) as server:
        error = await attacks.refused(server)
        assert (error.step, error.permanent) == (step, False)
        assert server.said.stream_error == condition
        if step == "secure":
            assert server.said.credentials == []


@pytest.mark.parametrize("name", FAULTS)
async def test_bad_xml_in_a_session(attacks: Attacks, name: str) -> None:
    data, condition = FAULTS[name]
    good = b"<message id='good'/>"
    async with attacks.session(then(Dialogue.session, good + data + good)) as (server, sink, _):
        error = await sink.end()
        assert isinstance(error, ConnectionFailed)
        assert (error.step, error.permanent) == ("stream", False)
        assert [[stanza.id for stanza in batch] for batch in sink.batches] == [["good"]]
        await server.over()
        assert server.said.stream_error == condition


@pytest.mark.parametrize("name", FAULTS)
async def test_bad_xml_for_a_component(attacks: Attacks, name: str) -> None:
    data, condition = FAULTS[name]

    async def script(dialogue: Dialogue) -> None:
        await dialogue.component()
        await dialogue.expect(b"<message")  # the stream is open on the other side as well
        dialogue.send(data)

    async with attacks.server(script) as server:
        sink = Sink()
        stream = await open_stream(component(server), sink)
        stream.send([Message("juliet@im.test", "here I am")])
        error = await sink.end()
        assert isinstance(error, ConnectionFailed)
        assert (error.step, error.permanent) == ("stream", False)
        await server.over()
        assert server.said.stream_error == condition


# -- the header -----------------------------------------------------------------------------------

STREAMS = b"xmlns:stream='http://etherx.jabber.org/streams'"
BOMB = b"<!DOCTYPE b [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>]>"

HEADERS = {
    "DTD before it": (b"<?xml version='1.0'?>" + BOMB + CLIENT_HEADER, "restricted-xml"),
    "comment before it": (b"<!-- -->" + CLIENT_HEADER, "restricted-xml"),
    "instruction before it": (b"<?php ?>" + CLIENT_HEADER, "restricted-xml"),
    "UTF-16 declared": (b"<?xml version='1.0' encoding='utf-16'?>", "unsupported-encoding"),
    "Latin-1 declared": (b"<?xml version='1.0' encoding='iso-8859-1'?>", "unsupported-encoding"),
    "UTF-16": (CLIENT_HEADER.decode().encode("utf-16"), "unsupported-encoding"),
    "UTF-7 declared": (b"<?xml version='1.0' encoding='utf-7'?>", "unsupported-encoding"),
    "wrong namespace of streams": (
        b"<stream:stream xmlns='jabber:client' xmlns:stream='urn:evil'>",
        "invalid-namespace",
    ),
    "stream of servers": (
        b"<stream:stream xmlns='jabber:server' %s>" % STREAMS,
        "invalid-namespace",
    ),
    "no namespace": (b"<stream:stream xmlns='jabber:client'>", "not-well-formed"),
    "another root": (b"<stream:flow xmlns='jabber:client' %s>" % STREAMS, "bad-format"),
    "empty stream": (b"<stream:stream xmlns='jabber:client' %s/>" % STREAMS, "bad-format"),
    "not UTF-8": (CLIENT_HEADER.replace(b"im.test", b"im.\xfftest"), "unsupported-encoding"),
    "NUL": (CLIENT_HEADER.replace(b"im.test", b"im.\0test"), "not-well-formed"),
    "entity": (CLIENT_HEADER.replace(b"im.test", b"&evil;"), "restricted-xml"),
    "huge": (b"<stream:stream xmlns='%s'>" % (b"a" * 20_000), "policy-violation"),
    "endless": (b"<stream:stream " + b"a" * 20_000, "policy-violation"),
    "HTTP": (b"HTTP/1.1 200 OK\r\n\r\n", "not-well-formed"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00", "not-well-formed"),
}


@pytest.mark.parametrize("name", HEADERS)
async def test_bad_header(attacks: Attacks, name: str) -> None:
    data, condition = HEADERS[name]

    async def script(dialogue: Dialogue) -> None:
        await dialogue.expect(rb"<stream:stream[^>]*>")
        dialogue.send(data)

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert error.step == "secure"
        assert server.said.stream_error == condition
        assert server.said.credentials == []


IMPOSTORS = {
    "another domain": (CLIENT_HEADER.replace(b"im.test", b"evil.test"), "invalid-from"),
    "no JID": (CLIENT_HEADER.replace(b"im.test", b"@@"), "invalid-from"),
    "a user": (CLIENT_HEADER.replace(b"'im.test'", b"'admin@im.test'"), "invalid-from"),
    "version 0.9": (CLIENT_HEADER.replace(b" version='1.0'>", b">"), "unsupported-version"),
    "version 2": (
        CLIENT_HEADER.replace(b" version='1.0'>", b" version='2.0'>"),
        "unsupported-version",
    ),
}


@pytest.mark.parametrize("name", IMPOSTORS)
async def test_header_of_somebody_else(attacks: Attacks, name: str) -> None:
    data, condition = IMPOSTORS[name]

    async def script(dialogue: Dialogue) -> None:
        await dialogue.expect(rb"<stream:stream[^>]*>")
        dialogue.send(data + b"<stream:features>" + STARTTLS + SCRAM + b"</stream:features>")

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert error.step == "secure"
        assert server.said.stream_error == condition
        assert server.said.credentials == []


@pytest.mark.parametrize("namespace", [b"jabber:client", b"jabber:server", b"urn:evil"])
async def test_component_header_of_another_kind(attacks: Attacks, namespace: bytes) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.expect(rb"<stream:stream[^>]*>")
        dialogue.send(
            b"<stream:stream xmlns='%s' %s id='s1' from='bot.im.test'>" % (namespace, STREAMS)
        )

    async with attacks.server(script) as server:
        error = await refused(server, component(server))
        assert error.step == "authenticate"
        assert server.said.stream_error == "invalid-namespace"
        assert server.said.credentials == []
