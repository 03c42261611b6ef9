"""The benchmarks as the command line has them: options, and the result as JSON and as text."""

import argparse
from dataclasses import replace
from typing import Any

from tools.benchmark import echo as echo_bench
from tools.benchmark import options
from tools.benchmark.blocking import bench as blocking_bench
from tools.benchmark.blocking import report as blocking_report
from tools.benchmark.options import Parser
from tools.benchmark.peers import PEERS
from tools.benchmark.report import render
from tools.benchmark.routes import bench as routes_bench
from tools.benchmark.routes import report as routes_report
from tools.benchmark.routes.peers import NAMES
from tools.benchmark.routes.shapes import SORTS
from tools.benchmark.stub import Load

Outcome = tuple[dict[str, Any], str]
COUNTS = (1, 10, 100, 1_000, 10_000)


def echo_options(parser: Parser) -> None:
    default = Load()
    options.add_names(parser, "--peers", PEERS, "peer")
    options.add_runs(parser, 3)
    options.add_flood(parser, default.seconds)
    options.add_round_trips(parser, default.round_trips)
    parser.add_argument(
        "--in-flight",
        type=options.number(int, 1, 4096),
        default=default.in_flight,
        help="of these, how many are on their way at a time (default: %(default)d)",
    )
    options.add_warm_up(parser, default.warm_up)


def echo(chosen: argparse.Namespace) -> Outcome:
    load = Load(
        warm_up=chosen.warm_up,
        round_trips=chosen.round_trips,
        in_flight=chosen.in_flight,
        stanzas=chosen.stanzas,
        seconds=chosen.seconds,
    )
    summaries = echo_bench.run(chosen.peers, load, chosen.runs)
    return {"load": load, "runs": chosen.runs, "peers": summaries}, render(summaries)


def routes_options(parser: Parser) -> None:
    options.add_names(parser, "--peers", NAMES, "peer")
    options.add_names(parser, "--sorts", SORTS, "sort")
    parser.add_argument(
        "--routes",
        type=options.numbers(1, 100_000),
        default=list(COUNTS),
        metavar="N,N",
        help=f"sizes of the table (default: {','.join(map(str, COUNTS))})",
    )
    options.add_runs(parser, 2)
    options.add_flood(parser, routes_bench.LOAD.seconds)
    options.add_warm_up(parser, routes_bench.LOAD.warm_up)


def routes(chosen: argparse.Namespace) -> Outcome:
    load = replace(
        routes_bench.LOAD,
        warm_up=chosen.warm_up,
        stanzas=chosen.stanzas,
        seconds=chosen.seconds,
    )
    result = routes_bench.run(chosen.peers, chosen.sorts, chosen.routes, load, chosen.runs)
    verdicts = routes_report.verdicts(result)
    found = {"load": load, "runs": chosen.runs, "verdicts": verdicts}
    figures = {"cells": result.cells, "pure": result.pure, "versions": result.versions}
    return {**found, **figures}, routes_report.render(result)


def blocking_options(parser: Parser) -> None:
    default = blocking_bench.LOAD
    options.add_names(parser, "--systems", blocking_bench.SYSTEMS, "system")
    options.add_runs(parser, 3)
    options.add_round_trips(parser, default.round_trips)
    options.add_warm_up(parser, default.warm_up)


def blocking(chosen: argparse.Namespace) -> Outcome:
    load = replace(
        blocking_bench.LOAD, round_trips=max(chosen.round_trips, 1), warm_up=chosen.warm_up
    )
    rows = blocking_bench.run(chosen.systems, load, chosen.runs)
    return {"load": load, "runs": chosen.runs, "rows": rows}, blocking_report.render(rows)
