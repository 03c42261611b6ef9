"""The route table: order, scopes, captures, and that index and XPath say the same."""

import logging
import pickle
import re
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lxml import etree

from emp.errors import RouteError
from emp.routing import Match, Routes, RouteTable, compile_routes, table
from emp.routing.xpath import Expression
from emp.stanza import Iq, Message, Presence, Stanza
from emp.xml import parse
from tests.emp.routing.components import Tweets

NAMESPACES = {"tw": "urn:example:tweeter"}


def stanza(text: str) -> Stanza:
    return Stanza.from_element(parse(text.replace(" ", ' xmlns="jabber:client" ', 1)))


def number(found: Match | None) -> int | None:
    return None if found is None else found.route.number


# -- order and scopes -----------------------------------------------------------------------------


def test_the_first_match_wins() -> None:
    routes = Routes(NAMESPACES)
    routes.message("[re:test(body, '^!')]").to(Tweets.show)
    routes.message(from_="bar@localhost", type="chat").to(Tweets.index)
    routes.message(from_="bar@localhost").to(Tweets.index)
    routes.message(from_="foo@localhost").to(Tweets.index)
    routes.message("body").to(Tweets.index)
    routes.route().to(Tweets.index)
    match = compile_routes(routes).match
    assert number(match(Message(body="!x", from_="bar@localhost/x", type="chat"))) == 1
    assert number(match(Message(body="x", from_="bar@localhost/x", type="chat"))) == 2
    assert number(match(Message(body="x", from_="BAR@localhost/x"))) == 3
    assert number(match(Message(body="x", from_="foo@localhost"))) == 4
    assert number(match(Message(body="x", from_="x@localhost"))) == 5
    assert number(match(Message())) == 6
    assert number(match(Presence())) == 6


def test_iqs_by_payload() -> None:
    routes = Routes(NAMESPACES)
    routes.iq_get("tw:tweet[@id]", id="tw:tweet/@id").to(Tweets.show)
    routes.iq_get("tw:tweets").to(Tweets.index)
    routes.iq_set("tw:tweets").to(Tweets.index)
    routes.iq("tw:tweets", type="result").to(Tweets.index)
    match = compile_routes(routes).match
    tweet = "{urn:example:tweeter}tweet"
    found = match(Iq("get", etree.Element(tweet, id="7")))
    assert found is not None
    assert (found.route.number, found.captures) == (1, {"id": "7"})
    assert number(match(Iq("get", etree.Element(tweet)))) is None
    assert number(match(Iq("get", etree.Element(tweet + "s")))) == 2
    assert number(match(Iq("set", etree.Element(tweet + "s")))) == 3
    assert number(match(Iq("result", etree.Element(tweet + "s")))) == 4
    assert number(match(Iq("result"))) is None
    assert number(match(Iq("get", etree.Element("{urn:other}tweets")))) is None


@pytest.mark.parametrize(
    ("resource", "component", "to", "expected"),
    [
        ("tweets", False, "a@b/other", 1),  # the connection decides, not what `to` says
        ("other", False, "a@b/tweets", 2),
        (None, False, "a@b/tweets", 2),
        (None, True, "a@b/tweets", 1),
        (None, True, "a@b", 1),
        (None, True, None, 1),
        (None, True, "a@b/other", 2),
        (None, True, "a@b/x/tweets", 2),
        (None, True, "a@b/tweet\u00a0s", 2),
        ("tweets", True, "a@b/other", 2),
    ],
)
def test_resources(resource: str | None, component: bool, to: str | None, expected: int) -> None:
    routes = Routes()
    with routes.resource("tweets"):
        routes.message().to(Tweets.index)
    routes.message().to(Tweets.index)
    found = compile_routes(routes).match(Message(to), resource, component)
    assert number(found) == expected


def test_the_resource_of_to_is_normalised() -> None:
    routes = Routes()
    with routes.resource("tweet s"):
        routes.message().to(Tweets.index)
    match = compile_routes(routes).match
    assert number(match(stanza("<message to='a@b/tweet\u00a0s'/>"), None, True)) == 1
    assert number(match(stanza("<message to='a@@b/tweet\u00a0s'/>"), None, True)) is None


# -- captures -------------------------------------------------------------------------------------

_TWEETS = (
    "<iq type='get' id='1'><tweets xmlns='urn:example:tweeter' user='bob'>"
    "<tweet id='1'>one</tweet><tweet id='2'>two</tweet></tweets></iq>"
)


@pytest.mark.parametrize(
    ("xpath", "expected"),
    [
        ("tw:tweets/@user", "bob"),
        ("tw:tweets/@nobody", None),
        ("tw:tweets/tw:tweet/@id", ["1", "2"]),
        ("tw:tweets/tw:tweet[1]/text()", "one"),
        ("string(tw:tweets/tw:tweet)", "one"),
        ("string(tw:tweets/@nobody)", ""),
        ("count(tw:tweets/tw:tweet)", 2),
        ("count(tw:tweets/tw:tweet) div 4", 0.5),
        ("number('x')", None),
        ("1 div 0", float("inf")),
        ("boolean(tw:tweets)", True),
        ("re:match(string(.//tw:tweet[2]), '^t(.*)')[2]", "wo"),
        ("jid:local('a@b')", "a"),
        ("namespace::tw", None),
        ("tw:tweets/namespace::*[.='urn:example:tweeter']", "urn:example:tweeter"),
    ],
)
def test_captured_values(xpath: str, expected: Any) -> None:
    routes = Routes(NAMESPACES)
    routes.iq_get(value=xpath).to(Tweets.index)
    found = compile_routes(routes).match(stanza(_TWEETS))
    assert found is not None
    assert found.captures == {"value": expected}
    assert type(found.captures["value"]) is type(expected)


def test_captured_elements_stay_elements() -> None:
    routes = Routes(NAMESPACES)
    routes.iq_get(first="tw:tweets/tw:tweet[1]", all="tw:tweets/*").to(Tweets.index)
    found = compile_routes(routes).match(stanza(_TWEETS))
    assert found is not None
    first, both = found.captures["first"], found.captures["all"]
    assert isinstance(first, etree._Element)
    assert isinstance(both, list)
    assert first.text == "one"
    assert both[0] is first
    assert len(both) == 2


# -- what must not happen -------------------------------------------------------------------------


def test_a_fault_at_run_time_is_no_match_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    routes = Routes()
    # The type of an argument is only looked at when the left side lets it.
    routes.message("[@id='bad' and count('x')]").to(Tweets.show)
    routes.message("body", bad="subject[.='bad'] and count('x')").to(Tweets.show)
    routes.message().to(Tweets.index)
    match = compile_routes(routes).match
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert number(match(Message(id="bad", body="secret", subject="bad"))) == 3
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert told[0].startswith(f"{__file__}:")
    assert "which then does not match this route: Invalid type" in told[0]
    assert not any("secret" in line for line in told)


def test_no_xpath_where_the_envelope_decides() -> None:
    routes = Routes()
    routes.message("[@type='chat']", from_="bar@localhost").to(Tweets.index)
    match = compile_routes(routes).match
    incoming = pickle.loads(pickle.dumps(Message(type="chat", from_="bar@localhost/x", body="hi")))
    assert number(match(incoming)) == 1
    assert incoming._tree is None  # not even parsed


def test_the_index_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "INDEX_SIZE", 3)
    routes = Routes()
    for sender in range(9):
        routes.message(from_=f"u{sender}@localhost").to(Tweets.index)
    compiled = compile_routes(routes)
    for sender in range(9):
        assert number(compiled.match(Message(from_=f"u{sender}@localhost/x"))) == sender + 1
    assert len(compiled._index) == 3


def test_peers_cannot_fill_the_index() -> None:
    routes = Routes(NAMESPACES)
    routes.iq_get("tw:tweets", from_="bar@localhost").to(Tweets.index)
    compiled = compile_routes(routes)
    for n in range(50):
        assert (
            compiled.match(
                stanza(f"<iq type='t{n}' from='u{n}@localhost'><p{n} xmlns='urn:x'/></iq>")
            )
            is None
        )
    assert len(compiled._index) == 1


# -- index == linear ------------------------------------------------------------------------------

_ADDRESSES = [
    "bar@localhost", "BAR@localhost", "bar@localhost/x", "bar@LOCALHOST/X", "localhost",
    "localhost/x", "foo@localhost/tweets", "bar@@localhost", "", "straße@example.org",
]  # fmt: skip
_TYPES = {
    "message": ["normal", "chat", "error", "", "odd"],
    "presence": ["available", "unavailable", "error", ""],
    "iq": ["get", "set", "result", "error", "", "odd"],
}
_PAYLOADS = [
    "<tweet xmlns='urn:example:tweeter' id='1'/>",
    "<tweet xmlns='urn:example:tweeter'/>",
    "<tweets xmlns='urn:example:tweeter'><tweet id='2'/></tweets>",
    "<query xmlns='urn:other'/>",
    "<query/>",
]
_TEXTS = ["<body>!x</body>", "<body>hi</body>", "<subject>hi</subject>", "<thread>t</thread>"]


def _attributes(**values: str | None) -> str:
    return "".join(f" {name}='{text}'" for name, text in values.items() if text is not None)


@st.composite
def stanzas(draw: st.DrawFn) -> str:
    kind = draw(st.sampled_from(["message", "presence", "iq"]))
    type_ = draw(st.none() | st.sampled_from(_TYPES[kind]))
    addresses = st.none() | st.sampled_from(_ADDRESSES)
    attributes = _attributes(
        type=type_,
        id=draw(st.none() | st.sampled_from(["1", "", "x"])),
        to=draw(addresses),
        **{"from": draw(addresses)},
    )
    children = st.sampled_from(_PAYLOADS if kind == "iq" else _PAYLOADS + _TEXTS)
    # RFC 6120 §8.2.3: an IQ get or set has one child.
    most = 1 if kind == "iq" and type_ in ("get", "set") else 3
    inner = "".join(draw(st.lists(children, max_size=most)))
    return f"<{kind} xmlns='jabber:client'{attributes}>{inner}</{kind}>"


_PREDICATES = [
    None, "[@type='chat']", "[@type='normal']", "[@id='1' and @type='error']", "[@from='']",
    "[@from='bar@localhost'][body]", "[body]", "body",
    "[tw:tweet][@type='chat']", "[query]", "tw:tweet", "tw:tweet[@id]", "tw:tweets",
    "query", "tw:*", "*", "//tw:tweet", "//tw:tweet[@id][1]", "count(body)", "count(*) > 1",
    "not(body)", "/message", "/message[@type='chat']", "/iq/tw:tweet", "/*[@id]", "tw:tweet | body",
    "@type", "[re:test(body, '^!')]", "tw:tweets/tw:tweet", "/presence[@type='unavailable']",
    "[@to='localhost']", "tw:tweet/..", "string(@id)", "self::iq[@type='get']", "[1]", "[2]",
]  # fmt: skip
_WANTED: dict[str, list[Any]] = {
    "from_": ["bar@localhost", "bar@localhost/x", "localhost", "@localhost", "straße@example.org",
              re.compile("^bar"), re.compile("")],
    "to": ["bar@localhost", "bar@localhost/x", "localhost", "@localhost", re.compile("/x$", re.I)],
    "type": ["normal", "chat", "available", "unavailable", "get", "set", "error",
             re.compile("^(normal|chat)?$"), re.compile("a")],
    "id_": ["1", "", re.compile("^x?$")],
    "body": ["hi", "!x", re.compile("^!")],
    "subject": ["hi"],
    "thread": [re.compile("t")],
}  # fmt: skip
_rules = st.tuples(
    st.sampled_from(["message", "presence", "iq", "iq_get", "iq_set", "route"]),
    st.sampled_from(_PREDICATES),
    st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(values) for name, values in _WANTED.items()}
    ).filter(lambda wanted: len(wanted) < 4),
    st.sampled_from([None, None, "x", "tweets"]),
)


def _declare(routes: Routes, rule: tuple[str, str | None, dict[str, Any], str | None]) -> None:
    method, xpath, wanted, resource = rule
    if resource is None:
        getattr(routes, method)(xpath, **wanted).to(Tweets.index)
    else:
        with routes.resource(resource):
            getattr(routes, method)(xpath, **wanted).to(Tweets.index)


def _table(rules: list[Any]) -> RouteTable:
    """The table of those rules that are possible and not there already."""
    kept: dict[Any, Any] = {}
    for rule in rules:
        routes = Routes(NAMESPACES)
        _declare(routes, rule)
        try:
            (route,) = compile_routes(routes).routes
        except RouteError:
            continue
        kept.setdefault((route.xpath, route.resource), rule)
    routes = Routes(NAMESPACES)
    for rule in kept.values():
        _declare(routes, rule)
    return compile_routes(routes)


def _linear(compiled: RouteTable, incoming: Stanza, resource: str | None, component: bool) -> Any:
    """The number of the route, by nothing but the XPath of all conditions, one after another."""
    for route in compiled.routes:
        if route.resource is not None:
            named = (incoming.to_text or "").partition("/")[2]
            in_scope = named in ("", route.resource) if component else resource == route.resource
            if not in_scope:
                continue
        if Expression(route.xpath, NAMESPACES).holds(incoming.tree):
            return route.number
    return None


@settings(max_examples=400, deadline=None)
@given(
    st.lists(_rules, min_size=1, max_size=8),
    st.lists(stanzas(), min_size=1, max_size=8),
    st.sampled_from([None, "x", "tweets"]),
    st.booleans(),
)
def test_index_and_xpath_say_the_same(
    rules: list[Any], texts: list[str], resource: str | None, component: bool
) -> None:
    compiled = _table(rules)
    assume(compiled.routes)
    for text in texts:
        incoming = Stanza.from_element(parse(text))
        found = number(compiled.match(incoming, resource, component))
        assert found == _linear(compiled, incoming, resource, component), text
        assert number(compiled.match(incoming, resource, component)) == found  # from the index
