"""The syntax tree of an XPath 1.0 expression.

Trees of expressions that differ only in abbreviations, spaces, quotes and prefixes are equal. The
text of a tree (`str`) is an expression with that meaning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

AXES: Final = frozenset(
    {
        "ancestor", "ancestor-or-self", "attribute", "child", "descendant", "descendant-or-self",
        "following", "following-sibling", "namespace", "parent", "preceding", "preceding-sibling",
        "self",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NameTest:
    """A name, resolved. namespace: None for none, and for any where `local` is "*" without a
    prefix."""

    namespace: str | None
    local: str
    prefix: str = field(default="", compare=False)

    @property
    def tag(self) -> str | None:
        """The Clark name, None where many names meet the test."""
        if self.local == "*":
            return None
        return f"{{{self.namespace}}}{self.local}" if self.namespace else self.local

    def __str__(self) -> str:
        return f"{self.prefix}:{self.local}" if self.prefix else self.local


@dataclass(frozen=True, slots=True)
class TypeTest:
    """node(), text(), comment() or processing-instruction()."""

    type: str
    argument: str | None = None

    def __str__(self) -> str:
        return f"{self.type}({'' if self.argument is None else quote(self.argument)})"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path."""

    axis: str
    test: NameTest | TypeTest
    predicates: tuple[Node, ...] = ()

    def __str__(self) -> str:
        predicates = "".join(f"[{each}]" for each in self.predicates)
        if isinstance(self.test, TypeTest) and not predicates:
            short = {"self": ".", "parent": ".."}.get(self.axis)
            if short and self.test.type == "node":
                return short
        axis = {"child": "", "attribute": "@"}.get(self.axis, f"{self.axis}::")
        return f"{axis}{self.test}{predicates}"


@dataclass(frozen=True, slots=True)
class Path:
    """A location path; `//` is spelt out as the step that it stands for."""

    absolute: bool
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return ("/" if self.absolute else "") + "/".join(map(str, self.steps))


@dataclass(frozen=True, slots=True)
class Filter:
    """An expression with predicates, or with a path from the nodes that it finds."""

    primary: Node
    predicates: tuple[Node, ...]
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        predicates = "".join(f"[{each}]" for each in self.predicates)
        return "/".join([f"({self.primary}){predicates}", *map(str, self.steps)])


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands with an operator between them, `|` included."""

    operator: str
    left: Node
    right: Node

    def __str__(self) -> str:
        if self.operator in ("=", "!="):
            return f"{_operand(self.left)}{self.operator}{_operand(self.right)}"
        return f"{_operand(self.left)} {self.operator} {_operand(self.right)}"


@dataclass(frozen=True, slots=True)
class Negative:
    """A number with a minus before it."""

    operand: Node

    def __str__(self) -> str:
        return f"-{_operand(self.operand)}"


@dataclass(frozen=True, slots=True)
class Call:
    """A function call. namespace: None for the functions of XPath itself."""

    namespace: str | None
    name: str
    arguments: tuple[Node, ...]
    prefix: str = field(default="", compare=False)

    def __str__(self) -> str:
        prefix = f"{self.prefix}:" if self.prefix else ""
        return f"{prefix}{self.name}({', '.join(map(str, self.arguments))})"


@dataclass(frozen=True, slots=True)
class Literal:
    """A text in quotes."""

    text: str

    def __str__(self) -> str:
        return quote(self.text)


@dataclass(frozen=True, slots=True)
class Number:
    """A number, or the name of a variable, which routes do not have."""

    text: str

    def __str__(self) -> str:
        return self.text


Node: TypeAlias = Path | Filter | Binary | Negative | Call | Literal | Number


def _operand(node: Node) -> str:
    return f"({node})" if isinstance(node, Binary) else str(node)


_NUMBERS: Final = frozenset(
    {"count", "last", "position", "sum", "number", "floor", "ceiling", "round", "string-length"}
)
_ARITHMETIC: Final = ("+", "-", "*", "div", "mod")


def is_number(node: Node) -> bool:
    """Whether the value is a number, which in brackets stands for a position."""
    if isinstance(node, Call):
        return node.namespace is None and node.name in _NUMBERS
    if isinstance(node, Binary):
        return node.operator in _ARITHMETIC
    return isinstance(node, Negative | Number)


def quote(text: str) -> str:
    """An XPath expression whose value is the text. XPath has no escapes, hence the concat()."""
    if "'" not in text:
        return f"'{text}'"
    if '"' not in text:
        return f'"{text}"'
    parts = [f"'{part}'" for part in text.split("'")]
    return "concat({})".format(""", "'", """.join(parts))
