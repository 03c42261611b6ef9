"""A short run: every role, a fixed seed, nothing fails; and what does fail is found."""

from typing import Any

import pytest

from emp import names
from emp.stream.engine import Stream
from tools.fuzzing.case import Case, Failure, Step, corpus, read_case, write_failure
from tools.fuzzing.explore import Explorer
from tools.fuzzing.replay import play_aloud
from tools.fuzzing.run import play
from tools.fuzzing.subjects import ROLES

ENOUGH = 700


def explore(explorer: Explorer, executions: int = ENOUGH) -> list[Failure]:
    found = []
    while explorer.counts.executions < executions:
        failure = explorer.stream()
        if failure is not None:
            found.append(failure)
    return found


@pytest.mark.parametrize("role", ROLES)
def test_nothing_fails(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.fuzzing.explore.LAW_EVERY", 5)
    explorer = Explorer(5, [role])
    assert explore(explorer) == []
    counts = explorer.counts
    assert counts.calls >= counts.executions >= counts.streams - counts.stale > 0
    assert counts.signatures > 20
    assert counts.laws > 0
    assert counts.stale < counts.streams / 50


class Log:
    """Remembers all cases."""

    def __init__(self) -> None:
        self.cases: list[list[Any]] = []

    def begin(self, case: Case) -> None:
        self.cases.append([case])

    def add(self, step: Step) -> None:
        self.cases[-1].append(step)


def test_a_seed_decides() -> None:
    logs = []
    for seed in (1, 1, 2):
        logs.append(Log())
        explore(Explorer(seed, box=logs[-1]), 300)
    assert logs[0].cases == logs[1].cases != logs[2].cases


def test_a_fault_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: Any) -> None:
    usual = Stream.receive_data

    def hates_groups(stream: Stream, data: bytes) -> Any:
        if b"groupchat" in data:
            raise KeyError("groups")
        return usual(stream, data)

    monkeypatch.setattr(Stream, "receive_data", hates_groups)
    explorer = Explorer(1, ["component"])
    found = explore(explorer, 3000)
    assert {(each.kind, each.place.partition(":")[0]) for each in found} == {
        ("exception KeyError", "test_explore.py")
    }
    assert "hates_groups" in found[0].text
    file = tmp_path / "failure.json"
    write_failure(found[0], file)
    case = read_case(file)
    assert case == found[0].case
    assert play_aloud(case) == 1
    assert "FAILED: exception KeyError" in capsys.readouterr().out
    monkeypatch.undo()
    assert play_aloud(case) == 0
    assert "nothing fails" in capsys.readouterr().out


def test_a_peer_may_refuse_what_our_caller_sends() -> None:
    dialogue = corpus()["plain.client"]
    steps = [
        tuple([each.replace("<max-bytes>262144<", "<max-bytes>10<") for each in step])
        for step in dialogue.steps[:6]
    ]
    assert steps != list(dialogue.steps[:6])
    run = play(Case(dialogue.subject, tuple(steps)))
    assert run.ready
    sent = len(run.queued)
    run.step(("send",))
    assert len(run.queued) == sent


def test_settings_of_others_are_left_alone() -> None:
    before = names.DICTIONARY_BYTES
    explore(Explorer(1, ["parser"]), 50)
    assert before == names.DICTIONARY_BYTES
