"""Guards: `if_=` of a route, a condition in Python that XPath cannot say."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeAlias

from emp.errors import RouteError
from emp.stanza import Stanza

Guard: TypeAlias = Callable[[Stanza], object]
"""Takes the stanza; the route matches only where it returns something true."""


def check_guard(guard: object) -> None:
    """Raises RouteError for what cannot be a guard: it must answer at once, given a stanza."""
    if not callable(guard):
        raise RouteError(
            f"if_={guard!r:.80} is no function",
            remedy="Write if_=function, which takes the stanza and returns whether the route is"
            " meant; if_ cannot be the name of a capture",
        )
    name = guard_name(guard)
    if _is(inspect.iscoroutinefunction, guard) or _is(inspect.isasyncgenfunction, guard):
        raise RouteError(
            f"the guard {name} is async, but a route is found without waiting",
            remedy="Make it a plain def; what takes time belongs into the action, which can skip()",
        )
    if _is(inspect.isgeneratorfunction, guard):
        raise RouteError(
            f"the guard {name} is a generator, which is always true",
            remedy="Return the answer instead of yielding it",
        )
    try:
        signature = inspect.signature(guard)
    except ValueError:  # written in C, and it does not tell
        return
    try:
        signature.bind(None)
    except TypeError:
        raise RouteError(
            f"the guard {name}({', '.join(signature.parameters)}) cannot be called with one"
            " argument, the stanza",
            remedy="Write def guard(stanza)",
        ) from None


def _is(asked: Callable[[object], bool], guard: object) -> bool:
    """Asked of the function itself, and of an object's __call__."""
    return asked(guard) or asked(getattr(guard, "__call__", None))  # noqa: B004 - not: is it callable


def guard_name(guard: object) -> str:
    """What people call it."""
    name: str = getattr(guard, "__qualname__", None) or type(guard).__qualname__
    return name.rpartition("<locals>.")[2]


def both(outer: Guard | None, inner: Guard | None) -> Guard | None:
    """One guard for two; the outer one is asked first, the inner one only if that says yes."""
    if outer is None or inner is None:
        return inner if outer is None else outer
    first, second = outer, inner

    def guard(stanza: Stanza) -> object:
        return first(stanza) and second(stanza)

    guard.__qualname__ = f"{guard_name(first)} and {guard_name(second)}"
    return guard
