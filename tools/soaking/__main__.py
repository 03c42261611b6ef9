"""The command line of tools/soak."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import signal
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path

from emp.errors import EmpError
from tools.servers import ServerError
from tools.soaking import restart
from tools.soaking.errors import SoakError
from tools.soaking.report import render
from tools.soaking.run import Progress, soak
from tools.soaking.settings import Settings

EXAMPLES = """\
examples:
  tools/soak                                      10,000 messages each way, 50 cuts, 10 stalls
  tools/soak --server ejabberd --system multiproc
  tools/soak --kind component                     no acknowledgements: nothing lost silently
  tools/soak --messages 300 --cuts 4 --stalls 1 --seed 7 --json
  tools/soak --restart                            how long it takes to be back with the server

The application runs as `emp start` runs it and connects through a proxy that cuts and stalls its
connection. Users of slixmpp, connected directly, exchange numbered messages with it. Afterwards
everybody's notes are compared: nothing may be lost, duplicated, out of order or misdelivered.
Exit code: 0 when all is well, 1 when it is not, 2 for a wrong command line, 130 when interrupted.
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs a soak. Returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.restart and options.server == "embedded":
        parser.error("--restart kills the server: --server prosody or ejabberd")
    for number in (signal.SIGINT, signal.SIGTERM):  # a background job is born with SIGINT ignored
        signal.signal(number, _interrupt)
    seed = options.seed if options.seed is not None else random.randrange(2**32)
    settings = Settings(
        messages=options.messages,
        cuts=options.cuts,
        stalls=options.stalls,
        seed=seed,
        server=options.server,
        system=options.system,
        kind=options.kind,
        users=options.users,
        window=options.window,
        mended=not options.stock,
    )
    directory = Path(tempfile.mkdtemp(prefix="emp-soak-"))
    keep = options.keep
    try:
        if options.restart:
            return restart.main(settings, directory, options.rounds, options.json)
        result = asyncio.run(soak(settings, directory, _Line()))
        keep = keep or not result.ok
        print(json.dumps(result.as_json(), indent=2) if options.json else render(result))
        return 0 if result.ok else 1
    except (SoakError, ServerError, EmpError) as error:
        keep = True
        print(f"soak: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("soak: interrupted", file=sys.stderr)
        return 130
    except BaseException:
        keep = True
        raise
    finally:
        if keep:
            again = f"--server {settings.server} --system {settings.system} --kind {settings.kind}"
            print(f"soak: seed {seed} ({again})", file=sys.stderr)
            print(f"soak: the histories are in {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/soak",
        description="Messages through a connection that is cut and stalled: are they all there?",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    usual = Settings()
    for name, low, high, text in (
        ("messages", 1, 10**7, "numbered messages each way"),
        ("cuts", 0, 10**5, "how often the connection ends, with FIN or RST"),
        ("stalls", 0, 10**4, "how often nothing passes; every other one is longer than the ping"),
        ("users", 1, 4, "who talk to the application"),
        ("window", 1, 2000, "messages that may be unanswered each way"),
    ):
        parser.add_argument(
            f"--{name}",
            type=_number(low, high),
            default=getattr(usual, name),
            help=f"{text} (default: %(default)d)",
        )
    parser.add_argument("--seed", type=_number(0, 2**32 - 1), help="decides the faults")
    for name, words, text in (
        ("server", ("prosody", "ejabberd", "embedded"), "which server"),
        ("system", ("embedded", "multiproc"), "where the application's actors run"),
        ("kind", ("client", "component"), "how the application is connected"),
    ):
        parser.add_argument(
            f"--{name}",
            choices=words,
            default=getattr(usual, name),
            help=f"{text} (default: %(default)s)",
        )
    parser.add_argument(
        "--stock",
        action="store_true",
        help="Prosody as Debian has it: it loses sessions that are cut in the middle of a stanza",
    )
    parser.add_argument("--keep", action="store_true", help="keep the histories in any case")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--restart",
        action="store_true",
        help="kill the server and start it again instead, and measure the time to be back",
    )
    parser.add_argument(
        "--rounds", type=_number(1, 1000), default=5, help="of --restart (default: %(default)d)"
    )
    return parser


def _number(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text.replace(",", "").replace("_", ""))
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be from {low} to {high}")
        return value

    read.__name__ = "number"  # for argparse's message
    return read


class _Line:
    """One line of progress: overwritten on a terminal, else a new one every few seconds."""

    EVERY = 10.0

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._next = 0.0

    def __call__(self, progress: Progress) -> None:
        if not self._terminal and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self.EVERY
        sent, settled = progress.sent, progress.settled
        text = (
            f"in {sent['in']:,}, answered {settled['answer']:,}; "
            f"out {sent['out']:,}, acknowledged {settled['ack']:,}; faults {progress.faults}"
        )
        end = "\r" if self._terminal else "\n"
        print(f"soak: {text}", end=end, file=sys.stderr, flush=True)


def _interrupt(_signal: int, _frame: types.FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
