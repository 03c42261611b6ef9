"""Core dumps: none is made of a process that knows passwords and keys."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path

FILTER = Path("/proc/self/coredump_filter")


def refuse() -> None:
    """No core dump of this process and of those that it starts."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Where core_pattern is a program, the kernel gives it the dump in spite of the limit. This says
    # what is in it: nothing. (PR_SET_DUMPABLE would do too, but bars debuggers and py-spy.)
    with suppress(OSError):
        FILTER.write_text("0")
