"""Places in TOML: what tomllib reads is found where it stands."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emp.tomllines import lines_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("# nothing\n\n", {}),
        ("a = 1\nb = 2\n", {("a",): 1, ("b",): 2}),
        ("[t]\n[u]", {("t",): 1, ("u",): 2}),
        ("[a.b]\nc = 1", {("a",): 1, ("a", "b"): 1, ("a", "b", "c"): 2}),
        (
            "\n [ a . \"b.c\" ] # x\n 'd e' = 1",
            {("a",): 2, ("a", "b.c"): 2, ("a", "b.c", "d e"): 3},
        ),
        ('"\\u0061\\n" = 1', {("a\n",): 1}),
        ("a.b = 1\na.c = 2", {("a",): 1, ("a", "b"): 1, ("a", "c"): 2}),
        ('a = """\n[no]\nno = 1\n"""\nb = 2', {("a",): 1, ("b",): 5}),
        ("a = '''\n[no]\n'''\nb = 2", {("a",): 1, ("b",): 4}),
        ('a = """x\\"""\ny"""\nb = 2', {("a",): 1, ("b",): 3}),
        ('a = """x""""\nb = 2', {("a",): 1, ("b",): 2}),
        ("a = [ # ]\n 1,\n [2],\n]\nb = 2", {("a",): 1, ("b",): 5}),
        ("a = {b = 1, c = {d = 2}}\ne = 3", {("a",): 1, ("e",): 2}),
        ("a = '#' # '\nb = \"]\"\nc = 1", {("a",): 1, ("b",): 2, ("c",): 3}),
        ("[[a]]\nb = 1\n[[a]]\nb = 2", {("a",): 1, ("a", "b"): 2}),
        ("a = 1\r\nb = 2", {("a",): 1, ("b",): 2}),
        ("a = 1979-05-27T07:32:00Z\nb = 1", {("a",): 1, ("b",): 2}),
    ],
)
def test_places(text: str, expected: dict[tuple[str, ...], int]) -> None:
    tomllib.loads(text)
    assert lines_of(text) == expected


NAMES = st.sampled_from(["a", "b-c", '"q.r"', "'s t'", '"\\u00e4"'])
VALUES = st.sampled_from(
    [
        "1",
        "true",
        '"[x]"',
        "'# no'",
        '"""\n[t]\nk = 1\n"""',
        "[1,\n 2]",
        "{ x = [1] }",
        "'''\n=\n'''",
    ]
)
LINES = st.one_of(
    st.tuples(NAMES, VALUES).map(" = ".join),
    st.lists(NAMES, min_size=1, max_size=3).map(lambda names: f"[{'.'.join(names)}]"),
    st.sampled_from(["", "# [c]", "  "]),
)


def paths(table: dict[str, Any], *above: str) -> set[tuple[str, ...]]:
    found = set()
    for name, value in table.items():
        found.add((*above, name))
        if isinstance(value, dict) and "x" not in value:  # an inline table is a value
            found |= paths(value, *above, name)
    return found


@given(st.lists(LINES, max_size=12))
def test_all_that_is_read_has_a_place(lines: list[str]) -> None:
    text = "\n".join(lines)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        lines_of(text)  # whatever that gives
        return
    found = lines_of(text)
    assert set(found) == paths(data)
    rows = text.split("\n")
    for path, line in found.items():
        row = rows[line - 1]
        key = row.partition(" = ")[0] if " = " in row else row[1:-1]
        named: Any = tomllib.loads(f"{key} = 1")
        while isinstance(named, dict):
            ((name, named),) = named.items()
            if name == path[-1]:
                break
        assert name == path[-1]


@given(st.text(alphabet="[]{}=\"'#\\\n\r .ab1\x00ä", max_size=60))
def test_nonsense_ends(text: str) -> None:
    lines_of(text)
