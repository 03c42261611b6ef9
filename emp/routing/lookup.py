"""Looking for many texts at once, and for many things in one tree."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from emp.routing.glance import glance
from emp.routing.keys import ANYWHERE, Fact, Source, string_value
from emp.routing.literals import fold
from emp.stanza import Stanza
from emp.view import CLASSES, tree_of
from emp.wire import BODY
from emp.xml import Element

if TYPE_CHECKING:
    from emp.routing.index import Candidate

Posting: TypeAlias = "tuple[Candidate, ...]"
"""The rules that are filed under one value, in order."""

Found: TypeAlias = dict[int, Posting]
"""Postings by identity: a peer that repeats an element must not multiply the work."""

# Characters. Longer parts of texts are looked up by one piece of this length: rare enough, and the
# pieces of a text are as many as its characters.
GRAM: Final = 4


class Starts:
    """Which of many texts a text begins with, whatever their lengths, by one binary search.

    Of all texts that the value begins with, the longest is the last that is not behind the value,
    or begins that one; and so do all shorter ones.
    """

    __slots__ = ("_parents", "_postings", "_texts")

    def __init__(self, values: Mapping[str, Posting]) -> None:
        self._texts: Final = sorted(values)
        self._postings: Final = [values[text] for text in self._texts]
        self._parents: Final[list[int]] = []
        for number, text in enumerate(self._texts):
            before = number - 1
            while before >= 0 and not text.startswith(self._texts[before]):
                before = self._parents[before]
            self._parents.append(before)

    def find(self, value: str, found: Found) -> None:
        """Add the postings of all texts that the value begins with."""
        at = bisect_right(self._texts, value) - 1
        while at >= 0:
            if value.startswith(self._texts[at]):
                posting = self._postings[at]
                found[id(posting)] = posting
            at = self._parents[at]


class Parts:
    """Which of many texts may stand in a text: those of which the rarest piece does."""

    __slots__ = ("_sizes",)

    def __init__(self, values: Mapping[str, Posting]) -> None:
        counts = Counter(gram for text in values for gram in _grams(text, min(GRAM, len(text))))
        sizes: dict[int, dict[str, dict[Candidate, None]]] = {}
        for text, posting in values.items():
            gram = min(_grams(text, min(GRAM, len(text))), key=lambda each: (counts[each], each))
            sizes.setdefault(len(gram), {}).setdefault(gram, {}).update(dict.fromkeys(posting))
        self._sizes: Final = [
            (size, {gram: _sorted(posting) for gram, posting in grams.items()})
            for size, grams in sizes.items()
        ]

    def find(self, value: str, found: Found) -> None:
        """Add the postings of all texts that may stand in the value."""
        for size, grams in self._sizes:
            for gram in grams.keys() & _grams(value, size):
                posting = grams[gram]
                found[id(posting)] = posting


def _grams(text: str, size: int) -> set[str]:
    return {text[at : at + size] for at in range(len(text) - size + 1)}


def _sorted(posting: Mapping[Candidate, None]) -> Posting:
    return tuple(sorted(posting, key=lambda candidate: candidate.rank))


_Looked = Starts | Parts


class Texts:
    """All that is asked of one text: what it is, begins with, contains, with and without case."""

    __slots__ = ("_equal", "_folded", "_plain")

    def __init__(self, sources: Mapping[Source, Mapping[str, Posting]]) -> None:
        self._equal: Mapping[str, Posting] = {}
        plain: list[_Looked] = []
        folded: list[_Looked] = []
        for source, values in sources.items():
            if source.fact in (Fact.START, Fact.PART):
                looked = Starts(values) if source.fact is Fact.START else Parts(values)
                (folded if source.folded else plain).append(looked)
            else:
                self._equal = values
        self._plain: Final = tuple(plain)
        self._folded: Final = tuple(folded)

    def find(self, value: str, found: Found) -> None:
        """Add the postings of what fits the value."""
        posting = self._equal.get(value)
        if posting is not None:
            found[id(posting)] = posting
        for looked in self._plain:
            looked.find(value, found)
        if self._folded:
            value = fold(value)
            for looked in self._folded:
                looked.find(value, found)


class _Place:
    """What is asked of the elements at one path."""

    __slots__ = ("attributes", "below", "here", "text")

    def __init__(self) -> None:
        self.here: Posting = ()
        self.attributes: list[tuple[str, Texts]] = []
        self.text: Texts | None = None
        self.below: dict[object, _Place] = {}

    def visit_text(self, text: str, found: Found) -> None:
        """As of an element that has nothing but a text."""
        if self.here:
            found[id(self.here)] = self.here
        if self.text is not None:
            self.text.find(text, found)

    def visit(self, element: Element, found: Found) -> None:
        if self.here:
            found[id(self.here)] = self.here
        for name, texts in self.attributes:
            value = element.get(name)
            if value is not None:
                texts.find(value, found)
        if self.text is not None:
            self.text.find(string_value(element), found)
            if len(element):
                for node in (element.text, *(child.tail for child in element)):
                    self.text.find(node or "", found)
        below = self.below
        if below:
            for child in element:
                place = below.get(child.tag)
                if place is not None:
                    place.visit(child, found)


class Walk:
    """One walk through the tree of a stanza, which finds all that the rules ask for there."""

    __slots__ = ("_anywhere", "_glances", "_of_body", "_top")

    def __init__(self, filed: Mapping[Source, Mapping[str, Posting]]) -> None:
        self._top: Final = _Place()
        self._anywhere: Final = _Place()
        texts: dict[tuple[tuple[str, ...], str], dict[Source, Mapping[str, Posting]]] = {}
        for source, values in filed.items():
            if source.fact is Fact.CHILD:
                self._place(source.path).here = values[""]
            else:
                texts.setdefault((source.path, source.name), {})[source] = values
        for (path, name), sources in texts.items():
            place = self._place(path)
            if name:
                place.attributes.append((name, Texts(sources)))
            else:
                place.text = Texts(sources)

        places = (self._top.below.get(BODY), self._anywhere.below.get(BODY))
        self._of_body: Final = tuple(place for place in places if place is not None)
        # Not where attributes of the stanza count, or the stanza itself as an element anywhere.
        self._glances: Final = (
            not self._top.attributes and not self._anywhere.below.keys() & CLASSES
        )

    def _place(self, path: tuple[str, ...]) -> _Place:
        place = self._top
        for tag in path:
            place = self._anywhere if tag == ANYWHERE else place.below.setdefault(tag, _Place())
        return place

    def find(self, stanza: Stanza) -> Found:
        """The postings of all that is in the stanza."""
        found: Found = {}
        seen = glance(stanza) if self._glances else False
        if seen is False:
            self._find_in(tree_of(stanza), found)
        elif seen is not None:
            for place in self._of_body:
                place.visit_text(seen, found)
        return found

    def _find_in(self, tree: Element, found: Found) -> None:
        self._top.visit(tree, found)
        anywhere = self._anywhere.below
        if anywhere:
            for element in tree.iter():
                place = anywhere.get(element.tag)
                if place is not None:
                    place.visit(element, found)
