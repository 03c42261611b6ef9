"""Routes that belong to other routes: what include() does to each of a pack.

A pack's route keeps its namespaces, its place and its order among its like. What the include asks
for is added to what the route asks for: both must hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Final, TypeVar

from emp.errors import RouteError
from emp.routing.conditions import ANY_TYPE, condition
from emp.routing.declarations import Declaration, Place, Prefix
from emp.routing.guards import Guard, both, check_guard
from emp.routing.templates import is_template
from emp.routing.xpath import Expression

_FORMS: Final = 'Write a predicate, prefix="[@type=\'groupchat\']", or prefix="/message[…]"'

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Inclusion:
    """One include(): what it adds to each route of the pack. place: where it was written."""

    place: Place
    prefix: Prefix | None
    wanted: Mapping[str, Any]
    guard: Guard | None
    resource: str | None
    connection: str | None

    def check(self) -> None:
        """Raises RouteError for what would be wrong with every route of any pack."""
        if self.guard is not None:
            check_guard(self.guard)
        if self.prefix is not None:
            _check_prefix(self.prefix)
        for name, value in self.wanted.items():
            if not is_template(value) and (name, value) != ("type", ANY_TYPE):
                condition(name, value, None)


def _check_prefix(prefix: Prefix) -> None:
    if not isinstance(prefix.text, str):
        raise RouteError(f"prefix={prefix.text!r:.80} is no text", remedy=_FORMS)
    text = prefix.text.strip()
    if not text.startswith(("[", "/")) or text.startswith("//"):
        raise RouteError(f"prefix={text!r:.80} is not a predicate on the stanza", remedy=_FORMS)
    Expression(f"self::*{text}" if text.startswith("[") else text, prefix.namespaces)


def included(declaration: Declaration, inclusion: Inclusion) -> Declaration:
    """A pack's route as it is where the pack was included.

    Raises RouteError, without a place, where the two cannot both hold.
    """
    prefixes = declaration.prefixes
    wanted = dict(declaration.wanted)
    for name, value in inclusion.wanted.items():
        asked = wanted.get(name)
        wanted[name], left = (value, None) if asked is None else _both_wanted(name, value, asked)
        if left is not None:
            prefixes = (_as_prefix(name, left, declaration.kind), *prefixes)
    if inclusion.prefix is not None:
        prefixes = (inclusion.prefix, *prefixes)
    return replace(
        declaration,
        place=declaration.place.within(inclusion.place),
        wanted=wanted,
        prefixes=prefixes,
        guard=both(inclusion.guard, declaration.guard),
        resource=_one("resource", inclusion.resource, declaration.resource),
        connection=_one("connection", inclusion.connection, declaration.connection),
    )


def _both_wanted(name: str, outer: object, inner: object) -> tuple[object, object]:
    """Two values of one keyword as (the keyword's, what has to be said in XPath).

    The keyword is what the index looks at, and only it can capture, so templates stay there.
    """
    if outer == inner or (name == "type" and outer == ANY_TYPE):
        return inner, None
    if name == "type" and inner == ANY_TYPE:
        return outer, None
    if not is_template(outer):
        return inner, outer
    if not is_template(inner):
        return outer, inner
    raise RouteError(
        f"{name}={inner!r} cannot capture where include({name}={outer!r}) does already",
        remedy="Leave one of the templates out",
    )


def _as_prefix(name: str, value: object, kind: str | None) -> Prefix:
    return Prefix(f"[{condition(name, value, kind).xpath}]", {})


def _one(scope: str, outer: _T | None, inner: _T | None) -> _T | None:
    if outer is not None and inner is not None and outer != inner:
        raise RouteError(
            f"{scope} {inner!r} inside of {scope} {outer!r}: a stanza comes to one",
            remedy="Include the pack elsewhere, or leave its scope out",
        )
    return inner if outer is None else outer


def no_pack(other: object, pack: type) -> tuple[str, str]:
    """(message, remedy) about something that is not a pack. pack: the class of those that are."""
    if not isinstance(other, ModuleType):
        return (
            f"include() takes Routes, not {other!r:.80}",
            "Write include(pack), where pack = Routes(…)",
        )
    inside = [name for name, value in vars(other).items() if isinstance(value, pack)]
    return (
        f"include() takes Routes, not the module {other.__name__}",
        f"Write include({other.__name__.rpartition('.')[2]}.{inside[0] if inside else 'routes'})",
    )
