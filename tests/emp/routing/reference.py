"""Random routes and stanzas, and a router that knows nothing but lxml, to compare the table with.

The XPath covers what emp.routing.analysis recognises, and things that it does not.
"""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from emp.errors import RouteError
from emp.routing import Route, Routes, RouteTable, compile_routes
from emp.routing.xpath import Expression
from emp.stanza import Stanza
from emp.xml import parse
from tests.emp.routing.components import Tweets

NAMESPACES = {"tw": "urn:example:tweeter", "x": "jabber:x:data"}

# EMP_EXAMPLES=10000 asks for as many examples of each property that is marked with these two.
_COUNT = int(os.environ.get("EMP_EXAMPLES", "1000"))
EXAMPLES = settings(max_examples=_COUNT, deadline=None)
LONG = pytest.mark.timeout(max(120, _COUNT // 5))

# -- stanzas --------------------------------------------------------------------------------------

ADDRESSES = [
    "bar@localhost", "bar@localhost", "bar@localhost", "bar@localhost/x",
    "room-1@chat.example.org", "BAR@localhost/x", "bar@localhost/x", "localhost", "localhost/x",
    "foo@localhost/tweets", "bar@@localhost", "", "straße@example.org", "room-1@chat.example.org",
    "room-1@chat.example.org/nick", "bar@localhost/", "a-b-c@chat.example.org/d/e",
]  # fmt: skip
# What routes ask for and stanzas have: few and often the same, or nothing would ever match.
VALUES = [
    "hi", "hi", "hi", "!ban", "!ban", "", "1", "!BAN me", "a hi b", "bar@localhost", "x y", " hi ",
    "ıſK",
]  # fmt: skip
TYPES = {
    "message": ["normal", "chat", "error", "groupchat", "headline", "", "odd", "get"],
    "presence": ["available", "unavailable", "error", "", "odd"],
    "iq": ["get", "set", "result", "error", "", "odd"],
}
_NAMES = [
    ("body", "jabber:client"), ("body", "jabber:client"), ("tweet", "urn:example:tweeter"),
    ("tweet", "urn:example:tweeter"), ("subject", "jabber:client"), ("x", "jabber:x:data"),
    ("query", "urn:other"), ("message", "jabber:client"),
]  # fmt: skip
_ATTRIBUTES = ["id", "id", "n", "type", "from", "xml:lang"]


def _attributes(values: dict[str, str | None]) -> str:
    return "".join(f" {name}='{text}'" for name, text in values.items() if text is not None)


def _element(name: tuple[str, str], attributes: dict[str, str], inner: Sequence[str]) -> str:
    return (
        f"<{name[0]} xmlns='{name[1]}'{_attributes(dict(attributes))}>{''.join(inner)}</{name[0]}>"
    )


_texts = st.sampled_from(VALUES)
_elements = st.recursive(
    st.builds(
        _element,
        st.sampled_from(_NAMES),
        st.dictionaries(st.sampled_from(_ATTRIBUTES), _texts, max_size=2),
        _texts.map(lambda text: [text]),
    ),
    lambda inner: st.builds(
        _element,
        st.sampled_from(_NAMES),
        st.dictionaries(st.sampled_from(_ATTRIBUTES), _texts, max_size=1),
        st.lists(_texts | inner, max_size=3),
    ),
    max_leaves=5,
)


@st.composite
def stanzas(draw: st.DrawFn) -> str:
    kind = draw(st.sampled_from(["message", "message", "message", "presence", "iq", "iq"]))
    type_ = draw(st.sampled_from([None, None, *TYPES[kind]]))
    addresses = st.sampled_from([*ADDRESSES, None])
    attributes = {
        "type": type_,
        "id": draw(st.sampled_from([*VALUES, None])),
        "to": draw(addresses),
        "from": draw(addresses),
        "n": draw(st.none() | _texts),
    }
    # RFC 6120 §8.2.3: one child. Others stop at the gate, and the table must be right there too.
    if kind == "iq" and type_ in ("get", "set") and draw(st.integers(0, 3)):
        inner = [draw(_elements)]
    else:
        inner = draw(st.lists(_elements, min_size=draw(st.integers(0, 1)), max_size=3))
    return f"<{kind} xmlns='jabber:client'{_attributes(attributes)}>{''.join(inner)}</{kind}>"


# -- XPath ----------------------------------------------------------------------------------------

_TESTS = [
    "body", "body", "tw:tweet", "tw:tweet", "subject", "x:x", "*", "tw:*", "message", "query",
]  # fmt: skip
_ATTRIBUTE_TESTS = ["@id", "@id", "@n", "@type", "@from", "@to", "@xml:lang", "@*"]
_PATTERNS = [
    "^!ban", "^!ban\\b", "hi", "^(hi|!b)", "a.*b", "", "^$", "[!x]", "ban|hi", "bar@", "hi$", "^h?",
    "(?m)^hi", "x+ y", "(hi)+", "k", "^is",
]  # fmt: skip
_literals = st.sampled_from(VALUES + ADDRESSES + ["chat", "normal", "available", "get", "1"]).map(
    lambda text: f"'{text}'"
)
_patterns = st.tuples(st.sampled_from(_PATTERNS), st.sampled_from(["", ", 'i'"])).map(
    lambda pair: f"'{pair[0]}'{pair[1]}"
)


_HERE = [".", "self::*", "text()", "..", "self::message"]


@st.composite
def paths(draw: st.DrawFn, depth: int) -> str:
    if draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from([*_ATTRIBUTE_TESTS, *_HERE]))
    steps: list[str] = []
    for _ in range(draw(st.sampled_from([1, 1, 2]))):
        step = draw(st.sampled_from(_TESTS))
        if depth and draw(st.integers(0, 2)) == 0:
            inside = expressions(depth - 1) | st.sampled_from(["1", "last()", "position()=1"])
            step += f"[{draw(inside)}]"
        steps.append(step)
    end = draw(st.sampled_from(["", "", "", "/@id", "/@n", "/text()", "/..", "/@*", "//@id"]))
    start = draw(st.sampled_from(["", "", "", "", ".//", "descendant::", "self::node()/"]))
    return start + draw(st.sampled_from(["/", "/", "//"])).join(steps) + end


@st.composite
def expressions(draw: st.DrawFn, depth: int) -> str:
    path = draw(paths(depth))
    which = draw(st.integers(0, 12 if depth else 8))
    if which <= 1:
        return path
    if which == 2:
        return f"{path}={draw(_literals)}"
    if which == 3:
        return f"{draw(_literals)}{draw(st.sampled_from(['=', '!=']))}{path}"
    if which == 4:
        return f"re:test({path}, {draw(_patterns)})"
    if which == 5:
        name = draw(st.sampled_from(["starts-with", "contains"]))
        return f"{name}({path}, {draw(_literals)})"
    if which == 6:
        name = draw(st.sampled_from(["bare", "full", "local", "domain", "resource"]))
        address = draw(st.sampled_from(["@from", "@to", path]))
        return f"jid:{name}({address})" + draw(st.just("") | _literals.map(lambda text: f"={text}"))
    if which == 7:
        name = draw(st.sampled_from(["string", "normalize-space"]))
        return f"{name}({path})={draw(_literals)}"
    if which == 8:
        return draw(
            st.sampled_from([f"count({path}) > 1", f"{path} > 1", "true()", f"({path})[1]", "'x'"])
        )
    if which == 9:
        return f"not({draw(expressions(depth - 1))})"
    if which == 10:
        return f"{path} | {draw(paths(depth - 1))}"
    joined = draw(st.sampled_from(["and", "or", "or"]))
    return f"({draw(expressions(depth - 1))} {joined} {draw(expressions(depth - 1))})"


# Written by hand, so that some routes match often.
_LIKELY = [
    "[@type='odd']", "[@type='get']", "[not(@type='chat')]",
    "[body]", "body", "[body='hi']", "[@id]", "[not(@id='1')]", "*", "//body", "tw:tweet/@id",
    "[@type!='chat']", "[re:test(body, '^!ban')]", "[contains(body, 'hi')]", "[body or tw:tweet]",
    "[starts-with(@from, 'bar@')]", "[jid:bare(@from)='bar@localhost']", "[.//tw:tweet[@id]]",
    "tw:tweet[@id='hi']", "[*/@id='hi' or body='!ban']", "[@from][@to]", "tw:*[not(*)]",
    "//tw:tweet", "//x:x[@type='hi']", "/iq[@type='get' or @type='set']/tw:tweet",
    "[jid:domain(@to)='localhost']", "tw:tweet[body]", "body[@id='hi' or .='hi']", "count(*)",
]  # fmt: skip
predicates = st.one_of(
    st.none(),
    st.sampled_from(_LIKELY),
    st.sampled_from(_LIKELY),
    expressions(1),
    expressions(2),
    st.lists(expressions(2), min_size=1, max_size=2).map(
        lambda some: "".join(f"[{one}]" for one in some)
    ),
    expressions(1).map(lambda one: f"/message[{one}]"),
    expressions(1).map(lambda one: f"/*[{one}]/body"),
)

# -- routes ---------------------------------------------------------------------------------------

WANTED: dict[str, list[Any]] = {
    "from_": ["bar@localhost", "bar@localhost/x", "localhost", "@localhost", "straße@example.org",
              re.compile("^bar"), re.compile("", re.I), re.compile("@LOCAL", re.I)],
    "to": ["bar@localhost", "bar@localhost/x", "localhost", "@localhost", re.compile("/x$"),
           "{room}@chat.example.org", "room-{n}@{host}", "{a}-{b}@chat.example.org/{c}",
           "{host}", "bar@{host}/{nick}", "{all}@{of}/x"],
    "type": ["normal", "chat", "available", "get", "error", "groupchat", "*",
             re.compile("^(normal|chat)?$"), re.compile("a")],
    "id_": ["1", "", re.compile("^!ban"), re.compile("hi")],
    "body": ["hi", "!ban", re.compile("^!"), re.compile("BAN", re.I)],
    "subject": ["hi"],
}  # fmt: skip


def has_id(stanza: Stanza) -> bool:
    return stanza.id is not None


def fails(stanza: Stanza) -> bool:
    raise ValueError("a guard's own fault")


@dataclass
class Written:
    """One route, as it is to be declared."""

    method: str
    xpath: str | None
    wanted: dict[str, Any]
    resource: str | None = None
    connection: str | None = None
    guard: Callable[[Stanza], object] | None = None
    prefix: str | None = None

    def declare(self, routes: Routes) -> None:
        target = routes if self.prefix is None else Routes(NAMESPACES)
        if self.resource is not None:
            with target.resource(self.resource):
                self._declare(target)
        elif self.connection is not None:
            with target.connection(self.connection):
                self._declare(target)
        else:
            self._declare(target)
        if self.prefix is not None:
            routes.include(target, self.prefix)

    def _declare(self, routes: Routes) -> None:
        getattr(routes, self.method)(self.xpath, if_=self.guard, **self.wanted).to(Tweets.index)


_rarely = [None] * 12
written = st.builds(
    Written,
    st.sampled_from(
        [
            "message",
            "message",
            "message",
            "route",
            "route",
            "presence",
            "iq_get",
            "iq_set",
            "fallback",
        ]
    ),
    predicates,
    st.one_of(
        st.just({}),
        st.just({}),
        st.fixed_dictionaries(
            {}, optional={name: st.sampled_from(values) for name, values in WANTED.items()}
        ).map(lambda wanted: dict(list(wanted.items())[:1])),
        st.sampled_from(
            [{name: value} for name in ("from_", "to", "body") for value in WANTED[name]]
        ),
    ),
    st.sampled_from([*_rarely, "x", "tweets"]),
    st.sampled_from([*_rarely, "main"]),
    st.sampled_from([*_rarely, has_id, fails]),
    st.sampled_from(
        [*_rarely, "[@id]", "/message[body]", "[re:test(body, '^!')]", "[count(*) = 1]"]
    ),
)


def table_of(wanted: Sequence[Written]) -> RouteTable:
    """The table of those that are possible, and not hidden by those before."""
    kept = [each for each in wanted if _compiled([each])]
    table = _compiled(kept)
    if table is None:
        some: list[Written] = []
        for each in kept:
            if _compiled([*some, each]):
                some.append(each)
        table = _compiled(some)
    assert table is not None
    return table


def _compiled(wanted: Sequence[Written]) -> RouteTable | None:
    routes = Routes(NAMESPACES)
    for each in wanted:
        each.declare(routes)
    try:
        return compile_routes(routes)
    except RouteError:
        return None


def stanza_of(text: str, built: bool) -> Stanza:
    """The stanza; built: as one that was made from text and has no tree yet."""
    parsed = Stanza.from_element(parse(text))
    if not built:
        return parsed
    found: Stanza = pickle.loads(pickle.dumps(parsed))
    return found


class Linear:
    """Asks lxml for the XPath of one route after the other."""

    def __init__(self, table: RouteTable) -> None:
        self._routes = [
            (route, Expression(route.xpath, NAMESPACES), rule.guard)
            for route, rule in zip(table.routes, table.rules, strict=True)
        ]

    def match(
        self,
        stanza: Stanza,
        resource: str | None = None,
        component: bool = False,
        connection: str | None = None,
    ) -> list[int]:
        """The numbers of all routes that match, in order."""
        return [
            route.number
            for route, expression, guard in self._routes
            if _in_scope(route, stanza, resource, component, connection)
            and expression.holds(stanza.tree)
            and guard is not fails
            and (guard is None or guard(stanza))
        ]


def _in_scope(
    route: Route, stanza: Stanza, resource: str | None, component: bool, connection: str | None
) -> bool:
    if route.connection not in (None, connection):
        return False
    named = (stanza.to_text or "").partition("/")[2]
    if component:
        return route.resource is None or named in ("", route.resource)
    return route.resource in (None, resource)
