"""tools/bench routes with tiny tables."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools.benchmark.errors import BenchError
from tools.benchmark.routes.bench import Cell, Pure, Result
from tools.benchmark.routes.peers import peer
from tools.benchmark.routes.report import render, verdicts
from tools.benchmark.routes.shapes import SENDER, SORTS, Shape, shapes

ROOT = Path(__file__).parents[3]
OTHERS = ["slixmpp"] + ["twisted"] * bool(importlib.util.find_spec("twisted"))
TINY = ("--stanzas", "20", "--warm-up", "5", "--runs", "1")


def bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tools.benchmark", "routes", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.server  # it needs the C compiler
def test_every_peer_finds_the_last_of_all_sorts() -> None:
    # Nine, so that each of the mixed shapes comes once before the last.
    done = bench("--routes", "1,9", "--peers", ",".join(["emp", *OTHERS]), *TINY, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert {(cell["peer"], cell["sort"], cell["routes"]) for cell in report["cells"]} == {
        (peer, sort, routes) for peer in ["emp", *OTHERS] for sort in SORTS for routes in (1, 9)
    }
    assert all(cell["rate"] > 0 for cell in report["cells"])
    for pure in report["pure"]:
        assert pure["match_ns"] > 0
        assert pure["boot_seconds"] > 0
        assert (pure["route_bytes"] is None) == (pure["routes"] == 1)
    assert set(report["versions"]) == {"emp", *OTHERS}


@pytest.mark.server  # it needs the C compiler
def test_the_table_is_for_people() -> None:
    done = bench("--routes", "1,2", "--sorts", "from", "--peers", "emp,slixmpp", *TINY)
    assert done.returncode == 0, done.stderr
    for expected in (
        "routes: from\n",
        "| emp ÷ slixmpp |",
        "the table of EMP alone\n",
        "slixmpp: ",
    ):
        assert expected in done.stdout
    assert "run 1/1  from        2 routes  emp" in done.stderr


@pytest.mark.parametrize("code", [0, 1])
def test_twisted_is_installed_when_it_is_missing(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def pip(command: list[str], **_: object) -> "subprocess.CompletedProcess[str]":
        asked.append(command)
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(subprocess, "run", pip)
    twisted = peer("twisted", "from", 1)
    if code:
        with pytest.raises(BenchError, match="pip cannot install Twisted"):
            twisted.prepare(tmp_path)
    else:
        twisted.prepare(tmp_path)
    ((*_, editable),) = asked
    assert editable == f"{ROOT}[bench]"


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("count", [1, 2, 100])
def test_only_the_last_shape_describes_the_messages(sort: str, count: int) -> None:
    made = shapes(sort, count)
    assert len(made) == count
    message = {"type": "chat", "from": SENDER}
    matching = [shape for shape in made if shape.attributes.items() <= message.items()]
    plain = [shape for shape in matching if shape == Shape(shape.attributes) and shape.attributes]
    if sort == "regex":
        assert [shape.pattern for shape in made].count(made[-1].pattern) == 1
    else:
        assert plain == [made[-1]]
    assert len({repr(shape) for shape in made}) == count


def result(rates: dict[tuple[str, int], float], boot: float) -> Result:
    cells = [Cell("emp", sort, routes, rate, 1.0) for (sort, routes), rate in rates.items()]
    return Result(cells, [Pure("mixed", 10_000, 900.0, boot, 2000.0)], {"emp": "emp-xmpp 1"})


@pytest.mark.parametrize(
    ("rates", "boot", "passed"),
    [
        ({("from", 1): 100, ("from", 10_000): 85}, 2.9, [True, True]),
        ({("from", 1): 100, ("from", 10_000): 84}, 3.1, [False, False]),
        ({("mixed", 1): 100, ("mixed", 1_000): 60, ("from", 10_000): 1}, 1, [True, True]),
        ({("mixed", 1): 100, ("mixed", 1_000): 59}, 1, [False, True]),
        ({("regex", 1): 100, ("regex", 10_000): 1}, 1, [True]),
    ],
)
def test_what_was_promised_is_judged(
    rates: dict[tuple[str, int], float], boot: float, passed: list[bool]
) -> None:
    measured = result(rates, boot)
    assert [verdict.passed for verdict in verdicts(measured)] == passed
    text = render(measured)
    assert text.count("\npass  ") + text.startswith("pass") == sum(passed)
    assert text.count("FAIL  ") == len(passed) - sum(passed)
