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
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

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
from actors.peers import is_ours
from emp.errors import EmpError

REQUEST_BYTES = 65_536
"""Bytes in a request or, times a hundred, in an answer: room for thousands of actors, not for
floods."""

ASK_TIMEOUT = 10.0
"""Seconds an actor has to answer before the operator is told that it doesn't."""

TIMEOUTS = {"stop-actor": 20.0, "reload": 60.0}
"""The same for commands that take longer: who stops may finish what it has in hand, and is ended by
force then; thousands of routes may have to be read."""

TRANSIT = 5.0
"""Seconds more that `emp-admin` waits for the application to say so."""

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


Shape: TypeAlias = dict[str, Any]
"""Member of a JSON object → a type, or a list of one type or shape."""

ACTOR: Shape = {
    "name": str,
    "kind": str,
    "parent": str | None,
    "pid": int,
    "state": str,
    "since": int | float,
    "restarts": int,
    "detail": str,
}

ANSWERS: dict[str, Shape] = {
    "actors": {"actors": [ACTOR]},
    "inspect": {"facts": dict},
    "reload": {"routes": int, "started": [str], "idle": [str]},
}
"""Command → what its answer has at least."""


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
            if not is_ours(writer.get_extra_info("socket")):
                return
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
    return TIMEOUTS.get(command, ASK_TIMEOUT)


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


class NonsenseError(EmpError):
    """What answers at the control socket is no application of this version of EMP."""


def request(path: Path, command: dict[str, Any], timeout: float | None = None) -> dict[str, Any]:
    """Send one command to the application whose control socket is at `path`; return its answer.

    Blocking. Raises OSError when nobody answers there, BusyError when its process has no time to
    listen, TimeoutError when there is no answer after `timeout` seconds (None: when it should have
    said so itself), NonsenseError when there is one that is none.
    """
    if timeout is None:
        timeout = _timeout(command["command"]) + TRANSIT
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(BUSY_TIMEOUT)
        try:
            _short(path, client.connect)
            if not is_ours(client):
                raise NonsenseError("it belongs to another user")
            _exchange(client, {"command": "hello"}, BUSY_TIMEOUT)
        except (TimeoutError, BlockingIOError):
            raise BusyError(f"it has not listened for {BUSY_TIMEOUT:g} s") from None
        answer = _exchange(client, command, timeout)
    if "error" in answer:
        check(answer, {"error": str})
    else:
        check(answer, ANSWERS.get(command["command"], {}))
    return answer


def _exchange(client: socket.socket, command: dict[str, Any], timeout: float) -> dict[str, Any]:
    deadline = time.monotonic() + timeout
    client.settimeout(timeout)
    client.sendall(json.dumps(command).encode() + b"\n")
    received = bytearray()
    while not received.endswith(b"\n"):
        client.settimeout(max(0.001, deadline - time.monotonic()))  # however it dribbles
        data = client.recv(65_536)
        if not data and not received:
            raise ConnectionResetError("the application closed the control socket")
        received += data
        if not data or len(received) > 100 * REQUEST_BYTES:
            raise NonsenseError("its answer is cut off" if not data else "its answer has no end")
    try:
        answer = json.loads(received)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise NonsenseError("its answer is no JSON object in a line")
    return answer


def check(answer: Any, shape: Shape) -> None:
    """Raises NonsenseError when `answer` is not an object with the members of `shape`."""
    for key, kind in shape.items():
        value = answer.get(key, check) if isinstance(answer, dict) else check
        inner = kind[0] if isinstance(kind, list) else None
        if not isinstance(value, kind if inner is None else list):
            raise NonsenseError(f"its answer lacks {key!r}, or has something else there")
        if isinstance(inner, dict):
            for each in value:
                check(each, inner)
        elif inner is not None and not all(isinstance(each, inner) for each in value):
            raise NonsenseError(f"its answer has something else in {key!r}")


def _short(path: Path, use: Callable[[str], None]) -> None:
    """Call `use` with a name for `path` that fits the 107 bytes of a UNIX socket address."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        use(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)
