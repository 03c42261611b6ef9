"""The shape of a path: by which elements it leads, for those shapes that routes are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from emp.routing.syntax import NameTest, Node, Step, TypeTest


class NotUnderstood(Exception):
    """Only lxml can tell what this expression means."""


class Hop(NamedTuple):
    """From one element to others. tag: None for any; namespace: of a `p:*`, else None."""

    axis: str  # child, descendant, descendant-or-self or self
    tag: str | None
    namespace: str | None
    predicates: tuple[Node, ...]


class Trail(NamedTuple):
    """A path that is understood: elements, and at the end perhaps an attribute or texts.

    attribute: its name and predicates; texts: the path ends in text().
    """

    hops: tuple[Hop, ...]
    attribute: tuple[str, tuple[Node, ...]] | None
    texts: bool

    @property
    def ordered(self) -> bool:
        """Whether walking along it finds the nodes in the order of the document."""
        # An element comes before what is in it, but its texts may come behind.
        hops = self.hops if self.texts else self.hops[:-1]
        return all(hop.axis in ("child", "self") for hop in hops)


def trail(steps: Sequence[Step]) -> Trail:
    """The path as hops. Raises NotUnderstood."""
    hops: list[Hop] = []
    everywhere = False
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        if _is_node(step, "self"):
            continue
        if _is_node(step, "descendant-or-self"):
            everywhere = True
            continue
        if step.axis == "attribute" and last:
            name = step.test.tag if isinstance(step.test, NameTest) else None
            if name is None:
                raise NotUnderstood
            return Trail((*hops, *_anything(everywhere)), (name, step.predicates), False)
        if last and step.axis == "child" and step.test == TypeTest("text") and not step.predicates:
            return Trail((*hops, *_anything(everywhere)), None, True)
        hops.append(_hop(step, everywhere))
        everywhere = False
    # `.//.` finds text nodes as well.
    if everywhere:
        raise NotUnderstood
    return Trail(tuple(hops), None, False)


def _is_node(step: Step, axis: str) -> bool:
    return step.axis == axis and step.test == TypeTest("node") and not step.predicates


def _anything(everywhere: bool) -> Iterable[Hop]:
    return [Hop("descendant-or-self", None, None, ())] if everywhere else []


_DEEPER: Final = {
    "child": "descendant",
    "descendant": "descendant",
    "self": "descendant-or-self",
    "descendant-or-self": "descendant-or-self",
}


def _hop(step: Step, everywhere: bool) -> Hop:
    axis = _DEEPER.get(step.axis, "") if everywhere else step.axis
    if axis not in _DEEPER.values() and axis not in ("child", "self"):
        raise NotUnderstood
    test = step.test
    if isinstance(test, TypeTest):
        # Only of the dot, which is an element, are all nodes elements.
        if test.type != "node" or axis != "self":
            raise NotUnderstood
        return Hop(axis, None, None, step.predicates)
    if axis.startswith("descendant") and (test.tag or "").count("}") > 1:
        raise NotUnderstood  # lxml's iter() does not find names in such a namespace
    return Hop(axis, test.tag, test.namespace if test.tag is None else None, step.predicates)
