"""XPath 1.0 for routes: compiled by lxml, after being made to mean what a route means.

Three things differ between a route and plain XPath:

- names without a prefix mean jabber:client (elements only; XPath would take "no namespace");
- the stanza is the document. So `/message` is the stanza itself and `//x` searches in it, and
  both work although the element may stand in a longer stream;
- all that can be wrong is found at boot: prefixes, functions, arguments, regular expressions.

Text of users becomes XPath only through `quote`; XPath 1.0 has no escapes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final

from lxml import etree

from emp import ns
from emp.errors import FORBIDDEN_CHARACTERS, RouteError
from emp.routing import regex
from emp.routing.absolute import relativise as relativise
from emp.routing.functions import CORE, EXTENSIONS, INSTEAD, KNOWN, PREDECLARED, signature
from emp.routing.parser import parse
from emp.routing.syntax import quote as quote
from emp.routing.tokens import Kind, Token, closing, end_of, tokenize
from emp.stanza import Iq, Message, Presence, Stanza
from emp.view import tree_of
from emp.xml import Element

# Prefix of jabber:client in the text that lxml gets. Users cannot declare it.
CLIENT_PREFIX: Final = "_client"

# From the stanza these can lead out of it, into whatever it stands in.
_OUTWARD_AXES: Final = frozenset(
    {
        "ancestor", "ancestor-or-self", "following", "following-sibling", "parent", "preceding",
        "preceding-sibling",
    }
)  # fmt: skip

_PAIRS: Final = {"(": ")", "[": "]"}
_CLOSING: Final = frozenset(_PAIRS.values())

# A stanza of each kind to try a route on: wrong arguments show only when XPath is evaluated.
_SAMPLES: Final[tuple[Stanza, ...]] = (
    Message("b@example.org", "hello", type="chat", from_="a@example.org/x", subject="s", id="1"),
    Presence("b@example.org", status="here", from_="a@example.org/x", id="1"),
    Iq("get", etree.Element(f"{{{ns.PING}}}ping"), to="b@example.org", id="1"),
)


class Reading:
    """An expression that is understood as far as its grammar, names and functions go.

    text: as the user wrote it; relative: without absolute paths, so that it can be embedded;
    tree: the syntax of `relative`; third: where its third token ends, which in self::name is the
    name; qualified: for lxml; namespaces: all that it may use.
    """

    __slots__ = ("namespaces", "qualified", "relative", "text", "third", "tree")

    def __init__(self, text: str, namespaces: Mapping[str, str]) -> None:
        """namespaces: prefix → URI; `re`, `jid` and `xml` need not be among them.

        Raises RouteError.
        """
        self.text = text = text.strip()
        self.namespaces = {**namespaces, **PREDECLARED}
        tokens = _tokens(text)
        self.tree = parse(text, tokens, self.namespaces)
        self.relative = relativise(text, tokens)
        if self.relative != text:
            tokens = tokenize(self.relative)
            self.tree = parse(self.relative, tokens, self.namespaces)
        self.third = end_of(tokens[2]) if len(tokens) > 2 else 0
        try:
            self.qualified = qualify(self.relative, tokens, self.namespaces)
        except RouteError as error:
            raise RouteError(f"bad XPath {text!r}: {error.message}", remedy=error.remedy) from None


class Expression:
    """One compiled expression. text, relative: as in its Reading."""

    __slots__ = ("_outward", "_truth", "_value", "relative", "text")

    def __init__(self, text: str | Reading, namespaces: Mapping[str, str] | None = None) -> None:
        """namespaces: prefix → URI; `re`, `jid` and `xml` need not be among them.

        Raises RouteError for everything that could go wrong later.
        """
        reading = Reading(text, namespaces or {}) if isinstance(text, str) else text
        self.text, self.relative = reading.text, reading.relative
        self._outward = any(map(_leads_outward, tokenize(self.relative)))
        self._value = self._compile(reading.qualified, reading.namespaces)
        self._truth = self._compile(f"boolean({reading.qualified})", reading.namespaces)
        self._try()

    def _compile(self, qualified: str, namespaces: Mapping[str, str]) -> etree.XPath:
        try:
            return etree.XPath(
                qualified,
                namespaces={**namespaces, CLIENT_PREFIX: ns.CLIENT},
                extensions=EXTENSIONS,
                regexp=False,
                smart_strings=False,  # smart ones keep the whole stanza in memory
            )
        except etree.XPathSyntaxError as error:
            raise RouteError(f"bad XPath {self.text!r}: {str(error).lower()}") from None

    def _try(self) -> None:
        try:
            for sample in _SAMPLES:
                self.evaluate(tree_of(sample))
        except etree.XPathError as error:
            raise RouteError(f"bad XPath {self.text!r}: {str(error).lower()}") from None

    def evaluate(self, stanza: Element) -> Any:
        """The value, seen from the stanza: a list of nodes, a str, a float or a bool.

        Raises etree.XPathError where XPath finds a fault only now.
        """
        return self._value(_alone(stanza) if self._outward else stanza)

    def holds(self, stanza: Element) -> bool:
        """The value as a truth value (XPath 1.0 §4.3). Raises like `evaluate`."""
        return bool(self._truth(_alone(stanza) if self._outward else stanza))

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def _alone(stanza: Element) -> Element:
    """A copy with nothing around it. Around the stanza itself may be the stream, or the document
    that it was cut from."""
    copy = deepcopy(stanza)
    copy.tail = None
    return copy


def _tokens(text: str) -> list[Token]:
    """The tokens, checked for what is wrong before grammar."""
    if not text:
        raise RouteError("an empty XPath")
    if FORBIDDEN_CHARACTERS.search(text):
        raise RouteError(f"bad XPath {text!r}: it holds characters that XML does not have")
    tokens = tokenize(text)
    _check_brackets(text, tokens)
    return tokens


def _check_brackets(text: str, tokens: Sequence[Token]) -> None:
    opened: list[Token] = []
    for token in tokens:
        if token.text in _PAIRS:
            opened.append(token)
        elif token.text in _CLOSING and (not opened or _PAIRS[opened.pop().text] != token.text):
            opened = [token]
            break
    if opened:
        raise RouteError(
            f"bad XPath {text!r}: {opened[-1].text} at character {opened[-1].start + 1} "
            "has no counterpart"
        )


def _leads_outward(token: Token) -> bool:
    return token.text == ".." or (token.kind is Kind.AXIS and token.text in _OUTWARD_AXES)


# -- names and functions --------------------------------------------------------------------------


def qualify(text: str, tokens: Sequence[Token], namespaces: Mapping[str, str]) -> str:
    """The expression as lxml needs it: unprefixed elements in jabber:client, texts for our
    functions converted by string(). Checks every name.

    tokens: those of the text; namespaces: prefix → URI of all that may be used.
    Raises RouteError.
    """
    inserts: list[tuple[int, str]] = []
    for number, token in enumerate(tokens):
        if token.kind is Kind.VARIABLE:
            raise RouteError(
                f"there are no variables like {token.text} in routes",
                remedy="Write the value in quotes",
            )
        if token.kind is Kind.FUNCTION:
            inserts += _check_call(tokens, number, namespaces)
        elif token.kind is Kind.NAME_TEST:
            _check_prefix(token, namespaces)
            if _is_unprefixed_element(tokens, number):
                inserts.append((token.start, f"{CLIENT_PREFIX}:"))
    return _insert(text, inserts)


def _is_unprefixed_element(tokens: Sequence[Token], number: int) -> bool:
    token = tokens[number]
    if token.prefix or token.text == "*":
        return False
    before = tokens[number - 1].text if number else ""
    axis = tokens[number - 2].text if before == "::" else ""
    return before != "@" and axis not in ("attribute", "namespace")


def _insert(text: str, inserts: Iterable[tuple[int, str]]) -> str:
    out: list[str] = []
    done = 0
    for position, inserted in sorted(inserts, key=lambda insert: insert[0]):
        out += text[done:position], inserted
        done = position
    return "".join(out) + text[done:]


def _check_prefix(token: Token, namespaces: Mapping[str, str]) -> None:
    prefix = token.prefix
    if not prefix or prefix in namespaces:
        return
    # 0.5: prefixes are short, and one wrong letter of two is the usual mistake.
    near = difflib.get_close_matches(prefix, namespaces.keys() - {"xml"}, 1, 0.5)
    raise RouteError(
        f"the prefix {prefix!r} is not declared",
        remedy=(f"Did you mean {near[0]!r}? Else declare" if near else "Declare")
        + f" it in Routes(namespaces={{{prefix!r}: '…'}})",
    )


def _check_call(
    tokens: Sequence[Token], number: int, namespaces: Mapping[str, str]
) -> list[tuple[int, str]]:
    """Check one function call; what has to be inserted into the text for it."""
    token = tokens[number]
    _check_prefix(token, namespaces)
    function = signature(namespaces[token.prefix] if token.prefix else None, token.local)
    if function is None:
        raise RouteError(
            f"there is no function {token.text}()",
            remedy=_function_remedy(token),
        )
    arguments = _arguments(tokens, number)
    if not all(arguments):
        raise RouteError(f"an argument of {token.text}() is missing")
    if len(arguments) < function.fewest or (
        function.most is not None and len(arguments) > function.most
    ):
        raise RouteError(
            f"{token.text}() takes {_span(function.fewest, function.most)}, not {len(arguments)}"
        )
    constants = [_constant(token, arguments[n]) for n in function.literals[: len(arguments) - 1]]
    if constants:
        pattern = regex.compile_pattern(*constants)
        if token.local == "match":
            pattern.prepare("g" in "".join(constants[1:]))
    return [
        insert
        for n in function.texts
        for insert in ((arguments[n][0].start, "string("), (end_of(arguments[n][-1]), ")"))
    ]


def _function_remedy(token: Token) -> str:
    if token.text in INSTEAD:
        return f"Write {INSTEAD[token.text]}"
    ours = {name.rpartition(":")[2]: name for name in KNOWN}
    near = difflib.get_close_matches(token.local, ours, 1)
    return f"Did you mean {ours[near[0]]}()?" if near else "XPath 1.0 has: " + ", ".join(CORE)


def _span(fewest: int, most: int | None) -> str:
    if most is None:
        return f"{fewest} arguments or more"
    if fewest == most:
        return f"{fewest or 'no'} argument{'' if fewest == 1 else 's'}"
    return f"{fewest} to {most} arguments"


def _arguments(tokens: Sequence[Token], number: int) -> list[list[Token]]:
    """The tokens of each argument of the call whose name is token `number`."""
    last = closing(tokens, number + 1)
    arguments: list[list[Token]] = [[]]
    depth = 0
    for token in tokens[number + 2 : last]:
        depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        if token.text == "," and depth == 0:
            arguments.append([])
        else:
            arguments[-1].append(token)
    return [] if arguments == [[]] else arguments


def _constant(function: Token, argument: list[Token]) -> str:
    """The text that an argument always has: a literal, or a concat() of literals."""
    if (
        len(argument) > 1
        and argument[0].text == "concat"
        and closing(argument, 1) == len(argument) - 1
    ):
        argument = argument[2:-1:2]
    elif len(argument) > 1:
        argument = []
    if not argument or any(token.kind is not Kind.LITERAL for token in argument):
        raise RouteError(
            f"the pattern of {function.text}() must be a 'text in quotes'",
            remedy="A pattern that comes from a stanza would be the sender's program",
        )
    return "".join(token.value for token in argument)
