"""Looking for many texts at once finds what looking for one after the other finds."""

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from emp.routing.lookup import Parts, Starts

_texts = st.text(st.sampled_from("ab!ß"), max_size=8)
_wanted = st.sets(st.text(st.sampled_from("ab!ß"), min_size=1, max_size=6), max_size=12)


def _values(wanted: set[str]) -> dict[str, Any]:
    return {
        text: (SimpleNamespace(rank=rank, text=text),) for rank, text in enumerate(sorted(wanted))
    }


class _Candidate(SimpleNamespace):
    __hash__ = object.__hash__


def _found(looked: Starts | Parts, value: str) -> set[str]:
    found: dict[int, Any] = {}
    looked.find(value, found)
    return {each.text for posting in found.values() for each in posting}


@given(_wanted, _texts)
def test_starts(wanted: set[str], value: str) -> None:
    looked = Starts(_values(wanted))
    assert _found(looked, value) == {text for text in wanted if value.startswith(text)}


@given(_wanted, _texts)
def test_parts(wanted: set[str], value: str) -> None:
    values = {text: (_Candidate(rank=0, text=text),) for text in sorted(wanted)}
    looked = Parts(values)
    assert _found(looked, value) >= {text for text in wanted if text in value}


def test_long_texts_that_begin_alike_are_told_apart() -> None:
    wanted = {f"!command{number}" for number in range(1000)}
    assert _found(Starts(_values(wanted)), "!command77 x") == {"!command7", "!command77"}


def test_parts_that_are_rare_are_looked_for() -> None:
    values = {
        f"word{number:03}": (_Candidate(rank=number, text=f"word{number:03}"),)
        for number in range(500)
    }
    assert len(_found(Parts(values), "a word042 b")) <= 5
