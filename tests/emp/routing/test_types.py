"""Types of messages: which reach routes that say nothing of them, and what an odd one is."""

import re
from typing import Any

import pytest

from emp.errors import RouteError
from emp.routing import Routes, compile_routes
from emp.stanza import MESSAGE_TYPES, Message, Stanza
from emp.xml import parse
from tests.emp.routing.components import Tweets

ODD = ["", "odd", "Chat", "get", "available"]


def message(type_: str | None, inner: str = "<body>hi</body>") -> Stanza:
    written = "" if type_ is None else f" type='{type_}'"
    return Stanza.from_element(parse(f"<message xmlns='jabber:client'{written}>{inner}</message>"))


def reached(declare: Any) -> list[str | None]:
    """The types of messages that a route matches, in two tables, small and large."""
    found: list[list[str | None]] = []
    for others in (0, 20):
        routes = Routes({"x": "urn:x"})
        for number in range(others):
            routes.message(f"[x:n{number}]", type="*").to(Tweets.show)
        declare(routes)
        match = compile_routes(routes).match
        found.append([each for each in (None, *MESSAGE_TYPES, *ODD) if match(message(each))])
    assert found[0] == found[1]
    return found[0]


ORDINARY = [None, "normal", "chat", *ODD]
EVERY = [None, *MESSAGE_TYPES, *ODD]


@pytest.mark.parametrize(
    ("method", "xpath", "wanted", "expected"),
    [
        ("message", None, {}, ORDINARY),
        ("message", "[body]", {}, ORDINARY),
        ("message", "[body/@type or x]", {}, []),
        ("message", "[not(body/@type='groupchat')]", {}, ORDINARY),
        ("route", None, {}, ORDINARY),
        ("route", "/message[body]", {}, ORDINARY),
        ("route", "//body", {}, ORDINARY),
        ("fallback", None, {}, ORDINARY),
        ("fallback", "/message[body]", {}, ORDINARY),
        ("message", None, {"type": None}, ORDINARY),
        ("message", None, {"type": "*"}, EVERY),
        ("route", None, {"type": "*"}, EVERY),
        ("message", None, {"type": "groupchat"}, ["groupchat"]),
        ("route", None, {"type": "groupchat"}, ["groupchat"]),
        ("message", None, {"type": "normal"}, [None, "normal", *ODD]),
        ("route", None, {"type": "normal"}, [None, "normal", *ODD]),
        ("route", None, {"type": "get"}, []),
        ("message", None, {"type": re.compile("^(chat|groupchat)$")}, ["chat", "groupchat"]),
        ("message", None, {"type": re.compile("o")}, [None, "normal", "groupchat", "error", *ODD]),
        ("message", "[@type='groupchat']", {}, ["groupchat"]),
        ("message", "[@type='normal']", {}, ["normal"]),
        ("message", "[@type='odd']", {}, ["odd"]),
        ("route", "/message[@type='odd']", {}, ["odd"]),
        ("route", "/*[@type='get']", {}, ["get"]),
        ("message", "[not(@type='error')]", {}, [each for each in EVERY if each != "error"]),
        ("message", "[starts-with(@type, 'group') and body]", {}, ["groupchat"]),
        ("message", "[string(./@type)='headline']", {}, ["headline"]),
    ],
)
def test_which_types_reach_a_route(
    method: str, xpath: str | None, wanted: dict[str, Any], expected: list[str | None]
) -> None:
    found = reached(lambda routes: getattr(routes, method)(xpath, **wanted).to(Tweets.index))
    assert found == expected


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        ({}, ORDINARY),
        ({"prefix": "[@type='groupchat']"}, ["groupchat"]),
        ({"type": "groupchat"}, ["groupchat"]),
        ({"type": "*"}, EVERY),
        ({"prefix": "[body]"}, ORDINARY),
    ],
)
def test_a_pack_is_for_the_types_of_its_include(
    include: dict[str, str], expected: list[str | None]
) -> None:
    pack = Routes()
    pack.message("[body]").to(Tweets.index)
    assert reached(lambda routes: routes.include(pack, **include)) == expected


def test_all_types_of_an_include_leave_those_of_a_route() -> None:
    pack = Routes()
    pack.message("[body]", type="chat").to(Tweets.index)
    pack.message("[body]", type="*").to(Tweets.show)
    assert reached(lambda routes: routes.include(pack, type="*")) == EVERY
    pack = Routes()
    pack.message("[body]", type="*").to(Tweets.show)
    assert reached(lambda routes: routes.include(pack, type="error")) == ["error"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"type": "chat"}), ({}, {"type": "normal"}), ({"type": "*"}, {}),
        ({"type": "*"}, {"type": "error"}), ({}, {"xpath": "[@type='chat']"}),
    ],
)  # fmt: skip
def test_a_route_behind_one_for_more_types_is_hidden(
    first: dict[str, str], second: dict[str, str]
) -> None:
    routes = Routes()
    for each in (first, second):
        wanted: dict[str, Any] = dict(each)
        routes.message(wanted.pop("xpath", None), **wanted).to(Tweets.index)
    with pytest.raises(RouteError, match="can never match"):
        compile_routes(routes)


def test_a_route_behind_one_for_other_types_is_not_hidden() -> None:
    routes = Routes()
    routes.route().to(Tweets.index)
    routes.message(type="groupchat").to(Tweets.index)
    routes.message("[@type='error']").to(Tweets.index)
    routes.message(type="*").to(Tweets.index)
    match = compile_routes(routes).match
    found = [match(message(each)) for each in ("chat", "groupchat", "error", "headline")]
    assert [each and each.route.number for each in found] == [1, 2, 3, 4]


@pytest.mark.parametrize("type_", [None, "normal", *ODD])
def test_an_odd_message_is_normal_and_answered_as_such(type_: str | None) -> None:
    incoming = message(type_)
    assert incoming.type == "normal"
    assert isinstance(incoming, Message)
    assert incoming.reply("x").type == "normal"
    assert Stanza.parse(incoming.to_bytes()).type == "normal"
    incoming.tree.set("type", "chat")
    assert incoming.type == "chat"


def test_an_odd_presence_is_not_available() -> None:
    odd = Stanza.parse(b"<presence type='odd'/>")
    assert odd.type == "odd"
    routes = Routes()
    routes.presence(type="available").to(Tweets.index)
    match = compile_routes(routes).match
    assert match(odd) is None
    assert match(Stanza.parse(b"<presence/>")) is not None
