"""Two mistakes that would go unnoticed: a condition of a route that is none because it is
misspelt, and a method that hides one of the framework's."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Iterator
from typing import Any, Final

from actors.component import Component
from actors.declarations import Filter, Rescue, marked
from actors.handling import rescues_of
from emp.errors import RouteError
from emp.routing import Route
from emp.routing.conditions import FIELDS

CONDITIONS: Final = (*FIELDS, "if_", "defaults")

ALIKE: Final = 0.5
"""How near a name must be to that of a condition: `form` and `typ` are."""

_OURS: Final = tuple(
    name
    for name, value in vars(Component).items()
    if not name.startswith(("_", "on_"))
    and name not in ("startup", "shutdown")
    and (inspect.isfunction(value) or isinstance(value, property))
)


def check_captures(component: type, route: Route) -> None:
    """Raises RouteError for a capture that neither the action nor a filter takes.

    `form="localhost"` in a route is the path to an element, and no condition. The parts of a
    template need no taker: they are conditions too.
    """
    taken = set(_parameters(component, route.action))
    for name, text in route.captures.items():
        if name in taken or "{" in text:
            continue
        near = difflib.get_close_matches(name, CONDITIONS, 1, ALIKE)
        raise RouteError(
            f"{name}={text!r} captures what nobody takes: {component.__qualname__}.{route.action}"
            f" has no parameter {name!r}",
            file=route.file,
            line=route.line,
            remedy=(f"did you mean {near[0]}=? Else give" if near else "give")
            + " the action that parameter, or remove the capture",
        )


def hidden(component: type) -> Iterator[str]:
    """What the class has in place of the framework's own methods."""
    return (name for name in _OURS if getattr(component, name) is not getattr(Component, name))


def _parameters(component: type, action: str) -> Iterable[str]:
    """The names of all arguments that are given when the action runs."""
    functions: list[Any] = [getattr(component, action)]
    functions += [
        getattr(component, name) for name, mark in marked(component, Filter) if mark.applies(action)
    ]
    functions += [getattr(component, name) for name, _ in marked(component, Rescue)]
    functions += [
        getattr(component, with_) for _, with_, _ in rescues_of(component) if isinstance(with_, str)
    ]
    for function in functions:
        yield from inspect.signature(function).parameters
