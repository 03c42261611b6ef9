"""The boot sequence: an ordered tuple of named steps.

Each step is a function that takes the `Boot` so far and says in a word what it found. The XMPP
chatter of each connection (`emp.net.STEPS`) comes last and is reported with the same names and
times.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from thespian.actors import ActorAddress

from actors import rundir
from actors.control import ControlServer
from actors.family import EXIT_GRACE, SHUTDOWN_GRACE
from actors.logs import configure_logging
from actors.messages import (
    AppRef,
    Done,
    Event,
    Events,
    GetEvents,
    StartPlan,
    StopSystem,
)
from actors.plan import make_plan
from actors.rundir import Run
from actors.supervisor import SupervisorActor
from actors.systems import System, start_system
from actors.watchdog import Watchdog
from emp import app as application
from emp.app import App, Layout
from emp.config import Config, SystemName
from emp.config import load as load_config
from emp.errors import EmpError

START_TIMEOUT = 60.0
"""Seconds for the supervisor to take the plan; it takes milliseconds unless the machine is
swamped."""

EVENTS_TIMEOUT = 2.0
"""Seconds for one answer to the question for events: a stop must not wait long behind it."""

EVENTS_ATTEMPTS = 5
"""Questions without an answer, one after the other, that make a supervisor hung or gone."""

STOP_GRACE = 5.0
"""Seconds in which stanzas that are being handled may be finished when the application stops."""

POLL_BOOTING = 0.02
"""Seconds between looks at the supervisor's events while somebody watches the boot."""

POLL_RUNNING = 0.5
"""Seconds between looks afterwards: how late a lost connection is shown."""


class BootFailed(EmpError):
    """The application cannot run: a permanent failure of an actor, in words for people."""


@dataclass(slots=True)
class Boot:
    """What the steps make, in their order."""

    path: Path
    config_file: Path | None = None
    system_name: SystemName | None = None
    stop_requested: asyncio.Event = field(default_factory=asyncio.Event)
    layout: Layout | None = None
    config: Config | None = None
    app: App | None = None
    plan: StartPlan | None = None
    run: Run | None = None
    system: System | None = None
    supervisor: ActorAddress | None = None
    control: ControlServer | None = None
    watchdog: Watchdog | None = None
    seen: int = 0
    ending: asyncio.Future[list[str]] | None = None

    async def ask(self, message: object, timeout: float) -> object:
        """Ask the supervisor. Raises TimeoutError."""
        if self.system is None or self.supervisor is None:
            raise TimeoutError("the system does not run")
        return await self.system.ask(self.supervisor, message, timeout)

    async def new_events(self) -> tuple[Event, ...]:
        """What happened since the last call."""
        events = await self._events()
        if events:
            self.seen = events[-1].number
        return events

    async def _events(self) -> tuple[Event, ...]:
        answer = await self.ask(GetEvents(self.seen), EVENTS_TIMEOUT)
        return answer.events if isinstance(answer, Events) else ()

    async def events(self, pause: float) -> AsyncIterator[Event]:
        """Events for ever, looked for every `pause` seconds, until a stop is requested. Raises
        TimeoutError when the supervisor doesn't answer."""
        unanswered = 0
        while not self.stop_requested.is_set():
            try:
                events = await self._events()
                unanswered = 0
            except TimeoutError:
                events, unanswered = (), unanswered + 1
                if unanswered == EVENTS_ATTEMPTS:
                    raise
            for event in events:
                self.seen = event.number  # whoever leaves here finds the rest the next time
                yield event
            try:
                async with asyncio.timeout(pause):
                    await self.stop_requested.wait()
            except TimeoutError:
                continue

    def watch(self) -> None:
        """From now on, say who holds the loop. What is imported and made at the boot is over."""
        directory = self.layout.directory if self.layout is not None else None
        last = partial(rundir.remove, self.run) if self.run is not None else None
        limit = self.config.hang_limit if self.config is not None else None
        self.watchdog = Watchdog(limit or 0.0, directory, last)

    async def shut_down(self, grace: float = STOP_GRACE) -> list[str]:
        """Stop in order what was started, whatever was. Returns what had to be killed. Once: who
        calls it again waits for the same end."""
        if self.ending is None:
            self.ending = asyncio.ensure_future(self._shut_down(grace))
        return await asyncio.shield(self.ending)

    async def _shut_down(self, grace: float) -> list[str]:
        killed: list[str] = []
        try:
            if self.system is not None:
                if self.supervisor is not None:
                    try:
                        longest = grace + SHUTDOWN_GRACE + 2 * EXIT_GRACE + 1
                        answer = await self.ask(StopSystem(grace), longest)
                        if isinstance(answer, Done):
                            killed += answer.killed
                    except TimeoutError:
                        killed.append("the supervisor did not answer")
                killed += await self.system.stop(EXIT_GRACE)
        finally:
            if self.watchdog is not None:
                self.watchdog.stop()
            self.system = self.supervisor = None
            if self.control is not None:
                await self.control.stop()
            if self.run is not None:
                rundir.remove(self.run)
        return killed


news = logging.getLogger("emp.connections")
NEWS = {
    "connected": logging.INFO,
    "waiting": logging.WARNING,
    "failed": logging.ERROR,
}
"""Kinds of events that are logged, and how."""

Step = Callable[[Boot], Awaitable[str]]
"""Does one thing to the Boot and says what came out; raises EmpError."""


async def configuration(boot: Boot) -> str:
    boot.layout = application.find(boot.path, boot.config_file)
    boot.config = load_config(boot.layout.config_file)
    return _relative(boot.layout.config_file)


async def routes(boot: Boot) -> str:
    boot.app = application.load(boot.path, boot.config_file)
    count, components = len(boot.app.table.routes), len(boot.app.components)
    return f"{_count(count, 'route')} to {_count(components, 'component')}"


async def plan(boot: Boot) -> str:
    if boot.app is None:
        raise BootFailed("the application is not loaded")
    config = str(boot.config_file.resolve()) if boot.config_file else None
    boot.plan = make_plan(boot.app, AppRef(str(boot.path.resolve()), config))
    configure_logging(boot.plan.log_level)
    return _count(len(boot.plan.connections), "connection")


async def system(boot: Boot) -> str:
    if boot.app is None or boot.plan is None:
        raise BootFailed("there is no plan")
    name = boot.system_name or boot.app.config.system
    boot.run = rundir.create(boot.plan.app_name, str(boot.path.resolve()), name)
    boot.system = await start_system(name, boot.run.directory, boot.app.config.system_port)
    return name


async def supervisor(boot: Boot) -> str:
    if boot.system is None or boot.plan is None:
        raise BootFailed("there is no system")
    boot.supervisor = await boot.system.create(SupervisorActor, "emp.supervisor")
    answer = await boot.ask(boot.plan, START_TIMEOUT)
    if not isinstance(answer, Done):
        raise BootFailed(f"the supervisor did not start: {answer}")
    return "router and components"


async def control(boot: Boot) -> str:
    if boot.run is None:
        raise BootFailed("there is no run directory")
    boot.control = ControlServer(boot.run.socket, boot.ask, boot.stop_requested.set)
    await boot.control.start()
    return f"emp-admin --app {boot.run.app}-{boot.run.pid}"


STEPS: tuple[tuple[str, Step], ...] = (
    ("configuration", configuration),
    ("routes", routes),
    ("plan", plan),
    ("system", system),
    ("supervisor", supervisor),
    ("control", control),
)
"""In this order. Nothing up to `plan` opens a socket, so a mistake of the user costs nothing."""


@dataclass(frozen=True, slots=True)
class Report:
    """One line of the boot: `name` is the step, or the actor and its step."""

    name: str
    detail: str
    seconds: float | None
    ok: bool = True


async def boot_up(boot: Boot, report: Callable[[Report], None]) -> None:
    """Take all steps, then wait until every connection is up.

    Raises EmpError (BootFailed for an actor that gave up); the caller shuts down in any case.
    Returns early when a stop is requested.
    """
    for name, step in STEPS:
        began = time.perf_counter()
        detail = await step(boot)
        report(Report(name, detail, time.perf_counter() - began))
        if boot.stop_requested.is_set() or boot.ending is not None:
            return
    if boot.plan is None:
        raise BootFailed("there is no plan")
    waiting = {spec.name for spec in boot.plan.connections}
    async for event in boot.events(POLL_BOOTING):
        show(event, report)
        if event.kind == "failed":
            raise failure(event)
        if event.kind == "ready" and boot.system is not None and boot.system.name == "embedded":
            boot.watch()
        if event.kind in ("connected", "stopped"):
            waiting.discard(event.name)
        if not waiting:
            return


def failure(event: Event) -> BootFailed:
    text = f"{event.name}: {event.detail}"
    return BootFailed(f"{text.removesuffix('.')}. {event.remedy}" if event.remedy else text)


def show(event: Event, report: Callable[[Report], None]) -> None:
    """Report an event that a person who watches wants to see; news of connections are logged too,
    for handlers that the application has installed."""
    if (level := NEWS.get(event.kind)) is not None:
        text = f"{event.detail}. {event.remedy}" if event.remedy else event.detail
        news.log(level, "%s: %s: %s", event.name, event.kind, text, extra={"reported": True})
    if event.kind.startswith("step "):
        step = event.kind.removeprefix("step ")
        report(Report(f"{event.name}: {step}", event.detail, event.seconds))
    elif event.kind == "started":
        report(Report(event.name, "started", None))
    elif event.kind == "reloaded":
        report(Report(event.name, f"reloaded; {event.detail}", None))
    elif event.kind == "waiting":
        detail = f"{event.detail}; trying again in {event.seconds or 0:.1f} s"
        report(Report(event.name, detail, None, ok=False))
    elif event.kind in ("hung", "paused"):
        report(Report(event.name, f"{event.kind}; {event.detail}", None, ok=False))
    elif event.kind == "died":
        report(Report(event.name, f"died; {event.detail}", None, ok=False))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _relative(path: Path) -> str:
    """The shorter of its two names."""
    return min(os.path.relpath(path), str(path), key=len)
