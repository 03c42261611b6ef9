"""Templates of addresses: check, captures and XPath agree."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emp.errors import RouteError
from emp.routing import Routes, compile_routes
from emp.routing.xpath import Expression
from emp.stanza import Stanza
from emp.xml import build
from tests.emp.routing.components import Tweets


def captured(template: str, address: str | None) -> Any:
    """What is captured; None where the template does not fit, as XPath says too."""
    routes = Routes()
    routes.message(to=template).to(Tweets.index)
    table = compile_routes(routes)
    element = build("message", xmlns="jabber:client", to=address)
    found = table.match(Stanza.from_element(element))
    xpath = Expression(table.routes[0].xpath, {})
    assert xpath.holds(element) is (found is not None), table.routes[0].xpath
    assert table.routes[0].exact
    return None if found is None else dict(found.captures)


@pytest.mark.parametrize(
    ("template", "address", "expected"),
    [
        ("{channel}@chat.example.org", "news@chat.example.org", {"channel": "news"}),
        ("{channel}@chat.example.org", "NEWS@Chat.Example.org/x", {"channel": "news"}),
        ("{channel}@Chat.Example.Org", "news@chat.example.org", {"channel": "news"}),
        ("{channel}@chat.example.org", "chat.example.org", None),
        ("{channel}@chat.example.org", "news@chat.example.org.", {"channel": "news"}),
        ("{channel}@chat.example.org", "news@example.org", None),
        ("{channel}@chat.example.org", "a@b@chat.example.org", None),
        ("{channel}@chat.example.org", "x/news@chat.example.org", None),
        ("{channel}@chat.example.org", "", None),
        ("{channel}@chat.example.org", None, None),
        ("{channel}@chat.example.org", "straße@chat.example.org", {"channel": "straße"}),
        ("{user}@{host}/{device}", "a@b/c/d@e", {"user": "a", "host": "b", "device": "c/d@e"}),
        ("{user}@{host}/{device}", "a@b", None),
        ("{user}@{host}/{device}", "a@b/", None),
        ("{user}@{host}/{device}", "b/c", None),
        ("{user}@{host}", "a@b/c", {"user": "a", "host": "b"}),
        ("{user}@{host}", "b", None),
        ("{host}", "b/c", {"host": "b"}),
        ("{host}", "a@b", None),
        ("{host}/x", "b/x", {"host": "b"}),
        ("{host}/x", "b/X", None),
        ("room-{n}@x", "room-7@x", {"n": "7"}),
        ("Room-{n}@x", "ROOM-7@x", {"n": "7"}),
        ("room-{n}@x", "room-@x", None),
        ("room-{n}@x", "xroom-7@x", None),
        ("{n}-room@x", "7-room@x", {"n": "7"}),
        ("{n}-room@x", "-room@x", None),
        ("{a}-{b}@x", "1-2-3@x", {"a": "1", "b": "2-3"}),
        ("{a}-{b}@x", "--3@x", {"a": "-", "b": "3"}),
        ("{a}-{b}@x", "1-@x", None),
        ("{a}-{b}-{c}@x", "1-2-3-4@x", {"a": "1", "b": "2", "c": "3-4"}),
        ("{a}ab{b}ab@x", "1ab2ab@x", {"a": "1", "b": "2"}),
        ("{a}ab{b}ab@x", "1abab@x", None),
        ("{a}.example.org", "x.y.example.org", {"a": "x.y"}),
        ("bot@x/{{a}}{b}", "bot@x/{a}1", {"b": "1"}),
        ("bot@x/line {b}", "bot@x/line 1 2", {"b": "1 2"}),
        ("bot@x/it's {b}", 'bot@x/it\'s "b"', {"b": '"b"'}),
    ],
)
def test_templates(template: str, address: str | None, expected: Any) -> None:
    assert captured(template, address) == expected


_pieces = st.text(st.sampled_from("ab-"), min_size=1, max_size=5)
_parts = st.lists(st.sampled_from(["a", "b", "-", "ab", "{}"]), min_size=1, max_size=5).map("".join)


@given(_parts, _pieces)
def test_random_templates(part: str, text: str) -> None:
    names = iter("pqrst")
    template = "".join(f"{{{next(names)}}}" if each == "{}" else each for each in _split(part))
    if "{}{}" in part or "{" not in part:
        return
    found = captured(f"bot@localhost/{template}", f"bot@localhost/{text}")
    if found is not None:
        assert template.format(**found) == text
        assert all(found.values())


def _split(part: str) -> list[str]:
    return part.replace("{}", "\0").replace("\0", "|{}|").split("|")


@pytest.mark.parametrize(
    ("wanted", "captures", "message"),
    [
        ({"to": "{a}@"}, {}, "to='{a}@' is no template of an address: "),
        ({"to": "{a@b"}, {}, "is no template of an address: expected '}' before end of string"),
        ({"to": "{}@b"}, {}, "{} is no name"),
        ({"to": "{0}@b"}, {}, "{0} is no name"),
        ({"to": "{a!r}@b"}, {}, "{a} is no name"),
        ({"to": "{a:5}@b"}, {}, "{a} is no name"),
        ({"to": "{a}{b}@c"}, {}, "two names side by side"),
        ({"to": "{a}@{a}"}, {}, "has the name 'a' twice"),
        ({"to": "{type}@b"}, {}, "'type' is no name for a capture"),
        ({"to": "{from_}@b"}, {}, "'from_' is no name for a capture"),
        ({"to": "{x_}@b"}, {}, "'x_' is no name for a capture"),
        ({"to": "{connection}@b"}, {}, "'connection' is no name for a capture"),
        ({"to": "{a}@b"}, {"a": "@id"}, "a is captured twice, once by {a} in to='{a}@b'"),
        ({"to": "{a}@b", "from_": "{a}@c"}, {}, "a is captured twice, once by {a} in to="),
        ({"to": "{a}@b b"}, {}, "is no template of an address: "),
    ],
)
def test_mistakes(wanted: dict[str, Any], captures: dict[str, str], message: str) -> None:
    routes = Routes()
    routes.message(**wanted, **captures).to(Tweets.index)
    with pytest.raises(RouteError) as caught:
        compile_routes(routes)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{__file__}:")
    assert "\n" not in str(caught.value)
