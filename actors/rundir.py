"""Run directories: where a running application keeps its control socket, log and key.

One folder of mode 0700 per run, below `$EMP_RUNTIME_DIR`, `$XDG_RUNTIME_DIR/emp` or
`~/.cache/emp/run`, gone when the run is over. What a killed run left is removed by whoever looks
next.

Whoever can write into the folder of these folders could have us believe in applications, talk to
sockets and remove files of his choice. So it must belong to this user, who alone may write there;
and of what is in it only folders of this user count.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emp.errors import ConfigError

SOCKET = "control.sock"
_FACTS = "run.json"

NAME_LENGTH = 50
"""Characters of the application's name in that of its run directory: 255 bytes are the limit."""

LONGEST_FACTS = 65_536
"""Bytes of a file that says what runs: a name and a path."""

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

REMEDY = "set EMP_RUNTIME_DIR to a folder of your own, of mode 0700"


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
    """The folder of the run directories of this user. Raises ConfigError where there is none."""
    if given := environ.get("EMP_RUNTIME_DIR"):
        return Path(given)
    # A relative one is to be ignored, says the XDG Base Directory Specification.
    if (given := environ.get("XDG_RUNTIME_DIR")) and os.path.isabs(given):
        return Path(given) / "emp"
    try:
        return Path.home() / ".cache" / "emp" / "run"
    except RuntimeError:
        raise ConfigError("this user has no home directory", remedy=REMEDY) from None


def create(app: str, path: str, system: str) -> Run:
    """Make the run directory of this process. Raises ConfigError when that is impossible."""
    pid = os.getpid()
    # Any text may be a name of an application; a file name is another matter.
    name = re.sub(r"[^\w.-]", "_", app)[:NAME_LENGTH]
    place = root()
    directory = place / f"{name}-{pid}"
    run = Run(app, path, system, pid, born(pid) or 0, directory)
    facts = {**asdict(run), "directory": None}
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        _check(place)
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
    """The runs that live, oldest first. Removes what dead ones left. Raises ConfigError when others
    may write where they are kept."""
    place = root()
    runs = []
    try:
        _check(place)
        entries = sorted(entry for entry in place.iterdir() if _is_ours(entry))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(
            f"cannot read the run directories in {place}: {error.strerror}", remedy=REMEDY
        ) from None
    for run in _read(entries):
        if born(run.pid) == run.born:
            runs.append(run)
        else:
            remove(run)
    return sorted(runs, key=lambda run: run.born)


def _check(place: Path) -> None:
    """Raises ConfigError when it is not this user's alone, OSError when it is not there."""
    status = place.lstat()
    if stat.S_ISLNK(status.st_mode):
        fault = "is a symbolic link"
    elif not stat.S_ISDIR(status.st_mode):
        fault = "is no folder"
    elif status.st_uid != os.geteuid():
        fault = f"belongs to another user, with the number {status.st_uid}"
    elif status.st_mode & OTHERS_WRITE:
        fault = f"has mode {stat.S_IMODE(status.st_mode):04o}: others may write there"
    else:
        return
    raise ConfigError(f"the folder of run directories {place} {fault}", remedy=REMEDY)


def _is_ours(entry: Path) -> bool:
    with suppress(OSError):  # being removed
        status = entry.lstat()
        return (
            stat.S_ISDIR(status.st_mode)
            and status.st_uid == os.geteuid()
            and not status.st_mode & OTHERS_WRITE
        )
    return False


def _read(entries: list[Path]) -> Iterator[Run]:
    for entry in entries:
        try:
            descriptor = os.open(entry / _FACTS, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(descriptor, encoding="utf-8") as file:
                facts: dict[str, Any] = json.loads(file.read(LONGEST_FACTS))
            app, path, system = texts = [facts[key] for key in ("app", "path", "system")]
            pid, start = numbers = [facts[key] for key in ("pid", "born")]
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            continue  # being written, being removed, or none of ours
        if {type(text) for text in texts} == {str} and {type(n) for n in numbers} == {int}:
            yield Run(app, path, system, pid, start, entry)


def born(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot, or None when there is no such process."""
    fields = stat_of(pid)
    return None if fields is None or fields[0] == "Z" else int(fields[19])


def stat_of(pid: int) -> list[str] | None:
    """What the kernel says of a process, from its state on (proc(5), /proc/PID/stat)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return stat.rpartition(")")[2].split()
