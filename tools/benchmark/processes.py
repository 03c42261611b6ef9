"""The processes of a benchmark: started so that nothing survives it, measured while they live."""

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
STOP_SECONDS = 5.0
"""How long a peer may take to end in order before it is killed."""


def adopt_orphans() -> None:
    """Makes this process the parent of every descendant whose own parent dies, so that `others`
    finds it. Raises OSError where the kernel can't."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def start(command: list[str], directory: Path, output: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Starts a peer: in a session of its own, so that Ctrl-C reaches only the benchmark, which
    then ends it; and such that the kernel kills it if the benchmark is killed."""
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", *command],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def stop(process: "subprocess.Popen[bytes]", keep: frozenset[int]) -> None:
    """Ends a peer in order, then kills what is left of it: all `others(keep)`."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    while pids := others(keep):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in pids:
            # Only what is our own child by now can be waited for; the next round finds the rest.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
    process.wait()


def ours() -> frozenset[int]:
    """The process ids of all living descendants of this process."""
    return frozenset(descendants(os.getpid()))


def others(keep: frozenset[int]) -> list[int]:
    """Those of our descendants that are not in `keep`, which is what `ours` was at some time."""
    return sorted(ours() - keep)


def descendants(root: int) -> Iterator[int]:
    """Children, grandchildren and so on of the process `root`, without zombies."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (found := _state_and_parent(entry)):
            state, parent = found
            if state != "Z":
                children.setdefault(parent, []).append(int(entry.name))
    waiting = list(children.get(root, ()))
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += children.get(pid, ())


def _state_and_parent(entry: Path) -> tuple[str, int] | None:
    try:
        stat = (entry / "stat").read_text(errors="replace")
    except OSError:  # it has ended meanwhile
        return None
    state, parent = stat.rpartition(")")[2].split()[:2]  # the name before may contain anything
    return state, int(parent)


def peak_memory(pids: list[int]) -> int:
    """Bytes: the sum of the largest resident sizes that these processes ever had.

    Pages that several processes share count once for each of them.
    """
    return sum(_peak(pid) for pid in pids)


def _peak(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def cpu_seconds(pids: list[int]) -> float:
    """The processor time that these processes have taken by now, with all their threads: in the
    kernel and outside. Counted in ticks, mostly of 10 ms."""
    return sum(_ticks(pid) for pid in pids) / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:  # it has ended meanwhile
        return 0
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])  # utime and stime, proc(5)
