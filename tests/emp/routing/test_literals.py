"""What a regular expression demands is in every text in which it finds something."""

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emp.routing.literals import ALTERNATIVES, demanded, fold


@pytest.mark.parametrize(
    ("pattern", "flags", "texts", "at_start"),
    [
        ("^!ban\\b", 0, ["!ban"], True),
        ("\\A!ban", 0, ["!ban"], True),
        ("!ban", 0, ["!ban"], False),
        ("^(on|off)$", 0, ["on", "off"], True),
        ("^(?:turn )?on", 0, ["on"], False),
        ("^ab?c", 0, ["a"], True),
        ("^ab+c", 0, ["ab"], True),
        ("^[!/]roll", 0, ["!roll", "/roll"], True),
        ("^[a-z]roll", 0, ["roll"], False),
        ("\\bspam\\b", 0, ["spam"], False),
        ("a.*longest.*bc", 0, ["longest"], False),
        ("(a|b)(c|d)", 0, ["ac", "ad", "bc", "bd"], False),
        ("x*", 0, None, False),
        ("", 0, None, False),
        ("a|", 0, None, False),
        (".", 0, None, False),
        ("(?m)^hi", 0, ["hi"], False),
        ("x^hi", 0, ["xhi"], False),
        ("^!BAN", re.I, ["!ban"], True),
        ("^!straße", re.I, ["!stra"], True),
        ("(?i:hi)", 0, None, False),
        ("(?x) ^ h i ", 0, ["hi"], True),
        ("(?:ab){2}", 0, ["ab"], False),
    ],
)
def test_demands(pattern: str, flags: int, texts: list[str] | None, at_start: bool | None) -> None:
    demand = demanded(re.compile(pattern, flags))
    if texts is None:
        assert demand is None
        return
    assert demand is not None
    assert list(demand.texts) == texts
    assert demand.at_start is at_start
    assert demand.folded is bool(flags & re.I)


def test_alternatives_are_bounded() -> None:
    demand = demanded(re.compile("^" + "[ab]" * 9))
    assert demand is not None
    assert demand.at_start
    assert len(demand.texts) == ALTERNATIVES
    assert {len(text) for text in demand.texts} == {4}


_atoms = st.sampled_from(
    ["a", "b", "k", "S", "ß", "!", "\\.", ".", "[ab]", "[^a]", "\\b", "^", "$", "\\w", "ſ", "i"]
)
_patterns = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.tuples(inner, inner).map("(?:{0[0]}|{0[1]})".format),
        st.tuples(inner, st.sampled_from(["?", "*", "+", "{2}", "{1,3}"])).map(
            "(?:{0[0]}){0[1]}".format
        ),
    ),
    max_leaves=6,
)


@given(
    _patterns,
    st.sampled_from([0, re.I, re.M, re.I | re.A]),
    st.lists(st.sampled_from("abkKsSſß!.iıİI\u212a\n"), max_size=8).map("".join),
)
def test_a_text_in_which_it_is_found_has_what_it_demands(
    pattern: str, flags: int, text: str
) -> None:
    compiled = re.compile(pattern, flags)
    demand = demanded(compiled)
    if demand is None or compiled.search(text) is None:
        return
    seen = fold(text) if demand.folded else text
    fits = seen.startswith if demand.at_start else seen.__contains__
    assert any(map(fits, demand.texts)), demand


def test_folding_is_as_wide_as_that_of_re() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    for letter in "abcdefghijklmnopqrstuvwxyz":
        for found in re.findall(letter, everything, re.I):
            assert fold(found) == letter, (letter, found)


def test_folding_keeps_the_length() -> None:
    for code in range(sys.maxunicode + 1):
        assert len(fold("x" + chr(code))) == 2, hex(code)
