"""Arguments of actions, bound by name (the habit of merb-action-args).

Where a parameter's value comes from is decided by its name, once, when the application starts:

    1. the capture of the route with that name
    2. the fact of the stanza with that name (FACTS)
    3. the payload: all of it for a @payload class or a dataclass, else the attribute of that name,
       else the text of the child of that name; only where the route makes sure that there is one

What is absent there is the route's default for that name, then the parameter's, then None if the
annotation allows it; else the sender hears of it. What is there becomes what the annotation says
(emp.convert). Facts come before the payload's fields, so that an attribute sender='admin@…' never
passes for the sender; and where a fact is absent nothing in the payload takes its place.

All that can be known of a signature is worked out once: at run time there is only a call.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from emp.errors import BadRequest, RouteError
from emp.lexical import Unfit
from emp.origins import FACTS as FACTS
from emp.origins import Get, Mistake, Offer, action_name, meant
from emp.stanza import Stanza

Call: TypeAlias = Callable[[Any, Stanza, Mapping[str, Any]], Any]
"""(component, stanza, captures) → what the action returned."""

Arguments: TypeAlias = Callable[[Any, Stanza, Mapping[str, Any]], dict[str, Any]]
"""(component, stanza, captures) → name → value."""

_NOTHING: Final[Mapping[str, Any]] = {}


class Binding(NamedTuple):
    """An action with its arguments. Both raise BadRequest, which names the argument.

    arguments: for who calls the action in another way.
    """

    call: Call
    arguments: Arguments


def bind(
    action: Callable[..., Any],
    captures: Collection[str] = (),
    source: str = "",
    *,
    defaults: Mapping[str, Any] = _NOTHING,
    payload: bool = False,
) -> Binding:
    """Bind `action`, a function that takes the component as self.

    captures: the names that the route captures; source: where the route stands, FILE:LINE or "";
    defaults: of the route, for arguments that the stanza does not fill; payload: the route's
    stanzas have a payload for certain. Raises RouteError for what can never work.
    """
    parameters = list(inspect.signature(action).parameters.values())
    if not parameters:
        message = f"{action_name(action)} has no parameter self"
        raise _wrong(Mistake(message, "Make it a method"), source)
    offer = Offer(action, frozenset(captures), defaults, payload)
    try:
        named = [
            (parameter, _getter(offer, parameter))
            for parameter in parameters[1:]
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
    except Mistake as mistake:
        raise _wrong(mistake, source) from None
    placed = tuple(get for each, get in named if each.kind is not each.KEYWORD_ONLY)
    keywords = {each.name: get for each, get in named if each.kind is each.KEYWORD_ONLY}
    pairs = tuple((each.name, get) for each, get in named)

    def arguments(component: Any, stanza: Stanza, captured: Mapping[str, Any]) -> dict[str, Any]:
        return {name: get(component, stanza, captured) for name, get in pairs}

    return Binding(_call(action, placed, keywords), arguments)


def check_defaults(action: Callable[..., Any], defaults: Mapping[str, Any], source: str) -> None:
    """Raises RouteError if a route has a default for what is no parameter of its action."""
    names = [*inspect.signature(action).parameters][1:]
    for name in defaults:
        if name not in names:
            wrong = f"the route has a default for {name!r}, which {action_name(action)} lacks"
            takes = f"It takes {', '.join(names)}" if names else "It takes no arguments"
            raise _wrong(Mistake(wrong, meant(name, names) or takes), source)


def _call(action: Callable[..., Any], placed: tuple[Get, ...], keywords: dict[str, Get]) -> Call:
    """The hot path of every stanza: by position, as a dictionary of names takes twice as long. The
    shapes that most actions have are written out, for a list costs as much as three arguments."""
    if keywords:
        by_name = tuple(keywords.items())
        return lambda component, stanza, captured: action(
            component,
            *[get(component, stanza, captured) for get in placed],
            **{name: get(component, stanza, captured) for name, get in by_name},
        )
    if not placed:
        return lambda component, stanza, captured: action(component)
    if len(placed) == 1:
        first = placed[0]
        return lambda component, stanza, captured: action(
            component, first(component, stanza, captured)
        )
    if len(placed) == 2:
        first, second = placed
        return lambda component, stanza, captured: action(
            component, first(component, stanza, captured), second(component, stanza, captured)
        )
    if len(placed) == 3:
        first, second, third = placed
        return lambda component, stanza, captured: action(
            component,
            first(component, stanza, captured),
            second(component, stanza, captured),
            third(component, stanza, captured),
        )
    return lambda component, stanza, captured: action(
        component, *[get(component, stanza, captured) for get in placed]
    )


def _getter(offer: Offer, parameter: inspect.Parameter) -> Get:
    """What gives the parameter its value. Raises Mistake."""
    name = parameter.name
    origin = offer.origin(parameter)
    default = offer.default(parameter)
    if origin is None:
        return lambda component, stanza, captured: default
    find, wanted, exact = origin
    required = default is parameter.empty
    if required and wanted.may_be_none:
        required, default = False, None

    def absent() -> Any:
        if not required:
            return default
        try:
            return wanted.absent()
        except Unfit as error:
            raise BadRequest(f"argument {name!r}: {error}") from None

    # Hot path: what is asked for most, texts as they stand, takes one call each.
    if exact and not required and default is None:
        return find
    if exact:
        return _as_found(find, absent)
    convert = wanted.convert

    def converted(value: Any) -> Any:
        try:
            return convert(value)
        except Unfit as error:
            raise BadRequest(f"argument {name!r}: {error}") from None

    if name in offer.captures and wanted.cls is str and not wanted.many:
        return _captured_text(name, converted, absent)

    def get(component: Any, stanza: Stanza, captured: Mapping[str, Any]) -> Any:
        value = find(component, stanza, captured)
        return absent() if value is None else converted(value)

    return get


def _as_found(find: Get, absent: Callable[[], Any]) -> Get:
    def get(component: Any, stanza: Stanza, captured: Mapping[str, Any]) -> Any:
        value = find(component, stanza, captured)
        return absent() if value is None else value

    return get


def _captured_text(name: str, converted: Callable[[Any], Any], absent: Callable[[], Any]) -> Get:
    def get(component: Any, stanza: Stanza, captured: Mapping[str, Any]) -> Any:
        value = captured.get(name)
        if type(value) is str:
            return value
        return absent() if value is None else converted(value)

    return get


def _wrong(mistake: Mistake, source: str) -> RouteError:
    file, _, line = source.rpartition(":")
    return RouteError(
        str(mistake), file=file or None, line=int(line) if line else None, remedy=mistake.remedy
    )
