"""Every example in the README and the guides is run: applications are loaded, pieces of code that
say by assert what comes out are run one after the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from actors.messages import AppRef
from actors.plan import make_plan
from emp import app, config

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def is_piece(language: str, code: str) -> bool:
    """Whether it is no application, but a piece of code that says by assert what comes out."""
    return language == "python" and not re.match(r"# \S+\.py\n", code) and "assert " in code


EXAMPLES = [
    pytest.param(language, code, id=f"{document.name}-{number}")
    for document in DOCUMENTS
    for number, (language, code) in enumerate(BLOCK.findall(document.read_text()), 1)
    if language in ("python", "toml") and not is_piece(language, code)
]


PIECES = {
    document: pieces
    for document in DOCUMENTS
    if (
        pieces := [
            code
            for language, code in BLOCK.findall(document.read_text())
            if is_piece(language, code)
        ]
    )
}


@pytest.mark.parametrize("document", PIECES, ids=lambda path: path.name)
def test_pieces(document: Path) -> None:
    names: dict[str, Any] = {}
    for code in PIECES[document]:
        line = document.read_text().partition(code)[0].count("\n")  # of the block, for tracebacks
        exec(compile("\n" * line + code, str(document), "exec"), names)


@pytest.mark.parametrize(("language", "code"), EXAMPLES)
def test_example(language: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = code.replace("~/.local/state/emp/server/ca.pem", "ca.pem")
    (tmp_path / "ca.pem").touch()
    monkeypatch.setenv("BOT_PASSWORD", "correct horse")
    configuration = tmp_path / "emp.toml"
    if language == "toml":
        configuration.write_text(code)
        assert config.load(configuration).connections
        return
    configuration.write_text('[connections.main]\nhost = "x.localhost"\nsecret = "s"\n')
    name = code.partition("\n")[0].removeprefix("# ")
    assert name.endswith(".py"), "the first line of an example is its file name"
    (tmp_path / f"example_{name}").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    loaded = app.load(tmp_path / f"example_{name}")
    assert make_plan(loaded, AppRef(str(tmp_path))).components


def test_every_key_of_a_connection_is_explained() -> None:
    guide = (ROOT / "docs" / "connections.md").read_text()
    for key in config.SCHEMA["connections"]:
        assert f"`{key}`" in guide, key


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target
