"""The index: from a stanza to the few rules that can match it, in the order of the routes.

Rules are divided first by kind and type, which costs nothing. Each is then filed under one key,
the rarest that it has, counted over the whole table; a rule without one is always checked. For a
stanza the index looks into the envelope, and only where rules are filed under something in the
tree it walks the tree, once, no deeper than they ask.

What is remembered comes from routes alone, so nothing that peers send can make it grow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeAlias

from emp.routing.conditions import TYPES, Check, Condition
from emp.routing.functions import bare, is_normal
from emp.routing.keys import Fact, Key, Source
from emp.routing.lookup import Posting, Texts, Walk
from emp.routing.rules import Match, Rule
from emp.stanza import Stanza
from emp.view import tree_of

# A walk through the tree, and perhaps its parsing, takes as long as so many checks: a key in the
# tree must spare more than that to be better than one in the envelope.
# Where no more rules than that are filed under something in the tree, they are just checked.
WALK: Final = 8


class Filing(NamedTuple):
    """Under what a rule is filed, and the condition that has this key."""

    condition: Condition
    key: Key


def choose(routes: Sequence[Sequence[Condition]]) -> list[Filing | None]:
    """For each route, given its conditions, the rarest key. None: there is none but its type."""
    counts = Counter(
        term
        for conditions in routes
        for term in {term for filing in _filings(conditions) for term in filing.key.terms}
    )

    def cost(filing: Filing) -> int:
        walk = 0 if filing.key.in_envelope else WALK
        return walk + sum(counts[term] for term in filing.key.terms)

    return [min(_filings(conditions), key=cost, default=None) for conditions in routes]


def _filings(conditions: Iterable[Condition]) -> list[Filing]:
    return [
        Filing(condition, key)
        for condition in conditions
        if condition.key is not None
        for key in (condition.key, *condition.others)
        if not any(term.source.fact is Fact.TYPE for term in key.terms)
    ]


def types_of(conditions: Iterable[Condition]) -> frozenset[str] | None:
    """The types that a stanza may have, None if any."""
    types: frozenset[str] | None = None
    for condition in conditions:
        for key in (condition.key, *condition.others):
            if key is not None and _is_type(key):
                values = frozenset(term.value for term in key.terms)
                types = values if types is None else types & values
    return types


class Candidate:
    """A rule, and what has to be asked of a stanza when the index has found it."""

    __slots__ = ("checks", "plain", "rank", "rule", "scoped")

    def __init__(self, rank: int, rule: Rule, filed: bool) -> None:
        """filed: the rule is found by its key, and not among those that are always checked."""
        self.rank: Final = rank
        self.rule: Final = rule
        self.checks: Final = _checks(rule, filed)
        route = rule.route
        self.scoped: Final = route.resource is not None or route.connection is not None
        decided = rule.expression is None and rule.guard is None and not rule.captures
        self.plain: Final[Match | None] = rule.plain if decided else None


def _checks(rule: Rule, filed: bool) -> tuple[Check, ...]:
    """What the index does not decide, the envelope first."""
    decided = rule.key if filed and rule.filed is not None and rule.filed.exact else None
    left = [
        each
        for each in rule.conditions
        if each is not decided and not (each.key and each.key.exact and _is_type(each.key))
    ]
    left.sort(key=_needs_tree)
    return tuple(each.check for each in left)


def _is_type(key: Key) -> bool:
    return all(term.source.fact is Fact.TYPE for term in key.terms)


def _needs_tree(condition: Condition) -> bool:
    return condition.key is None or not condition.key.in_envelope


Find: TypeAlias = "Callable[[Stanza], Posting | None]"


class Branch:
    """The rules for one kind and type of stanza.

    always: those that are not found by a key; finders: one for each fact of the envelope that is
    asked for; walk: for what is in the tree, None if nothing is; first: the first rank that it can
    find.
    """

    __slots__ = ("always", "finders", "first", "walk")

    def __init__(self, rules: Sequence[Ranked], candidates: _Candidates) -> None:
        always: list[Candidate] = []
        outside: dict[Source, dict[str, list[Candidate]]] = {}
        inside: dict[Source, dict[str, list[Candidate]]] = {}
        walking = sum(_is_inside(rule.filed) for _, rule in rules) > WALK
        first: list[int] = []
        for ranked in rules:
            rank, rule = ranked
            is_inside = _is_inside(rule.filed)
            if rule.filed is None or (is_inside and not walking):
                always.append(candidates(ranked, False))
                continue
            if is_inside:
                first.append(rank)
            for source, value in rule.filed.terms:
                # All terms of a key in one place: who has one of them is looked for there.
                place = inside if is_inside else outside
                place.setdefault(source, {}).setdefault(value, []).append(candidates(ranked, True))
        self.always: Final = tuple(always)
        self.finders: Final = tuple(_finders(_frozen(outside)))
        self.walk: Final = Walk(_frozen(inside)) if inside else None
        self.first: Final = first[0] if first else 0


def _is_inside(key: Key | None) -> bool:
    return key is not None and not key.in_envelope


def _frozen(
    filed: Mapping[Source, Mapping[str, list[Candidate]]],
) -> dict[Source, dict[str, Posting]]:
    return {
        source: {value: tuple(found) for value, found in values.items()}
        for source, values in filed.items()
    }


Ranked: TypeAlias = tuple[int, Rule]
_Candidates: TypeAlias = Callable[[Ranked, bool], Candidate]


Kinds: TypeAlias = Mapping[str, tuple[Mapping[str, Branch], Branch]]
"""Kind → (type → its branch, the branch of all other types)."""


def branches(rules: Sequence[Rule]) -> Kinds:
    """All branches for the rules, which stand in their order."""
    made: dict[tuple[int, bool], Candidate] = {}

    def candidate(ranked: Ranked, filed: bool) -> Candidate:
        """The same one in all branches."""
        key = ranked[0], filed
        if key not in made:
            made[key] = Candidate(*ranked, filed)
        return made[key]

    typed = [(ranked, types_of(ranked[1].conditions)) for ranked in enumerate(rules)]
    return {kind: _of_kind(kind, typed, candidate) for kind in TYPES}


def _of_kind(
    kind: str, typed: Iterable[tuple[Ranked, frozenset[str] | None]], candidates: _Candidates
) -> tuple[Mapping[str, Branch], Branch]:
    mine = [each for each in typed if each[0][1].route.kind in (None, kind)]
    mentioned = {name for _, types in mine for name in types or ()}
    return {
        name: Branch([each for each, types in mine if types is None or name in types], candidates)
        for name in mentioned
    }, Branch([each for each, types in mine if types is None], candidates)


# -- facts of the envelope ------------------------------------------------------------------------


def _finders(filed: Mapping[Source, Mapping[str, Posting]]) -> Iterable[Find]:
    texts: dict[str, dict[Source, Mapping[str, Posting]]] = {}
    for source, values in filed.items():
        if source.fact is Fact.PAYLOAD:
            yield _payload_finder(values)
        elif source.fact is Fact.BARE:
            yield _bare_finder(f"{source.name}_text", values)
        elif source.fact is Fact.DOMAIN:
            yield _domain_finder(f"{source.name}_text", values)
        else:
            texts.setdefault(source.name, {})[source] = values
    for name, sources in texts.items():
        yield _text_finder("id" if name == "id" else f"{name}_text", sources)


def _payload_finder(values: Mapping[str, Posting]) -> Find:
    get = values.get

    def find(stanza: Stanza) -> Posting | None:
        name = stanza.payload_name
        if name is not None:
            return get(name)
        # No request has several children (RFC 6120 §8.2.3), and yet XPath would look at them all.
        found = map(get, {child.tag for child in tree_of(stanza)})
        return in_order(each for each in found if each is not None)

    return find


def _bare_finder(slot: str, values: Mapping[str, Posting]) -> Find:
    get, read = values.get, attrgetter(slot)

    def find(stanza: Stanza) -> Posting | None:
        text = read(stanza)
        if text is None:
            return None
        name = text.partition("/")[0]
        found = get(name)
        return get(bare(name)) if found is None and not is_normal(name) else found

    return find


def _domain_finder(slot: str, values: Mapping[str, Posting]) -> Find:
    get, read = values.get, attrgetter(slot)

    def find(stanza: Stanza) -> Posting | None:
        text = read(stanza)
        if text is None:
            return None
        name = text.partition("/")[0]
        found = get(name.rpartition("@")[2])
        # A name that only looks like an address finds more than it should, and is checked.
        return get(bare(name).rpartition("@")[2]) if found is None else found

    return find


def _text_finder(slot: str, sources: Mapping[Source, Mapping[str, Posting]]) -> Find:
    read = attrgetter(slot)
    if [source.fact for source in sources] == [Fact.ATTRIBUTE]:
        get: Callable[[Any], Posting | None] = next(iter(sources.values())).get
        return lambda stanza: get(read(stanza))
    texts = Texts(sources)

    def find(stanza: Stanza) -> Posting | None:
        text = read(stanza)
        if text is None:
            return None
        found: dict[int, Posting] = {}
        texts.find(text, found)
        return in_order(found.values())

    return find


_rank: Final = attrgetter("rank")


def in_order(postings: Iterable[Posting]) -> Posting:
    """The candidates of all postings in the order of the routes, each once."""
    lists = tuple(postings)
    if len(lists) <= 1:
        return lists[0] if lists else ()
    return tuple(dict.fromkeys(sorted((each for one in lists for each in one), key=_rank)))
