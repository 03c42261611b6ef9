"""Makes the corpus: our own ends talk to each other, and each one's view is written down.

    python -m tools.fuzzing.record

To be done again when a test says that the dialogues do not fit any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from emp.stream.events import Event
from tools.fuzzing import chance
from tools.fuzzing.case import CORPUS, IN, Dialogue, Step, received, write_dialogue
from tools.fuzzing.run import ParserRun, StreamRun, begin

PAIRS: Final[Sequence[tuple[str, str, str]]] = (
    # name of the dialogue, initiator, server
    ("starttls", "client", "server"),
    ("clear", "client-clear", "server-clear"),
    ("plus", "client-plus", "server-direct"),
    ("plain", "client-plain", "server-direct"),
    ("external", "client-external", "server-direct"),
    ("anonymous", "client-anonymous", "server-direct"),
    ("sasl2", "client-sasl2", "server-direct"),
    ("fast", "client-fast", "server-direct"),
    ("resuming", "client-resuming", "server-direct"),
    ("resuming-sasl2", "client-resuming-sasl2", "server-direct"),
    ("websocket", "client-websocket", "server-websocket"),
    ("websocket-classic", "client-websocket-classic", "server-websocket"),
    ("narrow", "client-narrow", "server-narrow"),
    ("component", "component", "server-component"),
    ("component-narrow", "component-narrow", "server-component-narrow"),
)
PARSERS: Final[Sequence[tuple[str, str, str]]] = (
    # name of the dialogue, subject, the dialogue whose last stream it parses
    ("parser-client", "parser", "starttls.client"),
    ("parser-server", "parser", "sasl2.server"),
    ("parser-component", "parser", "component.client"),
    ("parser-narrow", "parser-narrow", "narrow.client"),
    ("parser-twins-client", "parser-twins", "plain.client"),
    ("parser-twins-component", "parser-twins", "component.client"),
    ("parser-twins-narrow", "parser-twins-narrow", "component-narrow.client"),
)
SCRIPT: Final[Sequence[tuple[int, str]]] = (
    # who (0: initiator, 1: server) does what, as soon as both are ready and silent
    *((0, "send"), (1, "send"), (0, "handled"), (1, "handled"), (0, "ask"), (1, "ask")),
    *((1, "send"), (0, "send"), (0, "handled"), (1, "ask"), (0, "close")),
)
_PING: Final = re.compile(
    rb"<iq type='get' id='(?P<id>[^']*)'(?P<own> from=)?[^>]*><ping xmlns='urn:xmpp:ping'/></iq>"
)
_STREAM: Final = re.compile(r"<stream:stream")


def dialogues() -> Iterator[Dialogue]:
    """All of them, made now."""
    recorded: dict[str, Dialogue] = {}
    for name, initiator, server in PAIRS:
        for dialogue in _talk(name, initiator, server):
            recorded[dialogue.name] = dialogue
            yield dialogue
    for name, subject, source in PARSERS:
        yield _parsed(name, subject, recorded[source])
    yield Dialogue("not-started", "client-not-started", (received(b"<a/>"),), ("StreamFailed",))


class _End:
    """One side, and what it sees."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.steps: list[Step] = []
        self.events: list[Event] = []
        run = begin(subject)
        assert isinstance(run, StreamRun)
        self.run = run
        self._chance = chance.present()  # what the subject has begun
        self._sent = 0

    def step(self, step: Step) -> None:
        self._chance.use()
        self.steps.append(step)
        self.events += self.run.step(step)

    def take(self) -> list[bytes]:
        """What it has to say."""
        said = self.run.queued[self._sent :]
        self._sent = len(self.run.queued)
        return said if self.run.messages or not said else [b"".join(said)]


def _talk(name: str, initiator: str, server: str) -> list[Dialogue]:
    ends = (_End(initiator), _End(server))
    _carry(ends)
    assert all(end.run.engine.ready for end in ends), (name, ends[0].events, ends[1].events)
    for who, action in SCRIPT:
        ends[who].step((action,))
        _carry(ends)
    assert all(end.run.over for end in ends), name
    return [
        Dialogue(f"{name}.{side}", end.subject, tuple(end.steps), names(end.events))
        for side, end in zip(("client", "server"), ends, strict=True)
    ]


def _carry(ends: tuple[_End, _End]) -> None:
    """Until both are silent."""
    moved = True
    while moved:
        moved = False
        for number, end in enumerate(ends):
            if pieces := end.take():
                moved = True
                ends[1 - number].step(received(*pieces))
                if number == 0 and (pong := _pong(b"".join(pieces))):
                    end.step(received(pong))


def _pong(said: bytes) -> bytes | None:
    """What becomes of a ping: a client's server answers it, a component's sends it back."""
    ping = _PING.search(said)
    if ping is None:
        return None
    return ping[0] if ping["own"] else b"<iq type='result' id='%s' from='localhost'/>" % ping["id"]


def _parsed(name: str, subject: str, source: Dialogue) -> Dialogue:
    """The steps of the source since the last stream header, seen by a parser."""
    steps = [step for step in source.steps if step[0] == IN]
    first = max(number for number, step in enumerate(steps) if _STREAM.search("".join(step[1:])))
    run = begin(subject)
    assert isinstance(run, ParserRun)
    events: list[object] = []
    for step in steps[first:]:
        events += run.step(step)
    return Dialogue(name, subject, tuple(steps[first:]), names(events))


def names(events: Sequence[object]) -> tuple[str, ...]:
    """What was reported, without details."""
    return tuple([type(event).__name__ for event in events])


def main(directory: Path = CORPUS) -> None:
    """Writes all dialogues."""
    with chance.predictable():
        for dialogue in dialogues():
            write_dialogue(dialogue, directory)


if __name__ == "__main__":
    main()
