"""Text of others in logs and on terminals."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emp.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ä, 字, \U0001f469‍\U0001f4bb", None),
        ("می‌خواهم", None),
        ("a\tb", None),
        ("a\nb\r\nc", "a\\nb\\r\\nc"),
        ("\x1b]0;title\x07\x1b[2J", "\\x1b]0;title\\x07\\x1b[2J"),
        ("\x9b31m\x85\x7f\x00", "\\x9b31m\\x85\\x7f\\x00"),
        ("\u202egnp.exe\u2066", "\\u202egnp.exe\\u2066"),
        ("one\u2028two\u2029", "one\\u2028two\\u2029"),
        ("\udcff", "\\udcff"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_is_escaped(text: str, shown: str | None) -> None:
    assert printable(text) == (text if shown is None else shown)


@given(st.text(st.characters(), max_size=50))
def test_one_line_without_controls(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert {unicodedata.category(each) for each in shown if each != "\t"}.isdisjoint(
        ("Cc", "Cs", "Zl", "Zp")
    )
    shown.encode()
    assert printable(shown) == shown
