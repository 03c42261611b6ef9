"""Who takes what a stream brings."""

from __future__ import annotations

from typing import Protocol

from emp.errors import EmpError
from emp.stanza import Stanza


class StreamSink(Protocol):
    """Who takes what a stream brings. Called from the event loop; none of these may block.

    Stanzas can arrive before `open_stream` has returned the stream; an end that comes after a
    successful `open_stream` comes here, once, and nothing follows it.

    Two more methods may be there. `stanza_skipped(skipped)`: a stanza came that is not taken, an
    emp.stream.events.StanzaSkipped, between the batches before and behind it; it counts as
    received. `awaits(id)`: whether the result of an IQ request with this id is awaited, which may
    then be larger than other stanzas are.
    """

    def stanzas_received(self, stanzas: list[Stanza], /) -> None:
        """A batch in the order of arrival, never empty."""

    def stream_lost(self, error: EmpError | None, /) -> None:
        """The end. None: closed in order by both sides. Else ConnectionFailed, step "stream"."""

    def write_paused(self) -> None:
        """The outgoing buffer is full: send no more than what is on the way already."""

    def write_resumed(self) -> None:
        """There is room again."""
