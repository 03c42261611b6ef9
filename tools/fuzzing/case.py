"""Steps of a dialogue, and files of them: the corpus, and failures.

A step is what the peer sends, or what our caller does; files are JSON with bytes as Latin-1, so
that XML can be read in them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

CORPUS: Final = Path(__file__).with_name("corpus")

IN: Final = "in"
ACTIONS: Final = ("send", "handled", "ask", "hush", "close", "fail", "eof", "fault", "go")
"""What a caller does: sends stanzas, has handled what came, asks for an acknowledgement, cannot
write for a while, closes, gives up, hears that the connection has ended or that what is below the
stream was broken; "go": the TLS handshake or the computation that the engine waits for is done."""

Step = tuple[str, ...]
"""A name of ACTIONS; or IN and pieces of Latin-1: reads of a byte stream, or the messages of one
read of a WebSocket."""


def received(*pieces: bytes) -> Step:
    """The step in which these come in."""
    return (IN, *[piece.decode("latin-1") for piece in pieces])


def pieces_of(step: Step) -> list[bytes]:
    """What comes in at this step."""
    return [piece.encode("latin-1") for piece in step[1:]]


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What one end of a recorded stream saw. events: the names of what it then reported."""

    name: str
    subject: str
    steps: tuple[Step, ...]
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """`subject` goes through `steps`; the last is the one that matters.

    lazy: TLS handshakes and computations are done at "go", else as soon as the engine wants them.
    """

    subject: str
    steps: tuple[Step, ...]
    lazy: bool = False

    def then(self, *steps: Step) -> Case:
        """The case with more steps."""
        return Case(self.subject, self.steps + steps, self.lazy)


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong, and with what. kind and place: failures that share them are one."""

    kind: str
    place: str
    text: str
    case: Case


def write_dialogue(dialogue: Dialogue, directory: Path) -> None:
    """Into a file of the dialogue's name."""
    _write(
        directory / f"{dialogue.name}.json",
        {"subject": dialogue.subject, "events": dialogue.events},
        dialogue.steps,
    )


def read_dialogue(file: Path) -> Dialogue:
    """What write_dialogue() has written."""
    record = json.loads(file.read_text())
    steps = tuple([tuple(step) for step in record["steps"]])
    return Dialogue(file.stem, record["subject"], steps, tuple(record["events"]))


@cache
def corpus() -> Mapping[str, Dialogue]:
    """All recorded dialogues by name."""
    return {file.stem: read_dialogue(file) for file in sorted(CORPUS.glob("*.json"))}


def write_failure(failure: Failure, file: Path) -> None:
    """What can be replayed."""
    case = failure.case
    head = {
        "kind": failure.kind,
        "place": failure.place,
        "text": failure.text,
        "subject": case.subject,
        "lazy": case.lazy,
    }
    _write(file, head, case.steps)


def read_case(file: Path) -> Case:
    """The case of a failure. ValueError, KeyError or OSError for anything else."""
    record = json.loads(file.read_text())
    steps = tuple([tuple(step) for step in record["steps"]])
    return Case(record["subject"], steps, bool(record["lazy"]))


def _write(file: Path, head: Mapping[str, Any], steps: Sequence[Step]) -> None:
    """One line for each step."""
    lines = [f" {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    body = ",\n".join([f"  {json.dumps(step)}" for step in steps])
    file.write_text("\n".join(["{", *lines, ' "steps": [', body, " ]", "}"]) + "\n")
