"""`emp server`: the development server by itself."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import click

from actors.commands.output import call
from emp.devserver import DevServer
from emp.errors import ConfigError

DIRECTORY = Path("~/.local/state/emp/server")
"""Where the certificate is kept from run to run, so that clients need to trust it only once."""


PORT = click.IntRange(0, 65535)

DIRECTORY_OPTION = click.option(
    "--directory",
    type=click.Path(path_type=Path),
    default=DIRECTORY,
    show_default=True,
    help="Where the server's certificate is.",
)


@click.command()
@click.option("--domain", default="localhost", show_default=True, help="The XMPP domain.")
@click.option(
    "--port", type=PORT, default=5222, show_default=True, help="For clients; 0: any free one."
)
@click.option(
    "--component-port",
    type=PORT,
    default=5347,
    show_default=True,
    help="For components (XEP-0114); 0: any free one.",
)
@click.option("--direct-port", type=PORT, help="For clients with TLS from the first byte.")
@click.option("--websocket-port", type=PORT, help="For clients over WebSocket.")
@click.option("--component-tls", is_flag=True, help="Components speak TLS from the first byte.")
@click.option(
    "--account",
    "accounts",
    metavar="USER:PASSWORD",
    multiple=True,
    default=("foo:foo", "bar:bar"),
    show_default=True,
    help="An account; may be repeated.",
)
@click.option(
    "--component",
    "components",
    metavar="DOMAIN:SECRET",
    multiple=True,
    default=("hack.localhost:secret", "tweeter.localhost:secret"),
    show_default=True,
    help="A component; may be repeated.",
)
@DIRECTORY_OPTION
@click.option("--show", is_flag=True, help="Print every stanza.")
def server(
    domain: str,
    port: int,
    component_port: int,
    direct_port: int | None,
    websocket_port: int | None,
    component_tls: bool,
    accounts: tuple[str, ...],
    components: tuple[str, ...],
    directory: Path,
    show: bool,
) -> None:
    """Run an XMPP server for development, on this machine only, until Ctrl-C.

    It keeps nothing, and talks to no other server.

    \b
    Examples:
      emp server
      emp server --account alice:wonder --account bob:builder --show
      emp server --component echo.localhost:secret --port 0
      emp server --direct-port 5223 --websocket-port 5281
    """
    development = DevServer(
        domain,
        directory=directory.expanduser(),
        port=port,
        component_port=component_port,
        direct_port=direct_port,
        websocket_port=websocket_port,
        component_tls=component_tls,
        accounts=dict(pair(account, "USER:PASSWORD") for account in accounts),
        components=dict(pair(component, "DOMAIN:SECRET") for component in components),
        tap=_show if show else _show_nothing,
    )
    asyncio.run(_serve(development, accounts, components))


def pair(text: str, form: str) -> tuple[str, str]:
    name, colon, secret = text.partition(":")
    if not name or not colon or not secret:
        raise ConfigError(f"{text!r} has not the form {form}")
    return name, secret


async def _serve(
    development: DevServer, accounts: tuple[str, ...], components: tuple[str, ...]
) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    await development.start()
    host = f"[{development.host}]" if ":" in development.host else development.host
    call(f"XMPP server for {development.domain}", bold=True)
    call(f"  clients      {host}:{development.port}, STARTTLS")
    if development.direct_port is not None:
        call(f"  clients      {host}:{development.direct_port}, TLS from the first byte")
    if development.websocket_port is not None:
        call(f"  clients      {development.websocket}")
    tls = ", TLS from the first byte" if development.component_tls else ""
    call(f"  components   {host}:{development.component_port}{tls}")
    call(f"  accounts     {', '.join(accounts)}")
    call(f"  domains      {', '.join(components)}")
    call(f"  trust        {development.ca_file}")
    call("Ctrl-C stops it.")
    await stop.wait()
    await development.stop()
    call("stopped")


def _show(direction: str, jid: str, stanza: bytes) -> None:
    arrow = ("→ server", "cyan") if direction == "in" else ("←", "green")
    call(jid, " ", arrow, f" {stanza.decode(errors='replace')}")


def _show_nothing(direction: str, jid: str, stanza: bytes) -> None:
    pass
