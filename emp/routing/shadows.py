"""Routes that can never match, because an earlier one always matches where they would.

That is certain of an earlier route that asks for nothing but what the later one asks for too, has
no guard, applies wherever the later one does, and has an action that never passes a stanza on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from types import CodeType
from typing import Final

from emp.errors import RouteError
from emp.routing.draft import Draft
from emp.routing.syntax import Node

# Component classes whose code was looked through: more than a service has.
_CLASSES: Final = 1024


def shadows(drafts: Sequence[Draft]) -> list[RouteError]:
    """A mistake for each route that can never match.

    Each route that can hide others is filed under the rarest thing that it asks for, so that a
    later one is compared with few.
    """
    counts = Counter(node for each in drafts for node in each.own)
    filed: dict[Node | None, list[Draft]] = {}
    known: dict[object, Draft] = {}
    mistakes: list[RouteError] = []
    for each in sorted(drafts, key=lambda draft: draft.declaration.fallback):
        hiding: Draft | None = known.setdefault(_identity(each), each)
        if hiding is each or (hiding is not None and may_skip(hiding.target[0])):
            hiding = next(_hiding(each, filed), None)
        if hiding is not None:
            mistakes.append(_mistake(each, hiding))
        elif each.declaration.guard is None and each.exact and not may_skip(each.target[0]):
            rarest = min(each.own, key=lambda node: counts[node], default=None)
            filed.setdefault(rarest, []).append(each)
    return mistakes


def _identity(draft: Draft) -> object:
    """Equal for routes that match the same stanzas, whether or not their XPath is understood."""
    asked = draft.declaration
    return draft.kind, draft.whole, asked.resource, asked.connection, asked.guard


def _hiding(later: Draft, filed: dict[Node | None, list[Draft]]) -> Iterator[Draft]:
    for node in (None, *later.meanings):
        for earlier in filed.get(node, ()):
            if earlier.own <= later.meanings and _applies(earlier, later):
                yield earlier


def _applies(earlier: Draft, later: Draft) -> bool:
    """Whether the earlier route applies wherever the later one does."""
    one, other = earlier.declaration, later.declaration
    return (
        earlier.kind in (None, later.kind)
        and one.resource in (None, other.resource)
        and one.connection in (None, other.connection)
    )


def _mistake(later: Draft, earlier: Draft) -> RouteError:
    there = earlier.declaration.place
    same = later.exact and (later.kind, later.own) == (earlier.kind, earlier.own)
    if same or _identity(later) == _identity(earlier):
        return later.declaration.place.error(
            f"this route is the same as that at {there}, which always wins",
            "Delete one, or give this one a condition of its own",
        )
    return later.declaration.place.error(
        f"this route can never match: that at {there} matches whatever it would",
        "Write this one before it, or delete it",
    )


@lru_cache(maxsize=_CLASSES)
def may_skip(component: type) -> bool:
    """Whether an action or filter of the class may pass a stanza on to the next route.

    Nobody can know; what counts is whether its code has a name with "skip" in it. The framework's
    own base class, which offers it, does not count.
    """
    return any(
        _mentions_skip(code)
        for cls in component.__mro__
        if not cls.__module__.startswith("actors.")
        for member in vars(cls).values()
        if (code := getattr(getattr(member, "__func__", member), "__code__", None)) is not None
    )


def _mentions_skip(code: CodeType) -> bool:
    if any("skip" in name.lower() for name in (*code.co_names, *code.co_freevars)):
        return True
    return any(isinstance(each, CodeType) and _mentions_skip(each) for each in code.co_consts)
