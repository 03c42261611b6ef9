"""The processes of a run: started, listened to, started again when one is gone, and summed up."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tools.fuzzing.box import read_box
from tools.fuzzing.case import Case, Failure, write_failure
from tools.fuzzing.explore import Counts
from tools.fuzzing.worker import Order, failure_from

HANG: Final = 120.0
"""Seconds without a word from a worker, which talks twice a second, until it is killed."""

FAREWELL: Final = 30.0
"""Seconds that a worker may take to stop."""

ALIKE: Final = 3
"""Failures of one kind and place that are saved; more are only counted."""

STILLBORN: Final = 3
"""Workers of one job that end before their first execution, until we give up."""

ROOT: Final = Path(__file__).parents[2]


class FuzzError(Exception):
    """The run itself cannot go on."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What to do. executions, seconds: whatever is reached first; at least one of them."""

    executions: int | None
    seconds: float | None
    seed: int
    roles: tuple[str, ...]
    jobs: int


@dataclass(slots=True)
class Found:
    """A failure, how often it came, and the files that show it."""

    failure: Failure
    count: int = 0
    files: list[Path] = field(default_factory=list)


@dataclass(slots=True)
class Result:
    """What came of a run. growth: bytes that the biggest worker grew after it was warm."""

    settings: Settings
    counts: Counts = field(default_factory=Counts)
    seconds: float = 0.0
    growth: int = 0
    found: dict[tuple[str, str], Found] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.found

    @property
    def failures(self) -> int:
        """How often something failed."""
        return sum(found.count for found in self.found.values())


class _Job:
    """One worker after the other."""

    def __init__(self, number: int, order: Order, directory: Path, inbox: _Inbox) -> None:
        self.done = False
        self.counts = Counts()  # of the present worker
        self.growth = 0
        self.heard = time.monotonic()
        self.box = Path(order.box)
        self._number = number
        self._order = order
        self._before = Counts()  # of former workers
        self._inbox = inbox
        self._errors = directory / f"errors-{number}"
        self._generation = 0
        self._stillborn = 0
        self._start()

    @property
    def total(self) -> Counts:
        """Of all workers."""
        return added(self._before, self.counts)

    def stop(self) -> None:
        """The worker is to end its present stream."""
        if self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """The worker is to be gone."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def take(self, generation: int, line: str | None) -> Failure | None:
        """What the worker said; None as line: it is gone."""
        if generation != self._generation:
            return None
        self.heard = time.monotonic()
        if line is None:
            return None if self.done else self.lost()
        message: dict[str, Any] = json.loads(line)
        if "failure" in message:
            return failure_from(message["failure"])
        self.counts = Counts(**message["counts"])
        self.growth = max(self.growth, message["growth"])
        self.done = message.get("done", False)
        return None

    def lost(self) -> Failure:
        """The worker crashed or was killed: the failure, and another worker takes its place."""
        self.kill()
        code = self._process.returncode
        place = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        errors = self._errors.read_text(errors="replace")[-6000:]
        self._stillborn = 0 if self.counts.executions else self._stillborn + 1
        if self._stillborn >= STILLBORN:
            raise FuzzError(f"the workers do not even start:\n{errors}")
        case = read_box(self.box) or Case("parser", ())
        self._before, self.counts = self.total, Counts()
        self._generation += 1
        self._start()
        return Failure("crash", place, errors or "no words", case)

    def _start(self) -> None:
        self.heard = time.monotonic()
        order = self._order
        left = None
        if order.executions is not None:
            left = max(1, order.executions - self._before.executions)
        seed = f"{order.seed}.{self._number}.{self._generation}"
        now = Order(seed, order.roles, left, order.box)
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", "-m", "tools.fuzzing.worker", now.to_json()],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=ROOT,
            )
        listener = threading.Thread(
            target=_listen,
            args=(self._process, self._inbox, self._number, self._generation),
            daemon=True,
        )
        listener.start()


_Inbox = queue.SimpleQueue[tuple[int, int, str | None]]


def _listen(process: subprocess.Popen[str], inbox: _Inbox, number: int, generation: int) -> None:
    assert process.stdout is not None
    with process.stdout as output:
        for line in output:
            inbox.put((number, generation, line))
    process.wait()
    inbox.put((number, generation, None))


def added(one: Counts, other: Counts) -> Counts:
    """The sum of both."""
    return Counts(*[getattr(one, name) + getattr(other, name) for name in Counts.__slots__])


class Boss:
    """One run. directory: for what workers need; save: gives the directory for failures."""

    def __init__(self, settings: Settings, directory: Path, save: Callable[[], Path]) -> None:
        self.result = Result(settings)
        self._settings = settings
        self._save = save
        self._inbox: _Inbox = queue.SimpleQueue()
        self._started = time.monotonic()
        self._jobs = [self._job(number, directory) for number in range(settings.jobs)]

    def run(self, progress: Callable[[Result], None]) -> Result:
        """Until all is done, time is up, or Ctrl-C. FuzzError if it cannot go on."""
        try:
            self._listen(progress)
        except KeyboardInterrupt:
            self.result.interrupted = True
        finally:
            self._dismiss()
        return self.result

    def _job(self, number: int, directory: Path) -> _Job:
        settings = self._settings
        share = None
        if settings.executions is not None:
            share = settings.executions // settings.jobs
            share += number < settings.executions % settings.jobs
        box = str(directory / f"box-{number}")
        order = Order(str(settings.seed), settings.roles, share, box)
        return _Job(number, order, directory, self._inbox)

    def _listen(self, progress: Callable[[Result], None]) -> None:
        seconds = self._settings.seconds
        while not all(job.done for job in self._jobs):
            self._take(0.5)
            self._sum_up()
            progress(self.result)
            if seconds is not None and self.result.seconds >= seconds:
                return
            for job in self._jobs:
                if not job.done and time.monotonic() - job.heard > HANG:
                    failure = job.lost()
                    self._note(Failure("hang", "", failure.text, failure.case))

    def _take(self, wait: float) -> None:
        try:
            number, generation, line = self._inbox.get(timeout=wait)
        except queue.Empty:
            return
        failure = self._jobs[number].take(generation, line)
        if failure is not None:
            self._note(failure)

    def _note(self, failure: Failure) -> None:
        known = self.result.found.setdefault((failure.kind, failure.place), Found(failure))
        known.count += 1
        if len(known.files) < ALIKE:
            name = f"{failure.kind}-{failure.place}".replace(" ", "-").replace(":", "-")
            file = self._save() / f"{name}-{known.count}.json"
            write_failure(failure, file)
            known.files.append(file)

    def _sum_up(self) -> None:
        result = self.result
        result.seconds = time.monotonic() - self._started
        total = Counts()
        for job in self._jobs:
            total = added(total, job.total)
        result.counts = total
        result.growth = max(job.growth for job in self._jobs)

    def _dismiss(self) -> None:
        """All workers end; those who do not listen are killed."""
        for job in self._jobs:
            job.stop()
        deadline = time.monotonic() + FAREWELL
        while not all(job.done for job in self._jobs) and time.monotonic() < deadline:
            self._take_last()
        for job in self._jobs:
            job.kill()
        self._sum_up()

    def _take_last(self) -> None:
        try:
            number, generation, line = self._inbox.get(timeout=0.5)
        except queue.Empty:
            return
        job = self._jobs[number]
        if line is None:
            job.done = True  # it will not come back
        elif (failure := job.take(generation, line)) is not None:
            self._note(failure)


def as_json(result: Result) -> dict[str, Any]:
    """What --json prints."""
    counts = result.counts
    return {
        "ok": result.ok,
        "interrupted": result.interrupted,
        "seed": result.settings.seed,
        "jobs": result.settings.jobs,
        "roles": list(result.settings.roles),
        "seconds": round(result.seconds, 3),
        **{name: getattr(counts, name) for name in Counts.__slots__},
        "growth": result.growth,
        "failures": [
            {
                "kind": found.failure.kind,
                "place": found.failure.place,
                "subject": found.failure.case.subject,
                "count": found.count,
                "text": found.failure.text,
                "files": [str(file) for file in found.files],
            }
            for found in result.found.values()
        ],
    }
