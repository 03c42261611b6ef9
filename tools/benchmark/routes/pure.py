"""The table alone, without sockets: what a match takes, what a route occupies, how long to load.

    python -m tools.benchmark.routes.pure STANZAS       in a process of its own: one line of JSON

Sort and number of the routes are told by the environment (shapes.py).
"""

import gc
import json
import os
import sys
import time
import tracemalloc
from pathlib import Path

from actors.messages import AppRef
from actors.plan import make_plan
from emp import app
from emp.routing.table import RouteTable
from emp.stanza import Stanza
from tools.benchmark.routes.shapes import COUNT_VARIABLE, SENDER

APPLICATION = Path(__file__).with_name("emp_routes.py")
ROUNDS = 5
"""How often the stanzas are matched; the quickest round counts."""

CONFIG = '[connections.echo]\nkind = "component"\nhost = "echo.localhost"\nsecret = "secret"\n'


def messages(count: int) -> list[Stanza]:
    """Messages like those of the stub, none of which anybody has looked at."""
    return [
        Stanza.parse(
            f'<message type="chat" id="m{number:010}" from="{SENDER}" to="echo.localhost">'
            f"<body>{number:010} {'quick brown fox ' * 10}</body></message>".encode()
        )
        for number in range(count)
    ]


def load(directory: Path) -> tuple[RouteTable, float]:
    """The table of the application as it starts, and the processor seconds until it can connect."""
    config = directory / "emp.toml"
    config.write_text(CONFIG)
    started = time.process_time()
    loaded = app.load(APPLICATION, config)
    make_plan(loaded, AppRef(str(APPLICATION)))
    return loaded.table, time.process_time() - started


def match_ns(table: RouteTable, count: int) -> float:
    """Nanoseconds that one stanza takes to match. AssertionError if not the last route gets it."""
    best = float("inf")
    for _ in range(ROUNDS):
        stanzas = messages(count)
        gc.collect()
        gc.disable()
        started = time.perf_counter_ns()
        for stanza in stanzas:
            found = table.match(stanza)
        best = min(best, time.perf_counter_ns() - started)
        gc.enable()
        assert found is not None
        assert found.route is table.routes[-1]
    return best / count


def route_bytes(directory: Path, routes: int) -> float | None:
    """What one more route occupies. None for a table of one."""
    if routes == 1:
        return None
    occupied = []
    for count in (1, routes):
        os.environ[COUNT_VARIABLE] = str(count)
        for name in [name for name, module in sys.modules.items() if _is_application(module)]:
            del sys.modules[name]
        tracemalloc.start()
        kept = load(directory)
        gc.collect()
        occupied.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        del kept
        gc.collect()
    return (occupied[1] - occupied[0]) / (routes - 1)


def main(stanzas: int, directory: Path) -> dict[str, float | None]:
    """All figures. The memory is measured last, because that makes everything slow."""
    table, seconds = load(directory)
    figures = {"boot_seconds": seconds, "match_ns": match_ns(table, stanzas)}
    return {**figures, "route_bytes": route_bytes(directory, len(table.routes))}


def _is_application(module: object) -> bool:
    return getattr(module, "__file__", None) == str(APPLICATION)


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), Path.cwd())))
