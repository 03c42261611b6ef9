"""What the route table holds: routes as people see them, and rules as the index needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

from lxml import etree

from emp.names import twin
from emp.routing.conditions import Condition
from emp.routing.guards import Guard
from emp.routing.keys import Key
from emp.routing.xpath import Expression
from emp.stanza import Stanza
from emp.view import tree_of
from emp.xml import Element

Captured: TypeAlias = str | float | bool | Element | list[str | Element] | None


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One route, for people and for the router.

    number: from 1, in the order of the file; kind: message, presence, iq, or None for all;
    component, action: the class and the name of its method; resource, connection: where it
    applies, None everywhere; file, line: where it was declared; xpath: all its conditions on the
    stanza as one XPath; captures: name → XPath or template; defaults: values for arguments that
    nothing else fills; guard: the name of its if_=; fallback: it comes after all that are none;
    payload: what matches has a payload for certain; exact: matching needs no XPath; indexed: by
    what the index finds it.
    """

    number: int
    kind: str | None
    component: type
    action: str
    resource: str | None
    connection: str | None
    file: str
    line: int
    xpath: str
    captures: Mapping[str, str]
    defaults: Mapping[str, Any]
    guard: str | None
    fallback: bool
    payload: bool
    exact: bool
    indexed: str

    @property
    def source(self) -> str:
        """FILE:LINE of the declaration."""
        return f"{self.file}:{self.line}"


class Match(NamedTuple):
    """A route that matches, and what its captures found: name → value. Not to be changed."""

    route: Route
    captures: Mapping[str, Captured]


class Capture(Protocol):
    """What a route takes out of a stanza for its action."""

    @property
    def text(self) -> str:
        """The XPath or the template, for people."""

    def evaluate(self, stanza: Stanza) -> Captured:
        """The value. Raises what lxml raises."""


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A route ready to be matched.

    conditions: all that must hold and is known without XPath, with type and payload; expression:
    what only XPath can tell, None if nothing; key: the condition by which the index finds it, one
    of `conditions`, None if it is always checked; filed: the key of that condition which is used;
    plain: the match of a route without captures, made beforehand, as that takes longer than
    finding it.
    """

    route: Route
    conditions: tuple[Condition, ...]
    expression: Expression | None
    guard: Guard | None
    captures: tuple[tuple[str, Capture], ...]
    key: Condition | None
    filed: Key | None
    plain: Match


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
    """A node of a result. Namespace nodes come as (prefix, URI): their value is the URI. An element
    is a copy, which is what comes out of another process as well."""
    if isinstance(node, etree._Element):
        return twin(node)
    result: str | Element = node[1] if isinstance(node, tuple) else node
    return result


@dataclass(frozen=True, slots=True)
class XPathCapture:
    """The value of an XPath. text: as the user wrote it; value: its value, as lxml gives it."""

    text: str
    value: Callable[[Element], Any]

    def evaluate(self, stanza: Stanza) -> Captured:
        """See captured(). Raises etree.XPathError where XPath finds a fault only now."""
        return captured(self.value(tree_of(stanza)))
