"""The recorded dialogues still fit: each leads where it led."""

import pytest

from tools.fuzzing.case import Dialogue, Step, corpus, read_dialogue, write_dialogue
from tools.fuzzing.explore import Material
from tools.fuzzing.oracle import check_queued, check_reported
from tools.fuzzing.record import PAIRS, PARSERS, dialogues, names
from tools.fuzzing.run import begin
from tools.fuzzing.subjects import ROLES, SUBJECTS

AGAIN = "python -m tools.fuzzing.record makes them anew"


@pytest.mark.parametrize("name", corpus())
def test_a_dialogue_goes_as_it_went(name: str) -> None:
    dialogue = corpus()[name]
    run = begin(dialogue.subject)
    events: list[object] = []
    for step in dialogue.steps:
        events += run.step(step)
    assert names(events) == dialogue.events, AGAIN
    check_reported(events)
    check_queued(run.queued, messages=run.messages)


def test_it_is_complete() -> None:
    expected = {f"{name}.{side}" for name, _, _ in PAIRS for side in ("client", "server")}
    expected |= {name for name, _, _ in PARSERS} | {"not-started"}
    assert set(corpus()) == expected, AGAIN
    assert {each.subject for each in corpus().values()} == set(SUBJECTS)


def test_it_can_be_made_again() -> None:
    made = {each.name: each.events for each in dialogues()}
    assert made == {name: each.events for name, each in corpus().items()}, AGAIN


def test_streams_begin_in_every_phase() -> None:
    material = Material(list(corpus().values()))
    assert {SUBJECTS[each.case.subject].role for each in material.ready} == set(ROLES)
    for name, subject in SUBJECTS.items():
        early = {len(each.case.steps) for each in material.early if each.case.subject == name}
        assert 0 in early, name  # nothing has come yet
        if subject.role not in ("component", "server-component", "parser"):
            assert len(early) > 1 or name == "client-not-started", name


def test_a_file_holds_what_was_written(tmp_path: pytest.TempPathFactory) -> None:
    steps: tuple[Step, ...] = (("in", "<a>", "\xff\0"), ("close",))
    written = Dialogue("a.client", "client", steps, ("StreamClosed",))
    write_dialogue(written, tmp_path)  # type: ignore[arg-type]
    assert read_dialogue(tmp_path / "a.client.json") == written  # type: ignore[operator]
