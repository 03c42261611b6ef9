"""Why a stanza goes where it goes: the search of the route table, step by step, for people.

It asks the same questions as RouteTable.match, in the same order, but writes the answers down, and
goes on asking after a no, so that all that keeps a route from matching is seen at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, Final

from lxml import etree

from emp.answer import refusal
from emp.binding import bind
from emp.errors import InternalServerError, StanzaError
from emp.routing.conditions import Condition
from emp.routing.keys import Fact
from emp.routing.rules import Captured, Match, Route, Rule
from emp.routing.suggest import suggest
from emp.routing.table import RouteTable, addresses
from emp.stanza import Stanza
from emp.view import tree_of
from emp.xml import serialize

# Routes of a table that are all shown. Of larger tables only those that the index lets pass.
SMALL: Final = 20

# Routes that are shown at most, the last ones before that which wins: more is read by nobody.
MOST: Final = 100

# Characters of a value that are shown.
VALUE: Final = 200


@dataclass(frozen=True, slots=True)
class Step:
    """One question to the stanza. what: its kind, as "condition"; text: the question; held: whether
    the answer is yes; note: more about the answer."""

    what: str
    text: str
    held: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """All that was asked for one route."""

    route: Route
    steps: tuple[Step, ...]
    matched: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """What becomes of a stanza.

    attempts: the routes in the order of the search, up to that which matches; passed: reason →
    number of routes that were passed over without being shown; match: None if no route matches;
    arguments: name → value for people, of the action; answer: what is answered where no action is
    called, as "bad-request: …", None if one is, or if nobody waits for an answer; suggestion: the
    route that would catch an unrouted stanza, "" for routed ones.
    """

    stanza: str
    attempts: tuple[Attempt, ...]
    passed: Mapping[str, int]
    match: Match | None
    arguments: Mapping[str, str]
    answer: str | None
    suggestion: str


def explain(
    table: RouteTable,
    stanza: Stanza,
    resource: str | None = None,
    component: bool = False,
    connection: str | None = None,
) -> Explanation:
    """The arguments are those of RouteTable.match. Calls no action, but guards and converters."""
    attempts: list[Attempt] = []
    passed: Counter[str] = Counter()
    match = None
    for rule in table.rules:
        reason = _ruled_out(rule, stanza)
        if reason is not None and len(table.rules) > SMALL:
            passed[reason] += 1
            continue
        attempt, match = _attempt(
            rule, stanza, _scope(rule, stanza, resource, component, connection)
        )
        attempts.append(attempt)
        if match is not None:
            break
    if len(attempts) > MOST:
        passed["asked, but does not match"] = len(attempts) - MOST
    arguments, answer = _outcome(match, stanza, connection)
    return Explanation(
        stanza=_described(stanza),
        attempts=tuple(attempts[-MOST:]),
        passed=passed,
        match=match,
        arguments=arguments,
        answer=answer,
        suggestion=suggest(stanza) if match is None else "",
    )


def _ruled_out(rule: Rule, stanza: Stanza) -> str | None:
    """Why the index does not even ask for this route; None if it does."""
    route = rule.route
    if route.kind not in (None, stanza.kind):
        return f"for {route.kind}, and this is {stanza.kind}"
    looked_up = [rule.key] if rule.key is not None else filter(_is_type, rule.conditions)
    if not all(_asked(partial(each.check, stanza))[0] for each in looked_up):
        return f"found by {route.indexed}, which does not fit"
    return None


def _is_type(condition: Condition) -> bool:
    """Whether the index, which looks at the type first of all, knows the answer."""
    key = condition.key
    return key is not None and all(term.source.fact is Fact.TYPE for term in key.terms)


def _scope(
    rule: Rule, stanza: Stanza, resource: str | None, component: bool, connection: str | None
) -> Iterator[Step]:
    route = rule.route
    if route.connection is not None:
        came = f"it came by {connection!r}" if connection else "which it came by is not known"
        yield Step("connection", repr(route.connection), route.connection == connection, came)
    if route.resource is None:
        return
    if component:
        named = (stanza.to_text or "").partition("/")[2]
        note = f"to names {named!r:.{VALUE}}" if named else "to names none, which is for all"
        yield Step("resource", repr(route.resource), addresses(stanza, route.resource), note)
    else:
        note = f"it came to {resource!r}"
        yield Step("resource", repr(route.resource), route.resource == resource, note)


def _attempt(rule: Rule, stanza: Stanza, scope: Iterator[Step]) -> tuple[Attempt, Match | None]:
    route = rule.route
    steps = [] if route.kind is None else [_kind(route.kind, stanza.kind)]
    if all(step.held for step in steps):  # else there is no sense in what follows
        steps += scope
        steps += (
            _truth("condition", each.xpath, partial(each.check, stanza)) for each in rule.conditions
        )
    captures: dict[str, Captured] = {}
    # What costs, or is the user's code, is asked only where the router asks it.
    if all(step.held for step in steps):
        steps += _evaluated(rule, stanza, captures)
    matched = all(step.held for step in steps)
    return Attempt(route, tuple(steps), matched), Match(route, captures) if matched else None


def _evaluated(rule: Rule, stanza: Stanza, captures: dict[str, Captured]) -> Iterator[Step]:
    """XPath, guard and captures, up to the first that says no; what is captured goes to
    `captures`."""
    expression, guard = rule.expression, rule.guard
    steps: list[tuple[str, str, Callable[[], object]]] = []
    if expression is not None:
        steps.append(("XPath", expression.text, lambda: expression.holds(tree_of(stanza))))
    if guard is not None:
        steps.append(("guard", str(rule.route.guard), lambda: guard(stanza)))
    for what, question, ask in steps:
        step = _truth(what, question, ask)
        yield step
        if not step.held:
            return
    for name, capture in rule.captures:
        value, fault = _asked(partial(capture.evaluate, stanza))
        yield Step("capture", f"{name}={capture.text}", not fault, fault or shown(value))
        if fault:
            return
        captures[name] = value


def _kind(wanted: str, kind: str) -> Step:
    return Step("kind", wanted, wanted == kind, "" if wanted == kind else f"this is {kind}")


def _truth(what: str, question: str, ask: Callable[[], object]) -> Step:
    held, fault = _asked(lambda: bool(ask()))
    return Step(what, question, held is True, fault)


def _asked(ask: Callable[[], Any]) -> tuple[Any, str]:
    """The answer and "", or None and what went wrong."""
    try:
        return ask(), ""
    except Exception as error:  # noqa: BLE001 - as in RouteTable.match, a fault is a no
        return None, f"failed, which counts as no: {type(error).__name__}: {error}"


def _outcome(
    match: Match | None, stanza: Stanza, connection: str | None
) -> tuple[dict[str, str], str | None]:
    """The arguments of the action for people, and what is answered where it is not called."""
    must_answer = stanza.is_request
    if match is None:
        return {}, "service-unavailable: no route matches" if must_answer else None
    route = match.route
    action = getattr(route.component, route.action)
    try:
        binding = bind(
            action, route.captures, route.source, defaults=route.defaults, payload=route.payload
        )
        # Of a component, arguments come from nothing but its connection.
        component = SimpleNamespace(connection=connection)
        values = binding.arguments(component, stanza, match.captures)
        return {name: shown(value) for name, value in values.items()}, None
    except StanzaError as error:
        return {}, _error_answer(stanza, str(error))
    except Exception as error:  # noqa: BLE001 - converting and showing is the user's code
        return {}, _error_answer(stanza, f"internal-server-error: {type(error).__name__}: {error}")


def _error_answer(stanza: Stanza, told: str) -> str:
    """What is answered where an action ends with an error."""
    if refusal(stanza, InternalServerError()):
        return told
    return f"nothing, as this is not answered with an error: {told}"


# -- for people -----------------------------------------------------------------------------------


def shown(value: object) -> str:
    """A value as people read it: of bounded length, in one line, with nothing that moves a
    terminal's cursor."""
    if isinstance(value, etree._Element):
        text = repr(serialize(value))[1:-1]
    elif isinstance(value, Stanza):
        text = _described(value)
    elif isinstance(value, list):
        text = f"[{', '.join(map(shown, value[:VALUE]))}]"
    else:
        text = repr(value)
    return text if len(text) <= VALUE else f"{text[:VALUE]}…"


def _described(stanza: Stanza) -> str:
    facts = {"type": stanza.type, "from": stanza.from_text, "to": stanza.to_text, "id": stanza.id}
    told = [f"{name}={shown(value)}" for name, value in facts.items() if value]
    if stanza.payload_name is not None:
        told.append(f"payload={shown(stanza.payload_name)}")
    return " ".join([stanza.kind, *told])


def text(explanation: Explanation) -> str:
    """Several lines, without line feed at the end."""
    lines = [explanation.stanza]
    for attempt in explanation.attempts:
        lines += _attempt_lines(attempt)
    lines += (
        f"  {count} route{'s' if count > 1 else ''} passed over: {reason}"
        for reason, count in explanation.passed.items()
    )
    lines += _verdict_lines(explanation)
    return "\n".join(lines)


def _attempt_lines(attempt: Attempt) -> Iterator[str]:
    route = attempt.route
    yield f"  {_mark(attempt.matched)} {route.number}. {_action(route)} ({route.source})"
    yield f"      {route.xpath}"
    for step in attempt.steps:
        note = f"  ({step.note})" if step.note else ""
        if step.what == "capture" and step.held:
            note = f" → {step.note}"
        yield f"      {_mark(step.held)} {step.what} {step.text}{note}"


def _verdict_lines(explanation: Explanation) -> Iterator[str]:
    if explanation.match is None:
        yield "no route matches" + (
            f": answered {explanation.answer}" if explanation.answer else ": nothing is answered"
        )
        yield "this one would:"
        yield from (f"  {line}" for line in explanation.suggestion.split("\n"))
        return
    route = explanation.match.route
    if explanation.answer is not None:
        yield f"route {route.number} wins, but {_action(route)} is not called"
        yield f"answered {explanation.answer}"
        return
    arguments = ", ".join(f"{name}={value}" for name, value in explanation.arguments.items())
    yield f"route {route.number} wins: {_action(route)}({arguments})"


def _action(route: Route) -> str:
    return f"{route.component.__name__}.{route.action}"


def _mark(held: bool) -> str:
    return "✓" if held else "✗"


def as_json(explanation: Explanation) -> dict[str, Any]:
    """The same for programs."""
    match = explanation.match
    return {
        "stanza": explanation.stanza,
        "routes": [
            {
                **route_as_json(attempt.route),
                "matched": attempt.matched,
                "steps": [asdict(step) for step in attempt.steps],
            }
            for attempt in explanation.attempts
        ],
        "passed": dict(explanation.passed),
        "route": None if match is None else match.route.number,
        "action": None if match is None else _action(match.route),
        "captures": {name: shown(value) for name, value in match.captures.items()} if match else {},
        "arguments": dict(explanation.arguments),
        "answer": explanation.answer,
        "suggestion": explanation.suggestion,
    }


def route_as_json(route: Route) -> dict[str, Any]:
    """A route for programs."""
    return {
        "number": route.number,
        "kind": route.kind,
        "xpath": route.xpath,
        "action": _action(route),
        "file": route.file,
        "line": route.line,
        "indexed": route.indexed,
        "exact": route.exact,
        "guard": route.guard,
        "resource": route.resource,
        "connection": route.connection,
        "captures": dict(route.captures),
        "defaults": {name: shown(value) for name, value in route.defaults.items()},
        "fallback": route.fallback,
    }
