"""Absolute paths, turned into paths from the stanza, which for a route is the document."""

from __future__ import annotations

from typing import Final

from emp.errors import RouteError
from emp.routing.tokens import Kind, Token, begins_step, closing, end_of, operand_due

# First axis of an absolute path → the same seen from the stanza. The document has one child, the
# stanza, so positions stay what they are: /message[1] is self::message[1].
_FROM_DOCUMENT: Final = {
    "child": "self",
    "descendant": "descendant-or-self",
    "descendant-or-self": "descendant-or-self",
}


def relativise(text: str, tokens: list[Token]) -> str:
    """The expression with its absolute paths turned into paths from the stanza.

    tokens: those of the text. Raises RouteError where that cannot be done: in predicates, which
    look from elsewhere.
    """
    out: list[str] = []
    done = 0  # characters of the text that are in `out`
    depth = 0
    for number, token in enumerate(tokens):
        depth += (token.text == "[") - (token.text == "]")
        if not _starts_absolute_path(tokens, number):
            continue
        if depth:
            raise RouteError(
                f"bad XPath {text!r}: a path in [brackets] may not begin with {token.text}",
                remedy="Write .//x for what is inside, or move the condition to the stanza, as in "
                "/message[…]",
            )
        out.append(text[done : token.start])
        last = _end_of_step(tokens, number + 1)
        out.append(_from_stanza(text, token, tokens[number + 1 : last + 1]))
        done = end_of(tokens[last])
    return "".join(out) + text[done:]


def _starts_absolute_path(tokens: list[Token], number: int) -> bool:
    return tokens[number].text in ("/", "//") and operand_due(
        tokens[number - 1] if number else None
    )


def _from_stanza(text: str, slash: Token, step: list[Token]) -> str:
    """An absolute path's slash and first step, as seen from the stanza."""
    axis, test = _split_step(step)
    seen = _FROM_DOCUMENT.get(axis)
    written = text[step[0].start : end_of(step[-1])] if step else ""
    rest = text[test[0].start : end_of(test[-1])] if test else ""
    if slash.text == "//":
        everywhere = f"descendant-or-self::node()/{written}"
        if seen is None:  # the document itself has no attributes, parents, siblings
            return everywhere
        if all(token.text != "[" for token in test) and axis == "child":
            return f"descendant-or-self::{rest}"
        return f"({seen}::{rest} | {everywhere})"
    if not step:
        raise RouteError(
            f"bad XPath {text!r}: / alone is the document, and a route knows only the stanza",
            remedy="Write . or self::node() for the stanza",
        )
    if seen is None:
        raise RouteError(
            f"bad XPath {text!r}: after / comes the stanza, not {written}",
            remedy=f"Write {written} for what belongs to the stanza, or /message/{written}",
        )
    return f"{seen}::{rest}"


def _split_step(step: list[Token]) -> tuple[str, list[Token]]:
    """(axis, node test and predicates) of a step, abbreviations spelt out."""
    if not step or step[0].text == ".":
        return "self", step
    if step[0].text == "..":
        return "parent", step
    if step[0].text == "@":
        return "attribute", step[1:]
    if step[0].kind is Kind.AXIS:
        return step[0].text, step[2:]
    return "child", step


def _end_of_step(tokens: list[Token], number: int) -> int:
    """The number of the last token of the step that begins with token `number`; where no step
    begins, the number before."""
    if number == len(tokens) or not begins_step(tokens[number]):
        return number - 1
    if tokens[number].text in (".", ".."):
        return number
    if tokens[number].text == "@":
        number += 1
    elif tokens[number].kind is Kind.AXIS:
        number += 2
    if tokens[number].kind is Kind.NODE_TYPE:
        number = closing(tokens, number + 1)
    while number + 1 < len(tokens) and tokens[number + 1].text == "[":
        number = closing(tokens, number + 1)
    return number
