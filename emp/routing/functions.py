"""The functions that a route may call: XPath 1.0's own, and a few of ours.

    re:test(text, 'pattern', 'flags'?)    whether the pattern is found in the text (EXSLT)
    re:match(text, 'pattern', 'flags'?)   the match and its groups, as a node-set: [1] is the whole
    jid:full(text) jid:bare(text) jid:local(text) jid:domain(text) jid:resource(text)
                                          parts of an address, normalised (RFC 7622); "" where
                                          absent or where the text is not an address

There is no document() and nothing else that reads files or the network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from emp import ns
from emp.errors import JIDError
from emp.jid import JID
from emp.routing import regex

JID_FUNCTIONS: Final = "urn:emp:jid"

# Prefixes that every route may use without declaring them.
PREDECLARED: Final = {"re": ns.EXSLT_REGEXP, "jid": JID_FUNCTIONS, "xml": ns.XML}


@dataclass(frozen=True, slots=True)
class Function:
    """How a function may be called: how many arguments, and which of them (counted from 0) are
    texts to be converted, as string() does, or must be literals."""

    fewest: int
    most: int | None
    texts: tuple[int, ...] = ()
    literals: tuple[int, ...] = ()


# XPath 1.0 §4. id() is left out: without a DTD nothing is an id, except xml:id, which it would
# look for in the whole stream.
CORE: Final[Mapping[str, Function]] = {
    "last": Function(0, 0),
    "position": Function(0, 0),
    "count": Function(1, 1),
    "local-name": Function(0, 1),
    "namespace-uri": Function(0, 1),
    "name": Function(0, 1),
    "string": Function(0, 1),
    "concat": Function(2, None),
    "starts-with": Function(2, 2),
    "contains": Function(2, 2),
    "substring-before": Function(2, 2),
    "substring-after": Function(2, 2),
    "substring": Function(2, 3),
    "string-length": Function(0, 1),
    "normalize-space": Function(0, 1),
    "translate": Function(3, 3),
    "boolean": Function(1, 1),
    "not": Function(1, 1),
    "true": Function(0, 0),
    "false": Function(0, 0),
    "lang": Function(1, 1),
    "number": Function(0, 1),
    "sum": Function(1, 1),
    "floor": Function(1, 1),
    "ceiling": Function(1, 1),
    "round": Function(1, 1),
}

# What to write for functions that people know from XPath 2 and XSLT.
INSTEAD: Final[Mapping[str, str]] = {
    "matches": "re:test(text, 'pattern')",
    "ends-with": "re:test(text, 'end$')",
    "lower-case": "translate(text, 'ABC', 'abc'), or re:test(text, 'pattern', 'i')",
    "exists": "boolean(path)",
    "empty": "not(path)",
    "id": "*[@id='…']",
}

_REGEX: Final = Function(2, 3, texts=(0,), literals=(1, 2))
_ONE_TEXT: Final = Function(1, 1, texts=(0,))


def re_test(_context: object, text: str, pattern: str, flags: str = "") -> bool:
    """EXSLT re:test: whether the pattern is found in the text."""
    return regex.compile_pattern(pattern, flags).found(text)


def re_match(_context: object, text: str, pattern: str, flags: str = "") -> list[str]:
    """EXSLT re:match: the text that matched, then that of each group; with the flag g the text of
    every match."""
    compiled = regex.compile_pattern(pattern, flags)
    if "g" in flags:
        return [found[0] for found in compiled.matches(text, every=True)]
    return next(iter(compiled.matches(text)), [])


def full(text: str) -> str:
    """The normalised address, "" if it is none."""
    try:
        return str(JID.received(text))
    except JIDError:
        return ""


def is_normal(name: str) -> bool:
    """Whether an address without resource, if it is one, is normalised for certain: so that most
    need not be made a JID, which takes long for those that were not seen before."""
    # What else can normalisation change in ASCII? IP addresses, A-labels, the dot at the end.
    return (
        name.islower()
        and name.isascii()
        and name[-1] != "."
        and "xn--" not in name
        and "[" not in name
    )


def bare(text: str) -> str:
    """The normalised address without resource, whatever the resource may be; "" if it is none."""
    return full(text.partition("/")[0])


def local(text: str) -> str:
    """The normalised local part, "" where there is none."""
    before, at, _ = bare(text).partition("@")
    return before if at else ""


def domain(text: str) -> str:
    """The normalised domain, "" if the text is no address."""
    before, at, after = bare(text).partition("@")
    return after if at else before


def resource(text: str) -> str:
    """The normalised resource, "" where there is none."""
    return full(text).partition("/")[2]


def _of_text(function: Callable[[str], str]) -> Callable[..., str]:
    return lambda _context, text: function(text)


EXTENSIONS: Final[Mapping[tuple[str, str], Callable[..., Any]]] = {
    (ns.EXSLT_REGEXP, "test"): re_test,
    (ns.EXSLT_REGEXP, "match"): re_match,
    (JID_FUNCTIONS, "full"): _of_text(full),
    (JID_FUNCTIONS, "bare"): _of_text(bare),
    (JID_FUNCTIONS, "local"): _of_text(local),
    (JID_FUNCTIONS, "domain"): _of_text(domain),
    (JID_FUNCTIONS, "resource"): _of_text(resource),
}
_OURS: Final[Mapping[tuple[str, str], Function]] = {
    name: _REGEX if name[0] == ns.EXSLT_REGEXP else _ONE_TEXT for name in EXTENSIONS
}
_PREFIX_OF: Final = {uri: prefix for prefix, uri in PREDECLARED.items()}
KNOWN: Final[tuple[str, ...]] = (
    *CORE,
    *(f"{_PREFIX_OF[uri]}:{name}" for uri, name in EXTENSIONS),
)


def signature(namespace: str | None, name: str) -> Function | None:
    """How the function may be called; None if there is no such function."""
    return CORE.get(name) if namespace is None else _OURS.get((namespace, name))
