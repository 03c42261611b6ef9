"""A parser that takes the shortcut (emp.stream.shortcut), watched by one that does not."""

from __future__ import annotations

from typing import Any

from emp.errors import LocalProtocolError
from emp.stanza import Message, Stanza
from emp.stream import Limits
from emp.stream.events import StanzaSkipped
from emp.stream.parser import Received, StreamParser
from emp.view import tree_of
from emp.wire import parse_neutral
from tools.fuzzing.oracle import Wrong, content_of


class TwinParser(StreamParser):
    """Takes the shortcut as soon as there is a header. Raises Wrong where its twin, which has lxml
    parse everything, gives something else, or fails otherwise or elsewhere."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.quick = True
        self._twin = _Slow(limits)
        self._twin.quick = True

    def receive(self, data: bytes) -> list[Received]:
        """As that of StreamParser."""
        found = super().receive(data)
        expected = self._twin.receive(data)
        ends = [(each.ended, fault_of(each)) for each in (self, self._twin)]
        told = [[facts_of(each) for each in given] for given in (found, expected)]
        if told[0] != told[1] or ends[1:] != ends[:1]:
            raise Wrong(
                "shortcut", f"{told[0], ends[:1]!r:.3000}\nlxml: {told[1], ends[1:]!r:.3000}"
            )
        return found


class _Slow(StreamParser):
    """Takes no shortcut."""

    def _receive_piece(self, piece: bytes) -> list[Received]:
        return self._receive_odd(piece) if piece else []


def fault_of(parser: StreamParser) -> tuple[str, str | None] | None:
    """The condition, and the limit if it was one."""
    fault = parser.fault
    return None if fault is None else (fault.condition, fault.limit)


def facts_of(received: Received) -> list[Any]:
    """All that can be read in what a parser gives. The tree comes last: the rest is to be known
    without one."""
    if isinstance(received, StanzaSkipped):
        return ["skipped", received.limit, received.size, *facts_of(received.stanza)]
    if not isinstance(received, Stanza):
        try:
            return facts_of(Stanza.from_element(received))
        except LocalProtocolError:
            return content_of(received)
    facts: list[Any] = [
        *(received.kind, received.type, received.id, received.from_text, received.to_text),
        *(received.payload_name, received.is_request),
    ]
    if isinstance(received, Message):
        facts += [received.thread, received.body]
    written = content_of(parse_neutral(received.to_bytes()))
    content = content_of(tree_of(received))
    if content != written:
        raise Wrong("shortcut", f"{content!r:.1500} became {received.to_bytes()!r:.1500}")
    return [*facts, received.lang, content]
