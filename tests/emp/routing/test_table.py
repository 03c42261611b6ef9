"""The route table: order, scopes, captures, guards, and what it costs. See also test_index.py."""

import gc
import logging
import pickle
import re
from types import FunctionType, ModuleType
from typing import Any

import pytest
from lxml import etree

from emp.routing import Match, Routes, RouteTable, compile_routes
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
    asked = stanza(_TWEETS)
    found = compile_routes(routes).match(asked)
    assert found is not None
    first, both = found.captures["first"], found.captures["all"]
    assert isinstance(first, etree._Element)
    assert isinstance(both, list)
    assert first.text == "one"
    assert next(each.text for each in both if isinstance(each, etree._Element)) == "one"
    assert len(both) == 2
    first.set("changed", "true")  # it is a copy, as it is where it came from another process
    assert b"changed" not in asked.to_bytes()


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
    assert "XPath failed on a stanza, which then does not match this route: XPath" in told[0]
    assert not any("secret" in line for line in told)


def is_parsed(stanza: Stanza) -> bool:
    return stanza._tree is not None


@pytest.mark.parametrize(
    ("xpath", "wanted"),
    [
        ("[@type='chat']", {"from_": "bar@localhost"}),
        ("[@id='1' and @to='a@b']", {}),
        (None, {"to": "{room}@b"}),
        ("[body='hi']", {}),
        ("[re:test(body, '^h')]", {}),
        (None, {"body": re.compile("i$")}),
        ("[body][not(subject)]", {}),
    ],
)
@pytest.mark.parametrize("others", [0, 20])
def test_no_tree_where_the_text_is_enough(
    xpath: str | None, wanted: dict[str, Any], others: int
) -> None:
    routes = Routes()
    for each in range(others):
        routes.message(f"[body='{each}']").to(Tweets.index)
        routes.message(f"[subject='{each}']").to(Tweets.index)
        routes.message(f"[@to='a{each}@b']").to(Tweets.index)
    routes.message(xpath, **wanted).to(Tweets.index)
    match = compile_routes(routes).match
    incoming: Stanza = pickle.loads(
        pickle.dumps(Message("a@b", "hi", type="chat", from_="bar@localhost/x", id="1"))
    )
    assert number(match(incoming)) == others * 3 + 1
    assert not is_parsed(incoming)


def test_no_tree_before_a_route_that_needs_none() -> None:
    routes = Routes()
    routes.message(from_="bar@localhost").to(Tweets.index)
    for each in range(20):
        routes.message(f"[subject='{each}']").to(Tweets.index)
    match = compile_routes(routes).match
    subject = Message("a@b", "hi", subject="19", from_="bar@localhost")
    assert number(match(subject)) == 1
    assert not is_parsed(subject)
    subject.from_ = "foo@localhost"
    assert number(match(subject)) == 21


def size_of(table: RouteTable) -> int:
    """The number of objects that can be reached from the table, without what they share."""
    seen: set[int] = set()
    pending: list[Any] = [getattr(table, name) for name in ("rules", "_kinds", "_ranks")]
    while pending:
        each = pending.pop()
        if id(each) not in seen and not isinstance(each, type | ModuleType):
            seen.add(id(each))
            if not isinstance(each, FunctionType):
                pending += gc.get_referents(each)
            else:
                pending += [cell.cell_contents for cell in each.__closure__ or ()]
    return len(seen)


def test_peers_cannot_make_the_table_grow() -> None:
    routes = Routes(NAMESPACES)
    routes.iq_get("tw:tweets", from_="bar@localhost").to(Tweets.index)
    routes.message("[@type='chat']", body=re.compile("^!")).to(Tweets.index)
    for each in range(20):
        routes.message(f"[tw:tweet[@id='{each}']]", to=f"{{n}}@{each}.localhost").to(Tweets.index)
    compiled = compile_routes(routes)
    before = size_of(compiled)
    for n in range(50):
        attributes = f"type='t{n}' from='u{n}@localhost' to='u{n}@{n}' id='i{n}'"
        for kind in ("iq", "message"):
            inner = f"<p{n} xmlns='urn:x{n}' id='{n}'>{n}</p{n}><body>{n}</body>"
            assert compiled.match(stanza(f"<{kind} {attributes}>{inner}</{kind}>")) is None
    assert size_of(compiled) == before


# -- guards, fallbacks, what the router asks ------------------------------------------------------


def test_the_guard_comes_last_and_decides() -> None:
    asked: list[str | None] = []

    def is_odd(stanza: Stanza) -> bool:
        asked.append(stanza.id)
        return stanza.id in ("1", "3")

    routes = Routes()
    routes.message("[body][count(*)=1]", type="chat", if_=is_odd).to(Tweets.show)
    routes.message().to(Tweets.index)
    match = compile_routes(routes).match
    assert number(match(Message(type="chat", body="x", id="1"))) == 1
    assert number(match(Message(type="chat", body="x", id="2"))) == 2
    assert number(match(Message(type="chat", body="x", subject="s", id="3"))) == 2
    assert number(match(Message(type="normal", body="x", id="4"))) == 2
    assert asked == ["1", "2"]


def test_a_guard_that_fails_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    def broken(stanza: Stanza) -> bool:
        raise KeyError("oops")

    routes = Routes()
    routes.message(if_=broken).to(Tweets.show)
    routes.message().to(Tweets.index)
    match = compile_routes(routes).match
    with caplog.at_level(logging.WARNING):
        assert [number(match(Message())) for _ in range(3)] == [2, 2, 2]
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"{__file__}:")
    assert "its guard broken failed on a stanza" in line
    assert "KeyError: 'oops'" in line


def test_fallbacks_come_last_and_keep_their_numbers() -> None:
    routes = Routes()
    routes.fallback("/message[body]").to(Tweets.show)
    routes.message(type="chat").to(Tweets.index)
    routes.fallback().to(Tweets.index)
    routes.message(type="headline").to(Tweets.index)
    table = compile_routes(routes)
    assert [route.number for route in table.routes] == [2, 4, 1, 3]
    assert [rule.route for rule in table.rules] == list(table.routes)
    incoming = Message(body="x", type="chat")
    assert number(table.match(incoming)) == 2
    assert number(table.match(incoming, after=2)) == 1
    assert number(table.match(incoming, after=4)) == 1
    assert number(table.match(incoming, after=1)) == 3
    assert number(table.match(incoming, after=3)) is None
    assert number(table.match(incoming, after=99)) is None
    assert number(table.match(Presence())) == 3


def test_connections() -> None:
    routes = Routes()
    with routes.connection("main"), routes.resource("x"):
        routes.message().to(Tweets.index)
    with routes.connection("main"):
        routes.message().to(Tweets.index)
    with routes.resource("x"):
        routes.message().to(Tweets.index)
    match = compile_routes(routes).match
    assert number(match(Message(), "x", False, "main")) == 1
    assert number(match(Message(), "y", False, "main")) == 2
    assert number(match(Message(), "x", False, "other")) == 3
    assert number(match(Message(), "y", False, "other")) is None
    assert number(match(Message("a@b/x"), None, True, "main")) == 1


# -- what people and the router see of a route ----------------------------------------------------


@pytest.mark.parametrize(
    ("method", "xpath", "wanted", "payload"),
    [
        ("iq_get", None, {}, True),
        ("iq_set", "tw:tweet", {}, True),
        ("iq", None, {}, False),
        ("iq", "[@type='get']", {}, True),
        ("iq", "[@type='get' or @type='set']", {}, True),
        ("iq", "[@type='get' or @type='result']", {}, False),
        ("iq", "tw:tweet", {"type": "result"}, True),
        ("message", "tw:tweet[@id]", {}, True),
        ("message", "[tw:tweet[count(*)=1]]", {}, True),
        ("message", "[tw:tweet or tw:tweets]", {}, True),
        ("message", "[tw:tweet or body]", {}, False),
        ("message", "[not(tw:tweet)]", {}, False),
        ("message", "body", {}, False),
        ("message", "//tw:tweet", {}, False),
        ("route", "tw:tweet", {}, True),
    ],
)
def test_payload(method: str, xpath: str | None, wanted: dict[str, Any], payload: bool) -> None:
    routes = Routes(NAMESPACES)
    getattr(routes, method)(xpath, **wanted).to(Tweets.index)
    assert compile_routes(routes).routes[0].payload is payload


def test_the_census_says_how_routes_are_found() -> None:
    routes = Routes(NAMESPACES)
    for each in range(10):
        routes.message(from_=f"u{each}@localhost").to(Tweets.index)
        routes.message(f"[tw:tweet[@id='{each}']]").to(Tweets.index)
        routes.message(body=re.compile(f"^!{each}")).to(Tweets.index)
    routes.iq_get("tw:tweets").to(Tweets.index)
    routes.presence(type="subscribe").to(Tweets.index)
    routes.presence("[count(*)=2]").to(Tweets.index)
    routes.presence("[status | show][position()=1]").to(Tweets.index)
    table = compile_routes(routes)
    assert table.census() == {
        "from": 10,
        "tweet/@id": 10,
        "body text, its start": 10,
        "payload": 1,
        "type": 1,
        "status or show": 1,
        "always checked": 1,
    }
    assert table.always == 1
