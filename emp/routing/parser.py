"""XPath 1.0 tokens → syntax tree, by recursive descent over the grammar.

Source: XML Path Language 1.0, §2 and §3; the production numbers stand beside the methods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from emp import ns
from emp.errors import RouteError
from emp.routing.syntax import (
    AXES,
    Binary,
    Call,
    Filter,
    Literal,
    NameTest,
    Negative,
    Node,
    Number,
    Path,
    Step,
    TypeTest,
)
from emp.routing.tokens import Kind, Token, begins_step

# An expression nested deeper than this was not written by a person, and the parser is recursive.
MAX_DEPTH: Final = 60


def parse(text: str, tokens: Sequence[Token], namespaces: Mapping[str, str]) -> Node:
    """The tree of an expression. text: for messages; namespaces: prefix → URI.

    A prefix that is not among them stands for the namespace "" (qualify() complains about it).
    Raises RouteError, which says where the grammar is violated.
    """
    return _Parser(text, tokens, namespaces).whole()


_HERE: Final = Step("self", TypeTest("node"))
_EVERYWHERE: Final = Step("descendant-or-self", TypeTest("node"))
# How tightly the operators bind (§3.5; [21] to [26])
_BINDING: Final = {
    "or": 1, "and": 2, "=": 3, "!=": 3, "<": 4, "<=": 4, ">": 4, ">=": 4, "+": 5, "-": 5,
    "*": 6, "div": 6, "mod": 6,
}  # fmt: skip


class _Parser:
    """The position in a list of tokens. Each method reads one production."""

    def __init__(self, text: str, tokens: Sequence[Token], namespaces: Mapping[str, str]) -> None:
        self._text = text
        self._tokens = tokens
        self._namespaces = namespaces
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._expression()
        if self._at < len(self._tokens):
            raise self._unexpected()
        return node

    # -- tokens -----------------------------------------------------------------------------------

    def _peek(self) -> str:
        """The text of the next token if it is no literal, else ""."""
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            return "" if token.kind is Kind.LITERAL else token.text
        return ""

    def _next(self) -> Token:
        if self._at == len(self._tokens):
            raise self._unexpected()
        self._at += 1
        return self._tokens[self._at - 1]

    def _accept(self, *texts: str) -> str:
        text = self._peek()
        if text and text in texts:
            self._at += 1
            return text
        return ""

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self._unexpected(text)

    def _unexpected(self, wanted: str = "") -> RouteError:
        want = f", and not the {wanted!r} that has to stand there" if wanted else ""
        if self._at == len(self._tokens):
            last = f" after {self._tokens[-1].text!r}" if self._tokens else ""
            return RouteError(f"bad XPath {self._text!r}: something is missing at its end{last}")
        token = self._tokens[self._at]
        return RouteError(
            f"bad XPath {self._text!r}: {token.text} at character {token.start + 1} makes no sense"
            f" there{want}"
        )

    # -- expressions ------------------------------------------------------------------------------

    def _expression(self) -> Node:  # [14]
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise RouteError(f"bad XPath {self._text!r:.80}: nested more than {MAX_DEPTH} deep")
        node = self._binary(1)
        self._depth -= 1
        return node

    def _binary(self, loosest: int) -> Node:  # [21] to [26]
        """An operand and what follows it, as far as the operators bind that tightly."""
        node = self._unary()
        while True:
            binding = _BINDING.get(self._peek_operator(), 0)
            if binding < loosest:
                return node
            operator = self._next().text
            node = Binary(operator, node, self._binary(binding + 1))

    def _peek_operator(self) -> str:
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            return token.text if token.kind is Kind.OPERATOR else ""
        return ""

    def _unary(self) -> Node:  # [27]
        minus = 0
        while self._accept("-"):
            minus += 1
        node = self._union()
        for _ in range(min(minus, 2 - minus % 2)):  # --x is the number of x, and so is ----x
            node = Negative(node)
        return node

    def _union(self) -> Node:  # [18]
        node = self._path()
        while self._accept("|"):
            node = Binary("|", node, self._path())
        return node

    def _path(self) -> Node:  # [19] and [1]
        if self._at == len(self._tokens):
            raise self._unexpected()
        token = self._tokens[self._at]
        if token.text in ("/", "//") or begins_step(token):
            return self._location_path()
        node = self._primary()
        predicates = self._predicates()
        steps: tuple[Step, ...] = ()
        if slash := self._accept("/", "//"):
            steps = (*((_EVERYWHERE,) if slash == "//" else ()), *self._steps())
        return Filter(node, predicates, steps) if predicates or steps else node

    def _primary(self) -> Node:  # [15]
        if self._accept("("):
            node = self._expression()
            self._expect(")")
            return node
        token = self._next()
        if token.kind is Kind.LITERAL:
            return Literal(token.value)
        if token.kind in (Kind.NUMBER, Kind.VARIABLE):
            return Number(token.text)
        if token.kind is Kind.FUNCTION:
            return self._call(token)
        self._at -= 1
        raise self._unexpected()

    def _call(self, token: Token) -> Call:  # [16]
        self._expect("(")
        arguments: list[Node] = []
        if not self._accept(")"):
            arguments.append(self._expression())
            while self._accept(","):
                arguments.append(self._expression())
            self._expect(")")
        namespace = self._namespaces.get(token.prefix, "") if token.prefix else None
        return Call(namespace, token.local, tuple(arguments), token.prefix)

    # -- paths ------------------------------------------------------------------------------------

    def _location_path(self) -> Path:  # [1] to [3]
        slash = self._accept("/", "//")
        if slash == "//":
            return Path(True, (_EVERYWHERE, *self._steps()))
        follows = self._at < len(self._tokens) and begins_step(self._tokens[self._at])
        if slash and not follows:
            return Path(True, ())
        return Path(bool(slash), self._steps())

    def _steps(self) -> tuple[Step, ...]:
        steps = [self._step()]
        while slash := self._accept("/", "//"):
            if slash == "//":
                steps.append(_EVERYWHERE)
            steps.append(self._step())
        return tuple(steps)

    def _step(self) -> Step:  # [4]
        if self._accept("."):
            return _HERE
        if self._accept(".."):
            return Step("parent", TypeTest("node"))
        axis = "child"
        if self._accept("@"):
            axis = "attribute"
        elif self._at < len(self._tokens) and self._tokens[self._at].kind is Kind.AXIS:
            axis = self._axis(self._next())
        return Step(axis, self._test(axis), self._predicates())

    def _axis(self, token: Token) -> str:
        if token.text not in AXES:
            raise RouteError(
                f"bad XPath {self._text!r}: there is no axis {token.text}",
                remedy=f"There are: {', '.join(sorted(AXES))}",
            )
        self._expect("::")
        return token.text

    def _test(self, axis: str) -> NameTest | TypeTest:  # [7]
        token = self._next()
        if token.kind is Kind.NODE_TYPE:
            self._expect("(")
            argument = None
            if token.text == "processing-instruction" and self._peek() != ")":
                argument = self._next().value
            self._expect(")")
            return TypeTest(token.text, argument)
        if token.kind is not Kind.NAME_TEST:
            self._at -= 1
            raise self._unexpected()
        if token.prefix:
            return NameTest(self._namespaces.get(token.prefix, ""), token.local, token.prefix)
        in_client = axis not in ("attribute", "namespace") and token.local != "*"
        return NameTest(ns.CLIENT if in_client else None, token.local)

    def _predicates(self) -> tuple[Node, ...]:  # [8]
        found: list[Node] = []
        while self._accept("["):
            found.append(self._expression())
            self._expect("]")
        return tuple(found)
