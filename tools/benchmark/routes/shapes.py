"""The conditions of the routes, in no library's words: each peer says them as its users would.

Of `shapes(sort, count)` only the last describes the messages of the stub, which all have the same
sender then.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

SENDER = "user000@bench.localhost/desk"
NAMESPACES = tuple(f"urn:example:bench:{number}" for number in range(20))
SORTS = ("from", "mixed", "regex")
SORT_VARIABLE = "EMP_BENCH_SORT"
COUNT_VARIABLE = "EMP_BENCH_ROUTES"


@dataclass(frozen=True, slots=True)
class Shape:
    """What a message must be; conditions that are absent are None or empty.

    attributes: of the message. payload: namespace and name of a child; node: its attribute of that
    name. body: the text; pattern: a regular expression found in it. senders: one of these.
    """

    attributes: dict[str, str] = field(default_factory=dict)
    payload: tuple[str, str] | None = None
    node: str | None = None
    body: str | None = None
    pattern: str | None = None
    senders: tuple[str, ...] = ()


def shapes(sort: str, count: int) -> list[Shape]:
    """`count` shapes of one of SORTS."""
    other, last = _KINDS[sort]
    return [*(other(number) for number in range(count - 1)), last]


def chosen() -> list[Shape]:
    """Those that the benchmark has asked for, by environment variables."""
    return shapes(os.environ[SORT_VARIABLE], int(os.environ[COUNT_VARIABLE]))


def _sender(number: int) -> str:
    return f"nobody{number}@bench.localhost/desk"


def _payload(number: int, name: str) -> tuple[str, str]:
    return NAMESPACES[number % len(NAMESPACES)], name


def _from(number: int) -> Shape:
    return Shape({"from": _sender(number)})


_MIXED: tuple[Callable[[int], Shape], ...] = (
    lambda n: Shape({"type": "chat", "from": _sender(n)}),
    lambda n: Shape(payload=_payload(n, f"query{n}")),
    lambda n: Shape(payload=_payload(n, "query"), node=f"n{n}"),
    lambda n: Shape(body=f"order {n}"),
    lambda n: Shape({"to": f"n{n}@echo.localhost"}),
    lambda n: Shape({"id": f"n{n}"}),
    lambda n: Shape(senders=(_sender(n), f"else{n}@bench.localhost/desk")),
    lambda n: Shape({"from": _sender(n)}, payload=_payload(n, "query"), node=f"n{n}"),
)


def _mixed(number: int) -> Shape:
    return _MIXED[number % len(_MIXED)](number)


def _regex(number: int) -> Shape:
    return Shape(pattern=f"^order {number}:? ")


_KINDS: dict[str, tuple[Callable[[int], Shape], Shape]] = {
    "from": (_from, Shape({"from": SENDER})),
    "mixed": (_mixed, Shape({"type": "chat", "from": SENDER})),
    "regex": (_regex, Shape(pattern="^[0-9]+ +[a-z]")),
}
