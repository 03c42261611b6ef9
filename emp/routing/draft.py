"""One route, read and understood, before it has its place in a table."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from emp.errors import RouteError
from emp.routing.analysis import (
    Analysis,
    Finding,
    Known,
    analyse,
    first_step,
    implied,
    speaks_of_type,
    type_names,
)
from emp.routing.conditions import (
    ANY_TYPE,
    FIELDS,
    ORDINARY,
    TYPES,
    Condition,
    condition,
    ordinary,
)
from emp.routing.declarations import Declaration, Prefix
from emp.routing.functions import PREDECLARED
from emp.routing.index import types_of
from emp.routing.nodes import nodes
from emp.routing.parser import parse
from emp.routing.rules import Capture, XPathCapture
from emp.routing.syntax import NameTest, Node, Path, Step, is_number
from emp.routing.templates import TemplateCapture, is_template, read_template
from emp.routing.tokens import tokenize
from emp.routing.trails import NotUnderstood
from emp.routing.xpath import Expression, Reading
from emp.view import tree_of
from emp.xml import Element

_KINDS: Final = tuple(TYPES)

# What the methods of Routes call something else, so that no capture can have the name.
RESERVED: Final = frozenset({*FIELDS, "if_", "defaults", "connection"})


@dataclass(frozen=True, slots=True)
class Draft:
    """One route.

    whole: trees of all that it asks for; own: of that which is understood; meanings: the same, and
    what follows from it.
    """

    declaration: Declaration
    target: tuple[type, str]
    kind: str | None
    conditions: tuple[Condition, ...]
    expression: Expression | None
    captures: tuple[tuple[str, Capture], ...]
    xpath: str
    exact: bool
    payload: bool
    whole: frozenset[Node]
    own: frozenset[Node]
    meanings: frozenset[Node]


def draft(declaration: Declaration) -> Draft | None:
    """The route, None if it has no target. Raises RouteError, without a place."""
    namespaces = declaration.namespaces
    captures: list[tuple[str, Capture]] = [
        (name, _capture(name, text, namespaces)) for name, text in declaration.captures.items()
    ]
    prefixes = [_prefix(each) for each in declaration.prefixes]
    reading = _predicate(declaration)
    readings = prefixes if reading is None else [*prefixes, reading]
    kind = declaration.kind
    for each in readings:
        kind = _kind(kind, first_step(each.tree))
    wanted = _wanted(declaration, kind, captures)
    if (
        kind in (None, "message")
        and "type" not in declaration.wanted
        and not any(speaks_of_type(each.tree) for each in readings)
    ):
        wanted.append(ordinary(kind))
    types = _types(wanted, readings)
    analyses = [analyse(each.tree, Known(kind, types)) for each in readings]
    if declaration.target is None:
        return None
    conditions = list(wanted)
    for each, analysis in zip(prefixes, analyses, strict=False):
        conditions += _of_prefix(each, analysis)
    expression = None
    if reading is not None:
        conditions += (finding.condition for finding in analyses[-1].findings)
        expression = None if analyses[-1].exact else Expression(reading)
    known = Known(kind, types_of(conditions))
    _refuse_contradiction(conditions)
    sugar = [_sugar(each) for each in wanted]
    findings = [*sugar, *(finding for each in analyses for finding in each.findings)]
    return Draft(
        declaration=declaration,
        target=declaration.target,
        kind=kind,
        conditions=tuple(conditions),
        expression=expression,
        captures=tuple(captures),
        xpath=_in_full(kind, wanted, readings),
        exact=all(analysis.exact for analysis in analyses),
        payload=known.request or any(each.payload for each in conditions),
        whole=frozenset([*(each.own for each in sugar), *(each.tree for each in readings)]),
        own=frozenset(finding.own for finding in findings),
        meanings=frozenset(_ordinary(known)).union(*(finding.meanings for finding in findings)),
    )


# -- reading --------------------------------------------------------------------------------------


def _predicate(declaration: Declaration) -> Reading | None:
    text: Any = declaration.predicate
    if text is None:
        return None
    if not isinstance(text, str):
        raise RouteError(f"the XPath of a route is a text, not {text!r:.80}")
    if text.lstrip().startswith("["):
        text = f"self::{declaration.kind or '*'}{text.strip()}"
    return Reading(text, declaration.namespaces)


def _prefix(prefix: Prefix) -> Reading:
    text = prefix.text.strip()
    return Reading(f"self::*{text}" if text.startswith("[") else text, prefix.namespaces)


def _wanted(
    declaration: Declaration, kind: str | None, captures: list[tuple[str, Capture]]
) -> list[Condition]:
    """The conditions for the keywords. Adds the captures of templates to `captures`."""
    conditions: list[Condition] = []
    for field in FIELDS:
        value = declaration.wanted.get(field)
        if value is None or (field == "type" and value == ANY_TYPE):
            continue
        if field not in ("from_", "to") or not is_template(value):
            conditions.append(condition(field, value, kind))
            continue
        template = read_template(field, value)
        conditions.append(template.condition)
        for name in template.names:
            _check_name(name, f"{{{name}}} in {field}={value!r}")
            if any(name == other for other, _ in captures):
                raise RouteError(
                    f"{name} is captured twice, once by {{{name}}} in {field}={value!r}",
                    remedy="Rename one of them",
                )
            capture = TemplateCapture(template.text, name, template.slot, template.split)
            captures.append((name, capture))
    return conditions


def _check_name(name: str, what: str) -> None:
    if name in RESERVED or name.endswith("_"):
        raise RouteError(f"{what}: {name!r} is no name for a capture", remedy="Choose another")


def _capture(name: str, text: object, namespaces: Mapping[str, str]) -> XPathCapture:
    if name in RESERVED and name not in FIELDS:
        raise RouteError(f"{name} is no name for a capture", remedy="Choose another")
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
        reading = Reading(text, namespaces)
        return XPathCapture(reading.text, _value(reading))
    except RouteError as error:
        raise RouteError(f"capture {name}: {error.message}", remedy=error.remedy) from None


def _value(reading: Reading) -> Callable[[Element], Any]:
    try:
        return nodes(reading.tree)
    except NotUnderstood:
        return Expression(reading).evaluate


def _kind(declared: str | None, step: Step | None) -> str | None:
    """The kind of stanza that the route is for, by its method or by /message… in its XPath."""
    if step is None or step.axis != "self" or not isinstance(step.test, NameTest):
        return declared
    name = str(step.test)
    if name == "*":
        return declared
    if name not in _KINDS:
        near = difflib.get_close_matches(name, _KINDS, 1)
        raise RouteError(
            f"there is no stanza {name!r}",
            remedy=f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(_KINDS)}",
        )
    if declared not in (None, name):
        raise RouteError(f"this can never match: a route for {declared} asks for {name}")
    return name


def _types(wanted: Sequence[Condition], readings: Sequence[Reading]) -> frozenset[str] | None:
    """The types that are possible, None for all."""
    types = types_of(wanted)
    for each in readings:
        found = type_names(each.tree)
        if found is not None:
            types = found if types is None else types & found
    return types


def _of_prefix(reading: Reading, analysis: Analysis) -> list[Condition]:
    conditions = [finding.condition for finding in analysis.findings]
    if not analysis.exact:
        expression = Expression(reading)
        conditions.append(
            Condition(reading.relative, lambda stanza: expression.holds(tree_of(stanza)))
        )
    return conditions


def _sugar(wanted: Condition) -> Finding:
    """The tree of a keyword's condition, to compare it with others."""
    node = parse(wanted.xpath, tokenize(wanted.xpath), PREDECLARED)
    return Finding(wanted, node, frozenset({node, *implied(node)}))


_ORDINARY: Final = {kind: _sugar(ordinary(kind)).own for kind in ("message", None)}


def _ordinary(known: Known) -> Iterator[Node]:
    """What routes that say nothing of types ask for, where this one asks for as much."""
    if known.kind == "message" and known.types is not None and known.types <= {*ORDINARY}:
        yield from _ORDINARY.values()
    elif known.kind in ("presence", "iq"):
        yield _ORDINARY[None]


# -- what cannot be -------------------------------------------------------------------------------


def _refuse_contradiction(conditions: Sequence[Condition]) -> None:
    """Raise RouteError if two conditions want different values of what there is only one of."""
    values: dict[object, frozenset[str]] = {}
    for each in conditions:
        for key in (each.key, *each.others) if each.key is not None else ():
            source = key.terms[0].source
            if not source.single or any(term.source != source for term in key.terms):
                continue
            wanted = frozenset(term.value for term in key.terms)
            left = values.get(source, wanted)
            if not left & wanted:
                one, other = " or ".join(sorted(left)), " or ".join(sorted(wanted))
                raise RouteError(
                    f"this can never match: the {source} cannot be both {one!r} and {other!r}"
                )
            values[source] = left & wanted


# -- for people -----------------------------------------------------------------------------------


def _in_full(kind: str | None, wanted: Sequence[Condition], readings: Sequence[Reading]) -> str:
    """All conditions on the stanza as one absolute XPath."""
    head = f"/{kind or '*'}" + "".join(f"[{each.xpath}]" for each in wanted)
    for reading in readings[:-1]:
        head += _as_predicates(reading)
    if not readings:
        return head
    last = readings[-1]
    if not isinstance(last.tree, Path):
        return head + _as_predicates(last)
    if _from_self(last.tree):
        return head + _behind_self(last)
    return f"{head}/{last.relative}"


def _as_predicates(reading: Reading) -> str:
    node, relative = reading.tree, reading.relative
    if is_number(node):  # in brackets, a number alone would be a position
        return f"[boolean({relative})]"
    if _from_self(node) and len(cast(Path, node).steps) == 1:
        return _behind_self(reading)
    return f"[{relative}]"


def _behind_self(reading: Reading) -> str:
    """What stands behind the name in self::name."""
    return reading.relative[reading.third :]


def _from_self(node: Node) -> bool:
    step = first_step(node)
    return step is not None and step.axis == "self" and isinstance(step.test, NameTest)
