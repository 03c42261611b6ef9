"""Any bytes give events, never an exception; and cuts make no difference."""

import base64
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emp.errors import AuthenticationError, RemoteProtocolError, StreamError
from emp.stream import Limits
from emp.stream.engine import Stream
from emp.stream.events import StanzasReceived, StreamClosed, StreamFailed
from tests.emp.stream.law import (
    CLIENT_HEADER,
    COMPONENT_HEADER,
    TO_SERVER,
    TO_SERVER_FROM_COMPONENT,
    client,
    feed,
    mask,
    ready_component,
    server,
    started_client,
    started_component,
)
from tests.emp.stream.managed import ready_pair

ROLES: dict[str, Callable[[], Stream]] = {
    "client": started_client,
    "strict client": lambda: started_client(require_tls=True),
    "client not started": client,
    "component": started_component,
    "ready component": ready_component,
    "server": server,
    "strict server": lambda: server(require_tls=True),
    "managed client": lambda: ready_pair()[0],
    "managed server": lambda: ready_pair()[1],
}

_TLS = "xmlns='urn:ietf:params:xml:ns:xmpp-tls'"
_SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
_SM = "xmlns='urn:xmpp:sm:3'"
_COMMANDS = ("sm", "enable", "enabled", "resume", "resumed", "failed", "a", "r")
_FEATURES = (
    f"<stream:features><starttls {_TLS}/><mechanisms {_SASL}><mechanism>SCRAM-SHA-1</mechanism>"
    "</mechanisms><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>"
)
_PROOF = base64.b64encode(b"n,,n=juliet,r=abc").decode()

# What streams are made of, whole and broken.
FRAGMENTS = [
    *(CLIENT_HEADER, COMPONENT_HEADER, TO_SERVER, TO_SERVER_FROM_COMPONENT),
    b"<?xml version='1.0'?>",
    b"</stream:stream>",
    b"<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
    _FEATURES.encode(),
    *(f"<{name} {_TLS}/>".encode() for name in ("starttls", "proceed", "failure")),
    *(f"<{name} {_SASL}/>".encode() for name in ("success", "abort", "challenge", "failure")),
    f"<auth {_SASL} mechanism='SCRAM-SHA-1'>{_PROOF}</auth>".encode(),
    f"<response {_SASL}>{_PROOF}</response>".encode(),
    f"<challenge {_SASL}>{_PROOF}</challenge>".encode(),
    b"<handshake/>",
    b"<handshake>0f</handshake>",
    b"<message to='a'><body>hi</body></message>",
    b"<message xmlns='jabber:component:accept'><body/></message>",
    b"<message xmlns='jabber:client'><message/></message>",
    b"<presence/>",
    b"<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
    b"<iq type='result' id='1'/>",
    *(f"<{name} {_SM} id='1' previd='1' resume='1' max='9' h='0'/>".encode() for name in _COMMANDS),
    b"<iq><vCard xmlns='vcard-temp'/></iq>",
    b"<iq><x xmlns='a b'/></iq>",
    *(b"<message>", b"</message>", b"<iq", b" to='", b"'", b"/>", b">", b"<", b"</"),
    *(b"<a:b/>", b"<x xmlns:a='u' xmlns:b='u' a:c='' b:c=''/>", b"<query/>", b"xmlns:xml='x'"),
    *(b"<![CDATA[", b"]]>", b"<!--", b"<?", b"&", b"&amp;", b"&foo;", b"&#x41;", b"&#0;"),
    *(b" ", b"\n", b"text", b"\0", b"\xff", b"\xc3", b"\xa9", b"\xf7\x80\x80\x80", b"\xe2\x82"),
    b"<a>" * 260,
    b"x" * 600,
]
SOUP = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=8), max_size=14)


def check(stream: Stream, pieces: list[bytes]) -> None:
    over = False
    for piece in pieces:
        events = stream.receive_data(piece)
        assert not (over and events)
        for number, event in enumerate(events):
            if isinstance(event, StreamClosed | StreamFailed):
                assert number == len(events) - 1
                over = True
            if isinstance(event, StreamFailed):
                assert isinstance(
                    event.error, RemoteProtocolError | StreamError | AuthenticationError
                )
            if isinstance(event, StanzasReceived):
                assert all(stanza.to_bytes() for stanza in event.stanzas)
        assert stream.closed == over
    rest = stream.receive_eof()
    assert len(rest) == (0 if over else 1)
    assert stream.closed
    stream.data_to_send().decode()


@pytest.mark.parametrize("role", ROLES)
@settings(max_examples=60, deadline=None)
@given(pieces=SOUP)
@example(pieces=[b"\xf7\x80\x80\x80"])
def test_any_pieces(role: str, pieces: list[bytes]) -> None:
    check(ROLES[role](), pieces)


@pytest.mark.parametrize("role", ROLES)
@settings(max_examples=40, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes(role: str, data: bytes) -> None:
    check(ROLES[role](), [data])


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@settings(max_examples=300, deadline=None)
@given(pieces=SOUP, places=st.lists(st.integers(0, 10_000), max_size=8))
@example(pieces=[b"<presence/>", b"<a:b/>"], places=[3, 12])
@example(pieces=[b"</stream:stream>", b"<", b"\xff"], places=[])
@example(pieces=[b"text", b"<a:b/>"], places=[5])
@example(pieces=[b"x" * 600, b"]]>"], places=[300])
@example(pieces=[b"<presence/>", b"x" * 600, b"\x01"], places=[311])
@example(pieces=[b"<iq>", b"x" * 600, b"\x01"], places=[304])
@example(pieces=[b"]]>"], places=[1])
@example(pieces=[b"<iq", b" ".join(b" a%d=''" % i for i in range(101)), b"/><a:b/>"], places=[9])
def test_cuts_make_no_difference(pieces: list[bytes], places: list[int]) -> None:
    data = b"".join(pieces)
    stream, expected = feed(ready_component, [data])
    again, told = feed(ready_component, cut(data, places))
    assert mask(told) == mask(expected)
    assert (stream.closed, stream.ready) == (again.closed, again.ready)
    assert stream.data_to_send() == again.data_to_send()


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 5),
    size=st.integers(40, 400),
    places=st.lists(st.integers(0, 10_000), max_size=10),
)
def test_stanzas_within_the_limit_always_pass(count: int, size: int, places: list[int]) -> None:
    stanza = b"<message><body>" + b"x" * (size - 32) + b"</body></message>"
    assert len(stanza) == size
    limits = Limits(stanza_bytes=size)
    _, told = feed(lambda: ready_component(limits=limits), cut(stanza * count, places))
    assert told == [stanza] * count
