"""Watching and steering a running application: a UNIX socket of mode 0600 in its run directory.

One JSON object per line in each direction. The process that `emp start` runs in answers, by asking
the supervisor; so the same socket serves both systems, and `emp-admin` needs neither Thespian nor a
key.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from actors.messages import (
    ActorInspected,
    ActorList,
    ComponentSpec,
    Done,
    InspectActor,
    ListActors,
    ReconnectConnection,
    Refused,
    ReloadRoutes,
    RouteSpec,
    RoutesReloaded,
    SpawnComponent,
    StopActor,
)
from emp.errors import EmpError

REQUEST_BYTES = 65_536
"""Bytes in a request or, times a hundred, in an answer: room for thousands of actors, not for
floods."""

ASK_TIMEOUT = 10.0
"""Seconds an actor has to answer before the operator is told that it doesn't."""

STOP_TIMEOUT = 20.0
"""Seconds for an actor to stop: it may finish what it has in hand, and is ended by force then."""

BUSY_TIMEOUT = 4.0
"""Seconds in which the application must say that it listens, which takes it no time."""

Ask = Callable[[object, float], Awaitable[object]]
"""(message for the supervisor, timeout in seconds) → its answer; TimeoutError."""


def _actors(request: dict[str, Any]) -> object:
    return ListActors()


def _inspect(request: dict[str, Any]) -> object:
    return InspectActor(str(request["actor"]))


def _spawn(request: dict[str, Any]) -> object:
    routes = tuple(RouteSpec(str(xpath), str(action)) for xpath, action in request["routes"])
    return SpawnComponent(ComponentSpec(str(request["name"]), str(request["reference"]), routes))


def _stop(request: dict[str, Any]) -> object:
    return StopActor(str(request["actor"]))


def _reconnect(request: dict[str, Any]) -> object:
    return ReconnectConnection(str(request["actor"]))


def _reload(request: dict[str, Any]) -> object:
    return ReloadRoutes()


COMMANDS: dict[str, Callable[[dict[str, Any]], object]] = {
    "actors": _actors,
    "inspect": _inspect,
    "spawn": _spawn,
    "stop-actor": _stop,
    "reconnect": _reconnect,
    "reload": _reload,
}
"""Command → the message for the supervisor. `hello` and `stop` are for the process itself."""


class ControlServer:
    """Answers requests on the socket; `stop` is called for the command of that name."""

    def __init__(self, path: Path, ask: Ask, stop: Callable[[], None]) -> None:
        self._path, self._ask, self._stop = path, ask, stop
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)  # the socket is born with mode 0600
        try:
            _short(self._path, listener.bind)
        finally:
            os.umask(before)
        self._server = await asyncio.start_unix_server(
            self._serve, sock=listener, limit=REQUEST_BYTES
        )

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._clients):
                writer.close()
            await asyncio.sleep(0)
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            while line := await reader.readline():
                answer = await self._answer(line)
                writer.write(json.dumps(answer, default=str).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError, asyncio.CancelledError):
            pass  # the operator went away, sent too long a line, or we are stopping
        finally:
            self._clients.discard(writer)
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            command = request["command"]
            if command == "hello":
                return {}
            if command == "stop":
                self._stop()
                return {"detail": "stopping"}
            message = COMMANDS[command](request)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            return {"error": f"not a request: {error!r}", "remedy": "use emp-admin of this version"}
        try:
            return _render(await self._ask(message, _timeout(command)))
        except TimeoutError:
            return {
                "error": f"no answer within {_timeout(command):g} s",
                "remedy": "the actor is busy or hung; `emp-admin ps` shows its process",
            }


def _timeout(command: str) -> float:
    return STOP_TIMEOUT if command == "stop-actor" else ASK_TIMEOUT


def _render(answer: object) -> dict[str, Any]:
    if isinstance(answer, ActorList):
        return {"actors": [asdict(row) for row in answer.rows]}
    if isinstance(answer, ActorInspected):
        return {"actor": answer.name, "facts": dict(answer.facts)}
    if isinstance(answer, RoutesReloaded):
        return asdict(answer)
    if isinstance(answer, Refused):
        return {"error": answer.reason, "remedy": answer.remedy}
    if isinstance(answer, Done):
        return {"detail": answer.detail}
    return {"error": f"the supervisor gave a strange answer: {type(answer).__name__}"}


class BusyError(EmpError):
    """The process of the application does not listen: something holds up its loop."""


def request(path: Path, command: dict[str, Any], timeout: float | None = None) -> dict[str, Any]:
    """Send one command to the application whose control socket is at `path`; return its answer.

    Blocking. Raises OSError when nobody answers there, BusyError when its process has no time to
    listen, TimeoutError when there is no answer after `timeout` seconds (None: somewhat longer than
    the application may take).
    """
    if timeout is None:
        timeout = _timeout(command["command"]) + 5
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        _short(path, client.connect)
        try:
            _exchange(client, {"command": "hello"}, BUSY_TIMEOUT)
        except TimeoutError:
            raise BusyError(f"it has not listened for {BUSY_TIMEOUT:g} s") from None
        return _exchange(client, command, timeout)


def _exchange(client: socket.socket, command: dict[str, Any], timeout: float) -> dict[str, Any]:
    client.settimeout(timeout)
    client.sendall(json.dumps(command).encode() + b"\n")
    received = b""
    while not received.endswith(b"\n"):
        data = client.recv(65_536)
        if not data:
            raise ConnectionResetError("the application closed the control socket")
        received += data
        if len(received) > 100 * REQUEST_BYTES:
            raise OSError("the answer is too long")
    answer: dict[str, Any] = json.loads(received)
    return answer


def _short(path: Path, use: Callable[[str], None]) -> None:
    """Call `use` with a name for `path` that fits the 107 bytes of a UNIX socket address."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        use(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)
