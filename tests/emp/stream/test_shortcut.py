"""The shortcut says what lxml says, about everything that it takes; and it takes what it should."""

import pickle
import re
import sys
import time
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emp import names
from emp.stanza import Message, Stanza
from emp.stream import Limits, shortcut
from emp.stream import header as headers
from emp.stream.parser import StreamParser
from emp.stream.places import PIECE_BYTES
from emp.stream.shortcut import ATTRIBUTES, Run, sort
from tests.emp.stream.law import CLIENT_HEADER, COMPONENT_HEADER, STREAMS, ready_component
from tests.emp.stream.test_fuzz import FRAGMENTS, cut
from tests.emp.stream.twins import compare, is_plain, taken

CHAT = "http://jabber.org/protocol/chatstates"

# What servers pass on all day long.
PLAIN: dict[str, str] = {
    "message": "<message type='chat' id='1' from='a@b/c' to='d@e'><body>hi</body></message>",
    "double quotes": '<message to="d@e" from="a@b/c" type="chat" id="1"><body>hi</body></message>',
    "xml:lang": "<message xml:lang='en' to='d@e'><body>hi</body></message>",
    "nothing": "<presence/>",
    "no children": "<message></message>",
    "presence": "<presence from='a@b/c'><show>away</show><priority>-5</priority></presence>",
    "subscribe": "<presence type='subscribe' from='a@b' to='d@e'/>",
    "chat state": f"<message><active xmlns='{CHAT}'/></message>",
    "body and more": f"<message><body>a</body><thread>t</thread><active xmlns='{CHAT}'/></message>",
    "body behind": f"<message><active xmlns='{CHAT}'/><body>a</body></message>",
    "body twice": "<message><body>a</body><body>b</body><thread>c</thread><thread/></message>",
    "empty texts": "<message><body></body><thread/><subject></subject></message>",
    "empty body": "<message><body/></message>",
    "foreign body": "<message><body xmlns='urn:x'>a</body><thread xmlns='urn:x'/></message>",
    "attributes": "<message><body a='1'>x</body><thread parent='1'>y</thread></message>",
    "four attributes": (
        "<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v='/>"
        "</presence>"
    ),
    "xmlns behind": "<message><x id='1' xmlns=\"urn:x\" by='2'/><y xmlns='urn:y'>z</y></message>",
    "similar names": "<message><x a='1' aa='2' aaa='3'/><x-y/><x.y/><_/></message>",
    "references": "<message><body>&lt;b&gt; &amp;lt; &quot;&apos;</body><x>&amp;</x></message>",
    "> ] ' and \"": "<message><body>> ] ]] '\"</body></message>",
    "lines": "<message><body>a\n\tb\n</body></message>",
    "all of ASCII": f"<message><body>{''.join(set(map(chr, range(32, 128))) - {*'<&'})}</body>"
    "</message>",
    "not ASCII": "<message from='jürgen@b/☃' to='😀'><body>ä ☃ 😀 \x7f\x85\u2028</body></message>",
    "space": "<message to=' a  b '> </message>".replace("> <", "><"),
    "result": "<iq type='result' id='1' from='a@b/c' to='d@e'/>",
    "request": "<iq type='get' id='1' from='d@e'><ping xmlns='urn:xmpp:ping'/></iq>",
    "unknown type": "<iq type='what' id='1'/>",
}

# … and what is for lxml to judge, although much of it is well-formed.
ODD: dict[str, str] = {
    "space in a tag": "<message  to='a'/>",
    "space behind a tag": "<message to='a' />",
    "line in a tag": "<message\nto='a'/>",
    "space behind =": "<message to= 'a'/>",
    "space before =": "<message to ='a'/>",
    "no space": "<message to='a'from='b'/>",
    "space in an end tag": "<message></message >",
    "empty attribute": "<message type=''/>",
    "empty id": "<message id=''/>",
    "reference in an attribute": "<message to='a&amp;b'/>",
    "> in an attribute": "<message to='a>b'/>",
    "< in an attribute": "<message to='a<b'/>",
    "quote in an attribute": "<message to='a\"b'/>",
    "apostrophe in an attribute": '<message to="a\'b"/>',
    "two kinds of quotes": "<message to='a' from=\"b\"/>",
    "quotes that differ": "<message to='a\"/>",
    "line break in an attribute": "<message to='a\nb'/>",
    "tab in an attribute": "<message to='a\tb'/>",
    "attribute twice": "<message to='a' to='b'/>",
    "attribute twice, apart": "<message to='a' from='c' to='b'/>",
    "xml:lang twice": "<message xml:lang='a' xml:lang='b'/>",
    "strange xml:lang": "<message xml:lang='e n'/>",
    "other attribute": "<message too='a'/>",
    "prefixed attribute": "<message a:to='a'/>",
    "xmlns": "<message xmlns='jabber:client'/>",
    "xmlns of components": "<message xmlns='jabber:component:accept'/>",
    "no quotes": "<message to=a/>",
    "no value": "<message to/>",
    "prefixed": "<a:message/>",
    "other name": "<messages/>",
    "upper case": "<Message/>",
    "open": "<message>",
    "half": "<message",
    "half a tag": "<message to='a'",
    "wrong end tag": "<message></presence>",
    "no end tag": "<message><body>a</body>",
    "wrong end tag of a child": "<message><body>a</subject></message>",
    "text": "<message>hi</message>",
    "space between children": "<message><body>a</body> <x/></message>",
    "space before a child": "<message>\n<body>a</body></message>",
    "child in a child": "<message><x><y/></x></message>",
    "prefixed child": "<message><stream:x/></message>",
    "undeclared prefix": "<message><a:b/></message>",
    "declared prefix": "<message><x xmlns:a='urn:a'/></message>",
    "prefixed attribute of a child": "<message><x xml:lang='en'/></message>",
    "body with xml:lang": "<message><body xml:lang='en'>a</body></message>",
    "attribute of a child twice": "<message><x a='1' a='2'/></message>",
    "attribute of a child twice, apart": "<message><x a='1' b='2' c='3' a='4'/></message>",
    "xmlns of a child twice": "<message><x xmlns='urn:a' xmlns='urn:a'/></message>",
    "five attributes": "<message><x a='1' b='2' c='3' d='4' e='5'/></message>",
    "empty attribute of a child": "<message><x a=''/></message>",
    "name with xml": "<message><xmlx/></message>",
    "name that begins with a digit": "<message><1/></message>",
    "name that is not ASCII": "<message><é/></message>",
    "long name": f"<message><{'a' * 65}/></message>",
    "no name": "<message></></message>",
    "client declared": "<message><x xmlns='jabber:client'/></message>",
    "accept declared": "<message><x xmlns='jabber:component:accept'/></message>",
    "XML's namespace": "<message><x xmlns='http://www.w3.org/XML/1998/namespace'/></message>",
    "that of xmlns": "<message><x xmlns='http://www.w3.org/2000/xmlns/'/></message>",
    "no namespace": "<message><x xmlns=''/></message>",
    "relative namespace": "<message><x xmlns='vcard-temp'/></message>",
    "namespace with a space": "<message><x xmlns='urn:a b'/></message>",
    "namespace with a brace": "<message><x xmlns='urn:a}b'/></message>",
    "long namespace": f"<message><x xmlns='urn:{'a' * 3000}'/></message>",
    "number": "<message><body>&#65;</body></message>",
    "number of nothing": "<message><body>&#0;</body></message>",
    "]]>": "<message><body>]]></body></message>",
    "]]> in an attribute": "<message><x a=']]>'/></message>",
    "carriage return": "<message><body>a\r\nb</body></message>",
    "NUL": "<message><body>\0</body></message>",
    "escape": "<message><body>\x1b</body></message>",
    "U+FFFE": "<message><body>\ufffe</body></message>",
    "U+FFFF": "<message to='\uffff'/>",
    "CDATA": "<message><body><![CDATA[a]]></body></message>",
    "request with more": "<iq type='get' id='1'><query xmlns='urn:x' node='n'/></iq>",
    "request with text": "<iq type='get' id='1'><query xmlns='urn:x'>a</query></iq>",
    "request with two": "<iq type='get' id='1'><a xmlns='urn:x'/><b xmlns='urn:x'/></iq>",
    "iq in jabber:client": "<iq type='get' id='1'><body/></iq>",
    "iq with a body": "<iq type='get' id='1'><body>a</body></iq>",
    "nonza": "<r xmlns='urn:xmpp:sm:3'/>",
    "space": " \n",
    "text between": "text",
    "end": "</stream:stream>",
    "footer of something": "</message>",
}
HEADERS = {
    "component": COMPONENT_HEADER,
    "client": CLIENT_HEADER,
    "prefixed": (
        f"<stream:stream xmlns:c='jabber:component:accept' xmlns='jabber:client' {STREAMS}>"
    ).encode(),
}
NEXT = b"<presence id='next'/>"


@pytest.mark.parametrize("name", PLAIN)
def test_plain(name: str) -> None:
    data = PLAIN[name].encode()
    assert is_plain(data)
    for each in HEADERS.values():
        (stanza,) = compare([data], each)
        assert isinstance(stanza, Stanza)
        assert stanza.to_bytes() == data


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("stream", HEADERS)
def test_odd(name: str, stream: str) -> None:
    data = ODD[name].encode()
    assert not any(isinstance(run, list) for run in sort(data))
    compare([data, NEXT], HEADERS[stream])
    compare([data + NEXT], HEADERS[stream])
    given = compare([NEXT + data + NEXT], HEADERS[stream])
    assert isinstance(given[0], Stanza)


@pytest.mark.parametrize("name", PLAIN)
def test_what_is_known_needs_no_tree(name: str) -> None:
    """Not even in the process that gets it."""
    (stanza,) = taken(PLAIN[name].encode())
    for each in (stanza, pickle.loads(pickle.dumps(stanza))):
        _ = each.payload_name, each.type, each.id, each.from_text, each.to_text, each.is_request
        if isinstance(each, Message):
            _ = each.body, each.thread, each.reply("x")
        assert each._tree is None


def test_memory_is_its_own() -> None:
    """A stanza does not keep the whole read alive, nor does it grow."""
    text = PLAIN["message"].encode()
    first, *_ = taken(text * 100)
    assert sys.getsizeof(first._text) < 2 * len(text) + 64


def test_odd_ones_between_do_not_stop_it() -> None:
    plain, odd = PLAIN["message"].encode(), b"<message><x><y/></x></message>"
    given = compare([(plain * 3 + odd) * 5])
    assert [isinstance(each, Stanza) for each in given] == [True, True, True, False] * 5


def test_a_flood_of_odd_ones_is_not_looked_at_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[bytes] = []

    def counted(piece: bytes) -> list[Run]:
        looks.append(piece)
        return sort(piece)

    monkeypatch.setattr("emp.stream.parser.sort", counted)
    plain, odd = (
        each * 200 for each in (PLAIN["message"].encode(), b"<message><x><y/></x></message>")
    )
    odd = odd * 3
    compare([odd] * 100)
    assert len(looks) == 9  # 100 / 16, and 4 to get there
    looks.clear()
    compare([odd, odd, plain, plain, odd, odd])
    assert len(looks) == 4


@pytest.mark.parametrize("tail", [b"\n", b" ", b"<x><y/></x>", NEXT, NEXT * 2])
@pytest.mark.parametrize(
    "begun",
    [
        b"<message><forwarded xmlns='urn:xmpp:forward:0'>",
        b"<message><![CDATA[",
        b"<presence/><![CDATA[",
        b"<presence/><![CDATA[<a>",
        b"<presence/><presence id='>",
        b"<presence/><presence id='",
        b"<presence/><presence",
        b"<presence/>text>",
        b"<presence />",
        b"<presence /> ",
        b"<message><body>&amp",
        b"<message><body>]]",
    ],
)
def test_where_something_is_open_nothing_is_plain(begun: bytes, tail: bytes) -> None:
    for end in (b"", b"'/>", b"]]>", b"</body></message>", b"</forwarded></message>"):
        compare([begun, tail, end, NEXT])
        compare([begun + tail, end + NEXT])
        compare([begun, tail + end + NEXT])


def test_an_open_tag_is_not_lost() -> None:
    """A parser that has had its fill of namespaces that are no URI is replaced where nothing is
    open, but not behind `>` in an attribute's value."""
    odd = b"<iq><x xmlns='a b'/></iq>"
    given = compare([odd * 60 + b"<message id='>", b"'/>"])
    assert given[-1].get("id") == ">"  # type: ignore[union-attr]


@pytest.mark.parametrize("sign", ["x", "é", "☃", "😀"])
@pytest.mark.parametrize("size", [PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1])
def test_pieces_are_cut_between_characters(sign: str, size: int) -> None:
    stanza = f"<message><body>{sign * 50}</body></message>".encode()
    count = size // len(stanza) + 1
    data = (b"<presence/>" + stanza * count)[:size] + stanza[-20:]
    compare([data, data])
    compare([(stanza * 2 * count)[: size + number] for number in range(4)])


def test_limits_stay_what_they_are() -> None:
    for attributes in range(ATTRIBUTES + 2):
        compare([PLAIN["four attributes"].encode()], limits=Limits(attributes=attributes))
        data = b"<message type='a' id='b' from='c' to='d' xml:lang='e'/>"
        compare([data], limits=Limits(attributes=attributes))
    stanza = PLAIN["message"].encode()
    compare([stanza * 9], limits=Limits(stanza_bytes=10))
    compare([stanza[:-5], stanza[-5:]], limits=Limits(stanza_bytes=10))


def test_no_default_namespace_no_shortcut() -> None:
    header = f"<s:stream id='1' xmlns:s='http://etherx.jabber.org/streams' {STREAMS}>".encode()
    assert compare([NEXT], header) == []
    foreign = header.replace(b"id='1'", b"id='1' xmlns='jabber:server'")
    assert compare([NEXT], foreign) == []


def test_names_in_plain_stanzas_are_not_kept() -> None:
    """They never come to libxml2; and if a tree is made of one, they count as all others."""
    made = StreamParser(Limits())
    made.receive(COMPONENT_HEADER)
    made.quick = True
    before = names._here.left
    (stanza,) = made.receive(b"<message><made-up-name xmlns='urn:made:up'/></message>")
    assert names._here.left == before
    assert isinstance(stanza, Stanza)
    assert stanza.tree[0].tag == "{urn:made:up}made-up-name"
    assert names._here.left < before


def test_before_the_stream_is_ready_there_is_none() -> None:
    stream = ready_component()
    assert stream._intake._parser.quick
    stream = type(stream)(stream.config)
    stream.start()
    stream.receive_data(COMPONENT_HEADER)
    assert not stream._intake._parser.quick


HOSTILE = {
    "children": "<message>" + "<a/>" * 16_000,
    "children with a text": "<message>" + "<a>b</a>" * 8_000,
    "attributes": "<message" + " to='a'" * 9_000,
    "attributes of children": "<message><x" + " a='b'" * 9_000,
    "stanzas in a stanza": "<message>" + "<message/>" * 6_500,
    "begun": "<message>" * 7_000,
    "begun with a child": "<message><a/>" * 5_000,
    "quotes": "<message to='" + "<message to='" * 5_000,
    "alternating": "<iq/><iq />" * 6_000,
    "name": "<message><" + "a" * 65_000,
    "value": "<message to='" + "a" * 65_000,
    "text": "<message><body>" + "a" * 65_000,
    "references": "<message><body>" + "&lt;" * 16_000,
    "namespace": "<message><x xmlns='" + "urn:" * 16_000,
    "text between": "a" * 65_000,
    "angles": "<" * 65_000,
    "closed": "</message>" * 6_500,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_is_linear(name: str) -> None:
    """A hundred times what an ordinary piece takes would be quadratic."""
    data = HOSTILE[name].encode()

    def seconds(size: int) -> float:
        begun = time.process_time()
        for _ in range(4):
            sort(data[:size])
        return time.process_time() - begun

    assert seconds(65_000) < 1.0
    assert "".join(map(str, map(type, sort(data))))


def test_no_group_is_possessive() -> None:
    """Python 3.11.0 to 3.11.4 lose their place in those, and would take what is not plain."""
    for module in (shortcut, headers):
        for pattern in vars(module).values():
            pattern = getattr(pattern, "__self__", pattern)  # a method of one
            if isinstance(pattern, re.Pattern):
                text = str(pattern.pattern)
                assert not re.search(r"\)(?:[*+?]|\{[0-9,]+\})\+|\(\?>", text)


# -- at random ------------------------------------------------------------------------------------

_names = st.sampled_from(
    ["body", "thread", "subject", "x", "show", "message", "iq", "a.b-c_", "xmlx", "stream:x", "é"]
)
_keys = st.sampled_from(
    ["to", "from", "id", "type", "xml:lang", "xmlns", "a", "b", "ver", "xmlns:a", "a:b", "xml:id"]
)
_values = st.sampled_from(
    [
        *("a@b/c", "chat", "get", "error", "", " ", "en", "a&amp;b", "&#10;", "&", "<", ">", "'"),
        *('"', "urn:x", "urn:xmpp:ping", "jabber:client", "jabber:component:accept", "vcard-temp"),
        *("http://www.w3.org/2000/xmlns/", "http://www.w3.org/XML/1998/namespace", "http://a:b/#c"),
        *("jürgen", "☃", "😀", "\ufffe", "\n", "\t", "\r", "\0", "]]>", "a" * 200, "a b"),
    ]
)
_texts = st.sampled_from(
    [
        *("hi", "", " ", "&lt;", "&amp;lt;", "&#65;", "&#0;", "&foo;", "&", "]]>", "]]", ">", "'"),
        *('"', "<![CDATA[x]]>", "<![CDATA[<message/>]]>", "<!-- -->", "\r\n", "\n", "\x01"),
        *("ä☃😀", "\ufffe"),
    ]
)
_gaps = st.sampled_from([" ", " ", " ", " ", " ", " ", "  ", "\n", ""])


@st.composite
def _attribute(draw: st.DrawFn) -> str:
    quote = draw(st.sampled_from("''''''''\""))
    return f"{draw(_gaps)}{draw(_keys)}={quote}{draw(_values)}{quote}"


@st.composite
def _child(draw: st.DrawFn, deeper: bool = True) -> str:
    name = draw(_names)
    start = f"<{name}{''.join(draw(st.lists(_attribute(), max_size=3)))}"
    shape = draw(st.integers(0, 9))
    if shape < 3:
        return f"{start}/>"
    if shape == 3 and deeper:
        return f"{start}>{draw(_child(False))}</{name}>"
    end = name if shape < 9 else draw(_names)
    return f"{start}>{draw(_texts)}</{end}>"


@st.composite
def _stanza(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(["message", "message", "presence", "iq", "r", "stream:error"]))
    start = f"<{name}{''.join(draw(st.lists(_attribute(), max_size=4)))}"
    children = draw(st.lists(_child(), max_size=4))
    if not children:
        return start + draw(st.sampled_from(["/>", f"></{name}>", " />", ">"]))
    between = draw(st.sampled_from(["", "", "", "", " ", "x"]))
    return f"{start}>{between.join(children)}</{name}>"


_nearly_plain = st.sampled_from(list(PLAIN.values()))
_streams = st.lists(
    _nearly_plain | _nearly_plain | _stanza() | st.sampled_from(list(ODD.values())), max_size=6
).map(lambda stanzas: "".join(stanzas).encode())
_specials = st.sampled_from(
    [
        *(bytes([each]) for each in b"<>&'\"/=] \n\r\t!?:;#xma\0\x01\xff\xc3"),
        *(b"", b"]]>", b"<![CDATA["),
        *(each for each in FRAGMENTS if len(each) < 80),
    ]
)


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    data = draw(_streams)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(_specials) + data[at + draw(st.integers(0, 3)) :]
    return data


@settings(max_examples=1000, deadline=None)
@given(
    data=_mutated(),
    places=st.lists(st.integers(0, 10_000), max_size=4),
    header=st.sampled_from(list(HEADERS.values())),
)
@example(data=b"<presence/><![CDATA[<a>" + NEXT, places=[23], header=COMPONENT_HEADER)
@example(
    data=b"<r xmlns:a='http://www.w3.org/2000/xmlns/'><message/></message>",
    places=[],
    header=COMPONENT_HEADER,
)
def test_nobody_notices(data: bytes, places: list[int], header: bytes) -> None:
    compare([data, NEXT], header)
    compare([*cut(data, places), NEXT], header)


@settings(max_examples=150, deadline=None)
@given(data=_mutated())
def test_byte_by_byte(data: bytes) -> None:
    compare([data[at : at + 1] for at in range(len(data))])


@settings(max_examples=300, deadline=None)
@given(data=_mutated())
def test_sorting_loses_nothing(data: bytes) -> None:
    data = re.sub(rb"[\x80-\xff]", b"", data)
    runs = sort(data)
    parts = [
        run if isinstance(run, bytes) else b"".join(each.to_bytes() for each in run) for run in runs
    ]
    assert b"".join(parts) == data
    assert all(map(len, runs))
    kinds = [type(run) for run in runs]
    assert all(first is not second for first, second in pairwise(kinds))
