"""What the index can look a stanza up by.

A condition on a stanza has a key if the index can find it instead of checking it: the sender is
this one, a child of that name is there, its text begins so. Keys are necessary for a match, and
mostly not sufficient.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from emp.xml import Element


class Fact(Enum):
    """A kind of fact that a stanza has values of. The value says how people call it."""

    TYPE = "type"  # with its default where absent
    BARE = "address"  # from or to, normalised, without its resource
    DOMAIN = "domain"  # of from or to, normalised
    PAYLOAD = "payload"  # Clark names of the children of an IQ get or set: it should have just one
    CHILD = "child"  # there is an element at the path
    ATTRIBUTE = "attribute"  # of an element at the path; of the stanza where there is none
    TEXT = "text"  # the string-value of an element at the path, or that of a text node in it
    START = "start"  # what an attribute or text begins with
    PART = "part"  # what an attribute or text contains


# In a path, before a name: an element of that name wherever it stands in the stanza.
ANYWHERE: Final = "//"


class Source(NamedTuple):
    """Where the index looks.

    path: Clark names of elements, from a child of the stanza downward; name: of an attribute, ""
    for a text; folded: letters of ASCII count without regard to their case.
    """

    fact: Fact
    path: tuple[str, ...] = ()
    name: str = ""
    folded: bool = False

    @property
    def in_envelope(self) -> bool:
        """Whether no tree is needed, so that a stanza need not be parsed for it."""
        return not self.path and (self.name in _ENVELOPE or self.fact in _ALONE)

    @property
    def single(self) -> bool:
        """Whether a stanza has one value of it at most, so that two cannot both be right."""
        return not self.path and self.fact in _SINGLE

    def __str__(self) -> str:
        if self.fact in _ALONE:
            return str(self.fact.value)
        where = "/".join(_local(tag) for tag in self.path).replace("///", "//")
        if self.fact is Fact.BARE:
            return self.name
        if self.fact is Fact.DOMAIN:
            return f"domain of {self.name}"
        if self.fact is Fact.CHILD:
            return where
        where = "/".join(filter(None, (where, self.name and f"@{self.name}"))) or where
        if not self.name:
            where += " text"
        return f"{where}, its {self.fact.value}" if self.fact in _OF_TEXTS else where


_ALONE: Final = (Fact.TYPE, Fact.PAYLOAD)
_SINGLE: Final = (Fact.TYPE, Fact.PAYLOAD, Fact.BARE, Fact.DOMAIN, Fact.ATTRIBUTE)
_OF_TEXTS: Final = (Fact.START, Fact.PART)
_ENVELOPE: Final = ("from", "to", "id")


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


class Term(NamedTuple):
    """One value that the index looks for."""

    source: Source
    value: str


@dataclass(frozen=True, slots=True)
class Key:
    """A stanza that meets the condition has one of these terms.

    exact: and every stanza that has one meets it, so that the index has the last word.
    """

    terms: tuple[Term, ...]
    exact: bool = False

    @property
    def in_envelope(self) -> bool:
        """Whether the index needs no tree to look for it."""
        return all(term.source.in_envelope for term in self.terms)

    def __str__(self) -> str:
        return " or ".join(dict.fromkeys(str(term.source) for term in self.terms))


def string_value(element: Element) -> str:
    """The element's text as XPath sees it, with that of its descendants (§5.2)."""
    return "".join(map(str, element.itertext())) if len(element) else element.text or ""
