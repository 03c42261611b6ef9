"""WebSocket framing (RFC 7395): every message one element, and nothing but that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from lxml import etree

from emp import ns
from emp.errors import RemoteProtocolError, StreamError
from emp.jid import JID
from emp.stanza import Message
from emp.stream import Limits
from emp.stream.engine import Stream
from emp.stream.events import (
    Authenticated,
    Compute,
    Event,
    Ready,
    Resumed,
    StanzasReceived,
    StreamClosed,
    StreamFailed,
    StreamOpened,
)
from emp.stream.framing import WEBSOCKET, as_message
from emp.stream.intake import HELD_BYTES
from emp.stream.management import Management
from tests.emp.stream.law import CLOSED, client, failed, mask, said, server, settle
from tests.emp.stream.managed import Keeper
from tests.emp.stream.pair import Pair
from tests.emp.stream.test_hostile import IN_STREAM

FRAMING = f"xmlns='{ns.FRAMING}'"
OPEN = f"<open {FRAMING} from='localhost' id='1' version='1.0' xml:lang='en'/>".encode()
TO_SERVER = f"<open {FRAMING} to='localhost' version='1.0'/>".encode()
CLOSE = f"<close {FRAMING}/>".encode()
CLIENT = "xmlns='jabber:client'"
STREAMS = f"xmlns:stream='{ns.STREAM}'"
GOOD = [f"<{kind} {CLIENT}/>".encode() for kind in ("message", "iq", "presence")]
SEEN = [b"<message/>", b"<iq/>", b"<presence/>"]


def ready_client() -> Stream:
    """A client on a stream that stands; what was said until then is forgotten."""
    plain = {"framing": WEBSOCKET, "mechanisms": ("PLAIN",)}  # for it is quick
    pair = Pair(client(**plain), server(**plain))
    for end in pair.ends:
        end.tls_established()
    pair.start()
    assert pair.ends[0].ready
    return pair.ends[0]


def feed(
    make: Callable[[], Stream], batches: Sequence[Sequence[bytes]]
) -> tuple[Stream, list[Any]]:
    """A new stream and what it said, with one read for each batch."""
    stream = make()
    events: list[Event] = []
    for batch in batches:
        events += settle(stream, stream.receive_messages(batch))
    return stream, said(stream, events)


def outcome(make: Callable[[], Stream], messages: list[bytes]) -> list[Any]:
    """What a stream says does not depend on how many messages came in one read, nor, once it is
    over, on what follows."""
    whole, expected = feed(make, [messages])
    single, told = feed(make, [[message] for message in messages])
    assert mask(told) == mask(expected), "one by one"
    assert (single.ready, single.closed) == (whole.ready, whole.closed)
    ending = single.messages_to_send()
    assert mask(ending) == mask(whole.messages_to_send())
    if whole.closed:
        for more in (GOOD[0], CLOSE, b"", b"<", b"\xff"):
            stream, told = feed(make, [[*messages, more], [more]])
            assert mask(told) == mask(expected), f"then {more!r}"
            assert mask(stream.messages_to_send()) == mask(ending)
    return expected


def goodbye(stream: Stream) -> list[str]:
    """The last messages of a stream: the condition of its error, if any, and the end."""
    names = []
    for message in stream.messages_to_send():
        element = etree.fromstring(message)
        names.append(element[0].tag if element.tag == f"{{{ns.STREAM}}}error" else element.tag)
    return [name.rpartition("}")[2] for name in names]


# -- the examples of RFC 7395, §3.4 and on, with our names ----------------------------------------


def test_the_conversation_of_the_rfc() -> None:
    pair = Pair(client(framing=WEBSOCKET, resource="r"), server(framing=WEBSOCKET))
    pair.start()
    jid = JID("juliet", "localhost", "r")
    assert pair.names(0) == ["StreamOpened", "Authenticated", "StreamOpened", "Ready"]
    assert pair.last(0) == pair.last(1) == Ready(jid)
    assert pair.handshakes == 0
    pair.ends[0].send([Message("nurse@localhost", "hi <there>")])
    pair.talk()
    assert [stanza.to_bytes() for stanza in pair.last(1).stanzas] == [
        b'<message to="nurse@localhost"><body>hi &lt;there&gt;</body></message>'
    ]
    pair.ends[0].close()
    pair.talk()
    assert pair.last(0) == pair.last(1) == StreamClosed()
    names = [[etree.fromstring(message).tag for message in sent] for sent in pair.sent]
    assert [[name.rpartition("}")[2] for name in side] for side in names] == [
        ["open", "auth", "response", "open", "iq", "message", "close"],
        ["open", "features", "challenge", "success", "open", "features", "iq", "close"],
    ]


def test_every_message_is_a_document_of_its_own() -> None:
    """§3.3.3: complete with its namespaces, no XML declaration, `<` first; §3.9: no STARTTLS."""
    pair = Pair(
        client(framing=WEBSOCKET),
        server(framing=WEBSOCKET, offer_tls=True, keeper=Keeper()),
    )
    pair.start()
    pair.ends[1].fail("conflict", "somebody <else>")
    pair.talk()
    wanted = {ns.FRAMING, ns.SASL, ns.STREAM, ns.CLIENT, ns.SM}
    found = set()
    for message in (*pair.sent[0], *pair.sent[1]):
        assert message.startswith(b"<")
        assert not message.startswith(b"<?")
        assert ns.TLS.encode() not in message
        found.add(etree.QName(etree.fromstring(message)).namespace)
    assert found == wanted


def test_open_mirrors_the_stream_header() -> None:
    stream = client(framing=WEBSOCKET, domain="localhost", lang="de")
    stream.tls_established()
    stream.start()
    (message,) = stream.messages_to_send()
    element = etree.fromstring(message)
    assert element.tag == f"{{{ns.FRAMING}}}open"
    assert dict(element.attrib) == {
        "to": "localhost",
        "from": "juliet@localhost",
        "version": "1.0",
        f"{{{ns.XML}}}lang": "de",
    }
    assert stream.receive_data(OPEN) == [StreamOpened("1", "localhost", None, "1.0", "en")]


def test_with_an_xml_declaration() -> None:
    """§3.3.3 only advises against it."""
    message = b"<?xml version='1.0' encoding='UTF-8'?>" + GOOD[0]
    assert outcome(ready_client, [message]) == [b"<message/>"]


@pytest.mark.parametrize("side", [0, 1])
def test_an_error_closes(side: int) -> None:
    """§3.5: the error is a message, and <close/> another one."""
    pair = Pair(client(framing=WEBSOCKET), server(framing=WEBSOCKET))
    pair.start()
    pair.ends[side].fail("policy-violation", "enough")
    pair.talk()
    error = pair.last(1 - side).error
    assert isinstance(error, StreamError)
    assert (error.condition, error.text) == ("policy-violation", "enough")
    assert pair.sent[side][-1] == CLOSE
    assert pair.sent[1 - side][-1] == CLOSE


def test_an_error_in_the_opening_follows_open() -> None:
    """§3.5."""
    stream = server(framing=WEBSOCKET)
    events = stream.receive_data(f"<open {FRAMING} to='elsewhere' version='1.0'/>".encode())
    assert said(stream, events)[-1] == failed("host-unknown")
    assert goodbye(stream) == ["open", "host-unknown", "close"]


def test_close_instead_of_open() -> None:
    stream = client(framing=WEBSOCKET)
    stream.start()
    assert stream.receive_data(CLOSE) == [CLOSED]


@pytest.mark.parametrize("make", [ready_client, lambda: client_at_work()])
def test_see_other_uri(make: Callable[[], Stream]) -> None:
    """§3.6.1: at any time, with the opening too."""
    stream = make()
    uri = "wss://other.example.org/xmpp?a=1&b=2"
    close = f"<close {FRAMING} see-other-uri='{uri.replace('&', '&amp;')}'/>".encode()
    (event,) = stream.receive_data(close)
    assert isinstance(event, StreamFailed)
    assert isinstance(event.error, StreamError)
    assert (event.error.condition, event.error.other_host) == ("see-other-host", uri)
    assert goodbye(stream)[-1] == "close"


def client_at_work() -> Stream:
    stream = client(framing=WEBSOCKET)
    stream.start()
    return stream


def test_close_twice() -> None:
    assert outcome(ready_client, [CLOSE, CLOSE]) == [CLOSED]


def test_what_comes_before_the_answer_to_our_close() -> None:
    stream = ready_client()
    stream.close()
    assert said(stream, stream.receive_messages([*GOOD, CLOSE])) == [*SEEN, CLOSED]
    assert goodbye(stream) == ["close"]  # once


# -- sessions --------------------------------------------------------------------------------------


def test_a_session_is_resumed() -> None:
    """§3.10."""
    keeper, books = Keeper(), Management()

    def pair() -> Pair:
        return Pair(
            client(framing=WEBSOCKET, management=books),
            server(framing=WEBSOCKET, keeper=keeper),
        )

    first = pair()
    first.start()
    first.ends[0].send([Message("a@localhost", "lost")])
    first.ends[0].receive_eof()
    second = pair()
    second.start()
    assert isinstance(second.last(0), Resumed)
    received = [e for e in second.events[1] if isinstance(e, StanzasReceived)]
    assert [stanza.to_bytes() for each in received for stanza in each.stanzas] == [
        b'<message to="a@localhost"><body>lost</body></message>'
    ]


def test_sasl2() -> None:
    pair = Pair(client(framing=WEBSOCKET), server(framing=WEBSOCKET, sasl2=True))
    for end in pair.ends:
        end.tls_established({"tls-exporter": b"the same"})
    pair.start()
    assert pair.names(0) == ["StreamOpened", "Authenticated", "Ready"]  # one stream, no restart
    assert any(b"urn:xmpp:sasl:2" in message for message in pair.sent[0])


def test_messages_wait_for_what_is_computed() -> None:
    """One by one, not as one text."""
    stream, held = computing_client()
    assert stream.receive_messages([GOOD[0], GOOD[1]]) == []
    held.work()
    told = said(stream, stream.computed())
    assert told == [failed("not-authorized")]  # they come too early, but each is whole


def test_not_too_many_of_them() -> None:
    for message in (b"", b"<a/>" * 100):
        stream, _ = computing_client()
        told = said(stream, stream.receive_messages([message] * (HELD_BYTES + 1)))
        assert told == [failed("policy-violation")]


def computing_client() -> tuple[Stream, Compute]:
    ours, theirs = client(framing=WEBSOCKET), server(framing=WEBSOCKET)
    ours.start()
    ends = (ours, theirs)
    while True:
        for one, other in (ends, ends[::-1]):
            for event in other.receive_messages(one.messages_to_send()):
                if isinstance(event, Compute):
                    assert other is ours
                    return ours, event


# -- hostile messages ------------------------------------------------------------------------------

MANY = " ".join(f"a{number}=''" for number in range(101))
HOSTILE: dict[str, tuple[bytes, str]] = {
    "white space before a declaration": (b" <?xml version='1.0'?>" + GOOD[0], "restricted-xml"),
    "white space and text": (b" hello", "not-well-formed"),
    "no white space of XML": ("\u00a0".encode(), "not-well-formed"),
    "byte order mark": (b"\xef\xbb\xbf" + GOOD[0], "not-well-formed"),
    "text": (b"hello", "not-well-formed"),
    "text behind": (GOOD[0] + b"hello", "not-well-formed"),
    "two elements": (GOOD[0] + GOOD[1], "not-well-formed"),
    "a fragment": (f"<message {CLIENT}><body>".encode(), "not-well-formed"),
    "the rest of it": (b"</body></message>", "not-well-formed"),
    "half a tag": (f"<message {CLIENT}".encode(), "not-well-formed"),
    "only <": (b"<", "not-well-formed"),
    "half a character": (f"<message {CLIENT}>".encode() + b"\xc3", "not-well-formed"),
    "an open CDATA section": (f"<message {CLIENT}><![CDATA[".encode(), "not-well-formed"),
    "a document type": (b"<!DOCTYPE a [<!ENTITY b 'c'>]>" + GOOD[0], "restricted-xml"),
    "a declaration and a type": (b"<?xml version='1.0'?><!DOCTYPE a>" + GOOD[0], "restricted-xml"),
    "a declaration alone": (b"<?xml version='1.0'?>", "not-well-formed"),
    "half a declaration": (b"<?xml version='1.0'", "restricted-xml"),
    "another encoding": (
        b"<?xml version='1.0' encoding='latin-1'?>" + GOOD[0],
        "unsupported-encoding",
    ),
    "a comment": (GOOD[0] + b"<!-- -->", "restricted-xml"),
    "an instruction": (b"<?php 1?>" + GOOD[0], "restricted-xml"),
    "an entity": (f"<message {CLIENT}>&bomb;</message>".encode(), "restricted-xml"),
    "no UTF-8": (f"<message {CLIENT}>".encode() + b"\xff</message>", "unsupported-encoding"),
    "UTF-16": ("<message/>".encode("utf-16"), "not-well-formed"),
    "NUL behind": (GOOD[0] + b"\0", "not-well-formed"),
    "no namespace": (b"<message/>", "unsupported-stanza-type"),
    "another namespace": (b"<message xmlns='jabber:server'/>", "unsupported-stanza-type"),
    "a component's": (b"<message xmlns='jabber:component:accept'/>", "unsupported-stanza-type"),
    "a prefix that only a stream declares": (b"<stream:error/>", "not-well-formed"),
    "a header of TCP": (
        f"<stream:stream {CLIENT} {STREAMS}>".encode(),
        "not-well-formed",
    ),
    "the same, empty": (
        f"<stream:stream {CLIENT} {STREAMS}/>".encode(),
        "unsupported-stanza-type",
    ),
    "a footer of TCP": (b"</stream:stream>", "not-well-formed"),
    "open again": (OPEN, "unsupported-stanza-type"),
    "what frames know": (f"<pause {FRAMING}/>".encode(), "unsupported-stanza-type"),
    "features": (f"<stream:features {STREAMS}/>".encode(), "unsupported-stanza-type"),
}


@pytest.mark.parametrize("blank", [b"", b" ", b"\r\n\t ", b" " * 70_000])
def test_white_space_keeps_a_line_alive(blank: bytes) -> None:
    """RFC 7395 §3.8 wants pings instead; some servers send it all the same, at any time."""
    told = outcome(ready_client, [blank, GOOD[0], blank, b" " + GOOD[1] + b"\n", blank, GOOD[2]])
    assert told == outcome(ready_client, GOOD)


def test_white_space_during_a_login() -> None:
    ours, theirs = client(framing=WEBSOCKET), server(framing=WEBSOCKET)
    ours.start()
    told: list[Any] = []
    while messages := ours.messages_to_send():
        settle(theirs, theirs.receive_messages(messages))
        spaced = [each for message in theirs.messages_to_send() for each in (b" ", message, b"\n")]
        told += said(ours, settle(ours, ours.receive_messages(spaced)))
    assert ours.ready, told


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(name: str) -> None:
    message, condition = HOSTILE[name]
    assert outcome(ready_client, [*GOOD, message]) == [*SEEN, failed(condition)]
    stream, _ = feed(ready_client, [[message]])
    assert goodbye(stream) == [condition, "close"]


@pytest.mark.parametrize("name", IN_STREAM)
def test_what_breaks_a_stream_is_no_message(name: str) -> None:
    data, _ = IN_STREAM[name]
    told = outcome(ready_client, [data])
    assert len(told) == 1
    assert told[0][0] == "RemoteProtocolError"


OPENINGS: dict[str, tuple[bytes, str]] = {
    "a header of TCP": (f"<stream:stream {CLIENT} {STREAMS}/>".encode(), "invalid-namespace"),
    "another namespace": (b"<open xmlns='urn:example:framing'/>", "invalid-namespace"),
    "no namespace": (b"<open/>", "invalid-namespace"),
    "no URI": (b"<open xmlns='a}b {c'/>", "invalid-namespace"),
    "another name": (f"<opened {FRAMING}/>".encode(), "bad-format"),
    "a stanza": (GOOD[0], "invalid-namespace"),
    "too long": (
        f"<open {FRAMING} to='{'x' * Limits().header_bytes}'/>".encode(),
        "policy-violation",
    ),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", "not-well-formed"),
}


@pytest.mark.parametrize("make", [client_at_work, lambda: server(framing=WEBSOCKET)])
@pytest.mark.parametrize("name", OPENINGS)
def test_no_opening(name: str, make: Callable[[], Stream]) -> None:
    message, condition = OPENINGS[name]
    assert outcome(make, [message]) == [failed(condition)]
    stream, _ = feed(make, [[message]])
    assert goodbye(stream) == ["open", condition, "close"]


def test_nothing_may_follow_a_success() -> None:
    """What came before authentication must not count as sent afterwards."""
    stream = client(framing=WEBSOCKET, mechanisms=("PLAIN",))
    stream.tls_established()
    stream.start()
    stream.receive_messages([OPEN, features("PLAIN")])
    success = f"<success xmlns='{ns.SASL}'/>".encode()
    told = said(stream, stream.receive_messages([success, OPEN]))
    assert told == [failed("policy-violation")]


def test_and_nothing_but_open_after_it() -> None:
    stream = client(framing=WEBSOCKET, mechanisms=("PLAIN",))
    stream.tls_established()
    stream.start()
    stream.receive_messages([OPEN, features("PLAIN")])
    (event,) = stream.receive_data(f"<success xmlns='{ns.SASL}'/>".encode())
    assert isinstance(event, Authenticated)
    assert said(stream, stream.receive_data(features("PLAIN"))) == [failed("invalid-namespace")]


def features(mechanism: str) -> bytes:
    return (
        f"<stream:features {STREAMS}><mechanisms xmlns='{ns.SASL}'>"
        f"<mechanism>{mechanism}</mechanism></mechanisms></stream:features>"
    ).encode()


@pytest.mark.parametrize("required", ["", "<required/>"])
def test_starttls_is_not_for_websocket(required: str) -> None:
    """§3.9: not even where a server wants it."""
    stream = client(framing=WEBSOCKET, require_tls=True)
    stream.start()
    offer = f"<starttls xmlns='{ns.TLS}'>{required}</starttls>"
    (opened, event) = stream.receive_messages(
        [OPEN, f"<stream:features {STREAMS}>{offer}</stream:features>".encode()]
    )
    assert isinstance(opened, StreamOpened)
    assert said(stream, [event]) == [failed("encryption-required", "AuthenticationError")]


def test_nor_may_a_client_ask_for_it() -> None:
    stream = server(framing=WEBSOCKET, require_tls=True)
    told = said(
        stream, stream.receive_messages([TO_SERVER, f"<starttls xmlns='{ns.TLS}'/>".encode()])
    )
    assert told[-1] == failed("unsupported-feature")


# -- small things ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        (b"<message/>", b"<message xmlns='jabber:client'/>"),
        (b"<iq id='1'>x</iq>", b"<iq xmlns='jabber:client' id='1'>x</iq>"),
        (b"<presence>x</presence>", b"<presence xmlns='jabber:client'>x</presence>"),
        (b"<messages/>", b"<messages/>"),
        (b"<r xmlns='urn:xmpp:sm:3'/>", b"<r xmlns='urn:xmpp:sm:3'/>"),
        (
            b"<stream:features/>",
            b"<stream:features xmlns:stream='http://etherx.jabber.org/streams'/>",
        ),
    ],
)
def test_as_message(xml: bytes, expected: bytes) -> None:
    assert as_message(xml) == expected


def test_a_fault_below_the_stream() -> None:
    stream = ready_client()
    error = RemoteProtocolError("bad-format", "a binary message")
    assert stream.receive_fault(error) == [StreamFailed(error)]
    assert goodbye(stream) == ["bad-format", "close"]
    assert stream.receive_fault(error) == []


def test_namespaces_that_are_no_uris_are_not_our_business() -> None:
    message = f"<message {CLIENT}><x xmlns='a b'/></message>".encode()
    assert outcome(ready_client, [message]) == [b'<message><x xmlns="a b"/></message>']


# -- what costs one message -----------------------------------------------------------------------

SKIPPED: dict[str, tuple[str, str]] = {
    "too long": (
        f"<message {CLIENT} id='1'>{'x' * Limits().stanza_bytes}</message>",
        "stanza_bytes",
    ),
    "too deep": (f"<message {CLIENT} id='1'>{'<a>' * 300}{'</a>' * 300}</message>", "depth"),
    "a long name": (f"<message {CLIENT} id='1'><{'a' * 60_000}/></message>", "name_bytes"),
    "too many attributes": (f"<message {CLIENT} id='1' {MANY}/>", "attributes"),
    "attributes below": (f"<message {CLIENT} id='1'><x {MANY}/></message>", "attributes"),
    "a reserved namespace": (
        f"<message {CLIENT} id='1'><x xmlns='a b'/><y xmlns='{ns.XML}'/></message>",
        "reserved_namespace",
    ),
    "a reserved namespace with a prefix": (
        f"<message {CLIENT} id='1'><y xmlns:a='{ns.XML}' a:b=''/></message>",
        "reserved_namespace",
    ),
    "depth behind an odd namespace": (
        f"<message {CLIENT} id='1'><x xmlns='a b'/>{'<a>' * 300}{'</a>' * 300}</message>",
        "depth",
    ),
}


@pytest.mark.parametrize("name", SKIPPED)
def test_what_costs_one_message(name: str) -> None:
    text, limit = SKIPPED[name]
    told = outcome(ready_client, [*GOOD, text.encode(), *GOOD])
    one = ("skipped", limit, len(text.encode()), b'<message id="1"/>')
    assert told == [*SEEN, one, *SEEN]


@pytest.mark.parametrize("name", ["too deep", "too many attributes"])
def test_what_is_no_stanza_or_not_whole_ends_the_stream(name: str) -> None:
    text, _ = SKIPPED[name]
    for bad in (text.replace("message", "query"), text + "<a/>", text[:-1]):
        told = outcome(ready_client, [bad.encode()])
        assert told[0][0] == "RemoteProtocolError"


def test_awaited_answers_may_be_larger() -> None:
    limit = Limits().stanza_bytes
    answer = f"<iq {CLIENT} type='result' id='mine' from='a@b'><q xmlns='u'>{'x' * limit}</q></iq>"

    def make() -> Stream:
        stream = ready_client()
        stream.expect_answers(lambda id: id == "mine")
        return stream

    _, told = feed(make, [[answer.encode()], [answer.replace("mine", "other").encode()]])
    assert isinstance(told[0], bytes)
    assert told[1][:2] == ("skipped", "stanza_bytes")
