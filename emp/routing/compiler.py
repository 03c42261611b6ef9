"""From routes as they were written to the route table, with all mistakes reported at once."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from emp.errors import RouteError
from emp.routing.draft import Draft, draft
from emp.routing.guards import guard_name
from emp.routing.index import Filing, choose, types_of
from emp.routing.routes import Routes
from emp.routing.rules import Match, Route, Rule
from emp.routing.shadows import shadows
from emp.routing.table import ALWAYS, RouteTable


def compile_routes(routes: Routes, check: Callable[[Route], object] | None = None) -> RouteTable:
    """The table for the routes. check: more that must be right with each; it raises RouteError.

    Raises one RouteError for all that is wrong, a line each, in the order of the file.
    """
    with _uncollected():
        return _compile(routes, check)


@contextmanager
def _uncollected() -> Iterator[None]:
    """All that is made for a table stays: the collector would only look through it again and again,
    which for 10,000 routes takes a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _compile(routes: Routes, check: Callable[[Route], object] | None) -> RouteTable:
    mistakes = routes.all_mistakes()
    drafts: list[Draft] = []
    for declaration in routes.declarations:
        try:
            made = draft(declaration)
        except RouteError as error:
            mistakes.append(declaration.place.error(error.message, error.remedy))
            continue
        if made is not None:
            drafts.append(made)
        elif not declaration.routed:
            mistakes.append(
                declaration.place.error("this route leads nowhere", "Add .to(Class.action)")
            )
    mistakes += shadows(drafts)
    filings = choose([each.conditions for each in drafts])
    rules = [
        _rule(number, each, filing)
        for number, (each, filing) in enumerate(zip(drafts, filings, strict=True), 1)
    ]
    for each, rule in zip(drafts, rules, strict=True):
        try:
            if check is not None:
                check(rule.route)
        except RouteError as error:
            mistakes.append(each.declaration.place.error(error.message, error.remedy))
    if mistakes:
        raise _all_in_one(mistakes)
    return RouteTable(rules)


def _all_in_one(mistakes: Sequence[RouteError]) -> RouteError:
    if len(mistakes) == 1:
        return mistakes[0]
    mistakes = sorted(mistakes, key=lambda error: (error.file or "", error.line or 0))
    return RouteError("\n".join(map(str, mistakes)))


def _rule(number: int, draft: Draft, filing: Filing | None) -> Rule:
    """The rule. number: that of the route; filing: as the index has chosen."""
    declaration = draft.declaration
    route = Route(
        number=number,
        kind=draft.kind,
        component=draft.target[0],
        action=draft.target[1],
        resource=declaration.resource,
        connection=declaration.connection,
        file=declaration.place.file,
        line=declaration.place.line,
        xpath=draft.xpath,
        captures={name: capture.text for name, capture in draft.captures},
        defaults=declaration.defaults,
        guard=None if declaration.guard is None else guard_name(declaration.guard),
        fallback=declaration.fallback,
        payload=draft.payload,
        exact=draft.exact,
        indexed=_indexed(draft, filing),
    )
    return Rule(
        route=route,
        conditions=draft.conditions,
        expression=draft.expression,
        guard=declaration.guard,
        captures=draft.captures,
        key=None if filing is None else filing.condition,
        filed=None if filing is None else filing.key,
        plain=Match(route, {}),
    )


def _indexed(draft: Draft, filing: Filing | None) -> str:
    if filing is not None:
        return str(filing.key)
    return ALWAYS if types_of(draft.conditions) is None else "type"
