"""What a component's class says about its methods, beside their code.

    class Tweets(Component):
        @before(except_="index")
        def known(self, sender: JID) -> None: ...

        @rescue(LookupError)
        def missing(self, error: LookupError) -> None: ...

        @every(30)
        async def tidy(self) -> None: ...

A decorator only marks the function. `actors.handling` puts the marks of a class together, and
`actors.checks` says what is wrong with them.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePath
from typing import Any, Final, Literal, TypeAlias, TypeVar, overload

from emp.errors import ConfigError, StanzaError

Function: TypeAlias = Callable[..., Any]
Named: TypeAlias = str | Function
"""An action: its name, or the function itself."""

Names: TypeAlias = Named | Iterable[Named] | None
Kind: TypeAlias = Literal["before", "after", "around"]

F = TypeVar("F", bound=Function)
D = TypeVar("D")  # a function or a class

MARKS: Final = "__emp_marks__"
"""The attribute of functions and classes that holds their marks."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the user's files a mark was set."""

    file: str
    line: int

    def error(self, message: str, remedy: str | None = None) -> ConfigError:
        """A ConfigError about this place."""
        return ConfigError(message, file=self.file, line=self.line, remedy=remedy)

    def __str__(self) -> str:
        return f"{PurePath(self.file).name}:{self.line}"


@dataclass(frozen=True, slots=True)
class Filter:
    """This method runs before, after or around actions: `only` these, or all but `except_`."""

    place: Place
    kind: Kind
    only: tuple[str, ...] | None
    except_: tuple[str, ...] | None

    def applies(self, action: str) -> bool:
        """Whether it runs for the action of that name."""
        if self.only is not None and action not in self.only:
            return False
        return self.except_ is None or action not in self.except_


@dataclass(frozen=True, slots=True)
class Rescue:
    """These exceptions are answered: by the method that is marked, or on a class as `with_` says,
    a StanzaError or the name of a method."""

    place: Place
    errors: tuple[Any, ...]
    with_: Any


@dataclass(frozen=True, slots=True)
class Every:
    """This method runs every so many seconds, for the first time after `first` seconds."""

    place: Place
    seconds: Any
    first: Any


@dataclass(frozen=True, slots=True)
class Deadline:
    """This action may take so many seconds."""

    place: Place
    seconds: Any


@dataclass(frozen=True, slots=True)
class Blocking:
    """This action runs in a thread."""

    place: Place


Mark: TypeAlias = Filter | Rescue | Every | Deadline | Blocking
M = TypeVar("M", bound=Mark)


class _Filtering:
    """`@before` or `@before(only=…, except_=…)`, and the same of its siblings."""

    __slots__ = ("_kind",)

    def __init__(self, kind: Kind) -> None:
        self._kind: Final = kind

    @overload
    def __call__(self, function: F, /) -> F: ...

    @overload
    def __call__(
        self, function: None = None, /, *, only: Names = None, except_: Names = None
    ) -> Callable[[F], F]: ...

    def __call__(
        self, function: F | None = None, /, *, only: Names = None, except_: Names = None
    ) -> F | Callable[[F], F]:
        place = _caller()
        if isinstance(function, str):
            raise place.error(f"@{self._kind}({function!r})", f"write only={function!r}")
        mark = Filter(place, self._kind, _names(only, place), _names(except_, place))
        return _marking(mark)(function) if function is not None else _marking(mark)


before: Final = _Filtering("before")
"""The method runs before the actions. `self.halt(result)` ends the handling there."""

after: Final = _Filtering("after")
"""The method runs after actions that have returned; its parameter `result` is what they did."""

around: Final = _Filtering("around")
"""The method is a generator function with one `yield`, where the action runs."""


def rescue(
    *errors: type[Exception], with_: type[StanzaError] | Named | None = None
) -> Callable[[D], D]:
    """On a method: it says what is answered where an action raises one of these exceptions. On a
    class: `with_` does, as a StanzaError or as a method."""
    return _marking(Rescue(_called("rescue", "LookupError", *errors), errors, with_))


def every(
    seconds: float | timedelta, *, first: float | timedelta | None = None
) -> Callable[[F], F]:
    """The method runs every so many seconds; for the first time after `first` of them."""
    return _marking(Every(_called("every", "30", seconds), seconds, first))


def deadline(seconds: float | None) -> Callable[[F], F]:
    """The action may take so many seconds, whatever `deadline` of the class says."""
    return _marking(Deadline(_called("deadline", "5", seconds), seconds))


def blocking(function: F) -> F:
    """The action waits without `await`: it runs in a thread."""
    return _marking(Blocking(_caller()))(function)


def _marking(mark: Mark) -> Callable[[D], D]:
    def decorate(target: D) -> D:
        if not isinstance(target, type) and not inspect.isfunction(target):
            what = type(mark).__name__.lower()
            raise mark.place.error(
                f"@{mark.kind if isinstance(mark, Filter) else what} stands on a"
                f" {type(target).__name__}",
                "put it directly above def",
            )
        # A list of its own: a class finds the one of its parent otherwise.
        setattr(target, MARKS, [*vars(target).get(MARKS, ()), mark])
        return target

    return decorate


def _names(names: Names, place: Place) -> tuple[str, ...] | None:
    if names is None:
        return None
    if isinstance(names, str) or callable(names):
        names = (names,)
    if not isinstance(names, Iterable):
        raise place.error(f"only= and except_= name actions, not {names!r:.60}")
    found = tuple(each if isinstance(each, str) else each.__name__ for each in names)
    if not found:
        raise place.error("only= and except_= name actions", "give at least one, or leave it out")
    return found


def _caller(depth: int = 2) -> Place:
    frame = sys._getframe(depth)
    return Place(frame.f_code.co_filename, frame.f_lineno)


def _called(name: str, example: str, *arguments: object) -> Place:
    """The caller of our caller. Raises ConfigError where the parentheses were forgotten."""
    place = _caller(3)
    if any(inspect.isfunction(each) for each in arguments):
        raise place.error(f"@{name} needs to be told more", f"write @{name}({example})")
    return place


# ── reading the marks ───────────────────────────────────────────────────────────────────────────


def marks(target: object, kind: type[M]) -> list[M]:
    """The marks of that kind on a function, or on a class itself."""
    own = vars(target) if isinstance(target, type) else getattr(target, "__dict__", {})
    return [mark for mark in own.get(MARKS, ()) if isinstance(mark, kind)]


def marked(component: type, kind: type[M]) -> Iterator[tuple[str, M]]:
    """(name of the method, mark) of a class: inherited ones first, then as they are written.

    A method that replaces a marked one without a mark keeps its place: an authorisation that runs
    before actions must not vanish because somebody overrides it. A name that is set to None does.
    """
    found: dict[str, list[M]] = {}
    for each in reversed(component.__mro__):
        for name, value in vars(each).items():
            if new := marks(value, kind) if not isinstance(value, type) else []:
                found[name] = new
    for name, all_of_it in found.items():
        if getattr(component, name, None) is not None:
            yield from ((name, mark) for mark in all_of_it)


def timers(component: type) -> list[tuple[str, Every]]:
    """The methods that run by themselves."""
    return list(marked(component, Every))


def is_async(function: object) -> bool:
    """Whether calling it gives something that is to be awaited."""
    original: Any = inspect.unwrap(function) if callable(function) else function
    return inspect.iscoroutinefunction(original) or inspect.isasyncgenfunction(original)


def in_thread(component: type, action: str) -> bool:
    """Whether the action runs in a thread: only what is no coroutine can."""
    function = getattr(component, action, None)
    wanted = bool(marks(function, Blocking)) or getattr(component, "blocking", False) is True
    return wanted and not is_async(function)


def deadline_of(component: type, action: str) -> float | None:
    """Seconds that the action may take, or None."""
    own = marks(getattr(component, action, None), Deadline)
    return own[-1].seconds if own else getattr(component, "deadline", None)


def seconds(value: float | timedelta) -> float:
    """As a number."""
    return value.total_seconds() if isinstance(value, timedelta) else float(value)
