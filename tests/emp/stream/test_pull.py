"""Pull parsers leave nothing behind."""

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from emp import ns
from emp.stream import Limits, body, pull
from emp.stream.parser import StreamParser
from tests.emp.stream.law import CLIENT_HEADER

TAGS = ("{urn:a}*", "{urn:b}one", "{urn:b}two")
ROUNDS = 50


@pytest.fixture
def _without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def left_by(action: Callable[[], Any]) -> int:
    """Objects of lxml's, made in the module, that are there after each action."""
    for _ in range(3):
        action()
    tracemalloc.start()
    for _ in range(ROUNDS):
        action()
    snapshot = tracemalloc.take_snapshot()
    tracemalloc.stop()
    here = snapshot.filter_traces([tracemalloc.Filter(True, pull.__file__)])
    return sum(each.count for each in here.statistics("filename")) // ROUNDS


def one_stream() -> None:
    stream = StreamParser(Limits())
    assert len(stream.receive(CLIENT_HEADER + b"<presence/><iq><a/></iq>")) == 2


@pytest.mark.usefixtures("_without_collector")
def test_nothing_stays_of_a_stream() -> None:
    assert left_by(one_stream) == 0
    assert gc.collect() < ROUNDS  # no cycles either


@pytest.mark.usefixtures("_without_collector")
def test_that_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "_PATH", ("nothing of that name",))
    assert left_by(one_stream) > 5


def test_events_are_those_of_the_tags() -> None:
    pulling = pull.new_parser(TAGS)
    pulling.feed(
        b"<r xmlns='urn:a'><x xmlns='urn:c'/><y/><two xmlns='urn:b'/><three xmlns='urn:b'/>"
    )
    assert [element.tag for _, element in pulling.read_events()] == ["{urn:a}y", "{urn:b}two"]


def test_the_tags_of_a_stream_are_all_there() -> None:
    listed = pull._list_of_tags(pull.new_parser(body._TOP_LEVEL))
    assert len(listed) == len(body._TOP_LEVEL)
    assert (ns.CLIENT.encode(), b"iq") in listed
