"""XPath 1.0 text → tokens, exactly as the specification reads it.

Source: XML Path Language 1.0, §3.7 (lexical structure and its disambiguation rules). The same
word can be an element, an operator, an axis or a function (`div div div` is a division), and
only here is that decided. The grammar is emp.routing.parser's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

from emp.errors import RouteError


class Kind(Enum):
    """What a token is (XPath 1.0 production numbers in brackets)."""

    NAME_TEST = "name test"  # [37] x, p:x, p:*, *
    NODE_TYPE = "node type"  # [38] the name before "(": node, text, comment, …
    FUNCTION = "function"  # [35] the name before "("
    AXIS = "axis"  # [6] the name before "::"
    OPERATOR = "operator"  # [32] and or mod div * / // | + - = != < <= > >=
    LITERAL = "literal"  # [29] with its quotes
    NUMBER = "number"  # [30]
    VARIABLE = "variable"  # [36] with its $
    MARK = "mark"  # ( ) [ ] . .. @ , ::


class Token(NamedTuple):
    """One token: its kind, its text, and where it starts, counted in characters from 0."""

    kind: Kind
    text: str
    start: int

    @property
    def prefix(self) -> str:
        """The namespace prefix of a name, "" where it has none."""
        return self.text.lstrip("$").rpartition(":")[0]

    @property
    def local(self) -> str:
        """The name without its prefix."""
        return self.text.lstrip("$").rpartition(":")[2]

    @property
    def value(self) -> str:
        """What a literal stands for: its text without the quotes (XPath knows no escapes)."""
        return self.text[1:-1]


# Namespaces in XML 1.0 §3 NCName over XML 1.0 (fifth edition) §2.3 NameStartChar and NameChar.
_START: Final = (
    "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d"
    "\u2070-\u218f\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
NCNAME: Final = f"[{_START}][{_START}.0-9\u00b7\u0300-\u036f\u203f\u2040-]*"

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_SCAN: Final = re.compile(
    rf"""
      (?P<literal>"[^"]*"|'[^']*')
    | (?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)
    | (?P<variable>\${NCNAME}(?::{NCNAME})?)
    | (?P<name>{NCNAME}(?::(?:{NCNAME}|\*))?)
    | (?P<operator>//|!=|<=|>=|[/|+=<>-])
    | (?P<mark>::|\.\.|[()\[\].@,])
    | (?P<star>\*)
    """,
    re.VERBOSE,
)
_OPERATOR_NAMES: Final = frozenset({"and", "or", "mod", "div"})
_NODE_TYPES: Final = frozenset({"comment", "text", "processing-instruction", "node"})
# After these (and after an operator) an operand is due, so `*` and words are not operators.
_OPERAND_DUE: Final = frozenset({"@", "::", "(", "[", ","})
_STEP_KINDS: Final = (Kind.NAME_TEST, Kind.NODE_TYPE, Kind.AXIS)
_STEP_MARKS: Final = (".", "..", "@")
_PLAIN: Final = {
    "literal": Kind.LITERAL,
    "number": Kind.NUMBER,
    "variable": Kind.VARIABLE,
    "operator": Kind.OPERATOR,
    "mark": Kind.MARK,
}


def tokenize(text: str) -> list[Token]:
    """The tokens of an expression. Raises RouteError, which says at which character and why."""
    tokens: list[Token] = []
    position = _skip(text, 0)
    while position < len(text):
        found = _SCAN.match(text, position)
        if found is None:
            raise RouteError(_complaint(text, position))
        group = found.lastgroup or ""
        kind = _PLAIN.get(group) or _name_kind(text, found, tokens[-1] if tokens else None)
        tokens.append(Token(kind, found.group(), position))
        position = _skip(text, found.end())
    return tokens


def is_ncname(text: str) -> bool:
    """Whether the text is a name without a colon, as prefixes are."""
    return re.fullmatch(NCNAME, text) is not None


def operand_due(previous: Token | None) -> bool:
    """Whether what follows `previous` starts an operand (the first rule of §3.7)."""
    return (
        previous is None
        or previous.kind is Kind.OPERATOR
        or (previous.kind is Kind.MARK and previous.text in _OPERAND_DUE)
    )


def begins_step(token: Token) -> bool:
    """Whether a location step can begin with the token ([4] Step)."""
    return token.kind in _STEP_KINDS or token.text in _STEP_MARKS


def closing(tokens: Sequence[Token], opening: int) -> int:
    """The number of the token that closes the bracket or parenthesis."""
    depth = 0
    for number in range(opening, len(tokens)):
        depth += (tokens[number].text in ("(", "[")) - (tokens[number].text in (")", "]"))
        if depth == 0:
            return number
    raise AssertionError("_check_brackets() let it pass")


def end_of(token: Token) -> int:
    """Where the token ends, counted in characters from 0."""
    return token.start + len(token.text)


def _name_kind(text: str, found: re.Match[str], previous: Token | None) -> Kind:
    word = found.group()
    if not operand_due(previous):
        if word == "*" or word in _OPERATOR_NAMES:
            return Kind.OPERATOR
        raise RouteError(
            f"bad XPath {text!r}: an operator (and, or, =, …) is missing before {word!r} "
            f"at character {found.start() + 1}"
        )
    if word == "*":
        return Kind.NAME_TEST
    after = _skip(text, found.end())
    if text.startswith("(", after):
        return Kind.NODE_TYPE if word in _NODE_TYPES else Kind.FUNCTION
    if text.startswith("::", after):
        return Kind.AXIS
    return Kind.NAME_TEST


def _skip(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _complaint(text: str, position: int) -> str:
    character = text[position]
    where = f"bad XPath {text!r}: at character {position + 1}"
    if character in "\"'":
        return f"{where} a string begins that has no end"
    return f"{where} {character!r} makes no sense"
