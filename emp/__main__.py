"""`emp`, `emp-admin` and `python -m emp`: find the commands, and say so when they are not ours.

`emp` and `actors` are also the names of other people's distributions. Whichever was installed last
wins, so the first thing is to see that both packages are parts of this one.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import NoReturn

HERE = Path(__file__).resolve().parent


def main() -> NoReturn:
    """The `emp` command."""
    _run("emp")


def admin() -> NoReturn:
    """The `emp-admin` command."""
    _run("admin")


def _run(command: str) -> NoReturn:
    _see_to_actors()
    try:
        module = importlib.import_module(f"actors.commands.{command}")
        sys.exit(module.run())
    except KeyboardInterrupt:  # while the imports were under way
        sys.exit(130)


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
