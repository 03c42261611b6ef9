"""Mutations: bytes of a bounded length, the same for the same seed."""

from random import Random

import pytest
from lxml import etree

from tools.fuzzing.mutate import LARGEST, Mutator
from tools.fuzzing.words import STANZAS

INPUT = (
    b"<message to='a' id=\"1\"><body>hi</body><x xmlns='urn:x' h='4'/></message>"
    b"<challenge>cj1hYmMscz1RUT09LGk9NDA5Ng==</challenge>"
)


def results(seed: int, *, calm: bool, count: int = 500) -> list[bytes]:
    mutator = Mutator(Random(seed))
    mutator.calm = calm
    return [mutator.mutate(INPUT, STANZAS) for _ in range(count)]


@pytest.mark.parametrize("calm", [False, True])
def test_a_seed_decides(calm: bool) -> None:
    assert results(1, calm=calm) == results(1, calm=calm)
    assert results(1, calm=calm) != results(2, calm=calm)


@pytest.mark.parametrize("calm", [False, True])
def test_results_are_many_and_not_too_long(calm: bool) -> None:
    found = results(1, calm=calm)
    assert len(set(found)) > 250
    assert all(0 < len(each) <= LARGEST for each in found)


def test_calm_ones_are_xml_most_of_the_time() -> None:
    def is_xml(data: bytes) -> bool:
        try:
            etree.fromstring(b"<r xmlns:stream='u'>" + data + b"</r>")
        except etree.XMLSyntaxError:
            return False
        return True

    calm = sum(map(is_xml, results(1, calm=True)))
    wild = sum(map(is_xml, results(1, calm=False)))
    assert calm > 450
    assert 50 < wild < 400


def test_nothing_is_lost_when_it_is_cut() -> None:
    mutator = Mutator(Random(1))
    cuts = [mutator.cut(INPUT) for _ in range(200)]
    assert all(b"".join(pieces) == INPUT and all(pieces) for pieces in cuts)
    assert 1 < len({len(pieces) for pieces in cuts}) <= 5


def test_every_mutation_takes_anything() -> None:
    for data in (b"", b"\xff\0", b"<", b"<a", b"<a/>", b"='", b">===<", b"\xd9\xa1" * 20):
        mutator = Mutator(Random(3))
        for _ in range(300):
            assert isinstance(mutator.mutate(data, [data]), bytes)
