"""What completes a route, and checks of what routes are written with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from emp.errors import RouteError
from emp.routing.actions import resolve
from emp.routing.declarations import Declaration, caller, place_of
from emp.routing.functions import PREDECLARED
from emp.routing.tokens import is_ncname
from emp.routing.xpath import CLIENT_PREFIX


class RouteBuilder:
    """What the methods of Routes return: only `.to()` completes a route."""

    __slots__ = ("_declaration", "_mistakes")

    def __init__(self, declaration: Declaration, mistakes: list[RouteError]) -> None:
        self._declaration = declaration
        self._mistakes = mistakes

    def to(self, action: Callable[..., Any] | type, name: str | None = None) -> None:
        """Send what matches to an action: `.to(Tweets.show)`.

        Where Tweets only inherits `show`, write `.to(Tweets, "show")`: a reference to a function
        does not say by which class it was reached. Mistakes are reported by compile_routes().
        """
        declaration = self._declaration
        frame = caller()
        here = place_of(frame)
        if declaration.routed:
            self._mistakes.append(here.error("this route has its .to() already"))
            return
        declaration.routed = True
        try:
            declaration.target = resolve(action, name, {**frame.f_globals, **frame.f_locals})
        except RouteError as error:
            self._mistakes.append(here.error(error.message, error.remedy))


def checked_defaults(defaults: object) -> dict[str, Any]:
    """A copy. Raises RouteError for what gives no arguments by name."""
    if not isinstance(defaults, Mapping) or not all(
        isinstance(name, str) and name.isidentifier() for name in defaults
    ):
        raise RouteError(
            f"defaults={defaults!r:.80} does not give arguments by name",
            remedy='Write defaults={"page": 1}; defaults cannot be the name of a capture',
        )
    return dict(defaults)


def namespace_problem(prefix: object, uri: object) -> tuple[str, str | None] | None:
    """(message, remedy) if the declaration cannot be right."""
    if not prefix:
        return (
            "there is no declaring a default namespace: no prefix means jabber:client",
            "Choose a prefix",
        )
    if not isinstance(prefix, str) or not is_ncname(prefix) or prefix == CLIENT_PREFIX:
        return f"{prefix!r} cannot be a namespace prefix", None
    if not isinstance(uri, str) or not uri:
        return f"the namespace of {prefix!r} is {uri!r}, not a text", None
    if PREDECLARED.get(prefix, uri) != uri:
        return f"the prefix {prefix!r} always stands for {PREDECLARED[prefix]}", "Choose another"
    return None
