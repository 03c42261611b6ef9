"""From routes as they were written to the route table, with all mistakes reported at once."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from emp.errors import RouteError
from emp.routing.analysis import (
    FirstStep,
    attribute_equalities,
    clark_name,
    first_step,
    is_path,
    only_name,
)
from emp.routing.conditions import (
    FIELDS,
    TYPES,
    Condition,
    attribute_condition,
    child_condition,
    condition,
)
from emp.routing.functions import PREDECLARED
from emp.routing.routes import Declaration, Routes
from emp.routing.table import Match, Route, RouteTable, Rule
from emp.routing.tokens import tokenize
from emp.routing.xpath import Expression

_KINDS: Final = tuple(TYPES)


def compile_routes(routes: Routes) -> RouteTable:
    """The table for the routes.

    Raises one RouteError for all that is wrong, a line each, in the order of the file.
    """
    mistakes = list(routes.mistakes)
    rules: list[Rule] = []
    known: dict[object, Route] = {}
    for declaration in routes.declarations:
        try:
            rule = _compile(declaration, declaration.namespaces, len(rules) + 1)
        except RouteError as error:
            mistakes.append(declaration.place.error(error.message, error.remedy))
            continue
        if rule is None:
            if not declaration.routed:
                mistakes.append(
                    declaration.place.error("this route leads nowhere", "Add .to(Class.action)")
                )
            continue
        route = rule.route
        same = known.setdefault((route.resource, _words(route.xpath)), route)
        if same is not route:
            mistakes.append(
                declaration.place.error(
                    f"this route is the same as that at {same.source}, which always wins",
                    "Delete one, or give this one a condition of its own",
                )
            )
        rules.append(rule)
    if mistakes:
        raise _all_in_one(mistakes)
    return RouteTable(tuple(rules))


def _all_in_one(mistakes: Sequence[RouteError]) -> RouteError:
    if len(mistakes) == 1:
        return mistakes[0]
    mistakes = sorted(mistakes, key=lambda error: (error.file or "", error.line or 0))
    return RouteError("\n".join(map(str, mistakes)))


def _words(xpath: str) -> tuple[str, ...]:
    """An expression without regard to its spaces."""
    return tuple(token.text for token in tokenize(xpath))


@dataclass(frozen=True, slots=True)
class _Known:
    """What the XPath of a route says without being evaluated."""

    kind: str | None
    conditions: tuple[Condition, ...] = ()
    payload: str | None = None
    exact: bool = False  # and it says nothing else


def _compile(declaration: Declaration, namespaces: Mapping[str, str], number: int) -> Rule | None:
    """The rule for one route; None if it has no target. Raises RouteError without a place."""
    captures = tuple(
        (name, _capture(name, text, namespaces)) for name, text in declaration.captures.items()
    )
    expression = _expression(declaration, namespaces)
    step = first_step(expression.tokens) if expression else None
    kind = _kind(declaration.kind, step)
    wanted = tuple(
        condition(field, declaration.wanted[field], kind)
        for field in FIELDS
        if field in declaration.wanted
    )
    known = _read(step, kind, wanted, namespaces)
    if declaration.target is None:
        return None
    exact = expression is None or known.exact
    conditions = (*wanted, *known.conditions)
    route = Route(
        number=number,
        kind=kind,
        component=declaration.target[0],
        action=declaration.target[1],
        resource=declaration.resource,
        file=declaration.place.file,
        line=declaration.place.line,
        xpath=_in_full(kind, wanted, expression),
        captures={name: capture.text for name, capture in captures},
        exact=exact,
    )
    return Rule(
        route=route,
        type=_indexed("type", conditions),
        sender=_indexed("sender", conditions),
        payload=known.payload,
        checks=tuple(each.check for each in conditions if each.check is not None),
        expression=None if exact else expression,
        captures=captures,
        plain=Match(route, {}),
    )


def _expression(declaration: Declaration, namespaces: Mapping[str, str]) -> Expression | None:
    text = declaration.predicate
    if text is None:
        return None
    if not isinstance(text, str):
        raise RouteError(f"the XPath of a route is a text, not {text!r:.80}")
    if text.lstrip().startswith("["):
        text = f"self::{declaration.kind or '*'}{text.strip()}"
    return Expression(text, namespaces)


def _capture(name: str, text: object, namespaces: Mapping[str, str]) -> Expression:
    if name in FIELDS:
        raise RouteError(
            f"{name}= is no condition on this kind of stanza, and no name for a capture",
            remedy="iq_get and iq_set say the type already"
            if name == "type"
            else f"{name} is for messages",
        )
    if name.endswith("_") or not isinstance(text, str):
        near = difflib.get_close_matches(name, FIELDS, 1)
        raise RouteError(
            f"{name}={text!r:.80} is neither a condition nor the XPath of a capture",
            remedy=f"Did you mean {near[0]}=?" if near else f"Conditions are: {', '.join(FIELDS)}",
        )
    try:
        return Expression(text, namespaces)
    except RouteError as error:
        raise RouteError(f"capture {name}: {error.message}", remedy=error.remedy) from None


def _kind(declared: str | None, step: FirstStep | None) -> str | None:
    """The kind of stanza that the route is for, by its method or by /message… in its XPath."""
    if step is None or step.axis != "self" or step.name.text == "*":
        return declared
    name = step.name.text
    if name not in _KINDS:
        near = difflib.get_close_matches(name, _KINDS, 1)
        raise RouteError(
            f"there is no stanza {name!r}",
            remedy=f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(_KINDS)}",
        )
    if declared not in (None, name):
        raise RouteError(f"this can never match: a route for {declared} asks for {name}")
    return name


def _read(
    step: FirstStep | None,
    kind: str | None,
    wanted: Sequence[Condition],
    namespaces: Mapping[str, str],
) -> _Known:
    if step is None:
        return _Known(kind)
    namespaces = {**namespaces, **PREDECLARED}
    if step.axis == "self":
        return _read_stanza(step, kind, namespaces)
    if kind == "iq" and step.axis == "child" and _indexed("type", wanted) in ("get", "set"):
        payload = clark_name(step.name, namespaces)
        exact = payload is not None and not step.predicates and not step.more
        return _Known(kind, payload=payload, exact=exact)
    return _Known(kind)


def _read_stanza(step: FirstStep, kind: str | None, namespaces: Mapping[str, str]) -> _Known:
    """Conditions on the stanza itself: [@type='chat'][@id='1'][body]."""
    found: list[Condition] = []
    exact = not step.more
    for predicate in step.predicates:
        child = only_name(predicate)
        if child is not None and (tag := clark_name(child, namespaces)):
            found.append(child_condition(child.text, tag))
            continue
        for name, value in attribute_equalities(predicate) or [("", "")]:
            simple = attribute_condition(name, value, kind)
            if simple is None:
                exact = False
            else:
                found.append(simple)
    return _Known(kind, tuple(found), exact=exact)


def _indexed(field: str, conditions: Sequence[Condition]) -> str | None:
    """The value that the index looks the field up by. Raises RouteError if there are two."""
    values = list(
        dict.fromkeys(each.index[1] for each in conditions if each.index and each.index[0] == field)
    )
    if len(values) > 1:
        raise RouteError(
            f"this can never match: the {field} cannot be both {values[0]!r} and {values[1]!r}"
        )
    return values[0] if values else None


def _in_full(kind: str | None, wanted: Sequence[Condition], expression: Expression | None) -> str:
    """All conditions on the stanza as one absolute XPath, for people."""
    head = f"/{kind or '*'}"
    conditions = "".join(f"[{each.xpath}]" for each in wanted)
    if expression is None:
        return head + conditions
    relative, tokens = expression.relative, expression.tokens
    if expression.is_number:  # in brackets, a number alone would be a position
        return f"{head}{conditions}[boolean({relative})]"
    if not is_path(tokens):
        return f"{head}{conditions}[{relative}]"
    step = first_step(tokens)
    if step is None or step.axis != "self":
        return f"{head}{conditions}/{relative}"
    return head + conditions + relative[step.name.start + len(step.name.text) :]  # it is `head`
