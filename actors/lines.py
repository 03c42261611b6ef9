"""Writing lines to standard output and error without ever waiting for who reads them.

A pipe that nobody reads, or a terminal that was stopped, would hold up the loop and with it every
stanza; a full disk or a closed pipe would make an exception of a log line. So lines are queued, and
a thread writes them. The queue has a bound; what finds no room is counted, and said when the lines
flow again.

The thread lives only as long as there is something to write: the processes that fork
(`actors.systems.process`) must have none, and mostly they do.
"""

from __future__ import annotations

import atexit
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

MOST_WAITING: Final = 1024 * 1024
"""Bytes that wait for a slow reader: thousands of lines, and little memory."""

LONGEST_LINE: Final = 65_536
"""Characters of a line, or of a traceback. The rest is cut off."""

FLUSH: Final = 1.0
"""Seconds at the end of a process to write what waits."""

STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2


def _lost(number: int) -> str:
    return f"{number} lines were lost: they were written faster than they were read"


class Lines:
    """The lines that one descriptor gets."""

    def __init__(self, descriptor: int) -> None:
        self.notice: Callable[[int], str] = _lost
        self._descriptor = descriptor
        self.forked()

    def forked(self) -> None:
        """This is a new process: what waits is the parent's to write."""
        # Reentrant, because the collector may run a finalizer that logs in any place.
        self._lock = threading.RLock()
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._thread: threading.Thread | None = None

    def put(self, text: str) -> None:
        """Have a line, or several, written. Never waits and never fails."""
        if len(text) > LONGEST_LINE:
            text = f"{text[:LONGEST_LINE]} … ({len(text) - LONGEST_LINE} characters more)"
        line = text.encode(errors="backslashreplace") + b"\n"
        with self._lock:
            if self._size + len(line) > MOST_WAITING:
                self._dropped += 1
                return
            self._waiting.append(line)
            self._size += len(line)
            if self._thread is not None:
                return
            self._thread = thread = threading.Thread(
                target=self._write_all, name="emp-lines", daemon=True
            )
        try:
            thread.start()
        except RuntimeError:  # no thread is to be had: the next line tries again
            self._thread = None

    def _write_all(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                line = self._waiting.popleft()
            written = self._write(line)
            with self._lock:
                self._size -= len(line)
                if not written:
                    self._dropped += 1
                elif self._dropped and not self._waiting:
                    lost, self._dropped = self._dropped, 0
                    self._waiting.append(self.notice(lost).encode() + b"\n")
                    self._size += len(self._waiting[0])

    def _write(self, data: bytes) -> bool:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # another process has made it so
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()
            except OSError:  # nobody reads any more, or the disk is full
                return False
        return True

    def flush(self, seconds: float = FLUSH) -> None:
        """Wait until all is written, for so many seconds at most."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            with suppress(RuntimeError):  # it has not begun
                thread.join(seconds)


_lines: dict[tuple[int, int], Lines] = {}


def lines(descriptor: int) -> Lines:
    """Those of STDOUT or STDERR: the same where both are the same file, so that order is kept."""
    try:
        status = os.fstat(descriptor)
        key = (status.st_dev, status.st_ino)
    except OSError:
        key = (-1, descriptor)
    return _lines.setdefault(key, Lines(descriptor))


def _forked() -> None:
    for each in _lines.values():
        each.forked()


def flush(seconds: float = FLUSH) -> bool:
    """Write what waits, and what Python holds of what was printed, for so many seconds at most;
    False when something is left."""
    deadline = time.monotonic() + seconds
    for each in list(_lines.values()):
        each.flush(max(0.0, deadline - time.monotonic()))
    streams = threading.Thread(target=_flush_streams, name="emp-flush", daemon=True)
    with suppress(RuntimeError):
        streams.start()
        streams.join(max(0.0, deadline - time.monotonic()))
    return not streams.is_alive()


def _flush_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, full, or none
            stream.flush()


def leave(status: int) -> None:
    """End this process without waiting for anybody."""
    flush()
    os._exit(status)


os.register_at_fork(after_in_child=_forked)
atexit.register(flush)
