"""The `emp` command: check and run applications, run the development server."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from actors import boot as booting
from actors import rundir
from actors.boot import Boot, Report
from actors.collecting import settle
from actors.commands.output import FAILED, call, complain, completion_script, run_command, say
from actors.commands.routes import routes
from actors.commands.say import say as saying
from actors.commands.server import server
from actors.lines import leave
from actors.logs import take_process
from actors.messages import AppRef
from actors.plan import make_plan
from actors.stopping import Stops
from emp import __version__
from emp import app as application
from emp.config import Config, SystemName, all_in_one
from emp.errors import ConfigError, EmpError
from emp.net.pems import examine

APP = click.Path(path_type=Path)

LEAVE = 2.0
"""Seconds for what is left of an application to end, when its actors have ended."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="emp")
def emp() -> None:
    """EMP: a framework for XMPP services.

    \b
    Examples:
      emp server                       a development server on this machine
      emp start apps/hack              run an application, in the foreground
      emp start hack.py --system multiproc
      emp say foo@localhost hello      talk to it, as a user of the development server
      emp check apps/hack              is everything right? connect to nothing
      emp routes apps/hack             which stanza goes where, and why
      emp-admin ps                     what runs, and how it is
    """


@emp.command()
@click.argument("path", type=APP)
@click.option("--config", type=APP, help="Configuration file instead of the application's own.")
@click.option(
    "--system",
    type=click.Choice(["embedded", "multiproc"]),
    help="Where actors live: all in one process, or a process each. Default: the configuration's.",
)
@click.option(
    "--loop",
    type=click.Choice(["auto", "asyncio", "uvloop"]),
    default="auto",
    show_default=True,
    help="Event loop of the embedded system; auto takes uvloop where it is installed.",
)
@click.option(
    "--quiet", is_flag=True, help="Print nothing but what goes wrong, and that to standard error."
)
def start(
    path: Path, config: Path | None, system: SystemName | None, loop: str, quiet: bool
) -> int:
    """Run the application at PATH until Ctrl-C, SIGTERM or SIGHUP.

    PATH is a folder, or a single .py file. A second signal stops at once.

    \b
    Examples:
      emp start apps/hack
      emp start apps/hack --config apps/hack/component.toml
      emp start apps/hack --system multiproc
    """
    if config is not None and not os.path.isfile(config):
        raise ConfigError(f"there is no configuration file {config}")
    take_process()
    runner = asyncio.Runner(loop_factory=_loop_factory(path, config, system, loop))
    try:
        return runner.run(_start(path, config, system, quiet))
    finally:
        _close(runner, sys.exception())


def _close(runner: asyncio.Runner, error: BaseException | None) -> None:
    """End the loop, which waits for tasks and threads that the application has left going: those
    that refuse to end must not keep the process."""
    watchdog = threading.Timer(LEAVE, _leave, [error])
    watchdog.daemon = True
    watchdog.start()
    try:
        runner.close()
    finally:
        watchdog.cancel()


def _leave(error: BaseException | None) -> None:
    if isinstance(error, EmpError):
        complain(error)
    call(("stopping: tasks or threads of the application do not end", "yellow"), err=True)
    leave(FAILED)


def _loop_factory(path: Path, config: Path | None, system: SystemName | None, loop: str) -> Any:
    """uvloop for the embedded system; the processes of multiproc bring loops of their own."""
    if loop == "asyncio" or system == "multiproc":
        return None
    try:
        import uvloop
    except ImportError:
        if loop == "uvloop":
            message = "uvloop is not installed: pip install uvloop"
            raise click.UsageError(message) from None
        return None
    return uvloop.new_event_loop


async def _start(path: Path, config: Path | None, system: SystemName | None, quiet: bool) -> int:
    boot = Boot(path, config, system)
    stops = Stops(boot.stop_requested.set, partial(_kill, boot), _hush if quiet else _warn)
    report = _report_faults if quiet else _report
    began = time.perf_counter()
    code = 0
    try:
        await booting.boot_up(boot, report)
        settle()
        if not boot.stop_requested.is_set() and boot.plan is not None:
            seconds = time.perf_counter() - began
            if not quiet:
                call(f"{boot.plan.app_name} is up ({seconds:.2f} s). Ctrl-C stops it.", bold=True)
            await _watch(boot, report)
    except TimeoutError:
        raise EmpError("the supervisor is gone or hung; everything was stopped") from None
    finally:
        killed = await boot.shut_down()
        stops.close()
        for what in killed:
            _warn(f"stopping: {what}")
            code = FAILED
    if not quiet:
        call("stopped")
    return code


async def _watch(boot: Boot, report: Callable[[Report], None]) -> None:
    """Show what goes wrong while the application runs; return when it shall stop."""
    gone: set[str] = set()
    everybody = {spec.name for spec in boot.plan.connections} if boot.plan else set()
    async for event in boot.events(booting.POLL_RUNNING):
        booting.show(event, report)
        if event.kind == "connected":  # the operator has helped
            gone.discard(event.name)
        if event.kind == "failed":
            gone.add(event.name)
            failure = booting.failure(event)
            if event.name not in everybody or gone >= everybody:
                raise failure
            call((f"error: {failure}", "red"), err=True)


def _kill(boot: Boot) -> None:
    """What must not be left behind by a process that ends at once."""
    if boot.system is not None:
        boot.system.kill()
    if boot.run is not None:
        rundir.remove(boot.run)


def _warn(text: str) -> None:
    call((text, "yellow"), err=True)


def _hush(text: str) -> None:
    pass


def _report(report: Report) -> None:
    _print_report(report, err=False)


def _report_faults(report: Report) -> None:
    """Standard output is for nobody, then."""
    if not report.ok:
        _print_report(report, err=True)


def _print_report(report: Report, err: bool) -> None:
    mark = ("✓", "green") if report.ok else ("!", "yellow")
    spent = f"{report.seconds * 1000:6.0f} ms" if report.seconds is not None else " " * 9
    call("  ", mark, f" {report.name:<24}{spent}   {report.detail}", err=err)


@emp.command()
@click.argument("path", type=APP)
@click.option("--config", type=APP, help="Configuration file instead of the application's own.")
def check(path: Path, config: Path | None) -> None:
    """Read the configuration, the routes and the components of PATH; connect to nothing.

    All mistakes are told, with file and line; the exit code is then 2. Certificates and keys are
    opened. What works today and may not tomorrow (a certificate that ends soon, a key that others
    can read) is a warning, and the exit code stays 0.

    \b
    Examples:
      emp check apps/hack
      emp check hack.py --config production.toml
    """
    app = application.load(path, config)
    plan = make_plan(app, AppRef(str(path), str(config) if config else None))
    _examine_files(app.config)
    for spec in plan.connections:
        say(f"connection  {spec.name}: {spec.settings.kind} {spec.settings.address}")
    for component in plan.components:
        say(f"component   {component.name}: {component.reference}")
    for route in app.table.routes:
        where = Path(route.source).name
        say(f"route       {route.xpath} → {route.component.__name__}.{route.action} ({where})")
    say(("all right", "green"))


def _examine_files(config: Config) -> None:
    """Print warnings about certificates and keys. Raises ConfigError for what cannot work."""
    mistakes = []
    for settings in config.connections:
        for key, message, remedy, fatal in examine(settings):
            told = config.error(message, "connections", settings.name, key, remedy=remedy)
            if fatal:
                mistakes.append(told)
            else:
                click.secho(f"warning: {told}", fg="yellow", err=True)
    if mistakes:
        raise all_in_one(mistakes)


@emp.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes the words of emp in SHELL.

    \b
    Example:
      emp completion bash > ~/.local/share/bash-completion/completions/emp
    """
    click.echo(completion_script(emp, "emp", shell))


emp.add_command(routes)
emp.add_command(server)
emp.add_command(saying)


def run() -> int:
    """Entry point; returns the exit code."""
    return run_command(emp, "emp")


if __name__ == "__main__":
    sys.exit(run())
