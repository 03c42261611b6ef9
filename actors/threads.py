"""A few threads, for actions that wait without `await`.

`concurrent.futures` waits for its threads when the process ends, and so for ever for one that never
returns; these are given up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

STACK_WORD: Final = "blocking action of"
"""What a debugger shows these threads as."""


class Job:
    """Something to be run in a thread. `began` is True from the moment that it runs."""

    __slots__ = ("_lock", "began", "dropped", "run")

    def __init__(self, run: Callable[[], None]) -> None:
        self.run = run
        self.began = self.dropped = False
        self._lock = threading.Lock()

    def begin(self) -> bool:
        """By the thread: whether it is still wanted."""
        with self._lock:
            self.began = not self.dropped
            return self.began

    def drop(self) -> bool:
        """Nobody wants it any more. False when it runs already: then nothing stops it."""
        with self._lock:
            self.dropped = not self.began
            if self.dropped:  # it stays in the queue, for ever behind threads that never return
                self.run = _nothing
            return self.dropped


def _nothing() -> None:
    pass


class Threads:
    """At most `most` threads, started when they are needed."""

    def __init__(self, most: int, owner: str) -> None:
        self._most, self._owner = most, owner
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._unfinished = self._started = 0

    def run(self, function: Callable[[], None]) -> Job:
        """Run the function as soon as a thread is free. It must not raise."""
        job = Job(function)
        with self._lock:
            self._unfinished += 1
            if self._started < min(self._unfinished, self._most):
                self._started += 1
                name = f"{STACK_WORD} {self._owner} {self._started}"
                # A daemon: a thread that never returns must not keep the process from its end.
                threading.Thread(target=self._work, name=name, daemon=True).start()
        self._jobs.put(job)
        return job

    def close(self) -> None:
        """The threads end when they are free."""
        for _ in range(self._started):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if job.begin():
                job.run()
            del job  # and with it all that the action held, before the next one comes
            with self._lock:
                self._unfinished -= 1
