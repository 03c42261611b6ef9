"""The mutations: calm ones, after which a stream goes on; gentle and harsh ones, after which it
often does not.

Every mutation takes what came in a dialogue and returns something else. They find their places with
regular expressions from a random position on, which costs a microsecond; and random numbers come
from random.random(), the quickest of its kind.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Final, TypeVar

from tools.fuzzing.words import (
    ATTRIBUTES,
    BYTES,
    ELEMENTS,
    FIELDS,
    MANY_ATTRIBUTES,
    MUCH_CONTENT,
    NAMES,
    NAMESPACES,
    NUMBERS,
    VALUES,
    WRONG_VALUES,
)

LONGEST: Final = 8192
"""Bytes of one input. Mutations double things; what is longer is cut."""

LARGEST: Final = 262_144
"""Bytes of one that has much of something, …"""

MUCH: Final = 0.004
"""… which are these of all: each takes as long as a hundred others."""

GENTLE: Final = 0.7
"""Of inputs that need not be calm: those that are changed in gentle ways only."""

CUT: Final = 0.12
"""Of all inputs: those that come in several pieces."""

MORE: Final = 0.35
"""How often another mutation follows one."""

_T = TypeVar("_T")

_VALUE: Final = re.compile(rb"='([^'<>]*)'|=\"([^\"<>]*)\"")
_TEXT: Final = re.compile(rb">([^<>]+)<")
_NAMESPACE: Final = re.compile(rb"xmlns(?::\w+)?=['\"]([^'\"<>]*)")
_NUMBER: Final = re.compile(rb"[0-9]+")
_BASE64: Final = re.compile(rb">([A-Za-z0-9+/]{4,}={0,2})<")
_NAME: Final = re.compile(rb"<([A-Za-z:][\w:.-]*)")
_ATTRIBUTE: Final = re.compile(rb"\s[\w:.-]+=(?:'[^'<>]*'|\"[^\"<>]*\")")
_TAG_END: Final = re.compile(rb"/?>")
_TAG: Final = re.compile(rb"<[^<>]*>")
# An element whose end is easily found: an empty one, or one with nothing but text.
_LEAF: Final = re.compile(rb"<([A-Za-z][\w:.-]*)(?:[^<>]*/>|[^<>]*>[^<>]*</\1>)")
_ELEMENT: Final = re.compile(rb"<(\w+)\b[^<>]*(?:/>|>.*?</\1>)", re.DOTALL)


class Mutator:
    """Mutations with one source of chance. `others`: what else came in dialogues of the role.

    calm: `others` are stanzas, and what is put in is right by itself.
    """

    def __init__(self, rng: Random) -> None:
        self.calm = False
        self.random = rng.random
        self._bits = rng.getrandbits

    # -- choices -----------------------------------------------------------------------------

    def below(self, bound: int) -> int:
        """A number from 0, less than the bound."""
        return int(self.random() * bound)

    def chance(self, probability: float) -> bool:
        """Yes or no."""
        return self.random() < probability

    def pick(self, values: Sequence[_T]) -> _T:
        """One of them."""
        return values[int(self.random() * len(values))]

    # -- the whole ---------------------------------------------------------------------------

    def mutate(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """Something else than `data`; now and then the same by chance."""
        if self.random() < MUCH:
            return self.much(data, others)[:LARGEST]
        count = 1
        while self.random() < MORE:
            count += 1
        if self.calm:
            for _ in range(count):
                data = self.pick(_CALM)(self, data, others)
            return data if 0 < len(data) <= LONGEST else self._element(others)
        gentle = self.random() < GENTLE
        for _ in range(count):
            mutation = self.pick(_GENTLE if gentle or self.random() < 0.5 else _HARSH)
            data = mutation(self, data, others)
        return data[:LONGEST] or b" "

    def cut(self, data: bytes) -> list[bytes]:
        """Into pieces, most often one."""
        if self.random() >= CUT or len(data) < 2:
            return [data]
        places = sorted({1 + self.below(len(data) - 1) for _ in range(1 + self.below(4))})
        return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]

    def _find(self, pattern: re.Pattern[bytes], data: bytes) -> re.Match[bytes] | None:
        return pattern.search(data, self.below(len(data) + 1)) or pattern.search(data)

    # -- gentle ------------------------------------------------------------------------------

    def value(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """Another value of an attribute."""
        found = self._find(_VALUE, data)
        if found is None:
            return data
        group = 1 if found[1] is not None else 2
        return _put(data, found.span(group), self._word(found[group], others))

    def text(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """Another text."""
        found = self._find(_TEXT, data)
        return data if found is None else _put(data, found.span(1), self._word(found[1], others))

    def namespace(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """Another namespace."""
        found = self._find(_NAMESPACE, data)
        return data if found is None else _put(data, found.span(1), self.pick(NAMESPACES))

    def number(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """A number at a bound."""
        found = self._find(_NUMBER, data)
        if found is None:
            return data
        near = str(int(found[0][:18]) + self.below(5) - 2).encode()
        return _put(data, found.span(), near if self.random() < 0.3 else self.pick(NUMBERS))

    def inside(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """What is encoded in Base64 is mutated itself."""
        found = self._find(_BASE64, data)
        if found is None:
            return self.value(data, others)
        try:
            text = base64.b64decode(found[1])
        except binascii.Error:
            return data
        text = self.pick(_INSIDE)(self, text, others)
        return _put(data, found.span(1), base64.b64encode(text))

    def rename(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """Another name of an element."""
        found = self._find(_NAME, data)
        if found is None:
            return data
        tag = re.compile(rb"(</?)" + re.escape(found[1]) + rb"(?=[\s/>])")
        return tag.sub(rb"\1" + self.pick(NAMES), data)

    def attribute(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """One more attribute."""
        found = self._find(_NAME, data)
        if found is None:
            return data
        name = b"a%d" % self.below(99) if self.calm else self.pick(ATTRIBUTES)
        new = b" %s='%s'" % (name, self._word(b"", others))
        return _put(data, (found.end(), found.end()), new)

    def drop_attribute(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """One less."""
        found = self._find(_ATTRIBUTE, data)
        return data if found is None else _put(data, found.span(), b"")

    def child(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """One more element, behind or inside another."""
        found = self._find(_TAG_END, data)
        at = found.end() if found else len(data)
        return _put(data, (at, at), self._element(others))

    def drop(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """One element less."""
        found = self._find(_LEAF, data)
        return data if found is None else _put(data, found.span(), b"")

    def duplicate(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """One element twice, or many times."""
        found = self._find(_LEAF, data)
        if found is None:
            return data
        times = 2 if self.random() < 0.9 else 2 + self.below(40)
        return _put(data, found.span(), found[0] * times)

    def exchange(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """Another element in the place of one."""
        found = self._find(_LEAF, data)
        return data if found is None else _put(data, found.span(), self._element(others))

    def before(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """Something comes first."""
        return self._element(others) + data

    def behind(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """Something comes later."""
        return data + self._element(others)

    def instead(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """Something else altogether."""
        return self._element(others)

    def splice(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """The beginning of this and the end of something else, cut at tags."""
        other = self.pick(others)
        here, there = self._find(_TAG, data), self._find(_TAG, other)
        if here is None or there is None:
            return data + other
        return data[: here.end()] + other[there.start() :]

    def space(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """White space between tags, or a keepalive."""
        found = self._find(_TAG_END, data)
        at = found.end() if found and self.random() < 0.5 else len(data)
        return _put(data, (at, at), self.pick((b" ", b"\n", b"\r\n\t ", b" " * 100)))

    def much(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """Very many attributes, or much of some other thing."""
        attributes = self.random() < 0.3
        found = self._find(_NAME if attributes else _TAG_END, data)
        at = found.end() if found else len(data)
        return _put(data, (at, at), self.pick(MANY_ATTRIBUTES if attributes else MUCH_CONTENT))

    def _word(self, present: bytes, others: Sequence[bytes]) -> bytes:
        chance = self.random()
        if chance < 0.45:
            wrong = not self.calm and chance < 0.05
            return self.pick(WRONG_VALUES if wrong else VALUES)
        if chance < 0.6:
            return self.pick(NUMBERS)
        if chance < 0.7:
            return self.pick(NAMESPACES)
        if chance < 0.9:
            found = self._find(_VALUE, self.pick(others))
            return b"" if found is None else found[1] or found[2] or b""
        return present * (1 + self.below(50)) if chance < 0.95 else present[: len(present) // 2]

    def _element(self, others: Sequence[bytes]) -> bytes:
        other = self.pick(others)
        if self.calm:
            return other
        if self.random() < 0.5:
            return self.pick(ELEMENTS)
        found = self._find(_ELEMENT, other)
        return other if found is None else found[0]

    # -- harsh -------------------------------------------------------------------------------

    def flip(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """One bit."""
        if not data:
            return data
        at = self.below(len(data))
        return data[:at] + bytes((data[at] ^ (1 << self._bits(3)),)) + data[at + 1 :]

    def insert(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """A special or random byte, or a few, anywhere."""
        at = self.below(len(data) + 1)
        new = self.pick(BYTES) if self.random() < 0.8 else self._bits(8).to_bytes(1, "big")
        return data[:at] + new + data[at:]

    def overwrite(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """The same in the place of something."""
        at = self.below(len(data) + 1)
        new = self.pick(BYTES)
        return data[:at] + new + data[at + len(new) :]

    def truncate(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """The end is missing."""
        return data[: self.below(len(data) + 1)]

    def behead(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """The beginning is missing."""
        return data[self.below(len(data) + 1) :]

    def drop_range(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """Something in the middle is missing."""
        start = self.below(len(data) + 1)
        return data[:start] + data[start + 1 + self.below(20) :]

    def repeat_range(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """Something in the middle comes again."""
        start = self.below(len(data) + 1)
        end = start + 1 + self.below(60)
        return data[:end] + data[start:end] * (1 + self.below(4)) + data[end:]

    def join(self, data: bytes, others: Sequence[bytes]) -> bytes:
        """Two inputs, cut anywhere."""
        other = self.pick(others)
        return data[: self.below(len(data) + 1)] + other[self.below(len(other) + 1) :]

    # -- inside what is encoded --------------------------------------------------------------

    def field(self, text: bytes, others: Sequence[bytes]) -> bytes:
        """Another value of a field of SCRAM (RFC 5802 §5.1), one more, one less."""
        fields = text.split(b",")
        at = self.below(len(fields))
        chance = self.random()
        if chance < 0.4:
            fields[at] = fields[at][:2] + self.pick(NUMBERS if chance < 0.2 else VALUES)
        elif chance < 0.6:
            fields.insert(at, self.pick(FIELDS))
        elif chance < 0.8:
            del fields[at]
        else:
            fields[at] = self.pick(FIELDS)
        return b",".join(fields)

    def part(self, text: bytes, others: Sequence[bytes]) -> bytes:
        """Another part of what NULs separate: PLAIN, HT."""
        parts = text.split(b"\0")
        at = self.below(len(parts))
        if self.random() < 0.7:
            parts[at] = self.pick(VALUES)
        else:
            parts.insert(at, self.pick((b"", b"juliet", b"romeo", b"\xff")))
        return b"\0".join(parts)


Mutation = Callable[[Mutator, bytes, Sequence[bytes]], bytes]

_CALM: Final[Sequence[Mutation]] = (
    *(Mutator.value, Mutator.value, Mutator.text, Mutator.text, Mutator.number),
    *(Mutator.attribute, Mutator.drop_attribute, Mutator.child, Mutator.drop, Mutator.duplicate),
    *(Mutator.exchange, Mutator.before, Mutator.behind, Mutator.instead, Mutator.space),
)
_GENTLE: Final[Sequence[Mutation]] = (
    *(Mutator.value, Mutator.value, Mutator.text, Mutator.namespace, Mutator.number),
    *(Mutator.inside, Mutator.inside, Mutator.rename, Mutator.attribute, Mutator.drop_attribute),
    *(Mutator.child, Mutator.child, Mutator.drop, Mutator.duplicate, Mutator.exchange),
    *(Mutator.before, Mutator.behind, Mutator.instead, Mutator.splice, Mutator.space),
)
_HARSH: Final[Sequence[Mutation]] = (
    *(Mutator.flip, Mutator.insert, Mutator.insert, Mutator.overwrite, Mutator.truncate),
    *(Mutator.behead, Mutator.drop_range, Mutator.repeat_range, Mutator.join),
)
_INSIDE: Final[Sequence[Mutation]] = (
    *(Mutator.field, Mutator.field, Mutator.field, Mutator.part, Mutator.part),
    *(Mutator.number, Mutator.flip, Mutator.insert, Mutator.drop_range),
)


def _put(data: bytes, span: tuple[int, int], new: bytes) -> bytes:
    return data[: span[0]] + new + data[span[1] :]
