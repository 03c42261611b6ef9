"""The layers hold: apps → actors → emp, sockets only where they belong, one place per thing.

Every rule is a plain function from source text to complaints, so that the rules themselves are
tested below: on samples that break them.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("emp", "actors", "apps")
TYPED = ("emp", "actors")  # what is installed, so other people's type checkers look at it

INPUT_AND_OUTPUT = frozenset(
    {
        *("_socket", "_ssl", "_thread", "asyncio", "concurrent", "multiprocessing", "select"),
        *("selectors", "signal", "socket", "socketserver", "ssl", "subprocess", "threading"),
        "uvloop",
    }
)
ACTOR_LIBRARY = frozenset({"thespian"})

# Who may not import what. A module is matched by the longest prefix, so that the exceptions are
# rows of the table like the rules. Values are top-level names of packages.
FORBIDDEN = {
    "emp": {"actors", "apps", "tests", "tools"} | INPUT_AND_OUTPUT | ACTOR_LIBRARY,
    # It starts no thread: names of XML belong to one, so it stores what it knows of them with it.
    "emp.names": {"actors", "apps", "tests", "tools"}
    | (INPUT_AND_OUTPUT - {"threading"})
    | ACTOR_LIBRARY,
    "emp.net": {"actors", "apps", "tests", "tools"} | ACTOR_LIBRARY,
    "emp.devserver": {"actors", "apps", "tests", "tools"} | ACTOR_LIBRARY,
    "emp.__main__": {"apps", "tests", "tools"} | INPUT_AND_OUTPUT | ACTOR_LIBRARY,
    "actors": {"apps", "tests", "tools"},
    "apps": {"tests", "tools"} | ACTOR_LIBRARY,
}
MAIN_MAY_CALL = "actors.commands"  # the one arrow that points upward


def forbidden_imports(module: str, source: str) -> list[str]:
    """The imports of `source`, the text of `module` (dotted), that the table forbids it."""
    forbidden = FORBIDDEN[_longest_prefix(module)]
    return [
        f"{module}:{line} imports {name}"
        for name, line in imports(module, source)
        if name.split(".")[0] in forbidden or _points_upward(module, name)
    ]


def _longest_prefix(module: str) -> str:
    parts = module.split(".")
    prefixes = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
    return next(prefix for prefix in prefixes if prefix in FORBIDDEN)


def _points_upward(module: str, name: str) -> bool:
    return (
        module == "emp.__main__"
        and name.split(".")[0] == "actors"
        and not f"{name}.".startswith(f"{MAIN_MAY_CALL}.")
    )


def imports(module: str, source: str) -> Iterator[tuple[str, int]]:
    """Every imported dotted name with its line: at the top, in functions, relative, by string.

    `from a import b` counts as a.b, for b may be a module.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = _absolute(module, node)
            yield from ((f"{package}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and (name := _imported_by_call(node)):
            yield name, node.lineno


def _absolute(module: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parents = module.split(".")[: -node.level]
    return ".".join([*parents, *([node.module] if node.module else [])])


def _imported_by_call(node: ast.Call) -> str | None:
    called = node.func.attr if isinstance(node.func, ast.Attribute) else None
    called = node.func.id if isinstance(node.func, ast.Name) else called
    if called not in {"import_module", "__import__"} or not node.args:
        return None
    argument = node.args[0]
    return str(argument.value) if isinstance(argument, ast.Constant) else None


def missing_package_files(root: Path, folders: Iterable[str]) -> list[str]:
    """Folders below `folders` that hold Python files (or folders with some) but no __init__.py."""
    return [
        f"{folder.relative_to(root)} has no __init__.py"
        for top in folders
        for folder in _folders_with_python(root / top)
        if not (folder / "__init__.py").is_file()
    ]


def _folders_with_python(top: Path) -> list[Path]:
    files = [path for path in top.rglob("*.py") if "__pycache__" not in path.parts]
    folders = {parent for path in files for parent in path.parents}
    return sorted(folder for folder in folders if folder == top or top in folder.parents)


def strays_in_tests(root: Path) -> list[str]:
    """Folders of tests/<layer>/ that mirror no folder of <layer>/."""
    return [
        f"{folder.relative_to(root)} mirrors nothing"
        for layer in (*LAYERS, "tools")
        for folder in _folders_with_python(root / "tests" / layer)
        if not (root / folder.relative_to(root / "tests")).is_dir()
    ]


def untested_packages(root: Path) -> list[str]:
    """Packages of emp and actors for which tests/ has neither a folder nor a file test_<name>…"""
    return [
        f"{package.relative_to(root)} has no tests"
        for layer in TYPED
        for package in sorted((root / layer).iterdir())
        if (package / "__init__.py").is_file()
        if not any((root / "tests" / layer / package.name).glob("**/test_*.py"))
        if not any((root / "tests" / layer).glob(f"test_{package.name}*.py"))
    ]


def modules(layer: str) -> list[tuple[str, Path]]:
    """Every module of a layer: dotted name and file."""
    found = []
    for path in sorted((ROOT / layer).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


# The project itself


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_follow_the_arrows(layer: str) -> None:
    complaints = [
        complaint
        for module, path in modules(layer)
        for complaint in forbidden_imports(
            # A package's own relative imports start one level deeper than its name says.
            f"{module}.__init__" if path.name == "__init__.py" else module,
            path.read_text(encoding="utf-8"),
        )
    ]
    assert complaints == []


def test_every_folder_of_modules_is_a_package() -> None:
    # An app is a folder of a user's, not a package: its files are found by `emp start`.
    assert missing_package_files(ROOT, ("emp", "actors", "tests", "tools")) == []


@pytest.mark.parametrize("package", TYPED)
def test_type_checkers_are_told_to_look(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_tests_mirror_the_tree() -> None:
    assert strays_in_tests(ROOT) == []
    assert untested_packages(ROOT) == []


# The rules


@pytest.mark.parametrize(
    ("module", "source", "name"),
    [
        ("emp.jid", "import actors", "actors"),
        ("emp.jid", "from actors.base import Base", "actors.base.Base"),
        ("emp.stream.parser", "import socket", "socket"),
        ("emp.stream.parser", "from asyncio import Queue", "asyncio.Queue"),
        ("emp.stream.parser", "def f():\n    import ssl as s\n", "ssl"),
        ("emp.sasl.plain", "if True:\n    import threading, os\n", "threading"),
        ("emp.xml", "import importlib\nimportlib.import_module('selectors')", "selectors"),
        ("emp.xml", "x = __import__('multiprocessing')", "multiprocessing"),
        ("emp.net.stream", "from thespian.actors import Actor", "thespian.actors.Actor"),
        ("emp.devserver", "import actors.base", "actors.base"),
        ("emp.__main__", "import actors.base", "actors.base"),
        ("emp.__main__", "from actors import base", "actors.base"),
        ("emp.net.deep", "from ...actors import base", "actors.base"),
        ("actors.router", "from apps import hack", "apps.hack"),
        ("actors.router", "import tests.conftest", "tests.conftest"),
        ("apps.hack", "import thespian.actors", "thespian.actors"),
        ("emp.network", "import socket", "socket"),  # not emp.net
        ("emp.names", "import asyncio", "asyncio"),
    ],
)
def test_a_wrong_import_is_found(module: str, source: str, name: str) -> None:
    complaints = forbidden_imports(module, source)
    assert [complaint.split(" imports ")[1] for complaint in complaints] == [name]
    assert complaints[0].startswith(f"{module}:")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("emp.jid", "import re, emp.errors\nfrom emp import ns\nfrom . import stanza"),
        ("emp.net", "import asyncio, socket, ssl"),
        ("emp.net.tls", "import ssl"),
        ("emp.names", "import threading"),
        ("emp.devserver.listen", "import asyncio"),
        ("emp.__main__", "from actors.commands.emp import main"),
        ("emp.__main__", "from actors.commands import emp"),
        ("emp.stream.parser", "from ..errors import StreamError"),
        ("emp.jid", "# import socket\nname = 'asyncio'"),
        ("actors.base", "import asyncio, thespian.actors, emp.jid"),
        ("apps.hack.hack", "import actors, emp"),
    ],
)
def test_a_right_import_is_let_through(module: str, source: str) -> None:
    assert forbidden_imports(module, source) == []


def test_a_folder_that_is_no_package_is_found(tmp_path: Path) -> None:
    (tmp_path / "emp" / "stream").mkdir(parents=True)
    (tmp_path / "emp" / "__init__.py").touch()
    (tmp_path / "emp" / "stream" / "parser.py").touch()
    (tmp_path / "emp" / "templates").mkdir()
    assert missing_package_files(tmp_path, ["emp"]) == ["emp/stream has no __init__.py"]
    (tmp_path / "emp" / "stream" / "__init__.py").touch()
    assert missing_package_files(tmp_path, ["emp"]) == []


def test_a_broken_mirror_is_found(tmp_path: Path) -> None:
    for folder in ("emp/sasl", "emp/xep", "actors", "tests/emp/sasl", "tests/emp/slang"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("emp/sasl/__init__.py", "emp/xep/__init__.py", "tests/emp/slang/test_x.py"):
        (tmp_path / file).touch()
    assert strays_in_tests(tmp_path) == ["tests/emp/slang mirrors nothing"]
    assert untested_packages(tmp_path) == ["emp/sasl has no tests", "emp/xep has no tests"]
    (tmp_path / "tests/emp/sasl/test_plain.py").touch()
    (tmp_path / "tests/emp/test_xep_0092.py").touch()
    assert untested_packages(tmp_path) == []
