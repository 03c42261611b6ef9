"""The `emp-admin` command: watch and steer running applications."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from actors import control, rundir
from actors.commands.output import FAILED, completion_script, run_command, say, say_json, table
from actors.rundir import Run
from emp import __version__
from emp.errors import ConfigError, EmpError

WELL = {"connection": "connected"}
"""Kind of an actor → its state when it is well; all others are running."""

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="emp-admin")
@click.option(
    "--app", metavar="NAME", help="Which application, when several run: NAME or NAME-PID."
)
@click.pass_context
def admin(context: click.Context, app: str | None) -> None:
    """Watch and steer the EMP applications that run under your account.

    \b
    Examples:
      emp-admin list                          which applications run
      emp-admin ps                            their actors
      emp-admin ps --check                    exit with 1 unless all is well
      emp-admin tree --json | jq .
      emp-admin inspect hack
      emp-admin spawn hack:Hackity            one more worker
      emp-admin spawn extra:Logger --route '/message' --action log
      emp-admin reload                        use the routes as their file is now
      emp-admin reconnect main                connect now, or anew
      emp-admin stop Hackity-2                stop one actor
      emp-admin stop                          stop the application
    """
    context.obj = app


@admin.command("list")
@JSON
def list_applications(as_json: bool) -> None:
    """List the applications that run."""
    runs = rundir.running()
    if as_json:
        rows = [{"app": r.app, "pid": r.pid, "system": r.system, "path": r.path} for r in runs]
        say_json(rows, indent=2)
    elif not runs:
        say("no application runs")
    else:
        rows_text = [[f"{r.app}-{r.pid}", r.system, r.path] for r in runs]
        click.echo(table(rows_text, ["APPLICATION", "SYSTEM", "PATH"]))


@admin.command()
@JSON
@click.option("--check", is_flag=True, help="Exit with 1 unless all of them are well.")
@click.pass_obj
def ps(app: str | None, as_json: bool, check: bool) -> int:
    """List the actors, one line each.

    \b
    Exit code with --check:
      0  all are well: running, and the connections connected
      1  one is not, or the application does not run or does not answer
      2  a mistake in the command, or several applications run and --app is missing
    """
    actors = _ask(app, {"command": "actors"})["actors"]
    if as_json:
        say_json(actors, indent=2)
    else:
        _list_actors(actors)
    ill = [actor for actor in actors if actor["state"] != WELL.get(actor["kind"], "running")]
    for actor in ill if check else ():
        detail = f": {actor['detail']}" if actor["detail"] else ""
        say((f"not well: {actor['name']} is {actor['state']}{detail}", "red"), err=True)
    return FAILED if check and ill else 0


def _list_actors(actors: list[dict[str, Any]]) -> None:
    rows = [
        [
            actor["name"],
            actor["kind"],
            str(actor["pid"] or "-"),
            actor["state"],
            _ago(actor["since"]),
            str(actor["restarts"]),
            actor["detail"],
        ]
        for actor in actors
    ]
    head = ["NAME", "KIND", "PID", "STATE", "SINCE", "RESTARTS", "DETAIL"]
    click.echo(table(rows, head))


@admin.command()
@JSON
@click.pass_obj
def tree(app: str | None, as_json: bool) -> None:
    """Show who supervises whom."""
    actors = _ask(app, {"command": "actors"})["actors"]
    roots = _children(actors, None)
    if as_json:
        say_json(roots, indent=2)
        return
    for root in roots:
        _draw(root, "", "")


def _children(actors: list[dict[str, Any]], parent: str | None) -> list[dict[str, Any]]:
    return [
        {**actor, "children": _children(actors, actor["name"])}
        for actor in actors
        if actor["parent"] == parent
    ]


def _draw(actor: dict[str, Any], first: str, rest: str) -> None:
    detail = f": {actor['detail']}" if actor["detail"] else ""
    state = f"{actor['state']}{detail}"
    say(f"{first}{actor['name']} ({actor['kind']}, pid {actor['pid'] or '-'}) {state}")
    for index, child in enumerate(actor["children"]):
        last = index == len(actor["children"]) - 1
        _draw(child, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "))


@admin.command()
@click.argument("actor")
@JSON
@click.pass_obj
def inspect(app: str | None, actor: str, as_json: bool) -> None:
    """Ask ACTOR what it is doing, and show what it answers."""
    facts = _ask(app, {"command": "inspect", "actor": actor})["facts"]
    if as_json:
        say_json(facts, indent=2)
        return
    width = max(map(len, facts), default=0)
    for key, value in facts.items():
        say(f"{key.ljust(width)}  {_shown(key, value)}")


def _shown(key: str, value: Any) -> str:
    if key == "since" and isinstance(value, int | float):
        return f"{_ago(value)} ago"
    if key == "uptime" and isinstance(value, float):
        return f"{value:.1f} s"
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)


@admin.command()
@click.argument("component", metavar="MODULE:CLASS")
@click.option("--name", help="Name of the actor; default: the class, numbered.")
@click.option("--route", "xpath", metavar="XPATH", help="Also route these stanzas to it …")
@click.option("--action", help="… to this method.")
@JSON
@click.pass_obj
def spawn(
    app: str | None,
    component: str,
    name: str | None,
    xpath: str | None,
    action: str | None,
    as_json: bool,
) -> None:
    """Start one more component actor, supervised like the others.

    A class that the routes file names gets a share of its stanzas: one sender always stays with one
    worker. A class that is new needs --route and --action; its route comes after all others.

    \b
    Examples:
      emp-admin spawn hack:Hackity
      emp-admin spawn extra:Logger --route "/message[@type='groupchat']" --action log
    """
    if (xpath is None) != (action is None):
        raise click.UsageError("--route and --action go together")
    if name is None:
        taken = {actor["name"] for actor in _ask(app, {"command": "actors"})["actors"]}
        base = component.rpartition(":")[2].rpartition(".")[2]
        name = next(n for n in _numbered(base) if n not in taken)
    routes = [[xpath, action]] if xpath is not None else []
    command = {"command": "spawn", "name": name, "reference": component, "routes": routes}
    _ask(app, command)
    _done(as_json, {"name": name}, f"{name} runs")


def _numbered(base: str) -> Any:
    yield base
    number = 2
    while True:
        yield f"{base}-{number}"
        number += 1


@admin.command()
@JSON
@click.pass_obj
def reload(app: str | None, as_json: bool) -> None:
    """Read the routes' file anew and use it from now on.

    Stanzas that are on their way are handled as before, and none is lost. When anything is wrong
    with the routes or the configuration, all mistakes are shown and nothing changes. Components
    that are new are started. Classes that run already stay as they are: new code in them, and other
    connections, need a restart.
    """
    answer = _ask(app, {"command": "reload"})
    if as_json:
        say_json(answer)
        return
    count = answer["routes"]
    say("1 route is in use" if count == 1 else f"{count} routes are in use")
    if answer["started"]:
        say(f"started: {', '.join(answer['started'])}")
    if answer["idle"]:
        names = ", ".join(answer["idle"])
        say(f"no route leads to them any more, and they keep running: {names}")


@admin.command()
@click.argument("connection")
@JSON
@click.pass_obj
def reconnect(app: str | None, connection: str, as_json: bool) -> None:
    """Connect CONNECTION now.

    What waits to try again, or has given up, tries at once; what is connected says good-bye and
    connects anew. `emp-admin ps` shows what becomes of it.
    """
    _ask(app, {"command": "reconnect", "actor": connection})
    _done(as_json, {"reconnecting": connection}, f"{connection} reconnects")


@admin.command()
@click.argument("actor", required=False)
@JSON
@click.pass_obj
def stop(app: str | None, actor: str | None, as_json: bool) -> None:
    """Stop ACTOR for good; without ACTOR stop the whole application, in order."""
    if actor is None:
        run = _choose(app)
        _ask(app, {"command": "stop"})
        while any(other.pid == run.pid for other in rundir.running()):
            time.sleep(0.05)
        done = f"{run.app}-{run.pid}"
    else:
        _ask(app, {"command": "stop-actor", "actor": actor})
        done = actor
    _done(as_json, {"stopped": done}, f"{done} is stopped")


@admin.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes the words of emp-admin in SHELL."""
    click.echo(completion_script(admin, "emp-admin", shell))


def _done(as_json: bool, facts: dict[str, str], text: str) -> None:
    if as_json:
        say_json(facts)
    else:
        say(text)


def _choose(name: str | None) -> Run:
    """The run that is meant. Raises ConfigError when that is not clear."""
    runs = rundir.running()
    if name is not None:
        runs = [run for run in runs if name in (run.app, f"{run.app}-{run.pid}")]
    if len(runs) == 1:
        return runs[0]
    if not runs:
        what = f"no application {name!r} runs" if name else "no application runs"
        raise EmpError(f"{what} under your account; `emp-admin list` shows those that do")
    names = ", ".join(f"{run.app}-{run.pid}" for run in runs)
    raise ConfigError(f"several applications run: {names}", remedy="choose one with --app")


def _ask(name: str | None, command: dict[str, Any]) -> dict[str, Any]:
    run = _choose(name)
    try:
        answer = control.request(run.socket, command)
    except control.BusyError as error:
        raise EmpError(
            f"{run.app}-{run.pid} is busy: {error}, because an action computes or blocks. "
            "Make it `async def` or blocking = True, or run with --system multiproc; "
            f"`py-spy dump --pid {run.pid}` shows which"
        ) from None
    except control.NonsenseError as error:
        raise EmpError(
            f"what answers for {run.app}-{run.pid} cannot be understood: {error}. "
            "Is it of another version of EMP?"
        ) from None
    except TimeoutError:
        raise EmpError(f"{run.app}-{run.pid} does not answer: is it hung?") from None
    except OSError as error:
        raise EmpError(f"{run.app}-{run.pid} can't be reached: {error}") from None
    if "error" in answer:
        remedy = f". {answer['remedy']}" if answer.get("remedy") else ""
        raise EmpError(f"{answer['error']}{remedy}")
    return answer


def _ago(since: float) -> str:
    seconds = int(max(0.0, min(time.time() - since, time.time())))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def run() -> int:
    """Entry point; returns the exit code."""
    return run_command(admin, "emp-admin")


if __name__ == "__main__":
    raise SystemExit(run())
