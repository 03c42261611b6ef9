"""Run directories: where a running application keeps its control socket, log and key.

One folder of mode 0700 per run, below `$EMP_RUNTIME_DIR`, `$XDG_RUNTIME_DIR/emp` or
`~/.cache/emp/run`, gone when the run is over. What a killed run left is removed by whoever looks
next.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from emp.errors import ConfigError

SOCKET = "control.sock"
_FACTS = "run.json"

NAME_LENGTH = 50
"""Characters of the application's name in that of its run directory: 255 bytes are the limit."""


@dataclass(frozen=True, slots=True)
class Run:
    """A running application. `born` is the kernel's start time of `pid`: pids come back."""

    app: str
    path: str
    system: str
    pid: int
    born: int
    directory: Path

    @property
    def socket(self) -> Path:
        return self.directory / SOCKET


def root(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of the run directories of this user."""
    if given := environ.get("EMP_RUNTIME_DIR"):
        return Path(given)
    if given := environ.get("XDG_RUNTIME_DIR"):
        return Path(given) / "emp"
    return Path.home() / ".cache" / "emp" / "run"


def create(app: str, path: str, system: str) -> Run:
    """Make the run directory of this process. Raises ConfigError when that is impossible."""
    pid = os.getpid()
    # Any text may be a name of an application; a file name is another matter.
    name = re.sub(r"[^\w.-]", "_", app)[:NAME_LENGTH]
    directory = root() / f"{name}-{pid}"
    run = Run(app, path, system, pid, born(pid) or 0, directory)
    facts = {**asdict(run), "directory": None}
    try:
        root().mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(mode=0o700)
        (directory / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
    except OSError as error:
        shutil.rmtree(directory, ignore_errors=True)
        raise ConfigError(
            f"cannot make the run directory {directory}: {error.strerror}",
            remedy="set EMP_RUNTIME_DIR to a folder that you may write",
        ) from None
    return run


def remove(run: Run) -> None:
    shutil.rmtree(run.directory, ignore_errors=True)


def running() -> list[Run]:
    """The runs that live, oldest first. Removes what dead ones left."""
    runs = []
    for file in sorted(root().glob(f"*/{_FACTS}")):
        try:
            facts = json.loads(file.read_text(encoding="utf-8"))
            run = Run(**{**facts, "directory": file.parent})
        except (OSError, ValueError, TypeError):
            continue  # being written, or being removed
        if born(run.pid) == run.born:
            runs.append(run)
        else:
            remove(run)
    return sorted(runs, key=lambda run: run.born)


def born(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot, or None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])
