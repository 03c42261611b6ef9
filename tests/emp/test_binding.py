"""Arguments of actions by name."""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emp.answer import answers
from emp.binding import FACTS, Binding, bind, check_defaults
from emp.errors import BadRequest, RouteError, StanzaError
from emp.jid import JID
from emp.payload import Payload, child, payload, text
from emp.routing import compile_routes
from emp.stanza import Iq, Message, Presence, Stanza
from emp.xep.forms import Form, submission
from emp.xml import E, Element, parse, serialize

if TYPE_CHECKING:
    from nowhere import Absent  # type: ignore[import-not-found]

BAR, FOO = JID.parse("bar@localhost/x"), JID.parse("foo@localhost/hack")
STANZA = Message("foo@localhost/hack", "hi", type="chat", from_="bar@localhost/x", lang="en")


class Order(enum.Enum):
    NEWEST = "newest"


@payload("{urn:x}tweet")
class Tweet(Payload):
    id: int
    words: str = text(default="")
    by: JID | None = child(default=None)


@dataclasses.dataclass
class Query:
    order: Order
    max: int = 20


class Component:
    connection = "the connection"


def iq(xml: str) -> Iq:
    return Iq("get", parse(xml), to=FOO, from_=BAR)


TWEET = iq("<tweet xmlns='urn:x' id='7' class='c'>words<by>a@b</by><n>1</n><n>2</n></tweet>")


def run(
    action: Callable[..., Any],
    stanza: Stanza = STANZA,
    captured: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """What the action returns; its arguments by name must be the same as those of the call."""
    captured = captured or {}
    binding = bind(action, captured.keys(), "router.py:12", **options)
    result = binding.call(Component(), stanza, captured)
    named = binding.arguments(Component(), stanza, captured)
    assert action(Component(), **named) == result
    return result


def mistake(action: Callable[..., Any], *captures: str, **options: Any) -> str:
    """The error at boot."""
    with pytest.raises(RouteError) as caught:
        bind(action, captures, "config/router.py:12", **options)
    assert caught.value.file == "config/router.py"
    assert caught.value.line == 12
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- facts ----------------------------------------------------------------------------------------


def test_no_arguments() -> None:
    assert run(lambda self: type(self)) is Component


def test_facts() -> None:
    def facts(
        self: Any, sender: JID, to: JID, body: str, type: str, lang: str, stanza: Message
    ) -> Any:
        return sender, to, body, type, lang, stanza

    assert run(facts) == (BAR, FOO, "hi", "chat", "en", STANZA)


@pytest.mark.parametrize("count", range(5))
def test_each_shape_of_call(count: int) -> None:
    names = ["body", "type", "lang", "sender"][:count]
    values = ["hi", "chat", "en", BAR][:count]
    placed: dict[str, Any] = {}
    exec(f"def action({', '.join(['self', *names])}): return [{', '.join(names)}]", placed)
    assert run(placed["action"]) == values
    signature = ", ".join(["self", "a=1", "*", "b=2", *names])
    exec(f"def action({signature}): return [{', '.join(names)}]", placed)
    assert run(placed["action"]) == values


def test_a_fact_is_named_by_connection_form_and_payload() -> None:
    form = submission({"a": "1"})
    stanza = Message(FOO, None, form, from_=BAR)

    def action(self: Any, connection: Any, form: Form, payload: Element) -> Any:
        return connection, form, payload.tag

    assert run(action, stanza) == ("the connection", form, "{jabber:x:data}x")


def test_a_connection_is_not_looked_into() -> None:
    def action(self: Any, connection: Absent) -> Any:
        return connection

    assert run(action) == "the connection"


def test_facts_are_converted() -> None:
    def action(
        self: Any,
        body: int,
        sender: str,
        type: Literal["chat", "normal"],
        payload: Tweet,
        to: JID | None,
    ) -> Any:
        return body, sender, type, payload.id, to

    stanza = Message(None, "7", TWEET.payload, from_="Bar@localhost", type="chat")
    assert run(action, stanza) == (7, "bar@localhost", "chat", 7, None)


@pytest.mark.parametrize(
    ("stanza", "message"),
    [
        (Message(FOO), "argument 'body': it is missing, and a text is expected"),
        (Presence(FOO), "argument 'body': it is missing, and a text is expected"),
    ],
)
def test_an_annotation_is_a_promise(stanza: Stanza, message: str) -> None:
    def promised(self: Any, body: str) -> Any:
        return body

    def optional(self: Any, body: str | None) -> Any:
        return body

    def default(self: Any, body: str = "nothing") -> Any:
        return body

    def bare(self: Any, body) -> Any:  # type: ignore[no-untyped-def]
        return body

    with pytest.raises(BadRequest) as caught:
        run(promised, stanza)
    assert caught.value.text == message
    assert run(optional, stanza) is None
    assert run(bare, stanza) is None
    assert run(default, stanza) == "nothing"
    assert run(promised, stanza, defaults={"body": "of the route"}) == "of the route"
    assert run(default, stanza, defaults={"body": "of the route"}) == "of the route"
    assert run(default) == "hi"


def test_facts_that_are_nonsense() -> None:
    stanza = Stanza.parse(b"<message from='@@' to='x@y'><x xmlns='jabber:x:data'/></message>")

    def sender(self: Any, sender: JID | None) -> Any:
        return sender

    def form(self: Any, form: Form | None) -> Any:
        return form

    with pytest.raises(BadRequest, match=r"argument 'sender': '@@' is not a JID"):
        run(sender, stanza)
    with pytest.raises(BadRequest, match="argument 'form': not a form of XEP-0004"):
        run(form, stanza)


def test_the_wrong_kind_of_stanza() -> None:
    def action(self: Any, stanza: Message) -> Any:
        return stanza

    with pytest.raises(BadRequest, match="argument 'stanza': it is a <presence/>, and a message"):
        run(action, Presence())


# -- captures -------------------------------------------------------------------------------------


def test_captures_come_first() -> None:
    def action(self: Any, id: str, body: str, more: int = 7) -> Any:
        return id, body, more

    assert run(action, captured={"id": "1"}) == ("1", "hi", 7)
    assert run(action, captured={"id": "1", "body": "b", "more": "8"}) == ("1", "b", 8)
    assert run(action, captured={"id": 1.5, "body": E.b("x"), "more": 8}) == ("1.5", "x", 8)
    assert run(action, captured={"id": "1", "more": None}) == ("1", "hi", 7)
    assert run(action, captured={"id": None}, defaults={"id": "r", "more": 0}) == ("r", "hi", 0)


def test_a_capture_that_finds_nothing_is_not_made_up_for() -> None:
    def action(self: Any, id: int, sender: JID | None) -> Any:
        return id, sender

    with pytest.raises(BadRequest, match="argument 'id': it is missing"):
        run(action, TWEET, {"id": None}, payload=True)
    assert run(action, TWEET, {"id": "1", "sender": None}, payload=True) == (1, None)


def test_what_does_not_convert() -> None:
    def action(self: Any, id: int) -> Any:
        return id

    with pytest.raises(BadRequest) as caught:
        run(action, captured={"id": "x7"})
    assert caught.value.text == "argument 'id': 'x7' is not an integer"
    with pytest.raises(BadRequest) as caught:
        run(action, captured={"id": "x" * 1_000_000})
    assert len(caught.value.text) < 120


def test_a_captured_element_becomes_a_payload() -> None:
    def action(self: Any, tweet: Tweet, all: list[Tweet]) -> Any:
        return tweet.id, [each.id for each in all]

    element = TWEET.payload
    assert run(action, captured={"tweet": element, "all": [element, element]}) == (7, [7, 7])
    assert run(action, captured={"tweet": element, "all": None}) == (7, [])
    with pytest.raises(BadRequest, match="argument 'tweet': <tweet xmlns='urn:x'/> is expected"):
        run(action, captured={"tweet": E.y(xmlns="urn:x"), "all": None})


# -- payload --------------------------------------------------------------------------------------


def test_fields_of_the_payload() -> None:
    def action(
        self: Any, id: int, class_: str, by: JID, n: list[int], *, order: Order | None, at: int = 3
    ) -> Any:
        return id, class_, by, n, order, at

    assert run(action, TWEET, payload=True) == (7, "c", JID.parse("a@b"), [1, 2], None, 3)


def test_children_as_elements() -> None:
    def action(self: Any, by: Element, n: list[Element]) -> Any:
        return by.tag, len(n)

    assert run(action, TWEET, payload=True) == ("{urn:x}by", 2)


def test_fields_are_the_payloads_own() -> None:
    def action(self: Any, by: str = "nobody", id: int = 0) -> Any:
        return by, id

    xml = "<t xmlns='urn:x' xmlns:y='urn:y' y:id='1'><y:by>evil</y:by><i><by>deep</by></i></t>"
    assert run(action, iq(xml), payload=True) == ("nobody", 0)
    # Nobody has asked for this payload: it fills nothing.
    message = Message(FOO, "hi", E.x(xmlns="urn:evil", by="evil", id="9"))
    assert run(action, message) == ("nobody", 0)


def test_several_where_one_is_expected() -> None:
    def action(self: Any, n: int) -> Any:
        return n

    with pytest.raises(BadRequest, match="argument 'n': there are 2 of it, and one is expected"):
        run(action, TWEET, payload=True)


def test_no_payload_after_all() -> None:
    def action(self: Any, n: int) -> Any:
        return n

    with pytest.raises(BadRequest, match="argument 'n': it is missing"):
        run(action, STANZA, payload=True)


def test_a_payload_class() -> None:
    def action(self: Any, tweet: Tweet) -> Any:
        return tweet.id, tweet.words, tweet.by

    assert run(action, TWEET, payload=True) == (7, "words", JID.parse("a@b"))
    with pytest.raises(BadRequest, match="argument 'tweet': field 'id': 'x' is not an integer"):
        run(action, iq("<tweet xmlns='urn:x' id='x'/>"), payload=True)
    with pytest.raises(BadRequest, match="is expected, not <tweet xmlns='urn:y'/>"):
        run(action, iq("<tweet xmlns='urn:y' id='x'/>"), payload=True)


def test_a_payload_class_in_a_message_stands_anywhere() -> None:
    def required(self: Any, tweet: Tweet) -> Any:
        return tweet.id

    def optional(self: Any, tweet: Tweet | None) -> Any:
        return tweet and tweet.id

    active = E.active(xmlns="http://jabber.org/protocol/chatstates")
    assert run(required, Message(FOO, "hi", active, Tweet(8)), payload=True) == 8
    assert run(optional, Message(FOO, "hi", active, Tweet(8))) == 8
    assert run(optional, Message(FOO, "hi", active)) is None
    assert "that nothing fills" in mistake(required)


def test_a_dataclass_of_payload_fields() -> None:
    def action(self: Any, query: Query) -> Any:
        return query

    assert run(action, iq("<q xmlns='urn:x' order='newest'/>"), payload=True) == Query(Order.NEWEST)


def test_a_list_of_payloads_is_in_the_payload() -> None:
    def action(self: Any, tweets: list[Tweet]) -> Any:
        return [tweet.id for tweet in tweets]

    xml = "<all xmlns='urn:x'><tweet id='1'/><other/><tweet id='2'/></all>"
    assert run(action, iq(xml), payload=True) == [1, 2]
    assert run(action, iq("<all xmlns='urn:x'/>"), payload=True) == []


FORGED = "".join(
    f"<{name} xmlns='urn:evil'>admin@localhost</{name}>" for name in sorted(FACTS) if name != "form"
)


@pytest.mark.parametrize("name", sorted(FACTS))
def test_no_payload_passes_for_a_fact(name: str) -> None:
    attributes = " ".join(f"{each}='admin@localhost'" for each in sorted(FACTS))
    element = parse(f"<evil xmlns='urn:evil' {attributes}>{FORGED}</evil>")
    place: dict[str, Any] = {}
    exec(f"def action(self, {name}): return {name}", place)
    for stanza in (
        Iq("set", element, to=FOO, from_=BAR),
        Iq("set", element),
        Message(FOO, None, element),
    ):
        found = run(place["action"], stanza, payload=True)
        expected = {
            "stanza": stanza, "sender": stanza.from_, "to": stanza.to, "body": None,
            "type": stanza.type, "lang": None, "payload": stanza.payload, "form": None,
            "connection": "the connection",
        }  # fmt: skip
        assert found is expected[name] or found == expected[name]


@given(st.text("abc<&'\" \n", max_size=9), st.text("abc<&'\" \n", max_size=9))
def test_texts_arrive_as_they_are(value: str, inside: str) -> None:
    def action(self: Any, a: str, b: str) -> Any:
        return a, b

    element = E.x({"a": value}, E.b(inside), xmlns="urn:x")
    stanza = Iq("get", parse(serialize(element)), from_=BAR)
    assert run(action, stanza, payload=True) == (value, inside)


# -- what is called -------------------------------------------------------------------------------


def test_generators_and_coroutines_are_called_and_no_more() -> None:
    async def waits(self: Any, body: str) -> Any:
        return body

    def yields(self: Any, body: str) -> Any:
        yield body

    coroutine = bind(waits).call(Component(), STANZA, {})
    assert inspect.iscoroutine(coroutine)
    coroutine.close()
    assert list(bind(yields).call(Component(), STANZA, {})) == ["hi"]


def test_variable_arguments_get_nothing() -> None:
    def action(self: Any, body: str, *args: Any, **kwargs: Any) -> Any:
        return body, args, kwargs

    assert run(action, captured={"id": "1"}) == ("hi", (), {})


def test_a_wrapped_action_is_read_through() -> None:
    def action(self: Any, order: Order, body: str) -> Any:
        return order, body

    @functools.wraps(action)
    def wrapper(*arguments: Any) -> Any:
        return action(*arguments)

    binding: Binding = bind(wrapper, ("order",))
    found = binding.call(Component(), STANZA, {"order": "newest"})
    assert found == (Order.NEWEST, "hi")


class Outer:
    class Level(enum.Enum):
        LOW = 1

    def action(self, level: Level, moment: datetime | None) -> Any:
        return level, moment


def test_annotations_may_name_what_the_class_has() -> None:
    captured = {"level": "1", "moment": "1969-07-21T02:56:15Z"}
    found = run(Outer.action, captured=captured)
    assert found == (Outer.Level.LOW, datetime(1969, 7, 21, 2, 56, 15, tzinfo=UTC))


def nothing(self: Any) -> None: ...
def a_type(self: Any, type: str) -> None: ...
def a_body(self: Any, body: str) -> None: ...
def perhaps_a_body(self: Any, body: str | None) -> None: ...
def a_text(self: Any, id: str) -> None: ...
def two(self: Any, body: str, id: str) -> None: ...


@pytest.mark.parametrize(
    ("action", "most"),
    [(nothing, 1), (a_type, 3), (a_body, 3), (perhaps_a_body, 2), (a_text, 2), (two, 4)],
)
def test_the_hot_path_is_short(action: Callable[..., Any], most: int) -> None:
    binding = bind(action, ("id",))
    component, captured = Component(), {"id": "7"}
    called = []

    def profile(frame: Any, event: str, arg: Any) -> None:
        if event == "call" and frame.f_globals["__name__"] in OURS:
            called.append(frame.f_code.co_qualname)

    sys.setprofile(profile)
    try:
        binding.call(component, STANZA, captured)
    finally:
        sys.setprofile(None)
    assert len(called) <= most, called


OURS = {f"emp.{name}" for name in ("binding", "origins", "convert", "lexical", "records")}


# -- mistakes at boot -----------------------------------------------------------------------------


def test_an_unknown_name() -> None:
    def action(self: Any, sendr: str) -> None: ...

    def other(self: Any, words: str) -> None: ...

    assert "config/router.py:12: " in mistake(action)
    assert "a parameter 'sendr' that nothing fills. Did you mean 'sender'?" in mistake(action)
    assert "Capture it in the route (words='XPath'), or use one of id, stanza" in mistake(
        other, "id"
    )


def test_a_near_miss_of_a_fact_or_a_capture() -> None:
    def action(self: Any, sendr: str) -> None: ...

    def of_a_capture(self: Any, tweetid: str) -> None: ...

    def default(self: Any, sendr: str = "") -> Any:
        return sendr

    found = mistake(action, payload=True)
    assert "Did you mean 'sender'?" in found
    assert "sendr='*/@sendr'" in found
    assert "Did you mean 'tweet_id'?" in mistake(of_a_capture, "tweet_id", payload=True)
    assert run(default, TWEET, payload=True) == ""
    assert run(action, captured={"sendr": "meant"}) is None


def test_defaults_for_nobody() -> None:
    def action(self: Any, order: str) -> None: ...

    def nothing(self: Any) -> None: ...

    check_defaults(action, {"order": "x"}, "")
    with pytest.raises(RouteError, match=r"^r.py:3: .* 'ordr', .* Did you mean 'order'\?"):
        check_defaults(action, {"ordr": "x"}, "r.py:3")
    with pytest.raises(RouteError, match="It takes no arguments"):
        check_defaults(nothing, {"self": "x"}, "r.py:3")


def unknown_type(self: Any, id: complex) -> None: ...
def unresolved(self: Any, id: Absent) -> None: ...
def bad_fact(self: Any, sender: Tweet) -> None: ...
def no_number(self: Any, sender: int) -> None: ...
def several_bodies(self: Any, body: list[str]) -> None: ...
def no_form(self: Any, form: dict[str, str]) -> None: ...
def stanza_by_another_name(self: Any, message: Message) -> None: ...


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (unknown_type, "unknown_type, parameter 'id': nothing in XML becomes complex. An annot"),
        (unresolved, "parameter 'id': the annotation 'Absent' cannot be resolved: name 'Absent'"),
        (bad_fact, "bad_fact: 'sender' is a JID, which does not become an element"),
        (no_number, "no_number: 'sender' is a JID, which does not become an integer"),
        (several_bodies, "'body' is a text, which does not become a list"),
        (no_form, "parameter 'form': nothing in XML becomes dict"),
        (stanza_by_another_name, "a parameter 'message' for a stanza. Call it stanza"),
    ],
)
def test_annotations_that_cannot_be(action: Callable[..., Any], message: str) -> None:
    assert message in mistake(action, payload=True)


def test_an_annotation_that_nothing_comes_to_is_not_read() -> None:
    def action(self: Any, helper: Absent = 7) -> Any:
        return helper

    assert run(action) == 7


def test_what_is_no_method() -> None:
    def alone() -> None: ...

    def by_position(self: Any, body: str, /) -> None: ...

    assert "has no parameter self" in mistake(alone)
    assert "by position only. Arguments are given by name: remove the /" in mistake(by_position)


def test_without_a_place() -> None:
    def action(self: Any, what: str) -> None: ...

    with pytest.raises(RouteError) as caught:
        bind(action)
    assert caught.value.file is None


# -- the guide ------------------------------------------------------------------------------------


def test_the_first_example_of_the_guide(monkeypatch: pytest.MonkeyPatch) -> None:
    guide = Path(__file__).resolve().parents[2] / "docs" / "actions.md"
    code = guide.read_text().partition("```python\n")[2].partition("```")[0]
    module = ModuleType("shelf")
    monkeypatch.setitem(sys.modules, "shelf", module)
    exec(compile(code, "shelf.py", "exec"), vars(module))
    table = compile_routes(module.routes)
    component = module.Tweets()

    def ask(type: str, xml: str) -> str:
        request = Iq(type, parse(xml.replace("/>", " xmlns='urn:example:tweeter'/>")), from_=BAR)
        match = table.match(request)
        assert match is not None
        route = match.route
        action = getattr(module.Tweets, route.action)
        bound = bind(action, route.captures, defaults=route.defaults, payload=route.payload)
        try:
            result = bound.call(component, request, match.captures)
        except StanzaError as error:
            return str(error)
        tweets = [each for iq in answers(request, result) for each in iq.tree.iter("{*}tweet")]
        return " ".join(each.get("id") or "" for each in tweets)

    assert ask("set", "<tweet/>") == "1"
    assert ask("set", "<tweet sender='admin@localhost' author='admin@localhost'/>") == "2"
    assert {str(tweet.author) for tweet in component.tweets.values()} == {"bar@localhost"}
    assert ask("get", "<tweet id='1'/>") == "1"
    assert ask("get", "<tweet id='3'/>") == "item-not-found: no tweet 3"
    assert ask("get", "<tweet id='x7'/>") == "bad-request: argument 'id': 'x7' is not an integer"
    assert ask("get", "<tweets/>") == "2 1"
    assert ask("get", "<tweets max='x'/>") == "bad-request: argument 'max': 'x' is not an integer"
    assert "'order': 'odd' is not one of 'newest', 'best'" in ask("get", "<tweets order='odd'/>")
