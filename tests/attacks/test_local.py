"""Attacks from the same machine: every door that a running application opens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pickle
import random
import socket
import stat
import struct
from pathlib import Path
from typing import Any

import pytest

from actors import control
from tests.actors.systems.processes import listening
from tests.attacks.application import COMPONENT, ECHO, application
from tests.attacks.hostile import PATIENCE, Dialogue, HostileServer
from tests.attacks.support import Attacks
from tests.attacks.test_strangers import message
from tests.e2e.application import Application, started

LOOPBACK_HEX = "0100007F"


class Dropper:
    """Its pickle makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def assaults(dropped: Path) -> dict[str, bytes]:
    evil = pickle.dumps(Dropper(dropped))
    return {
        "random bytes": random.Random(1).randbytes(100_000),
        "a pickle": evil,
        "a pickle in a frame": struct.pack(">I", len(evil) + 1) + b"m" + evil,
        "a pickle as Thespian sends it": b"%d>%s" % (len(evil), evil),
        "a frame of 4 GiB": b"\xff\xff\xff\xff" + bytes(100_000),
        "a frame of nothing": bytes(4),
        "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "half a frame": struct.pack(">I", 1000) + b"m",
    }


async def assault(port: int, data: bytes) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(OSError):
        writer.write(data)
        await writer.drain()
    return writer


async def answers(server: HostileServer, word: str) -> None:
    """The application still does its work."""
    dialogue = server.dialogues[0]
    dialogue.send(message(word, to="bot.im.test"))
    async with asyncio.timeout(PATIENCE):
        while not any(f"you said {word}".encode() in each.said for each in server.dialogues):
            await asyncio.sleep(0.01)


async def test_every_port_of_a_multiproc_application(attacks: Attacks, tmp_path: Path) -> None:
    """Nobody without the key gets anything unpickled, nor the application off its feet."""
    (tmp_path / "victim.py").write_text(ECHO)
    dropped = tmp_path / "dropped"
    async with attacks.server(Dialogue.component) as server:
        settings = f'[connections.main]\nserver = "127.0.0.1"\nport = {server.port}\n{COMPONENT}'
        (tmp_path / "emp.toml").write_text(settings)
        async with started(str(tmp_path / "victim.py"), "--system", "multiproc") as victim:
            await victim.says(" is up ")
            ports = await doors(victim)
            assert len(ports) >= 4
            held = [
                await assault(port, data) for port in ports for data in assaults(dropped).values()
            ]
            await answers(server, "hello")
            assert not dropped.exists()
            assert {row["restarts"] for row in (await victim.actors()).values()} == {0}
            for writer in held:
                writer.transport.abort()
            assert await victim.stop() == 0
        assert "Traceback" not in victim.text


async def doors(victim: Application) -> set[int]:
    """The TCP ports on which its processes listen; all on loopback."""
    pids = {row["pid"] for row in (await victim.actors()).values()} | {victim.process.pid}
    sockets = listening(pids)
    assert {address for address, _ in sockets.values()} == {LOOPBACK_HEX}
    return {port for _, port in sockets.values()}


async def test_an_embedded_application_opens_no_port(attacks: Attacks, tmp_path: Path) -> None:
    (tmp_path / "victim.py").write_text(ECHO)
    async with attacks.server(Dialogue.component) as server:
        settings = f'[connections.main]\nserver = "127.0.0.1"\nport = {server.port}\n{COMPONENT}'
        (tmp_path / "emp.toml").write_text(settings)
        async with started(str(tmp_path / "victim.py")) as victim:
            await victim.says(" is up ")
            assert listening([victim.process.pid]) == {}
            assert await victim.stop() == 0


# -- the control socket ---------------------------------------------------------------------------

REQUESTS = {
    "random bytes": random.Random(2).randbytes(100_000),
    "an endless line": b"x" * (4 * control.REQUEST_BYTES),
    "deep": b"[" * 50_000 + b"\n",
    "no command": b"{}\n",
    "another command": b'{"command": "__class__"}\n',
    "a number": b'{"command": 7}\n',
    "a list": b'{"command": []}\n',
    "no actor": b'{"command": "inspect"}\n',
    "an actor that is none": b'{"command": "inspect", "actor": {"a": ["b"]}}\n',
    "a path": b'{"command": "inspect", "actor": "../../etc/passwd"}\n',
    "code": b'{"command": "spawn", "name": "x", "reference": "os:system", "routes": []}\n',
    "a module": b'{"command": "spawn", "name": "x", "reference": "antigravity:X", "routes": []}\n',
    "a pickle": pickle.dumps(Dropper(Path("/nonexistent/dropped"))) + b"\n",
    "NaN": b'{"command": NaN}\n',
    "not UTF-8": b'{"command": "\xff"}\n',
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_the_control_socket(attacks: Attacks, tmp_path: Path, name: str) -> None:
    async with (
        attacks.server(Dialogue.component) as server,
        application(tmp_path, server, ECHO, COMPONENT) as here,
    ):
        await here.until("connected", "main")
        assert here.boot.run is not None
        path = here.boot.run.socket
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        for word in ("first", "second"):
            answer = await request(path, REQUESTS[name])
            assert answer is None or "error" in answer
            await answers(server, word)
        assert not here.boot.stop_requested.is_set()


async def request(path: Path, data: bytes) -> Any:
    """The answer, None where there was none."""
    client = socket.socket(socket.AF_UNIX)
    control._short(path, client.connect)
    reader, writer = await asyncio.open_unix_connection(sock=client, limit=2**24)
    try:
        async with asyncio.timeout(PATIENCE):
            writer.write(data)
            writer.write_eof()
            line = await reader.readline()
    except OSError:
        line = b""
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)
    return json.loads(line) if line else None


async def test_visitors_who_say_nothing_are_in_nobodys_way(
    attacks: Attacks, tmp_path: Path
) -> None:
    async with (
        attacks.server(Dialogue.component) as server,
        application(tmp_path, server, ECHO, COMPONENT) as here,
    ):
        await here.until("connected", "main")
        assert here.boot.run is not None
        path = here.boot.run.socket
        visitors = []
        for _ in range(100):
            client = socket.socket(socket.AF_UNIX)
            control._short(path, client.connect)
            client.setblocking(False)
            visitors.append(client)
        answer = await asyncio.to_thread(control.request, path, {"command": "actors"})
        assert {row["name"] for row in answer["actors"]} >= {"main", "Echo", "router"}
        await answers(server, "hello")
        for client in visitors:
            client.close()
