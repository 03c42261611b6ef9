"""One engine and what happens to it, step by step. Every call of it is judged (oracle)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from emp import names, ns
from emp.errors import RemoteProtocolError, StanzasTooLarge
from emp.stanza import Iq, Message, Presence, Stanza
from emp.stream import body
from emp.stream.engine import Stream
from emp.stream.events import Compute, Event, StartTLS, StreamFailed
from emp.stream.parser import StreamParser
from emp.xml import build
from tools.fuzzing.case import IN, Case, Step, pieces_of
from tools.fuzzing.oracle import ParserJudge, StreamJudge
from tools.fuzzing.subjects import SUBJECTS, Subject

FORGET_BYTES: Final = (16_000, 1_000)
"""Bytes after which names are forgotten, and which are counted at once: some ten inputs."""

STANZAS: Final[Sequence[Stanza]] = (
    Message("romeo@localhost", "art <thou>", type="chat"),
    Iq("get", build("query", xmlns=ns.VERSION), to="localhost", id="q1"),
    Presence(status="\N{SNOWMAN} & 'more'"),
)
"""What our caller sends."""


class StreamRun:
    """A stream of one of the roles. `over`: nothing may be reported any more."""

    def __init__(self, subject: Subject, *, lazy: bool = False) -> None:
        engine = subject.make()
        assert isinstance(engine, Stream)
        self.engine = engine
        self.messages = engine.framing.messages
        self.queued: list[bytes] = []
        """All that the engine wants to be sent, in pieces; messages one by one."""
        self._subject = subject
        self._lazy = lazy
        self._hushed = False
        self._due: Compute | StartTLS | None = None
        self._judge = StreamJudge(engine)
        self._collect()

    @property
    def over(self) -> bool:
        """Whether the stream has ended."""
        return self._judge.over

    @property
    def ready(self) -> bool:
        """Whether stanzas flow."""
        return self.engine.ready

    @property
    def waiting(self) -> bool:
        """Whether the engine waits for "go"."""
        return self._due is not None

    def step(self, step: Step) -> list[Event]:
        """What is reported at this step. Wrong if that cannot be right, and what the engine
        raises, which is nothing."""
        name = step[0]
        if name == IN:
            return self.receive(pieces_of(step))
        engine = self.engine
        if name == "send":
            if engine.ready:
                with suppress(StanzasTooLarge):  # the peer may have announced any limit (XEP-0478)
                    engine.send(STANZAS)
        elif name == "handled":
            engine.handled(engine.management.received)
        elif name == "ask":
            engine.request_ack()
        elif name == "hush":
            self._hushed = not self._hushed
            engine.acks.hush(self._hushed)
        elif name == "close":
            engine.close()
        elif name == "fail":
            engine.fail("system-shutdown", "back <soon>")
        elif name == "eof":
            return self._taken(engine.receive_eof())
        elif name == "fault":
            fault = RemoteProtocolError("policy-violation", "a bad frame")
            return self._taken(engine.receive_fault(fault))
        elif self._due is not None:  # go
            due, self._due = self._due, None
            return self._go(due)
        self._judge.acted()
        self._collect()
        return []

    def receive(self, pieces: list[bytes]) -> list[Event]:
        """The byte door. One call of it for each piece, or for all of a WebSocket's."""
        if self.messages:
            return self._taken(self.engine.receive_messages(pieces))
        if len(pieces) == 1:
            return self._taken(self.engine.receive_data(pieces[0]))
        events: list[Event] = []
        for piece in pieces:
            events += self._taken(self.engine.receive_data(piece))
        return events

    def state(self) -> tuple[Any, ...]:
        """What must be the same however the bytes were cut. Not `idle`: that a stream is at rest
        may be noticed later (emp.stream.body)."""
        return self.engine.ready, self.engine.closed, self.engine.closing

    def _taken(self, events: list[Event]) -> list[Event]:
        self._judge.judge(events)
        self._collect()
        for event in events:
            if isinstance(event, Compute | StartTLS):
                if self._lazy:
                    self._due = event
                else:
                    return events + self._go(event)  # nothing follows it
        return events

    def _go(self, due: Compute | StartTLS) -> list[Event]:
        if isinstance(due, Compute):
            due.work()
            return self._taken(self.engine.computed())
        if not self.engine.closed:
            self.engine.tls_established(self._subject.bindings)
            self._collect()
        return []

    def _collect(self) -> None:
        if self.messages:
            self.queued += self.engine.messages_to_send()
        elif data := self.engine.data_to_send():
            self.queued.append(data)


class ParserRun:
    """A parser by itself. What it reports: elements, then True for the end or its fault."""

    messages = False
    waiting = False

    def __init__(self, subject: Subject, *, lazy: bool = False) -> None:
        engine = subject.make()
        assert isinstance(engine, StreamParser)
        self.engine = engine
        self.queued: list[bytes] = []
        self._judge = ParserJudge(engine)

    @property
    def over(self) -> bool:
        """Whether the parser takes no more."""
        return self._judge.over

    @property
    def ready(self) -> bool:
        """Whether elements are expected."""
        return self.engine.header is not None

    def step(self, step: Step) -> list[Any]:
        """As StreamRun.step; a parser has no caller with wishes."""
        return self.receive(pieces_of(step)) if step[0] == IN else []

    def receive(self, pieces: list[bytes]) -> list[Any]:
        """The byte door."""
        told: list[Any] = []
        for piece in pieces:
            over = self.over
            elements = self.engine.receive(piece)
            self._judge.judge(elements)
            told += elements
            if self.over and not over:
                fault = self.engine.fault
                told.append(True if fault is None else StreamFailed(fault))
        return told

    def state(self) -> tuple[Any, ...]:
        """What must be the same however the bytes were cut."""
        engine = self.engine
        return engine.header, engine.ended, bool(engine.fault)


Run = StreamRun | ParserRun


def begin(name: str, *, lazy: bool = False) -> Run:
    """The subject of that name, at its beginning."""
    subject = SUBJECTS[name]
    return (ParserRun if subject.role == "parser" else StreamRun)(subject, lazy=lazy)


def play(case: Case) -> Run:
    """A subject that has gone through all the steps."""
    run = begin(case.subject, lazy=case.lazy)
    for step in case.steps:
        run.step(step)
    return run


@contextmanager
def forgetful(much: bool = True) -> Iterator[None]:
    """Meanwhile the names that peers make up are forgotten (emp.names) after every few stanzas, not
    after thousands: lxml's memory would not survive a mistake in that."""
    usual = names.DICTIONARY_BYTES, body.SHARE_BYTES
    if much:
        names.DICTIONARY_BYTES, body.SHARE_BYTES = FORGET_BYTES  # type: ignore[misc]
    try:
        yield
    finally:
        names.DICTIONARY_BYTES, body.SHARE_BYTES = usual  # type: ignore[misc]
