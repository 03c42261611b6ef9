"""`emp`, `emp-admin` and `python -m emp`: find the commands, and say so when they are not ours.

`emp` and `actors` are also the names of other people's distributions. Whichever was installed last
wins, so the first thing is to see that both packages are parts of this one.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any, NoReturn

OLDEST = (3, 11)
"""As pyproject.toml has it; who runs a clone has no pip to say so."""

HERE = Path(__file__).resolve().parent


def main() -> NoReturn:
    """The `emp` command."""
    _run("emp")


def admin() -> NoReturn:
    """The `emp-admin` command."""
    _run("admin")


def _run(command: str) -> NoReturn:
    _see_to_python()
    _see_to_actors()
    try:
        module = _commands(command)
        sys.exit(module.run())
    except KeyboardInterrupt:  # while the imports were under way
        sys.exit(130)


def _commands(command: str) -> Any:
    try:
        return importlib.import_module(f"actors.commands.{command}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in ("emp", "actors"):
            raise
        sys.exit(
            f"emp: {sys.executable} has no module {error.name!r}, which EMP needs: activate the"
            " virtual environment that EMP is installed in, or install it, pip install -e ."
        )


def _see_to_python() -> None:
    if sys.version_info < OLDEST:
        wanted, found = (".".join(map(str, each[:2])) for each in (OLDEST, sys.version_info))
        sys.exit(f"emp: EMP needs Python {wanted} or later, and {sys.executable} is {found}")


def _see_to_actors() -> None:
    spec = importlib.util.find_spec("actors")
    found = Path(spec.origin).resolve().parent if spec and spec.origin else None
    if found == HERE.parent / "actors":
        return
    what = f"the package 'actors' at {found} is not EMP's" if found else "there is no 'actors'"
    sys.exit(
        f"emp: {what}, which belongs at {HERE.parent / 'actors'}. Another distribution hides it: "
        "leave the folder that holds it, or `pip uninstall` it and reinstall emp-xmpp"
    )


if __name__ == "__main__":
    main()
