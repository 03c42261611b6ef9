"""Regular expressions in routes: checked at boot, compiled once, bounded at run time.

Python's `re` backtracks, so an unlucky pattern takes time that grows with the square of the text
or doubles with every character, and senders choose the text. Two fences: patterns whose time
doubles are refused when the route is declared, and no text longer than MAX_INPUT is searched.
Patterns come from the routes file only, never from a stanza.
"""

from __future__ import annotations

import importlib
import re
from functools import lru_cache
from typing import Any, Final

from emp.errors import RouteError

# Characters. Longer text never matches: a cut text could match where the sender's did not
# (`secret$`). Room for a full JID with long parts and for any command. Time for the worst text of
# this length, measured: 6 ms where it grows with the square (`\s+$`), 2 s with the cube
# (`.*x.*y` unanchored), which at 4,096 characters were 0.1 s and 131 s.
MAX_INPUT: Final = 1024

# All patterns stand in routes files, so this only has to exceed what one process serves;
# beyond it a pattern is compiled again.
_CACHE_SIZE: Final = 4096

# Each pattern is looked at twice while its route is read, and then never again.
_TREES: Final = 16

# EXSLT's flags: i ignores case; g ("all of them") only means something to match and replace.
_FLAGS: Final = {"i": re.IGNORECASE, "g": re.NOFLAG}
_INLINE: Final = {"i": re.I, "m": re.M, "s": re.S, "x": re.X, "a": re.A}

# The parse tree of a pattern has no public door. These have been the same since Python 3.11.
_parser: Any = importlib.import_module("re._parser")
_constants: Any = importlib.import_module("re._constants")
_REPEATS: Final = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)


@lru_cache(maxsize=_CACHE_SIZE)
def compile_pattern(pattern: str, flags: str = "") -> re.Pattern[str]:
    """The compiled pattern. flags: "i" and "g" as in EXSLT.

    Raises RouteError for a pattern that is not one, for other flags, and for a pattern whose time
    doubles with every character of the text.
    """
    options = re.NOFLAG
    for flag in flags:
        if flag not in _FLAGS:
            raise RouteError(
                f"unknown regular expression flag {flag!r}",
                remedy='"i" ignores case, "g" means all; write others inline, as in "(?s)…"',
            )
        options |= _FLAGS[flag]
    try:
        compiled = re.compile(pattern, options)
    except re.error as error:
        raise RouteError(f"bad regular expression {pattern!r}: {error}") from None
    refuse_explosive(compiled)
    return compiled


def refuse_explosive(compiled: re.Pattern[str]) -> None:
    """Raise RouteError for a pattern like (a+)+, where 30 characters can take minutes."""
    # It takes two repetitions; most patterns have none, and looking closer takes long.
    if sum(map(compiled.pattern.count, "*+{")) > 1 and _explodes(
        parsed(compiled.pattern, compiled.flags)
    ):
        raise RouteError(
            f"the regular expression {compiled.pattern!r} repeats a repetition: its time doubles "
            "with every character",
            remedy="Repeat once, as in a+ for (a+)+, or make the inner one possessive, as in a++",
        )


@lru_cache(maxsize=_TREES)
def parsed(pattern: str, flags: int) -> Any:
    """The parse tree of a pattern, not to be changed."""
    return _parser.parse(pattern, flags)


def found(compiled: re.Pattern[str], text: str | None) -> bool:
    """Whether the pattern is somewhere in the text (`search`). Absent or too long: no."""
    return text is not None and len(text) <= MAX_INPUT and compiled.search(text) is not None


def portable(compiled: re.Pattern[str]) -> tuple[str, str]:
    """(pattern, EXSLT flags) that mean the same as a compiled pattern, for XPath."""
    pattern = compiled.pattern
    extra = compiled.flags & ~re.compile(pattern).flags
    inline = "".join(letter for letter, flag in _INLINE.items() if extra & flag and letter != "i")
    return (f"(?{inline})" if inline else "") + pattern, "i" if extra & re.IGNORECASE else ""


# -- the shape of a pattern -----------------------------------------------------------------------


def _explodes(sequence: Any) -> bool:
    """Whether somewhere an unbounded repetition is repeated without bound and without a divider.

    In (a+b?)+ nothing must stand between two turns of a+, so n characters can be divided in 2ⁿ
    ways, and all are tried before the answer is no. In (a+,)+ the comma decides.
    """
    return any(
        (_unbounded(operation, argument) and _swallows(argument[2]))
        or any(_explodes(inner) for inner in _inside(argument))
        for operation, argument in sequence
    )


def _swallows(sequence: Any) -> bool:
    """Whether one unbounded repetition can be all of what the sequence matches."""
    items = list(sequence)
    return any(
        (_unbounded(operation, argument) or any(map(_swallows, _groups(operation, argument))))
        and not any(map(_divides, items[:number] + items[number + 1 :]))
        for number, (operation, argument) in enumerate(items)
    )


def _unbounded(operation: Any, argument: Any) -> bool:
    """Whether an operation is a repetition without end (possessive ones do not backtrack)."""
    return operation in _REPEATS and argument[1] is _constants.MAXREPEAT


def _groups(operation: Any, argument: Any) -> list[Any]:
    """The sequences of which one has to match for the operation to match."""
    if operation is _constants.BRANCH:
        return list(argument[1])
    if operation is _constants.SUBPATTERN or operation in _REPEATS:
        return [argument[-1]]
    return []


def _inside(argument: Any) -> list[Any]:
    """All sequences within an operation's argument."""
    if isinstance(argument, _parser.SubPattern):
        return [argument]
    if isinstance(argument, tuple | list):
        return [inner for part in argument for inner in _inside(part)]
    return []


def _divides(item: Any) -> bool:
    """Whether an item must match something, or somewhere (^, \\b), so that turns cannot shift."""
    smallest, _largest = _parser.SubPattern(_parser.State(), [item]).getwidth()
    return bool(smallest > 0) or item[0] is _constants.AT
