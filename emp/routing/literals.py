"""Texts that a regular expression demands, so that the index can look for them first.

`^!ban\\b` finds nothing in a text that does not begin with "!ban", `\\bspam\\b` nothing in one that
does not contain "spam". With alternatives, `^(on|off)`, one of several has to be there.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from emp.routing.regex import Pattern, parsed

_c: Any = importlib.import_module("re._constants")

# More alternatives than this are not worth their places in the index.
ALTERNATIVES: Final = 16

# Characters that are not ASCII and yet equal a letter of ASCII where case is ignored.
_FOLDED: Final = str.maketrans({"İ": "i", "ı": "i", "ſ": "s", "\u212a": "k"})

_REPEATS: Final = (_c.MAX_REPEAT, _c.MIN_REPEAT)


class Demand(NamedTuple):
    """One of `texts` must be there: at the start, or anywhere. folded: as fold() makes it."""

    texts: tuple[str, ...]
    at_start: bool
    folded: bool


def fold(text: str) -> str:
    """The text without regard to the case of ASCII letters. Its length stays the same."""
    return text.lower() if text.isascii() else text.translate(_FOLDED).lower()


def demanded(compiled: Pattern | re.Pattern[str]) -> Demand | None:
    """What every text in which the pattern is found must have; None if nothing is known."""
    folded = bool(compiled.flags & re.IGNORECASE)
    items = list(parsed(compiled.pattern, compiled.flags))
    best = _best(_runs(items, folded), compiled.flags)
    if best is None:
        return None
    texts, at_start = best
    return Demand(tuple(dict.fromkeys(texts)), at_start, folded)


class _Run(NamedTuple):
    """Neighbouring items that must match one of the texts, in order."""

    texts: tuple[str, ...]
    anchored: bool


def _best(runs: Iterable[_Run], flags: int) -> tuple[tuple[str, ...], bool] | None:
    found: tuple[tuple[str, ...], bool] | None = None
    for run in runs:
        length = min(map(len, run.texts))
        anchored = run.anchored and not flags & re.MULTILINE
        if length and anchored:
            return run.texts, True
        if length and (found is None or length > min(map(len, found[0]))):
            found = run.texts, False
    return found


def _runs(items: list[Any], folded: bool) -> Iterable[_Run]:
    texts: tuple[str, ...] = ("",)
    anchored = False
    for item in items:
        if item == (_c.AT, _c.AT_BEGINNING) or item == (_c.AT, _c.AT_BEGINNING_STRING):
            if texts == ("",):
                anchored = True
            continue
        more, whole = _texts(item, folded)
        if len(texts) * len(more) > ALTERNATIVES:
            more, whole = ("",), False
        texts = tuple(before + after for before in texts for after in more)
        if not whole:
            yield _Run(texts, anchored)
            texts, anchored = ("",), False
    yield _Run(texts, anchored)


def _texts(item: Any, folded: bool) -> tuple[tuple[str, ...], bool]:
    """The texts of which one begins what the item matches; whether that is all that it matches."""
    operation, argument = item
    if operation is _c.AT:
        return ("",), True
    if operation is _c.LITERAL:
        return _characters([argument], folded)
    if operation is _c.IN and all(kind is _c.LITERAL for kind, _ in argument):
        return _characters([code for _, code in argument], folded)
    if operation is _c.SUBPATTERN and not argument[1] and not argument[2]:
        return _sequence(argument[3], folded)
    if operation is _c.BRANCH:
        return _union([_sequence(branch, folded) for branch in argument[1]])
    if operation in _REPEATS and argument[0] >= 1:
        texts, whole = _sequence(argument[2], folded)
        return texts, whole and argument[0] == argument[1] == 1
    return ("",), False


def _characters(codes: list[int], folded: bool) -> tuple[tuple[str, ...], bool]:
    characters = [chr(code) for code in codes]
    if folded:
        if not all(map(str.isascii, characters)):
            return ("",), False
        characters = [character.lower() for character in characters]
    return tuple(characters), True


def _sequence(sequence: Any, folded: bool) -> tuple[tuple[str, ...], bool]:
    texts: tuple[str, ...] = ("",)
    for item in sequence:
        more, whole = _texts(item, folded)
        if len(texts) * len(more) > ALTERNATIVES:
            return texts, False
        texts = tuple(before + after for before in texts for after in more)
        if not whole:
            return texts, False
    return texts, True


def _union(parts: list[tuple[tuple[str, ...], bool]]) -> tuple[tuple[str, ...], bool]:
    texts = tuple(text for texts, _ in parts for text in texts)
    if len(texts) > ALTERNATIVES:
        return ("",), False
    return texts, all(whole for _, whole in parts)
