"""What the supervisor knows of one actor."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from thespian.actors import ActorAddress

from actors.messages import ActorRow, ComponentSpec, ConnectionSpec, Done, Ref, Refused
from emp.events import ConnectionEvent

STEADY = 10.0
"""Seconds an actor must live for its next death to count as the first."""

SILENT = 6.0
"""Seconds without an answer after which `emp-admin ps` says so. Nobody is killed for it: an action
that computes for minutes is the application's right."""


@dataclass(slots=True)
class Child:
    """What the supervisor knows of one actor, through all its incarnations."""

    name: str
    kind: str
    spec: ComponentSpec | ConnectionSpec | None
    address: ActorAddress | None = None
    ref: Ref | None = None
    pid: int = 0
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
    news: ConnectionEvent | None = None  # the last of a connection
    waiters: list[Callable[[Done | Refused], None]] = field(default_factory=list)

    def enter(self, state: str, detail: str = "") -> None:
        self.state, self.detail, self.since = state, detail, time.time()

    def died(self) -> float:
        """Count a death; returns how many seconds this life has lasted."""
        alive = time.monotonic() - self.born
        self.failures = 1 if alive >= STEADY else self.failures + 1
        self.restarts += 1
        return alive

    def row(self, parent: str) -> ActorRow:
        """What `emp-admin ps` shows."""
        silence = time.monotonic() - self.heard
        silent = self.ref is not None and self.pinged and silence > SILENT
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
