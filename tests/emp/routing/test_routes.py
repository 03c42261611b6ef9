"""The routes file: what it says, and what is said about its mistakes."""

import contextlib
from typing import Any

import pytest

from emp.errors import RouteError
from emp.routing import Routes, compile_routes
from emp.stanza import Message, Presence, Stanza
from tests.emp.routing.components import Tweets

METHODS = ["message", "presence", "iq", "iq_get", "iq_set", "route", "fallback"]
NAMESPACES = {"tw": "urn:example:tweeter"}


async def wait(stanza: Stanza) -> bool:
    return bool(stanza)


def lines_of(routes: Routes) -> list[str]:
    with pytest.raises(RouteError) as caught:
        compile_routes(routes)
    return str(caught.value).splitlines()


def line_of(text: str) -> int:
    """The number of the line in this file that ends with the text, given as a comment."""
    with open(__file__, encoding="utf-8") as file:
        return next(n for n, line in enumerate(file, 1) if line.rstrip().endswith(f"# {text}"))


def test_a_route_knows_where_it_stands() -> None:
    routes = Routes(NAMESPACES)
    with routes.resource("tweets"):
        routes.iq_get("tw:tweet[@id]", id="tw:tweet/@id").to(Tweets.show)  # the first route
    routes.message().to(Tweets.index)
    first, second = compile_routes(routes).routes
    assert first.source == f"{__file__}:{line_of('the first route')}"
    assert (first.number, first.kind, first.resource) == (1, "iq", "tweets")
    assert (first.component, first.action) == (Tweets, "show")
    assert first.captures == {"id": "tw:tweet/@id"}
    assert first.xpath == "/iq[@type='get']/tw:tweet[@id]"
    assert (second.number, second.kind, second.resource) == (2, "message", None)


ORDINARY = "not(@type='groupchat' or @type='headline' or @type='error')"
NORMAL = "not(@type='chat' or @type='groupchat' or @type='headline' or @type='error')"


@pytest.mark.parametrize(
    ("method", "xpath", "wanted", "expected"),
    [
        ("message", None, {}, f"/message[{ORDINARY}]"),
        ("message", None, {"type": "*"}, "/message"),
        ("route", None, {}, f"/*[not(self::message) or {ORDINARY}]"),
        ("route", None, {"type": "*"}, "/*"),
        (
            "route",
            "/message[re:test(body, '^!')]",
            {},
            f"/message[{ORDINARY}][re:test(body, '^!')]",
        ),
        ("route", "  /message  ", {}, f"/message[{ORDINARY}]"),
        ("route", "//tw:tweet", {"type": "*"}, "/*/descendant-or-self::tw:tweet"),
        ("route", "/*[@id='1']", {"type": "*"}, "/*[@id='1']"),
        ("message", "[@type='chat']", {}, "/message[@type='chat']"),
        (
            "message",
            "[@type='chat'][body]",
            {"from_": "bar@localhost"},
            "/message[jid:bare(@from)='bar@localhost'][@type='chat'][body]",
        ),
        ("message", "/message/body", {"id_": "1"}, f"/message[@id='1'][{ORDINARY}]/body"),
        ("message", "/*/body", {}, f"/message[{ORDINARY}]/body"),
        ("message", "body", {}, f"/message[{ORDINARY}]/body"),
        ("message", "[body] or x", {}, f"/message[{ORDINARY}][self::message[body] or x]"),
        ("message", "body | subject", {}, f"/message[{ORDINARY}][body | subject]"),
        ("message", "count(body)", {}, f"/message[{ORDINARY}][boolean(count(body))]"),
        ("message", "not(body)", {}, f"/message[{ORDINARY}][not(body)]"),
        ("message", None, {"type": "normal"}, f"/message[{NORMAL}]"),
        (
            "message",
            None,
            {"from_": "@b"},
            f"/message[jid:local(@from) and jid:domain(@from)='b'][{ORDINARY}]",
        ),
        ("message", None, {"to": "a@b/c"}, f"/message[jid:full(@to)='a@b/c'][{ORDINARY}]"),
        ("message", None, {"body": "it's"}, f"""/message[body[.="it's"]][{ORDINARY}]"""),
        ("iq_get", "tw:tweets", {}, "/iq[@type='get']/tw:tweets"),
        ("iq_set", "tw:tweets", {"id_": "1"}, "/iq[@type='set'][@id='1']/tw:tweets"),
        ("presence", "[status]", {}, "/presence[status]"),
    ],
)
def test_all_conditions_as_one_xpath(
    method: str, xpath: str | None, wanted: dict[str, Any], expected: str
) -> None:
    routes = Routes(NAMESPACES)
    getattr(routes, method)(xpath, **wanted).to(Tweets.index)
    (route,) = compile_routes(routes).routes
    assert route.xpath == expected


@pytest.mark.parametrize(
    ("method", "xpath", "exact"),
    [
        ("message", None, True),
        ("message", "[@type='chat']", True),
        ("message", '[@type="chat" and @id="1"][@to=\'a@b\']', True),
        ("route", "/message[@type='chat']", True),
        ("iq_get", "tw:tweets", True),
        ("message", "[body][tw:tweet]", True),
        ("message", "[*]", True),
        ("message", "[tw:*]", True),
        ("message", "[@type='normal']", True),
        ("message", "[@xml:lang='en']", True),
        ("message", "[@type='chat' or @id='1']", True),
        ("message", "[@type='chat']/body", True),
        ("iq_get", "tw:tweet[@id]", True),
        ("iq", "tw:tweets", True),
        ("message", "[re:test(body, '^!')]", True),
        ("message", "[@type='chat'][1]", False),
        ("message", "[string-length(body) > 3]", False),
        ("message", "[count(*) = 2]", False),
        ("message", "body/..", False),
    ],
)
def test_what_needs_no_xpath(method: str, xpath: str | None, exact: bool) -> None:
    routes = Routes(NAMESPACES)
    getattr(routes, method)(xpath).to(Tweets.index)
    assert compile_routes(routes).routes[0].exact is exact


def test_all_mistakes_are_told_at_once_each_with_its_place() -> None:
    routes = Routes({"tw": "urn:example:tweeter", "re": "urn:other"})  # namespaces
    routes.message("[@type=").to(Tweets.index)  # syntax
    routes.message(type="chatt").to(Tweets.index)  # type
    routes.iq_get("tv:tweet").to(Tweets.show)  # prefix
    routes.presence()  # nowhere
    routes.presence("[status]").to("Tweets.show")  # type: ignore[arg-type]  # text
    told = lines_of(routes)
    for line, place, message in zip(
        told,
        ["namespaces", "syntax", "type", "prefix", "nowhere", "text"],
        [
            "the prefix 're' always stands for http://exslt.org/regular-expressions",
            "bad XPath 'self::message[@type=': [ at character 14 has no counterpart",
            "there is no message of type 'chatt'. Did you mean 'chat'?",
            "bad XPath 'tv:tweet': the prefix 'tv' is not declared. Did you mean 'tw'?",
            "this route leads nowhere. Add .to(Class.action)",
            ".to('Tweets.show') is a text",
        ],
        strict=True,
    ):
        assert line.startswith(f"{__file__}:{line_of(place)}: {message}"), line


def test_one_mistake_has_file_and_line() -> None:
    routes = Routes()
    routes.message("$x").to(Tweets.index)  # variable
    with pytest.raises(RouteError) as caught:
        compile_routes(routes)
    assert (caught.value.file, caught.value.line) == (__file__, line_of("variable"))


def test_duplicates_name_both_places() -> None:
    routes = Routes(NAMESPACES)
    with routes.resource("x"):
        routes.iq_get("tw:tweets", from_="a@b").to(Tweets.index)
    routes.iq_get("tw:tweets", from_="a@b").to(Tweets.index)  # original
    routes.iq_get("tw:tweet", from_="a@b").to(Tweets.index)
    routes.iq_get(" tw:tweets ", from_="A@B").to(Tweets.show)  # again
    (line,) = lines_of(routes)
    assert line == (
        f"{__file__}:{line_of('again')}: this route is the same as that at "
        f"{__file__}:{line_of('original')}, which always wins. "
        "Delete one, or give this one a condition of its own"
    )


@pytest.mark.parametrize(
    ("method", "xpath", "wanted", "message"),
    [
        ("message", "/presence", {}, "this can never match: a route for message asks for presence"),
        ("route", "/mesage", {}, "there is no stanza 'mesage'. Did you mean 'message'?"),
        ("route", "/tw:tweet", {}, "there is no stanza 'tw:tweet'. There are: message, "),
        ("iq_get", "[@type='set']", {}, "the type cannot be both 'get' and 'set'"),
        ("message", "[@type='chat'][@type='error']", {}, "the type cannot be both"),
        ("message", 7, {}, "the XPath of a route is a text, not 7"),
        ("message", "", {}, "an empty XPath"),
        ("message", None, {"id": "@"}, "capture id: bad XPath '@'"),
        ("message", None, {"who": "tv:x"}, "capture who: bad XPath 'tv:x': the prefix 'tv' is"),
        ("message", None, {"typ_": "chat"}, "typ_='chat' is neither a condition nor the XPath of"),
        ("message", None, {"bdy_": "x"}, "Did you mean body=?"),
        ("message", None, {"who": 7}, "who=7 is neither a condition nor the XPath of a capture"),
    ],
)
def test_routes_that_cannot_work(
    method: str, xpath: Any, wanted: dict[str, Any], message: str
) -> None:
    routes = Routes(NAMESPACES)
    getattr(routes, method)(xpath, **wanted).to(Tweets.index)
    (line,) = lines_of(routes)
    assert line.startswith(f"{__file__}:")
    assert message in line


@pytest.mark.parametrize(
    ("namespaces", "message"),
    [
        ({"": "urn:x"}, "there is no declaring a default namespace"),
        ({None: "urn:x"}, "there is no declaring a default namespace"),
        ({"a:b": "urn:x"}, "'a:b' cannot be a namespace prefix"),
        ({"_client": "urn:x"}, "'_client' cannot be a namespace prefix"),
        ({7: "urn:x"}, "7 cannot be a namespace prefix"),
        ({"x": ""}, "the namespace of 'x' is '', not a text"),
        ({"x": 7}, "the namespace of 'x' is 7, not a text"),
        ({"jid": "urn:x"}, "the prefix 'jid' always stands for urn:emp:jid. Choose another"),
    ],
)
def test_bad_namespaces(namespaces: Any, message: str) -> None:
    (line,) = lines_of(Routes(namespaces))
    assert message in line


def test_a_predeclared_prefix_may_be_declared_again() -> None:
    routes = Routes({"re": "http://exslt.org/regular-expressions"})
    routes.message("re:test(body, 'x')").to(Tweets.index)
    assert len(compile_routes(routes).routes) == 1


def test_resources_are_not_nested() -> None:
    routes = Routes()
    with routes.resource("outer"), routes.resource("inner"):  # nested
        routes.message().to(Tweets.index)
    with routes.resource(""):  # empty
        pass
    nested, empty = lines_of(routes)
    assert nested.startswith(f"{__file__}:{line_of('nested')}: resource 'inner' inside of resource")
    assert empty.startswith(f"{__file__}:{line_of('empty')}: '' is not a resource: ")


def test_one_mistake_makes_no_others() -> None:
    routes = Routes()
    routes.message(if_=7).to(Tweets.show)  # type: ignore[arg-type]  # a wrong guard
    with routes.resource(""):  # a wrong resource
        routes.message().to(Tweets.show)
    with routes.connection(""):  # a wrong connection
        routes.message().to(Tweets.show)
    routes.message().to(Tweets.index)
    told = [line.split(": ")[0] for line in lines_of(routes)]
    places = ["a wrong guard", "a wrong resource", "a wrong connection"]
    assert told == [f"{__file__}:{line_of(place)}" for place in places]


def test_connection_and_resource_nest_in_each_other() -> None:
    routes = Routes()
    with routes.connection("main"):
        with routes.resource("x"):
            routes.message().to(Tweets.index)
        routes.message().to(Tweets.index)
    with routes.resource("x"), routes.connection("other"):
        routes.message().to(Tweets.index)
    routes.message().to(Tweets.index)
    table = compile_routes(routes)
    scopes = [(route.connection, route.resource) for route in table.routes]
    assert scopes == [("main", "x"), ("main", None), ("other", "x"), (None, None)]
    for connection, resource, expected in [
        ("main", None, 2), ("main", "x", 1), ("other", "x", 3), ("other", "y", 4), (None, "x", 4)
    ]:  # fmt: skip
        found = table.match(Message(), resource, connection=connection)
        assert found is not None
        assert found.route.number == expected


def test_wrong_connections() -> None:
    routes = Routes()
    with routes.connection("a"), routes.resource("x"), routes.connection("a"):  # the same twice
        routes.message().to(Tweets.index)
    with routes.connection(""):  # no name
        pass
    with routes.connection(7):  # type: ignore[arg-type]  # no text
        pass
    twice, empty, number = lines_of(routes)
    assert twice.startswith(
        f"{__file__}:{line_of('the same twice')}: connection 'a' inside of connection 'a'"
    )
    assert empty == (
        f"{__file__}:{line_of('no name')}: '' is not the name of a connection. "
        "Write the NAME of [connections.NAME]"
    )
    assert "7 is not the name of a connection" in number


def test_a_resource_ends_with_its_block() -> None:
    routes = Routes()
    with contextlib.suppress(LookupError), routes.resource("x"):
        routes.message().to(Tweets.index)
        raise LookupError
    routes.presence().to(Tweets.index)
    assert [route.resource for route in compile_routes(routes).routes] == ["x", None]


def test_one_target_for_each_route() -> None:
    routes = Routes()
    route = routes.message()
    route.to(Tweets.index)
    route.to(Tweets.show)  # twice
    (line,) = lines_of(routes)
    assert line == f"{__file__}:{line_of('twice')}: this route has its .to() already"


def test_no_routes_are_no_mistake() -> None:
    assert compile_routes(Routes()).routes == ()


def test_shadowed_routes_name_both_places() -> None:
    routes = Routes(NAMESPACES)
    routes.message(from_="a@b").to(Tweets.index)  # all of them
    with routes.connection("main"):
        routes.message("[body]", type="chat", from_="a@b/c").to(Tweets.show)
    routes.message("[body]", type="chat", from_="a@b").to(Tweets.show)  # some of them
    first, last = lines_of(routes)
    assert first.startswith(f"{__file__}:{line_of('some of them') - 1}: this route can never match")
    assert last == (
        f"{__file__}:{line_of('some of them')}: this route can never match: that at "
        f"{__file__}:{line_of('all of them')} matches whatever it would. "
        "Write this one before it, or delete it"
    )


def test_fallbacks_come_last_wherever_they_stand() -> None:
    routes = Routes(NAMESPACES)
    routes.fallback("[body]", type="chat").to(Tweets.show)
    routes.fallback("/iq/tw:tweet", id="tw:tweet/@id").to(Tweets.show)
    routes.fallback().to(Tweets.about)
    routes.message("[@id='1']").to(Tweets.index)
    table = compile_routes(routes)
    assert [route.fallback for route in table.routes] == [False, True, True, True]

    def action(stanza: Stanza) -> str:
        found = table.match(stanza)
        assert found is not None
        return found.route.action

    assert action(Message(body="hi", type="chat", id="1")) == "index"
    assert action(Message(body="hi", type="chat")) == "show"
    assert action(Message(body="hi")) == "about"
    assert action(Presence()) == "about"


def test_templates_capture_parts_of_addresses() -> None:
    routes = Routes()
    routes.message(to="{channel}@chat.example.org", from_="{sender}@example.org").to(Tweets.index)
    (route,) = compile_routes(routes).routes
    assert set(route.captures) == {"channel", "sender"}
    match = compile_routes(routes).match
    found = match(Message("Lounge@chat.example.org/nick", from_="bar@example.org/x"))
    assert found is not None
    assert found.captures == {"channel": "lounge", "sender": "bar"}
    assert match(Message("chat.example.org", from_="bar@example.org")) is None
    assert match(Message("lounge@example.org", from_="bar@example.org")) is None


@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_guards_and_defaults(method: str) -> None:
    routes = Routes()
    given = {"page": 1}
    getattr(routes, method)(if_=callable, defaults=given, who="@from").to(Tweets.index)
    given["page"] = 2  # what was declared is not changed by that
    (route,) = compile_routes(routes).routes
    assert (route.guard, route.defaults) == ("callable", {"page": 1})
    assert route.captures == {"who": "@from"}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"if_": "@x"}, "if_='@x' is no function"),
        ({"if_": wait}, "is async, but a route is found without waiting"),
        ({"if_": lambda: True}, "cannot be called with one argument"),
        ({"defaults": "@x"}, "defaults='@x' does not give arguments by name. Write defaults={"),
        ({"defaults": {1: 2}}, "defaults={1: 2} does not give arguments by name"),
        ({"defaults": {"a b": 2}}, "does not give arguments by name"),
        ({"id_": 7}, "id_= takes a text"),
    ],
)
def test_keywords_are_never_captures(method: str, keywords: dict[str, Any], message: str) -> None:
    routes = Routes()
    getattr(routes, method)(**keywords).to(Tweets.index)
    (line,) = lines_of(routes)
    assert line.startswith(f"{__file__}:")
    assert message in line


@pytest.mark.parametrize(
    ("method", "keyword"),
    [
        *(("presence", name) for name in ("body", "subject", "thread")),
        *(("iq", name) for name in ("body", "subject", "thread")),
        *((method, "type") for method in ("iq_get", "iq_set")),
    ],
)
def test_conditions_of_other_kinds_are_never_captures(method: str, keyword: str) -> None:
    routes = Routes()
    getattr(routes, method)(**{keyword: "@x"}).to(Tweets.index)
    (line,) = lines_of(routes)
    assert f"{keyword}= is no condition on this kind of stanza, and no name for a capture" in line
