"""Where the value of an action's parameter comes from: see emp.binding for the order."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, is_dataclass
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeAlias

from emp.convert import POSSIBLE, Converter, Source, UnknownAnnotation, converter, resolved
from emp.errors import BadRequest, JIDError
from emp.jid import JID
from emp.lexical import quoted
from emp.records import children_in, value_in, xml_name
from emp.stanza import Iq, Message, Stanza
from emp.view import payload_of
from emp.xep.forms import Form, form_of
from emp.xml import Element

Get: TypeAlias = Callable[[Any, Stanza, Mapping[str, Any]], Any]
"""(component, stanza, captures) → value, None where there is none. Raises BadRequest."""

# How alike two names are when one is probably a slip of the pen: "sendr" and "sender" are 0.91,
# "form" and "from" 0.75.
NEAR: Final = 0.85

_EMPTY: Final = inspect.Parameter.empty


class Mistake(Exception):
    """What is wrong with an action, for its author; and what to do about it."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


# -- facts ----------------------------------------------------------------------------------------


def _address(name: str, field: str) -> Get:
    read, text = attrgetter(field), attrgetter(f"{field.removesuffix('_')}_text")

    def get(component: Any, stanza: Stanza, captured: Mapping[str, Any]) -> Any:
        try:
            return read(stanza)
        except JIDError:
            raise BadRequest(f"argument {name!r}: {quoted(text(stanza))} is not a JID") from None

    return get


def _body(component: Any, stanza: Stanza, captured: Mapping[str, Any]) -> str | None:
    return stanza.body if isinstance(stanza, Message) else None


def _form(component: Any, stanza: Stanza, captured: Mapping[str, Any]) -> Form | None:
    try:
        return form_of(stanza)
    except BadRequest as error:
        raise BadRequest(f"argument 'form': {error.text}") from None


class Fact(NamedTuple):
    """what: it is, for messages; cls: its type, None if that is not ours to know; others: what it
    is converted to where the annotation asks for it."""

    get: Get
    what: str
    cls: Any
    others: frozenset[Source] = frozenset()


_TEXT: Final[frozenset[Source]] = frozenset({"text"})

FACTS: Final[dict[str, Fact]] = {
    "stanza": Fact(lambda _, stanza, captured: stanza, "a stanza", Stanza, frozenset({"stanza"})),
    "sender": Fact(_address("sender", "from_"), "a JID", JID, _TEXT),
    "to": Fact(_address("to", "to"), "a JID", JID, _TEXT),
    "body": Fact(_body, "a text", str, _TEXT),
    "type": Fact(lambda _, stanza, captured: stanza.type, "a text", str, _TEXT),
    "lang": Fact(lambda _, stanza, captured: stanza.lang, "a text", str, _TEXT),
    "payload": Fact(
        lambda _, stanza, captured: stanza.payload,
        "an element",
        Element,
        frozenset({"text", "element"}),
    ),
    "form": Fact(_form, "a data form", Form),
    "connection": Fact(lambda component, stanza, captured: component.connection, "", None),
}
"""What every stanza can give an action."""


# -- origins --------------------------------------------------------------------------------------


class Origin(NamedTuple):
    """find: None where there is nothing; exact: what it finds needs no converting."""

    find: Get
    wanted: Converter
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """What a route offers to an action; the fields are the arguments of emp.binding.bind()."""

    action: Callable[..., Any]
    captures: frozenset[str]
    defaults: Mapping[str, Any]
    payload: bool

    def default(self, parameter: inspect.Parameter) -> Any:
        """The value where the stanza has none: the route's, else the parameter's, else EMPTY."""
        return self.defaults.get(parameter.name, parameter.default)

    def origin(self, parameter: inspect.Parameter) -> Origin | None:
        """Where the value comes from; None if only the default can fill it. Raises Mistake."""
        name = parameter.name
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise Mistake(
                f"{self._action} takes {name!r} by position only",
                "Arguments are given by name: remove the /",
            )
        if name in self.captures:
            wanted = self._wanted(parameter)
            exact = wanted.as_is
            return Origin(lambda component, stanza, captured: captured.get(name), wanted, exact)
        if name in FACTS:
            return self._fact(parameter)
        has_default = self.default(parameter) is not _EMPTY
        try:
            wanted = self._wanted(parameter)
        except Mistake:
            if has_default and not self.payload:
                return None  # the annotation is nobody's business
            raise
        tag = None if wanted.many else getattr(wanted.cls, "__xml_tag__", None)
        if tag and (self.payload or has_default or wanted.optional):
            return Origin(_payload_named(tag), wanted)
        if self.payload:
            return self._field(parameter, wanted, has_default)
        if has_default:
            return None
        raise self._unfilled(name)

    # -- the three origins ------------------------------------------------------------------------

    def _fact(self, parameter: inspect.Parameter) -> Origin:
        name = parameter.name
        get, what, cls, others = FACTS[name]
        if cls is None:
            return Origin(get, converter(Any))
        wanted = self._wanted(parameter)
        exact = wanted.as_is or (wanted.cls is cls and not wanted.many)
        unlike = cls is JID and wanted.cls not in (JID, str)  # no address is a number
        if exact or (wanted.source in others and not wanted.many and not unlike):
            tag = getattr(wanted.cls, "__xml_tag__", None) if name == "payload" else None
            return Origin(_payload_named(tag) if tag else get, wanted, exact)
        raise Mistake(
            f"{self._action}: {name!r} is {what}, which does not become {wanted.what}",
            f"Change the annotation, or capture something by that name: {name}='XPath'",
        )

    def _field(self, parameter: inspect.Parameter, wanted: Converter, has_default: bool) -> Origin:
        name = parameter.name
        if wanted.source == "stanza":
            raise Mistake(f"{self._action} has a parameter {name!r} for a stanza", "Call it stanza")
        near = None if has_default else meant(name, [*self.captures, *FACTS])
        if near:
            raise Mistake(
                f"{self._action} has a parameter {name!r}",
                f"{near} For a field of the payload with that name, capture it in the route:"
                f" {name}='*/@{xml_name(name)}'",
            )
        cls = wanted.cls
        if not wanted.many and (is_dataclass(cls) or hasattr(cls, "from_xml")):
            return Origin(lambda component, stanza, captured: stanza.payload, wanted)
        inside = getattr(cls, "__xml_tag__", xml_name(name))

        def elements(component: Any, stanza: Stanza, captured: Mapping[str, Any]) -> Any:
            payload = stanza.payload
            return None if payload is None else children_in(payload, inside)

        def value(component: Any, stanza: Stanza, captured: Mapping[str, Any]) -> Any:
            payload = payload_of(stanza)
            return None if payload is None else value_in(payload, inside)

        return Origin(elements if wanted.source == "element" else value, wanted)

    # -- annotations ------------------------------------------------------------------------------

    @property
    def _action(self) -> str:
        return action_name(self.action)

    def _wanted(self, parameter: inspect.Parameter) -> Converter:
        annotation = parameter.annotation
        if annotation is _EMPTY:
            return converter(Any)
        try:
            return converter(resolved(annotation, *_names(self.action)))
        except UnknownAnnotation as error:
            raise Mistake(
                f"{self._action}, parameter {parameter.name!r}: {error}",
                f"An annotation can be {POSSIBLE}",
            ) from None

    def _unfilled(self, name: str) -> Mistake:
        known = [*sorted(self.captures), *FACTS]
        near = meant(name, known)
        return Mistake(
            f"{self._action} has a parameter {name!r} that nothing fills",
            (f"{near} " if near else "")
            + f"Capture it in the route ({name}='XPath'), or use one of"
            f" {', '.join(known)}. Fields of a payload count where the route asks for one",
        )


def _payload_named(tag: str) -> Get:
    """The payload of an IQ, whatever it is; of others the first child of that name."""

    def get(component: Any, stanza: Stanza, captured: Mapping[str, Any]) -> Any:
        if isinstance(stanza, Iq):
            return stanza.payload
        return next(stanza.tree.iterchildren(tag), None)

    return get


def action_name(action: Callable[..., Any]) -> str:
    """The action for people."""
    return getattr(action, "__qualname__", None) or f"{action!r:.80}"


def meant(name: str, known: Iterable[str]) -> str | None:
    """The question whether a known name was meant; None if no other comes near."""
    near = difflib.get_close_matches(name, known, 1, NEAR)
    return f"Did you mean {near[0]!r}?" if near else None


def _names(action: Callable[..., Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What annotations of the action can name: globals of its module, which hide its class's."""
    function: Any = inspect.unwrap(action)
    module: dict[str, Any] = getattr(function, "__globals__", {})
    owner: Any = module
    *path, _ = getattr(function, "__qualname__", "").split(".")
    for part in path:
        owner = owner.get(part) if owner is module else getattr(owner, part, None)
    inside = vars(owner) if isinstance(owner, type) else {}
    return {**inside, **module}, {}
