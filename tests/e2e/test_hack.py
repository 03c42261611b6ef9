"""The hack application on real servers, with a user who runs another library."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.e2e.application import Application, application
from tests.e2e.person import Person, person
from tools.servers import Server

SYSTEMS = ["embedded", "multiproc"]


def configuration(server: Server, kind: str, directory: Path) -> str:
    """A configuration file for apps/hack on `server`."""
    specific = (
        f'kind = "client"\nnode = "foo"\nhost = "localhost"\npassword = "{server.account("foo")}"\n'
        f'port = {server.client_port}\nca_file = "{server.ca_file}"\n'
        if kind == "client"
        else f'host = "{server.components[0]}"\nsecret = "{server.component_secret}"\n'
        f"port = {server.component_port}\n"
    )
    file = directory / f"{kind}.toml"
    file.write_text(f'[connections.hack]\nserver = "{server.host}"\n{specific}')
    return str(file)


def address(server: Server, kind: str) -> str:
    return "foo@localhost/hack" if kind == "client" else f"anybody@{server.components[0]}"


def bar(server: Server) -> AbstractAsyncContextManager[Person]:
    return person(
        "bar@localhost/test",
        server.account("bar"),
        host=server.host,
        port=server.client_port,
        ca_file=server.ca_file,
    )


async def hacked(user: Person, to: str) -> None:
    user.say(to, "hello")
    heard = await user.hear()
    assert (heard.sender, heard.body, heard.type) == (to, "Hackity Hack!", "chat")


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("kind", ["client", "component"])
async def test_hackity_hack(local_server: Server, kind: str, system: str, tmp_path: Path) -> None:
    config = configuration(local_server, kind, tmp_path)
    to = address(local_server, kind)
    async with (
        application("apps/hack", "--config", config, "--system", system) as hack,
        bar(local_server) as user,
    ):
        if kind == "client":
            assert "SCRAM-SHA-" in hack.text
            assert "TLS 1." in hack.text
        await hacked(user, to)
        pids = [row["pid"] for row in (await hack.actors()).values()]
        assert len(pids) == 4
        assert len(set(pids)) == (1 if system == "embedded" else 4)
        assert await hack.stop() == 0
        assert "stopped" in hack.text


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("kind", ["client", "component"])
async def test_the_server_is_killed_and_comes_back(
    local_server: Server, kind: str, system: str, tmp_path: Path
) -> None:
    config = configuration(local_server, kind, tmp_path)
    async with application("apps/hack", "--config", config, "--system", system) as hack:
        line = len(hack.output)
        local_server.kill()
        line = await hack.says("trying again in", line)
        local_server.start()
        await hack.says("hack: bind" if kind == "component" else "hack: presence", line)
        async with bar(local_server) as user:
            await hacked(user, address(local_server, kind))
        assert await hack.stop() == 0


@pytest.fixture
async def multiproc(
    local_server: Server, tmp_path: Path
) -> AsyncIterator[tuple[Application, Person, str]]:
    """The hack application as a component in processes of its own, and bar."""
    config = configuration(local_server, "component", tmp_path)
    with Path(config).open("a") as file:
        file.write("[system]\nhang_limit = 60\n")  # who is stopped here shall go on
    async with (
        application("apps/hack", "--config", config, "--system", "multiproc") as hack,
        bar(local_server) as user,
    ):
        yield hack, user, address(local_server, "component")


def title(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()


async def test_every_process_has_a_name(multiproc: tuple[Application, Person, str]) -> None:
    hack, _, _ = multiproc
    titles = {name: title(row["pid"]) for name, row in (await hack.actors()).items()}
    assert titles == {
        "supervisor": "emp: hack supervisor",
        "router": "emp: hack router",
        "Hackity": "emp: hack component Hackity",
        "hack": "emp: hack connection hack",
    }


@pytest.mark.parametrize("victim", ["Hackity", "hack", "router"])
async def test_kill_9(multiproc: tuple[Application, Person, str], victim: str) -> None:
    hack, user, to = multiproc
    await hacked(user, to)
    line = len(hack.output)
    before = await hack.actors()
    os.kill(before[victim]["pid"], signal.SIGKILL)
    await hack.says("died" if victim != "hack" else "hack: bind", line)
    if victim != "hack":
        await hack.says(victim, await hack.says("died", line))
    await hacked(user, to)
    after = await hack.actors()
    assert after[victim]["pid"] != before[victim]["pid"]
    assert after[victim]["restarts"] == 1
    assert await hack.stop() == 0


async def test_who_does_not_answer_is_shown(
    multiproc: tuple[Application, Person, str],
) -> None:
    hack, user, to = multiproc
    pid = (await hack.actors())["router"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    async with asyncio.timeout(30):
        while (await hack.actors())["router"]["state"] != "silent":
            pass
    os.kill(pid, signal.SIGCONT)
    async with asyncio.timeout(30):
        while (await hack.actors())["router"]["state"] != "running":
            pass
    await hacked(user, to)


async def test_without_the_supervisor_everything_ends(
    multiproc: tuple[Application, Person, str],
) -> None:
    hack, _, _ = multiproc
    pids = [row["pid"] for row in (await hack.actors()).values()]
    os.kill(pids[0], signal.SIGKILL)
    assert await hack.ended() == 1
    assert "the supervisor is gone" in hack.text
    assert "Traceback" not in hack.text
    assert await gone(pids)
    assert list(hack.runtime.iterdir()) == []


async def test_nothing_is_left(multiproc: tuple[Application, Person, str]) -> None:
    hack, user, to = multiproc
    await hacked(user, to)
    pids = [row["pid"] for row in (await hack.actors()).values()]
    assert await hack.stop(signal.SIGTERM) == 0
    assert [pid for pid in pids if alive(pid)] == []
    assert list(hack.runtime.iterdir()) == []


async def test_a_second_signal_stops_at_once(multiproc: tuple[Application, Person, str]) -> None:
    hack, _, _ = multiproc
    pids = [row["pid"] for row in (await hack.actors()).values()]
    os.kill(pids[0], signal.SIGSTOP)  # a supervisor that will not answer
    hack.process.send_signal(signal.SIGINT)
    await hack.says("once more stops at once")
    hack.process.send_signal(signal.SIGINT)
    assert await hack.ended() == 128 + signal.SIGINT
    assert await gone(pids)
    assert list(hack.runtime.iterdir()) == []


async def test_when_the_main_process_is_killed_everybody_goes(
    multiproc: tuple[Application, Person, str],
) -> None:
    hack, _, _ = multiproc
    pids = [row["pid"] for row in (await hack.actors()).values()]
    hack.process.kill()
    await hack.ended()
    assert await gone(pids)
    assert await hack.admin("list") == "no application runs\n"
    assert list(hack.runtime.iterdir()) == []


async def gone(pids: list[int]) -> bool:
    """Wait until the processes are gone, or zombies that only their parent can bury."""
    async with asyncio.timeout(20):
        for pid in pids:
            await ended(pid)
    return True


async def ended(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


@pytest.mark.parametrize("system", SYSTEMS)
async def test_emp_admin(local_server: Server, system: str, tmp_path: Path) -> None:
    config = configuration(local_server, "component", tmp_path)
    to = address(local_server, "component")
    async with (
        application("apps/hack", "--config", config, "--system", system) as hack,
        bar(local_server) as user,
    ):
        listed = await hack.admin("list")
        assert system in listed
        tree = await hack.admin("tree")
        names = [line.partition(" (")[0].strip("├└─ ") for line in tree.splitlines()]
        assert names == ["supervisor", "router", "Hackity", "hack"]
        assert await hack.admin("spawn", "hack:Hackity") == "Hackity-2 runs\n"
        assert "Hackity-2 (component" in await hack.admin("tree")
        assert await hack.admin("stop", "Hackity") == "Hackity is stopped\n"
        await hacked(user, to)  # by the one that was spawned
        inspected = await hack.admin("inspect", "Hackity-2")
        assert "handled" in inspected
        if system == "multiproc":
            line = len(hack.output)
            os.kill((await hack.actors())["Hackity-2"]["pid"], signal.SIGKILL)
            await hack.says("Hackity-2", await hack.says("died", line))
            await hacked(user, to)
        assert "there is no actor 'nobody'" in await hack.admin("inspect", "nobody", expect=1)
        assert "is stopped" in await hack.admin("stop")
        assert await hack.ended() == 0
