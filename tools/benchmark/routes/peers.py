"""The programs of tools/bench routes: an echo component with so many routes of one sort."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tools.benchmark.errors import BenchError
from tools.benchmark.peers import ROOT, Peer, distribution, emp_start, nothing
from tools.benchmark.routes.shapes import COUNT_VARIABLE, SORT_VARIABLE

HERE = Path(__file__).parent
NAMES = ("emp", "slixmpp", "twisted")


def peer(name: str, sort: str, count: int) -> Peer:
    """The peer of that name, with `count` routes of that sort."""
    prepare, command, version = _PEERS[name]
    environment = [
        *("env", f"PYTHONPATH={ROOT}", f"{SORT_VARIABLE}={sort}", f"{COUNT_VARIABLE}={count}")
    ]
    return Peer(
        name,
        prepare,
        lambda cache, directory, port: [*environment, *command(cache, directory, port)],
        version,
    )


def _script(name: str) -> Callable[[Path, Path, int], list[str]]:
    return lambda cache, directory, port: [sys.executable, str(HERE / name), str(port)]


def _prepare_twisted(cache: Path) -> None:
    """Twisted is an optional dependency of its own, of nobody but this."""
    if importlib.util.find_spec("twisted") and importlib.util.find_spec("service_identity"):
        return
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "--editable", f"{ROOT}[bench]"], stdout=sys.stderr, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise BenchError("pip cannot install Twisted: what it said stands above")


_PEERS = {
    "emp": (
        nothing,
        emp_start(HERE / "emp_routes.py", "--loop", "uvloop"),
        distribution("emp-xmpp"),
    ),
    "slixmpp": (nothing, _script("slixmpp_routes.py"), distribution("slixmpp")),
    "twisted": (_prepare_twisted, _script("twisted_routes.py"), distribution("twisted")),
}
