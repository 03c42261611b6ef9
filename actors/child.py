"""What the supervisor knows of one actor."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from thespian.actors import ActorAddress

from actors import rundir
from actors.messages import ActorRow, ComponentSpec, ConnectionSpec, Done, Ref, Refused
from emp.events import ConnectionEvent

STEADY = 10.0
"""Seconds an actor must live for its next death to count as the first."""

SILENT = 3
"""Beats of the supervisor without an answer after which `emp-admin ps` says so: one or two are
missed wherever an action computes."""


WOULD_WORK = ("R", "D")
"""States of a process, as the kernel has them, that waits for a CPU or for a disk: memory that was
swapped out, too."""


@dataclass(slots=True)
class Child:
    """What the supervisor knows of one actor, through all its incarnations."""

    name: str
    kind: str
    spec: ComponentSpec | ConnectionSpec | None
    address: ActorAddress | None = None
    ref: Ref | None = None
    pid: int = 0
    birth: int | None = None  # the kernel's start time of that process: pids come back
    state: str = "starting"
    detail: str = ""
    since: float = field(default_factory=time.time)
    born: float = field(default_factory=time.monotonic)
    restarts: int = 0
    failures: int = 0
    proven: bool = False
    stopping: bool = False
    heard: float = 0.0
    pinged: bool = False
    missed: int = 0  # beats since then without an answer
    worked: float = 0.0  # CPU seconds of its process at the first of them
    patience: float = 0.0  # seconds that it may be silent beyond the limit, for what it was told
    fate: str = ""  # why it was killed, if it was
    news: ConnectionEvent | None = None  # the last of a connection
    waiters: list[Callable[[Done | Refused], None]] = field(default_factory=list)

    def enter(self, state: str, detail: str = "") -> None:
        self.state, self.detail, self.since = state, detail, time.time()

    def lives_in(self, pid: int) -> None:
        self.pid, self.birth = pid, rundir.born(pid)

    @property
    def gone(self) -> bool:
        """Whether its process has ended. False where that is not known."""
        return self.pid != 0 and (self.birth is None or rundir.born(self.pid) != self.birth)

    def miss(self) -> int:
        """Count a beat without an answer; returns how many there were."""
        if not self.missed:
            self.worked = _at_work(self.pid)[1]
        self.missed += 1
        return self.missed

    def starved(self, seconds: float) -> bool:
        """Whether its process would work, and has not had so many seconds of CPU since the first
        beat that it missed: it is the machine that is slow."""
        state, worked = _at_work(self.pid)
        return state in WOULD_WORK and worked - self.worked < seconds

    @property
    def silent(self) -> bool:
        return self.ref is not None and self.missed >= SILENT

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal to its process, if that is surely its process: a child of ours, so that
        nobody else can have taken its number while we look."""
        sure = self.pid not in (0, os.getpid()) and not self.gone
        if sure:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)
        return sure

    def died(self) -> float:
        """Count a death; returns how many seconds this life has lasted."""
        alive = time.monotonic() - self.born
        self.failures = 1 if alive >= STEADY else self.failures + 1
        self.restarts += 1
        return alive

    def row(self, parent: str) -> ActorRow:
        """What `emp-admin ps` shows."""
        silent, silence = self.silent, time.monotonic() - self.heard
        return ActorRow(
            name=self.name,
            kind=self.kind,
            parent=parent,
            address=str(self.ref.address) if self.ref else "",
            pid=self.pid,
            state="silent" if silent else self.state,
            since=self.since,
            restarts=self.restarts,
            detail=f"no answer for {silence:.0f} s" if silent else self.detail,
        )


def _at_work(pid: int) -> tuple[str, float]:
    """The state of a process, and the CPU seconds that it has had."""
    fields = rundir.stat_of(pid)
    if fields is None:
        return "", 0.0
    return fields[0], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
