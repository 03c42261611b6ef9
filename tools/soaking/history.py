"""Who sent what, who saw what, and the checker that compares the two.

Every message of a soak carries its own account: a topic, who sent it to whom, and a number that
grows by one from message to message of that flow. Everybody notes what they send and what they see;
afterwards `check` says what was lost, duplicated, reordered or misdelivered, flow by flow.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, NamedTuple

Topic = Literal["in", "answer", "out", "ack"]
"""in: users to the application, each answered by an answer. out: the application, at its own pace,
to users, each answered by an ack."""

TOPICS: tuple[Topic, ...] = ("in", "answer", "out", "ack")
ANSWERS: dict[str, Topic] = {"in": "answer", "out": "ack"}

Verb = Literal["sent", "seen", "failed"]
"""failed: its sender was told that it was not delivered, or may not have been."""

PADDING = 257
"""Characters behind the account, at most: so that no two messages end at the same place of a TLS
record. A prime, for `_padding`."""

SHOWN = 5
"""Numbers that a complaint names."""


class Note(NamedTuple):
    """The account of one message."""

    topic: str
    sender: str
    receiver: str
    number: int

    def text(self) -> str:
        """The body of the message."""
        return f"{self.account()} {_padding(self.number)}"

    def account(self) -> str:
        return f"{self.topic} {self.sender} {self.receiver} {self.number}"

    @classmethod
    def parse(cls, text: str) -> Note | None:
        """The account that a body carries; None for any other body."""
        words = text.split(" ")
        if len(words) != 5 or words[0] not in TOPICS or not words[3].isascii():
            return None
        if not words[3].isdigit() or words[4] != _padding(int(words[3])):
            return None
        return cls(words[0], words[1], words[2], int(words[3]))

    def answer(self) -> Note:
        """What whoever gets this message says to it."""
        return Note(ANSWERS[self.topic], self.receiver, self.sender, self.number)


def _padding(number: int) -> str:
    return "x" * (1 + number * 101 % PADDING)


class Event(NamedTuple):
    """`who` noted it: "sent", "seen" or "failed"; or something else, which is no message."""

    verb: str
    who: str
    note: Note


class Journal:
    """A file of events, written line by line and at once, so that a crash loses none."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def note(self, verb: Verb, who: str, note: Note) -> None:
        self._file.write(f"{verb} {who} {note.account()}\n".encode())

    def remark(self, word: str, text: str) -> None:
        """Something else that happened. `word` is none of the verbs."""
        self._file.write(f"{word} {text}\n".encode())

    def close(self) -> None:
        self._file.close()


def events(lines: Iterable[str]) -> Iterator[Event]:
    """The events of a journal, without its remarks."""
    for line in lines:
        words = line.split()
        if len(words) == 6 and words[0] in ("sent", "seen", "failed"):
            yield Event(words[0], words[1], Note(words[2], words[3], words[4], int(words[5])))


@dataclass(slots=True)
class Account:
    """What became of the messages of one flow, or of several.

    reported: not seen, but the sender was told. lost: not seen, and nobody was told. reordered:
    seen after one that was sent later. misdelivered: seen by somebody else, or never sent.
    """

    sent: int = 0
    seen: int = 0
    reported: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    misdelivered: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        return self.lost + self.duplicated + self.reordered + self.misdelivered

    def add(self, other: Account) -> None:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def figures(self) -> dict[str, int]:
        return {each.name: getattr(self, each.name) for each in fields(self)[:-1]}


class _Flow:
    """One topic from one sender to one receiver."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.failed: set[int] = set()
        self.seen: list[int] = []
        self.strays: list[int] = []  # seen by who is not the receiver


def check(history: Iterable[Event]) -> dict[str, Account]:
    """Topic → what became of its messages. Events of one party must be in order."""
    flows: dict[tuple[str, str, str], _Flow] = defaultdict(_Flow)
    for verb, who, note in history:
        flow = flows[note[:3]]
        if verb == "sent":
            flow.sent.append(note.number)
        elif verb == "failed":
            flow.failed.add(note.number)
        elif who == note.receiver:
            flow.seen.append(note.number)
        else:
            flow.strays.append(note.number)
    accounts: dict[str, Account] = {topic: Account() for topic in TOPICS}
    for (topic, sender, receiver), flow in sorted(flows.items()):
        accounts.setdefault(topic, Account()).add(_settle(flow, f"{topic} {sender}→{receiver}"))
    return accounts


def _settle(flow: _Flow, name: str) -> Account:
    sent, times = set(flow.sent), Counter(flow.seen)
    missing = sent - times.keys()
    lost = sorted(missing - flow.failed)
    duplicated = sorted(number for number, count in times.items() if count > 1)
    strange = sorted(flow.strays + [number for number in times if number not in sent])
    reordered, highest, known = [], -1, set[int]()
    for number in flow.seen:
        if number in known:
            continue  # a duplicate is one fault, not two
        known.add(number)
        if number < highest:
            reordered.append(number)
        highest = max(highest, number)
    account = Account(
        sent=len(flow.sent),
        seen=len(times),
        reported=len(missing & flow.failed),
        lost=len(lost),
        duplicated=sum(times[number] - 1 for number in duplicated),
        reordered=len(reordered),
        misdelivered=len(strange),
    )
    faults = {
        "lost": lost,
        "duplicated": duplicated,
        "reordered": reordered,
        "misdelivered": strange,
    }
    account.examples = [
        f"{name}: {len(numbers)} {word}: {_some(numbers)}"
        for word, numbers in faults.items()
        if numbers
    ]
    return account


def _some(numbers: list[int]) -> str:
    more = "" if len(numbers) <= SHOWN else ", …"
    return ", ".join(map(str, numbers[:SHOWN])) + more
