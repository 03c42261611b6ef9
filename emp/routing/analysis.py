"""What can be known of an expression without evaluating it: conditions with keys for the index.

Every condition that is found is necessary for a match. Where the whole expression is understood,
the conditions together say the same as it, and lxml need not be asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from emp import ns
from emp.routing.conditions import Check, Condition
from emp.routing.evaluation import Context, truth
from emp.routing.finding import Finder
from emp.routing.functions import bare
from emp.routing.keys import ANYWHERE, Fact, Key, Source, Term
from emp.routing.syntax import (
    Binary,
    Call,
    Filter,
    Literal,
    NameTest,
    Negative,
    Node,
    Path,
    Step,
    is_number,
)
from emp.routing.trails import NotUnderstood, trail
from emp.stanza import Stanza
from emp.view import tree_of

_REQUESTS: Final = frozenset({"get", "set"})


class Known(NamedTuple):
    """What is certain of every stanza that a route looks at. types: None if any is possible."""

    kind: str | None
    types: frozenset[str] | None = None

    @property
    def request(self) -> bool:
        """An IQ get or set: it has exactly one child (RFC 6120 §8.2.3, rule 4)."""
        return self.kind == "iq" and self.types is not None and self.types <= _REQUESTS


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition, its tree, and trees of expressions that hold where it holds: with its own."""

    condition: Condition
    own: Node
    meanings: frozenset[Node]


class Analysis(NamedTuple):
    """findings: what is necessary; exact: and, taken together, sufficient."""

    findings: tuple[Finding, ...]
    exact: bool


def first_step(node: Node) -> Step | None:
    """The first step of an expression that is a path."""
    return node.steps[0] if isinstance(node, Path) and node.steps else None


def conjuncts(node: Node) -> Iterator[Node]:
    """The parts of a route's expression that all have to hold, seen from the stanza.

    The name in a leading self:: is left out: it is the kind, of which the caller takes care.
    """
    step = first_step(node)
    if (
        not isinstance(node, Path)
        or step is None
        or step.axis != "self"
        or not isinstance(step.test, NameTest)
    ):
        yield from _joined(node)
        return
    for predicate in step.predicates:
        if is_number(predicate):
            yield Path(False, (Step("self", step.test, (predicate,)),))
        else:
            yield from _joined(predicate)
    if node.steps[1:]:
        yield Path(False, node.steps[1:])


def _joined(node: Node) -> Iterator[Node]:
    """The expressions that are joined by `and`."""
    if isinstance(node, Binary) and node.operator == "and":
        yield from _joined(node.left)
        yield from _joined(node.right)
    else:
        yield node


def analyse(node: Node, known: Known) -> Analysis:
    """What is known of the stanzas for which the expression holds."""
    findings: list[Finding] = []
    exact = True
    for part in conjuncts(node):
        found = _finding(part, known)
        if found is None:
            exact = False
            findings += (each for weak in _weaker(part) if (each := _finding(weak, known)))
        else:
            findings.append(found)
    return Analysis(tuple(findings), exact)


def type_names(node: Node) -> frozenset[str] | None:
    """The types of which a stanza has one where the expression holds, None if nothing is known."""
    found: frozenset[str] | None = None
    for part in conjuncts(node):
        names = _type_names(part)
        if names is not None:
            found = names if found is None else found & names
    return found


def speaks_of_type(node: object) -> bool:
    """Whether the expression looks at the stanza's type, in whatever way."""
    if isinstance(node, Path):
        for step in node.steps:
            if step.axis == "attribute" and str(step.test) == "type":
                return True
            if step.axis != "self":
                return False
            if any(map(speaks_of_type, step.predicates)):
                return True
        return False
    if isinstance(node, Filter):
        return speaks_of_type(node.primary)
    if isinstance(node, Binary):
        return speaks_of_type(node.left) or speaks_of_type(node.right)
    if isinstance(node, Negative):
        return speaks_of_type(node.operand)
    return isinstance(node, Call) and any(map(speaks_of_type, node.arguments))


_TYPE: Final = Path(False, (Step("attribute", NameTest(None, "type")),))


def _type_names(node: Node) -> frozenset[str] | None:
    if not isinstance(node, Binary):
        return None
    if node.operator == "=" and isinstance(node.right, Literal):
        return frozenset({node.right.text}) if node.left == _TYPE and node.right.text else None
    if node.operator != "or":
        return None
    left, right = _type_names(node.left), _type_names(node.right)
    return None if left is None or right is None else left | right


def _finding(node: Node, known: Known) -> Finding | None:
    """The condition that the expression is, None if it is not understood."""
    try:
        check = truth(node, Context.STANZA, known.kind)
    except NotUnderstood:
        return None
    keys = list(Finder(known).keys(node))
    if keys and keys[0].exact and all(_is_payload(term) for term in keys[0].terms):
        check = _has_payload(frozenset(term.value for term in keys[0].terms))
    condition = Condition(
        xpath=str(node),
        check=check,
        key=keys[0] if keys else None,
        others=tuple(keys[1:]),
        payload=any(map(_has_foreign_child, keys)),
    )
    return Finding(condition, node, frozenset({node, *implied(node)}))


def _is_payload(term: Term) -> bool:
    return term.source.fact is Fact.PAYLOAD


def _has_payload(names: frozenset[str]) -> Check:
    def check(stanza: Stanza) -> bool:
        name = stanza.payload_name
        if name is not None:
            return name in names
        return any(child.tag in names for child in tree_of(stanza))

    return check


def _has_foreign_child(key: Key) -> bool:
    """Whether each stanza that has the key has a child outside of jabber:client."""
    return all(_is_foreign(term.source) for term in key.terms)


def _is_foreign(source: Source) -> bool:
    return bool(source.path) and not source.path[0].startswith((f"{{{ns.CLIENT}}}", ANYWHERE))


# -- what holds as well ---------------------------------------------------------------------------


def _weaker(node: Node) -> Iterator[Node]:
    """Expressions that are understood and hold where this one, which is not, holds."""
    if isinstance(node, Filter):
        if isinstance(node.primary, Path | Filter):
            yield from _weaker(node.primary)
    elif isinstance(node, Path):
        yield from _weaker_path(node)
    elif isinstance(node, Binary) and node.operator in _COMPARISONS:
        for side, other in ((node.left, node.right), (node.right, node.left)):
            # No node-set compared with a number or text: no node, no comparison that holds.
            if isinstance(side, Path) and not isinstance(other, Call | Binary):
                yield from _weaker(side)


_COMPARISONS: Final = ("=", "!=", "<", "<=", ">", ">=")


def _weaker_path(path: Path) -> Iterator[Node]:
    """The path as far as it is understood, without those predicates that are not."""
    if path.absolute:
        return
    steps: list[Step] = []
    for step in path.steps:
        kept = tuple(each for each in step.predicates if _is_understood(each))
        longer = [*steps, Step(step.axis, step.test, kept)]
        try:
            trail(longer)
        except NotUnderstood:
            if step.axis != "descendant-or-self" or kept:
                break
        steps = longer
    while steps:
        try:
            trail(steps)
        except NotUnderstood:
            steps.pop()
        else:
            yield Path(False, tuple(steps))
            return


def _is_understood(predicate: Node) -> bool:
    try:
        truth(predicate, Context.ELEMENT)
    except NotUnderstood:
        return False
    return True


def implied(node: Node) -> Iterator[Node]:
    """Expressions that hold where this one holds, because they ask for a part of it."""
    if isinstance(node, Binary) and node.operator == "=":
        for side, other in ((node.left, node.right), (node.right, node.left)):
            if isinstance(side, Path) and isinstance(other, Literal):
                yield side
                yield from implied(side)
            if isinstance(side, Call) and isinstance(other, Literal) and side.name == "full":
                # Routes' prefixes cannot shadow jid:, so it is ours.
                call = Call(side.namespace, "bare", side.arguments)
                yield Binary("=", call, Literal(bare(other.text)))
    elif isinstance(node, Path):
        stripped: tuple[Step, ...] = ()
        for step in node.steps:
            for predicate in step.predicates:
                if not is_number(predicate):
                    yield Path(node.absolute, (*stripped, Step(step.axis, step.test, (predicate,))))
            stripped = (*stripped, Step(step.axis, step.test))
            yield Path(node.absolute, stripped)
