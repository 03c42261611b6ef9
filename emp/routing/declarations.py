"""Routes as they were written: what the routes API notes down and the compiler reads."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final, NamedTuple

from emp.errors import RouteError
from emp.routing.guards import Guard

_OWN_PACKAGE: Final = __name__.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the user's files something was written.

    included: where the pack that it belongs to was included, None outside of packs.
    """

    file: str
    line: int
    included: Place | None = None

    def error(self, message: str, remedy: str | None = None) -> RouteError:
        """A RouteError about this place, which names the includes that led to it."""
        error = RouteError(message, file=self.file, line=self.line, remedy=remedy)
        return error if self.included is None else self.included.reached(error)

    def reached(self, error: RouteError) -> RouteError:
        """The same error, of a pack that was included here."""
        message = f"{error.message} (included at {self.file}:{self.line})"
        error = RouteError(message, file=error.file, line=error.line, remedy=error.remedy)
        return error if self.included is None else self.included.reached(error)

    def within(self, include: Place) -> Place:
        """The same place, of a pack that was included there."""
        outer = include if self.included is None else self.included.within(include)
        return Place(self.file, self.line, outer)

    def __str__(self) -> str:
        here = f"{self.file}:{self.line}"
        return here if self.included is None else f"{here} (included at {self.included})"


class Prefix(NamedTuple):
    """The predicate of an include(): "[…]" or "/message[…]", in the namespaces of who includes."""

    text: str
    namespaces: Mapping[str, str]


@dataclass(slots=True)
class Declaration:
    """One route as it was written.

    wanted: keyword → value (`from_` and `to` may be templates, "{channel}@chat.example.org");
    namespaces: those of its Routes, which may have been included into others; target: class and
    action; prefixes: predicates of include(), outermost first, that must hold too;
    connection: the scope; guard: `if_=`; defaults: values for arguments that nothing else fills;
    fallback: it comes after all routes that are none.
    """

    place: Place
    kind: str | None
    predicate: str | None
    wanted: dict[str, Any]
    captures: dict[str, Any]
    resource: str | None
    namespaces: Mapping[str, str]
    target: tuple[type, str] | None = None
    routed: bool = False  # .to() was called, rightly or wrongly
    connection: str | None = None
    guard: Guard | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    prefixes: tuple[Prefix, ...] = ()
    fallback: bool = False


def caller() -> FrameType:
    """The nearest frame outside of this package."""
    frame = sys._getframe(1)
    while frame.f_back and f"{frame.f_globals.get('__name__')}.".startswith(f"{_OWN_PACKAGE}."):
        frame = frame.f_back
    return frame


def place_of(frame: FrameType) -> Place:
    """The line that the frame is at."""
    return Place(frame.f_code.co_filename, frame.f_lineno)
