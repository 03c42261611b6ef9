"""`if_=`: what can be a guard, and what a table does with one."""

import functools
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from emp.errors import RouteError
from emp.routing import Routes, compile_routes
from emp.routing.guards import both, check_guard, guard_name
from emp.stanza import Message, Stanza
from tests.emp.routing.components import Tweets


def is_short(stanza: Stanza) -> bool:
    return isinstance(stanza, Message) and len(stanza.body or "") < 3


def two(stanza: Stanza, other: object) -> bool:
    return bool(other)


def named_only(*, stanza: Stanza) -> bool:
    return bool(stanza)


async def waits(stanza: Stanza) -> bool:
    return bool(stanza)


async def waits_and_yields(stanza: Stanza) -> AsyncIterator[bool]:
    yield bool(stanza)


def yields(stanza: Stanza) -> Iterator[bool]:
    yield bool(stanza)


class Caller:
    def __call__(self, stanza: Stanza) -> bool:
        return bool(stanza)

    def method(self, stanza: Stanza) -> bool:
        return bool(stanza)


class Waiter:
    async def __call__(self, stanza: Stanza) -> bool:
        return bool(stanza)


@pytest.mark.parametrize(
    "guard",
    [
        is_short,
        lambda stanza: True,
        lambda *stanzas: True,
        lambda stanza, more=1: True,
        Caller(),
        Caller().method,
        functools.partial(two, other=1),
        bool,
        {}.get,
        dict.fromkeys,
    ],
)
def test_guards(guard: Any) -> None:
    check_guard(guard)


@pytest.mark.parametrize(
    ("guard", "message"),
    [
        ("@x", "if_='@x' is no function. Write if_=function"),
        (7, "if_=7 is no function"),
        (True, "if_=True is no function"),
        (waits, "the guard waits is async, but a route is found without waiting. Make it a plain"),
        (functools.partial(waits), "is async"),
        (waits_and_yields, "is async"),
        (Waiter(), "the guard Waiter is async"),
        (yields, "the guard yields is a generator, which is always true. Return the answer"),
        (two, "the guard two(stanza, other) cannot be called with one argument, the stanza. Write"),
        (named_only, "cannot be called with one argument, the stanza. Write def guard(stanza)"),
        (lambda: True, "<lambda>() cannot be called with one argument"),
        (Caller.method, "cannot be called with one argument"),
    ],
)
def test_what_cannot_be_a_guard(guard: Any, message: str) -> None:
    with pytest.raises(RouteError) as caught:
        check_guard(guard)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("guard", "name"),
    [
        (is_short, "is_short"),
        (Caller.method, "Caller.method"),
        (Caller(), "Caller"),
        (functools.partial(is_short), "partial"),
        (lambda stanza: True, "<lambda>"),
    ],
)
def test_names(guard: Any, name: str) -> None:
    assert guard_name(guard) == name


def test_both() -> None:
    assert both(None, None) is None
    assert both(is_short, None) is both(None, is_short) is is_short
    asked: list[str] = []

    def outer(stanza: Stanza) -> bool:
        asked.append("outer")
        return stanza.type == "chat"

    def inner(stanza: Stanza) -> int:
        asked.append("inner")
        return 1

    guard = both(outer, inner)
    assert guard is not None
    assert not guard(Message())
    assert asked == ["outer"]
    assert guard(Message(type="chat"))
    assert asked == ["outer", "outer", "inner"]
    assert guard_name(guard) == "outer and inner"


def test_a_guard_has_the_last_word() -> None:
    routes = Routes()
    asked: list[Stanza] = []

    def guard(stanza: Stanza) -> bool:
        asked.append(stanza)
        return is_short(stanza)

    routes.message("[re:test(body, '^!')]", type="chat", if_=guard).to(Tweets.show)
    routes.message().to(Tweets.index)
    table = compile_routes(routes)
    first = table.routes[0]
    assert (first.guard, table.routes[1].guard) == ("guard", None)

    def number(message: Message) -> int | None:
        found = table.match(message)
        return found and found.route.number

    assert number(Message(body="!x")) == 2
    assert number(Message(body="xx", type="chat")) == 2
    assert asked == []  # asked only where all else holds
    assert number(Message(body="!xx", type="chat")) == 2
    assert number(Message(body="!x", type="chat")) == 1
    assert len(asked) == 2


def test_a_guard_that_fails_is_a_no_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    routes = Routes()
    routes.message("[not(subject)]", if_=lambda stanza: 1 / 0).to(Tweets.show)
    routes.message().to(Tweets.index)
    table = compile_routes(routes)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            found = table.match(Message())
            assert found is not None
            assert found.route.number == 2
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{__file__}:")
    assert "division by zero" in record.getMessage()
