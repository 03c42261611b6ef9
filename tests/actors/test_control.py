"""The control socket: private, and it answers whatever it is sent."""

from __future__ import annotations

import asyncio
import socket
import stat
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from actors import control
from actors.control import ControlServer
from actors.messages import (
    ActorInspected,
    Done,
    InspectActor,
    Refused,
    ReloadRoutes,
    RoutesReloaded,
    StopActor,
)


async def ask(message: object, timeout: float) -> object:
    match message:
        case InspectActor("somebody"):
            return ActorInspected("somebody", 0, {"kind": "test"})
        case InspectActor("hung"):
            raise TimeoutError
        case StopActor(name):
            return Done(name)
        case ReloadRoutes():
            return RoutesReloaded(3, ("new",), ("old",))
    return Refused("there is no such actor", "ask for another")


class Running:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.stopped = asyncio.Event()
        self.server = ControlServer(path, ask, self.stopped.set)

    async def request(self, **command: Any) -> dict[str, Any]:
        return await asyncio.to_thread(control.request, self.path, command)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    # Longer than a UNIX socket's address may be: such a path must work too.
    directory = tmp_path / ("d" * 100)
    directory.mkdir()
    running = Running(directory / "control.sock")
    await running.server.start()
    yield running
    await running.server.stop()
    assert not running.path.exists()


async def test_only_the_owner_may_use_it(running: Running) -> None:
    assert stat.S_IMODE(running.path.stat().st_mode) == 0o600


async def test_answers(running: Running) -> None:
    inspected = await running.request(command="inspect", actor="somebody")
    assert inspected == {"actor": "somebody", "facts": {"kind": "test"}}
    assert await running.request(command="stop-actor", actor="x") == {"detail": "x"}
    reloaded = await running.request(command="reload")
    assert reloaded == {"routes": 3, "started": ["new"], "idle": ["old"]}
    refused = await running.request(command="inspect", actor="nobody")
    assert refused == {"error": "there is no such actor", "remedy": "ask for another"}


async def test_silence_is_told(running: Running) -> None:
    answer = await running.request(command="inspect", actor="hung")
    assert "no answer" in answer["error"]


async def test_an_application_that_has_no_time_is_said_to_be_busy(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "BUSY_TIMEOUT", 0.05)
    with ThreadPoolExecutor(1) as pool:
        command = {"command": "stop-actor", "actor": "x"}
        asked = pool.submit(control.request, running.path, command)
        wait([asked])  # the loop of the application is held up here
    with pytest.raises(control.BusyError, match="has not listened"):
        asked.result()
    assert await running.request(command="stop-actor", actor="x") == {"detail": "x"}


async def test_stop(running: Running) -> None:
    assert await running.request(command="stop") == {"detail": "stopping"}
    assert running.stopped.is_set()


@pytest.mark.parametrize(
    "line", [b"nonsense\n", b"[]\n", b"{}\n", b'{"command": "fly"}\n', b"[" * 60_000 + b"\n"]
)
async def test_what_is_no_request(running: Running, line: bytes) -> None:
    reader, writer = await connect(running.path)
    writer.write(line)
    assert b"not a request" in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_a_line_without_end_is_cut_off(running: Running) -> None:
    reader, writer = await connect(running.path)
    writer.write(b"x" * (2 * control.REQUEST_BYTES))
    assert await reader.read() == b""
    writer.close()
    assert await running.request(command="stop-actor", actor="x") == {"detail": "x"}


async def connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    client = socket.socket(socket.AF_UNIX)
    control._short(path, client.connect)
    return await asyncio.open_unix_connection(sock=client)
