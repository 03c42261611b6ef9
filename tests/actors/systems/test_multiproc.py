"""The multiproc system with real processes: that it works, that it ends, that it lets nobody in."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from thespian.actors import ActorAddress, ActorExitRequest

from actors.systems.frames import LARGEST_FRAME, LENGTH, Sealer, check_answer
from actors.systems.key import load_or_create_key
from actors.systems.multiproc import MultiprocSystem, start_multiproc
from actors.systems.transport import LARGE_FRAME, MOST_LARGE, MOST_UNFINISHED
from emp.errors import ConfigError, EmpError
from tests.actors.systems.processes import all_ended, listening, sockets_of
from tests.actors.systems.sample_actors import (
    Echo,
    ForkingParent,
    Looped,
    LoopedForkingParent,
    Parent,
)

LOOPBACK_HEX = "0100007F"
ASK = 10.0


@pytest.fixture
async def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MultiprocSystem]:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    system = start_multiproc(directory=tmp_path, port=None, key_file=tmp_path / "key")
    yield system
    pids = system.pids()
    await system.stop(2)
    assert all_ended(pids)
    assert os.listdir(temporary) == []


async def test_create_ask_tell(system: MultiprocSystem) -> None:
    echo = await system.create(Echo)
    system.tell(echo, "counted")
    system.tell(echo, "counted")
    assert await system.ask(echo, "count", ASK) == 2
    assert await system.ask(echo, b"x" * 3_000_000, ASK) == b"x" * 3_000_000
    pid = await system.ask(echo, "pid", ASK)
    assert pid != os.getpid()
    assert "Echo" in system.pids()[pid]


async def test_a_name_belongs_to_one_actor(system: MultiprocSystem) -> None:
    first = await system.create(Echo, "echo")
    second = await system.create(Echo, "echo")
    other = await system.create(Echo, "other")
    asked = [await system.ask(address, "pid", ASK) for address in (first, second, other)]
    assert asked[0] == asked[1] != asked[2]


async def test_no_answer_is_a_timeout(system: MultiprocSystem) -> None:
    echo = await system.create(Echo)
    with pytest.raises(TimeoutError, match="str within"):
        await system.ask(echo, "not a question", 0.1)
    assert await system.ask(echo, b"next", ASK) == b"next"


async def test_a_late_answer_is_not_taken_for_the_next(system: MultiprocSystem) -> None:
    parent = await system.create(Parent)
    with pytest.raises(TimeoutError):
        await system.ask(parent, "restarted", 0.1)  # answered when its child was restarted
    child = await system.ask(parent, "child", ASK)
    os.kill(await system.ask(child, "pid", ASK), signal.SIGKILL)
    assert isinstance(await system.ask(parent, "restarted", ASK), ActorAddress)
    assert isinstance(await system.ask(parent, "pid", ASK), int)


async def test_a_class_that_does_not_exist_is_an_error(system: MultiprocSystem) -> None:
    class Local(Echo):
        pass

    with pytest.raises(EmpError, match=r"cannot start an actor of class .*Local"):
        await system.create(Local)


async def test_everything_listens_on_loopback_only(system: MultiprocSystem) -> None:
    parent = await system.create(Parent)
    await system.ask(parent, "child", ASK)
    pids = system.pids()
    assert len(pids) == 3
    sockets = listening([*pids, os.getpid()])
    assert {address for address, _ in sockets.values()} == {LOOPBACK_HEX}
    assert len(listening(pids)) == len(pids)
    assert system.port in {port for _, port in sockets.values()}


@pytest.mark.parametrize("kind", [Parent, ForkingParent])
async def test_a_killed_child_is_told_to_its_parent_and_restarted(
    system: MultiprocSystem, kind: type[Parent]
) -> None:
    parent = await system.create(kind)
    child = await system.ask(parent, "child", ASK)
    pid = await system.ask(child, "pid", ASK)
    assert sockets_of(pid).isdisjoint(sockets_of(await system.ask(parent, "pid", ASK)))
    os.kill(pid, signal.SIGKILL)
    child = await system.ask(parent, "restarted", ASK)
    assert await system.ask(child, "pid", ASK) not in (pid, None)


async def test_a_child_forked_from_a_running_loop_has_a_loop_of_its_own(
    system: MultiprocSystem,
) -> None:
    parent = await system.create(LoopedForkingParent)
    child = await system.ask(parent, "child", ASK)
    assert await system.ask(child, ("after", 0.01), ASK) == [0.01]
    pid = await system.ask(child, "thread", ASK)
    assert sockets_of(pid).isdisjoint(sockets_of(await system.ask(parent, "pid", ASK)))
    os.kill(pid, signal.SIGKILL)
    child = await system.ask(parent, "restarted", ASK)
    assert await system.ask(child, "thread", ASK) != pid


async def test_sigterm_is_an_exit_request_and_sigint_is_nothing(system: MultiprocSystem) -> None:
    parent = await system.create(ForkingParent)
    child = await system.ask(parent, "child", ASK)
    for pid in system.pids():
        os.kill(pid, signal.SIGINT)
    pid = await system.ask(child, "pid", ASK)
    os.kill(pid, signal.SIGTERM)
    assert await system.ask(parent, "restarted", ASK) != child
    assert all_ended([pid])


@pytest.mark.parametrize("kind", [Parent, ForkingParent])
async def test_children_die_with_their_parent(system: MultiprocSystem, kind: type[Parent]) -> None:
    parent = await system.create(kind)
    child = await system.ask(parent, "child", ASK)
    child_pid = await system.ask(child, "pid", ASK)
    os.kill(await system.ask(parent, "pid", ASK), signal.SIGKILL)
    assert all_ended([child_pid])
    echo = await system.create(Echo)
    assert await system.ask(echo, b"the rest lives", ASK) == b"the rest lives"


async def test_everything_dies_with_the_admin(system: MultiprocSystem) -> None:
    await system.ask(await system.create(ForkingParent), "child", ASK)
    pids = system.pids()
    admin = next(pid for pid, title in pids.items() if "admin" in title)
    os.kill(admin, signal.SIGKILL)
    assert all_ended(pids)
    await asyncio.wait_for(system.ended(), ASK)
    with pytest.raises(EmpError):
        await system.create(Echo)


STARTER = """
import asyncio, json, pathlib, sys
from actors.systems.multiproc import start_multiproc
from tests.actors.systems.sample_actors import ForkingParent, Parent

async def main():
    directory = pathlib.Path(sys.argv[1])
    system = start_multiproc(directory=directory, port=None, key_file=directory / "key")
    for kind in (ForkingParent, Parent):
        await system.ask(await system.create(kind), "child", 10)
    print(json.dumps(list(system.pids())), flush=True)
    await system.ended()

asyncio.run(main())
"""


def test_everything_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path)], stdout=subprocess.PIPE, env=environment
    )
    with starter:
        assert starter.stdout is not None
        pids = json.loads(starter.stdout.readline())
        assert len(pids) == 5
        starter.kill()
    assert all_ended(pids)


async def test_stop_leaves_nothing(tmp_path: Path) -> None:
    system = start_multiproc(directory=tmp_path, port=None, key_file=tmp_path / "key")
    for kind in (ForkingParent, Parent, Looped):
        await system.create(kind)
    pids = system.pids()
    ports = [port for _, port in listening([*pids]).values()]
    own = len(os.listdir("/proc/self/fd"))
    assert await system.stop(10) == []
    assert system.pids() == {}
    assert all_ended(pids, 0)
    assert len(os.listdir("/proc/self/fd")) < own
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    again = start_multiproc(directory=tmp_path, port=system.port, key_file=tmp_path / "key")
    assert await again.stop(10) == []


async def test_what_hangs_is_killed_after_the_grace(tmp_path: Path) -> None:
    system = start_multiproc(directory=tmp_path, port=None, key_file=tmp_path / "key")
    echo = await system.create(Echo)
    pid = await system.ask(echo, "pid", ASK)
    system.tell(echo, "hang")
    pids = system.pids()
    forced = await system.stop(0.5)
    assert any("Echo" in title and str(pid) in title for title in forced)
    assert all_ended(pids, 0)


def test_a_port_in_use_is_one_clear_error(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} .*Address already in use"):
            start_multiproc(directory=tmp_path, port=port, key_file=tmp_path / "key")


async def test_an_actor_runs_asyncio(system: MultiprocSystem) -> None:
    looped = await system.create(Looped)
    port = await system.ask(looped, "serve", ASK)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello\n")
    assert await reader.readline() == b"hello\n"

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    question = ("fetch", server.sockets[0].getsockname()[1], b"asked\n")
    assert await system.ask(looped, question, ASK) == b"asked\n"
    server.close()
    await server.wait_closed()

    assert await system.ask(looped, ("after", 0.06, 0.02, 0.04, 0.0), ASK) == [0, 0.02, 0.04, 0.06]
    assert await system.ask(looped, "thread", ASK) in system.pids()
    system.tell(looped, "raise")

    amount = 20_000_000
    reading = asyncio.create_task(reader.readexactly(amount))
    writer.write(b"x" * amount)
    received = [0]
    while received[-1] < amount + len(b"hello\n"):  # the mailbox is served all the while
        received.append(await system.ask(looped, "received", ASK))  # type: ignore[arg-type]
    assert received == sorted(received)
    await reading
    writer.close()
    await writer.wait_closed()


async def test_a_loop_that_never_idles_leaves_the_mailbox_open(system: MultiprocSystem) -> None:
    looped = await system.create(Looped)
    system.tell(looped, "spin")
    for _ in range(5):
        assert await system.ask(looped, "received", ASK) == 0
    assert await system.ask(looped, ("after", 0.01), ASK) == [0.01]


class RunsCode:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def attacks(path: Path, address: ActorAddress) -> list[bytes]:
    code = pickle.dumps(RunsCode(path))
    name = "{}:{}".format(*address.addressDetails.sockname).encode()
    wrong_key = Sealer(bytes(32)).seal(name, code)
    return [
        b"%d>%s" % (len(code), code),
        LENGTH.pack(len(code)) + code,
        LENGTH.pack(1 + len(code)) + b"m" + code,
        wrong_key,
        wrong_key[:-1],
        struct.pack(">I", 0xFFFFFFFF) + b"x" * 1000,
        b"\0\0\0",
        b"",
        os.urandom(100_000),
    ]


async def test_nobody_without_the_key_gets_anything_unpickled(
    system: MultiprocSystem, tmp_path: Path
) -> None:
    parent = await system.create(Parent)
    child = await system.ask(parent, "child", ASK)
    assert isinstance(child, ActorAddress)
    trap = tmp_path / "code-was-run"
    held = []
    ports = {port for _, port in listening(system.pids()).values()}
    assert len(ports) == 3
    for port in ports:
        for attack in attacks(trap, child):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(attack)
            held.append(connection)  # half a frame stays half a frame
    assert await system.ask(child, b"still here", ASK) == b"still here"
    assert await system.ask(parent, "child", ASK) == child
    assert await system.ask(await system.create(Echo), b"admin too", ASK) == b"admin too"
    for connection in held:
        connection.close()
    assert not trap.exists()
    assert len(system.pids()) == 4


async def test_connections_that_say_nothing_are_bounded(system: MultiprocSystem) -> None:
    echo = await system.create(Echo)
    address = echo.addressDetails.sockname
    held = [socket.create_connection(address) for _ in range(MOST_UNFINISHED + 10)]
    assert await system.ask(echo, b"still here", ASK) == b"still here"
    held[0].settimeout(ASK)
    assert held[0].recv(1) == b""
    for connection in held:
        connection.close()


async def test_memory_for_strangers_is_bounded(system: MultiprocSystem) -> None:
    echo = await system.create(Echo)
    host, port = echo.addressDetails.sockname
    part = LENGTH.pack(LARGEST_FRAME) + bytes(LARGE_FRAME)
    held = []
    for _ in range(MOST_LARGE + 2):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(part)
        held.append((reader, writer))
    refused, _ = await asyncio.wait(
        [asyncio.create_task(reader.read(1)) for reader, _ in held],
        return_when=asyncio.FIRST_COMPLETED,
    )
    assert len(refused) >= 1
    assert await system.ask(echo, b"still here", ASK) == b"still here"
    for _, writer in held:
        writer.transport.abort()


async def test_a_replayed_frame_is_delivered_once(system: MultiprocSystem, tmp_path: Path) -> None:
    echo = await system.create(Echo)
    other = await system.create(Echo)
    key = load_or_create_key(tmp_path / "key")
    host, port = echo.addressDetails.sockname
    message = pickle.dumps((other, "counted"))
    frame = Sealer(key).seal(f"{host}:{port}".encode(), message)

    async def send(port: int) -> bytes:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(frame)
        answer = await reader.read(100)
        writer.close()
        await writer.wait_closed()
        return answer[LENGTH.size :]

    for _ in range(3):
        assert check_answer(key, await send(port), frame[LENGTH.size :])
    assert await system.ask(echo, "count", ASK) == 1
    # The same frame for another actor: no answer, no delivery.
    assert await send(other.addressDetails.sockname[1]) == b""
    assert await system.ask(other, "count", ASK) == 0


async def test_bytes_after_a_frame_are_the_next_frame(
    system: MultiprocSystem, tmp_path: Path
) -> None:
    echo = await system.create(Echo)
    key = load_or_create_key(tmp_path / "key")
    host, port = echo.addressDetails.sockname
    sealer = Sealer(key)
    name = f"{host}:{port}".encode()
    message = pickle.dumps((echo, "counted"))
    data = b"".join(sealer.seal(name, message) for _ in range(3))
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(data[:-1])
    first = await reader.readexactly(42)
    writer.write(data[-1:])
    last = await reader.readexactly(21)
    writer.close()
    await writer.wait_closed()
    frame = len(data) // 3
    answers = [first[:21], first[21:], last]
    for index, answer in enumerate(answers):
        sent = data[index * frame + LENGTH.size : (index + 1) * frame]
        assert check_answer(key, answer[LENGTH.size :], sent)
    assert await system.ask(echo, "count", ASK) == 3


async def test_what_cannot_be_unpickled_is_spoiled_not_lost(
    system: MultiprocSystem, tmp_path: Path
) -> None:
    echo = await system.create(Echo)
    key = load_or_create_key(tmp_path / "key")
    host, port = echo.addressDetails.sockname
    frame = Sealer(key).seal(f"{host}:{port}".encode(), b"no pickle")
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(frame)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert not check_answer(key, answer[LENGTH.size :], frame[LENGTH.size :])
    assert "cannot be unpickled" in (tmp_path / "thespian.log").read_text()
    system.tell(echo, ActorExitRequest())
