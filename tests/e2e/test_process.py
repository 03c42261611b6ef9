"""The process of an application: its streams, its signals, its core dumps, as a user meets them."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.application import ROOT, UP_SECONDS, Application, command, environment, started
from tests.e2e.stub import Stub

SYSTEMS = pytest.mark.parametrize("system", ["embedded", "multiproc"])

APP = """
import logging, os, sys, time
from actors import Component
from emp.routing import Routes

logger = logging.getLogger("application")

class Subject(Component):
    def startup(self):
        logger.info("%s", self.note)

    note = "begins"

    def act(self, body):
        if body == "spin":
            logger.info("spinning")
            while True:
                pass
        if body == "sleep":
            logger.info("sleeping")
            while True:
                time.sleep(1e6)
        if body.startswith("fail"):
            raise ValueError(body)
        logger.info("said %s", body)
        return "ok"

routes = Routes()
routes.message("[body]").to(Subject.act)
"""


def write(directory: Path, stub: Stub, app: str = APP) -> str:
    (directory / "emp.toml").write_text(stub.config())
    (directory / "subject.py").write_text(app)
    return str(directory / "subject.py")


@asynccontextmanager
async def subject(directory: Path, system: str) -> AsyncIterator[tuple[Application, Stub]]:
    async with Stub() as stub, started(write(directory, stub), "--system", system) as running:
        await running.says(" is up ")
        yield running, stub


# -- streams --------------------------------------------------------------------------------------


class Process:
    """`emp start` with streams that are of no use."""

    def __init__(self, directory: Path, path: str, system: str, *options: str, **streams: Any):
        self.runtime = directory / "runtime"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "emp", "start", path, "--system", system, *options],
            cwd=ROOT,
            env=environment(self.runtime),
            start_new_session=True,
            **streams,
        )

    async def up(self) -> None:
        async with asyncio.timeout(UP_SECONDS):
            while await self.admin("ps", "--check") != 0:
                assert self.process.poll() is None

    async def admin(self, *arguments: str) -> int:
        return (await command("actors.commands.admin", *arguments, runtime=self.runtime))[0]

    async def ended(self) -> int:
        return await asyncio.to_thread(self.process.wait, UP_SECONDS)

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()


@contextmanager
def process(*arguments: Any, **streams: Any) -> Iterator[Process]:
    made = Process(*arguments, **streams)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
            made.process.wait()


@SYSTEMS
async def test_who_does_not_read_our_output_holds_up_nothing(tmp_path: Path, system: str) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    async with Stub() as stub:
        path = write(tmp_path, stub)
        with process(tmp_path, path, system, stdout=writing, stderr=writing) as running:
            os.close(writing)
            await running.up()
            await stub.say("a@b", ["x" * 200] * 500)
            await stub.heard(500)
            assert await running.admin("ps", "--check") == 0
            assert await running.stop() == 0
    with open(reading, "rb") as output:
        assert b"configuration" in output.read()


def full() -> dict[str, Any]:
    return {"stdout": os.open("/dev/full", os.O_WRONLY), "stderr": subprocess.STDOUT}


def broken() -> dict[str, Any]:
    reading, writing = os.pipe()
    os.close(reading)
    return {"stdout": writing, "stderr": subprocess.STDOUT}


def closed(*descriptors: int) -> Callable[[], dict[str, Any]]:
    def close() -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    return lambda: {"preexec_fn": close}


STREAMS = {
    "full": full,
    "broken": broken,
    "no stdout": closed(1),
    "no stderr": closed(2),
    "none at all": closed(0, 1, 2),
}


@pytest.mark.parametrize(
    ("system", "streams"),
    [
        *(("embedded", name) for name in STREAMS),
        ("multiproc", "full"),
        ("multiproc", "none at all"),
    ],
)
async def test_output_that_nobody_takes(tmp_path: Path, system: str, streams: str) -> None:
    made = STREAMS[streams]()
    async with Stub() as stub:
        with process(tmp_path, write(tmp_path, stub), system, **made) as running:
            await running.up()
            await stub.say("a@b", ["hello", "fail"])
            await stub.heard(1)
            assert stub.answers == [("a@b", "ok")]
            assert await running.stop() == 0
    if isinstance(made.get("stdout"), int):
        os.close(made["stdout"])


@SYSTEMS
async def test_quiet(tmp_path: Path, system: str) -> None:
    async with Stub() as stub:
        path = write(tmp_path, stub)
        with process(
            tmp_path, path, system, "--quiet", stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as running:
            await running.up()
            assert await running.admin("reconnect", "stub") == 0
            await running.up()
            assert await running.stop() == 0
            out, err = running.process.communicate()
    assert out == b""
    assert [line for line in err.splitlines() if b"application: begins" not in line] == []


@pytest.mark.parametrize(
    ("words", "streams", "code", "lines"),
    [
        ("actors.commands.admin list", broken, 1, 0),
        ("actors.commands.admin --help", broken, 1, 0),
        ("actors.commands.admin list", full, 1, 1),
        ("actors.commands.admin list", closed(1), 0, 0),
        ("actors.commands.admin ps", closed(2), 1, 0),
        ("emp completion bash", full, 1, 1),
    ],
)
def test_commands_whose_output_nobody_takes(
    tmp_path: Path, words: str, streams: Callable[[], dict[str, Any]], code: int, lines: int
) -> None:
    made = {**streams(), "stderr": subprocess.PIPE}
    done = subprocess.run(
        [sys.executable, "-m", *words.split()], cwd=ROOT, env=environment(tmp_path), **made
    )
    assert (done.returncode, done.stderr.count(b"\n")) == (code, lines), done.stderr
    if isinstance(made.get("stdout"), int):
        os.close(made["stdout"])


# -- who writes the log ---------------------------------------------------------------------------

FORGED = "2026-01-01 00:00:00,000 INFO    emp.actors: all is well"


@SYSTEMS
async def test_nobody_else_writes_log_lines(tmp_path: Path, system: str) -> None:
    async with subject(tmp_path, system) as (running, stub):
        for word in ("hello", "fail"):
            await stub.say("a@b", [f"{word}\n{FORGED}\u2028{FORGED}\x85\u202e"])
        await running.says(f"said hello\\n{FORGED}\\u2028{FORGED}\\x85\\u202e")
        await running.says(f"ValueError: fail\\n{FORGED}")
        assert await running.stop() == 0
    assert not [line for line in running.output if line.startswith(FORGED)]
    assert running.text.isprintable() or "\x85" not in running.text


# -- core dumps -----------------------------------------------------------------------------------


@SYSTEMS
async def test_no_core_dumps(tmp_path: Path, system: str) -> None:
    async with subject(tmp_path, system) as (running, _):
        rows = json.loads(await running.admin("ps", "--json"))
        pids = {running.process.pid, *(row["pid"] for row in rows if row["pid"])}
        assert len(pids) >= (1 if system == "embedded" else 5)
        for pid in pids | children(pids):
            limits = Path(f"/proc/{pid}/limits").read_text()
            assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE), limits
            assert int(Path(f"/proc/{pid}/coredump_filter").read_text(), 16) == 0
        assert await running.stop() == 0


def children(pids: set[int]) -> set[int]:
    found = set()
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found |= {int(child) for child in (task / "children").read_text().split()}
    return found


# -- signals --------------------------------------------------------------------------------------


@SYSTEMS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_is_an_orderly_stop(tmp_path: Path, system: str, number: int) -> None:
    async with subject(tmp_path, system) as (running, _):
        assert await running.stop(number) == 0
        assert running.output[-1] == "stopped"
        assert list(running.runtime.iterdir()) == []


async def test_nohup(tmp_path: Path) -> None:
    async with Stub() as stub:
        path = write(tmp_path, stub)

        def ignore() -> None:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

        with process(tmp_path, path, "embedded", preexec_fn=ignore) as running:
            await running.up()
            running.process.send_signal(signal.SIGHUP)
            assert await running.admin("ps", "--check") == 0
            assert await running.stop() == 0


@pytest.mark.parametrize("body", ["spin", "sleep"])
async def test_an_action_that_holds_the_loop_is_ended(tmp_path: Path, body: str) -> None:
    async with subject(tmp_path, "embedded") as (running, stub):
        await stub.say("a@b", [body])
        await running.says("ing", await running.says(" is up "))
        assert await running.stop(signal.SIGTERM) == 1
        critical = [line for line in running.output if "CRITICAL" in line]
        assert len(critical) == 1
        assert "Subject, action Subject.act, with message of type chat from a@b" in critical[0]
        assert list(running.runtime.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_second_signal_ends_at_once(tmp_path: Path, number: int) -> None:
    async with subject(tmp_path, "embedded") as (running, stub):
        await stub.say("a@b", ["spin"])
        await running.says("spinning")
        running.process.send_signal(number)
        await running.says("once more stops at once")
        assert await running.stop(number) == 128 + number
        assert "CRITICAL" not in running.text
        assert list(running.runtime.iterdir()) == []


async def test_a_component_that_hangs_holds_up_no_stop_of_many(tmp_path: Path) -> None:
    async with subject(tmp_path, "multiproc") as (running, stub):
        await stub.say("a@b", ["sleep"])
        await running.says("sleeping")
        assert await running.stop(signal.SIGTERM) in (0, 1)
        assert list(running.runtime.iterdir()) == []


@SYSTEMS
async def test_a_signal_while_an_import_takes_for_ever(tmp_path: Path, system: str) -> None:
    app = APP.replace("import logging", "print('importing', flush=True)\nimport logging", 1)
    app = app.replace("logger = ", "time.sleep(1e6)\nlogger = ", 1)
    async with Stub() as stub, started(write(tmp_path, stub, app), "--system", system) as running:
        await running.says("importing")
        assert await running.stop(signal.SIGTERM) == 1
        assert "CRITICAL" in running.text or "holds the loop" in running.text
        assert "Traceback" not in running.text
