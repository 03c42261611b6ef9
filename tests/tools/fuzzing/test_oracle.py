"""The judge finds what is wrong: each rule on an engine that breaks it."""

from collections.abc import Sequence
from typing import Any

import pytest

from emp.errors import RemoteProtocolError
from emp.stanza import Message
from emp.stream.events import Resumed, StanzasReceived, StreamClosed, StreamFailed
from tools.fuzzing.case import Case, corpus, received
from tools.fuzzing.law import check_law
from tools.fuzzing.oracle import StreamJudge, Wrong, check_queued
from tools.fuzzing.run import StreamRun, play

STANZA = received(b"<message><body>hi</body></message>")


def ready(name: str = "component.client") -> StreamRun:
    """A subject that is ready for stanzas."""
    dialogue = corpus()[name]
    run = play(Case(dialogue.subject, dialogue.steps[:2]))
    assert isinstance(run, StreamRun)
    assert run.ready
    return run


def judge(run: StreamRun, events: Sequence[Any]) -> None:
    """A judge who has seen nothing hears of these."""
    StreamJudge(run.engine).judge(list(events))


def test_nothing_follows_the_end() -> None:
    run = ready()
    with pytest.raises(Wrong, match="after the end"):
        judge(run, [StreamClosed(), StreamClosed()])
    run.step(("fail",))
    with pytest.raises(Wrong, match="after the end"):
        judge(run, [StreamClosed()])


def test_the_end_is_told() -> None:
    run = ready()
    with pytest.raises(Wrong, match="the end"):
        judge(run, [StreamClosed()])  # and it is not closed
    watching = StreamJudge(run.engine)
    run.engine.receive_data(b"</stream:stream>")
    with pytest.raises(Wrong, match="the end"):
        watching.judge([])


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        ([StanzasReceived([])], "no stanzas"),
        (["something"], "no event"),
        ([StreamFailed(ValueError())], "wrong error"),  # type: ignore[arg-type]
        ([StreamFailed(RemoteProtocolError("what a pity"))], "wrong condition"),
        ([StanzasReceived([Message("a")])], "the books"),
    ],
)
def test_what_is_reported(events: list[Any], kind: str) -> None:
    with pytest.raises(Wrong) as caught:
        judge(ready(), events)
    assert caught.value.kind == kind


def test_the_books() -> None:
    run = ready()
    books = run.engine.management
    for name, value in (("received", 1), ("acknowledged", books.sent + 1), ("sent", 1)):
        watching = StreamJudge(run.engine)
        before = getattr(books, name)
        setattr(books, name, value)
        with pytest.raises(Wrong, match="the books"):
            watching.acted()
        setattr(books, name, before)
        watching.acted()


def test_the_books_of_a_resumed_session() -> None:
    run = ready()
    jid = run.engine.management.jid
    assert jid is not None
    judge(run, [Resumed(jid)])
    run.engine.management.received += 2
    run.engine.management.origin += 1
    with pytest.raises(Wrong, match="the books"):
        judge(run, [Resumed(jid)])


@pytest.mark.parametrize(
    "data",
    [
        b"<?xml version='1.0'?><a><b></a>",
        b"<presence/>",
        b"<?xml version='1.0'?><stream:stream xmlns:stream='s'><x:y/>",
        b"<?xml version='1.0'?><stream:stream xmlns:stream='s'></stream:stream><a/>",
    ],
)
def test_what_is_queued(data: bytes) -> None:
    with pytest.raises(Wrong, match="queued"):
        check_queued([data], messages=False)


def test_what_is_queued_in_order() -> None:
    stream = b"<?xml version='1.0'?><stream:stream xmlns:stream='s'>"
    check_queued([stream, stream, b"<a/></stream:stream>"], messages=False)
    check_queued([b"<a/>", b"<b/>"], messages=True)
    with pytest.raises(Wrong, match="queued"):
        check_queued([b"<a/><b/>"], messages=True)


def test_the_law(monkeypatch: pytest.MonkeyPatch) -> None:
    dialogue = corpus()["component.client"]
    case = Case(dialogue.subject, dialogue.steps[:2]).then(STANZA)
    assert check_law(case)
    usual = StreamRun.receive

    def by_length(run: StreamRun, pieces: list[bytes]) -> Any:
        return usual(run, pieces if len(pieces[0]) > 1 else [piece.upper() for piece in pieces])

    monkeypatch.setattr(StreamRun, "receive", by_length)
    with pytest.raises(Wrong, match="any chunk"):
        check_law(case)


def test_the_law_has_exceptions() -> None:
    dialogue = corpus()["starttls.client"]
    before = Case(dialogue.subject, dialogue.steps[:1])
    assert not check_law(before.then(dialogue.steps[1]))  # <proceed/>
    assert not check_law(before.then(("eof",)))


def test_what_is_too_large_is_no_exception() -> None:
    narrow = corpus()["component-narrow.client"]
    case = Case(narrow.subject, narrow.steps[:2])
    assert check_law(case.then(received(b"<message>" + b"x" * 2000 + b"</message>", b"<iq>")))
