"""emp.xml: whatever goes in, what comes out is one element that means the same."""

from __future__ import annotations

import copy
import pickle
import re
import sys
import threading
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from emp import ns
from emp.errors import LocalProtocolError, RemoteProtocolError
from emp.jid import JID
from emp.xml import (
    E,
    adopt,
    as_element,
    build,
    clark,
    escape,
    escape_text,
    inheriting,
    is_plain,
    parse,
    serialize,
)
from tests.emp.strategies import canonical, forbidden_texts, texts, trees


class Query:
    """Something of an application that shows itself as XML."""

    def to_xml(self) -> etree._Element:
        return E.query(xmlns=ns.VERSION)


def in_client_stream(text: str) -> etree._Element:
    """The one element that the text is in a stream whose default namespace is jabber:client."""
    stream = etree.fromstring(f"<stream xmlns='{ns.CLIENT}'>{text}</stream>".encode())
    (element,) = stream
    assert stream.text is None
    assert element.tail is None
    return element


# -- escaping -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "escaped", "in_content"),
    [
        ("", "", ""),
        ("hello wörld 🙂", "hello wörld 🙂", "hello wörld 🙂"),
        ("'/><iq>", "&apos;/&gt;&lt;iq&gt;", "'/&gt;&lt;iq&gt;"),
        ('a "b" & c', "a &quot;b&quot; &amp; c", 'a "b" &amp; c'),
        ("a\tb\nc\rd", "a&#9;b&#10;c&#13;d", "a\tb\nc&#13;d"),
        ("]]>", "]]&gt;", "]]&gt;"),
        ("\u2028\x7f\x85", "\u2028\x7f\x85", "\u2028\x7f\x85"),
    ],
)
def test_escape(text: str, escaped: str, in_content: str) -> None:
    assert escape(text) == escaped
    assert escape_text(text) == in_content


@pytest.mark.parametrize("character", ["\0", "\x01", "\x1f", "\x0b", "\ud800", "\ufffe", "\uffff"])
@pytest.mark.parametrize("text", ["{}", "ascii{}", "a{}é", "<{}>", "\n{}"])
def test_characters_that_xml_does_not_have(character: str, text: str) -> None:
    hostile = text.format(character)
    for function in (escape, escape_text, E.a, lambda text: E.a(b=text)):
        with pytest.raises(LocalProtocolError):
            function(hostile)
    assert not is_plain(hostile)


@given(texts | st.text())
def test_plain_text_is_what_it_seems(text: str) -> None:
    if is_plain(text):
        assert parse(f'<a b="{text}">{text}</a>').text in (text, None)
        assert parse(f'<a b="{text}"/>').get("b") == text
        assert escape_text(text) == text


@given(texts)
def test_escaped_text_comes_back(text: str) -> None:
    escaped = escape(text)
    element = parse(f"<a b='{escaped}' c=\"{escaped}\">{escaped}<d/>{escape_text(text)}</a>")
    assert element.get("b") == element.get("c") == text
    assert (element.text or "") == (element[0].tail or "") == text


@given(forbidden_texts)
def test_forbidden_text_is_refused(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        escape(text)
    with pytest.raises(LocalProtocolError):
        escape_text(text)
    assert not is_plain(text)


# -- building -------------------------------------------------------------------------------------


def test_clark() -> None:
    assert clark("urn:x", "a") == "{urn:x}a"
    assert clark(None, "a") == "a"


@pytest.mark.parametrize(
    ("element", "text"),
    [
        (E.query(xmlns=ns.VERSION), '<query xmlns="jabber:iq:version"/>'),
        (
            E.query(E.item(jid="x", name="y"), xmlns=ns.ROSTER),
            '<query xmlns="jabber:iq:roster"><item jid="x" name="y"/></query>',
        ),
        (
            E.query(E.item(E.group("Friends"), "tail"), "last", xmlns=ns.ROSTER),
            '<query xmlns="jabber:iq:roster"><item><group>Friends</group>tail</item>last</query>',
        ),
        (
            E.outer(E.inner(E.own(xmlns="urn:b")), xmlns="urn:a"),
            '<outer xmlns="urn:a"><inner><own xmlns="urn:b"/></inner></outer>',
        ),
        (E.a(from_="x", class_="y"), '<a from="x" class="y"/>'),
        (E.del_(), "<del/>"),
        (
            E.a(b=None, c=True, d=False, e=7, f=JID.parse("a@b")),
            '<a c="true" d="false" e="7" f="a@b"/>',
        ),
        (E("not-a-name", {"x-y": 1, "z": None}), '<not-a-name x-y="1"/>'),
        (E("{urn:x}a", E.b()), '<a xmlns="urn:x"><b/></a>'),
        (E.a("b", "c", None, ["d", E.e(), ("f",)]), "<a>bcd<e/>f</a>"),
        (E.a(Query(), E.b()), '<a><query xmlns="jabber:iq:version"/><b/></a>'),
        (E.body("hi", {clark(ns.XML, "lang"): "de"}), '<body xml:lang="de">hi</body>'),
        (build("a", "'/><iq>", b="'/><iq>"), "<a b=\"'/&gt;&lt;iq&gt;\">'/&gt;&lt;iq&gt;</a>"),
    ],
)
def test_build(element: etree._Element, text: str) -> None:
    assert etree.tostring(element, encoding="unicode") == text


@pytest.mark.parametrize(
    "make",
    [
        lambda: E("a b"),
        lambda: E(""),
        lambda: E("a", {"b c": "d"}),
        lambda: E("a><b"),
        lambda: E.a(object()),
        lambda: E.a(7),
        lambda: E.a(b"abc"),
        lambda: E.a("\0"),
        lambda: E.a(b="\0"),
        lambda: E.a(xmlns="\0"),
    ],
)
def test_what_cannot_be_built(make: object) -> None:
    with pytest.raises(LocalProtocolError):
        make()  # type: ignore[operator]


def test_a_child_that_stands_elsewhere_is_copied() -> None:
    child = E.b()
    first = E.a(child, "behind", xmlns="urn:x")
    second = E.a(child)
    assert serialize(first) == '<a xmlns="urn:x"><b/>behind</a>'
    assert etree.tostring(second) == b'<a><b xmlns="urn:x"/></a>'
    assert second[0].tail is None


def test_as_element() -> None:
    element = E.a()
    assert as_element(element) is element
    assert as_element(Query()).tag == clark(ns.VERSION, "query")
    for wrong in ("text", None, 7, etree.Element):
        with pytest.raises(LocalProtocolError):
            as_element(wrong)


def test_inheriting_leaves_the_original_alone() -> None:
    original = E.a(E.b(E.c(xmlns="urn:y", d=1)))
    copied = inheriting(original, "urn:x")
    assert [element.tag for element in copied.iter()] == ["{urn:x}a", "{urn:x}b", "{urn:y}c"]
    assert original.tag == "a"
    assert inheriting(copied, "urn:z") is copied


def test_the_builder_can_be_copied_and_probed() -> None:
    assert not hasattr(E, "__wrapped__")
    assert copy.copy(E).a().tag == "a"
    assert pickle.loads(pickle.dumps(E)).a().tag == "a"


# -- parsing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "<a/>",
        b"<a/>",
        " <a/>\n",
        "<?xml version='1.0'?><a/>",
        "<?xml version='1.0' encoding='UTF-8'?>\n<a/>",
        "<?xml version='1.0' encoding='ISO-8859-1'?><a b='é'/>",
        "<a><![CDATA[<!-- <?x <!DOCTYPE ]]></a>",
        "<a>&lt;!DOCTYPE&#62; &amp; &apos;</a>",
    ],
)
def test_parse(source: str | bytes) -> None:
    element = parse(source)
    assert element.tag == "a"
    assert element.get("b", "é") == "é"


BOMB = "<!DOCTYPE a [<!ENTITY b 'ha'><!ENTITY c '&b;&b;&b;&b;&b;&b;'>]><a d='&c;'>&c;</a>"


@pytest.mark.parametrize(
    "source",
    [
        "<!DOCTYPE a><a/>",
        BOMB,
        "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
        "<!-- --><a/>",
        "<a><!-- --></a>",
        "<a/><!-- -->",
        "<a><!-- <![CDATA[ --><b/><!-- ]]> --></a>",
        "<?x y?><a/>",
        "<a><?x y?></a>",
        "<a/><?x <![CDATA[?><?y ]]>?>",
        "<?xml version='1.0'?><?x y?><a/>",
        "<?xml-stylesheet href='x'?><a/>",
    ],
)
def test_restricted_xml(source: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse(source)
    assert caught.value.condition == "restricted-xml"


@pytest.mark.parametrize(
    "source",
    [
        "",
        " ",
        "a",
        "<a>",
        "<a/><b/>",
        "<a/>b",
        "</a>",
        "<a b=1/>",
        "<a b='<'/>",
        "<a b='1' b='2'/>",
        "<a>&b;</a>",
        "<a b='&c;'/>",
        "<a>&#0;</a>",
        "<a>&#xFFFE;</a>",
        "<a>\x01</a>",
        "<a>\0</a>",
        "\ud800",
        b"<a>\xff</a>",
        b"<a>\xc0\xaf</a>",
        b"<a>\xed\xa0\x80</a>",
        "<a/>".encode("utf-16"),
        "<a/>".encode("utf-16-le"),
        "<a/>".encode("utf-32"),
        "<x:a/>",
        "<a x:b=''/>",
        "<a xmlns:x=''/>",
        "<a xmlns:xml='evil'/>",
        "<a xmlns:x='u' xmlns:y='u' x:b='' y:b=''/>",
        "<a:b:c xmlns:a='u'/>",
        "<x:a><b xmlns='relative'/></x:a>",
        "<a x:b=''><c xmlns='relative'/></a>",
        "<a xmlns:xml='evil' xmlns:b='relative'/>",
        "<a xmlns='&lt;'><x:b/><c xmlns='relative'/></a>",
        "<a xmlns='&lt;'><b></a>",
        "<a xmlns='&lt;' x:b=''/>",
        "<a xmlns='&lt;'>&b;</a>",
        "<a>" * 300 + "</a>" * 300,
        "<a>" + "x" * 11_000_000 + "</a>",
    ],
    ids=lambda source: ascii(source[:24]),
)
def test_not_well_formed(source: str | bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse(source)
    assert caught.value.condition == "not-well-formed"


def test_threads_do_not_get_the_verdicts_of_others() -> None:
    good = "<a xmlns='urn:a'>" + "<b/>" * 200 + "</a>"
    bad = "<a xmlns='relative'><x:b/>" + "<b xmlns='relative2'/>" * 100 + "</a>"
    wrong: list[str] = []

    def judge(text: str) -> None:
        for _ in range(300):
            try:
                parse(text)
                accepted = True
            except RemoteProtocolError:
                accepted = False
            if accepted != (text is good):
                wrong.append(text)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=judge, args=(text,)) for text in (good, bad) * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert not wrong


@given(st.binary(max_size=60) | st.text("<>!?-[]CDATA&;'\"=/ axml:ns\0\n", max_size=60))
def test_parse_any_bytes(source: str | bytes) -> None:
    try:
        element = parse(source)
    except RemoteProtocolError:
        return
    assert all(isinstance(each.tag, str) for each in element.iter())


# -- serialising ----------------------------------------------------------------------------------


def from_stream(text: str, declarations: str = "") -> etree._Element:
    return etree.fromstring(
        f"<s:stream xmlns:s='{ns.STREAM}' {declarations} xmlns='{ns.CLIENT}'>{text}</s:stream>"
    )[0]


def detached(element: etree._Element) -> etree._Element:
    parent = element.getparent()
    assert parent is not None
    parent.remove(element)
    return element


@pytest.mark.parametrize(
    ("element", "text"),
    [
        (parse("<message xmlns='jabber:client' to='a'/>"), '<message to="a"/>'),
        (parse("<message xmlns='jabber:client'>é</message>"), "<message>é</message>"),
        (parse("<c:message xmlns:c='jabber:client' to='a'/>"), '<message to="a"/>'),
        (
            parse("<c:message xmlns:c='jabber:client' xmlns='urn:x'><c:body/><y/></c:message>"),
            '<message><body/><y xmlns="urn:x"/></message>',
        ),
        (
            parse("<message xmlns='jabber:client' xmlns:c='jabber:client'><c:body/></message>"),
            "<message><body/></message>",
        ),
        (
            parse("<message xmlns='jabber:client'><x xmlns=''><y/></x></message>"),
            '<message><x xmlns=""><y/></x></message>',
        ),
        (parse("<a/>"), '<a xmlns=""/>'),
        (etree.Element("{jabber:client}a"), "<a/>"),
        (etree.Element("{urn:x}a"), '<ns0:a xmlns:ns0="urn:x"/>'),
        (E.query(xmlns=ns.VERSION), '<query xmlns="jabber:iq:version"/>'),
        (
            parse("<x xmlns='urn:x'><message xmlns='jabber:client'><body/></message></x>"),
            '<x xmlns="urn:x"><message xmlns="jabber:client"><body/></message></x>',
        ),
        (
            detached(from_stream("<message to='a'><body/></message>")),
            '<message to="a"><body/></message>',
        ),
        (
            parse("<m xmlns='jabber:client'><a xmlns='u&lt;&quot;&gt;&amp;'/></m>"),
            '<m><a xmlns="u&lt;&quot;&gt;&amp;"/></m>',
        ),
        (
            parse(
                "<m xmlns='jabber:client'><a xmlns='u&lt;' b:c='' xmlns:b='&lt;'/><b xmlns=''/></m>"
            ),
            '<m><a xmlns="u&lt;" xmlns:b="&lt;" b:c=""/><b xmlns=""/></m>',
        ),
        (
            parse("<m xmlns='jabber:client' xmlns:c='jabber:client' c:z='1'/>"),
            '<m xmlns:ns1="jabber:client" ns1:z="1"/>',
        ),
    ],
)
def test_serialize(element: etree._Element, text: str) -> None:
    assert serialize(element) == text


def test_the_tail_is_not_part_of_it() -> None:
    element = from_stream("<message/>tail")
    assert "tail" not in serialize(element)
    nameless = etree.fromstring("<a><b/>tail</a>")[0]
    assert serialize(nameless) == '<b xmlns=""/>'


@pytest.mark.parametrize(
    ("stanza", "names"),
    [
        ("<m xmlns='jabber:client'><v:x xmlns='V' xmlns:v='jabber:client'/></m>", "C}m C}x"),
        ("<m><v:x xmlns='V' xmlns:v='jabber:client'/></m>", "C}m C}x"),
        ("<m xmlns:a='U'><b:x xmlns:a='V' xmlns:b='U'/></m>", "C}m U}x"),
        ("<m><b:x xmlns:a='V' xmlns:b='T'/></m>", "C}m T}x"),
        ("<m><x xmlns='U'><b:y xmlns='V' xmlns:b='U'/></x></m>", "C}m U}x U}y"),
    ],
)
@pytest.mark.parametrize("taken_out", ["removed", "cleared", "moved", "left"])
def test_no_element_changes_its_name_on_the_way(stanza: str, names: str, taken_out: str) -> None:
    element = from_stream(stanza, "xmlns:t='T'")
    parent = element.getparent()
    assert parent is not None
    if taken_out == "removed":
        parent.remove(element)
    elif taken_out == "cleared":
        parent.clear()
    elif taken_out == "moved":
        E.stream(xmlns=ns.CLIENT).append(element)
    expected = [f"{{{name}".replace("{C}", f"{{{ns.CLIENT}}}") for name in names.split()]
    assert [each.tag for each in element.iter()] == expected
    assert [each.tag for each in in_client_stream(serialize(element)).iter()] == expected
    if taken_out != "left":
        payload = in_client_stream(serialize(element[0]))
        assert [each.tag for each in payload.iter()] == expected[1:]


def test_prefixes_that_values_refer_to_are_kept() -> None:
    text = (
        "<c:iq xmlns:c='jabber:client'><v xmlns='urn:x' xmlns:xsi='urn:xsi' xmlns:xs='urn:xs'"
        " xsi:type='xs:string'/></c:iq>"
    )
    value = in_client_stream(serialize(parse(text)))[0]
    assert value.get("{urn:xsi}type") == "xs:string"
    assert value.nsmap["xs"] == "urn:xs"


@pytest.mark.parametrize(
    "child", [etree.Comment("c"), etree.ProcessingInstruction("p"), etree.Entity("e")]
)
@pytest.mark.parametrize("parent", ["{jabber:client}a", "{urn:x}a", "a"])
def test_what_xmpp_does_not_have_is_refused(child: etree._Element, parent: str) -> None:
    element = etree.Element(parent)
    element.append(child)
    with pytest.raises(LocalProtocolError):
        serialize(element)


def test_any_depth() -> None:
    element = top = etree.Element("a")
    for _ in range(5000):
        element = etree.SubElement(element, "a")
    assert serialize(top).count("<a") == 5001


@given(trees)
def test_serialize_then_parse_is_the_same_tree(tree: etree._Element) -> None:
    text = serialize(tree)
    assert canonical(in_client_stream(text)) == canonical(tree)
    # Nothing that takes its meaning from a component's stream is left to it by mistake.
    assert not re.search(r"<[a-z0-9]+:\S+ xmlns:[a-z0-9]+=.jabber:client", text)


@given(trees)
def test_serialize_after_removal_from_a_stream(tree: etree._Element) -> None:
    expected = canonical(tree)
    assert (
        canonical(in_client_stream(serialize(detached(from_stream(serialize(tree)))))) == expected
    )


def test_namespaces_may_have_a_brace() -> None:
    """Peers may write so; etree.QName fails."""
    element = parse("<x xmlns='a}b'/>")
    adopt(element, E.y(xmlns="v"))
    assert [child.tag for child in element] == ["{v}y"]
    assert parse(serialize(E.z(element, xmlns="u")))[0].tag == "{a}b}x"


def test_a_warning_beside_an_odd_namespace_is_no_error() -> None:
    element = parse("<q xml:space='odd' xmlns='²'/>")  # the parser of streams lets it pass
    assert element.tag == "{²}q"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a<", "a<"),
        (True, "true"),
        (7, "7"),
        (0.5, "0.5"),
        (datetime(1969, 7, 21, 2, 56, 15, tzinfo=UTC), "1969-07-21T02:56:15Z"),
        (date(1776, 7, 4), "1776-07-04"),
        (JID.parse("a@b"), "a@b"),
        (b"\x00\xff", "AP8="),
    ],
)
def test_attributes_are_written_as_xmpp_has_them(value: object, text: str) -> None:
    assert E.x(a=value).get("a") == E.x({"a": value}).get("a") == text


@pytest.mark.parametrize("value", [datetime(1969, 7, 21), float("nan"), ["a"], {}, object()])
def test_attributes_that_have_no_text(value: object) -> None:
    with pytest.raises(LocalProtocolError, match="no text in XML"):
        E.x(a=value)
