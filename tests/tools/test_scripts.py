"""The shell scripts: the virtual environment, the packages, and what they say when it goes wrong.

Nothing is downloaded or installed here: pip, apt-get and the like are stand-ins.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "tools" / "lib"

USE_VENV = 'set -euo pipefail; . "$1/tools/lib/venv.sh"; emp_venv ${2:-}; echo "ready: $EMP_PYTHON"'

# A Python that runs, and whose pip writes down what it is asked to install.
PYTHON = """#!/bin/sh
case "$*" in
*"pip install"*) echo "$*" >>"$ASKED"; echo "pip says no"; exit "${PIP_EXIT:-0}" ;;
esac
exit 0
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project with an environment that nothing has been installed into, at a difficult place."""
    tree = tmp_path / "a place"
    shutil.copytree(LIBRARY, tree / "tools" / "lib")
    (tree / "pyproject.toml").write_text("[project]\n")
    (tree / ".venv" / "bin").mkdir(parents=True)
    (tree / ".venv" / "pyvenv.cfg").write_text("home = /nowhere\nversion = 3.11.2\n")
    python = tree / ".venv" / "bin" / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    return tree


def run_venv(tree: Path, extras: str = "", **variables: str) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    return subprocess.run(
        ["bash", "-c", USE_VENV, "bash", str(tree), extras],
        env={**inherited, "ASKED": str(tree / "asked"), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def asked(tree: Path) -> list[str]:
    """What pip was asked to install, call by call."""
    if not (tree / "asked").exists():
        return []
    return [line.split("--editable ")[1] for line in (tree / "asked").read_text().splitlines()]


def test_it_is_installed_once(tree: Path) -> None:
    first, second = run_venv(tree), run_venv(tree)
    assert first.stdout == second.stdout == f"ready: {tree}/.venv/bin/python\n"
    assert "installing EMP into .venv" in first.stderr
    assert second.stderr == ""
    assert asked(tree) == ["."]


def test_the_development_tools_include_the_rest(tree: Path) -> None:
    for extras in ("", "dev", "dev", ""):
        assert run_venv(tree, extras).returncode == 0
    assert asked(tree) == [".", ".[dev]"]


@pytest.mark.parametrize(
    ("file", "text"),
    [("pyproject.toml", "[project]\nname='x'\n"), (".venv/pyvenv.cfg", "version = 3.12.0\n")],
)
def test_a_change_installs_again(tree: Path, file: str, text: str) -> None:
    run_venv(tree, "dev")
    (tree / file).write_text(text)
    run_venv(tree, "dev")
    assert asked(tree) == [".[dev]", ".[dev]"]


def test_a_moved_tree_installs_again(tree: Path) -> None:
    run_venv(tree)
    moved = tree.rename(tree.with_name("elsewhere"))
    run_venv(moved)
    assert asked(moved) == [".", "."]


def test_two_at_once_install_once(tree: Path) -> None:
    command = ["bash", "-c", f"{USE_VENV}", "bash", str(tree)]
    environment = {**os.environ, "ASKED": str(tree / "asked")}
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in both:
        process.communicate()
    assert [process.returncode for process in both] == [0, 0]
    assert asked(tree) == ["."]


def test_a_failed_installation_is_told_and_tried_again(tree: Path) -> None:
    failed = run_venv(tree, PIP_EXIT="1")
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert "    pip says no\nemp: error: cannot install what the project needs" in failed.stderr
    assert run_venv(tree).returncode == 0
    assert asked(tree) == [".", "."]


def test_an_unfit_python_is_refused(tree: Path) -> None:
    shutil.rmtree(tree / ".venv")
    done = run_venv(tree, PYTHON="/bin/false")
    assert done.returncode == 1
    assert done.stderr == "emp: error: PYTHON=/bin/false is not Python 3.11 or newer\n"


def test_no_python_at_all_is_told(tree: Path) -> None:
    shutil.rmtree(tree / ".venv")
    tools = tree / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "sha256sum", "flock", "rm"):
        (tools / name).symlink_to(shutil.which(name) or name)
    done = run_venv(tree, PATH=str(tools))
    assert done.returncode == 1
    assert "none was found" in done.stderr
    assert "apt-get install python3" in done.stderr


def run_packages(
    tmp_path: Path, *names: str, **commands: str
) -> "subprocess.CompletedProcess[str]":
    """tools/lib/packages with stand-ins (shell text) before the system's own commands."""
    for name, text in commands.items():
        stand_in = tmp_path / name.replace("_", "-")
        stand_in.write_text(f"#!/bin/sh\n{text}\n")
        stand_in.chmod(0o755)
    return subprocess.run(
        [str(LIBRARY / "packages"), *names],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_installed_packages_are_left_alone(tmp_path: Path) -> None:
    done = run_packages(tmp_path, "first", "second", dpkg_query="echo installed", apt_get="exit 9")
    assert (done.returncode, done.stderr) == (0, "")


def test_without_rights_it_says_what_to_type(tmp_path: Path) -> None:
    done = run_packages(
        tmp_path,
        *("first", "second"),
        dpkg_query='case "$*" in *second*) exit 1 ;; *) printf installed ;; esac',
        id="echo 1000",
        sudo="exit 1",
        apt_get="exit 9",
    )
    assert done.returncode == 1
    assert done.stderr == (
        "emp: error: missing: second\nemp: On Debian or Ubuntu: sudo apt-get install second\n"
    )


@pytest.mark.parametrize("script", ["test", "check", "bench", "fuzz"])
def test_every_script_explains_itself(script: str) -> None:
    done = subprocess.run(
        [str(ROOT / "tools" / script), "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert f"tools/{script}" in done.stdout
