"""`python -m tools.servers prosody|ejabberd`: one private server in the foreground."""

import argparse
import signal
import sys
import types

from tools.servers import Server, ServerError, ejabberd, prosody

KINDS = {"prosody": prosody, "ejabberd": ejabberd}


def main(arguments: list[str] | None = None) -> int:
    """Runs the server until Ctrl-C or SIGTERM (exit code 0) or its own end (exit code 1)."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.servers",
        description="Runs a private XMPP server on free loopback ports until Ctrl-C.",
    )
    parser.add_argument("kind", choices=sorted(KINDS), help="which server to run")
    parser.add_argument("--load", action="store_true", help="limits widened for load, not stock")
    chosen = parser.parse_args(arguments)
    kind = chosen.kind
    for number in (signal.SIGINT, signal.SIGTERM):  # a background job is born with SIGINT ignored
        signal.signal(number, _interrupt)
    print(f"starting {kind} …", flush=True)
    try:
        with KINDS[kind](load=chosen.load) as server:
            print(how_to_connect(server), flush=True)
            code = server.wait()
            print(f"{kind} ended by itself with code {code}\n{server.log()}", file=sys.stderr)
            return 1
    except KeyboardInterrupt:
        print(f"\n{kind} stopped")
        return 0
    except ServerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def how_to_connect(server: Server) -> str:
    """What someone with a client or a component in hand has to know about this server."""
    users = "\n".join(
        f"    {user}@{server.domain}  {server.account(user)}" for user in server.users
    )
    return f"""\
{server.name} is ready (process {server.pid})
  clients     {server.host}:{server.client_port}, STARTTLS, certificate for {server.domain}
              {server.host}:{server.direct_port}, TLS; {server.websocket}
  authority   {server.ca_file}
  components  {server.host}:{server.component_port}, secret {server.component_secret}
    {", ".join(server.components)}
  rooms       {server.conference}
  accounts and passwords
{users}
Ctrl-C stops it and removes everything."""


def _interrupt(_signal: int, _frame: types.FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
