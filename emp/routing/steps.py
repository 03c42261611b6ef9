"""Steps from element to element, in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from emp.routing.trails import Hop
from emp.xml import Element, clark

Then: TypeAlias = Callable[[Any], Any]
"""What is done with an element: gives something true if the search is over."""


def any_text(element: Element, accept: Callable[[str], Any]) -> Any:
    """The first true value of `accept` for a text node of the element."""
    for value in (element.text, *(child.tail for child in element)):
        if value and (found := accept(value)):
            return found
    return None


def only_if(test: Then, then: Then) -> Then:
    """Goes on from an element for which the test holds."""
    return lambda element: then(element) if test(element) else None


def to_child(tag: str, then: Then) -> Then:
    """Goes on from the children of that name."""

    def step(element: Element) -> Any:
        # Hot path: iterchildren(tag) takes 1.6 times as long.
        for child in element:
            if child.tag == tag and (found := then(child)):
                return found
        return None

    return step


def to_any(
    others: Callable[[Any], Iterable[Element]], meets: Callable[[Element], bool], then: Then
) -> Then:
    """Goes on from those of the others that meet the test."""

    def step(element: Element) -> Any:
        for other in others(element):
            if meets(other) and (found := then(other)):
                return found
        return None

    return step


def reached(hop: Hop) -> Callable[[Any], Iterable[Element]]:
    """From an element to those on the axis, of which some may have other names."""
    if hop.axis == "child":
        return iter
    if hop.axis == "descendant":
        return lambda element: element.iterdescendants(hop.tag)
    if hop.axis == "descendant-or-self":
        return lambda element: element.iter(hop.tag)
    return lambda element: (element,)


def meets(hop: Hop) -> Callable[[Element], bool]:
    """Whether an element has a name that the hop asks for."""
    if hop.tag is not None:
        return lambda element: bool(element.tag == hop.tag)
    if hop.namespace is not None:
        # The name has no brace, the namespace may have some.
        inside = clark(hop.namespace, "")[:-1]
        return lambda element: bool(element.tag.rpartition("}")[0] == inside)
    return lambda element: isinstance(element.tag, str)
