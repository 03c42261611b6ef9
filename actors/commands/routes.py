"""`emp routes`: the routes of an application, and why a stanza goes where it goes."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from actors.commands.output import FAILED, say_json, table
from actors.messages import AppRef, ConnectionSpec
from actors.plan import make_plan
from emp import app as application
from emp import ns
from emp.app import App
from emp.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from emp.names import twin
from emp.printable import printable
from emp.routing.explain import Explanation, as_json, explain, route_as_json, text
from emp.routing.table import ALWAYS, Route, RouteTable
from emp.stanza import Stanza
from emp.xml import parse

STANDARD_INPUT: Final = "-"

_DECLARATION: Final = re.compile(rb"\A(\xef\xbb\xbf)?\s*(<\?xml\s[^>]*\?>)?")


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Configuration file instead of the application's own.",
)
@click.option(
    "--match", "file", metavar="FILE", help="Explain what becomes of the stanzas in FILE (- stdin)."
)
@click.option(
    "--connection",
    metavar="NAME",
    help="By which connection the stanzas came. Default: the first of the configuration.",
)
@click.option("--json", "for_programs", is_flag=True, help="Print JSON.")
def routes(
    path: Path, config: Path | None, file: str | None, connection: str | None, for_programs: bool
) -> int:
    """List the routes of the application at PATH; connect to nothing.

    With --match, say step by step which route catches a stanza, why the routes before it do not,
    and what its action is given. Stanzas are written as XML, with or without xmlns="jabber:client".
    No action is called, but guards (if_=) are. Exit code: 0 if all stanzas are routed, 1 if one is
    not.

    \b
    Examples:
      emp routes apps/hack
      emp routes apps/hack --json
      emp routes apps/hack --match stanza.xml
      echo "<message type='chat'><body>hi</body></message>" | emp routes apps/hack --match -
      emp routes myapp --match stanza.xml --connection main
    """
    if connection is not None and file is None:
        message = "--connection says by which connection a stanza came: it needs --match FILE"
        raise click.UsageError(message)
    app = application.load(path, config)
    if file is None:
        _list(app, for_programs)
        return 0
    specs = _specs(app, AppRef(str(path), str(config) if config else None), connection)
    stanzas = read_stanzas(*_content(file))
    found = [_explained(app.table, stanza, specs) for stanza in stanzas]
    if for_programs:
        rows = [{"connection": spec.name, **as_json(each)} for spec, each in found]
        say_json(rows, indent=2)
    else:
        click.echo("\n\n".join(_told(spec, each) for spec, each in found))
    return 0 if all(each.match is not None for _, each in found) else FAILED


# -- the list -------------------------------------------------------------------------------------


def _list(app: App, for_programs: bool) -> None:
    routes, census = app.table.routes, app.table.census()
    if for_programs:
        content: dict[str, Any] = {
            "routes": [route_as_json(route) for route in routes],
            "census": dict(census),
            "always": app.table.always,
        }
        say_json(content, indent=2)
        return
    head = ("NO.", "ACTION", "WHERE", "FOUND BY", "ONLY", "XPATH")
    click.echo(table([_row(route, app.directory) for route in routes], head))
    ranked = sorted(census.items(), key=lambda entry: (-entry[1], entry[0]))
    many = "1 route" if len(routes) == 1 else f"{len(routes)} routes"
    click.echo(f"\n{many}, {app.table.always} of them asked for every stanza of their kind")
    for indexed, count in ranked:
        click.echo(f"  {count:>6} by {indexed}" if indexed != ALWAYS else f"  {count:>6} {indexed}")


def _row(route: Route, directory: Path) -> tuple[str, ...]:
    file = Path(route.file)
    where = file.relative_to(directory) if file.is_relative_to(directory) else file
    only = {
        "connection": route.connection,
        "resource": route.resource,
        "if": route.guard,
        "fallback": "" if route.fallback else None,
    }
    return (
        str(route.number),
        f"{route.component.__name__}.{route.action}",
        f"{where}:{route.line}",
        route.indexed,
        ", ".join(f"{name} {value}".strip() for name, value in only.items() if value is not None),
        route.xpath,
    )


# -- one stanza -----------------------------------------------------------------------------------


def _specs(app: App, where: AppRef, name: str | None) -> Sequence[ConnectionSpec]:
    """The connections that the stanzas may have come by: those of one table of the configuration.

    Raises ConfigError.
    """
    specs = make_plan(app, where).connections
    wanted = specs[0].settings.name if name is None else name
    found = [spec for spec in specs if wanted in (spec.name, spec.settings.name)]
    if not found:
        names = ", ".join(dict.fromkeys(spec.settings.name for spec in specs))
        raise ConfigError(
            f"there is no connection {name!r}", file=app.config.file, remedy=f"There are: {names}"
        )
    return found


def _explained(
    routes: RouteTable, stanza: Stanza, specs: Sequence[ConnectionSpec]
) -> tuple[ConnectionSpec, Explanation]:
    """Of an account with a connection for each resource, that which the stanza is addressed to."""
    resource = (stanza.to_text or "").partition("/")[2]
    spec = next((spec for spec in specs if spec.resource == resource), specs[0])
    component = spec.settings.kind == "component"
    return spec, explain(routes, stanza, spec.resource, component, spec.settings.name)


def _told(spec: ConnectionSpec, explanation: Explanation) -> str:
    first, *rest = text(explanation).split("\n")
    by = f"by connection {spec.name} ({spec.settings.kind} {spec.settings.address})"
    return "\n".join([click.style(printable(first), bold=True), *map(printable, (by, *rest))])


def _content(file: str) -> tuple[bytes, str]:
    """What stands in the file, and its name for people."""
    if file == STANDARD_INPUT:
        return sys.stdin.buffer.read(), "standard input"
    try:
        return Path(file).read_bytes(), file
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=file) from None


def read_stanzas(content: bytes, file: str) -> list[Stanza]:
    """The stanzas that stand in the content one after the other. file: its name, for errors.

    Raises ConfigError.
    """
    declared = _DECLARATION.match(content)
    if declared is not None:  # it must come first in XML, and here it will not
        content = b"\n" * declared[0].count(b"\n") + content[declared.end() :]
    try:
        root = parse(b'<stanzas xmlns="%b">%b</stanzas>' % (ns.CLIENT.encode(), content))
    except RemoteProtocolError as error:
        raise ConfigError(f"is no XML: {error.text}", file=file) from None
    if not len(root):
        raise ConfigError("has no stanza", file=file, remedy="Write <message>…</message>")
    if (root.text or "").strip() or any((child.tail or "").strip() for child in root):
        raise ConfigError("has text outside of a stanza", file=file)
    try:
        return [Stanza.from_element(twin(child)) for child in root]
    except LocalProtocolError as error:
        raise ConfigError(
            str(error), file=file, remedy="Stanzas are message, presence and iq in jabber:client"
        ) from None
