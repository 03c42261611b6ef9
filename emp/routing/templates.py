"""Templates in `from_=` and `to=`: "{channel}@chat.example.org", "{user}@{host}/{device}".

Each {name} stands for one or more characters of the local part, domain or resource that it is in,
and captures them as normalised (RFC 7622); the text around it has to be there. Where several fit,
an earlier {name} takes as few characters as it can. Without a resource in the template any will
do, or none; without a local part there must be none. {{ and }} are braces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Final, NamedTuple, TypeAlias

from emp.errors import JIDError, RouteError
from emp.jid import JID
from emp.routing.conditions import Condition
from emp.routing.functions import bare, full
from emp.routing.keys import Fact, Key, Source, Term
from emp.routing.syntax import quote
from emp.stanza import Stanza

# Stands for a {name} while the rest is normalised: every part may contain it, no part changes it.
_STAND_IN: Final = "zq0zq0zq"

_FORMS: Final = 'Write "{user}@example.org", "room-{n}@example.org/{nick}", …'
_PARTS: Final = ("local", "domain", "resource")

Values: TypeAlias = Mapping[str, str]
Split: TypeAlias = Callable[[str | None], Values | None]
"""Takes the text of an address; gives the values of the names, None where it does not fit."""


class Part(NamedTuple):
    """A local part, domain or resource: texts[0] {names[0]} texts[1] {names[1]} … texts[-1]."""

    texts: tuple[str, ...]
    names: tuple[str, ...]


def is_template(value: object) -> bool:
    """Whether the value of `from_=` or `to=` captures something."""
    return isinstance(value, str) and "{" in value


@dataclass(frozen=True, slots=True)
class Template:
    """A template that was understood.

    text: as it was written; condition: that the address fits; names: of what it captures; split:
    gives their values.
    """

    text: str
    condition: Condition
    names: tuple[str, ...]
    slot: str
    split: Split


@dataclass(frozen=True, slots=True)
class TemplateCapture:
    """What one {name} stands for."""

    text: str
    name: str
    slot: str
    split: Split

    def evaluate(self, stanza: Stanza) -> str | None:
        """The value; None only for a stanza that the route does not match."""
        values = self.split(getattr(stanza, self.slot))
        return None if values is None else values[self.name]


def read_template(field: str, text: str) -> Template:
    """The template. field: from_ or to. Raises RouteError."""
    attribute = field.removesuffix("_")
    names: list[str] = []
    pieces = ""
    try:
        for literal, name, form, conversion in Formatter().parse(text):
            pieces += literal
            if name is None:
                continue
            if form or conversion or not name.isidentifier():
                raise ValueError(f"{{{name}}} is no name")
            names.append(name)
            pieces += _STAND_IN
        jid = JID.parse(pieces)
    except (ValueError, JIDError) as error:
        raise RouteError(
            f"{field}={text!r} is no template of an address: {error}", remedy=_FORMS
        ) from None
    parts = _parts(jid, names, f"{field}={text!r}")
    slot = f"{attribute}_text"
    split = _splitter(parts)

    def fits(stanza: Stanza) -> bool:
        return split(getattr(stanza, slot)) is not None

    condition = Condition(_xpath(attribute, parts), fits, _key(attribute, parts))
    return Template(text, condition, tuple(names), slot, split)


def _parts(jid: JID, names: list[str], where: str) -> dict[str, Part]:
    """Part → its texts and names, for those parts that there are."""
    parts: dict[str, Part] = {}
    left = list(names)
    for part in _PARTS:
        value = getattr(jid, part)
        if value is not None:
            texts = tuple(value.split(_STAND_IN))
            parts[part] = Part(texts, tuple(left[: len(texts) - 1]))
            left = left[len(texts) - 1 :]
            if not all(texts[1:-1]):
                raise RouteError(
                    f"{where} has two names side by side: nobody could tell where one ends",
                    remedy="Put a text between them",
                )
    for name in names:
        if names.count(name) > 1:
            raise RouteError(f"{where} has the name {name!r} twice", remedy="Rename one")
    return parts


def _splitter(parts: Mapping[str, Part]) -> Split:
    normalise = full if "resource" in parts else bare
    local, domain, resource = (parts.get(part) for part in _PARTS)

    def split(text: str | None) -> Values | None:
        if text is None or not (address := normalise(text)):
            return None
        values: dict[str, str] = {}
        rest, _, device = address.partition("/")
        before, at, after = rest.rpartition("@")
        if bool(at) is not (local is not None):
            return None
        for part, value in ((domain, after), (local, before), (resource, device)):
            if part is not None and not _fill(part, value, values):
                return None
        return values

    return split


def _fill(part: Part, value: str, values: dict[str, str]) -> bool:
    """Put what the names stand for into `values`; False if the value does not fit the part.

    From left to right, each name as short as it can be: where that does not fit, nothing does.
    """
    texts, names = part
    if not names:
        return value == texts[0]
    if not value.startswith(texts[0]) or not value.endswith(texts[-1]):
        return False
    position, end = len(texts[0]), len(value) - len(texts[-1])
    for name, text in zip(names[:-1], texts[1:-1], strict=True):
        found = value.find(text, position + 1, end)
        if found < 0:
            return False
        values[name] = value[position:found]
        position = found + len(text)
    values[names[-1]] = value[position:end]
    return position < end


def _xpath(attribute: str, parts: Mapping[str, Part]) -> str:
    """The same as a predicate."""
    tests = [] if "local" in parts else [f"not(jid:local(@{attribute}))"]
    if "resource" in parts:
        tests.append(f"jid:full(@{attribute})")  # else the address as a whole may be none
    for name, part in parts.items():
        value = f"jid:{name}(@{attribute})"
        if not part.names:
            tests.append(f"{value}={quote(part.texts[0])}")
        elif part.texts == ("", ""):
            tests.append(value)
        else:
            pattern = "(?s:.+)".join(map(re.escape, part.texts))
            tests.append(f"re:test({value}, {quote(f'^{pattern}$')})")
    return " and ".join(tests)


def _key(attribute: str, parts: Mapping[str, Part]) -> Key | None:
    local, domain = parts.get("local"), parts["domain"]
    if domain.names:
        return None
    if local is None or not local.names:
        name = domain.texts[0] if local is None else f"{local.texts[0]}@{domain.texts[0]}"
        return Key((Term(Source(Fact.BARE, (), attribute), name),))
    return Key((Term(Source(Fact.DOMAIN, (), attribute), domain.texts[0]),))
