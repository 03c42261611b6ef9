"""What counts as a fault of a run."""

from __future__ import annotations

import json

import pytest

from tools.soaking.history import Account
from tools.soaking.report import render
from tools.soaking.run import Result, complaints
from tools.soaking.settings import LinkKind, Settings


def result(kind: LinkKind = "client", exit_code: int = 0, **of: Account) -> Result:
    settings = Settings(messages=4, users=1, cuts=1, stalls=1, kind=kind)
    accounts = {topic: Account(sent=4, seen=4) for topic in ("in", "answer", "out", "ack")}
    done = Result(
        settings=settings,
        seconds=1.0,
        faults={"fin": 1, "rst": 0, "stall": 1},
        connections=2,
        life={"connected": 1, "resumed": 1, "disconnected": 1},
        accounts=accounts | of,
        exit_code=exit_code,
    )
    done.complaints = complaints(done)
    return done


def lossy(word: str) -> Account:
    account = Account(sent=4, seen=3, examples=[f"x→y: 1 {word}: 2"])
    setattr(account, word, 1)
    return account


def test_a_run_as_it_should_be() -> None:
    good = result()
    assert good.ok
    assert "all is well" in render(good)
    assert json.loads(json.dumps(good.as_json()))["in"]["sent"] == 4


@pytest.mark.parametrize("word", ["lost", "duplicated", "reordered", "misdelivered"])
@pytest.mark.parametrize("topic", ["in", "answer", "out", "ack"])
def test_every_fault_is_complained_about(topic: str, word: str) -> None:
    bad = result(**{topic: lossy(word)})
    assert bad.complaints == [f"x→y: 1 {word}: 2"]
    assert not bad.as_json()["ok"]


def test_what_the_server_loses_is_not_the_components_fault() -> None:
    for topic in ("in", "ack"):
        assert result("component", **{topic: lossy("lost")}).ok
        assert not result("component", **{topic: lossy("duplicated")}).ok
    for topic in ("answer", "out"):
        assert not result("component", **{topic: lossy("lost")}).ok


def test_reports_are_for_components() -> None:
    returned = Account(sent=4, seen=3, reported=1)
    assert result("component", out=returned).ok
    assert result("client", out=returned).complaints == [
        "out: 1 given back, with a server that acknowledges"
    ]


def test_a_run_that_did_not_happen() -> None:
    few = result(out=Account(sent=1, seen=1))
    assert few.complaints == ["out: only 1 of 4 messages were sent"]
    assert result(exit_code=1).complaints == ["the application ended with exit code 1"]
    odd = result()
    odd.strange = 3
    assert complaints(odd) == ["3 messages that nobody has sent, see the histories"]
    idle = result()
    idle.faults["stall"] = 0
    assert complaints(idle) == ["only 1 of 2 faults happened"]
