"""Patterns that leave Python's `re` no choice, so that it takes linear time as well.

There is nothing to be tried in two ways in a row of characters, `spam`, and at most WIDTH of them
are tried at each place. From a fixed start, `^[0-9]+ +[a-z]`, characters may be repeated as well,
where each repetition has nothing in common with what comes behind it: giving one back never helps,
and to see that takes one look.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from emp.routing.reading import Atom, Item, Read, kind_of

# Characters in a row.
WIDTH: Final = 64


def is_straight(what: Read) -> bool:
    """Whether `re` needs no more than a time that is linear in the text."""
    items = what.straight
    if items is None:
        return False
    if sum(most or fewest for _, fewest, most in filter(None, items)) > WIDTH:
        return False
    repeated = [at for at, item in enumerate(items) if item is not None and item[1] != item[2]]
    return not repeated or (
        what.anchored and all(_is_apart(items[at], items[at + 1 :]) for at in repeated)
    )


def _is_apart(item: Item, behind: Sequence[Item]) -> bool:
    """Whether nothing that may come next has a character in common with the item."""
    assert item is not None
    for other in behind:
        if other is None:
            continue
        if not _are_apart(item[0], other[0]):
            return False
        if other[1]:
            return True
    return True


def _are_apart(one: Atom, other: Atom) -> bool:
    """Whether no character meets both; where that is not plain to see, False."""
    for a, b in ((one, other), (other, one)):
        if not a.negated and not a.categories:
            if all(first == last for first, last in a.ranges):
                return not any(b.has(code, kind_of(code)) for code, _ in a.ranges)
            if not b.negated and not b.categories:
                return all(
                    last < low or high < first for first, last in a.ranges for low, high in b.ranges
                )
    return False
