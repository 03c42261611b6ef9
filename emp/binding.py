"""Arguments of actions, bound by name (the habit of merb-action-args).

A parameter gets the capture of that name, else the fact of the stanza of that name (`FACTS`), else
its default. A name that is neither fails at boot. All that can be known of a signature is worked
out once: at run time there is only a call.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from emp.errors import RouteError
from emp.stanza import Message, Stanza

Call = Callable[[Any, Stanza, Mapping[str, Any]], Any]
"""(component, stanza, captures) → what the action returned."""

FACTS: dict[str, Callable[[Stanza], Any]] = {
    "stanza": lambda stanza: stanza,
    "sender": lambda stanza: stanza.from_,
    "to": lambda stanza: stanza.to,
    "type": lambda stanza: stanza.type,
    "lang": lambda stanza: stanza.lang,
    "payload": lambda stanza: stanza.payload,
    "body": lambda stanza: stanza.body if isinstance(stanza, Message) else None,
}
"""What every stanza can give an action."""


def bind(action: Callable[..., Any], captures: Collection[str], source: str = "") -> Call:
    """Make the call of `action` (a function that takes the component as self).

    `captures` are the names that the route captures, `source` is where the route stands. Raises
    RouteError when a parameter has no origin.
    """
    getters: dict[str, Callable[[Stanza, Mapping[str, Any]], Any]] = {}
    parameters = list(inspect.signature(action).parameters.values())
    if not parameters:
        raise _wrong(f"{action.__qualname__} has no parameter self", source, "make it a method")
    for parameter in parameters[1:]:
        name = parameter.name
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY:
            reason = f"{action.__qualname__} takes {name!r} by position only"
            raise _wrong(reason, source, "arguments are given by name: remove the /")
        if name in captures:
            getters[name] = _capture(name)
        elif name in FACTS:
            getters[name] = _fact(FACTS[name])
        elif parameter.default is parameter.empty:
            known = ", ".join([*sorted(captures), *FACTS])
            raise _wrong(
                f"{action.__qualname__} has a parameter {name!r} that nothing fills",
                source,
                f"capture it in the route ({name}='XPath'), or use one of {known}",
            )
    if not getters:  # the hot path of an action without arguments: nothing to look up
        return lambda component, stanza, captured: action(component)
    pairs = tuple(getters.items())

    def call(component: Any, stanza: Stanza, captured: Mapping[str, Any]) -> Any:
        return action(component, **{name: get(stanza, captured) for name, get in pairs})

    return call


def _wrong(message: str, source: str, remedy: str) -> RouteError:
    file, _, line = source.rpartition(":")
    return RouteError(message, file=file or None, line=int(line) if line else None, remedy=remedy)


def _capture(name: str) -> Callable[[Stanza, Mapping[str, Any]], Any]:
    return lambda stanza, captured: captured.get(name)


def _fact(get: Callable[[Stanza], Any]) -> Callable[[Stanza, Mapping[str, Any]], Any]:
    return lambda stanza, captured: get(stanza)
