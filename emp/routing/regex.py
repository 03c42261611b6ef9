"""Regular expressions in routes: those of Python's `re`, found in linear time.

`re` backtracks, so that an unlucky pattern takes time that doubles with every character, and
senders choose the text. So a pattern is searched by RE2, whose time grows with the text and no
faster, whatever both are. What RE2 does not have, and what would mean something else there, is
refused when the route is declared. RE2 knows little of Unicode: emp.routing.alphabet says how
that is none of its business. Patterns come from the routes file only, never from a stanza.

A pattern that leaves `re` no choice (emp.routing.straight) is left to it, which takes a third of
the time. Linear may still be long, for a large pattern and a large text: see MAX_WORK.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import re2

from emp.errors import EmpError, RouteError
from emp.routing.alphabet import Alphabet
from emp.routing.reading import parsed, read
from emp.routing.straight import is_straight

__all__ = ["Pattern", "compile_pattern", "compiled", "found", "parsed", "portable"]

# Bytes that RE2 may take for one pattern: its program, and what it remembers of texts to be fast.
# Programs of more than 10,000 instructions do not fit and are refused. RE2's own default, 8 MiB,
# would be 80 GB for 10,000 patterns with texts that are made for it.
MAX_MEMORY: Final = 1024 * 1024

# Instructions of the program, times characters of the text: 10 ns each where the text is made to
# find the slowest way, so 0.2 s, and mostly a thousandth of that. Most patterns have less than 50,
# for which no stanza is too long; one of 1,000, as of a list of 200 words, takes 20,000 characters.
# With a longer text the search fails, which is logged, and the route does not match: what a part of
# the text says (`secret$`) is not what the sender has said.
MAX_WORK: Final = 20_000_000

# With the flag g a text is searched behind each match again, and each search may look at all that
# is left: as if so many texts were searched that are as long as MAX_WORK allows.
SEARCHES: Final = 10

# All patterns stand in routes files, so this only has to exceed what one process serves;
# beyond it a pattern is compiled again.
_CACHE_SIZE: Final = 4096

# EXSLT's flags: i ignores case; g ("all of them") only means something to match and replace.
_FLAGS: Final = {"i": re.IGNORECASE, "g": re.NOFLAG}
_INLINE: Final = {"i": re.I, "m": re.M, "s": re.S, "x": re.X, "a": re.A}


class TextTooLong(EmpError):
    """There is more to be searched than MAX_WORK allows."""


class Pattern:
    """A compiled pattern. pattern: its text; flags: those of `re`; found: whether it is somewhere
    in a text, which raises TextTooLong."""

    __slots__ = ("_in_nothing", "_matcher", "flags", "found", "pattern")

    def __init__(self, pattern: re.Pattern[str]) -> None:
        """Raises RouteError for what cannot be searched in linear time."""
        self.pattern: Final = pattern.pattern
        self.flags: Final = pattern.flags
        self._matcher: _Matcher | None = None
        what = read(parsed(self.pattern, self.flags), self.pattern)
        # What `re` makes of the empty text takes no time, and has been odd: \B was not in it.
        self._in_nothing: Final = pattern.search("")
        if is_straight(what):
            # From a fixed start, there is one place where it can be found.
            search = pattern.match if what.anchored else pattern.search
            self.found: Callable[[str], bool] = lambda text: search(text) is not None
        else:
            self.found = _finder(Alphabet(what, self.pattern), self.pattern, self._in_nothing)

    def prepare(self, every: bool) -> None:
        """For matches(). Raises RouteError where RE2 would find something else than `re`."""
        if self._matcher is None:
            self._matcher = _Matcher(self.pattern, self.flags)
        if every and self._matcher.empty:
            raise RouteError(
                f"the regular expression {self.pattern!r:.200} may match nothing, everywhere",
                remedy="Write + for *, or leave the flag g out",
            )

    def matches(self, text: str, every: bool = False) -> list[list[str]]:
        """The first match, or every one: [the text that matched, that of each group], "" for a
        group that has none. Raises RouteError as prepare(), and TextTooLong."""
        self.prepare(every)
        if not text:
            found = self._in_nothing
            return [] if found is None else [[found.group(), *found.groups("")]]
        assert self._matcher is not None
        return self._matcher(text, every)


@lru_cache(maxsize=_CACHE_SIZE)
def compile_pattern(pattern: str, flags: str = "") -> Pattern:
    """The compiled pattern. flags: "i" and "g" as in EXSLT.

    Raises RouteError for a pattern that is not one, for other flags, and as Pattern.
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
        return compiled(re.compile(pattern, options))
    except (re.error, OverflowError, RecursionError) as error:
        raise RouteError(f"bad regular expression {pattern!r}: {error}") from None


@lru_cache(maxsize=_CACHE_SIZE)
def compiled(pattern: re.Pattern[str]) -> Pattern:
    """What `re` has compiled, as a Pattern. Raises RouteError as that."""
    return Pattern(pattern)


def found(pattern: Pattern, text: str | None) -> bool:
    """Whether the pattern is somewhere in the text. Absent: no."""
    return text is not None and pattern.found(text)


def portable(compiled: re.Pattern[str]) -> tuple[str, str]:
    """(pattern, EXSLT flags) that mean the same as a compiled pattern, for XPath."""
    pattern = compiled.pattern
    extra = compiled.flags & ~re.compile(pattern).flags
    inline = "".join(letter for letter, flag in _INLINE.items() if extra & flag and letter != "i")
    return (f"(?{inline})" if inline else "") + pattern, "i" if extra & re.IGNORECASE else ""


# -- RE2 ------------------------------------------------------------------------------------------


def _options(**wanted: Any) -> re2.Options:
    options = re2.Options()
    options.max_mem = MAX_MEMORY
    options.log_errors = False  # they are raised
    for name, value in wanted.items():
        setattr(options, name, value)
    return options


_ENCODINGS: Final = {"latin-1": re2.Options.Encoding.LATIN1, "utf-8": re2.Options.Encoding.UTF8}


def _re2(alphabet: Alphabet, pattern: str, **wanted: Any) -> tuple[Any, int]:
    """The regular expression of RE2, for bytes, and how many characters it may be asked to
    search."""
    try:
        regexp = re2.compile(
            alphabet.source.encode(), _options(encoding=_ENCODINGS[alphabet.encoding], **wanted)
        )
    except re2.error as error:
        text = error.args[0]
        said = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        raise RouteError(
            f"the regular expression {pattern!r:.200} is too large: {said:.200}",
            remedy="Repeat less than 1,000 times, or make several routes of it",
        ) from None
    return regexp, MAX_WORK // max(regexp.programsize, regexp.reverseprogramsize, 1)


def _check(text: str, most: int, pattern: str) -> None:
    if len(text) > most:
        raise TextTooLong(
            f"a text of {len(text)} characters, and the regular expression {pattern!r:.200} is so"
            f" large that it may search {most}"
        )


def _finder(alphabet: Alphabet, pattern: str, nothing: object) -> Callable[[str], bool]:
    # Bytes take RE2's module a third of the time that texts do.
    regexp, most = _re2(alphabet, pattern, never_capture=True)
    search, reduced, in_nothing = regexp.search, alphabet.reduced, nothing is not None
    encoding = alphabet.encoding

    def found(text: str) -> bool:
        if not text:
            return in_nothing
        if len(text) > most:
            _check(text, most, pattern)
        return search(reduced(text).encode(encoding)) is not None

    return found


class _Matcher:
    """Finds where a pattern matches, and its groups. empty: it may match no character."""

    __slots__ = ("_alphabet", "_ends", "_groups", "_most", "_pattern", "_regexp", "empty")

    def __init__(self, pattern: str, flags: int) -> None:
        what = read(parsed(pattern, flags), pattern)
        if what.hollow:
            raise RouteError(
                f"the regular expression {pattern!r:.200} repeats what may match nothing, and what"
                " its groups hold then is no certain thing",
                remedy="Write (?:a+)* or a* for (?:a*)*",
            )
        self._alphabet = Alphabet(what, pattern)
        self._groups, self._ends, self.empty = what.groups, what.ends, what.empty
        self._pattern = pattern
        self._regexp, self._most = _re2(self._alphabet, pattern)

    def __call__(self, text: str, every: bool) -> list[list[str]]:
        _check(text, self._most, self._pattern)
        found: list[list[str]] = []
        reduced: str | bytes = self._alphabet.reduced(text)
        if self._alphabet.encoding == "latin-1":  # else RE2's module is to count the characters
            reduced = self._alphabet.reduced(text).encode("latin-1")
        end, left = len(text), SEARCHES * self._most
        for match in self._regexp.finditer(reduced):
            end = self._note(match, text, found)
            if not every:
                return found
            # The next search may look at all that is left, and find what is here.
            left -= len(text) - end
            if left < 0:
                raise TextTooLong(
                    f"a text of {len(text)} characters, in which the regular expression"
                    f" {self._pattern!r:.200} is found more than {len(found)} times"
                )
        if found and end < len(text) and (more := self._regexp.search(reduced, end)) is not None:
            self._note(more, text, found)
        return found

    def _note(self, match: re2._Match[str], text: str, found: list[list[str]]) -> int:
        """Add what was found, and return where it ends."""
        # The line feed that `$` has seen behind it does not belong to it.
        end = min([len(text), *(at for each in self._ends if (at := match.start(each)) >= 0)])
        spans = [match.span(), *map(match.span, self._groups)]
        found.append([text[max(first, 0) : max(min(last, end), 0)] for first, last in spans])
        return min(match.span()[1], end)
