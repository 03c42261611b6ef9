"""The route table: from a stanza to the first route that matches.

The index proposes the few rules that can match, in order. What it does not decide, checks in
Python do; what they do not understand, XPath; and the guard of a route has the last word.

Fallbacks stand behind all other rules. A route's number is its place in the file all the same.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from emp.routing.functions import full
from emp.routing.index import branches, in_order
from emp.routing.rules import Capture, Captured, Match, Route, Rule, captured
from emp.stanza import Stanza
from emp.view import tree_of

__all__ = ["Capture", "Captured", "Match", "Route", "RouteTable", "Rule", "captured"]

# What Route.indexed says of a route that the index cannot find.
ALWAYS: Final = "always checked"

_log: Final = logging.getLogger("emp.routing")


class RouteTable:
    """The compiled routes; made by compile_routes(). Not to be changed, so it can be shared.

    rules, routes: in the order in which they are asked; always: how many of them the index cannot
    find, so that each stanza of their kind and type is checked.
    """

    __slots__ = ("_kinds", "_ranks", "_reported", "always", "routes", "rules")

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules: Final = tuple(sorted(rules, key=lambda rule: rule.route.fallback))
        self.routes: Final = tuple(rule.route for rule in self.rules)
        self.always: Final = sum(route.indexed == ALWAYS for route in self.routes)
        self._kinds: Final = branches(self.rules)
        self._ranks: Final = {route.number: rank for rank, route in enumerate(self.routes)}
        self._reported: Final[set[int]] = set()

    def census(self) -> Mapping[str, int]:
        """How many routes are found by which kind of key."""
        return Counter(route.indexed for route in self.routes)

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
        try:
            types, other = self._kinds[stanza.kind]
            branch = types.get(stanza.type, other)
            hits = branch.always
            for find in branch.finders:
                found = find(stanza)
                if found:
                    hits = in_order((hits, found)) if hits else found
            start = self._ranks.get(after, len(self.rules)) + 1 if after else 0
            walk = branch.walk
            while True:
                for candidate in hits:
                    rank = candidate.rank
                    if rank < start:
                        continue
                    if walk is not None and rank > branch.first:
                        break  # the tree may know one that comes before this
                    if candidate.scoped and not _in_scope(
                        candidate.rule.route, stanza, resource, component, connection
                    ):
                        continue
                    try:
                        for check in candidate.checks:
                            if not check(stanza):
                                break
                        else:
                            match = candidate.plain or self._decide(candidate.rule, stanza)
                            if match is not None:
                                return match
                    except Exception as error:  # noqa: BLE001 - lxml passes on whatever an
                        # extension raises, and no stanza may stop the router: no match.
                        self._report(candidate.rule.route, "XPath", error)
                if walk is None:
                    return None
                if start < branch.first:
                    start = branch.first
                seen = walk.find(stanza).values()
                hits = in_order((hits, *seen)) if hits else in_order(seen)
                walk = None
        except Exception as error:  # noqa: BLE001 - a tree that cannot be parsed
            self._report(None, "the index", error)
            return None

    def _decide(self, rule: Rule, stanza: Stanza) -> Match | None:
        """What is left when all checks hold."""
        if rule.expression is not None and not rule.expression.holds(tree_of(stanza)):
            return None
        if rule.guard is not None:
            try:
                if not rule.guard(stanza):
                    return None
            except Exception as error:  # noqa: BLE001 - the user's own code
                self._report(rule.route, f"its guard {rule.route.guard}", error)
                return None
        if not rule.captures:
            return rule.plain
        return Match(
            rule.route, {name: capture.evaluate(stanza) for name, capture in rule.captures}
        )

    def _report(self, route: Route | None, what: str, error: Exception) -> None:
        number = 0 if route is None else route.number
        if number not in self._reported:
            self._reported.add(number)
            _log.warning(
                "%s: %s failed on a stanza, which then does not match %s: %s: %s (reported once)",
                "routes" if route is None else route.source,
                what,
                "any route" if route is None else "this route",
                type(error).__name__,
                error,
            )


def _in_scope(
    route: Route, stanza: Stanza, resource: str | None, component: bool, connection: str | None
) -> bool:
    if route.connection is not None and route.connection != connection:
        return False
    wanted = route.resource
    if wanted is None:
        return True
    return addresses(stanza, wanted) if component else wanted == resource


def addresses(stanza: Stanza, resource: str) -> bool:
    """Whether a stanza to a component is for the resource: `to` names it, or none."""
    text = stanza.to_text or ""
    named = text.partition("/")[2]
    return not named or named == resource or full(text).partition("/")[2] == resource
