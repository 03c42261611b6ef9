"""Routes that can never match are found at boot, others are left alone."""

from typing import Any

import pytest

from emp.errors import RouteError
from emp.routing import Routes, compile_routes
from emp.stanza import Stanza
from tests.emp.routing.components import Tweets

Route = tuple[str, str | None, dict[str, Any]]


class Passing:
    """Its action may pass a stanza on."""

    def look(self) -> None:
        self.skip()

    def skip(self) -> None: ...


def guard(stanza: Stanza) -> bool:
    return True


def told(*written: Route) -> str:
    routes = Routes({"tw": "urn:example:tweeter", "same": "urn:example:tweeter"})
    for method, xpath, wanted in written:
        getattr(routes, method)(xpath, **wanted).to(Tweets.index)
    try:
        compile_routes(routes)
    except RouteError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("earlier", "later", "hidden"),
    [
        (("message", None, {}), ("message", "[body]", {}), True),
        (("route", None, {}), ("message", None, {}), True),
        (("message", None, {}), ("route", None, {}), False),
        (("message", None, {}), ("presence", None, {}), False),
        (("message", "[body]", {}), ("message", None, {}), False),
        (("message", "[body]", {}), ("message", "[body][@id]", {}), True),
        (("message", "[body]", {}), ("message", "[body='hi']", {}), True),
        (("message", "[body]", {}), ("message", None, {"body": "hi"}), True),
        (("message", "[@id]", {}), ("message", "[@id='1']", {}), True),
        (("message", "[@id='1']", {}), ("message", "[@id='2']", {}), False),
        (("message", None, {"type": "chat"}), ("message", "[@type='chat']/body", {}), True),
        (("message", None, {"from_": "a@b"}), ("message", None, {"from_": "a@b/c"}), True),
        (("message", None, {"from_": "a@b/c"}), ("message", None, {"from_": "a@b"}), False),
        (("message", "tw:a", {}), ("message", "same:a[@b='c']", {}), True),
        (("message", "tw:a[@b]", {}), ("message", "tw:a[@b][@c]", {}), True),
        (("message", "tw:a[@b]", {}), ("message", "tw:a[@c]", {}), False),
        (("message", "tw:a", {}), ("message", "tw:a/tw:b", {}), True),
        (("message", "[count(*)=1]", {}), ("message", "[count(*)=1][body]", {}), False),
        (("message", "[body]", {}), ("message", "[body][count(*)=1]", {}), True),
        (("message", None, {"if_": guard}), ("message", "[body]", {}), False),
        (("message", None, {}), ("message", "[body]", {"if_": guard}), True),
        (("message", "[not(body)]", {}), ("message", "[not(body)][@id]", {}), True),
        (("fallback", None, {}), ("message", None, {}), False),
        (("fallback", None, {}), ("fallback", "/message", {}), True),
    ],
)
def test_hidden_routes(earlier: Route, later: Route, hidden: bool) -> None:
    found = told(earlier, later)
    assert ("this route can never match: that at" in found) is hidden
    if hidden:
        assert found.startswith(f"{__file__}:")
        assert "Write this one before it, or delete it" in found
        assert told(later, earlier) == ""


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("message", None, {}), ("message", None, {}), True),
        (("message", "[@type='chat']", {}), ("message", '[ @type = "chat" ]', {}), True),
        (("message", "[@type='chat']", {}), ("message", None, {"type": "chat"}), True),
        (("message", "[count(*)=1]", {}), ("message", "[count(*) = 1]", {}), True),
        (("message", "[count(*)=1]", {}), ("message", "[count(*)=2]", {}), False),
        (("message", "tw:a", {}), ("message", "same:a", {}), True),
        (("message", None, {"from_": "a@b"}), ("message", "[jid:bare(@from)='a@b']", {}), True),
        (("message", "[@a][@b]", {}), ("message", "[@b and @a]", {}), True),
        (("message", None, {"if_": guard}), ("message", None, {"if_": guard}), True),
        (("message", None, {"if_": guard}), ("message", None, {"if_": lambda _: True}), False),
    ],
)
def test_the_same_route_twice(one: Route, other: Route, same: bool) -> None:
    assert ("this route is the same as that at" in told(one, other)) is same


def test_prefixes_of_other_namespaces_are_other_names() -> None:
    routes = Routes()
    for uri in ("urn:one", "urn:two"):
        pack = Routes({"p": uri})
        pack.message("[p:x]").to(Tweets.index)
        routes.include(pack)
    assert len(compile_routes(routes).routes) == 2


@pytest.mark.parametrize("scope", ["resource", "connection"])
def test_a_narrower_scope_hides_nothing_outside(scope: str) -> None:
    routes = Routes()
    with getattr(routes, scope)("x"):
        routes.message().to(Tweets.index)
    routes.message("[body]").to(Tweets.index)
    with getattr(routes, scope)("y"):
        routes.message("[body]").to(Tweets.index)
    routes.message("[body][@id]").to(Tweets.index)
    with pytest.raises(RouteError) as caught:
        compile_routes(routes)
    same, never = str(caught.value).splitlines()
    assert "which always wins" in same
    assert "this route can never match" in never


def test_an_action_that_may_skip_hides_nothing() -> None:
    routes = Routes()
    routes.message().to(Passing.look)
    routes.message().to(Tweets.index)
    routes.fallback("/message").to(Passing.look)
    with pytest.raises(RouteError) as caught:
        compile_routes(routes)
    # The second hides the third, which is like the first.
    assert str(caught.value).count("which always wins") == 1
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "xpath", "wanted", "message"),
    [
        ("message", "[@type='chat'][@type='error']", {}, "the type cannot be both 'chat' and"),
        ("message", "[@type='chat']", {"type": "error"}, "the type cannot be both 'error' and"),
        ("message", "[@id='1' and @id='2']", {}, "the @id cannot be both '1' and '2'"),
        ("message", "[@id='1'][@id='2' or @id='3']", {}, "both '1' and '2 or 3'"),
        ("message", "[jid:bare(@from)='a@b']", {"from_": "c@d"}, "the from cannot be both"),
        ("message", "[@from='a@b'][@from='c@d']", {}, "the @from cannot be both"),
        ("iq_get", "[tw:a][tw:b]", {}, "the payload cannot be both"),
        ("iq_get", "[@type='set']", {}, "the type cannot be both 'get' and 'set'"),
        ("message", "/presence", {}, "this can never match: a route for message asks for presence"),
        ("message", "[body='1'][body='2']", {}, ""),  # a message may have two
        ("message", "[@id='1' or @id='2'][@id='2' or @id='3']", {}, ""),
        ("iq", "[tw:a][tw:b]", {"type": "error"}, ""),
    ],
)
def test_contradictions(method: str, xpath: str, wanted: dict[str, Any], message: str) -> None:
    assert message in told((method, xpath, wanted))
    assert bool(message) is bool(told((method, xpath, wanted)))
