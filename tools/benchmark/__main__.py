"""The command line of tools/bench."""

import argparse
import dataclasses
import json
import signal
import sys
import types
from collections.abc import Callable
from typing import Any, NamedTuple

from tools.benchmark import commands
from tools.benchmark.errors import BenchError
from tools.benchmark.options import Parser
from tools.benchmark.report import machine


class Command(NamedTuple):
    """One benchmark. `run` gives its result as an object for JSON and as text."""

    help: str
    examples: str
    options: Callable[[Parser], None]
    run: Callable[[argparse.Namespace], tuple[dict[str, Any], str]]


COMMANDS = {
    "echo": Command(
        "answer 300-byte chat messages as an XEP-0114 component",
        """\
  tools/bench echo                                   every peer, three runs: about three minutes
  tools/bench echo --peers emp,xmpp.js --runs 5
  tools/bench echo --stanzas 200000 --json > echo.json
  tools/bench echo --peers emp --in-flight 16        latency with 16 messages on their way
""",
        commands.echo_options,
        commands.echo,
    ),
    "routes": Command(
        "the same with up to 10,000 routes, of which the last matches",
        """\
  tools/bench routes                                 all sorts and sizes, two runs: ten minutes
  tools/bench routes --sorts from --routes 1,1000 --peers emp,twisted
  tools/bench routes --seconds 5 --runs 3 --json > routes.json
""",
        commands.routes_options,
        commands.routes,
    ),
    "blocking": Command(
        "the latency of an echo beside actions that sleep in all threads",
        """\
  tools/bench blocking                               both systems, three runs: about a minute
  tools/bench blocking --systems embedded --round-trips 20000
  tools/bench blocking --json > blocking.json
""",
        commands.blocking_options,
        commands.blocking,
    ),
}

FOOT = """
Peers run in turns on the same machine; figures are medians over the runs. Close what else
uses the processor: absolute figures are worth little, the ratios of one run are what counts.
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs a benchmark. Returns the exit code: 0; 1 when it failed; 130 when interrupted."""
    options = parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):  # a background job is born with SIGINT ignored
        signal.signal(number, _interrupt)
    here = machine()
    try:
        result, text = COMMANDS[options.kind].run(options)
    except BenchError as error:
        print(f"bench: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    if options.json:
        print(json.dumps({"machine": here, **result}, indent=2, default=dataclasses.asdict))
    else:
        print("\n".join(f"{name}: {value}" for name, value in here.items()), text, sep="\n\n")
    return 0


def parser() -> Parser:
    """What all benchmarks have for options."""
    everything = "examples:\n" + "".join(command.examples for command in COMMANDS.values())
    result = Parser(
        prog="tools/bench",
        description="Measures EMP and other XMPP libraries under the same load.",
        epilog=everything + FOOT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = result.add_subparsers(dest="kind", required=True, metavar="BENCHMARK")
    for name, command in COMMANDS.items():
        kind = kinds.add_parser(
            name,
            help=command.help,
            epilog=f"examples:\n{command.examples}{FOOT}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.options(kind)
    return result


def _interrupt(_signal: int, _frame: types.FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
