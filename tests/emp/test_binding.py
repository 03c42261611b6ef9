"""Arguments of actions by name."""

from typing import Any

import pytest

from emp.binding import bind
from emp.errors import RouteError
from emp.jid import JID
from emp.stanza import Message, Presence

STANZA = Message("foo@localhost/hack", "hi", type="chat", from_="bar@localhost/x", lang="en")


class Actions:
    def nothing(self) -> str:
        return "nothing"

    def facts(self, sender: JID, to: JID, body: str, type: str, lang: str, stanza: Message) -> Any:
        return sender, to, body, type, lang, stanza

    def captured(self, id: str, body: str, more: int = 7) -> Any:
        return id, body, more

    def unknown(self, sender: JID, sendr: str) -> None:
        return None

    def rest(self, *args: Any, **kwargs: Any) -> Any:
        return args, kwargs


def call(name: str, captures: dict[str, Any], stanza: Any = STANZA) -> Any:
    return bind(getattr(Actions, name), captures.keys())(Actions(), stanza, captures)


def test_facts() -> None:
    sender, to = JID.parse("bar@localhost/x"), JID.parse("foo@localhost/hack")
    assert call("nothing", {}) == "nothing"
    assert call("facts", {}) == (sender, to, "hi", "chat", "en", STANZA)


def test_captures_come_first_and_defaults_last() -> None:
    assert call("captured", {"id": "1"}) == ("1", "hi", 7)
    assert call("captured", {"id": "1", "body": "captured", "more": 8}) == ("1", "captured", 8)


def test_no_body() -> None:
    assert call("captured", {"id": "1"}, Presence(from_="bar@localhost")) == ("1", None, 7)


def test_variable_arguments_get_nothing() -> None:
    assert call("rest", {"id": "1"}) == ((), {})


def test_an_unknown_name_fails_at_boot() -> None:
    with pytest.raises(RouteError, match=r"router.py:12: Actions.unknown has a parameter 'sendr'"):
        bind(Actions.unknown, (), "config/router.py:12")


def test_what_is_no_method() -> None:
    def alone() -> None:
        return None

    def by_position(self: Actions, body: str, /) -> None:
        return None

    with pytest.raises(RouteError, match="has no parameter self"):
        bind(alone, ())
    with pytest.raises(RouteError, match="by position only"):
        bind(by_position, ())
