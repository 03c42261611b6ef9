"""Streams of stanzas for two parsers, one of which takes the shortcut: they must not differ."""

from __future__ import annotations

from collections.abc import Iterable

from emp.stanza import Stanza
from emp.stream import Limits
from emp.stream.parser import Received
from emp.stream.shortcut import sort
from tests.emp.stream.law import COMPONENT_HEADER
from tools.fuzzing.twins import TwinParser


def compare(
    pieces: Iterable[bytes], header: bytes = COMPONENT_HEADER, limits: Limits | None = None
) -> list[Received]:
    """What the one with the shortcut gives; both have given the same at the same piece, and failed
    alike."""
    parser = TwinParser(limits or Limits())
    assert parser.receive(header) == []
    given: list[Received] = []
    for piece in pieces:
        given += parser.receive(piece)
    return given


def taken(data: bytes) -> list[Stanza]:
    """The plain stanzas that the data is made of."""
    (run,) = sort(data)
    assert isinstance(run, list)
    return run


def is_plain(data: bytes) -> bool:
    """Whether all of it is taken by the shortcut."""
    return all(isinstance(run, list) for run in sort(data))
