"""The tables of docs/security.md and docs/interoperability.md name tests that exist, and the former
all of those that are here."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
DOCUMENT = TESTS.parent / "docs" / "security.md"
REPORTS = TESTS.parent / "docs" / "interoperability.md"


REPORT = re.compile(r"\| [\w.-]+/[\w.-]+#\d+")
"""The beginning of a row: an owner, a repository, a number."""


def rows_of(document: Path) -> list[str]:
    row = REPORT if document == REPORTS else re.compile(r"\| ([A-Z]\d+)? ?\|")
    return [line for line in document.read_text().splitlines() if row.match(line)]


def named(document: Path = DOCUMENT) -> set[str]:
    """What the last column of the table names, `path::test` or `path`."""
    rows = rows_of(document)
    return {name for row in rows for name in re.findall(r"`([^`]+\.py(?:::\w+)?)`", row)}


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")
    }


@pytest.mark.parametrize("document", [DOCUMENT, REPORTS], ids=lambda path: path.stem)
def test_every_test_in_the_table_exists(document: Path) -> None:
    missing = []
    for name in named(document):
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


def test_every_report_is_told_once_and_has_a_test() -> None:
    rows = rows_of(REPORTS)
    reports = [name for row in rows for name in re.findall(r"[\w.-]+/[\w.-]+#\d+", row)]
    assert len(reports) == len(set(reports)) >= 100
    assert [row for row in rows if "::" not in row] == []
