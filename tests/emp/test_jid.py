"""emp.jid: RFC 7622, XEP-0106, and that the short cuts change nothing."""

from __future__ import annotations

import copy
import pickle
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emp import jid as module
from emp.errors import JIDError
from emp.jid import CACHE_SIZE, JID, PART_BYTES, escape_node, unescape_node

# RFC 7622 §3.5, table 1: text, local, domain, resource
VALID = [
    ("juliet@example.com", "juliet", "example.com", None),
    ("juliet@example.com/foo", "juliet", "example.com", "foo"),
    ("juliet@example.com/foo bar", "juliet", "example.com", "foo bar"),
    ("juliet@example.com/foo@bar", "juliet", "example.com", "foo@bar"),
    ("foo\\20bar@example.com", "foo\\20bar", "example.com", None),
    ("fussball@example.com", "fussball", "example.com", None),
    ("fußball@example.com", "fußball", "example.com", None),
    ("π@example.com", "π", "example.com", None),
    ("Σ@example.com/foo", "σ", "example.com", "foo"),
    ("σ@example.com/foo", "σ", "example.com", "foo"),
    ("ς@example.com/foo", "ς", "example.com", "foo"),
    ("king@example.com/♚", "king", "example.com", "♚"),
    ("example.com", None, "example.com", None),
    ("example.com/foobar", None, "example.com", "foobar"),
    ("a.example.com/b@example.net", None, "a.example.com", "b@example.net"),
]

# RFC 7622 §3.5, table 2, without example 18: see below
INVALID = [
    '"juliet"@example.com',
    "foo bar@example.com",
    "@example.com/",
    "henryⅣ@example.com",
    "♚@example.com",
    "juliet@",
    "/foobar",
]

MORE_VALID = [
    ("Juliet@Example.COM/Balcony", "juliet", "example.com", "Balcony"),
    ("juliet@example.com.", "juliet", "example.com", None),
    ("juliet@bücher.example", "juliet", "bücher.example", None),
    ("juliet@BÜCHER.example.", "juliet", "bücher.example", None),
    ("juliet@xn--bcher-kva.example", "juliet", "bücher.example", None),
    ("juliet@XN--BCHER-KVA.example", "juliet", "bücher.example", None),
    ("juliet@example。", "juliet", "example", None),
    ("localhost", None, "localhost", None),
    ("a@localhost/b", "a", "localhost", "b"),
    ("a@127.0.0.1", "a", "127.0.0.1", None),
    ("a@[::1]/r", "a", "[::1]", "r"),
    ("a@[2001:DB8:0::1]", "a", "[2001:db8::1]", None),
    ("a@b/c/d", "a", "b", "c/d"),
    ("a@b/ ", "a", "b", " "),
    ("a@b/x\u00a0y", "a", "b", "x y"),
    ("a@b/e\u0301", "a", "b", "é"),
    ("Å@b", "å", "b", None),
    ("ｊｕｌｉｅｔ@b", "juliet", "b", None),
    ("a" * PART_BYTES + "@b", "a" * PART_BYTES, "b", None),
    ("a@b/" + "é" * (PART_BYTES // 2), "a", "b", "é" * (PART_BYTES // 2)),
]

MORE_INVALID = [
    "@example.com",
    "@example.com/foo",
    "a@。",
    "",
    "@",
    "/",
    "a@",
    "a@/b",
    "a@b/",
    "a@b@c",
    "a@.",
    "a@..",
    "a@b..c",
    "a@.b",
    "a@-b",
    "a@b-",
    "a@b_c",
    "a@b c",
    "a@b\n",
    "a@b:5222",
    "a@xn--a",
    "a@xn--",
    "a@ab--cd",
    "a@[::1",
    "a@[::g]",
    "a@[]",
    "a@[::1]:5222",
    "a@" + "b" * 64,
    "a@" + "b." * 130 + "c",
    "a\n@b",
    "a\u200b@b",
    "a<b@c",
    "a＆@b",  # full-width ampersand: maps to the forbidden one
    "a＠b@c",
    "\ud800@b",
    "a@b/\ud800",
    "a@\ud800",
    "a@b/\x07",
    "a@b/\ufffe",
    "a" * (PART_BYTES + 1) + "@b",
    "é" * (PART_BYTES // 2 + 1) + "@b",
    "a@b/" + "c" * (PART_BYTES + 1),
    "a@b/" + "é" * (PART_BYTES // 2 + 1),
    "a" * 1_000_000,
    "a@b/" + "é" * 1_000_000,
    "é." * 1_000_000,
]

# XEP-0106 §5: all its examples, and those of §3 and §4
ESCAPED = [
    ("space cadet", r"space\20cadet"),
    ('call me "ishmael"', r"call\20me\20\22ishmael\22"),
    ("at&t guy", r"at\26t\20guy"),
    ("d'artagnan", r"d\27artagnan"),
    ("/.fanboy", r"\2f.fanboy"),
    ("::foo::", r"\3a\3afoo\3a\3a"),
    ("<foo>", r"\3cfoo\3e"),
    ("user@host", r"user\40host"),
    (r"c:\net", r"c\3a\net"),
    (r"c:\\net", r"c\3a\\net"),
    (r"c:\cool stuff", r"c\3a\cool\20stuff"),
    (r"c:\5commas", r"c\3a\5c5commas"),
    (r"\3and\2is\5cool", r"\5c3and\2is\5c5cool"),
    ("here's_a_wild_&_/cr%zy/_address", r"here\27s_a_wild_\26_\2fcr%zy\2f_address"),
    (
        """here's_a_wild_&_/cr%zy/_address_for:<wv>("IMPS")""",
        r"here\27s_a_wild_\26_\2fcr%zy\2f_address_for\3a\3cwv\3e(\22IMPS\22)",
    ),
    (
        r"CN=D'Artagnan Saint-Andr\E9,O=Example & Company, Inc.,DC=example,DC=com",
        r"CN=D\27Artagnan\20Saint-Andr\E9,O=Example\20\26\20Company,\20Inc.,DC=example,DC=com",
    ),
    (r"""somenick!user"&'/:<>\3address""", r"somenick!user\22\26\27\2f\3a\3c\3e\5c3address"),
    ("tréville@musketeers.lit", r"tréville\40musketeers.lit"),
    (r"\2plus\2is\4", r"\2plus\2is\4"),
    (r"foo\bar", r"foo\bar"),
    (r"foob\41r", r"foob\41r"),
]


@pytest.mark.parametrize(("text", "local", "domain", "resource"), VALID + MORE_VALID)
def test_valid(text: str, local: str | None, domain: str, resource: str | None) -> None:
    jid = JID.parse(text)
    assert (jid.local, jid.domain, jid.resource) == (local, domain, resource)
    assert JID(local, domain, resource) == jid
    assert JID.parse(str(jid)) == jid


@pytest.mark.parametrize("text", INVALID + MORE_INVALID, ids=lambda text: ascii(text[:20]))
def test_invalid(text: str) -> None:
    with pytest.raises(JIDError) as caught:
        JID.parse(text)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


# What a server may know somebody by, although we hold it for invalid: (text, local, domain,
# resource). Its valid parts are normalised.
OPAQUE = [
    ("Room@B.Example/\u3164", "room", "b.example", "\u3164"),
    ("\u3164@B", "\u3164", "b", None),
    ("a@b/\u0378", "a", "b", "\u0378"),  # not assigned
    ("a@b/x\u200dy", "a", "b", "x\u200dy"),
    ("a@b/\U0001f468\u200d\U0001f469", "a", "b", "\U0001f468\u200d\U0001f469"),
    ("a@b/\u00ad", "a", "b", "\u00ad"),
    ("♥@B/c", "♥", "b", "c"),
    ("Ü♥@b", "Ü♥", "b", None),
    ("henryⅣ@example.com", "henryⅣ", "example.com", None),
    ("a＠b@c", "a＠b", "c", None),
    ("A@Under_Score.example/c", "a", "Under_Score.example", "c"),
    ("a@☃.net", "a", "☃.net", None),
    ("a@xn--a", "a", "xn--a", None),
    ("a@b..c", "a", "b..c", None),
    ("a@::1", "a", "::1", None),
    ("a@b:5222", "a", "b:5222", None),
    ("♥" * 341 + "@b/" + "\u00ad" * 511, "♥" * 341, "b", "\u00ad" * 511),
]

HARMFUL = [
    *("", "@", "@b", "a@", "/r", "a@/r", "a@b/", "@@", "a@b@c", "a b@c", "a@b c", "a<b@c", "a:b@c"),
    *("a@b/\0", "a@b/\t", "a\n@b", "a@b\x7f", "a@b/\x80", "a@b/\x9b31m", "a@b/\u2028", "a\u2029@b"),
    *("\u202e@evil", "a@b/\u2066", "a@b/\ud800", "\udfff@b", "a@b/\ufffe"),
    *("♥" * 342 + "@b", "a@b/" + "\u00ad" * 512, "♥" * 1_000_000, "a@b/" + "é" * 1_000_000),
]


@pytest.mark.parametrize(("text", "local", "domain", "resource"), OPAQUE)
def test_what_a_server_vouches_for(
    text: str, local: str | None, domain: str, resource: str | None
) -> None:
    with pytest.raises(JIDError):
        JID.parse(text)
    jid = JID.received(text)
    assert (jid.local, jid.domain, jid.resource) == (local, domain, resource)
    assert jid == JID.received(text) == pickle.loads(pickle.dumps(jid)) == copy.deepcopy(jid)
    assert JID.received(str(jid)) == jid
    assert {jid: 1}[JID.received(str(jid))] == 1
    assert jid.bare == JID.received(str(jid).partition("/")[0])
    assert jid.bare.bare is jid.bare
    assert jid.replace(resource="x").resource == "x"
    assert jid.replace(local="x", domain="y", resource=None) == JID.parse("x@y")
    assert sorted([jid, jid.bare]) == [jid.bare, jid] or jid == jid.bare
    with pytest.raises(JIDError):
        jid.replace(resource="")


@pytest.mark.parametrize("text", HARMFUL, ids=lambda text: ascii(text[:20]))
def test_what_nobody_vouches_for(text: str) -> None:
    with pytest.raises(JIDError) as caught:
        JID.received(text)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "local", "domain", "resource"), VALID + MORE_VALID)
def test_valid_ones_are_received_as_ever(
    text: str, local: str | None, domain: str, resource: str | None
) -> None:
    assert JID.received(text) == JID.parse(text)


def test_another_spelling_is_another_address() -> None:
    ours = JID.parse("juliet@example.com")
    for text in ("JULIET♥@example.com", "juliet\u00ad@example.com", "juli\u200bet@example.com"):
        assert JID.received(text) != ours
        assert JID.received(text).bare != ours
    assert JID.received("Juliet@Example.com/\u3164").bare == ours
    assert JID.received("a♥@b") != JID.received("A♥@b")


def test_a_space_may_begin_a_resource() -> None:
    # Example 18 of table 2 says no, but nothing in OpaqueString (RFC 8265 §4.2) forbids it, and
    # servers let it pass: who refused it could not answer such a client.
    assert JID.parse("juliet@example.com/ foo").resource == " foo"


@pytest.mark.parametrize("part", ["local", "domain", "resource"])
def test_hostile_lengths_cost_nothing(part: str) -> None:
    with pytest.raises(JIDError, match="1023 bytes"):
        JID.parse("a@b/c").replace(**{part: "é" * 10_000_000})


@pytest.mark.parametrize(
    "parts",
    [("", "b", None), ("a", "", None), ("a", "b", ""), ("a@b", "c", None), ("a", "b/c", None)],
)
def test_parts_are_validated(parts: tuple[str, str, str | None]) -> None:
    with pytest.raises(JIDError):
        JID(*parts)


def test_not_a_text() -> None:
    with pytest.raises(JIDError):
        JID.parse(None)  # type: ignore[arg-type]


def test_bare_full_replace() -> None:
    jid = JID.parse("a@b/c")
    assert not jid.is_bare
    assert jid.bare.is_bare
    assert str(jid.bare) == "a@b"
    assert jid.bare is jid.bare
    assert jid.bare.bare is jid.bare
    assert jid.replace(resource="D") == JID.parse("a@b/D")
    assert jid.replace(resource=None) == jid.bare
    assert jid.replace(local="X", domain="y") == JID.parse("x@y/c")
    with pytest.raises(JIDError):
        jid.replace(resource="")
    with pytest.raises(TypeError, match="'node'"):
        jid.replace(node="x")


def test_immutable() -> None:
    jid = JID.parse("a@b/c")
    with pytest.raises(AttributeError, match="replace"):
        jid.local = "x"
    with pytest.raises(AttributeError, match="replace"):
        del jid.local
    assert str(jid) == "a@b/c"


def test_equality_and_hash() -> None:
    assert JID.parse("A@B/c") == JID("a", "b", "c")
    assert hash(JID.parse("A@B/c")) == hash(JID("a", "b", "c"))
    assert JID.parse("a@b/c") != JID.parse("a@b/C")
    assert JID.parse("a@b") != "a@b"
    assert len({JID.parse("a@b"), JID.parse("a@B"), JID("a", "b")}) == 1


def test_order() -> None:
    order = ["a", "a/r", "x@a", "x@a/r", "y@a", "b", "a@b"]
    assert sorted(map(JID.parse, reversed(order))) == list(map(JID.parse, order))
    assert JID.parse("a") <= JID.parse("a")
    with pytest.raises(TypeError):
        assert JID.parse("a") < "b"  # type: ignore[operator]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_and_copy(protocol: int) -> None:
    jid = JID.parse("fußball@bücher.example/♚")
    assert pickle.loads(pickle.dumps(jid, protocol)) == jid
    assert copy.deepcopy(jid) == jid


def test_repr() -> None:
    assert repr(JID.parse("A@b/c")) == "JID('a@b/c')"


def test_the_cache_is_bounded_and_works() -> None:
    assert JID.parse("cached@b") is JID.parse("cached@b")
    info = JID.parse.cache_info()  # type: ignore[attr-defined]
    assert info.maxsize == CACHE_SIZE


# -- the short cuts -------------------------------------------------------------------------------


def outcome(function: object, value: str) -> str | None:
    try:
        return function(value)  # type: ignore[operator, no-any-return]
    except JIDError:
        return None


ASCII = st.text(st.characters(max_codepoint=127), max_size=12)
LONG = st.integers(PART_BYTES - 2, PART_BYTES + 2).map(lambda length: "a" * length)
HOST = st.text(string.ascii_letters + string.digits + "-._", max_size=12)


@given(ASCII | st.text(max_size=8) | LONG)
@example("")
def test_quick_local_is_slow_local(value: str) -> None:
    assert outcome(module._local, value) == outcome(module._slow_local, value)


@given(ASCII | st.text(max_size=8) | LONG)
def test_quick_resource_is_slow_resource(value: str) -> None:
    assert outcome(module._resource, value) == outcome(module._slow_resource, value)


@given(HOST | ASCII | st.lists(HOST, max_size=4).map(".".join) | LONG)
@example("a" * 63)
@example("a" * 64)
@example(".".join(["a" * 63] * 4))
@example(".".join(["a" * 63] * 3) + "." + "a" * 61)
@example(".".join(["a" * 63] * 3) + "." + "a" * 62)
@example("1.2.3.4")
@example("xn--bcher-kva")
@example("ab--c")
def test_quick_domain_is_slow_domain(value: str) -> None:
    assert outcome(module._domain, value) == outcome(module._slow_domain, value)


@given(
    st.text(max_size=30)
    | st.tuples(st.text(), st.text(), st.text()).map("{0[0]}@{0[1]}/{0[2]}".format)
)
def test_any_text_is_a_stable_jid_or_a_jid_error(text: str) -> None:
    try:
        jid = JID.parse(text)
    except JIDError:
        return
    assert JID.parse(str(jid)) == jid
    for part in (jid.local, jid.domain, jid.resource):
        assert part is None or 1 <= len(part.encode()) <= PART_BYTES


@given(
    st.text(max_size=30)
    | st.tuples(st.text(), st.text(), st.text()).map("{0[0]}@{0[1]}/{0[2]}".format)
)
def test_what_is_received_is_stable_and_equal_to_its_like_only(text: str) -> None:
    try:
        jid = JID.received(text)
    except JIDError:
        with pytest.raises(JIDError):
            JID.parse(text)
        return
    assert JID.received(str(jid)) == jid
    assert len(str(jid).splitlines()) == 1
    try:
        strict = JID.parse(text)
    except JIDError:
        with pytest.raises(JIDError):  # no valid address is equal to it
            JID.parse(str(jid))
        return
    assert jid == strict


# -- XEP-0106 -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "escaped"), ESCAPED)
def test_escape(text: str, escaped: str) -> None:
    assert escape_node(text) == escaped
    assert unescape_node(escaped) == text
    assert JID(escaped, "example.com").local == escaped.lower()  # as all local parts


@pytest.mark.parametrize("text", [" a", "a ", " "])
def test_space_at_the_edges_cannot_be_escaped(text: str) -> None:
    with pytest.raises(JIDError):
        escape_node(text)


@given(st.text(r""" "&'/:<>@\0123456789abcdef""", min_size=1).map(str.strip).filter(bool))
def test_escaping_can_be_undone(text: str) -> None:
    escaped = escape_node(text)
    assert unescape_node(escaped) == text
    assert not set(escaped) & set(" \"&'/:<>@")


def test_case_is_significant_in_escapes() -> None:
    assert unescape_node(r"a\2Fb\3Cc") == r"a\2Fb\3Cc"
