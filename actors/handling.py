"""How a component handles the stanzas of one route: an action, with all that stands around it.

Worked out once for each route. An action without filters is called as it is; what exceptions mean,
and how long it may take, is asked for only when it comes to that.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from types import AsyncGeneratorType, GeneratorType
from typing import Any, Final, NamedTuple

from lxml import etree

from actors.declarations import (
    Filter,
    Rescue,
    deadline_of,
    in_thread,
    is_async,
    marked,
    marks,
)
from actors.messages import ActionCall
from emp.binding import Binding, bind
from emp.errors import StanzaError
from emp.stanza import Iq, Message, Presence, Stanza

Call = Callable[[Any, Stanza, Mapping[str, Any]], Any]

AT_ONCE: Final = frozenset({type(None), str, list, tuple, Message, Presence, Iq, etree._Element})
"""Types of results that are surely answers, so that most need no further look."""

MADE_HERE: Final = frozenset({type(None), str})
"""Those whose answers nobody else has. Stanzas that an action returns are copied, for it may keep
and change them, and return them again."""

THREAD: Final = object()
"""What an action that runs in a thread seems to return."""


class Halt(BaseException):
    """`self.halt(result)`: no exception that `except Exception` in an action should catch."""

    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result


class Skip(BaseException):
    """`self.skip()`."""


def goes_on(result: object) -> bool:
    """Whether an action that returned this is not over."""
    return (
        hasattr(result, "__await__")
        or isinstance(result, (GeneratorType, AsyncGeneratorType))
        or result is THREAD
    )


def is_stream(result: object) -> bool:
    """Whether it is a generator, of either kind."""
    return isinstance(result, (GeneratorType, AsyncGeneratorType))


async def advance(stream: Any, fault: BaseException | None = None) -> Any:
    """The next item of a generator of either kind; `fault` is raised at its last `yield`. Raises
    StopAsyncIteration at the end."""
    if isinstance(stream, AsyncGeneratorType):
        return await (stream.__anext__() if fault is None else stream.athrow(fault))
    try:
        return next(stream) if fault is None else stream.throw(fault)
    except StopIteration:
        raise StopAsyncIteration from None


async def close(stream: Any) -> None:
    """End a generator of either kind where it stands."""
    if isinstance(stream, AsyncGeneratorType):
        await stream.aclose()
    else:
        stream.close()


class Part(NamedTuple):
    """A method beside the action, bound like one. `special` is its parameter `result` or `error`,
    None where it has none."""

    function: Callable[..., Any]
    binding: Binding
    special: str | None

    def __call__(
        self, component: Any, stanza: Stanza, captured: Mapping[str, Any], value: Any = None
    ) -> Any:
        arguments = self.binding.arguments(component, stanza, captured)
        if self.special is not None:
            arguments[self.special] = value
        return self.function(component, **arguments)


def part(component: type, name: str, call: ActionCall, special: str) -> Part:
    """The method of that name, for the route of `call`. Raises RouteError as bind()."""
    function = inspect.unwrap(getattr(component, name))
    parameters = inspect.signature(function).parameters
    shown: Any = function
    if special in parameters:
        # Its value comes from here, whatever the annotation: bind() shall not see it.
        rest = [each for each in parameters.values() if each.name != special]
        shown = functools.partial(function)
        functools.update_wrapper(shown, function)
        shown.__signature__ = inspect.Signature(rest)
    binding = bind(shown, call.captures, call.source, defaults=call.defaults, payload=call.payload)
    return Part(getattr(component, name), binding, special if special in parameters else None)


class Handling:
    """What is done with the stanzas of one route.

    call: (component, stanza, captures) → what the action returned, THREAD where it runs in a
    thread; run: the same, in the thread. deadline: seconds, None for no limit. threaded: whether
    there is a difference.
    """

    __slots__ = ("action", "call", "deadline", "rescues", "run", "threaded")

    def __init__(self, component: type, call: ActionCall) -> None:
        """Raises AttributeError where there is no such action, RouteError as bind()."""
        self.action: Final = f"{component.__name__}.{call.action}"
        function = getattr(component, call.action)
        bound = bind(
            function, call.captures, call.source, defaults=call.defaults, payload=call.payload
        )
        self.deadline: Final = deadline_of(component, call.action)
        self.rescues: Final = _rescues(component, call)
        self.threaded: Final = in_thread(component, call.action)
        self.run: Final = _filtered(component, call, bound.call)
        self.call: Final[Call] = _in_thread if self.threaded else self.run

    def respond(
        self, component: Any, stanza: Stanza, captured: Mapping[str, Any], error: BaseException
    ) -> Any:
        """What the component says to an exception: a result as of an action. Raises what it has
        nothing to say to."""
        if isinstance(error, Halt):
            return error.result
        for each in type(error).__mro__:
            handler = self.rescues.get(each)
            if isinstance(handler, Part):
                return handler(component, stanza, captured, error)
            if handler is not None:
                raise handler() from error
        raise error


def _in_thread(component: Any, stanza: Stanza, captured: Mapping[str, Any]) -> Any:
    return THREAD


def rescues_of(component: type) -> Iterator[tuple[Any, type[StanzaError] | str, Rescue]]:
    """(exception, what answers it, the mark): inherited ones first, so that later ones count."""
    for each in reversed(component.__mro__):
        for mark in marks(each, Rescue):
            with_ = mark.with_
            if callable(with_) and not isinstance(with_, type):
                with_ = with_.__name__
            yield from ((error, with_, mark) for error in mark.errors)
        own = set(vars(each))
        for name, mark in marked(component, Rescue):
            if name in own:
                yield from ((error, name, mark) for error in mark.errors)


def _rescues(component: type, call: ActionCall) -> dict[Any, type[StanzaError] | Part]:
    return {
        error: part(component, with_, call, "error") if isinstance(with_, str) else with_
        for error, with_, _ in rescues_of(component)
    }


# ── filters ─────────────────────────────────────────────────────────────────────────────────────


class _Step(NamedTuple):
    """A filter: for those around an action, `part` gives the context manager."""

    kind: str
    part: Part
    is_async: bool


def _filtered(component: type, call: ActionCall, action: Call) -> Call:
    """The action with its filters. Decided here, so that an action without any pays nothing."""
    steps = []
    for name, mark in marked(component, Filter):
        if mark.applies(call.action):
            found = part(component, name, call, "result" if mark.kind == "after" else "")
            if mark.kind == "around":
                found = found._replace(function=_manager(found.function))
            steps.append(_Step(mark.kind, found, is_async(getattr(component, name))))
    if not steps:
        return action
    first = tuple(step for step in steps if step.kind != "after")
    last = tuple(step for step in steps if step.kind == "after")
    make = _asynchronous if any(step.is_async for step in steps) else _synchronous
    return make(first, last, action)


def _manager(function: Callable[..., Any]) -> Callable[..., Any]:
    original = inspect.unwrap(function)
    return (
        asynccontextmanager(function)
        if inspect.isasyncgenfunction(original)
        else contextmanager(function)
    )


def _synchronous(first: tuple[_Step, ...], last: tuple[_Step, ...], action: Call) -> Call:
    def run(component: Any, stanza: Stanza, captured: Mapping[str, Any]) -> Any:
        with ExitStack() as stack:
            for step in first:
                made = step.part(component, stanza, captured)
                if step.kind == "around":
                    stack.enter_context(made)
            result = action(component, stanza, captured)

            def end(result: Any) -> None:
                for step in last:
                    step.part(component, stanza, captured, result)

            if goes_on(result):
                return _rest(stack.pop_all(), result, end)
            end(result)
            return result
        return None  # a filter around it has swallowed an exception

    return run


def _rest(stack: ExitStack, result: Any, end: Callable[[Any], None]) -> Any:
    """What is left to do, as something that goes on as the action does."""
    if isinstance(result, GeneratorType):
        return _generated(stack, result, end)
    outer = AsyncExitStack()
    outer.enter_context(stack)

    async def end_it(result: Any) -> None:
        end(result)

    if isinstance(result, AsyncGeneratorType):
        return _streamed(outer, result, end_it)
    return _awaited(outer, result, end_it)


def _generated(
    stack: ExitStack, generator: Generator[Any, Any, Any], end: Callable[[Any], None]
) -> Iterator[Any]:
    with stack:
        yield from generator
        end(None)


async def _awaited(stack: AsyncExitStack, result: Any, end: Callable[[Any], Any]) -> Any:
    async with stack:
        result = await result
        await end(result)
        return result
    return None


async def _streamed(
    stack: AsyncExitStack, stream: Any, end: Callable[[Any], Any]
) -> AsyncIterator[Any]:
    async with stack:
        fault: BaseException | None = None
        try:
            while True:
                try:
                    item = await advance(stream, fault)
                except StopAsyncIteration:
                    break
                fault = None
                try:
                    yield item
                except Exception as error:  # noqa: BLE001 - it is meant for the inner one
                    fault = error
        finally:
            await close(stream)
        await end(None)


def _asynchronous(first: tuple[_Step, ...], last: tuple[_Step, ...], action: Call) -> Call:
    async def run(component: Any, stanza: Stanza, captured: Mapping[str, Any]) -> Any:
        async def end(result: Any) -> None:
            for step in last:
                made = step.part(component, stanza, captured, result)
                if step.is_async:
                    await made

        async with AsyncExitStack() as stack:
            for step in first:
                made = step.part(component, stanza, captured)
                if step.kind == "around" and step.is_async:
                    await stack.enter_async_context(made)
                elif step.kind == "around":
                    stack.enter_context(made)
                elif step.is_async:
                    await made
            result = action(component, stanza, captured)
            if is_stream(result):
                return _streamed(stack.pop_all(), result, end)
            if hasattr(result, "__await__"):
                result = await result
            await end(result)
            return result
        return None  # a filter around it has swallowed an exception

    return run
