"""The law of any chunk: what a stream says does not depend on how its bytes were cut.

With the exception that is a rule: around a restart it matters what came in the same read (RFC 6120
§5.3.3, plaintext injection).
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from typing import Any, Final

from lxml import etree

from emp.stanza import Message, Stanza
from emp.stream.events import StanzaSkipped, StanzasReceived, StartTLS, StreamFailed
from tools.fuzzing.case import IN, Case, pieces_of
from tools.fuzzing.oracle import Wrong
from tools.fuzzing.run import Run, play
from tools.fuzzing.twins import facts_of

LONGEST: Final = 2048
"""Bytes that are fed one by one: a few milliseconds."""

# What a server says before a restart; a client begins a new stream behind it.
_RESTARTS: Final = (
    b"<proceed ",
    b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'",
    b"<?xml ",
    b"<open ",
)
_BEHIND: Final = b"<message id='behind'/>"
_BEHIND_MESSAGE: Final = b"<message xmlns='jabber:client' id='behind'/>"
_BEFORE_RESTART: Final = "data before the stream restart"


def check_law(case: Case) -> bool:
    """Wrong if the last step, of which the bytes come in otherwise, ends otherwise. Returns whether
    there was anything to compare."""
    if case.lazy or not case.steps or case.steps[-1][0] != IN:
        return False
    before = Case(case.subject, case.steps[:-1])
    pieces = [piece for piece in pieces_of(case.steps[-1]) if piece]
    outcomes = []
    for way, groups in _ways(play(before).messages, pieces):
        run = play(before)
        sent = len(run.queued)
        events: list[Any] = []
        for group in groups:
            events += run.receive(list(group))
        queued = b"".join(run.queued[sent:])
        if _is_exempt(run, events, queued):
            return False
        outcomes.append((way, told(events), queued, run.state()))
        _check_behind(run, events)
    for way, *outcome in outcomes[1:]:
        first, *expected = outcomes[0]
        if outcome != expected:
            raise Wrong("any chunk", f"{way}: {outcome!r:.3000}\n{first}: {expected!r:.3000}")
    return bool(outcomes)


def _check_behind(run: Run, events: Sequence[object]) -> None:
    """Wrong unless what comes behind a stanza that was skipped arrives unharmed."""
    if run.over or not run.engine.idle or not any(isinstance(e, StanzaSkipped) for e in events):
        return
    arrived = told(run.receive([_BEHIND_MESSAGE if run.messages else _BEHIND]))
    expected = told([StanzasReceived([Message(None, id="behind")])])
    if [each[:5] for each in arrived if isinstance(each, list)] != [each[:5] for each in expected]:  # type: ignore[index]
        raise Wrong("behind a skipped stanza", f"{arrived!r:.3000}")


def _ways(messages: bool, pieces: Sequence[bytes]) -> list[tuple[str, list[Sequence[bytes]]]]:
    """Names of ways to feed the same, and what is fed together."""
    single: list[Sequence[bytes]] = [[piece] for piece in pieces]
    if messages:
        return [("one read", [pieces]), ("one by one", single)]
    data = b"".join(pieces)
    ways: list[tuple[str, list[Sequence[bytes]]]] = [
        ("whole", [[data]]),
        ("at random", [_cut(data)]),
    ]
    if len(data) <= LONGEST:
        ways.append(("byte by byte", [[data[at : at + 1] for at in range(len(data))]]))
    return ways


def _cut(data: bytes) -> list[bytes]:
    rng = random.Random(zlib.crc32(data))  # the same places when it is replayed
    places = sorted(rng.randrange(len(data) + 1) for _ in range(1 + rng.randrange(6)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def _is_exempt(run: Run, events: Sequence[object], queued: bytes) -> bool:
    if any(each in queued for each in _RESTARTS):
        return True
    for event in events:
        if isinstance(event, StartTLS):
            return True
        if isinstance(event, StreamFailed):
            error = event.error
            if error.text == _BEFORE_RESTART:
                return True
    return False


def told(events: Sequence[object]) -> list[object]:
    """Events in a form that compares: stanzas by what they say, errors by their conditions."""
    result: list[object] = []
    for event in events:
        if isinstance(event, StanzasReceived):
            # Not as bytes: those of plain stanzas are as they came (emp.stream.shortcut).
            result += [facts_of(stanza) for stanza in event.stanzas]
        elif isinstance(event, StanzaSkipped):
            result.append(facts_of(event))
        elif isinstance(event, StreamFailed):
            error = event.error
            result.append((type(error).__name__, error.condition))
        elif isinstance(event, etree._Element | Stanza):  # lxml numbers prefixes as they come
            result.append(facts_of(event))
        else:
            result.append(repr(event))
    return result
