"""Two engines back to back, with a wire between them and a TLS that is only a word."""

from collections.abc import Callable, Iterator
from typing import Any

from emp.stream.engine import Stream
from emp.stream.events import Compute, Event, StartTLS

Cut = Callable[[bytes], Iterator[bytes]]


def whole(data: bytes) -> Iterator[bytes]:
    """One read."""
    yield data


def byte_by_byte(data: bytes) -> Iterator[bytes]:
    """As slow as it gets."""
    for start in range(len(data)):
        yield data[start : start + 1]


class Pair:
    """An initiator and its server; what they reported and sent is kept."""

    def __init__(self, initiator: Stream, server: Stream, cut: Cut = whole) -> None:
        self.ends: tuple[Stream, Stream] = (initiator, server)
        self.events: tuple[list[Event], list[Event]] = ([], [])
        self.sent: tuple[list[bytes], list[bytes]] = ([], [])
        self.handshakes = 0
        self._waiting = [False, False]
        self._cut = cut

    def start(self) -> None:
        """The initiator begins, and both talk until they have nothing to say."""
        self.ends[0].start()
        self.talk()

    def talk(self) -> None:
        """Carries bytes to and fro until the wire is silent."""
        moved = True
        while moved:
            moved = False
            for side, end in enumerate(self.ends):
                for piece in self._said_by(side, end):
                    moved = True
                    self._report(1 - side, self.ends[1 - side].receive_data(piece))
            if all(self._waiting):
                self._waiting = [False, False]
                self.handshakes += 1
                for end in self.ends:
                    end.tls_established()
                moved = True

    def _said_by(self, side: int, end: Stream) -> Iterator[bytes]:
        """What is on the wire, as it arrives: a message is never cut."""
        if end.framing.messages:
            messages = end.messages_to_send()
            self.sent[side].extend(messages)
            yield from messages
        elif data := end.data_to_send():
            self.sent[side].append(data)
            yield from self._cut(data)

    def names(self, side: int) -> list[str]:
        """The kinds of events of one side (0: initiator, 1: server)."""
        return [type(event).__name__ for event in self.events[side]]

    def last(self, side: int) -> Any:
        """The last event of one side."""
        return self.events[side][-1]

    def _report(self, side: int, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Compute):  # done on the spot
                event.work()
                self._report(side, self.ends[side].computed())
            else:
                self.events[side].append(event)
        if any(isinstance(event, StartTLS) for event in events):
            self._waiting[side] = True
