"""A stanza that breaks a limit costs that stanza: what stands before and behind it arrives, in its
order, whatever the chunks are."""

import resource
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from emp import ns
from emp.answer import refusal
from emp.errors import PolicyViolation, RemoteProtocolError
from emp.stream import Limits
from emp.stream.engine import Stream
from emp.stream.events import StanzaSkipped, StanzasReceived, StreamFailed
from emp.stream.limits import ANSWER_BYTES, DEPTH, NAME_BYTES, STANZA_BYTES
from emp.stream.parser import StreamParser
from emp.stream.places import PIECE_BYTES
from tests.emp.stream.law import (
    CLOSED,
    COMPONENT_HEADER,
    failed,
    feed,
    outcome,
    ready_component,
    skipped,
    started_client,
)
from tests.emp.stream.managed import ready_pair

XML_NS = ns.XML.encode()
MANY = b" ".join(b"a%d=''" % number for number in range(101))
DEEP = b"<a>" * (DEPTH - 1) + b"</a>" * (DEPTH - 1)

# What any user can send through a server, as servers write it: what is in the stanza, the limit.
INSIDE: dict[str, tuple[bytes, str]] = {
    "xml:foo": (b"<x xmlns='u'><foo xmlns='" + XML_NS + b"'/></x>", "reserved_namespace"),
    "xml:foo, then in its namespace": (
        b"<foo xmlns='" + XML_NS + b"'><a/></foo><b/>",
        "reserved_namespace",
    ),
    "an attribute xml:foo": (
        b"<x xmlns='u' xmlns:ns1='" + XML_NS + b"' ns1:foo='1'/>",
        "reserved_namespace",
    ),
    "the namespace of xmlns": (
        b"<x xmlns='http://www.w3.org/2000/xmlns/'/>",
        "reserved_namespace",
    ),
    "the same with a prefix": (
        b"<x xmlns='u' xmlns:a='http://www.w3.org/2000/xmlns/' a:b=''/>",
        "reserved_namespace",
    ),
    "among namespaces that are no URI": (
        b"<x xmlns='a b'/><foo xmlns='" + XML_NS + b"'/><x xmlns='a b'/>",
        "reserved_namespace",
    ),
    "101 attributes": (b"<x " + MANY + b"/>", "attributes"),
    "too deep": (DEEP, "depth"),
    "much too deep": (b"<a b='>'>" * 2000 + b"</a>" * 2000, "depth"),
}
# Byte by byte these take long.
LONG: dict[str, tuple[bytes, str]] = {
    "a long name": (b"<" + b"a" * 60_000 + b"/>", "name_bytes"),
    "a long prefix": (b"<x xmlns:" + b"a" * 60_000 + b"='u'/>", "name_bytes"),
    "a long name of an attribute": (b"<x " + b"a" * 60_000 + b"='u'/>", "name_bytes"),
    "too large": (b"<body>" + b"&apos;" * (STANZA_BYTES // 6) + b"</body>", "stanza_bytes"),
}
HEAD = b"<message from='a@b/c' to='d@e' type='chat' id='1'"
SKIPPED = b'<message type="chat" id="1" from="a@b/c" to="d@e"/>'


def stanza(inside: bytes) -> bytes:
    return HEAD + b">" + inside + b"</message>"


@pytest.mark.parametrize("name", INSIDE)
def test_it_costs_one_stanza(name: str) -> None:
    inside, limit = INSIDE[name]
    bad = stanza(inside)
    told = outcome(ready_component, b"<iq/>" + bad + b" <presence/>" + bad + bad + b"<iq/>")
    one = skipped(SKIPPED, limit, len(bad))
    assert told == [b"<iq/>", one, b"<presence/>", one, one, b"<iq/>"]


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("step", [1000, 50_000, 10_000_000])
def test_it_costs_one_large_stanza(name: str, step: int) -> None:
    inside, limit = LONG[name]
    bad = stanza(inside)
    data = b"<iq/>" + bad + b"<presence/>" + bad + b"<iq/>"
    one = skipped(SKIPPED, limit, len(bad))
    stream, told = feed(ready_component, pieces(data, step))
    assert told == [b"<iq/>", one, b"<presence/>", one, b"<iq/>"]
    assert stream.ready
    assert stream.data_to_send() == b""


@pytest.mark.parametrize("name", ["depth", "attributes", "name_bytes"])
def test_limits_of_its_own_start_tag(name: str) -> None:
    own = {
        "attributes": HEAD + b" " + MANY + b"/>",
        "depth": stanza(DEEP),
        "name_bytes": HEAD + b" " + b"a" * 60_000 + b"=''/>",
    }[name]
    _, told = feed(ready_component, [own + b"<iq/>"])
    assert told == [skipped(SKIPPED, name, len(own)), b"<iq/>"]


def test_a_reserved_namespace_as_its_own() -> None:
    """It is no stanza then."""
    told = outcome(ready_component, b"<message xmlns='" + XML_NS + b"'/><iq/>")
    assert told == [failed("not-well-formed")]


def pieces(data: bytes, step: int) -> list[bytes]:
    return [data[at : at + step] for at in range(0, len(data), step)]


# -- how large ------------------------------------------------------------------------------------

LIMIT = 1000
FRAME = b"<message><body></body></message>"


def limited() -> Stream:
    return ready_component(limits=Limits(stanza_bytes=LIMIT, answer_bytes=LIMIT))


def of(size: int) -> bytes:
    return FRAME.replace(b"<body>", b"<body>" + b"x" * (size - len(FRAME)))


def test_exactly() -> None:
    for before in (b"", b"<iq/>", b" ", b"<iq><x/>"):
        data = before + of(LIMIT) + of(LIMIT + 1) + of(LIMIT)
        if before.endswith(b"<x/>"):
            data += b"</iq>"
            told = outcome(limited, data)
            assert told == [skipped(b"<iq/>", "stanza_bytes", len(data))]
            continue
        told = outcome(limited, data)
        assert told[-3:] == [
            of(LIMIT),
            skipped(b"<message/>", "stanza_bytes", LIMIT + 1),
            of(LIMIT),
        ]


def test_characters_are_not_cut() -> None:
    data = b"<message>" + "é😀".encode() * 300 + b"</message>"
    for shift in range(6):
        one = b"<message id='" + b"x" * shift + data[8:]
        one = one.replace(b">", b"'>", 1)
        told = outcome(limited, one + b"<iq/>")
        assert told[1:] == [b"<iq/>"]
        assert told[0][:3] == ("skipped", "stanza_bytes", len(one))


def test_the_shortcut_takes_none_that_is_larger() -> None:
    plain = b"<message from='a@b'><body>" + b"x" * 1200 + b"</body></message>"
    _, told = feed(limited, [plain + b"<presence/>"])
    assert told == [
        skipped(b'<message from="a@b"/>', "stanza_bytes", len(plain)),
        b"<presence/>",
    ]


def test_many_stanzas_that_never_rest() -> None:
    """Every read ends inside of a stanza; they are all delivered."""
    one = b"<iq><x>b</x></iq><message><y>" + b"z" * 80 + b"</y></message>"
    stream = limited()
    data = one * 2000
    count = 0
    for piece in pieces(data, len(one) - 7):
        for event in stream.receive_data(piece):
            assert isinstance(event, StanzasReceived)
            count += len(event.stanzas)
    assert count == 4000


# -- answers --------------------------------------------------------------------------------------


def waiting(ids: Iterable[str], **limits: int) -> Callable[[], Stream]:
    def make() -> Stream:
        stream = ready_component(limits=Limits(**limits))
        stream.expect_answers(frozenset(ids).__contains__)
        return stream

    return make


def answer(id: str, size: int, type: str = "result") -> bytes:
    start = f"<iq type='{type}' id='{id}' from='a@b'><query xmlns='u'>".encode()
    end = b"</query></iq>"
    return start + b"<i/>" * ((size - len(start + end)) // 4) + end


def test_answers_that_are_awaited_may_be_larger() -> None:
    make = waiting({"mine"}, stanza_bytes=400, answer_bytes=1200)
    fits, too_large = answer("mine", 1100), answer("mine", 1300)
    told = outcome(make, fits + answer("other", 500) + too_large + answer("mine", 500, "set"))
    assert [each if isinstance(each, bytes) else each[1] for each in told[1:]] == [
        "stanza_bytes",
        "answer_bytes",
        "stanza_bytes",
    ]
    assert isinstance(told[0], bytes)


def test_a_roster_of_twenty_thousand() -> None:
    contact = "<item jid='contact-%d@example.org' name='Contact &lt;%d&gt;' subscription='both'>"
    items = "".join(f"{contact % (n, n)}<group>People</group></item>" for n in range(50_000))
    data = f"<iq type='result' id='r'><query xmlns='jabber:iq:roster'>{items}</query></iq>"
    assert STANZA_BYTES < len(data) < ANSWER_BYTES
    stream = waiting({"r"})()
    events = [
        event for piece in pieces(data.encode(), 65_536) for event in stream.receive_data(piece)
    ]
    (received,) = events
    assert isinstance(received, StanzasReceived)
    assert len(received.stanzas[0].tree[0]) == 50_000


# -- what is kept ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (
            b"<iq type=\"get\" id='&#x41;&apos;' from='a@b/\xc3\xa9'>",
            ("get", "A'", "a@b/\xe9", None),
        ),
        (b"<iq  to = 'd@e'\n id='a\tb' xmlns:x='y' x:from='z'>", ("", "a b", None, "d@e")),
        (b"<iq xmlns='jabber:component:accept' type='set'>", ("set", None, None, None)),
    ],
)
def test_what_the_start_tag_says(start: bytes, expected: Any) -> None:
    stream = ready_component()
    (event,) = stream.receive_data(start + DEEP + b"</iq>")
    assert isinstance(event, StanzaSkipped)
    one = event.stanza
    assert (one.type, one.id, one.from_text, one.to_text) == expected
    assert refusal(one, PolicyViolation())


def test_an_endless_start_tag_is_read_as_far_as_it_is_kept() -> None:
    _, told = feed(
        ready_component,
        pieces(HEAD + b" x='" + b"y" * (STANZA_BYTES + 5) + b"' lost=''></message><iq/>", 9999),
    )
    assert told[0][3] == SKIPPED
    assert told[1:] == [b"<iq/>"]


@pytest.mark.parametrize("step", [999, 10_000_000])
def test_a_value_that_is_cut_forges_nothing(step: int) -> None:
    """What stands in it looks like attributes; the true ones stand behind it."""
    forged = b" from='victim@b' to='d@e' type='chat' id='1' "
    tag = b'<message x="' + forged + b"y" * 20_000 + b"\" from='mallory@b' type='groupchat'>"
    (event,) = all_skipped(pieces(tag + DEEP + b"</message>", step))
    assert event.stanza.to_bytes() == b"<message/>"
    assert not event.known
    cut = tag[8 : tag.rindex(b'" from')] + b'">'
    (event,) = all_skipped(pieces(HEAD + cut + DEEP + b"</message>", step))
    assert event.stanza.to_bytes() == SKIPPED
    assert event.known
    (event,) = all_skipped(pieces(stanza(DEEP), step))
    assert event.known


def all_skipped(data: Iterable[bytes]) -> list[StanzaSkipped]:
    stream = ready_component()
    events = [event for piece in data for event in stream.receive_data(piece)]
    return [event for event in events if isinstance(event, StanzaSkipped)]


def test_nobody_in_a_room_gets_an_error() -> None:
    """A room throws out who sends errors (XEP-0045 §9.3.1)."""
    mark = b"<x xmlns='http://jabber.org/protocol/muc#user'/>"
    for inside, answers in ((DEEP + mark, 0), (mark + DEEP, 0), (DEEP, 1)):
        for step in (10_000, 11):
            stream = ready_component()
            found = [
                event
                for piece in pieces(stanza(inside), step)
                for event in stream.receive_data(piece)
            ]
            (event,) = found
            assert isinstance(event, StanzaSkipped)
            assert len(refusal(event.stanza, PolicyViolation())) == answers


def test_it_counts_as_received() -> None:
    client, _ = ready_pair()
    before = client.management.received
    client.receive_data(b"<message/>" + stanza(DEEP) + b"<message/>")
    assert client.management.received == before + 3


# -- what ends the stream all the same ------------------------------------------------------------

BROKEN = {
    "crossed": b"<a></b>",
    "end tag too many": b"</message></message>",
    "comment": b"<!-- -->",
    "instruction": b"<?php ?>",
    "entity": b"&foo;",
    "reference": b"&#0;",
    "reference in an attribute": b"<a b='&#xFFFF;'/>",
    "bare &": b"a & b",
    "]]>": b"a ]]> b",
    "NUL": b"\0",
    "control character": b"\x0c",
    "control character in CDATA": b"<![CDATA[\x0c]]>",
    "U+FFFE": b"\xef\xbf\xbe",
    "no UTF-8": b"\xff",
    "< in a value": b"<a b='<'/>",
    "no quotes": b"<a b=c/>",
    "no name": b"< a/>",
    "no name in an end tag": b"</>",
    "attribute of an end tag": b"<a></a b=''>",
}


@pytest.mark.parametrize("name", BROKEN)
def test_not_well_formed_while_skipping(name: str) -> None:
    data = b"<iq/>" + HEAD + b">" + b"<a>" * 300 + BROKEN[name]
    told = outcome(ready_component, data)
    assert told[0] == b"<iq/>"
    assert told[1][0] == "RemoteProtocolError"
    assert told[1][1] in ("not-well-formed", "restricted-xml", "unsupported-encoding")


def test_what_looks_like_an_end() -> None:
    inside = b"<a>" * 300 + b"<b c='</message>' d=\"/>'\"/><![CDATA[</message>]]]]>" + b"</a>" * 300
    inside = inside.replace(b"'</message>'", b"'&lt;/message>'")
    bad = stanza(inside)
    told = outcome(ready_component, bad + b"<iq/>")
    assert told == [skipped(SKIPPED, "depth", len(bad)), b"<iq/>"]


def test_the_end_of_the_stream_behind_it() -> None:
    bad = stanza(DEEP)
    told = outcome(ready_component, bad + b"</stream:stream>")
    assert told == [skipped(SKIPPED, "depth", len(bad)), CLOSED]


def test_what_is_no_stanza_ends_the_stream() -> None:
    for name in (b"stream:error", b"query", b"message xmlns='jabber:server'", b"messages"):
        _, told = feed(ready_component, [b"<" + name + b"><x " + MANY + b"/>", b"<a>" * 300])
        assert told[0][0] == "RemoteProtocolError", name


def test_what_is_no_stanza_is_told_before_what_is_wrong_in_it() -> None:
    data = b"<foo xmlns:a='" + XML_NS + b"'><a></foo>"
    for step in (1, 7, len(data)):
        parser = StreamParser(Limits())
        parser.receive(COMPONENT_HEADER)
        parser.quick = True
        for piece in pieces(data, step):
            parser.receive(piece)
        assert parser.fault is not None
        assert parser.fault.limit == "reserved_namespace", step


def test_before_stanzas_flow_limits_end_the_stream() -> None:
    data = COMPONENT_HEADER.replace(b"component:accept", b"client") + stanza(DEEP)
    _, told = feed(started_client, [data])
    assert told[-1] == failed("policy-violation")


def test_behind_what_makes_the_stream_ready_in_one_read() -> None:
    """As when a session is resumed: what the server sends again comes with its answer."""
    parser = StreamParser(Limits())
    data = COMPONENT_HEADER + b"<handshake/>" + stanza(DEEP) + b"<iq/>" * 20_000
    assert len(parser.receive(data)) == 1
    assert parser.stalled
    parser.quick = True
    one, *rest = parser.go_on()
    assert isinstance(one, StanzaSkipped)
    assert len(rest) == 20_000
    assert parser.fault is None


# -- memory and time ------------------------------------------------------------------------------

SIZE = 64 * 1024 * 1024
ENDLESS = {
    "open tags": (b"", b"<element attribute='value of it'>"),
    "a text": (b"<body>", b"some text of somebody &amp; others "),
    "an attribute": (b"<x y='", b"some text of somebody > others "),
    "its own attribute": (b"", b""),
    "a name": (b"<", b"name"),
    "CDATA": (b"<![CDATA[", b"a text ]] of <tags> & "),
    "attributes": (b"<x", b" name='value'"),
    "elements": (b"", b"<element attribute='value of it'>text</element>"),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_sixty_four_megabytes_cost_no_memory(name: str) -> None:
    start, filler = ENDLESS[name]
    stream = ready_component()
    first = HEAD + b">" + start
    if name == "its own attribute":
        first, filler = HEAD + b" x='", b"value "
    piece = filler * (PIECE_BYTES // len(filler))
    assert stream.receive_data(b"<presence/>" + first)
    fed = 0
    while fed <= STANZA_BYTES + PIECE_BYTES:  # from here on it is skipped
        assert stream.receive_data(piece) == []
        fed += len(piece)
    before = resident_bytes()
    while fed < SIZE:
        stream.receive_data(piece)
        fed += len(piece)
    assert not stream.closed
    assert resident_bytes() - before < 4 * 1024 * 1024


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_piece_full_of_them_is_linear() -> None:
    """Each by itself: the next one is not parsed for the one before."""
    bad = b"<message><x xmlns='" + XML_NS + b"'/></message>"
    parser = StreamParser(Limits())
    parser.receive(COMPONENT_HEADER)
    parser.quick = True
    fed = 0
    usual = parser._receive_xml

    def counted(data: bytes) -> Any:
        nonlocal fed
        fed += len(data)
        return usual(data)

    parser._receive_xml = counted  # type: ignore[method-assign]
    assert len(parser.receive(bad * 900)) == 900
    assert fed <= 2 * len(bad) * 900


def test_the_name_limit_is_what_it_says() -> None:
    fits = b"<message><" + b"a" * NAME_BYTES + b"/></message>"
    _, told = feed(ready_component, [fits, fits.replace(b"<a", b"<aa")])
    assert told[0] == fits
    assert told[1][1] == "name_bytes"


def test_the_depth_limit_is_what_it_says() -> None:
    """With the element of the stream, and the stanza's own."""
    fits = b"<message>" + DEEP[3:-4] + b"</message>"
    _, told = feed(ready_component, [fits, stanza(DEEP)])
    assert isinstance(told[0], bytes)
    assert told[1][1] == "depth"


def test_the_fault_of_a_limit_before_it_may_be_skipped() -> None:
    for inside, limit in [*INSIDE.values(), *LONG.values()]:
        parser = StreamParser(Limits())
        parser.receive(COMPONENT_HEADER + b"<iq/>" + stanza(inside))
        assert isinstance(parser.fault, RemoteProtocolError)
        assert parser.fault.limit == limit


def test_no_failure_is_reported() -> None:
    for inside, _ in [*INSIDE.values(), *LONG.values()]:
        stream = ready_component()
        assert not any(
            isinstance(event, StreamFailed) for event in stream.receive_data(stanza(inside))
        )
