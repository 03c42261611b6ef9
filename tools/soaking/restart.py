"""How long it takes until the application is back with a server that was killed."""

from __future__ import annotations

import dataclasses
import json
import random
import sys
import time
from pathlib import Path

from tools import servers
from tools.benchmark.report import table
from tools.servers import Server
from tools.soaking.application import Application
from tools.soaking.errors import SoakError
from tools.soaking.place import Place
from tools.soaking.settings import LinkKind, Settings

ALLOWED_SECONDS = 5.0
"""From the return of the server until the application is connected."""
DOWN_SECONDS = (0.5, 15.0)
"""How long the server stays away: the longer, the longer are the pauses between tries."""
PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.02
KINDS: tuple[LinkKind, ...] = ("client", "component")


@dataclasses.dataclass(frozen=True, slots=True)
class Return:
    """One killing: the server was `down` seconds; `late` seconds after its return we were back."""

    kind: LinkKind
    down: float
    late: float


def main(settings: Settings, directory: Path, rounds: int, as_json: bool) -> int:
    """Measures both kinds at a real server; returns the exit code. Raises SoakError,
    ServerError."""
    found: list[Return] = []
    chance = random.Random(settings.seed)
    with getattr(servers, settings.server)() as server:
        for kind in KINDS:
            (folder := directory / kind).mkdir()
            of_kind = dataclasses.replace(settings, kind=kind, messages=0)
            found += _measure(server, of_kind, folder, rounds, chance)
    worst = max(each.late for each in found)
    if as_json:
        rows = [dataclasses.asdict(each) for each in found]
        print(json.dumps({"server": settings.server, "rounds": rows, "worst": worst}, indent=2))
    else:
        print(render(settings.server, found))
    return 0 if worst <= ALLOWED_SECONDS else 1


def render(server: str, found: list[Return]) -> str:
    rows = [["connection", "server away, s", "back after its return, s"]]
    rows += [[each.kind, f"{each.down:.1f}", f"{each.late:.2f}"] for each in found]
    worst = max(each.late for each in found)
    return f"{table(rows)}\n\n{server}: {worst:.2f} s at worst, {ALLOWED_SECONDS:g} allowed"


def _measure(
    server: Server, settings: Settings, directory: Path, rounds: int, chance: random.Random
) -> list[Return]:
    here = Place(
        server.host,
        server.client_port,
        server.component_port,
        server.components[0],
        server.component_secret,
        server.ca_file,
    )
    port = here.client_port if settings.kind == "client" else here.component_port
    application = Application(settings, here, port, {}, directory)
    found = []
    try:
        _connected(application, 0)
        for number in range(1, rounds + 1):
            server.kill()
            down = chance.uniform(*DOWN_SECONDS)
            time.sleep(down)
            server.start()
            returned = time.monotonic()
            back = _connected(application, number)
            found.append(Return(settings.kind, down, max(0.0, back - returned)))
            print(f"soak: {found[-1]}", file=sys.stderr, flush=True)
    finally:
        application.stop()
    return found


def _connected(application: Application, before: int) -> float:
    """When the application was connected for the next time after `before` times."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        application.require()
        times = [
            float(line.split()[1])
            for line in application.journal.read_text().splitlines()
            if line.startswith(("connected ", "resumed "))
        ]
        if len(times) > before:
            return times[before]
        time.sleep(LOOK_SECONDS)
    raise SoakError(f"not connected in {PATIENCE_SECONDS:g} s\n{application.tail()}")
