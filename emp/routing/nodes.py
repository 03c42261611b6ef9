"""Captures in Python: the nodes at the end of a path, for the shapes that most captures have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from emp.routing.evaluation import Context, truth
from emp.routing.steps import meets, reached
from emp.routing.syntax import Node, Path
from emp.routing.trails import Hop, NotUnderstood, Trail, trail
from emp.xml import Element

Nodes: TypeAlias = Callable[[Element], list[Any]]


def nodes(node: Node) -> Nodes:
    """The path as a function that gives what lxml gives: elements or texts, in their order.

    Raises NotUnderstood.
    """
    if not isinstance(node, Path) or node.absolute:
        raise NotUnderstood
    found = trail(node.steps)
    if not found.ordered or (found.attribute is not None and found.attribute[1]):
        raise NotUnderstood
    hops = [_hop(hop) for hop in found.hops]
    end = _end(found)

    def find(element: Element) -> list[Any]:
        here = [element]
        for hop in hops:
            here = [each for one in here for each in hop(one)]
        return end(here)

    return find


def _hop(hop: Hop) -> Nodes:
    others, named = reached(hop), meets(hop)
    tests = [truth(each, Context.ELEMENT) for each in hop.predicates]
    if not tests:
        return lambda element: [each for each in others(element) if named(each)]

    def step(element: Element) -> list[Any]:
        return [
            each for each in others(element) if named(each) and all(test(each) for test in tests)
        ]

    return step


def _end(found: Trail) -> Callable[[list[Element]], list[Any]]:
    if found.attribute is not None:
        name = found.attribute[0]
        return lambda here: [value for each in here if (value := each.get(name)) is not None]
    if found.texts:
        return lambda here: [
            text for each in here for text in (each.text, *(child.tail for child in each)) if text
        ]
    return lambda here: here
