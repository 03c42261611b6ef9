"""The programs that are measured: components that answer a message with "echo " + its body.

Each runs as a program of its own, as the component echo.localhost with the secret "secret", and is
told the port of the stub.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tools import npm
from tools.benchmark.errors import BenchError

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
XMPPJS = HERE / "xmppjs"
EMP_ECHO = HERE.parent / "emp_echo" / "echo.py"

EMP_CONFIG = """\
[connections.echo]
kind = "component"
host = "echo.localhost"
secret = "secret"
server = "127.0.0.1"
port = {port}
tls = "none"
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """One program. `prepare` makes it runnable, given a cache directory; `command` gives its
    command line for (cache directory, directory of this run, port of the stub); `version` what
    was measured. `count_only`: it does not echo, so its answers are only counted."""

    name: str
    prepare: Callable[[Path], None]
    command: Callable[[Path, Path, int], list[str]]
    version: Callable[[Path], str]
    count_only: bool = False


def nothing(cache: Path) -> None:
    """The development environment has everything already."""


def _python(script: str) -> Callable[[Path, Path, int], list[str]]:
    return lambda cache, directory, port: [sys.executable, str(HERE / script), str(port)]


def distribution(name: str) -> Callable[[Path], str]:
    return lambda cache: f"{name} {metadata.version(name)}"


# EMP


def emp_start(application: Path, *options: str) -> Callable[[Path, Path, int], list[str]]:
    """The command line of a component of EMP."""

    def command(cache: Path, directory: Path, port: int) -> list[str]:
        config = directory / "emp.toml"
        config.write_text(EMP_CONFIG.format(port=port))
        start = [sys.executable, "-m", "emp", "start", str(application)]
        return [*start, "--config", str(config), *options]

    return command


def emp_version(how: str) -> Callable[[Path], str]:
    return lambda cache: f"emp-xmpp {metadata.version('emp-xmpp')}, {how}"


# xmpp.js: from the npm registry, into the cache


def _prepare_xmppjs(cache: Path) -> None:
    install_packages("nodejs", "npm")
    try:
        npm.install(XMPPJS, cache)
    except npm.NpmError as error:
        raise BenchError(str(error)) from None


def _xmppjs_command(cache: Path, directory: Path, port: int) -> list[str]:
    return ["node", str(npm.folder_of(XMPPJS, cache) / "echo.cjs"), str(port)]


def _xmppjs_version(cache: Path) -> str:
    package = npm.folder_of(XMPPJS, cache) / "node_modules" / "@xmpp" / "component" / "package.json"
    version = json.loads(package.read_text())["version"]
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    return f"@xmpp/component {version}, Node {node.stdout.strip().removeprefix('v')}"


def install_packages(*names: str) -> None:
    """Makes sure of these Debian packages. Raises BenchError; the reason is on stderr by then."""
    done = subprocess.run([str(ROOT / "tools" / "lib" / "packages"), *names], check=False)
    if done.returncode:
        raise BenchError(f"the benchmark needs {', '.join(names)}")


PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            "emp",
            nothing,
            emp_start(EMP_ECHO, "--loop", "uvloop"),
            emp_version("one process, uvloop"),
        ),
        Peer(
            "emp-asyncio",
            nothing,
            emp_start(EMP_ECHO, "--loop", "asyncio"),
            emp_version("one process"),
        ),
        Peer(
            "emp-multiproc",
            nothing,
            emp_start(EMP_ECHO, "--system", "multiproc"),
            emp_version("processes"),
        ),
        Peer("xmpp.js", _prepare_xmppjs, _xmppjs_command, _xmppjs_version),
        Peer("slixmpp", nothing, _python("slixmpp_echo.py"), distribution("slixmpp")),
        Peer(
            "floor",
            nothing,
            _python("floor.py"),
            lambda cache: "bare asyncio, no XML (upper bound)",
            count_only=True,
        ),
    )
}
"""In the order of the table."""
