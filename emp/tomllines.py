"""Where the tables and keys of a TOML document stand, which tomllib does not tell.

For documents that tomllib has accepted: what is no TOML gives places that are of no use, and no
error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

Path = tuple[str, ...]

_SPACE: Final = re.compile(r"[ \t]*")
_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_PART: Final = re.compile(r'"((?:[^"\\\n]|\\.)*)"|\'([^\'\n]*)\'|([\w-]+)')
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))")
_ESCAPED: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}
# What a value is made of: strings first, for brackets, signs and line ends in them mean nothing.
_IN_VALUE: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*'
    r"|[\[\]{}\n]|[^\[\]{}\n\"'#]+|.",
    re.DOTALL,
)


def lines_of(text: str) -> dict[Path, int]:
    """Path of each table and key → the line, from 1, where it is first named.

    A table is named by its header, or by what stands in it. What is inside of a value (of an array
    or an inline table) has no line of its own.
    """
    found: dict[Path, int] = {}
    for path, offset in _named(text):
        line = text.count("\n", 0, offset) + 1
        for length in range(1, len(path) + 1):
            found.setdefault(path[:length], line)
    return found


def _named(text: str) -> Iterator[tuple[Path, int]]:
    table: Path = ()
    at = _end(_BLANK, text, 0)
    while at < len(text):
        start = at
        header = text[at] == "["
        while header and at < len(text) and text[at] == "[":
            at += 1
        key, at = _key(text, at)
        if header:
            table = key
            yield table, start
        elif key:
            yield (*table, *key), start
        at = _end(_BLANK, text, _after_line(text, at))


def _key(text: str, at: int) -> tuple[Path, int]:
    """A dotted key and where it ends."""
    parts: list[str] = []
    while True:
        at = _end(_SPACE, text, at)
        part = _PART.match(text, at)
        if part is None:
            return tuple(parts), at
        basic, literal, bare = part.groups()
        parts.append(_ESCAPE.sub(_unescaped, basic) if basic is not None else literal or bare or "")
        at = _end(_SPACE, text, part.end())
        if text[at : at + 1] != ".":
            return tuple(parts), at
        at += 1


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2]
    return chr(int(code, 16)) if code else _ESCAPED.get(escape[3], escape[3])


def _after_line(text: str, at: int) -> int:
    """Where the line ends that the value at `at` ends in."""
    depth = 0
    while piece := _IN_VALUE.match(text, at):
        at = piece.end()
        if piece[0] in ("[", "{"):
            depth += 1
        elif piece[0] in ("]", "}"):
            depth -= 1
        elif piece[0] == "\n" and depth <= 0:
            break
    return at


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
