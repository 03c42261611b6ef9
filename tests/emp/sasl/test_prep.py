"""SASLprep: the examples of RFC 4013 §3, and what they leave out."""

import pytest

from emp.sasl import saslprep


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("", ""),
        ("\u0221", "\u0221"),  # unassigned in Unicode 3.2
        ("\u0627\u0628", "\u0627\u0628"),
        ("pässword", "pässword"),
    ],
)
def test_examples(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


@pytest.mark.parametrize(
    "text",
    ["\u0007", "\u0627\u0031", "\u0627a\u0628", "\x7f", "\ue000", "\ufffd", "\u200e", "a\ud800"],
)
def test_prohibited(text: str) -> None:
    with pytest.raises(ValueError, match=r"SASLprep|letters"):
        saslprep(text)
