"""One soak from the start of the server to the verdict."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tools.faults import Proxy
from tools.soaking.application import Application
from tools.soaking.errors import SoakError
from tools.soaking.history import TOPICS, Account, Journal, check, events
from tools.soaking.place import DOMAIN, USERS, Place, place
from tools.soaking.settings import Settings
from tools.soaking.users import User

UP_SECONDS = 60.0
LOOK_SECONDS = 0.25
"""How often progress is looked at."""
QUIET_SECONDS = 60.0
"""Without any news the run is over, whatever is missing: longer than the windows' patience and the
pauses between tries to connect."""
REST_SECONDS = 10.0
"""The same once everything was sent and the senders wait for nothing any more."""


@dataclass(slots=True)
class Result:
    """The figures of a run. `faults` and `life` (connected, resumed, disconnected) are counts;
    `strange` are messages that nobody in the run has sent in this form."""

    settings: Settings
    seconds: float
    faults: dict[str, int]
    connections: int
    life: dict[str, int]
    accounts: dict[str, Account]
    exit_code: int
    strange: int = 0
    complaints: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.complaints

    def as_json(self) -> dict[str, Any]:
        return {
            **asdict(self.settings),
            "messages": self.settings.total,
            "seconds": round(self.seconds, 1),
            "faults": self.faults,
            "connections": self.connections,
            "life": self.life,
            **{topic: account.figures() for topic, account in self.accounts.items()},
            "exit_code": self.exit_code,
            "strange": self.strange,
            "complaints": self.complaints,
            "ok": self.ok,
        }


@dataclass(slots=True)
class Progress:
    """How far a run is: messages by topic, and faults."""

    sent: Counter[str]
    settled: Counter[str]  # seen, or reported to be lost
    faults: int

    def total(self) -> int:
        return sum(self.sent.values()) + sum(self.settled.values()) + self.faults


Tell = Callable[[Progress], None]


async def soak(settings: Settings, directory: Path, tell: Tell) -> Result:
    """Run it; everything is written to `directory`. Raises SoakError, ServerError, EmpError."""
    async with place(settings.server, directory, mended=settings.mended) as here:
        port = here.client_port if settings.kind == "client" else here.component_port
        async with Proxy(here.host, port, plan=settings.faults()) as proxy:
            return await _Run(settings, directory, here, proxy, tell).run()


class _Run:
    def __init__(
        self, settings: Settings, directory: Path, here: Place, proxy: Proxy, tell: Tell
    ) -> None:
        self.settings, self.directory, self.here = settings, directory, here
        self.proxy, self.tell = proxy, tell
        self.journal = Journal(directory / "users.journal")
        self.users = [
            User(name, f"{name}@{DOMAIN}/soak", f"pw-{name}", self.journal, settings.window_each)
            for name in USERS[: settings.users]
        ]
        self.read = _Reader(directory / "application.journal")

    async def run(self) -> Result:
        began = time.monotonic()
        try:
            for user in self.users:
                await user.log_in(self.here.host, self.here.client_port, self.here.ca_file)
            addresses = {user.name: user.jid for user in self.users}
            application = Application(
                self.settings, self.here, self.proxy.port, addresses, self.directory
            )
            try:
                await self._until_connected(application)
                await self._talk(application)
            finally:
                exit_code = await asyncio.to_thread(application.stop)
        finally:
            await asyncio.gather(*(user.log_out() for user in self.users))
            self.journal.close()
        return self._result(time.monotonic() - began, exit_code)

    async def _until_connected(self, application: Application) -> None:
        deadline = time.monotonic() + UP_SECONDS
        while not self.read.life["connected"]:
            application.require()
            if time.monotonic() > deadline:
                raise SoakError(
                    f"the application was not connected in {UP_SECONDS:g} s\n{application.tail()}"
                )
            await asyncio.sleep(LOOK_SECONDS)
            self.read.more()

    async def _talk(self, application: Application) -> None:
        talks = [
            asyncio.create_task(user.talk(application.address, self.settings.each))
            for user in self.users
        ]
        try:
            await self._until_done(application, talks)
        finally:
            for task in talks:
                task.cancel()
            await asyncio.gather(*talks, return_exceptions=True)

    async def _until_done(self, application: Application, talks: list[asyncio.Task[None]]) -> None:
        last, since = -1, time.monotonic()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            application.require()
            for task in talks:
                if task.done():
                    task.result()
            progress = self._progress()
            self.tell(progress)
            if progress.total() != last:
                last, since = progress.total(), time.monotonic()
            all_sent = all(progress.sent[topic] >= self.settings.total for topic in ("in", "out"))
            answered = all(progress.settled[topic] >= progress.sent[topic] for topic in TOPICS)
            quiet = time.monotonic() - since
            if (all_sent and (answered or quiet > REST_SECONDS)) or quiet > QUIET_SECONDS:
                return

    def _progress(self) -> Progress:
        self.read.more()
        sent, settled = self.read.sent.copy(), self.read.settled.copy()
        for user in self.users:
            sent.update(user.sent)
            settled.update(user.seen)
            settled["in"] += user.bounced
        return Progress(sent, settled, len(self.proxy.done))

    def _result(self, seconds: float, exit_code: int) -> Result:
        lines = [
            line
            for name in ("users.journal", "application.journal")
            for line in (self.directory / name).read_text().splitlines()
        ]
        done = Counter({"fin": 0, "rst": 0, "stall": 0})
        done.update(fault.kind for fault in self.proxy.done)
        self.read.more()
        result = Result(
            settings=self.settings,
            seconds=seconds,
            faults=dict(done),
            connections=self.proxy.connections,
            life=dict(self.read.life),
            accounts=check(events(lines)),
            exit_code=exit_code,
            strange=sum(line.startswith("strange ") for line in lines),
        )
        result.complaints = complaints(result)
        return result


class _Reader:
    """Follows the application's journal."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        self.sent: Counter[str] = Counter()
        self.settled: Counter[str] = Counter()
        self.life: Counter[str] = Counter(connected=0, resumed=0, disconnected=0)

    def more(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as journal:
            journal.seek(self._offset)
            data = journal.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        lines = whole.decode().splitlines()
        for line in lines:
            word = line.partition(" ")[0]
            if word in self.life:
                self.life[word] += 1
        for event in events(lines):
            (self.sent if event.verb == "sent" else self.settled)[event.note.topic] += 1


def complaints(result: Result) -> list[str]:
    """What is wrong with a run, one line each; none for a run as it should be.

    A client has XEP-0198: all must arrive. A component has no acknowledgements: what it sends must
    be delivered or reported; what the server wrote to a connection that died is the server's loss.
    """
    found = []
    settings = result.settings
    for topic, account in result.accounts.items():
        forgiven = settings.kind == "component" and topic in ("in", "ack")
        lost = 0 if forgiven else account.lost
        if account.faults - account.lost + lost:
            found += [line for line in account.examples if not (forgiven and " lost: " in line)]
        if account.reported and settings.kind == "client":
            found.append(f"{topic}: {account.reported} given back, with a server that acknowledges")
    for topic in ("in", "out"):
        sent = result.accounts[topic].sent
        if sent != settings.total:
            found.append(f"{topic}: only {sent} of {settings.total} messages were sent")
    happened = sum(result.faults.values())
    if happened != settings.cuts + settings.stalls:
        found.append(f"only {happened} of {settings.cuts + settings.stalls} faults happened")
    if result.strange:
        found.append(f"{result.strange} messages that nobody has sent, see the histories")
    if result.exit_code:
        found.append(f"the application ended with exit code {result.exit_code}")
    return found
