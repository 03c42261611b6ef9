"""What the annotation of an action says that it returns: no answer is a mistake that can be told
when the application starts."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Set
from dataclasses import is_dataclass
from typing import Annotated, Any, Final, Literal, Union

from emp.answer import VALUES, remedy_for
from emp.errors import RouteError

# Generic classes of which one argument is what is sent: its number.
_SENT: Final[Mapping[str, int]] = {
    "Coroutine": 2, "Awaitable": 0, "Generator": 0, "Iterator": 0, "Iterable": 0,
    "AsyncGenerator": 0, "AsyncIterator": 0, "AsyncIterable": 0,
}  # fmt: skip
_NEVER: Final = (
    bytes, bytearray, int, float, complex, Mapping, Set, BaseException, type, *VALUES,
)  # fmt: skip


def check_result(action: Callable[..., Any], source: str) -> None:
    """Raises RouteError where the action is annotated to return what answers nothing.

    source: where the route stands, FILE:LINE. What is not certain is let pass.
    """
    function: Any = inspect.unwrap(action)
    try:
        annotation = typing.get_type_hints(function, include_extras=True).get("return")
    except Exception:  # noqa: BLE001 - names that only type checkers see, for instance
        return
    wrong = _wrong(annotation)
    if wrong is None:
        return
    file, _, line = source.rpartition(":")
    shown = "a list of str" if wrong is str else _shown(wrong)  # alone it is an answer
    raise RouteError(
        f"{function.__qualname__} is annotated to return {shown}, which is no answer",
        file=file or None,
        line=int(line) if line else None,
        remedy=remedy_for(typing.get_origin(wrong) or wrong),
    )


def _wrong(annotation: Any, in_list: bool = False) -> Any:
    """The part of the annotation that no answer can be made of, None if there is none."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _wrong(arguments[0], in_list)
    if origin in (Union, types.UnionType):
        return next((each for part in arguments if (each := _wrong(part, in_list))), None)
    if origin is Literal:
        return next((each for value in arguments if (each := _wrong(type(value), in_list))), None)
    cls = origin or annotation
    if not isinstance(cls, type):
        return None
    number = _SENT.get(cls.__name__) if cls.__module__ == "collections.abc" else None
    if number is not None:
        return _wrong(arguments[number]) if len(arguments) > number else None
    if cls in (list, tuple) and not in_list:
        return next((each for part in arguments if (each := _wrong(part, True))), None)
    if typing.is_typeddict(cls) or (in_list and cls is str):
        return annotation
    if hasattr(cls, "to_xml"):
        return None
    return annotation if issubclass(cls, _NEVER) or is_dataclass(cls) else None


def _shown(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
