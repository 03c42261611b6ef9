"""The loop: choose a beginning, mutate what comes next, judge, go on while the stream does.

A beginning is a recorded dialogue up to some step, so that every phase of a stream is one. Guidance
is by behaviour: what was reported and queued at a step has a *signature*; the first case with a
signature that was not seen before becomes a beginning as well (a poor man's coverage: it needs no
instrumentation, which would cost nine tenths of the speed).
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple, Protocol

from emp.stream.events import StreamFailed
from emp.stream.framing import as_message
from tools.fuzzing.case import IN, Case, Dialogue, Failure, Step, corpus, pieces_of, received
from tools.fuzzing.law import check_law
from tools.fuzzing.mutate import Mutator
from tools.fuzzing.oracle import Wrong, check_queued, check_reported
from tools.fuzzing.run import Run, begin, forgetful
from tools.fuzzing.subjects import ROLES, SUBJECTS
from tools.fuzzing.words import COMPONENT_STANZAS, STANZAS

INPUTS: Final = 8
"""Mutated inputs of one stream, at most …"""

CALM_INPUTS: Final = 200
"""… and of one that is ready and is to stay so: to get there costs as much as ten of them."""

CALM: Final = 0.985
"""Of the inputs of such a stream, those that may leave it so."""

READY: Final = 0.4
"""Of all streams: those that are ready when the first mutated input comes, …"""

FOUND: Final = 0.2
"""… and those that begin with a case that was found on the way."""

LAW_EVERY: Final = 20
"""Of so many streams one is tried for the law of any chunk: that costs some 30 executions, and more
if the stream is long …"""

LAW_INPUTS: Final = 3
"""… so it has no more than these inputs."""

CHECK_EVERY: Final = 10
"""Of so many streams one has all that it queued and reported parsed."""

FORGETFUL: Final = 0.5
"""Of all streams: those in which names are forgotten every other moment (run.forgetful)."""

POOL: Final = 400
"""Beginnings that were found on the way. More are not worth their time: the old ones go."""

NEAR: Final = 5
"""Steps to a stream that is ready: such beginnings are tried three times as often, for most of what
a stream does then does not depend on how it came there."""

SIGNATURES: Final = 100_000
"""Kinds of behaviour that are told apart, so that memory is bounded."""

LONGEST_CASE: Final = 24
"""Steps of such a beginning."""

_OPENED: Final = re.compile(rb"<([a-z][a-z:-]*)")
_STANZA: Final = re.compile(rb"<(?:message|presence|iq)[\s/>]")
_WORDS: Final = re.compile(r"[a-zA-Z ]+")


@dataclass(slots=True)
class Counts:
    """executions: mutated inputs that were handed to a byte door while the stream was not over,
    each counted once, in however many pieces it came. calls: of byte doors with them. Not counted
    are the beginnings of dialogues, what comes after the end, and the calls of the law."""

    executions: int = 0
    calls: int = 0
    streams: int = 0
    laws: int = 0
    signatures: int = 0
    stale: int = 0


class Box(Protocol):
    """Remembers what is under way, should the process be gone in a moment."""

    def begin(self, case: Case) -> None:
        """This case is begun."""

    def add(self, step: Step) -> None:
        """This is its next step."""


class NoBox:
    """Remembers nothing."""

    def begin(self, case: Case) -> None: ...

    def add(self, step: Step) -> None: ...


class Beginning(NamedTuple):
    """A case, what would come next, and whether its stream is ready."""

    case: Case
    rest: Sequence[Step]
    ready: bool


class Material:
    """What the corpus gives: beginnings in each phase, and inputs and stanzas by role."""

    def __init__(self, dialogues: Sequence[Dialogue]) -> None:
        self.early: list[Beginning] = []
        self.ready: list[Beginning] = []
        self.inputs: dict[str, list[bytes]] = {}
        self.stanzas: dict[str, list[bytes]] = {}
        for dialogue in dialogues:
            self._add(dialogue)
        for role, inputs in self.inputs.items():
            own = [each for each in inputs if _STANZA.match(each)]
            web = role.endswith("websocket")
            self.stanzas[role] = own + [as_message(each) if web else each for each in STANZAS]
            if "component" in role:
                self.stanzas[role] += COMPONENT_STANZAS

    def _add(self, dialogue: Dialogue) -> None:
        role = SUBJECTS[dialogue.subject].role
        run = begin(dialogue.subject)
        places = 0
        for number, step in enumerate(dialogue.steps):
            if step[0] == IN:
                case = Case(dialogue.subject, dialogue.steps[:number])
                here = Beginning(case, dialogue.steps[number:], run.ready)
                self.inputs.setdefault(role, []).extend(pieces_of(step))
                places += run.ready
                if not run.ready:
                    self.early.append(here)
                elif places <= 2:  # later ones are no different, and further away
                    self.ready += [here] * (3 if number <= NEAR else 1)
            run.step(step)


class Explorer:
    """Plays streams one after the other. The same seed gives the same streams.

    roles: which to fuzz. box: is told everything before it happens.
    """

    def __init__(
        self,
        seed: int | str,
        roles: Sequence[str] = ROLES,
        box: Box | None = None,
    ) -> None:
        self._box = box or NoBox()
        rng = Random(seed)
        self.counts = Counts()
        self._mutator = Mutator(rng)
        self._material = Material(
            [each for each in corpus().values() if SUBJECTS[each.subject].role in roles]
        )
        self._pool: list[Beginning] = []
        self._seen: set[tuple[Any, ...]] = set()

    def stream(self) -> Failure | None:
        """One stream from its beginning to its end."""
        case, rest, ready = self._beginning()
        self.counts.streams += 1
        self._attempt = attempt = _Attempt(case, self._box)
        try:
            with forgetful(self._mutator.chance(FORGETFUL)):
                self._play(attempt, rest, ready=ready)
        except Exception as error:  # noqa: BLE001 - whatever it is
            return failure_of(error, attempt.case)
        return None

    @property
    def case(self) -> Case:
        """The last stream."""
        return self._attempt.case

    # -- beginnings --------------------------------------------------------------------------

    def _beginning(self) -> Beginning:
        mutator, material = self._mutator, self._material
        chance = mutator.random()
        if chance < FOUND and self._pool:
            return mutator.pick(self._pool)
        found = mutator.pick(material.ready if chance < FOUND + READY else material.early)
        if mutator.chance(0.04):
            case, rest, ready = found
            return Beginning(Case(case.subject, case.steps, lazy=True), rest, ready)
        return found

    # -- one stream --------------------------------------------------------------------------

    def _play(self, attempt: _Attempt, rest: Sequence[Step], *, ready: bool) -> None:
        mutator, counts = self._mutator, self.counts
        role = SUBJECTS[attempt.start.subject].role
        inputs, stanzas = self._material.inputs[role], self._material.stanzas[role]
        run = attempt.begin()
        if run.over:
            counts.stale += 1
            return
        law = mutator.below(LAW_EVERY) == 0
        check = mutator.below(CHECK_EVERY) == 0
        rest = list(rest)
        calm = ready and mutator.chance(0.8)
        most = LAW_INPUTS if law else CALM_INPUTS if calm else INPUTS
        for _ in range(1 + mutator.below(most)):
            mutator.calm = calm and mutator.chance(CALM)
            others = stanzas if mutator.calm else inputs
            base = self._next_input([] if mutator.calm else rest, others)
            step = received(*self._mutated(run, base, others))
            attempt.add(step)
            queued = len(run.queued)
            counts.executions += 1
            counts.calls += 1 if run.messages else len(step) - 1
            events = run.step(step)
            if check:
                check_reported(events)
            if self._is_new(attempt.start.subject, events, run, queued):
                self._remember(attempt, rest, ready=ready, over=run.over)
            if run.over or self._act(attempt, run).over:
                break
        if law:
            counts.laws += check_law(up_to_input(attempt.case))
        self._end(attempt, run)
        if check:
            check_queued(run.queued, messages=run.messages)

    def _next_input(self, rest: list[Step], others: Sequence[bytes]) -> list[bytes]:
        while rest:
            step = rest.pop(0)
            if step[0] == IN:
                if self._mutator.chance(0.15):
                    break
                return pieces_of(step)
        return [self._mutator.pick(others)]

    def _mutated(self, run: Run, base: list[bytes], others: Sequence[bytes]) -> list[bytes]:
        mutator = self._mutator
        if not run.messages:
            return mutator.cut(mutator.mutate(b"".join(base), others))
        at = mutator.below(len(base))
        base[at] = mutator.mutate(base[at], others)
        if mutator.chance(0.1):
            base.insert(at, mutator.mutate(mutator.pick(others), others))
        return base

    def _act(self, attempt: _Attempt, run: Run) -> Run:
        """Our caller does something in between."""
        mutator = self._mutator
        if run.waiting and mutator.chance(0.5):
            self._step(attempt, run, "go")
        if mutator.chance(0.3):
            usual = ("send", "handled", "ask", "send", "handled", "ask", "hush")
            actions = usual if mutator.chance(0.95) else ("close",)
            self._step(attempt, run, mutator.pick(actions))
        return run

    def _end(self, attempt: _Attempt, run: Run) -> None:
        """How the stream ends; and nothing comes of what follows."""
        if self._mutator.chance(0.8):
            self._step(attempt, run, self._mutator.pick(("eof", "close", "fail", "fault")))
        if run.over:
            self._step(attempt, run, "eof")
            attempt.add(received(b"<presence/>"))
            run.step(attempt.steps[-1])

    def _step(self, attempt: _Attempt, run: Run, action: str) -> None:
        attempt.add((action,))
        run.step((action,))

    def _is_new(self, subject: str, events: Sequence[object], run: Run, queued: int) -> bool:
        """Whether that was not reported and queued (from `queued` on) before."""
        signature = (subject, run.over, *map(_kind, events[:6]))
        if len(run.queued) > queued:
            names = _OPENED.findall(b"".join(run.queued[queued:]))
            signature += tuple(sorted(set(names)))
        if signature in self._seen or len(self._seen) >= SIGNATURES:
            return False
        self._seen.add(signature)
        self.counts.signatures += 1
        return True

    def _remember(
        self, attempt: _Attempt, rest: Sequence[Step], *, ready: bool, over: bool
    ) -> None:
        """As a beginning; a stream that is over, from where it was nearly good."""
        if len(attempt.steps) > LONGEST_CASE:
            return
        case, rest = attempt.case, list(rest)
        if over:
            rest.insert(0, case.steps[-1])
            case = Case(case.subject, case.steps[:-1], case.lazy)
        if len(self._pool) < POOL:
            self._pool.append(Beginning(case, rest, ready))
        else:
            self._pool[self._mutator.below(POOL)] = Beginning(case, rest, ready)


class _Attempt:
    """The case that grows while it is played; `box` hears of it before the engine does."""

    def __init__(self, case: Case, box: Box) -> None:
        self.start = case
        self.steps = list(case.steps)
        self._box = box
        box.begin(case)

    @property
    def case(self) -> Case:
        return Case(self.start.subject, tuple(self.steps), self.start.lazy)

    def begin(self) -> Run:
        run = begin(self.start.subject, lazy=self.start.lazy)
        for step in self.start.steps:
            run.step(step)
        return run

    def add(self, step: Step) -> None:
        self.steps.append(step)
        self._box.add(step)


def _kind(event: object) -> object:
    if isinstance(event, StreamFailed):
        words = _WORDS.match(event.error.text)
        return event.error.condition, words[0][:30] if words else ""
    return type(event)


def up_to_input(case: Case) -> Case:
    """Without what our caller did behind the last input."""
    steps = list(case.steps)
    while steps and steps[-1][0] != IN:
        steps.pop()
    return Case(case.subject, tuple(steps), case.lazy)


def failure_of(error: Exception, case: Case) -> Failure:
    """What was raised when the case was played."""
    if isinstance(error, Wrong):
        return Failure(error.kind, case.subject, error.text, case)
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"
    text = "".join(traceback.format_exception(error))[-6000:]
    return Failure(f"exception {type(error).__name__}", place, text, case)
