"""From `.to(Tweets.show)` to the class Tweets and the name "show".

In Python `Tweets.show` is a plain function that does not know by which class it was reached. Its
qualified name says where it was written, which is the class meant, except when the action is
inherited: then the classes that the routes file itself can see decide, and where they do not, the
user is asked to write `.to(Special, "show")`.
"""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Iterable, Mapping
from types import FunctionType, MethodType
from typing import Any, Final

from emp.errors import RouteError

_REMEDY: Final = "Write .to(Class.action)"


def resolve(action: object, name: object, visible: Mapping[str, object]) -> tuple[type, str]:
    """The component class and the action's name.

    action, name: the arguments of `.to()`; visible: the names that the routes file can see.
    Raises RouteError, which says how to write it.
    """
    if name is not None:
        return _named(action, name)
    if isinstance(action, str):
        raise RouteError(
            f".to({action!r}) is a text; a route takes the action itself",
            remedy=f"Write .to({action}) without quotes, so that a typo fails at start-up",
        )
    if isinstance(action, type):
        raise RouteError(
            f".to({action.__name__}) does not say which action",
            remedy=f"Write .to({action.__name__}.action)",
        )
    if isinstance(action, MethodType):
        return _of_method(action)
    if not isinstance(action, FunctionType):
        raise RouteError(f"{action!r:.80} is not an action", remedy=_REMEDY)
    return _of_function(action, visible)


def _named(component: object, name: object) -> tuple[type, str]:
    if not isinstance(component, type) or not isinstance(name, str):
        raise RouteError(".to() with two arguments takes a class and the name of its action")
    if not callable(getattr(component, name, None)):
        actions = [each for each in dir(component) if not each.startswith("_")]
        near = difflib.get_close_matches(name, actions, 1)
        raise RouteError(
            f"{component.__name__} has no action {name!r}",
            remedy=f"Did you mean {near[0]!r}?" if near else None,
        )
    return component, _public(name)


def _of_method(action: MethodType) -> tuple[type, str]:
    if isinstance(action.__self__, type):  # a classmethod knows its class
        return action.__self__, _public(action.__name__)
    name = type(action.__self__).__name__
    raise RouteError(
        f"{name}(…).{action.__name__} belongs to one object; the framework makes its own",
        remedy=f"Write .to({name}.{action.__name__})",
    )


def _of_function(action: FunctionType, visible: Mapping[str, object]) -> tuple[type, str]:
    path, dot, name = action.__qualname__.rpartition(".")
    if not dot or name == "<lambda>" or path.endswith("<locals>"):
        raise RouteError(
            f"{action.__name__} is a function by itself, not an action of a component",
            remedy=_REMEDY,
        )
    for found in _candidates(action, path, visible):
        if isinstance(found, type) and getattr(found, name, None) is action:
            return _reached_by(found, name, visible), _public(name)
    raise RouteError(
        f"cannot tell the class of {action.__qualname__}",
        remedy=f'Write .to({path.rpartition(".")[2]}, "{name}")',
    )


def _candidates(action: FunctionType, path: str, visible: Mapping[str, object]) -> Iterable[object]:
    """What may be the class in whose body the action was written."""
    # A decorator's wrapper has the globals of the decorator's module.
    original: Any = inspect.unwrap(action)
    module = sys.modules.get(action.__module__)
    for scope in (original.__globals__, action.__globals__, vars(module) if module else {}):
        yield _walk(scope, path)
    # A class that was made in a function has no global name, but the routes may stand beside it.
    yield _walk(visible, path.rpartition(".")[2])


def _walk(scope: Mapping[str, object], path: str) -> object:
    first, *rest = path.split(".")
    found = scope.get(first)
    for part in rest:
        found = getattr(found, part, None)
    return found


def _reached_by(component: type, name: str, visible: Mapping[str, object]) -> type:
    """The class by which the routes file reached an action that is written in `component`."""
    heirs = [each for each in _subclasses(component) if _inherits(each, component, name)]
    if not heirs:
        return component
    seen = {id(each) for each in visible.values()}
    candidates = [each for each in (component, *heirs) if id(each) in seen] or [component, *heirs]
    if len(candidates) == 1:
        return candidates[0]
    names = " or ".join(f'.to({each.__name__}, "{name}")' for each in candidates)
    raise RouteError(
        f"{component.__name__}.{name} is inherited, and a reference does not say by which class",
        remedy=f"Write {names}",
    )


def _subclasses(component: type) -> list[type]:
    children: list[type] = component.__subclasses__()
    return [each for child in children for each in (child, *_subclasses(child))]


def _inherits(heir: type, component: type, name: str) -> bool:
    return getattr(heir, name, None) is getattr(component, name, None)


def _public(name: str) -> str:
    if name.startswith("_"):
        raise RouteError(f"{name} is private: an action's name has no leading underscore")
    return name
