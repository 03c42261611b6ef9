"""What the routes lead to: the number of a call, and what it means.

A call stands for a route, so that a worker can say by it which route's action it was that passed a
stanza on. Numbers are never reused: workers keep what each means for as long as the router lives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from actors.crew import Crew
from actors.messages import ActionCall
from emp import app as application
from emp.routing import RouteTable
from emp.routing.rules import Route
from emp.stanza import Stanza

_Facts: TypeAlias = tuple[object, ...]


class Switch(NamedTuple):
    """A route table, and number of a route in it → the crew that acts, and the call."""

    table: RouteTable
    targets: dict[int, tuple[Crew, int]]


class Call(NamedTuple):
    """What a call means: the route, where it stands, and what the workers are told."""

    route: Route
    switch: Switch
    told: ActionCall


class Calls:
    """The route table in use, with what each route leads to; worked out once for each table, and
    not for every stanza. `crews` are by reference of their class."""

    __slots__ = ("_known", "_last", "_numbers", "_older", "crews", "switch")

    def __init__(self) -> None:
        self.crews: dict[str, Crew] = {}
        self.switch = Switch(RouteTable(()), {})
        self._older: list[Switch] = []  # there are stanzas of calls that stand in no newer one
        self._known: dict[int, Call] = {}
        self._numbers: dict[_Facts, int] = {}
        self._last = 0

    def use(self, table: RouteTable) -> None:
        """From now on, this table. Calls of another one mean what they meant while there are
        stanzas of them; a route that stands in both keeps its number."""
        switch = Switch(table, {})
        calls: dict[int, Call] = {}
        numbers: dict[_Facts, int] = {}
        alike: Counter[_Facts] = Counter()  # a loop in the routes file, with guards for instance
        for route in table.routes:
            reference = application.reference(route.component)
            facts: _Facts = (reference, route.source, route.xpath, route.action)
            alike[facts] += 1
            facts += (alike[facts],)
            told = self._call(facts, route)
            numbers[facts] = told.number
            calls[told.number] = Call(route, switch, told)
            crew = self.crew(reference, route.component)
            switch.targets[route.number] = crew, told.number
        self._keep_what_is_on_its_way(calls)
        self.switch, self._numbers = switch, numbers

    def _call(self, facts: _Facts, route: Route) -> ActionCall:
        call = ActionCall(
            number=self._last + 1,
            action=route.action,
            captures=tuple(route.captures),
            defaults=route.defaults,
            payload=route.payload,
            source=route.source,
        )
        before = self._known.get(self._numbers.get(facts, 0))
        if before is not None and before.told == replace(call, number=before.told.number):
            return before.told
        self._last += 1
        return call

    def _keep_what_is_on_its_way(self, calls: dict[int, Call]) -> None:
        in_use = {call for crew in self.crews.values() for call in crew.calls()} - calls.keys()
        self._older = [
            switch
            for switch in (*self._older, self.switch)
            if any(call in in_use for _, call in switch.targets.values())
        ]
        older = {call for switch in self._older for _, call in switch.targets.values()}
        self._known = {**{call: self._known[call] for call in older}, **calls}

    def crew(self, reference: str, component: type | None = None) -> Crew:
        """The crew of that class; a new one where nobody has worked for it yet."""
        crew = self.crews.get(reference)
        if crew is None:
            crew = self.crews[reference] = Crew(component) if component else Crew()
        return crew

    def told(self, numbers: Iterable[int]) -> tuple[ActionCall, ...]:
        """What workers have to know of these calls."""
        return tuple([self._known[number].told for number in numbers])

    def behind(
        self, call: int, stanza: Stanza, name: str, resource: str | None, is_component: bool
    ) -> tuple[Crew, int, Mapping[str, Any]] | None:
        """The next that matches behind the route of `call`: (crew, call, captures), or None. It
        looks in the table that the route stands in, which is the newest of them."""
        known = self._known.get(call)
        if known is None:
            return None
        table, targets = known.switch
        found = table.match(stanza, resource, is_component, name, known.route.number)
        return None if found is None else (*targets[found.route.number], found.captures)
