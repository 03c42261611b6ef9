"""The parse tree of a regular expression, read for RE2: what it can do, and nothing else.

Python's parser reads the pattern, so that every way of writing it means what it means there; what
RE2 is given is written anew, from characters, repetitions, alternatives and places only.
"""

from __future__ import annotations

import importlib
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from emp.errors import RouteError

# The parse tree of a pattern has no public door. These have been the same since Python 3.11.
_parser: Any = importlib.import_module("re._parser")
_c: Any = importlib.import_module("re._constants")
_casefix: Any = importlib.import_module("re._casefix")
_sre: Any = importlib.import_module("_sre")

# Each pattern is looked at a few times while its route is read, and then never again.
_TREES: Final = 16

# Characters whose kind is remembered, for all patterns together. Peers choose them.
_KNOWN: Final = 65_536

# The last character of Unicode's first plane.
_BMP_END: Final = 0xFFFF

# No character beyond has case.
_CASED_END: Final = 0x1E944

NEWLINE: Final = 10

WORD, DIGIT, SPACE, OTHER = "word", "digit", "space", "other"
"""The kinds of characters that \\w, \\d and \\s tell apart; a digit is a word character too."""


@lru_cache(maxsize=_TREES)
def parsed(pattern: str, flags: int) -> Any:
    """The parse tree of a pattern, not to be changed."""
    return _parser.parse(pattern, flags)


@lru_cache(maxsize=_KNOWN)
def kind_of(code: int) -> str:
    """The kind of a character."""
    character = chr(code)
    if character.isdecimal():
        return DIGIT
    if character.isalnum() or character == "_":
        return WORD
    return SPACE if character.isspace() else OTHER


class Category(NamedTuple):
    """\\w, \\d, \\s, or what is none of them. ascii: with (?a)."""

    kinds: tuple[str, ...]
    wanted: bool
    ascii: bool

    def has(self, code: int, kind: str) -> bool:
        inside = kind in self.kinds
        if self.ascii:
            inside = inside and code < 0x80 and not 0x1C <= code <= 0x1F
        return inside is self.wanted


class Atom(NamedTuple):
    """What matches one character: those in the ranges (both ends are in) and categories, or all
    others."""

    ranges: tuple[tuple[int, int], ...]
    categories: tuple[Category, ...] = ()
    negated: bool = False

    def has(self, code: int, kind: str) -> bool:
        """Whether it matches a character of that kind."""
        inside = any(first <= code <= last for first, last in self.ranges) or any(
            each.has(code, kind) for each in self.categories
        )
        return inside is not self.negated


Item: TypeAlias = tuple[Atom, int, int | None] | None
"""An atom, and how often it stands there at least and at most; None: a place, as \\b."""


class Read(NamedTuple):
    """A pattern that was read.

    pieces: of what RE2 is given, where atoms stand for classes of characters; groups: the number
    there of each group; ends: those of the groups in which `$` has a line feed; boundary: in
    which alphabet it asks for ends of words, "unicode" or "ascii", None if it does not; inside:
    it asks for places that are no ends of words; anchored: it begins with the beginning of the
    text; empty: it may match no character; hollow: it repeats what may match no character;
    straight: the pattern where it is nothing but items in a row, else None.
    """

    pieces: Sequence[str | Atom]
    groups: Sequence[int]
    ends: Sequence[int]
    boundary: str | None
    inside: bool
    anchored: bool
    empty: bool
    hollow: bool
    straight: Sequence[Item] | None


def read(tree: Any, pattern: str) -> Read:
    """What the parse tree says. Raises RouteError for what has no counterpart in RE2."""
    reader = _Reader(pattern)
    flags = tree.state.flags
    reader.sequence(tree, flags, True)
    first = tree[0] if len(tree) else None
    anchored = first == (_c.AT, _c.AT_BEGINNING_STRING) or (
        first == (_c.AT, _c.AT_BEGINNING) and not flags & re.MULTILINE
    )
    return Read(
        reader.pieces,
        [reader.groups[number] for number in sorted(reader.groups)],
        reader.ends,
        reader.boundary,
        r"\B" in reader.pieces,
        anchored,
        tree.getwidth()[0] == 0,
        reader.hollow,
        reader.straight,
    )


class _Reader:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.pieces: list[str | Atom] = []
        self.groups: dict[int, int] = {}
        self.ends: list[int] = []
        self.boundary: str | None = None
        self.hollow = False
        self.straight: list[Item] | None = []
        self._opened = 0

    def refuse(self, what: str, remedy: str) -> RouteError:
        return RouteError(
            f"the regular expression {self.pattern!r:.200} has {what}, which cannot be searched for"
            " in linear time",
            remedy=remedy,
        )

    def odd(self, what: str, remedy: str) -> RouteError:
        """For what `re` itself does not do as it says."""
        return RouteError(
            f"the regular expression {self.pattern!r:.200} has {what}, which Python's"
            " re gets wrong",
            remedy=remedy,
        )

    def sequence(self, items: Iterable[Any], flags: int, last: bool) -> None:
        """last: nothing stands behind it."""
        several = list(items)
        for number, (operation, argument) in enumerate(several, 1):
            self.item(operation, argument, flags, last and number == len(several))

    def item(self, operation: Any, argument: Any, flags: int, last: bool) -> None:
        if (
            operation is _c.IN
            and flags & re.IGNORECASE
            and any(_is_odd(*each) for each in argument)
        ):
            raise self.odd(
                "a class with letters beyond U+FFFF that ignores case",
                "Write both cases, and (?-i:[…]) around the class",
            )
        atom = _atom(operation, argument, flags)
        if atom is not None:
            self.atom(atom)
        elif operation is _c.AT:
            self.place(argument, flags, last)
        elif operation is _c.SUBPATTERN:
            group, more, less, inner = argument
            if (more & re.ASCII and not flags & re.ASCII) or (
                more & re.UNICODE and flags & re.ASCII
            ):
                raise self.odd(
                    "(?a) or (?u) for a part of it", "Begin it with (?a), or write [0-9]…"
                )
            if group is None:
                self.pieces.append("(?:")
            else:
                self.groups[group] = self.open("(")
            self.sequence(inner, (flags | more) & ~less, last)
            self.pieces.append(")")
        elif operation is _c.BRANCH:
            self.straight = None
            for number, branch in enumerate(argument[1]):
                self.pieces.append("|" if number else "(?:")
                self.sequence(branch, flags, last)
            self.pieces.append(")")
        elif operation in (_c.MAX_REPEAT, _c.MIN_REPEAT):
            self.repeat(operation, argument, flags, last)
        else:
            raise self.refuse(*_REFUSED.get(operation, (str(operation).lower(), "Leave it out")))

    def open(self, text: str) -> int:
        self.pieces.append(text)
        self._opened += 1
        return self._opened

    def atom(self, atom: Atom) -> None:
        self.pieces.append(atom)
        if self.straight is not None:
            self.straight.append((atom, 1, 1))

    def repeat(self, operation: Any, argument: Any, flags: int, last: bool) -> None:
        fewest, most, inner = argument
        most = None if most is _c.MAXREPEAT else int(most)
        self.hollow |= most != 1 and inner.getwidth()[0] == 0
        before = self.straight
        self.straight = []
        self.pieces.append("(?:")
        self.sequence(inner, flags, last and most == 1)
        self.pieces.append(
            f"){{{fewest},{'' if most is None else most}}}"
            + ("?" if operation is _c.MIN_REPEAT else "")
        )
        repeated = self.straight
        self.straight = None
        if before is not None and repeated is not None and len(repeated) == 1:
            item = repeated[0]
            if item is not None and item[1:] == (1, 1):
                self.straight = [*before, (item[0], fewest, most)]

    def place(self, argument: Any, flags: int, last: bool) -> None:
        if self.straight is not None:
            self.straight.append(None)
        if argument in (_c.AT_BOUNDARY, _c.AT_NON_BOUNDARY):
            self.boundary = "ascii" if flags & re.ASCII else "unicode"
            self.pieces.append(r"\b" if argument is _c.AT_BOUNDARY else r"\B")
        elif argument is _c.AT_END and not flags & re.MULTILINE:
            if not last:
                raise self.refuse("a $ with something behind it", r"Write \Z for the very end")
            self.ends.append(self.open(r"(\n?)\z"))
        else:
            self.pieces.append(_PLACES[argument, bool(flags & re.MULTILINE)])


_PLACES: Final = {
    (_c.AT_BEGINNING, False): r"\A",
    (_c.AT_BEGINNING, True): "(?m:^)",
    (_c.AT_BEGINNING_STRING, False): r"\A",
    (_c.AT_BEGINNING_STRING, True): r"\A",
    (_c.AT_END, True): "(?m:$)",
    (_c.AT_END_STRING, False): r"\z",
    (_c.AT_END_STRING, True): r"\z",
}

_LOOK: Final = (
    "a look ahead or behind",
    "Make two conditions of it, as in [re:test(…)][not(re:test(…))], or a guard, if_=",
)
_GREEDY: Final = ("a possessive repetition or atomic group", "Write a+ for a++, (?:…) for (?>…)")
_BACK: Final = ("a reference to a group", "Write a guard for it, if_=")
_REFUSED: Final[Mapping[Any, tuple[str, str]]] = {
    _c.ASSERT: _LOOK,
    _c.ASSERT_NOT: _LOOK,
    _c.FAILURE: _LOOK,
    _c.POSSESSIVE_REPEAT: _GREEDY,
    _c.ATOMIC_GROUP: _GREEDY,
    _c.GROUPREF: _BACK,
    _c.GROUPREF_EXISTS: _BACK,
}


# -- characters -----------------------------------------------------------------------------------

_KINDS: Final = {
    _c.CATEGORY_WORD: ((WORD, DIGIT), True),
    _c.CATEGORY_NOT_WORD: ((WORD, DIGIT), False),
    _c.CATEGORY_DIGIT: ((DIGIT,), True),
    _c.CATEGORY_NOT_DIGIT: ((DIGIT,), False),
    _c.CATEGORY_SPACE: ((SPACE,), True),
    _c.CATEGORY_NOT_SPACE: ((SPACE,), False),
}


def _atom(operation: Any, argument: Any, flags: int) -> Atom | None:
    if operation is _c.ANY:
        return Atom(() if flags & re.DOTALL else ((NEWLINE, NEWLINE),), negated=True)
    if operation is _c.LITERAL or operation is _c.NOT_LITERAL:
        ranges = _alike(argument, argument, flags)
        return Atom(ranges, negated=operation is _c.NOT_LITERAL)
    if operation is not _c.IN:
        return None
    found: list[tuple[int, int]] = []
    categories: list[Category] = []
    negated = False
    for what, value in argument:
        if what is _c.NEGATE:
            negated = True
        elif what is _c.CATEGORY:
            categories.append(Category(*_KINDS[value], bool(flags & re.ASCII)))
        else:
            first, last = value if what is _c.RANGE else (value, value)
            found += _alike(first, last, flags)
    return Atom(tuple(found), tuple(categories), negated)


def _is_odd(what: Any, value: Any) -> bool:
    """Whether this part of a class means something else to `re` than it says, where case is
    ignored: of the characters beyond U+FFFF it sees a capital only by its small letter, and those
    of ranges without regard to (?a) and to letters that have more than two forms."""
    if what is _c.RANGE:
        first, last = value
        return bool(last > _BMP_END and first < _CASED_END)
    return what is _c.LITERAL and value > _BMP_END and bool(_sre.unicode_tolower(value) != value)


def _alike(first: int, last: int, flags: int) -> tuple[tuple[int, int], ...]:
    """The range, and the characters that are the same as those in it where case is ignored."""
    ranges = [(first, last)]
    if flags & re.IGNORECASE:
        if flags & re.ASCII:
            for low, high, step in ((0x41, 0x5A, 0x20), (0x61, 0x7A, -0x20)):
                if first <= high and last >= low:
                    ranges.append((max(first, low) + step, min(last, high) + step))
        elif first == last < 0x80:
            more = _cased_ascii().get(first, ())
            ranges += [(code, code) for code in more]
        else:
            codes, groups = _cased()
            for code in codes[bisect_left(codes, first) :]:
                if code > last:
                    break
                ranges += [(other, other) for other in groups[code]]
    return tuple(dict.fromkeys(ranges))


@cache
def _cased() -> tuple[list[int], dict[int, tuple[int, ...]]]:
    """Characters that have others with another case, and these."""
    same: dict[int, list[int]] = defaultdict(list)
    for code in range(_CASED_END):
        lower = _sre.unicode_tolower(code)
        if lower != code or _sre.unicode_iscased(code):
            same[lower].append(code)
    more = _casefix._EXTRA_CASES
    groups = {
        code: tuple(
            dict.fromkeys(other for each in (lower, *more.get(lower, ())) for other in same[each])
        )
        for lower, codes in list(same.items())
        for code in codes
    }
    return sorted(groups), groups


@cache
def _cased_ascii() -> dict[int, tuple[int, ...]]:
    """The same for ASCII only: most patterns need no more, and need not wait for the rest."""
    lowers = {code + 0x20: [code, code + 0x20] for code in range(0x41, 0x5B)}
    for code in (0x130, 0x131, 0x17F, 0x212A):  # İ ı ſ K
        lower = _sre.unicode_tolower(code)
        for letter in lowers:
            if lower == letter or lower in _casefix._EXTRA_CASES.get(letter, ()):
                lowers[letter].append(code)
    return {code: tuple(codes) for codes in lowers.values() for code in codes[:2]}
