"""Hostile and broken input: what was complete before is delivered, then one fault with the
condition of RFC 6120 §4.9.3, whatever the chunks are."""

import re
import resource
from itertools import pairwise
from typing import Any

import pytest

from emp.stream import Limits
from emp.stream.events import StanzasReceived, StreamFailed
from emp.stream.leaving import CROWD, LARGE
from emp.stream.parser import StreamParser
from emp.stream.places import PIECE_BYTES
from tests.emp.stream.law import (
    CLOSED,
    COMPONENT_HEADER,
    STREAMS,
    condition_sent,
    failed,
    feed,
    outcome,
    ready_component,
    server,
    started_client,
    started_component,
)

GOOD = b"<message/><iq/><presence/>"
SEEN = [b"<message/>", b"<iq/>", b"<presence/>"]

# What breaks a stream of stanzas: bytes, condition.
IN_STREAM: dict[str, tuple[bytes, str]] = {
    "doctype": (b"<!DOCTYPE foo [<!ENTITY a 'b'>]>", "restricted-xml"),
    "doctype in a stanza": (b"<message><!DOCTYPE foo>", "restricted-xml"),
    "comment": (b"<message><!-- hidden --></message>", "restricted-xml"),
    "comment between": (b"<!-- -->", "restricted-xml"),
    "processing instruction": (b"<message><?php 1 ?></message>", "restricted-xml"),
    "second declaration": (b"<?xml version='1.0'?>", "restricted-xml"),
    "second header": (b"<?xml version='1.0'?>" + COMPONENT_HEADER, "restricted-xml"),
    "second header, bare": (COMPONENT_HEADER, "unsupported-stanza-type"),
    "entity": (b"<message>&foo;</message>", "restricted-xml"),
    "entity in an attribute": (b"<message to='&foo;'/>", "restricted-xml"),
    "not UTF-8": (b"<message><body>\xff</body></message>", "unsupported-encoding"),
    "overlong": (b"<message><body>\xc0\xaf</body></message>", "unsupported-encoding"),
    "surrogate": (b"<message><body>\xed\xa0\x80</body></message>", "unsupported-encoding"),
    "five bytes": (b"<message><body>\xf7\x80\x80\x80</body></message>", "unsupported-encoding"),
    "latin-1": ("<message><body>é</body></message>".encode("latin-1"), "unsupported-encoding"),
    "NUL": (b"<message><body>\0</body></message>", "not-well-formed"),
    "control character": (b"<message><body>\x01</body></message>", "not-well-formed"),
    "bare & in an attribute": (b"<message id='& b'/>", "not-well-formed"),
    "NUL in CDATA": (b"<message><body><![CDATA[a\0b]]></body></message>", "not-well-formed"),
    "NUL in CDATA, then nothing": (b"<message><body><![CDATA[a\0", "not-well-formed"),
    "NUL in an attribute": (b"<message id='\0'/>", "not-well-formed"),
    "control character in CDATA": (b"<message><![CDATA[\x01]]></message>", "not-well-formed"),
    "control character in an attribute": (b"<message id='\x0b'/>", "not-well-formed"),
    "U+FFFF in CDATA": ("<message><![CDATA[\uffff]]></message>".encode(), "not-well-formed"),
    "U+FFFE in an attribute": ("<message id='\ufffe'/>".encode(), "not-well-formed"),
    "U+FFFE by number": (b"<message>&#xFFFE;</message>", "not-well-formed"),
    "too many digits": (b"<message>&#000099999999999;</message>", "not-well-formed"),
    "reference to NUL": (b"<message><body>&#0;</body></message>", "not-well-formed"),
    "U+FFFE": ("<message><body>\ufffe</body></message>".encode(), "not-well-formed"),
    "wrong end tag": (b"<message></presence>", "not-well-formed"),
    "crossed": (b"<message><a><b></a></b></message>", "not-well-formed"),
    "attribute twice": (b"<message to='a' to='b'/>", "not-well-formed"),
    "no quotes": (b"<message to=a/>", "not-well-formed"),
    "< in an attribute": (b"<message to='<'/>", "not-well-formed"),
    "bare &": (b"<message><body>a & b</body></message>", "not-well-formed"),
    "]]> in a text": (b"<message><body>]]></body></message>", "not-well-formed"),
    "undeclared prefix": (b"<message><a:b/></message>", "not-well-formed"),
    "undeclared prefix, then a relative namespace": (
        b"<message><a:b/><c xmlns='relative'/></message>",
        "not-well-formed",
    ),
    "undeclared prefix on top": (b"<a:message/>", "not-well-formed"),
    "undeclared prefix of an attribute": (b"<message a:b='c'/>", "not-well-formed"),
    "attribute twice by namespace": (
        b"<message><x xmlns:a='u' xmlns:b='u' a:c='1' b:c='2'/></message>",
        "not-well-formed",
    ),
    "two colons": (b"<message xmlns:a='u'><a:b:c/></message>", "not-well-formed"),
    "prefix xml": (b"<message xmlns:xml='evil'/>", "not-well-formed"),
    "prefix xmlns": (b"<message xmlns:xmlns='evil'/>", "not-well-formed"),
    "prefix undeclared": (b"<message xmlns:a=''/>", "not-well-formed"),
    "text between": (b"hello<message/>", "bad-format"),
    "text between in CDATA": (b"<![CDATA[hello]]><message/>", "bad-format"),
    "text after space": (b"  hello  <message/>", "bad-format"),
    "reference between": (b"&amp;<message/>", "bad-format"),
    "unknown stanza": (b"<query xmlns='jabber:iq:roster'/>", "unsupported-stanza-type"),
    "unknown, open": (b"<query xmlns='jabber:iq:roster'>", "unsupported-stanza-type"),
    "unknown, full": (b"<a><message/></a>", "unsupported-stanza-type"),
    "foreign stanza": (b"<message xmlns='jabber:server'/>", "unsupported-stanza-type"),
    "no namespace": (b"<message xmlns=''/>", "unsupported-stanza-type"),
    "features": (b"<stream:features/>", "unsupported-stanza-type"),
    "a whole stream": (b"<stream:stream><message/></stream:stream>", "unsupported-stanza-type"),
    "proceed": (
        b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "unsupported-stanza-type",
    ),
    "success": (
        b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "unsupported-stanza-type",
    ),
    "handshake": (b"<handshake/>", "unsupported-stanza-type"),
}


def test_a_whole_stream_in_the_stream_is_a_fault_however_it_is_cut() -> None:
    data, condition = IN_STREAM["a whole stream"]
    for size in (1, 7, len(data)):
        parser = StreamParser(Limits())
        parser.receive(COMPONENT_HEADER)
        seen = [parser.receive(data[at : at + size]) for at in range(0, len(data), size)]
        assert not any(seen)
        assert parser.fault is not None
        assert parser.fault.condition == condition


@pytest.mark.parametrize("name", IN_STREAM)
def test_in_a_stream(name: str) -> None:
    data, condition = IN_STREAM[name]
    assert outcome(ready_component, GOOD + data) == [*SEEN, failed(condition)]


@pytest.mark.parametrize("name", IN_STREAM)
def test_tells_the_peer_and_goes(name: str) -> None:
    data, condition = IN_STREAM[name]
    stream, told = feed(ready_component, [GOOD + data, GOOD])
    assert told == [*SEEN, failed(condition)]
    assert stream.closed
    assert condition_sent(stream) == condition
    assert stream.receive_data(GOOD) == []
    assert stream.receive_eof() == []


HEADERS: dict[str, tuple[bytes, str]] = {
    "http": (b"GET / HTTP/1.1\r\n\r\n", "not-well-formed"),
    "tls": (b"\x16\x03\x01\x02\x00", "not-well-formed"),
    "utf-16": ("<stream:stream>".encode("utf-16"), "unsupported-encoding"),
    "other encoding": (b"<?xml version='1.0' encoding='iso-8859-1'?>", "unsupported-encoding"),
    "doctype": (b"<!DOCTYPE a><a>", "restricted-xml"),
    "doctype behind": (b"<?xml version='1.0'?><!DOCTYPE a><a>", "restricted-xml"),
    "comment": (b"<!-- --><a>", "restricted-xml"),
    "processing instruction": (b"<?xml-stylesheet href='a'?><a>", "restricted-xml"),
    "other instruction": (b"<?php ?>", "restricted-xml"),
    "bad declaration": (b"<?xml version='2.0'?>", "not-well-formed"),
    "text": (b"<?xml version='1.0'?> hello", "not-well-formed"),
    "end": (b"</stream:stream>", "not-well-formed"),
    "empty": (f"<stream:stream xmlns='jabber:client' {STREAMS}/>".encode(), "bad-format"),
    "wrong name": (f"<stream:flow xmlns='jabber:client' {STREAMS}>".encode(), "bad-format"),
    "wrong namespace": (
        b"<stream:stream xmlns='jabber:client' xmlns:stream='urn:streams'>",
        "invalid-namespace",
    ),
    "namespace with a brace": (b"<stream:stream xmlns:stream='a}b'>", "not-well-formed"),
    "no namespace": (b"<stream>", "invalid-namespace"),
    "undeclared prefix": (b"<stream:stream xmlns='jabber:client'>", "not-well-formed"),
    "server to server": (
        f"<stream:stream xmlns='jabber:server' {STREAMS}>".encode(),
        "invalid-namespace",
    ),
    "no content namespace": (f"<stream:stream {STREAMS}>".encode(), "invalid-namespace"),
    "unprefixed": (b"<stream xmlns='http://etherx.jabber.org/streams'>", "invalid-namespace"),
    "tag in a tag": (b"<stream:stream <a>", "not-well-formed"),
    "< in a quote": (b"<stream:stream to='<", "not-well-formed"),
    "attribute twice": (
        f"<stream:stream to='a' to='b' xmlns='jabber:client' {STREAMS}>".encode(),
        "not-well-formed",
    ),
    "not UTF-8": (
        b"<stream:stream to='\xff' xmlns='jabber:client' " + STREAMS.encode() + b">",
        "unsupported-encoding",
    ),
    "endless": (b"<stream:stream to='" + b"a" * 2100, "policy-violation"),
    "endless declaration": (b"<?xml version='1.0' " + b" " * 2100, "policy-violation"),
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("make", [started_client, started_component, server])
def test_in_the_header(make: Any, name: str) -> None:
    data, condition = HEADERS[name]
    limits = Limits(header_bytes=2048)
    told = outcome(lambda: make(limits=limits), data)
    assert told[-1] == failed(condition)


def test_server_wraps_an_early_error_in_a_stream() -> None:
    stream, _ = feed(server, [b"GET / HTTP/1.1\r\n\r\n"])
    sent = stream.data_to_send()
    assert re.match(
        rb"<\?xml version='1.0'\?><stream:stream from='localhost' id='[0-9a-f]{32}'", sent
    )
    assert sent.count(b"<stream:stream") == 1
    assert b"<not-well-formed " in sent
    assert b"GET" not in sent


# -- what passes all the same ----------------------------------------------------------------------

FINE: dict[str, tuple[bytes, list[bytes]]] = {
    "keepalives": (b" \n\t\r <message/> \n <iq/> ", [b"<message/>", b"<iq/>"]),
    "CDATA": (
        b"<message><body><![CDATA[<!-- <?x ]] ]>]]></body></message>",
        [b"<message><body>&lt;!-- &lt;?x ]] ]&gt;</body></message>"],
    ),
    "exclamation": (
        b"<message><body>wow! why?</body></message>",
        [b"<message><body>wow! why?</body></message>"],
    ),
    "references": (
        b"<message><body>&lt;&#x1F600;&apos;</body></message>",
        ["<message><body>&lt;😀'</body></message>".encode()],
    ),
    "> in an attribute": (b"<message id='a>b'/>", [b'<message id="a&gt;b"/>']),
    "forwarded": (
        b"<message><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'/>"
        b"</forwarded></message><iq/>",
        [
            b'<message><forwarded xmlns="urn:xmpp:forward:0"><message xmlns="jabber:client"/>'
            b"</forwarded></message>",
            b"<iq/>",
        ],
    ),
    "stanza in a stanza": (
        b"<message><message/><presence/></message><iq/>",
        [b"<message><message/><presence/></message>", b"<iq/>"],
    ),
    "namespace with a brace": (
        b"<iq><x xmlns='a}b' c='d'><y/></x></iq>",
        [b'<iq><x xmlns="a}b" c="d"><y/></x></iq>'],
    ),
    "relative namespace": (
        b"<iq><vCard xmlns='vcard-temp'/></iq>",
        [b'<iq><vCard xmlns="vcard-temp"/></iq>'],
    ),
    "namespace that is no URI": (
        b"<iq><x xmlns='a b'/></iq><iq/>",
        [b'<iq><x xmlns="a b"/></iq>', b"<iq/>"],
    ),
    "xml:id that is no name": (
        b"<iq><x xmlns='u' xml:id='1 2'/></iq><iq/>",
        [b'<iq><x xmlns="u" xml:id="1 2"/></iq>', b"<iq/>"],
    ),
    "xml:id twice": (
        b"<iq xml:id='a'/><iq xml:id='a'/>",
        [b'<iq xml:id="a"/>', b'<iq xml:id="a"/>'],
    ),
    "leading zeros": (
        b"<iq id='&#" + b"0" * 30 + b"9;'/><message>&#x" + b"0" * 30 + b"a0;</message>",
        [b'<iq id="&#9;"/>', "<message>\xa0</message>".encode()],
    ),
    "in no namespace, in that of XML": (
        b"<iq><x xmlns=''><xml:foo><y/></xml:foo></x></iq>",
        [b'<iq><x xmlns=""><xml:foo><y/></xml:foo></x></iq>'],
    ),
    "namespace declared on the stanza": (
        b"<message xmlns='jabber:component:accept'><body>hi</body><x xmlns='u'/></message><iq/>",
        [b'<message><body>hi</body><x xmlns="u"/></message>', b"<iq/>"],
    ),
    "namespace jabber:client declared": (b"<message xmlns='jabber:client'/>", [b"<message/>"]),
    "depth 255": (
        b"<message>" + b"<a xmlns='u'>" + b"<a>" * 252 + b"</a>" * 253 + b"</message>",
        [b'<message><a xmlns="u">' + b"<a>" * 251 + b"<a/>" + b"</a>" * 252 + b"</message>"],
    ),
}


@pytest.mark.parametrize("name", FINE)
def test_passes(name: str) -> None:
    data, expected = FINE[name]
    assert outcome(ready_component, data) == expected


def test_names_of_the_stream_mean_nothing_inside_a_stanza() -> None:
    told = outcome(ready_component, b"<iq><stream:stream/><stream:error/></iq><presence/>")
    assert len(told) == 2
    assert told[1] == b"<presence/>"


def test_end_of_stream_after_stanzas() -> None:
    assert outcome(ready_component, GOOD + b" </stream:stream>") == [*SEEN, CLOSED]


def test_what_follows_the_end_is_ignored() -> None:
    stream, told = feed(ready_component, [b"<iq/></stream:stream>junk<message/>\xff<!--"])
    assert told == [b"<iq/>", CLOSED]
    assert stream.data_to_send() == b"</stream:stream>"


def test_other_prefixes() -> None:
    header = (
        b"<s:stream id='1' xmlns='jabber:component:accept' xmlns:c='jabber:component:accept'"
        b" xmlns:s='http://etherx.jabber.org/streams'>"
    )
    told = outcome(
        started_component,
        header + b"<c:handshake/><c:message to='a'><c:body>x</c:body></c:message></s:stream>",
    )
    assert told[3:] == [b'<message to="a"><body>x</body></message>', CLOSED]


# -- limits ---------------------------------------------------------------------------------------

LIMIT = 1000


def limited() -> Any:
    return ready_component(limits=Limits(stanza_bytes=LIMIT))


def stanza_of(size: int) -> bytes:
    frame = b"<message><body></body></message>"
    return frame.replace(b"<body>", b"<body>" + b"x" * (size - len(frame)))


@pytest.mark.parametrize("step", [1, 7, 333, 5000])
def test_a_stanza_of_the_limit_passes(step: int) -> None:
    data = stanza_of(LIMIT) * 3
    stream, told = feed(limited, [data[i : i + step] for i in range(0, len(data), step)])
    assert told == [stanza_of(LIMIT)] * 3
    assert stream.ready


def test_whitespace_does_not_count() -> None:
    _, told = feed(limited, [b" " * 600] * 10 + [b"<iq/>"])
    assert told == [b"<iq/>"]


def test_a_hundred_attributes_pass() -> None:
    data = b"<message %s/>" % b" ".join(b"a%d=''" % i for i in range(100))
    stream, told = feed(ready_component, [data])
    assert len(told) == 1
    assert stream.ready


# Tags that are none. libxml2 looks for the quote behind what follows, and says nothing till then.
NO_TAGS = {
    "a value without a name": b"<iq='",
    "< in a tag": b"<iq a<'>",
    "no name": b"<message><&amp; '",
    "behind others": b"<presence/><iq id='1'></iq> <iq=\"",
}


def last_read(pieces: list[bytes]) -> tuple[int, str | None]:
    """How much was read until there was a fault, and which one."""
    parser = StreamParser(Limits(stanza_bytes=LIMIT))
    parser.receive(COMPONENT_HEADER)
    parser.quick = True
    size = 0
    for piece in pieces:
        size += len(piece)
        parser.receive(piece)
        if parser.fault:
            return size, parser.fault.condition
    return size, None


@pytest.mark.parametrize("name", NO_TAGS)
@pytest.mark.parametrize("before", [b"", b"<iq></iq><message/>" * 20, b"<message a=''/>" * 60])
def test_what_libxml2_says_nothing_of_may_be_no_larger_than_a_stanza(
    name: str, before: bytes
) -> None:
    broken = NO_TAGS[name]
    begins = len(before) + max(broken.find(b'<iq="'), 0)
    data = before + broken + b"<" + b"x" * 2 * LIMIT
    at = begins + LIMIT
    assert last_read([data[i : i + 1] for i in range(len(data))]) == (at + 1, "not-well-formed")
    for cuts in ([at], [len(before) + 40, at], [begins, at], [at - 1, at], [200, 700, at]):
        edges = [0, *cuts]
        pieces = [data[a:b] for a, b in pairwise(edges)]
        assert last_read(pieces) == (at, None)
        assert last_read([*pieces, data[at : at + 1]]) == (at + 1, "not-well-formed")
        assert last_read([*pieces[:-1], data[edges[-2] :]]) == (len(data), "not-well-formed")


# -- the log of libxml2 ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", IN_STREAM)
def test_errors_that_are_tolerated_are_not_taken_for_others(name: str) -> None:
    odd = b"<iq><x xmlns='a b'/></iq>"
    data, condition = IN_STREAM[name]
    for pieces in ([odd, data], [odd + data], [odd, data[:5], data[5:]]):
        _, told = feed(ready_component, pieces)
        assert told[1:] == [failed(condition)]


def test_errors_that_are_tolerated_do_not_hide_others() -> None:
    odd = b"<iq><x xmlns='a b'/></iq>"
    stream = ready_component()
    for _ in range(300):
        (event,) = stream.receive_data(odd)
    told = outcome(ready_component, odd * 130 + b"<iq><a:b/></iq>")
    assert told[130:] == [failed("not-well-formed")]
    (event,) = stream.receive_data(b"<iq><a:b/></iq>")
    assert isinstance(event, StreamFailed)


def test_one_stanza_full_of_tolerated_errors() -> None:
    odd = b"<x xmlns='a b'/>" * 150
    _, told = feed(ready_component, [b"<iq/><iq>" + odd + b"<a:b/></iq>"])
    assert told == [b"<iq/>", failed("not-well-formed")]
    _, told = feed(ready_component, [b"<iq>" + odd + b"</iq><iq/>", b"<iq><a:b/></iq>"])
    assert told[1:] == [b"<iq/>", failed("not-well-formed")]


def test_replay_when_the_fault_comes_pieces_later() -> None:
    pieces = [b"<presence/><iq><x", b">text</x></iq><presence/><iq", b"><y/></iq><iq><a:b/>"]
    _, told = feed(ready_component, pieces)
    assert [each for each in told if isinstance(each, bytes)] == [
        b"<presence/>",
        b"<iq><x>text</x></iq>",
        b"<presence/>",
        b"<iq><y/></iq>",
    ]
    assert told[-1] == failed("not-well-formed")


# -- memory ---------------------------------------------------------------------------------------


def resident_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.parametrize(
    "stanza",
    [
        b"<message to='c.localhost'><body>" + b"x" * 200 + b"</body></message>\n",
        b"<iq to='c.localhost'><vCard xmlns='vcard-temp'><a/></vCard></iq>",
        b"<iq to='c.localhost'><x xmlns='not a uri'/></iq>",
        b"<message><forwarded xmlns='u'><message xmlns='jabber:client'/></forwarded></message>",
    ],
)
def test_nothing_accumulates(stanza: bytes) -> None:
    stream = ready_component()
    chunk = (stanza * (PIECE_BYTES // len(stanza) + 2))[: PIECE_BYTES - PIECE_BYTES % 7]
    chunk = chunk[: chunk.rfind(stanza) + len(stanza)]
    # The cut makes every second read end inside a stanza.
    pieces = [chunk[: len(chunk) - 20], chunk[len(chunk) - 20 :]]
    per_round = chunk.count(stanza)

    def rounds(stanzas: int) -> int:
        count = 0
        while count < stanzas:
            for piece in pieces:
                for event in stream.receive_data(piece):
                    count += len(event.stanzas)  # type: ignore[union-attr]
        return count

    assert rounds(20_000) % per_round == 0
    before = resident_kib()
    rounds(100_000)
    assert resident_kib() - before < 4096  # 100,000 leaked elements would be 20 MiB and more


def test_parser_reports_idleness() -> None:
    parser = StreamParser(Limits())
    assert parser.idle
    parser.receive(COMPONENT_HEADER[:20])
    assert not parser.idle
    parser.receive(COMPONENT_HEADER[20:])
    assert parser.idle
    for piece, idle in ((b"<iq", False), (b">", False), (b"</iq>", True), (b" ", True)):
        parser.receive(piece)
        assert parser.idle is idle


def test_a_stream_that_never_rests() -> None:
    """Every read ends inside a stanza whose end cannot be guessed."""
    limits = Limits(stanza_bytes=200)
    stream = ready_component(limits=limits)
    piece = b" id='a'/><iq><x>b</x></iq><presence"
    stream.receive_data(b"<presence")
    count = 0
    for _ in range(5000):
        for event in stream.receive_data(piece):
            assert isinstance(event, StanzasReceived)
            count += len(event.stanzas)
    assert count == 10_000
    (event,) = stream.receive_data(b"/><iq><a:b/>")[-1:]
    assert isinstance(event, StreamFailed)
    assert event.error.condition == "not-well-formed"


# -- large elements, which lxml moves in quadratic time -------------------------------------------


@pytest.mark.parametrize("behind", [b"", b" ", b"<presence", b"<presence/>", b"</stream:stream>"])
def test_large_elements_are_the_same_as_others(behind: bytes) -> None:
    large = [b"<iq>" + b"<x/>" * number + b"</iq>" for number in (LARGE, LARGE + 1, CROWD)]
    small = [b"<message/>", b"<iq><x/></iq>", b'<iq><a xmlns="u"><b/></a></iq>']
    data = [small[0], large[2], small[1], large[0], large[1], small[2]]
    stream, told = feed(ready_component, [b"".join(data) + behind])
    assert told[: len(data)] == data
    assert told[len(data) :] == {b"<presence/>": [behind], b"</stream:stream>": [CLOSED]}.get(
        behind, []
    )
    if stream.ready:
        rest = b"/>" if behind == b"<presence" else b""
        _, told = feed(ready_component, [b"".join(data) + behind, rest + b"<iq/>"])
        assert told[-1] == b"<iq/>"


def test_large_elements_keep_what_they_had_from_the_stream() -> None:
    """Prefixes of the header, and the namespace that servers declare on stanzas of components."""
    many = b"<x/>" * CROWD
    for more in (b"", many):
        (wire,) = outcome_of(b"<iq><stream:x a='1'/>" + more + b"</iq>")
        start = b'<iq xmlns:stream="http://etherx.jabber.org/streams">'
        assert wire.startswith(start + b'<x xmlns="http://etherx.jabber.org/streams" a="1"/>')
    told = outcome_of(b"<iq xmlns='jabber:component:accept'>" + many + b"</iq>")
    assert told == [b"<iq>" + many + b"</iq>"]


def outcome_of(data: bytes) -> list[Any]:
    _, told = feed(ready_component, [data])
    _, cut = feed(ready_component, [data[i : i + 999] for i in range(0, len(data), 999)])
    assert cut == told
    return told


def test_thousands_of_prefixes_cost_nothing_but_their_declarations() -> None:
    """Each of many elements would look at each of many declarations: minutes."""
    declared = b" ".join(b"xmlns:p%d='%d'" % (i, i) for i in range(5000))
    data = b"<iq><x " + declared + b">" + b"<p17:y/>" * 8000 + b"</x></iq>"
    (wire,) = outcome_of(data)
    assert wire == b"<iq><x>" + b'<y xmlns="17"/>' * 8000 + b"</x></iq>"
