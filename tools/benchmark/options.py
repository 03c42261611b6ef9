"""Options that several benchmarks have, and how their texts are read."""

import argparse
from collections.abc import Callable, Iterable

Parser = argparse.ArgumentParser


def number(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], float]:
    """A reader of a number within bounds."""

    def read(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be from {low:g} to {high:g}")
        return value

    read.__name__ = "number"  # for argparse's message
    return read


def numbers(low: int, high: int) -> Callable[[str], list[int]]:
    """A reader of several whole numbers, in the order given."""
    one = number(int, low, high)

    def read(text: str) -> list[int]:
        found = [int(one(part)) for part in text.split(",")]
        if len(set(found)) < len(found):
            raise argparse.ArgumentTypeError("name each once")
        return found

    read.__name__ = "number"
    return read


def names(known: Iterable[str], what: str) -> Callable[[str], list[str]]:
    """A reader of several of the `known` names, in the order given."""
    known = tuple(known)

    def read(text: str) -> list[str]:
        found = [name.strip() for name in text.split(",") if name.strip()]
        for name in found:
            if name not in known:
                raise argparse.ArgumentTypeError(
                    f"no {what} {name!r}: there are {', '.join(known)}"
                )
        if not found or len(set(found)) < len(found):
            raise argparse.ArgumentTypeError(f"name each {what} once")
        return found

    return read


def add_names(parser: Parser, option: str, known: Iterable[str], what: str) -> None:
    """An option for several names; all of them by default."""
    known = list(known)
    parser.add_argument(
        option,
        type=names(known, what),
        default=known,
        metavar="A,B",
        help=f"which, in which order (default: {','.join(known)})",
    )


def add_runs(parser: Parser, default: int) -> None:
    """--runs and --json, which all have."""
    parser.add_argument(
        "--runs",
        type=number(int, 1, 1000),
        default=default,
        help="of each, in turns (default: %(default)d)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def add_flood(parser: Parser, seconds: float) -> None:
    """How long the flood is."""
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--seconds",
        type=number(float, 0.01, 3600),
        default=seconds,
        help="length of the flood, until the last message is sent (default: %(default)g)",
    )
    length.add_argument(
        "--stanzas", type=number(int, 1, 10**7), help="the flood is this many messages instead"
    )


def add_warm_up(parser: Parser, default: int) -> None:
    """Messages before anything is measured."""
    parser.add_argument(
        "--warm-up",
        type=number(int, 0, 10**7),
        default=default,
        help="messages before anything is measured (default: %(default)d)",
    )


def add_round_trips(parser: Parser, default: int) -> None:
    """Messages of the latency phase."""
    parser.add_argument(
        "--round-trips",
        type=number(int, 0, 10**6),
        default=default,
        help="messages that are timed one by one (default: %(default)d)",
    )
