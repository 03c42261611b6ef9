"""What can be known of an expression without evaluating it.

Small, on purpose: it reads only expressions that are one path, and of these only the first step.
What it finds is always necessary for a match; `exact` says that it is sufficient too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emp import ns
from emp.routing.tokens import Kind, Token, begins_step
from emp.xml import clark


@dataclass(frozen=True, slots=True)
class FirstStep:
    """The first step of a path: its axis and name, its [predicates], whether more follows."""

    axis: str
    name: Token
    predicates: tuple[tuple[Token, ...], ...]
    more: bool


def is_path(tokens: Sequence[Token]) -> bool:
    """Whether the expression is one location path, so that a match is a node at its end."""
    return begins_step(tokens[0]) and all(
        token.kind is not Kind.OPERATOR or token.text in ("/", "//") for token in _top_level(tokens)
    )


def first_step(tokens: Sequence[Token]) -> FirstStep | None:
    """The first step of an expression that is a path and begins with a named element."""
    if not is_path(tokens):
        return None
    axis = "child"
    if tokens[0].kind is Kind.AXIS:
        axis, tokens = tokens[0].text, tokens[2:]
    name, tokens = tokens[0], tokens[1:]
    if name.kind is not Kind.NAME_TEST:
        return None
    predicates: list[tuple[Token, ...]] = []
    while tokens and tokens[0].text == "[":
        inside = _inside_brackets(tokens)
        predicates.append(inside)
        tokens = tokens[len(inside) + 2 :]
    return FirstStep(axis, name, tuple(predicates), bool(tokens))


def attribute_equalities(predicate: Sequence[Token]) -> list[tuple[str, str]] | None:
    """[(name, value)] if the predicate is @name='value', or several of these joined by `and`."""
    found: list[tuple[str, str]] = []
    for start in range(0, len(predicate), 5):
        group = predicate[start : start + 5]
        shape = ["value" if token.kind is Kind.LITERAL else token.text for token in group]
        if len(group) < 4 or shape != ["@", shape[1], "=", "value", "and"][: len(group)]:
            return None
        found.append((group[1].text, group[3].value))
    return found if len(predicate) % 5 == 4 else None


def only_name(predicate: Sequence[Token]) -> Token | None:
    """The name if the predicate is nothing else, so that it asks for a child: [body]."""
    is_name = len(predicate) == 1 and predicate[0].kind is Kind.NAME_TEST
    return predicate[0] if is_name else None


def clark_name(name: Token, namespaces: Mapping[str, str]) -> str | None:
    """The Clark name of an element's name test, None for one that many elements meet."""
    if name.local == "*":
        return None
    return clark(namespaces[name.prefix] if name.prefix else ns.CLIENT, name.local)


def _top_level(tokens: Sequence[Token]) -> list[Token]:
    """The tokens that stand in no brackets or parentheses."""
    found = []
    depth = 0
    for token in tokens:
        depth -= token.text in (")", "]")
        if depth == 0:
            found.append(token)
        depth += token.text in ("(", "[")
    return found


def _inside_brackets(tokens: Sequence[Token]) -> tuple[Token, ...]:
    """What stands between the bracket at the beginning and its counterpart."""
    depth = 0
    for number, token in enumerate(tokens):
        depth += (token.text == "[") - (token.text == "]")
        if depth == 0:
            return tuple(tokens[1:number])
    return tuple(tokens[1:])
