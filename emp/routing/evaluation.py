"""XPath in Python, for the shapes that routes are made of.

A compiled etree.XPath takes 1 µs and more for each stanza, and four where it calls a function of
ours; the same as a few nested Python functions takes a fraction. What is understood here means
exactly what lxml makes of it; for everything else NotUnderstood is raised, and lxml decides.

Existential by nature (XPath 1.0 §3.4): `body = 'x'` holds if any body has that text, while
`string(body)`, and so starts-with(body, …) and re:test(body, …), are of the first in the document.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from operator import attrgetter
from typing import Any, Final, TypeAlias

from emp import ns
from emp.routing import regex
from emp.routing.conditions import DEFAULT_TYPE
from emp.routing.functions import JID_FUNCTIONS, bare, domain, full, local, resource
from emp.routing.glance import glance
from emp.routing.keys import string_value
from emp.routing.steps import Then, any_text, meets, only_if, reached, to_any, to_child
from emp.routing.syntax import Binary, Call, Literal, NameTest, Node, Path, Step
from emp.routing.trails import Hop, NotUnderstood, Trail, trail
from emp.stanza import MESSAGE_TYPES, Stanza
from emp.view import tree_of
from emp.wire import BODY
from emp.xml import Element


class Context(Enum):
    """What the dot stands for: what the functions made here take."""

    STANZA = "stanza"  # a Stanza, whose tree is not touched where the envelope is enough
    ELEMENT = "element"
    TEXT = "text"  # the value of an attribute


# Of Any, because each context has its own.
Truth: TypeAlias = Callable[[Any], Any]
Text: TypeAlias = Callable[[Any], str]

_SLOTS: Final[dict[str, Callable[[Stanza], str | None]]] = {
    "from": attrgetter("from_text"),
    "to": attrgetter("to_text"),
    "id": attrgetter("id"),
}
_JID_PARTS: Final[dict[str, Callable[[str], str]]] = {
    "full": full, "bare": bare, "local": local, "domain": domain, "resource": resource,
}  # fmt: skip
_XML_SPACE: Final = re.compile(r"[ \t\r\n]+")


# -- truth ----------------------------------------------------------------------------------------


def truth(node: Node, context: Context, kind: str | None = None) -> Truth:
    """The expression as a function that says whether it holds (boolean(), §4.3).

    kind: that of the stanzas, where it is known. Raises NotUnderstood.
    """
    if isinstance(node, Path):
        return _exists(node, context, _there)
    if isinstance(node, Binary):
        return _binary(node, context, kind)
    if isinstance(node, Literal):
        holds = bool(node.text)
        return lambda _: holds
    if isinstance(node, Call):
        return _call(node, context, kind)
    raise NotUnderstood


def _binary(node: Binary, context: Context, kind: str | None) -> Truth:
    if node.operator in ("=", "!="):
        return _comparison(node, context, kind)
    if node.operator == "|" and not (_finds_nodes(node.left) and _finds_nodes(node.right)):
        raise NotUnderstood
    if node.operator not in ("and", "or", "|"):
        raise NotUnderstood
    left, right = truth(node.left, context, kind), truth(node.right, context, kind)
    if node.operator == "and":
        return lambda dot: left(dot) and right(dot)
    return lambda dot: left(dot) or right(dot)


def _finds_nodes(node: Node) -> bool:
    if isinstance(node, Binary):
        return node.operator == "|" and _finds_nodes(node.left) and _finds_nodes(node.right)
    return isinstance(node, Path)


def _comparison(node: Binary, context: Context, kind: str | None) -> Truth:
    left, right = node.left, node.right
    if isinstance(left, Literal):
        left, right = right, left
    if not isinstance(right, Literal):
        raise NotUnderstood
    wanted, equal = right.text, node.operator == "="
    if isinstance(left, Path):
        if equal and _is_plain_type(left, wanted, context, kind):
            return lambda stanza: bool(stanza.type == wanted)
        if equal:
            return _exists(left, context, lambda value: bool(value == wanted))
        return _exists(left, context, lambda value: bool(value != wanted))
    value = text(left, context)
    if equal:
        return lambda dot: value(dot) == wanted
    return lambda dot: value(dot) != wanted


def _is_plain_type(path: Path, wanted: str, context: Context, kind: str | None) -> bool:
    """Whether @type='…' asks for a type that an absent one never stands for."""
    defaults = DEFAULT_TYPE.values() if kind is None else (DEFAULT_TYPE[kind],)
    if kind in (None, "message") and wanted not in MESSAGE_TYPES:
        return False  # a message that has it reads as a normal one
    return (
        context is Context.STANZA
        and path.steps == (Step("attribute", NameTest(None, "type")),)
        and bool(wanted)
        and wanted not in defaults
    )


def _call(node: Call, context: Context, kind: str | None) -> Truth:
    name, arguments = node.name, node.arguments
    if node.namespace == ns.EXSLT_REGEXP and name == "test":
        return _re_test(node, context)
    if node.namespace is None:
        if name == "not":
            inner = truth(arguments[0], context, kind)
            return lambda dot: not inner(dot)
        if name == "boolean":
            return truth(arguments[0], context, kind)
        if name in ("true", "false"):
            holds = name == "true"
            return lambda _: holds
        if name in ("starts-with", "contains"):
            return _text_test(node, context)
    value = text(node, context)
    return lambda dot: bool(value(dot))


def _re_test(node: Call, context: Context) -> Truth:
    pattern = pattern_of(node)
    value, found = text(node.arguments[0], context), pattern.found
    return lambda dot: found(value(dot))


def pattern_of(node: Call) -> regex.Pattern:
    """The pattern of a re:test(). Raises NotUnderstood for one put together by concat()."""
    if not all(isinstance(argument, Literal) for argument in node.arguments[1:]):
        raise NotUnderstood
    return regex.compile_pattern(*[str(getattr(each, "text", "")) for each in node.arguments[1:]])


def _text_test(node: Call, context: Context) -> Truth:
    whole, part = (text(argument, context) for argument in node.arguments)
    if node.name == "contains":
        return lambda dot: part(dot) in whole(dot)
    return lambda dot: whole(dot).startswith(part(dot))


# -- texts ----------------------------------------------------------------------------------------


def text(node: Node, context: Context) -> Text:
    """The expression as a function that gives its text (string(), §4.2). Raises NotUnderstood."""
    if isinstance(node, Literal):
        literal = node.text
        return lambda _: literal
    if isinstance(node, Path):
        return _first(node, context)
    if not isinstance(node, Call):
        raise NotUnderstood
    if node.namespace == JID_FUNCTIONS:
        return _after(text(node.arguments[0], context), _JID_PARTS[node.name])
    if node.namespace is None and node.arguments:
        if node.name == "string":
            return text(node.arguments[0], context)
        if node.name == "normalize-space":
            return _after(text(node.arguments[0], context), _normalized)
        if node.name == "concat":
            parts = [text(argument, context) for argument in node.arguments]
            return lambda dot: "".join([part(dot) for part in parts])
    raise NotUnderstood


def _after(value: Text, function: Callable[[str], str]) -> Text:
    return lambda dot: function(value(dot))


def _normalized(value: str) -> str:
    return _XML_SPACE.sub(" ", value).strip(" ")


def _first(path: Path, context: Context) -> Text:
    if context is Context.STANZA and (get := _slot(path)):
        return lambda stanza: get(stanza) or ""
    if not path.steps or (context is not Context.TEXT and not trail(path.steps).ordered):
        raise NotUnderstood
    if context is Context.STANZA and (tag := _only_child(path)):
        return _text_of_child(tag)
    search = _walk(path, context, lambda value: (value,))

    def first(dot: Any) -> str:
        found = search(dot)
        return found[0] if found else ""

    return first


def _only_child(path: Path) -> str | None:
    """The name if the path is no more than that of a child."""
    found = trail(path.steps)
    if len(found.hops) != 1 or found.attribute is not None or found.texts:
        return None
    hop = found.hops[0]
    return hop.tag if hop.axis == "child" and not hop.predicates else None


def _text_of_child(tag: str) -> Text:
    is_body = tag == BODY

    def text_of_child(stanza: Stanza) -> str:
        seen = glance(stanza)
        if seen is not False:
            return seen or "" if is_body else ""
        for child in tree_of(stanza):
            if child.tag == tag:
                return string_value(child)
        return ""

    return text_of_child


def _slot(path: Path) -> Callable[[Stanza], str | None] | None:
    if len(path.steps) != 1 or path.steps[0].predicates or path.steps[0].axis != "attribute":
        return None
    return _SLOTS.get(str(path.steps[0].test))


# -- walking --------------------------------------------------------------------------------------


def _there(_value: object) -> bool:
    return True


def _exists(path: Path, context: Context, accept: Callable[[str], bool]) -> Truth:
    """Whether the string-value of any node at the end of the path is accepted."""
    if context is Context.STANZA and (get := _slot(path)):
        return lambda stanza: (value := get(stanza)) is not None and accept(value)
    return _walk(path, context, accept)


def _walk(path: Path, context: Context, accept: Callable[[str], Any]) -> Then:
    """A function that gives the first true value of `accept` for a node at the end of the path."""
    if path.absolute:
        raise NotUnderstood
    found = trail(path.steps)
    if context is Context.TEXT:
        if found != Trail((), None, False):
            raise NotUnderstood
        return accept
    then = _end(found, accept)
    for hop in reversed(found.hops):
        then = _step(hop, then)
    return then if context is Context.ELEMENT else _from_stanza(found, accept, then)


def _from_stanza(found: Trail, accept: Callable[[str], Any], then: Then) -> Then:
    """From the stanza itself; without its tree where a glance is enough."""
    first = found.hops[0] if found.hops else None
    if first is None or first.axis != "child" or first.tag is None:
        return lambda stanza: then(tree_of(stanza))
    if first.tag != BODY:
        # Where all children are known, this is none of them.
        return lambda stanza: then(tree_of(stanza)) if glance(stanza) is False else None
    if len(found.hops) > 1 or first.predicates or found.attribute is not None:
        return lambda stanza: then(tree_of(stanza))

    def of_body(stanza: Stanza) -> Any:
        seen = glance(stanza)
        if seen is False:
            return then(tree_of(stanza))
        return None if seen is None or (found.texts and not seen) else accept(seen)

    return of_body


def _end(found: Trail, accept: Callable[[str], Any]) -> Then:
    if found.texts:
        return lambda element: any_text(element, accept)
    if found.attribute is None and accept is _there:
        return _there
    if found.attribute is None:
        return lambda element: accept(string_value(element))
    name, predicates = found.attribute
    tests = [truth(each, Context.TEXT) for each in predicates]
    if not tests:
        return lambda element: None if (value := element.get(name)) is None else accept(value)

    def attribute(element: Element) -> Any:
        value = element.get(name)
        if value is None or not all(test(value) for test in tests):
            return None
        return accept(value)

    return attribute


def _step(hop: Hop, then: Then) -> Then:
    for predicate in reversed(hop.predicates):
        then = only_if(truth(predicate, Context.ELEMENT), then)
    if hop.axis == "self":
        return only_if(meets(hop), then)
    if hop.axis == "child" and hop.tag is not None:
        return to_child(hop.tag, then)
    return to_any(reached(hop), meets(hop), then)
