"""The life of a stream, in one table.

Strategy. A stream has one *phase* at a time. What happens to it, from either side, is a *signal*;
`TRANSITIONS` says which signals a phase knows and where they lead, and there is no other way to
change the phase. A signal that is not in the table is a mistake of our caller (LocalProtocolError),
never of the peer: the engine judges what the peer sends before it gives a signal.

      START ── STARTED ──► HEADER ── HEADER_RECEIVED ──► NEGOTIATING ── NEGOTIATED ──► READY
                             ▲  ▲                          │    │                       │
                             │  └───────── RESTARTED ──────┘    │ TLS_WANTED       CLOSE_SENT
                             └──────── TLS_DONE ── TLS ◄────────┘                       ▼
      every phase ── OVER ──► CLOSED ◄───────────────── OVER ────────────────────── CLOSING

What was *done* so far is not a phase: it survives the restarts of the stream. Stream features name
the bits that they need and those that forbid them (emp.stream.features), which gives the order of
the negotiation without a second state machine.
"""

from collections.abc import Mapping
from enum import Enum, Flag, auto
from typing import Final

from emp.errors import LocalProtocolError


class Phase(Enum):
    """Where a stream is."""

    START = auto()  # nothing was sent or received
    HEADER = auto()  # the peer's header is awaited
    NEGOTIATING = auto()
    TLS = auto()  # the transport does the handshake; no byte may come
    READY = auto()  # stanzas flow
    CLOSING = auto()  # our </stream:stream> is sent, the peer's awaited
    CLOSED = auto()  # every byte is ignored


class Signal(Enum):
    """What happens to a stream."""

    STARTED = auto()
    HEADER_RECEIVED = auto()
    TLS_WANTED = auto()
    TLS_DONE = auto()
    RESTARTED = auto()
    NEGOTIATED = auto()
    CLOSE_SENT = auto()
    OVER = auto()


class Done(Flag):
    """What a stream has achieved."""

    NOTHING = 0
    SECURE = auto()  # TLS protects it
    TRUSTED = auto()  # credentials may be shown: SECURE, or TLS was not asked for
    AUTHENTICATED = auto()
    BOUND = auto()


TRANSITIONS: Final[Mapping[Phase, Mapping[Signal, Phase]]] = {
    Phase.START: {
        Signal.STARTED: Phase.HEADER,
        Signal.TLS_DONE: Phase.START,  # TLS from the first byte (XEP-0368)
        Signal.OVER: Phase.CLOSED,
    },
    Phase.HEADER: {
        Signal.HEADER_RECEIVED: Phase.NEGOTIATING,
        Signal.TLS_DONE: Phase.HEADER,  # as above, at the server
        Signal.CLOSE_SENT: Phase.CLOSING,
        Signal.OVER: Phase.CLOSED,
    },
    Phase.NEGOTIATING: {
        Signal.TLS_WANTED: Phase.TLS,
        Signal.RESTARTED: Phase.HEADER,
        Signal.NEGOTIATED: Phase.READY,
        Signal.CLOSE_SENT: Phase.CLOSING,
        Signal.OVER: Phase.CLOSED,
    },
    Phase.TLS: {
        Signal.TLS_DONE: Phase.HEADER,
        Signal.OVER: Phase.CLOSED,
    },
    Phase.READY: {
        Signal.CLOSE_SENT: Phase.CLOSING,
        Signal.OVER: Phase.CLOSED,
    },
    Phase.CLOSING: {
        Signal.HEADER_RECEIVED: Phase.CLOSING,
        Signal.OVER: Phase.CLOSED,
    },
    Phase.CLOSED: {},
}


def move(phase: Phase, signal: Signal) -> Phase:
    """The next phase. LocalProtocolError if the phase does not know the signal."""
    try:
        return TRANSITIONS[phase][signal]
    except KeyError:
        raise LocalProtocolError(f"{signal.name} makes no sense in phase {phase.name}") from None
