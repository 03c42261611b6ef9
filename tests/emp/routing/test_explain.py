"""The explanation says what the table does, and why; and it bears whatever a stanza holds."""

import json
import logging
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from emp.errors import RouteError
from emp.jid import JID
from emp.routing import Routes, RouteTable, compile_routes
from emp.routing.explain import MOST, SMALL, VALUE, Explanation, as_json, explain, shown, text
from emp.stanza import Iq, Message, Presence, Stanza
from emp.xml import E, parse

NAMESPACES = {"tw": "urn:example:tweeter"}
URI = NAMESPACES["tw"]


class Tweets:
    def show(self, id: int) -> None: ...

    def say(self, body: str, sender: JID | None, page: int, connection: object) -> None: ...

    def index(self) -> None: ...

    def all(self, stanza: Stanza, payload: object) -> None: ...


def stanza(text: str) -> Stanza:
    return Stanza.from_element(parse(text.replace(" ", ' xmlns="jabber:client" ', 1)))


def steps(explanation: Explanation, number: int) -> list[tuple[str, str, bool]]:
    """(what, text, held) of all that was asked for the route."""
    (attempt,) = [each for each in explanation.attempts if each.route.number == number]
    return [(step.what, step.text, step.held) for step in attempt.steps]


def table_of_tweets() -> RouteTable:
    routes = Routes(NAMESPACES)
    routes.iq_get("tw:tweet", id="tw:tweet/@id").to(Tweets.show)
    with routes.connection("main"), routes.resource("x"):
        routes.message("[string-length(body) > 3]", from_="bar@localhost").to(Tweets.index)
    routes.message(type="chat", if_=lambda stanza: stanza.id == "1", defaults={"page": 7}).to(
        Tweets.say
    )
    routes.fallback("/message[body]").to(Tweets.index)
    return compile_routes(routes)


# -- what is said ---------------------------------------------------------------------------------


def test_step_by_step() -> None:
    incoming = Message("a@b/y", "hi", type="chat", id="1", from_="foo@localhost/x")
    told = explain(table_of_tweets(), incoming, None, True, "other")
    assert [(each.route.number, each.matched) for each in told.attempts] == [
        (1, False),
        (2, False),
        (3, True),
    ]
    assert steps(told, 1) == [("kind", "iq", False)]
    assert steps(told, 2)[:4] == [
        ("kind", "message", True),
        ("connection", "'main'", False),
        ("resource", "'x'", False),
        ("condition", "jid:bare(@from)='bar@localhost'", False),
    ]
    assert steps(told, 3)[-1][::2] == ("guard", True)
    assert told.match is not None
    assert told.match.route.number == 3
    assert told.arguments == {
        "body": "'hi'",
        "sender": repr(JID.parse("foo@localhost/x")),
        "page": "7",
        "connection": "'other'",
    }
    assert (told.answer, told.suggestion, dict(told.passed)) == (None, "", {})


def test_captures_and_arguments() -> None:
    told = explain(table_of_tweets(), Iq("get", E.tweet(xmlns=URI, id="5"), id="1"))
    assert steps(told, 1)[-1] == ("capture", "id=tw:tweet/@id", True)
    assert told.attempts[0].steps[-1].note == "'5'"
    assert (told.arguments, told.answer) == ({"id": "5"}, None)


@pytest.mark.parametrize("attributes", [{}, {"id": "x"}, {"id": ""}])
def test_arguments_that_cannot_be(attributes: dict[str, str]) -> None:
    told = explain(table_of_tweets(), Iq("get", E.tweet(attributes, xmlns=URI), id="1"))
    assert told.match is not None
    assert told.arguments == {}
    assert told.answer is not None
    assert told.answer.startswith("bad-request: argument 'id'")
    said = text(told).split("\n")
    assert said[-2:] == [
        "route 1 wins, but Tweets.show is not called",
        f"answered {told.answer}",
    ]


def test_what_must_not_be_answered() -> None:
    routes = Routes(NAMESPACES)
    routes.iq("tw:tweet", id="tw:tweet/@id").to(Tweets.show)
    told = explain(compile_routes(routes), Iq("result", E.tweet(xmlns=URI), id="1"))
    assert told.answer is not None
    assert told.answer.startswith(
        "nothing, as this is not answered with an error: bad-request: argument 'id'"
    )


@pytest.mark.parametrize(
    ("incoming", "answer"),
    [
        (Iq("get", E.query(xmlns="urn:x")), "service-unavailable: no route matches"),
        (Iq("result"), None),
        (Message(subject="hi"), None),
        (Presence(), None),
    ],
)
def test_what_no_route_catches(incoming: Stanza, answer: str | None) -> None:
    told = explain(table_of_tweets(), incoming)
    assert (told.match, told.answer, told.arguments) == (None, answer, {})
    assert told.suggestion.startswith("routes.")
    assert "this one would:\n  routes." in text(told)
    assert ("nothing is answered" in text(told)) is (answer is None)


@pytest.mark.parametrize(
    ("to", "resource", "component", "held", "note"),
    [
        ("a@b/x", None, True, True, "to names 'x'"),
        ("a@b", None, True, True, "to names none, which is for all"),
        ("a@b/y", None, True, False, "to names 'y'"),
        ("a@b/y", "x", False, True, "it came to 'x'"),
        ("a@b/x", "y", False, False, "it came to 'y'"),
    ],
)
def test_resources(to: str, resource: str | None, component: bool, held: bool, note: str) -> None:
    routes = Routes()
    with routes.resource("x"):
        routes.message().to(Tweets.index)
    told = explain(compile_routes(routes), Message(to), resource, component)
    (step,) = [step for step in told.attempts[0].steps if step.what == "resource"]
    assert (step.held, step.note) == (held, note)
    assert (told.match is not None) is held


def test_which_connection_is_not_known() -> None:
    routes = Routes()
    with routes.connection("main"):
        routes.message().to(Tweets.index)
    told = explain(compile_routes(routes), Message())
    assert "(which it came by is not known)" in text(told)
    assert told.match is None


def test_faults_are_a_no(caplog: pytest.LogCaptureFixture) -> None:
    routes = Routes()
    routes.message("[@id='bad' and count('x')]").to(Tweets.index)
    routes.message("[@id]", if_=lambda stanza: 1 / 0).to(Tweets.index)
    routes.message("[body]", bad="@id='bad' and count('x')").to(Tweets.index)
    table = compile_routes(routes)
    with caplog.at_level(logging.WARNING):
        told = explain(table, Message(body="hi", id="bad"))
        assert table.match(Message(body="hi", id="bad")) is None
    assert told.match is None
    last = [attempt.steps[-1] for attempt in told.attempts]
    assert [step.held for step in last] == [False] * 3
    assert [step.what for step in last][1:] == ["guard", "capture"]
    assert all(step.note.startswith("failed, which counts as no: ") for step in last)
    assert "ZeroDivisionError: division by zero" in last[1].note


def test_guards_are_asked_only_where_the_router_asks_them() -> None:
    asked: list[Stanza] = []
    routes = Routes()
    routes.message("[string-length(body) > 3]", type="chat", if_=asked.append).to(Tweets.index)
    table = compile_routes(routes)
    explain(table, Message(body="hi", type="chat"))
    explain(table, Message(body="hello"))
    assert asked == []
    explain(table, Message(body="hello", type="chat"))
    assert len(asked) == 1


# -- large tables ---------------------------------------------------------------------------------


def test_of_large_tables_only_candidates_are_shown() -> None:
    routes = Routes()
    routes.message("[string-length(body) > 1]", type="headline").to(Tweets.index)
    for number in range(1, SMALL + 10):
        routes.message(from_=f"u{number}@localhost").to(Tweets.index)
    routes.presence().to(Tweets.index)
    routes.message("[string-length(body) > 3]").to(Tweets.index)
    routes.message("[body]").to(Tweets.index)
    told = explain(compile_routes(routes), Message(body="hi", from_="u3@localhost/x", id="1"))
    assert [each.route.number for each in told.attempts] == [4]
    assert sum(told.passed.values()) == 3
    assert dict(told.passed) == {
        "found by type, which does not fit": 1,
        "found by from, which does not fit": 2,
    }
    told = explain(compile_routes(routes), Message(body="hi", from_="x@localhost"))
    assert told.attempts[-1].route.number == SMALL + 13
    assert [each.matched for each in told.attempts][-1:] == [True]
    assert sum(told.passed.values()) == SMALL + 13 - len(told.attempts)
    assert "routes passed over: found by from, which does not fit" in text(told)
    assert "1 route passed over: for presence, and this is message" in text(told)


def test_what_is_shown_is_bounded() -> None:
    routes = Routes()
    for number in range(MOST + 20):
        routes.message(f"[string-length(body) > {number + 3}]").to(Tweets.index)
    routes.message().to(Tweets.index)
    told = explain(compile_routes(routes), Message(body="hi"))
    assert len(told.attempts) == MOST
    assert told.attempts[-1].matched
    assert told.passed == {"asked, but does not match": 21}


# -- rendering ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "None"),
        ("it's", '"it\'s"'),
        ("\x1b[31m\u202e", "'\\x1b[31m\\u202e'"),
        ("x" * 500, "'" + "x" * (VALUE - 1) + "…"),
        (7, "7"),
        (["a", None], "['a', None]"),
        (E.tweet("a\nb", xmlns="urn:x"), '<tweet xmlns="urn:x">a\\nb</tweet>'),
        (Message("a@b", "secret", type="chat"), "message type='chat' to='a@b'"),
    ],
)
def test_values(value: object, expected: str) -> None:
    assert shown(value) == expected


def test_the_whole_text() -> None:
    routes = Routes(NAMESPACES)
    routes.presence().to(Tweets.index)
    routes.iq_get("tw:tweet", id="string(tw:tweet/@id)").to(Tweets.show)
    table = compile_routes(routes)
    first, second = table.routes
    told = text(explain(table, Iq("get", E.tweet(xmlns=URI, id="5"), id="1", from_="a@b")))
    said = told.split("\n")
    assert said[0] == f"iq type='get' from='a@b' id='1' payload='{{{URI}}}tweet'"
    assert said[1:4] == [
        f"  ✗ 1. Tweets.index ({first.source})",
        "      /presence",
        "      ✗ kind presence  (this is iq)",
    ]
    assert said[4:7] == [
        f"  ✓ 2. Tweets.show ({second.source})",
        "      /iq[@type='get']/tw:tweet",
        "      ✓ kind iq",
    ]
    assert said[-2:] == [
        "      ✓ capture id=string(tw:tweet/@id) → '5'",
        "route 2 wins: Tweets.show(id=5)",
    ]


def test_json() -> None:
    routes = Routes(NAMESPACES)
    routes.iq_get("tw:tweet", payload="tw:tweet").to(Tweets.all)
    table = compile_routes(routes)
    told = json.loads(json.dumps(as_json(explain(table, Iq("get", E.tweet(xmlns=URI), id="1")))))
    assert (told["route"], told["action"], told["answer"]) == (1, "Tweets.all", None)
    assert set(told["arguments"]) == {"stanza", "payload"}
    assert told["routes"][0]["matched"] is True
    assert told["routes"][0]["file"] == __file__
    assert told["routes"][0]["steps"][0] == {
        "what": "kind", "text": "iq", "held": True, "note": ""
    }  # fmt: skip
    unrouted = json.loads(json.dumps(as_json(explain(table, Presence()))))
    assert (unrouted["route"], unrouted["action"], unrouted["captures"]) == (None, None, {})


# -- it says what the table does ------------------------------------------------------------------

_PREDICATES = [
    None, "[@type='chat']", "[@id='1' and @type='error']", "[body]", "body", "tw:tweet[@id]",
    "tw:*", "//tw:tweet", "count(*) > 1", "not(body)", "/message[@type='chat']", "/iq/tw:tweet",
    "[re:test(body, '^!')]", "[@id='bad' and count('x')]",
]  # fmt: skip
_GUARDS = [None, None, lambda stanza: stanza.id == "1", lambda stanza: 1 / 0]
_rules = st.tuples(
    st.sampled_from(["message", "presence", "iq", "iq_get", "route", "fallback"]),
    st.sampled_from(_PREDICATES),
    st.fixed_dictionaries(
        {},
        optional={
            "from_": st.sampled_from(["bar@localhost", "@localhost", "localhost"]),
            "to": st.sampled_from(["bar@localhost/x", "{who}@localhost"]),
            "type": st.sampled_from(["chat", "normal", "error"]),
            "capture": st.sampled_from(["@from", "count(*)", "@id='bad' and count('x')"]),
        },
    ),
    st.sampled_from(_GUARDS),
    st.sampled_from([None, None, "x", "y"]),
    st.sampled_from([None, None, "main"]),
)
_addresses = st.none() | st.sampled_from(["bar@localhost/x", "foo@localhost/y", "localhost", "@@"])
_children = st.sampled_from(
    ["<body>!x</body>", "<body>hi</body>", f"<tweet xmlns='{URI}' id='1'/>", "<query/>"]
)


@st.composite
def stanzas(draw: st.DrawFn) -> Stanza:
    facts = {
        "type": draw(st.sampled_from([None, "chat", "error", "get", "set", "odd"])),
        "id": draw(st.sampled_from([None, "1", "2"])),
        "from": draw(_addresses),
        "to": draw(_addresses),
    }
    attributes = "".join(f" {name}='{value}'" for name, value in facts.items() if value)
    kind = draw(st.sampled_from(["message", "presence", "iq"]))
    children = "".join(draw(st.lists(_children, max_size=2)))
    return stanza(f"<{kind} {attributes}>{children}</{kind}>")


def _declare(routes: Routes, rule: Any) -> None:
    method, xpath, keywords, guard, resource, connection = rule
    if resource is not None:
        with routes.resource(resource):
            _declare(routes, (method, xpath, keywords, guard, None, connection))
    elif connection is not None:
        with routes.connection(connection):
            _declare(routes, (method, xpath, keywords, guard, None, None))
    else:
        getattr(routes, method)(xpath, if_=guard, **keywords).to(Tweets.index)


def _possible(rules: list[Any]) -> list[Any]:
    """Those of the rules that can stand in a table behind those before them."""
    kept: list[Any] = []
    for rule in rules:
        routes = Routes(NAMESPACES)
        for each in [*kept, rule]:
            _declare(routes, each)
        try:
            compile_routes(routes)
        except RouteError:
            continue
        kept.append(rule)
    return kept


@given(
    st.lists(_rules, min_size=1, max_size=6),
    st.lists(stanzas(), min_size=1, max_size=4),
    st.sampled_from([None, "x", "y"]),
    st.booleans(),
    st.sampled_from([None, "main", "other"]),
    st.booleans(),
)
def test_the_explanation_is_what_the_table_does(
    rules: list[Any],
    incoming: list[Stanza],
    resource: str | None,
    component: bool,
    connection: str | None,
    large: bool,
) -> None:
    rules = _possible(rules)
    assume(rules)
    routes = Routes(NAMESPACES)
    for number in range(SMALL if large else 0):
        routes.message(from_=f"u{number}@elsewhere").to(Tweets.index)
    for rule in rules:
        _declare(routes, rule)
    table = compile_routes(routes)
    for each in incoming:
        facts = resource, component, connection
        found, told = table.match(each, *facts), explain(table, each, *facts)
        assert (told.match and told.match.route) is (found and found.route)
        if found is not None:
            assert told.match is not None
            assert told.match.captures == found.captures
        assert [attempt.matched for attempt in told.attempts].count(True) == (found is not None)
        assert json.dumps(as_json(told))
        assert all(line.isprintable() for line in text(told).split("\n"))
