"""include(): reusable packs of routes, narrowed, nested, and what can be wrong with them."""

import re
import types
from typing import Any

import pytest

from emp.errors import RouteError
from emp.routing import Routes, RouteTable, compile_routes
from emp.stanza import Message, Presence, Stanza
from emp.xml import parse
from tests.emp.routing.components import Tweets

URI = "urn:example:tweeter"


def number(table: RouteTable, stanza: Stanza, **facts: Any) -> int | None:
    found = table.match(stanza, **facts)
    return None if found is None else found.route.number


def lines_of(routes: Routes) -> list[str]:
    with pytest.raises(RouteError) as caught:
        compile_routes(routes)
    return str(caught.value).splitlines()


def line_of(text: str) -> int:
    with open(__file__, encoding="utf-8") as file:
        return next(n for n, line in enumerate(file, 1) if line.rstrip().endswith(f"# {text}"))


def at(text: str) -> str:
    return f"{__file__}:{line_of(text)}"


def stanza(text: str) -> Stanza:
    return Stanza.from_element(parse(text.replace(" ", ' xmlns="jabber:client" ', 1)))


# -- what is included -----------------------------------------------------------------------------


def test_a_pack_stands_at_its_place_in_the_order() -> None:
    pack = Routes({"x": URI})
    pack.message("[x:tweet]", id="x:tweet/@id").to(Tweets.show)  # in the pack
    pack.fallback().to(Tweets.about)
    routes = Routes({"x": "urn:another"})
    routes.message("[x:tweet]").to(Tweets.index)
    routes.include(pack)
    routes.message().to(Tweets.destroy)
    table = compile_routes(routes)
    assert [route.action for route in table.routes] == ["index", "show", "destroy", "about"]
    found = table.match(stanza(f"<message ><tweet xmlns='{URI}' id='7'/></message>"))
    assert found is not None
    assert (found.route.action, found.captures) == ("show", {"id": "7"})
    assert found.route.source == at("in the pack")
    other = table.match(stanza("<message ><tweet xmlns='urn:another'/></message>"))
    assert other is not None
    assert other.route.action == "index"
    last = table.match(Presence())
    assert last is not None
    assert last.route.action == "about"


@pytest.mark.parametrize(
    ("conditions", "matching"),
    [
        ({"prefix": "[@type='groupchat']"}, {"type": "groupchat"}),
        ({"prefix": " [@type='groupchat'] [@id] "}, {"type": "groupchat", "id": "1"}),
        ({"prefix": "/message[@type='chat']"}, {"type": "chat"}),
        ({"prefix": "/message[y:z]"}, {"inner": "<z xmlns='urn:y'/>"}),
        ({"prefix": "/message/y:z/@a"}, {"inner": "<z xmlns='urn:y' a='1'/>"}),
        ({"type": "chat"}, {"type": "chat"}),
        ({"from_": "a@b"}, {"from": "A@b/c"}),
        ({"to": "room@b"}, {"to": "room@b/nick"}),
        ({"to": re.compile("^room")}, {"to": "room@b/nick"}),
        ({"if_": lambda stanza: stanza.id == "1"}, {"id": "1"}),
        (
            {"prefix": "[@id]", "type": "chat", "from_": "@b"},
            {"id": "", "type": "chat", "from": "a@b"},
        ),
    ],
)
def test_what_narrows_a_pack(conditions: dict[str, Any], matching: dict[str, str]) -> None:
    pack = Routes()
    pack.message("[body]").to(Tweets.show)
    pack.route("[subject]").to(Tweets.index)
    routes = Routes({"y": "urn:y"})
    routes.include(pack, **conditions)
    routes.message(type="*").to(Tweets.destroy)
    table = compile_routes(routes)
    inner = matching.pop("inner", "") + "<body>hi</body>"
    attributes = "".join(f" {name}='{value}'" for name, value in matching.items())
    assert number(table, stanza(f"<message {attributes}>{inner}</message>")) == 1
    inner = inner.replace("body", "subject")
    assert number(table, stanza(f"<message {attributes}>{inner}</message>")) == 2
    assert number(table, stanza("<message ><body>hi</body></message>")) == 3
    assert number(table, stanza(f"<message {attributes}/>")) == 3


def test_a_prefix_is_written_in_the_namespaces_of_who_includes() -> None:
    pack = Routes({"x": "urn:of-the-pack"})
    pack.message("[x:tweet]").to(Tweets.show)
    routes = Routes({"x": "urn:of-the-includer"})
    routes.include(pack, "[x:tweet]")
    table = compile_routes(routes)
    both = "<tweet xmlns='urn:of-the-pack'/><tweet xmlns='urn:of-the-includer'/>"
    assert number(table, stanza(f"<message >{both}</message>")) == 1
    for uri in ("urn:of-the-pack", "urn:of-the-includer"):
        assert number(table, stanza(f"<message ><tweet xmlns='{uri}'/></message>")) is None


def test_a_pack_does_not_see_the_namespaces_of_who_includes() -> None:
    pack = Routes()
    pack.message("[x:tweet]").to(Tweets.show)  # without its prefix
    routes = Routes({"x": URI})
    routes.include(pack, "[x:tweet]")  # which has it
    (line,) = lines_of(routes)
    assert line.startswith(f"{at('without its prefix')}: bad XPath")
    assert f"the prefix 'x' is not declared (included at {at('which has it')})." in line


def test_both_must_hold_where_both_have_a_keyword() -> None:
    pack = Routes()
    pack.message(from_=re.compile("^admin@"), to="room@chat.example.org", type="chat").to(
        Tweets.show
    )
    pack.message(to="{name}@chat.example.org").to(Tweets.show)
    routes = Routes()
    routes.include(
        pack, from_="@example.org", to=re.compile("/nick$"), type=re.compile("^(chat|groupchat)$")
    )
    table = compile_routes(routes)
    good = {"from_": "admin@example.org/x", "to": "room@chat.example.org/nick", "type": "chat"}
    assert number(table, Message(**good)) == 1
    assert number(table, Message(**{**good, "from_": "bar@example.org"})) == 2
    assert number(table, Message(**{**good, "type": "groupchat"})) == 2
    assert number(table, Message(**{**good, "type": "headline"})) is None
    assert number(table, Message(**{**good, "from_": "admin@example.com"})) is None
    assert number(table, Message(**{**good, "to": "room@chat.example.org"})) is None


def test_a_template_of_the_include_captures_for_all_of_the_pack() -> None:
    pack = Routes()
    pack.message("[body]").to(Tweets.show)
    pack.message("[subject]", to=re.compile("^room")).to(Tweets.show)
    routes = Routes()
    routes.include(pack, to="{id}@chat.example.org")
    table = compile_routes(routes)
    found = table.match(Message("a@chat.example.org/x", "hi"))
    assert found is not None
    assert found.captures == {"id": "a"}
    found = table.match(Message("room1@chat.example.org/x", subject="hi"))
    assert found is not None
    assert (found.route.number, found.captures) == (2, {"id": "room1"})
    assert number(table, Message("lounge@chat.example.org/x", subject="hi")) is None
    assert number(table, Message("a@example.org", "hi")) is None


def test_packs_in_packs() -> None:
    inner = Routes()
    inner.message("[body]", if_=lambda stanza: stanza.id == "1").to(Tweets.show)
    middle = Routes({"m": "urn:m"})
    middle.include(inner, "[m:m]", if_=lambda stanza: stanza.type == "chat")
    middle.message().to(Tweets.index)
    routes = Routes({"o": "urn:o"})
    routes.include(middle, "[o:o]", from_="@b")
    table = compile_routes(routes)
    children = "<m xmlns='urn:m'/><o xmlns='urn:o'/><body/>"
    good = f"<message type='chat' id='1' from='a@b'>{children}</message>"
    assert number(table, stanza(good)) == 1
    assert number(table, stanza(good.replace("type='chat'", ""))) == 2
    assert number(table, stanza(good.replace("urn:m", "urn:x"))) == 2
    assert number(table, stanza(good.replace("id='1'", ""))) == 2
    assert number(table, stanza(good.replace("urn:o", "urn:x"))) is None
    assert number(table, stanza(good.replace("a@b", "a@c"))) is None


def test_a_pack_gets_the_scopes_in_which_it_is_included() -> None:
    pack = Routes()
    pack.message("[body]").to(Tweets.show)
    with pack.resource("x"):
        pack.message().to(Tweets.index)
    routes = Routes()
    with routes.connection("main"), routes.resource("x"):
        routes.include(pack)
    with routes.connection("other"):
        routes.include(pack)
    table = compile_routes(routes)
    scopes = [(route.connection, route.resource) for route in table.routes]
    assert scopes == [("main", "x"), ("main", "x"), ("other", None), ("other", "x")]
    assert number(table, Message(body="hi"), connection="main", resource="x") == 1
    assert number(table, Message(body="hi"), connection="main", resource="y") is None
    assert number(table, Message(body="hi"), connection="other", resource="y") == 3


def test_an_empty_pack_and_one_without_conditions_change_nothing() -> None:
    routes = Routes()
    routes.include(Routes())
    assert compile_routes(routes).routes == ()


# -- mistakes -------------------------------------------------------------------------------------


def test_a_mistake_in_a_pack_names_its_line_and_the_include() -> None:
    pack = Routes()
    pack.message("[@type=").to(Tweets.index)  # bad syntax
    pack.message("[body]").to("Tweets.show")  # type: ignore[arg-type]  # a text
    pack.presence()  # nowhere
    pack.iq(if_=7).to(Tweets.index)  # type: ignore[arg-type]  # no guard
    middle = Routes()
    middle.include(pack)  # the inner include
    routes = Routes()
    routes.include(middle)  # the outer include
    told = lines_of(routes)
    chain = f"(included at {at('the inner include')}) (included at {at('the outer include')})"
    for line, place, message in zip(
        told,
        ["bad syntax", "a text", "nowhere", "no guard"],
        [
            "bad XPath",
            ".to('Tweets.show') is a text; a route takes the action itself",
            "this route leads nowhere",
            "if_=7 is no function",
        ],
        strict=True,
    ):
        assert line.startswith(f"{at(place)}: {message}"), line
        assert chain in line


def test_what_was_wrong_in_a_pack_is_told_once_however_often_it_is_included() -> None:
    pack = Routes({"re": "urn:wrong"})  # the pack
    routes = Routes()
    routes.include(pack)  # first
    routes.include(pack)
    (line,) = lines_of(routes)
    assert line.startswith(at("the pack"))
    assert f"(included at {at('first')})" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prefix": 7}, "prefix=7 is no text. Write a predicate"),
        ({"prefix": "body"}, "prefix='body' is not a predicate on the stanza. Write a predicate"),
        ({"prefix": "//body"}, "prefix='//body' is not a predicate on the stanza"),
        ({"prefix": ""}, "prefix='' is not a predicate on the stanza"),
        ({"prefix": "[@type="}, "bad XPath 'self::*[@type='"),
        ({"prefix": "[z:z]"}, "bad XPath 'self::*[z:z]': the prefix 'z' is not declared"),
        ({"type": "chatt"}, "there is no stanza of type 'chatt'. Did you mean 'chat'?"),
        ({"from_": "a@@b"}, "from_='a@@b' is not an address"),
        ({"if_": 7}, "if_=7 is no function"),
    ],
)
def test_a_mistake_of_an_include_is_told_once_at_its_line(
    arguments: dict[str, Any], message: str
) -> None:
    pack = Routes()
    pack.message("[body]").to(Tweets.show)
    pack.message().to(Tweets.index)
    routes = Routes()
    routes.include(pack, **arguments)  # the include
    (line,) = lines_of(routes)
    assert line.startswith(f"{at('the include')}: {message}"), line


def test_what_is_no_pack() -> None:
    routes = Routes()
    routes.include(routes)  # itself
    routes.include("pack")  # type: ignore[arg-type]  # not a pack
    module = types.ModuleType("packs.admin")
    routes.include(module)  # type: ignore[arg-type]  # an empty module
    module.moderation = Routes()  # type: ignore[attr-defined]
    routes.include(module)  # type: ignore[arg-type]  # a module
    itself, text, empty, full = lines_of(routes)
    assert itself == f"{at('itself')}: these routes include themselves. Name another"
    assert text.startswith(f"{at('not a pack')}: include() takes Routes, not 'pack'. Write include")
    assert "not the module packs.admin. Write include(admin.routes)" in empty
    assert "not the module packs.admin. Write include(admin.moderation)" in full


def test_what_comes_too_late() -> None:
    pack = Routes()
    pack.message("[body]").to(Tweets.show)
    routes = Routes()
    routes.include(pack)  # included
    pack.message("[subject]").to(Tweets.show)  # late
    pack.include(Routes())  # late pack
    pack.include(routes)  # a circle
    told = lines_of(routes)
    reason = f"this comes too late: the pack was included at {at('included')} already"
    for line, place in zip(told, ["late", "late pack", "a circle"], strict=True):
        assert line.startswith(f"{at(place)}: {reason} (included at {at('included')}). Complete")
    assert [line.replace(f" (included at {at('included')})", "") for line in told] == lines_of(pack)


def test_the_same_pack_twice_at_the_same_place() -> None:
    pack = Routes()
    pack.message("[body]").to(Tweets.show)  # in it twice
    routes = Routes()
    routes.include(pack)  # once
    routes.include(pack)  # and again
    (line,) = lines_of(routes)
    place = at("in it twice")
    assert line.startswith(
        f"{place}: this route is the same as that at {place} (included at {at('once')}), "
        f"which always wins (included at {at('and again')}). Delete one"
    )


@pytest.mark.parametrize("scope", ["resource", "connection"])
def test_scopes_that_contradict_each_other(scope: str) -> None:
    pack = Routes()
    with getattr(pack, scope)("inner"):
        pack.message().to(Tweets.show)  # in the scope
    routes = Routes()
    with getattr(routes, scope)("outer"):
        routes.include(pack)  # in another
    (line,) = lines_of(routes)
    assert line.startswith(f"{at('in the scope')}: {scope} 'inner' inside of {scope} 'outer'")
    assert f"(included at {at('in another')})" in line


def test_two_templates_for_one_address() -> None:
    pack = Routes()
    pack.message(to="{id}@b").to(Tweets.show)  # one template
    routes = Routes()
    routes.include(pack, to="{who}@b")
    (line,) = lines_of(routes)
    assert line.startswith(f"{at('one template')}: to='{{id}}@b' cannot capture where include(to=")


def test_routes_that_can_never_match_where_they_are_included() -> None:
    pack = Routes()
    pack.iq_get().to(Tweets.show)  # an iq
    pack.message(type="chat").to(Tweets.index)  # a chat
    routes = Routes()
    routes.include(pack, "/message[@type='groupchat']")  # to messages
    told = lines_of(routes)
    for line, place in zip(told, ["an iq", "a chat"], strict=True):
        assert line.startswith(f"{at(place)}: this can never match"), line
        assert f"(included at {at('to messages')})" in line
