"""From a syntax tree to the keys by which the index finds stanzas for which it holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from emp import ns
from emp.routing.conditions import pattern_key
from emp.routing.evaluation import pattern_of
from emp.routing.functions import JID_FUNCTIONS, bare, domain
from emp.routing.keys import ANYWHERE, Fact, Key, Source, Term
from emp.routing.syntax import Binary, Call, Literal, Node, Path
from emp.routing.trails import Hop, NotUnderstood, Trail, trail
from emp.stanza import MESSAGE_TYPES

if TYPE_CHECKING:
    from emp.routing.analysis import Known

# Alternatives joined by `or` beyond this number are not worth their places in the index.
MOST_TERMS: Final = 64

_At = tuple[str, ...] | None
"""Clark names from the stanza downward; None if they are not known."""


class Finder:
    """keys(node): each is necessary for the expression to hold, the most telling ones first."""

    def __init__(self, known: Known) -> None:
        self._known = known

    def keys(self, node: Node, at: _At = ()) -> list[Key]:
        """at: the element that the dot stands for, the stanza or one below it."""
        try:
            return list(self._keys(node, at))
        except NotUnderstood:
            return []

    def _keys(self, node: Node, at: _At) -> Iterator[Key]:
        if isinstance(node, Path):
            yield from self._of_path(node, at, None)
        elif isinstance(node, Binary):
            yield from self._of_binary(node, at)
        elif isinstance(node, Call):
            yield from self._of_call(node, at)

    def _of_binary(self, node: Binary, at: _At) -> Iterator[Key]:
        if node.operator == "and":
            for key in (*self.keys(node.left, at), *self.keys(node.right, at)):
                yield Key(key.terms)
        elif node.operator in ("or", "|"):
            left, right = self.keys(node.left, at), self.keys(node.right, at)
            if left and right:
                terms = tuple(dict.fromkeys((*left[0].terms, *right[0].terms)))
                if len(terms) <= MOST_TERMS:
                    yield Key(terms, left[0].exact and right[0].exact)
        elif node.operator == "=":
            left_node, right_node = node.left, node.right
            if isinstance(left_node, Literal):
                left_node, right_node = right_node, left_node
            if isinstance(right_node, Literal):
                yield from self._of_equality(left_node, right_node.text, at)
        elif node.operator == "!=" and _is_path_and_literal(node):
            yield from map(_inexact, self.keys(node.left, at))

    def _of_equality(self, node: Node, wanted: str, at: _At) -> Iterator[Key]:
        if isinstance(node, Path):
            yield from self._of_path(node, at, (Fact.TEXT, wanted))
        elif isinstance(node, Call) and wanted and len(node.arguments) == 1:
            argument = node.arguments[0]
            if node.namespace is None and node.name == "string":
                yield from map(_inexact, self._of_equality(argument, wanted, at))
            elif node.namespace == JID_FUNCTIONS:
                name = _address(argument) if at == () else None
                if name is not None:
                    yield from _of_jid(node.name, name, wanted)
                if isinstance(argument, Path):
                    yield from map(_inexact, self.keys(argument, at))

    def _of_call(self, node: Call, at: _At) -> Iterator[Key]:
        arguments = node.arguments
        if node.namespace == ns.EXSLT_REGEXP and node.name == "test":
            pattern = pattern_of(node)
            if not pattern.found("") and isinstance(arguments[0], Path):
                yield from self._of_pattern(arguments[0], node, at)
        elif node.namespace is None and node.name == "boolean":
            yield from self.keys(arguments[0], at)
        elif (node.namespace is None and node.name == "string") or node.namespace == JID_FUNCTIONS:
            # Not for others than paths: string(false()) is true.
            if arguments and isinstance(arguments[0], Path):
                yield from map(_inexact, self.keys(arguments[0], at))
        elif node.namespace is None and node.name in ("starts-with", "contains"):
            wanted = arguments[1]
            if isinstance(arguments[0], Path) and isinstance(wanted, Literal) and wanted.text:
                fact = Fact.START if node.name == "starts-with" else Fact.PART
                yield from self._of_path(arguments[0], at, (fact, wanted.text))

    def _of_pattern(self, path: Path, node: Call, at: _At) -> Iterator[Key]:
        where, name = _ends(path, at)
        if where is not None and (where or name not in ("", "type")):
            key = pattern_key(pattern_of(node), where, name)
            if key is not None:
                yield key
        yield from map(_inexact, self.keys(path, at))

    # -- paths ------------------------------------------------------------------------------------

    def _of_path(self, path: Path, at: _At, wanted: tuple[Fact, str] | None) -> Iterator[Key]:
        """wanted: what the text at the end of the path has to be, if anything."""
        if path.absolute:
            raise NotUnderstood
        found = trail(path.steps)
        where = _follow(found.hops, at)
        pure = not any(hop.predicates for hop in found.hops)
        if found.attribute:
            pure = pure and not found.attribute[1]
        if wanted is not None:
            yield from self._at_end(found, where, wanted, pure)
        yield from self._in_predicates(found, at, wanted)
        if wanted is None:
            yield from self._at_end(found, where, wanted, pure)
        if where and not (wanted is None and not found.attribute and not found.texts):
            yield self._exists(where, False)

    def _at_end(
        self, found: Trail, where: _At, wanted: tuple[Fact, str] | None, pure: bool
    ) -> Iterator[Key]:
        name = found.attribute[0] if found.attribute else ""
        if where is None:
            return
        exact = pure and not any(hop.axis in _INEXACT for hop in found.hops)
        exact = exact and where[:1] != (ANYWHERE,)  # behind a * it may be another
        if wanted is None:
            if where and not name and not found.texts:
                yield self._exists(where, exact)
            return
        fact, value = wanted
        if not where and name == "type":
            if fact is Fact.TEXT and value:
                yield Key(tuple(Term(Source(Fact.TYPE), each) for each in self._types(value)))
        elif name:
            fact = Fact.ATTRIBUTE if fact is Fact.TEXT else fact
            yield Key((Term(Source(fact, where, name), value),), exact and fact is Fact.ATTRIBUTE)
        elif where:
            yield Key((Term(Source(fact, where), value),))

    def _types(self, written: str) -> Iterator[str]:
        """As what the type of a stanza reads where it is written so."""
        if self._known.kind != "message" or written in MESSAGE_TYPES:
            yield written
        if self._known.kind in (None, "message") and written not in MESSAGE_TYPES:
            yield "normal"

    def _in_predicates(
        self, found: Trail, at: _At, wanted: tuple[Fact, str] | None
    ) -> Iterator[Key]:
        """Of x[@a='b'], the key for @a='b'."""
        where = at
        hops = found.hops
        for number, hop in enumerate(hops):
            where = _follow((hop,), where)
            for predicate in hop.predicates:
                for key in self.keys(predicate, where):
                    # x[@a='b'] alone says the same as x/@a='b'.
                    only = (
                        number == len(hops) - 1
                        and sum(len(each.predicates) for each in hops) == 1
                        and wanted is None
                        and found.attribute is None
                        and not found.texts
                        and not any(each.axis in _INEXACT for each in hops)
                    )
                    yield key if only else _inexact(key)

    def _exists(self, where: tuple[str, ...], exact: bool) -> Key:
        if self._known.request and len(where) == 1:
            return Key((Term(Source(Fact.PAYLOAD), where[0]),), exact)
        return Key((Term(Source(Fact.CHILD, where), ""),), exact)


# Axes where the index finds more than the path does.
_INEXACT: Final = ("descendant", "descendant-or-self", "self")


def _inexact(key: Key) -> Key:
    return Key(key.terms)


def _is_path_and_literal(node: Binary) -> bool:
    return isinstance(node.left, Path) and isinstance(node.right, Literal)


def _follow(hops: Sequence[Hop], at: _At) -> _At:
    """Where the hops lead."""
    for hop in hops:
        if hop.axis == "self" and (hop.tag is None or at):
            continue
        if hop.tag is None:
            at = None
        elif hop.axis == "child" and at is not None:
            at = (*at, hop.tag)
        else:
            at = (ANYWHERE, hop.tag)
    return at


def _ends(path: Path, at: _At) -> tuple[_At, str]:
    """Where the path leads, and the name of the attribute there, "" for a text."""
    found = trail(path.steps)
    return _follow(found.hops, at), found.attribute[0] if found.attribute else ""


def _address(node: Node) -> str | None:
    """from or to, if the expression is just that attribute."""
    name = str(node)
    return name[1:] if name in ("@from", "@to") else None


def _of_jid(function: str, name: str, wanted: str) -> Iterator[Key]:
    if function in ("bare", "full") and bare(wanted):
        source = Source(Fact.BARE, (), name)
        yield Key((Term(source, bare(wanted)),), function == "bare" and bare(wanted) == wanted)
    elif function == "domain" and domain(wanted):
        source = Source(Fact.DOMAIN, (), name)
        yield Key((Term(source, domain(wanted)),))
