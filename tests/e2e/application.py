"""Runs an application as a user does, with `emp start` in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
UP_SECONDS = 60.0
"""For an application to come up, or to go down: far more than either takes."""


class Application:
    """A running application. Made by `application`."""

    def __init__(self, process: Process, runtime: Path) -> None:
        self.process, self.runtime = process, runtime
        self.output: list[str] = []
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            async with self._news:
                self.output.append(line.decode().rstrip("\n"))
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()

    @property
    def text(self) -> str:
        return "\n".join(self.output)

    async def says(self, what: str, since: int = 0) -> int:
        """Wait for a line with `what` after line `since`; returns the number of the next line."""
        try:
            async with asyncio.timeout(UP_SECONDS), self._news:
                while True:
                    for number, line in enumerate(self.output[since:], since):
                        if what in line:
                            return number + 1
                    if self._reader.done() or self.process.stdout.at_eof():  # type: ignore[union-attr]
                        break
                    await self._news.wait()
        except TimeoutError:
            pass
        raise AssertionError(f"the application never said {what!r}, but:\n{self.text}")

    async def admin(self, *arguments: str, expect: int = 0) -> str:
        """What `emp-admin` prints; fails when its exit code is not `expect`."""
        code, output = await command("actors.commands.admin", *arguments, runtime=self.runtime)
        assert code == expect, output
        return output

    async def actors(self) -> dict[str, dict[str, Any]]:
        """The rows of `emp-admin ps --json` by name."""
        return {row["name"]: row for row in json.loads(await self.admin("ps", "--json"))}

    async def ended(self) -> int:
        """Wait for the end; returns the exit code."""
        async with asyncio.timeout(UP_SECONDS):
            await self._reader
            return await self.process.wait()

    async def stop(self, number: int = signal.SIGINT) -> int:
        """Stop as Ctrl-C does; returns the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.ended()


def environment(runtime: Path) -> dict[str, str]:
    return {**os.environ, "EMP_RUNTIME_DIR": str(runtime), "PYTHONUNBUFFERED": "1"}


async def command(module: str, *arguments: str, runtime: Path) -> tuple[int, str]:
    """Run `python -m module arguments`; returns its exit code and output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", module, *arguments),
        stdout=PIPE,
        stderr=STDOUT,
        cwd=ROOT,
        env=environment(runtime),
    )
    output, _ = await asyncio.wait_for(process.communicate(), UP_SECONDS)
    return process.returncode or 0, output.decode()


@contextlib.asynccontextmanager
async def started(*arguments: str) -> AsyncIterator[Application]:
    """`emp start ARGUMENTS`, whatever becomes of it; killed at the end if it still runs."""
    with tempfile.TemporaryDirectory(prefix="emp-") as runtime:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "emp", "start", *arguments),
            stdout=PIPE,
            stderr=STDOUT,
            cwd=ROOT,
            env=environment(Path(runtime)),
            start_new_session=True,
        )
        application = Application(process, Path(runtime))
        try:
            yield application
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(TimeoutError, AssertionError):
                    await application.ended()
            if process.returncode is None:
                process.kill()
            await application.ended()
            process._transport.close()  # type: ignore[attr-defined]


@contextlib.asynccontextmanager
async def application(*arguments: str) -> AsyncIterator[Application]:
    """`emp start ARGUMENTS`, once it is up."""
    async with started(*arguments) as running:
        await running.says(" is up ")
        yield running
