"""The route table: from a stanza to the first route that matches.

Rules stand in one ordered list. Which of them can match depends first on four facts of the
envelope (kind, type, payload of an IQ, sender); for each combination that occurs the list is
searched once and the answer kept. What remains to be done for a stanza is a dictionary look-up,
the checks that the index does not cover, and XPath for those rules that have some.

An IQ get or set has exactly one child, its payload (RFC 6120 §8.2.3, rule 4). A path of an IQ
route begins with that child, and here only the first is looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from emp.routing.conditions import Check
from emp.routing.functions import bare, full
from emp.routing.xpath import Expression
from emp.stanza import Stanza
from emp.xml import Element

_log: Final = logging.getLogger("emp.routing")

# Combinations of kind, type, payload and sender whose rules are kept. Only values that stand in
# routes count, so peers cannot invent combinations; this bounds tables with many of each. An entry
# is a short tuple in most tables: about 0.3 kB.
INDEX_SIZE: Final = 16_384

Captured: TypeAlias = str | float | bool | Element | list[str | Element] | None


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One route, for people and for the router.

    number: from 1, in the order of the file; kind: message, presence, iq, or None for all;
    component, action: the class and the name of its method; resource: where it applies, None
    everywhere; file, line: where it was declared; xpath: all its conditions on the stanza as one
    XPath; captures: name → XPath; exact: matching needs no XPath.
    """

    number: int
    kind: str | None
    component: type
    action: str
    resource: str | None
    file: str
    line: int
    xpath: str
    captures: Mapping[str, str]
    exact: bool

    @property
    def source(self) -> str:
        """FILE:LINE of the declaration."""
        return f"{self.file}:{self.line}"


class Match(NamedTuple):
    """A route that matches, and what its captures found: name → value. Not to be changed."""

    route: Route
    captures: Mapping[str, Captured]


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A route ready to be matched. None in type, sender or payload: any.

    checks: what the index does not cover; expression: what only XPath can tell; plain: the match
    of a route without captures, made beforehand, as that takes longer than finding it.
    """

    route: Route
    type: str | None
    sender: str | None
    payload: str | None
    checks: tuple[Check, ...]
    expression: Expression | None
    captures: tuple[tuple[str, Expression], ...]
    plain: Match


_Key: TypeAlias = tuple[str, str | None, str | None, str | None]


class RouteTable:
    """The compiled routes; made by compile_routes(). Not to be changed, so it can be shared."""

    __slots__ = ("_index", "_payloads", "_reported", "_rules", "_senders", "_types", "routes")

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.routes: Final = tuple(rule.route for rule in rules)
        self._rules: Final = rules
        self._types: Final = frozenset(rule.type for rule in rules if rule.type is not None)
        self._senders: Final = frozenset(rule.sender for rule in rules if rule.sender is not None)
        self._payloads: Final = frozenset(
            rule.payload for rule in rules if rule.payload is not None
        )
        self._index: Final[dict[_Key, tuple[Rule, ...]]] = {}
        self._reported: Final[set[int]] = set()

    def match(
        self,
        stanza: Stanza,
        resource: str | None = None,
        component: bool = False,
        connection: str | None = None,
        after: int = 0,
    ) -> Match | None:
        """The first route that matches, None if none does. Never raises, whatever the stanza.

        resource: that of the connection by which the stanza came; component: it came by a
        component's connection, where the stanza's `to` takes the place of `resource`; connection:
        its name in the configuration; after: the number of a route, to look behind it only.
        """
        type: str | None = stanza.type
        if type not in self._types:
            type = None
        sender = payload = None
        senders = self._senders
        if senders and (text := stanza.from_text) is not None:
            # Most texts are normalised, and then no JID has to be made.
            sender = text.partition("/")[0]
            if sender not in senders and (sender := bare(sender)) not in senders:
                sender = None
        if self._payloads and stanza.kind == "iq":
            payload = stanza.payload_name
            if payload not in self._payloads:
                payload = None
        key = (stanza.kind, type, payload, sender)
        rules = self._index.get(key)
        if rules is None:
            rules = self._find(key)
        for rule in rules:
            wanted = rule.route.resource
            if after and rule.route.number <= after:
                continue
            if wanted is not None and not (
                _addresses(stanza, wanted) if component else wanted == resource
            ):
                continue
            for check in rule.checks:
                if not check(stanza):
                    break
            else:
                if rule.expression is None and not rule.captures:
                    return rule.plain
                found = self._evaluate(rule, stanza)
                if found is not None:
                    return found
        return None

    def _find(self, key: _Key) -> tuple[Rule, ...]:
        """The rules that can match, in order; kept for the next stanza while there is room."""
        kind, type, payload, sender = key
        rules = tuple(
            rule
            for rule in self._rules
            if rule.route.kind in (None, kind)
            and rule.type in (None, type)
            and rule.payload in (None, payload)
            and rule.sender in (None, sender)
        )
        if len(self._index) < INDEX_SIZE:
            self._index[key] = rules
        return rules

    def _evaluate(self, rule: Rule, stanza: Stanza) -> Match | None:
        try:
            tree = stanza.tree
            if rule.expression is not None and not rule.expression.holds(tree):
                return None
            return Match(
                rule.route,
                {name: captured(xpath.evaluate(tree)) for name, xpath in rule.captures},
            )
        except Exception as error:  # noqa: BLE001 - lxml passes on whatever an extension raises,
            # and no stanza may stop the router: for this route it is no match.
            self._report(rule.route, error)
            return None

    def _report(self, route: Route, error: Exception) -> None:
        if route.number not in self._reported:
            self._reported.add(route.number)
            _log.warning(
                "%s: XPath failed on a stanza, which then does not match this route: %s "
                "(reported once)",
                route.source,
                error,
            )


def _addresses(stanza: Stanza, resource: str) -> bool:
    """Whether a stanza to a component is for the resource: `to` names it, or none."""
    text = stanza.to_text or ""
    named = text.partition("/")[2]
    return not named or named == resource or full(text).partition("/")[2] == resource


def captured(value: Any) -> Captured:
    """What an action gets for the value of an XPath.

    No node: None. One attribute or text: str; one element: the element. Several: a list of these.
    A number: int where it is whole, else float, None where it is none (NaN). str and bool: as is.
    """
    if isinstance(value, list):
        nodes = [_node(node) for node in value]
        return nodes if len(nodes) > 1 else (nodes[0] if nodes else None)
    if isinstance(value, float):
        if value != value:
            return None
        return int(value) if value.is_integer() else value
    result: Captured = value
    return result


def _node(node: Any) -> str | Element:
    """A node of a result. Namespace nodes come as (prefix, URI): their value is the URI."""
    result: str | Element = node[1] if isinstance(node, tuple) else node
    return result
