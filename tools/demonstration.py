"""The demonstration behind tools/demo: a server, the hack application, and a user who talks to it.

Everything is real: the embedded server has a certificate and accounts, `emp start` runs the
application in a process of its own, and the user logs in with TLS and SCRAM.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from emp.config import ConnectionSettings
from emp.devserver import DevServer
from emp.errors import EmpError
from emp.net import XMPPStream, open_stream
from emp.stanza import Message, Stanza

ROOT = Path(__file__).resolve().parents[1]
UP = 60.0
"""Seconds for the application to come up: far more than it takes."""

ANSWER = 10.0
"""Seconds for the answer to a message."""

LINES = ("Hello, is anybody there?", "What do you do all day?", "Thank you!")
KEPT_PORT, KEPT_COMPONENT_PORT = 5222, 5347
WHO = {"bar@localhost": "magenta", "foo@localhost": "cyan"}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--system",
    type=click.Choice(["embedded", "multiproc"]),
    default="embedded",
    show_default=True,
    help="All actors in one process, or a process each.",
)
@click.option("--keep", is_flag=True, help="Stay up afterwards, for a client of your own.")
def demo(system: str, keep: bool) -> None:
    """Run the hack application on the embedded server and talk to it.

    \b
    Examples:
      tools/demo
      tools/demo --system multiproc
      tools/demo --keep
    """
    began = time.perf_counter()
    directory = Path(tempfile.mkdtemp(prefix="emp-demo-"))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        asyncio.run(_Demo(directory, system, keep).run())
    except EmpError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(130)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    click.secho(f"All of that took {time.perf_counter() - began:.1f} s.", dim=True)


class _Demo:
    def __init__(self, directory: Path, system: str, keep: bool) -> None:
        self.directory, self.system, self.keep = directory, system, keep
        self.heard: asyncio.Queue[Stanza] = asyncio.Queue()

    async def run(self) -> None:
        server = DevServer(
            "localhost",
            directory=self.directory,
            port=KEPT_PORT if self.keep else 0,
            component_port=KEPT_COMPONENT_PORT if self.keep else 0,
            accounts={"foo": "foo", "bar": "bar"},
            components={"hack.localhost": "secret"},
            tap=_show,
        )
        await server.start()
        try:
            await self._with_server(server)
        finally:
            await server.stop()

    async def _with_server(self, server: DevServer) -> None:
        _title(f"The embedded server listens on 127.0.0.1:{server.port}")
        _title(f"emp start apps/hack --system {self.system}")
        application = await self._start_application(server)
        try:
            await self._chat(server)
            if self.keep:
                await self._wait(server)
        finally:
            await self._stop(application)

    async def _start_application(self, server: DevServer) -> Process:
        config = self.directory / "hack.toml"
        config.write_text(
            "[connections.hack]\n"
            'kind = "client"\nnode = "foo"\nhost = "localhost"\npassword = "foo"\n'
            f'server = "127.0.0.1"\nport = {server.port}\nca_file = "{server.ca_file}"\n'
        )
        command = ["-m", "emp", "start", "apps/hack", "--config", str(config)]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            "--system",
            self.system,
            cwd=ROOT,
            stdout=PIPE,
            start_new_session=True,  # Ctrl-C is for the demonstration, which stops it in order
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            async with asyncio.timeout(UP):
                while line := await _line(process):
                    click.echo(line)
                    if " is up " in line:
                        return process
        except TimeoutError:
            process.kill()
            raise EmpError(f"the application did not come up within {UP:g} s") from None
        raise EmpError(f"the application ended with exit code {await process.wait()}")

    async def _chat(self, server: DevServer) -> None:
        settings = ConnectionSettings(
            name="bar",
            kind="client",
            node="bar",
            host="localhost",
            password="bar",
            server="127.0.0.1",
            port=server.port,
            ca_file=server.ca_file,
        )
        _title("bar@localhost logs in and talks to foo@localhost/hack")
        user = await open_stream(settings, _User(self.heard))
        for line in LINES:
            await self._say(user, line)
        await user.close(ANSWER)

    async def _say(self, user: XMPPStream, line: str) -> None:
        user.send([Message("foo@localhost/hack", line, type="chat")])
        try:
            async with asyncio.timeout(ANSWER):
                while True:
                    stanza = await self.heard.get()
                    if isinstance(stanza, Message) and stanza.body:
                        break
        except TimeoutError:
            raise EmpError(f"no answer to {line!r} within {ANSWER:g} s") from None
        click.secho(f"\n    bar:  {line}", bold=True)
        click.secho(f"    hack: {stanza.body}\n", bold=True, fg="green")

    async def _wait(self, server: DevServer) -> None:
        _title("Your turn")
        click.echo(
            f"  With any XMPP client: account bar@localhost, password bar, server 127.0.0.1, port\n"
            f"  {server.port}, STARTTLS; trust {server.ca_file}\n"
            "  (or accept the certificate when the client asks), and write to foo@localhost/hack.\n"
            "  In another terminal: .venv/bin/emp-admin ps\n"
            "  Ctrl-C ends it."
        )
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop.set)
        await stop.wait()

    async def _stop(self, application: Process) -> None:
        if application.returncode is None:
            _title("Ctrl-C")
            application.send_signal(signal.SIGINT)
            while line := await _line(application):
                click.echo(line)
        code = await application.wait()
        click.echo(f"emp start ended with exit code {code}")
        if code:
            raise EmpError(f"the application ended with exit code {code}")


class _User:
    """The sink of the user's stream."""

    def __init__(self, heard: asyncio.Queue[Stanza]) -> None:
        self.heard = heard

    def stanzas_received(self, stanzas: list[Stanza]) -> None:
        for stanza in stanzas:
            self.heard.put_nowait(stanza)

    def stream_lost(self, error: EmpError | None) -> None:
        pass

    def write_paused(self) -> None:
        pass

    def write_resumed(self) -> None:
        pass


async def _line(process: Process) -> str:
    if process.stdout is None:
        return ""
    return (await process.stdout.readline()).decode(errors="replace").rstrip("\n")


def _title(text: str) -> None:
    click.secho(f"\n── {text} ".ljust(80, "─"), fg="yellow")


def _show(direction: str, jid: str, stanza: bytes) -> None:
    """Print a stanza as the server sees it pass."""
    colour = WHO.get(jid.partition("/")[0], "white")
    arrow = "→" if direction == "in" else "←"
    click.secho(f"{jid or 'somebody':<22}{arrow} ", fg=colour, nl=False)
    click.echo(stanza.decode(errors="replace"))


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    demo(prog_name="tools/demo")
