"""The command line of tools/bench."""

import argparse
import dataclasses
import json
import signal
import sys
import types
from collections.abc import Callable

from tools.benchmark import echo
from tools.benchmark.errors import BenchError
from tools.benchmark.peers import PEERS
from tools.benchmark.report import Summary, machine, render
from tools.benchmark.stub import Load

EXAMPLES = """\
examples:
  tools/bench echo                                   every peer, three runs: about three minutes
  tools/bench echo --peers emp,xmpp.js --runs 5
  tools/bench echo --stanzas 200000 --json > echo.json
  tools/bench echo --peers emp --in-flight 16        latency with 16 messages on their way

Peers run in turns on the same machine; figures are medians over the runs. Close what else
uses the processor: absolute figures are worth little, the ratios of one run are what counts.
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs a benchmark. Returns the exit code: 0; 1 when it failed; 130 when interrupted."""
    options = _parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):  # a background job is born with SIGINT ignored
        signal.signal(number, _interrupt)
    load = Load(
        warm_up=options.warm_up,
        round_trips=options.round_trips,
        in_flight=options.in_flight,
        stanzas=options.stanzas,
        seconds=options.seconds,
    )
    here = machine()
    try:
        summaries = echo.run(options.peers, load, options.runs)
    except BenchError as error:
        print(f"bench: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    print(_json(here, load, options.runs, summaries) if options.json else _text(here, summaries))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/bench",
        description="Measures EMP and other XMPP libraries under the same load.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="BENCHMARK")
    kind = kinds.add_parser(
        "echo",
        help="answer 300-byte chat messages as an XEP-0114 component",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = Load()
    length = kind.add_mutually_exclusive_group()
    length.add_argument(
        *("--seconds",),
        type=_number(float, 0.01, 3600),
        default=default.seconds,
        help="length of the flood, until the last message is sent (default: %(default)g)",
    )
    length.add_argument(
        "--stanzas", type=_number(int, 1, 10**7), help="the flood is this many messages instead"
    )
    kind.add_argument(
        "--runs", type=_number(int, 1, 1000), default=3, help="for each peer (default: %(default)d)"
    )
    kind.add_argument(
        "--peers",
        type=_peers,
        default=list(PEERS),
        metavar="A,B",
        help=f"which, in which order (default: {','.join(PEERS)})",
    )
    kind.add_argument(
        *("--round-trips",),
        type=_number(int, 0, 10**6),
        default=default.round_trips,
        help="messages timed one by one before the flood (default: %(default)d)",
    )
    kind.add_argument(
        *("--in-flight",),
        type=_number(int, 1, 4096),
        default=default.in_flight,
        help="of these, how many are on their way at a time (default: %(default)d)",
    )
    kind.add_argument(
        *("--warm-up",),
        type=_number(int, 0, 10**7),
        default=default.warm_up,
        help="messages before anything is measured (default: %(default)d)",
    )
    kind.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def _number(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be from {low:g} to {high:g}")
        return value

    read.__name__ = "number"  # for argparse's message
    return read


def _peers(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in PEERS:
            raise argparse.ArgumentTypeError(f"no peer {name!r}: there are {', '.join(PEERS)}")
    if not names or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError("name each peer once")
    return names


def _text(here: dict[str, str], summaries: list[Summary]) -> str:
    described = "\n".join(f"{name}: {value}" for name, value in here.items())
    return f"{described}\n\n{render(summaries)}"


def _json(here: dict[str, str], load: Load, runs: int, summaries: list[Summary]) -> str:
    return json.dumps(
        {
            "machine": here,
            "load": dataclasses.asdict(load),
            "runs": runs,
            "peers": [dataclasses.asdict(summary) for summary in summaries],
        },
        indent=2,
    )


def _interrupt(_signal: int, _frame: types.FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
