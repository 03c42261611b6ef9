"""What the kernel says about processes."""

from __future__ import annotations

import os
import select
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

LISTENING = "0A"


def all_ended(pids: Iterable[int], timeout: float = 10.0) -> bool:
    """Wait until these processes have ended; False when one has not after `timeout` seconds."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([descriptor], [], [], timeout)[0]:
                return False
        finally:
            os.close(descriptor)
    return True


def sockets_of(pid: int) -> set[str]:
    """The inode numbers of the sockets that a process holds."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            target = os.readlink(link)
            if target.startswith("socket:["):
                found.add(target[len("socket:[") : -1])
    return found


def listening(pids: Iterable[int]) -> dict[str, tuple[str, int]]:
    """Where these processes listen: (IPv4 or IPv6 address in hexadecimal, port) by inode number."""
    inodes = set().union(*(sockets_of(pid) for pid in pids))
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and fields[9] in inodes:
                address, port = fields[1].split(":")
                found[fields[9]] = address, int(port, 16)
    return found
