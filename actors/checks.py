"""What is wrong with a component's class, said before anything runs: with file, line and remedy."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import timedelta
from math import isfinite, nan
from typing import Any, Final

from actors.component import Component
from actors.declarations import (
    Blocking,
    Deadline,
    Every,
    Filter,
    Place,
    Rescue,
    in_thread,
    is_async,
    marked,
    marks,
)
from actors.handling import Handling, rescues_of
from actors.messages import ActionCall
from actors.unused import check_captures, hidden
from emp.errors import ConfigError, RouteError, StanzaError
from emp.routing import Route

HOOKS: Final = {
    "startup": 0,
    "shutdown": 0,
    "on_connected": 1,
    "on_resumed": 1,
    "on_disconnected": 1,
    "on_send_failed": 1,
}
"""The hooks of `Component`, and how many arguments each is given."""

ALIKE: Final = 0.85
"""How alike two names are when one is a slip of the pen: on_conected and on_connected are 0.96."""

POOL: Final = 1000
"""Workers: in multiproc each is a process, and a slip of the pen must not fill the machine."""

KEYS: Final = ("session", "sender")
POLICIES: Final = ("block", "shed")


def check_component(component: type, routes: Iterable[Route] = ()) -> None:
    """Check a component's class, and that its filters and rescues work for the routes that lead to
    it. Raises ConfigError (RouteError where a route is to blame)."""
    routes = tuple(routes)
    actions = tuple(dict.fromkeys(route.action for route in routes)) or _methods(component)
    _attributes(component)
    _constructor(component)
    for name in hidden(component):
        raise _place(component, name).error(
            f"{component.__qualname__}.{name} hides what every component has",
            "choose another name",
        )
    for route in routes:
        if hasattr(Component, route.action):
            raise RouteError(
                f"{component.__qualname__}.{route.action} is what every component has, no action",
                file=route.file,
                line=route.line,
                remedy="choose another name for the action",
            )
    for name in actions:
        _action(component, name)
    _filters(component, actions)
    _rescues(component, actions)
    _timers(component)
    _hooks(component, {route.action for route in routes})
    for route in _unlike(routes):
        check_captures(component, route)
        call = ActionCall(
            0,
            route.action,
            tuple(route.captures),
            route.defaults,
            route.payload,
            route.source,
        )
        Handling(component, call)


def _unlike(routes: Iterable[Route]) -> Iterable[Route]:
    """One of all that give an action the same arguments: there may be ten thousand."""
    alike: dict[tuple[object, ...], Route] = {}
    for route in routes:
        key = route.action, tuple(route.captures), tuple(route.defaults), route.payload
        alike.setdefault(key, route)
    return alike.values()


def _methods(component: type) -> tuple[str, ...]:
    """What may be an action, where no route says it."""
    return tuple(
        name
        for name in dir(component)
        if not name.startswith("_")
        and not hasattr(Component, name)
        and inspect.isfunction(inspect.getattr_static(component, name))
    )


# ── attributes ──────────────────────────────────────────────────────────────────────────────────


def _attributes(component: type) -> None:
    for name, fits, wanted in _RULES:
        value = getattr(component, name)
        if not fits(value):
            raise _wrong(component, name, f"{name} = {_shown(value)}", wanted)
    for name, allowed in (("when_full", POLICIES), ("key", KEYS)):
        value = getattr(component, name)
        if name == "key" and callable(value):
            _key(component, value)
        elif value not in allowed:
            near = difflib.get_close_matches(str(value), allowed, 1)
            either = " or ".join(f'"{each}"' for each in allowed)
            remedy = f'did you mean "{near[0]}"?' if near else f"it is {either}"
            if name == "key" and not near:
                remedy += ", or a function of the stanza"
            raise _wrong(component, name, f"{name} = {_shown(value)}", remedy)


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


def _is_duration(value: object) -> bool:
    if isinstance(value, timedelta):
        return value > timedelta(0)
    try:
        number = float(value) if type(value) in (int, float) else nan  # type: ignore[arg-type]
    except OverflowError:
        return False
    return isfinite(number) and number > 0


_COUNT: Final = "it is a whole number from 1"
_RULES: Final[tuple[tuple[str, Callable[[Any], bool], str], ...]] = (
    ("pool", lambda value: _is_count(value) and value <= POOL, f"{_COUNT} to {POOL}"),
    ("mailbox", _is_count, _COUNT),
    ("threads", _is_count, _COUNT),
    ("blocking", lambda value: type(value) is bool, "it is True or False"),
    (
        "deadline",
        lambda value: value is None or (_is_duration(value) and not isinstance(value, timedelta)),
        "it is a number of seconds above 0, or None for no limit",
    ),
)


def _key(component: type, key: Any) -> None:
    try:
        inspect.signature(key).bind(None)
    except TypeError:
        remedy = "write @staticmethod above def key(stanza)"
        raise _wrong(component, "key", "key() must take the stanza alone", remedy) from None
    except ValueError:  # a function in C that has no signature
        return


def _wrong(component: type, name: str, what: str, remedy: str) -> ConfigError:
    return _place(component, name).error(f"{component.__qualname__}: {what}", remedy)


def _constructor(component: type) -> None:
    try:
        inspect.signature(component).bind()
    except TypeError as error:
        raise _place(component, "__init__").error(
            f"{component.__qualname__}() cannot be called: {error}",
            "EMP makes the objects: give the parameters defaults, or read them in startup()",
        ) from None
    except ValueError:  # it has no signature
        return


# ── methods ─────────────────────────────────────────────────────────────────────────────────────


def _action(component: type, name: str) -> None:
    place = _place(component, name)
    what = inspect.getattr_static(component, name, None)
    if not inspect.isfunction(what):
        raise place.error(
            f"{component.__qualname__}.{name} is a {type(what).__name__}; an action is a method",
            "write def",
        )
    for mark in marks(what, Blocking):
        if is_async(what):
            raise mark.place.error(
                f"{what.__qualname__} is a coroutine, which cannot run in a thread",
                "remove @blocking, or async",
            )
    for limit in marks(what, Deadline):
        if limit.seconds is not None and not _is_duration(limit.seconds):
            raise limit.place.error(
                f"@deadline({_shown(limit.seconds)})", "give seconds above 0, or None for no limit"
            )


def _filters(component: type, actions: tuple[str, ...]) -> None:
    for name, mark in marked(component, Filter):
        function = getattr(component, name)
        yields = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        where = f"@{mark.kind} of {component.__qualname__}.{name}"
        if mark.kind == "around" and not yields:
            raise mark.place.error(
                f"{where}: it has no yield", "write yield where the action shall run"
            )
        if mark.kind != "around" and yields:
            raise mark.place.error(f"{where}: it has a yield", "use @around, or remove the yield")
        for action in (*(mark.only or ()), *(mark.except_ or ())):
            if not _is_method(component, action):
                near = difflib.get_close_matches(action, _methods(component), 1)
                raise mark.place.error(
                    f"{where}: {component.__qualname__} has no action {action!r}",
                    f"did you mean {near[0]!r}?" if near else None,
                )
        if is_async(function):
            for action in actions:
                if mark.applies(action) and in_thread(component, action):
                    raise mark.place.error(
                        f"{where} is a coroutine, but the action {action} runs in a thread",
                        "make it a plain function, or the action async",
                    )


def _rescues(component: type, actions: tuple[str, ...]) -> None:
    seen: dict[tuple[Any, str], Rescue] = {}
    threaded = [action for action in actions if in_thread(component, action)]
    for mark in _rescue_marks(component):
        if not mark.errors:
            raise mark.place.error("@rescue() names no exception", "write @rescue(LookupError)")
    for error, with_, mark in rescues_of(component):
        if not (isinstance(error, type) and issubclass(error, Exception)):
            raise mark.place.error(f"@rescue: {_shown(error)} is no Exception")
        if with_ is None:
            raise mark.place.error(
                "@rescue on a class does not say what is answered",
                "give with_ a StanzaError or a method",
            )
        if isinstance(with_, type):
            if not issubclass(with_, StanzaError):
                raise mark.place.error(
                    f"@rescue: with_={with_.__name__} is no StanzaError", "see emp.errors"
                )
        elif not isinstance(with_, str) or not _is_method(component, with_):
            raise mark.place.error(
                f"@rescue: {component.__qualname__} has no method {_shown(with_)}"
            )
        elif threaded and is_async(getattr(component, with_)):
            raise mark.place.error(
                f"@rescue: {with_} is a coroutine, but the action {threaded[0]} runs in a thread",
                "make it a plain function",
            )
        other = seen.setdefault((error, mark.place.file), mark)
        if other is not mark and _same_class(component, other, mark):
            raise mark.place.error(
                f"{error.__name__} is rescued already, in line {other.place.line}",
                "say it once",
            )


def _rescue_marks(component: type) -> Iterator[Rescue]:
    for each in component.__mro__:
        yield from marks(each, Rescue)
    for name, mark in marked(component, Rescue):
        if mark.with_ is not None:
            raise mark.place.error(
                f"@rescue(with_=…) stands on the method {name}, which is the answer itself",
                "remove with_, or put it above the class",
            )
        yield mark


def _same_class(component: type, one: Rescue, other: Rescue) -> bool:
    """Whether both stand on the same class or in it: else one replaces what it inherits."""
    for each in component.__mro__:
        own = [*marks(each, Rescue)]
        for value in vars(each).values():
            own += marks(value, Rescue) if not isinstance(value, type) else []
        if one in own and other in own:
            return True
    return False


def _timers(component: type) -> None:
    for name, mark in marked(component, Every):
        if not _is_duration(mark.seconds):
            raise mark.place.error(
                f"@every({_shown(mark.seconds)})", "give seconds above 0, or a timedelta"
            )
        if mark.first is not None and not (mark.first == 0 or _is_duration(mark.first)):
            raise mark.place.error(
                f"@every: first={_shown(mark.first)}", "give seconds from 0, or a timedelta"
            )
        _takes(component, name, 0, mark.place)


def _hooks(component: type, routed: Collection[str]) -> None:
    for name, arguments in HOOKS.items():
        _takes(component, name, arguments, _place(component, name))
    for name in _methods(component):
        near = difflib.get_close_matches(name, HOOKS, 1, ALIKE)
        if near and name not in routed:
            raise _place(component, name).error(
                f"{component.__qualname__}.{name} is no hook, and no route leads to it",
                f"did you mean {near[0]}?",
            )


def _takes(component: type, name: str, arguments: int, place: Place) -> None:
    """A method that is called by itself, with so many arguments."""
    function, what = getattr(component, name), f"{component.__qualname__}.{name}"
    if not callable(function):
        raise place.error(f"{what} = {_shown(function)}", "it is a method: write def")
    try:
        inspect.signature(function).bind(None, *[None] * arguments)
    except TypeError:
        wanted = "one argument besides self" if arguments else "no arguments but self"
        raise place.error(f"{what} must take {wanted}") from None
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise place.error(f"{what} has a yield", "remove the yield: nobody would go through it")


# ── places ──────────────────────────────────────────────────────────────────────────────────────


def _is_method(component: type, name: str) -> bool:
    return not name.startswith("__") and inspect.isfunction(getattr(component, name, None))


def _place(component: type, name: str) -> Place:
    """Where the class, or the one that it inherits from, says what `name` is."""
    owner = next((each for each in component.__mro__ if name in vars(each)), component)
    function: Any = vars(owner).get(name)
    function = getattr(function, "fget", getattr(function, "__func__", function))
    try:
        lines, first = inspect.getsourcelines(owner)
        file = inspect.getsourcefile(owner) or ""
    except (OSError, TypeError):  # it was made without a file
        return Place("", 0)
    if inspect.isfunction(function):
        return Place(file, function.__code__.co_firstlineno)
    pattern = re.compile(rf"\s+{re.escape(name)}\s*(:[^=]*)?=")
    for number, line in enumerate(lines):
        if pattern.match(line):
            return Place(file, first + number)
    return Place(file, first)


def _shown(value: object) -> str:
    return f"{value!r:.60}"
