"""Regular expressions: what is refused at boot, what is bounded at run time."""

import re

import pytest

from emp.errors import RouteError
from emp.routing import regex


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+", "^(a+)+$", "(a*)*", "([a-z]+)*!", "(?:a|b+)*", r"(\w+\s?)*", "((a+))+",
        "(?P<x>a+)*?", "(a{2,})+", "(?:(?:a+)?)+", "(?=(a+)+)b", "(?i:a+)+", "(a+|)+",
        "((a+){2,3}b?)*", "x(?:y(z+)+)?",
    ],
)  # fmt: skip
def test_a_repeated_repetition_is_refused(pattern: str) -> None:
    with pytest.raises(RouteError, match="doubles with every character") as caught:
        regex.compile_pattern(pattern)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "pattern",
    [
        "^!", "a+b+", r"(\w+\s)*", "(a+,)+", "(a|b)+", "(a{2,5})+", "(x(a+))*", "(a++)+",
        "(?>a+)+", r"(?:\b\w+\b)*", "[a-z]+@(x+y)+", "(a+)(b+)", r"^(\d+\.)+\d+$",
    ],
)  # fmt: skip
def test_what_cannot_explode_is_allowed(pattern: str) -> None:
    assert regex.compile_pattern(pattern).pattern == pattern


@pytest.mark.parametrize(
    ("pattern", "flags", "message"),
    [
        ("[", "", "unterminated character set"),
        ("(", "", "missing )"),
        ("(?P<1>x)", "", "bad character in group name"),
        ("x", "q", "unknown regular expression flag 'q'"),
    ],
)
def test_bad_patterns(pattern: str, flags: str, message: str) -> None:
    with pytest.raises(RouteError, match=re.escape(message)):
        regex.compile_pattern(pattern, flags)


def test_patterns_are_compiled_once() -> None:
    assert regex.compile_pattern("abc", "i") is regex.compile_pattern("abc", "i")
    assert regex.compile_pattern("abc", "i").search("xABC")


def test_input_is_bounded() -> None:
    pattern = re.compile("a")
    assert regex.found(pattern, "a" * regex.MAX_INPUT)
    assert not regex.found(pattern, "a" * (regex.MAX_INPUT + 1))
    assert not regex.found(pattern, None)


@pytest.mark.parametrize(
    "compiled",
    [
        re.compile("a.b"),
        re.compile("a.b", re.I),
        re.compile("a.b", re.I | re.S | re.M | re.X | re.A),
        re.compile("(?i)a.b", re.S),
        re.compile("(?x) a . b  # comment", re.I),
    ],
)
def test_portable_patterns_keep_their_meaning(compiled: re.Pattern[str]) -> None:
    again = regex.compile_pattern(*regex.portable(compiled))
    assert again.flags == compiled.flags
    for text in ("a.b", "A\nB", "xa-b", "é", ""):
        assert bool(again.search(text)) is bool(compiled.search(text))
