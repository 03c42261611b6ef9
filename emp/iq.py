"""The IQ requests that we asked and whose answers are due (RFC 6120 §8.2.3).

An answer counts only from the peer that was asked: anyone may guess an id. No clock: time comes as
a number, in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from emp.errors import LocalProtocolError
from emp.jid import JID
from emp.stanza import Stanza

T = TypeVar("T")

PENDING_IQS = 10_000
"""Requests without an answer on one connection. More means that nobody answers: the asker must
know."""


@dataclass(frozen=True, slots=True)
class _Pending(Generic[T]):
    asker: T
    asked_by: JID | None  # a contact of a gateway, to which the answer must go
    accepted_from: frozenset[JID | None]
    deadline: float


class PendingIqs(Generic[T]):
    """Who waits for which answer. `own` is the JID of the connection, once it is known."""

    def __init__(self, limit: int = PENDING_IQS) -> None:
        self._pending: dict[str, _Pending[T]] = {}
        self._limit = limit

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, id: str) -> bool:
        """Whether the answer with this id is due."""
        return id in self._pending

    def add(self, iq: Stanza, own: JID, asker: T, deadline: float) -> None:
        """Expect the answer to `iq`. Raises LocalProtocolError when it can't be told apart."""
        if iq.id is None or iq.id in self._pending:
            raise LocalProtocolError(f"an IQ request with the id {iq.id!r} is pending already")
        if len(self._pending) >= self._limit:
            raise LocalProtocolError(f"{self._limit} IQ requests are without an answer")
        self._pending[iq.id] = _Pending(asker, iq.from_, _accepted_from(iq.to, own), deadline)

    def answered(self, stanza: Stanza) -> T | None:
        """The asker whose request `stanza` (type result or error) answers, or None: not ours."""
        pending = self._pending.get(stanza.id or "")
        if pending is None or stanza.from_ not in pending.accepted_from:
            return None
        if pending.asked_by not in (None, stanza.to):
            return None
        del self._pending[stanza.id or ""]
        return pending.asker

    def drop(self, iq: Stanza) -> None:
        """Expect that answer no more."""
        self._pending.pop(iq.id or "", None)

    def expired(self, now: float) -> list[T]:
        """Take out, and return, the askers whose deadline has passed."""
        late = [key for key, pending in self._pending.items() if pending.deadline <= now]
        return [self._pending.pop(key).asker for key in late]

    def clear(self) -> list[T]:
        """Take out everybody: the connection is gone, and no answer will come."""
        askers = [pending.asker for pending in self._pending.values()]
        self._pending.clear()
        return askers


def _accepted_from(to: JID | None, own: JID) -> frozenset[JID | None]:
    """Who may answer a request to `to`: RFC 6120 §8.1.2.1 lets our own server leave `from` out."""
    domain = JID.received(own.domain)
    if to is None:
        return frozenset({None, own, own.bare, domain})
    if to in (own.bare, domain) and own.local is not None:
        return frozenset({None, to})
    return frozenset({to})
