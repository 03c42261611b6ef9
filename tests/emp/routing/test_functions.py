"""Parts of addresses, and which need no normalisation."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emp.routing.functions import bare, is_normal

_ADDRESSES = st.text(st.sampled_from("abz@./-_0 []:xn'\"&\\~{}\t\x7fA%"), min_size=1, max_size=12)


@given(_ADDRESSES)
@example("xn--strae-oqa.example")
@example("a@xn--strae-oqa")
@example("example.org.")
@example("a@[::1]")
def test_what_looks_normal_is_normal_or_no_address(name: str) -> None:
    name = name.partition("/")[0]
    if is_normal(name):
        assert bare(name) in (name, "")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bar@localhost", True),
        ("a.b-c@chat.example.org", True),
        ("BAR@localhost", False),
        ("bar@localhost.", False),
        ("bar@xn--strae-oqa.de", False),
        ("straße@localhost", False),
        ("a@[::1]", False),
        ("", False),
    ],
)
def test_most_addresses_look_normal(name: str, expected: bool) -> None:
    assert is_normal(name) is expected
