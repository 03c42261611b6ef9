"""The table of docs/security.md names tests that exist, and all of those that are here."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
DOCUMENT = TESTS.parent / "docs" / "security.md"


def named() -> set[str]:
    """What the last column of the table names, `path::test` or `path`."""
    rows = [
        line for line in DOCUMENT.read_text().splitlines() if re.match(r"\| ([A-Z]\d+)? ?\|", line)
    ]
    return {name for row in rows for name in re.findall(r"`([^`]+\.py(?:::\w+)?)`", row)}


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")
    }


def test_every_test_in_the_table_exists() -> None:
    missing = []
    for name in named():
        file, _, test = name.partition("::")
        path = TESTS / file
        if not path.is_file() or (test and test not in functions(path)):
            missing.append(name)
    assert missing == []


def test_every_attack_is_in_the_table() -> None:
    here = {
        f"attacks/{path.name}::{test}"
        for path in Path(__file__).parent.glob("test_*.py")
        if path != Path(__file__)
        for test in functions(path)
    }
    assert len(here) > 80
    assert here - named() == set()


def test_every_row_has_a_test() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if re.match(r"\| [A-Z]\d+ \|", line)]
    assert len(rows) > 50
    assert [row for row in rows if "::" not in row] == []
