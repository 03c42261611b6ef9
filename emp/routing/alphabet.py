"""Texts in the alphabet of a pattern, so that RE2 need know nothing of Unicode.

A pattern tells only some characters apart: to `^!ban\\b`, "é" is one more character of words, as
"0" is. So each text is searched after its characters beyond ASCII were replaced by others that are
the same to the pattern, in most cases by such of ASCII. Then \\w, \\d, \\s, \\b and case mean what
they mean to Python, in its version of Unicode; and texts in ASCII stay as they are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterable
from typing import Final

from emp.errors import RouteError
from emp.routing.reading import DIGIT, NEWLINE, OTHER, SPACE, WORD, Atom, Read, kind_of

# Characters that are remembered from text to text, since peers choose them; beyond that all are
# forgotten.
_REMEMBERED: Final = 1024

_END: Final = 0x110000
_BYTES: Final = 0x100
_ALL_KINDS: Final = (WORD, DIGIT, SPACE, OTHER)
_NONE: Final = r"[^\s\S]"


class Alphabet(dict[int, int]):
    """Character → that which stands for it, worked out when it is asked for.

    source: the pattern as RE2 is given it; encoding: that of the texts, "latin-1" where a byte is
    enough for each character.
    """

    def __init__(self, what: Read, pattern: str) -> None:
        """Raises RouteError for a pattern that tells too many characters apart."""
        self._boundary = what.boundary
        self._atoms = tuple(dict.fromkeys(each for each in what.pieces if isinstance(each, Atom)))
        self._starts = sorted(self._cuts())
        self._ascii: dict[int, int] = {}  # characters of ASCII that do not stand for themselves
        symbols: dict[int, Hashable] = {}
        first: dict[Hashable, int] = {}
        spare: list[int] = []  # words to RE2, and the same to the pattern as one before them
        for code in range(0x80):
            meaning = symbols[code] = self._meaning(code, kind_of(code))
            if first.setdefault(meaning, code) != code and _is_word(code):
                spare.append(code)
        self._symbols: dict[tuple[int, str], int] = {}
        free = 0x80
        for start, kind in self._classes():
            meaning = self._meaning(start, kind)
            if meaning not in first:
                if self._is_word(start, kind):
                    if not spare:
                        raise RouteError(
                            f"the regular expression {pattern!r:.200} has \\b, and tells too many"
                            " characters apart",
                            remedy="Begin it with (?a), or leave the \\b out",
                        )
                    symbol = spare.pop()
                    self._ascii[symbol] = first[symbols[symbol]]
                else:
                    symbol, free = free, free + 1
                first[meaning], symbols[symbol] = symbol, meaning
            self._symbols[start, kind] = first[meaning]
        self.encoding: Final = "latin-1" if free <= _BYTES else "utf-8"
        if what.inside and free > _BYTES:
            # RE2 would find it within a character, between its bytes.
            raise RouteError(
                f"the regular expression {pattern!r:.200} has \\B, and tells too many characters"
                " apart",
                remedy="Begin it with (?a), or leave the \\B out",
            )
        self.source: Final = "".join(
            each if isinstance(each, str) else self._class(each, symbols) for each in what.pieces
        )

    def reduced(self, text: str) -> str:
        """The text in this alphabet, a character for each."""
        if text.isascii() and not self._ascii:
            return text
        reduced = text.translate(self)
        if len(self) > _REMEMBERED:  # not before: each character of a text is worked out once
            self.clear()
        return reduced

    def __missing__(self, code: int) -> int:
        if code < 0x80:
            symbol = self._ascii.get(code, code)
        else:
            start = self._starts[bisect_right(self._starts, code) - 1]
            symbol = self._symbols[start, kind_of(code)]
        self[code] = symbol
        return symbol

    def _cuts(self) -> set[int]:
        """Where beyond ASCII the pattern may see a difference, besides those of kinds."""
        cuts = {0x80}
        for atom in self._atoms:
            for first, last in atom.ranges:
                cuts.update(each for each in (first, last + 1) if 0x80 < each < _END)
        return cuts

    def _classes(self) -> Iterable[tuple[int, str]]:
        """All characters beyond ASCII, by where they stand and of which kind they are."""
        for start, end in zip(self._starts, [*self._starts[1:], _END], strict=True):
            kinds = (kind_of(start),) if end == start + 1 else _ALL_KINDS
            yield from ((start, kind) for kind in kinds)

    def _meaning(self, code: int, kind: str) -> Hashable:
        """What the pattern sees of a character: where this is the same, so are they."""
        return (
            tuple(atom.has(code, kind) for atom in self._atoms),
            self._is_word(code, kind),
            code == NEWLINE,
        )

    def _is_word(self, code: int, kind: str) -> bool:
        """Whether \\b, if the pattern has it, sees a character of a word."""
        if self._boundary is None or kind not in (WORD, DIGIT):
            return False
        return code < 0x80 or self._boundary == "unicode"

    def _class(self, atom: Atom, symbols: dict[int, Hashable]) -> str:
        number = self._atoms.index(atom)
        codes = sorted(code for code, meaning in symbols.items() if meaning[0][number])  # type: ignore[index]
        ranges: list[list[int]] = []
        for code in codes:
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
        text = "".join(f"\\x{{{first:x}}}-\\x{{{last:x}}}" for first, last in ranges)
        return f"[{text}]" if text else _NONE


def _is_word(code: int) -> bool:
    return kind_of(code) in (WORD, DIGIT)
