"""Sessions of XEP-0198 that outlive their connections (§5): who may come back, and for how long.

A session is *held* by a connection or it *sleeps*: then it keeps its place in the routing table,
and what is sent to it is written down. When nobody comes back in time, it ends as any other does,
and what its client has not acknowledged is routed once more, now that it is not there.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from emp.devserver.hub import Hub, Resource
from emp.jid import JID
from emp.stanza import Stanza
from emp.stream.management import Management

if TYPE_CHECKING:
    from collections.abc import Callable

RESUME_SECONDS = 120.0
"""How long a session sleeps: time for a network that changes, or for a service that restarts."""

ASLEEP_STANZAS = 100_000
"""Stanzas written down for one that sleeps, those not acknowledged before included; with more than
that it ends. Whoever floods it is not held back, so this is room for a load test."""

REMEMBERED = 1000
"""Sessions that are over and of which we still know how much they had handled (§5)."""

ID_BYTES = 24
"""Of randomness: who knows the id, and logs in to the account, gets the session."""


class Holder(Protocol):
    """A connection."""

    def let_go(self) -> None:
        """Another connection has the session now."""


@dataclass(eq=False)
class Kept:
    """A session that can be resumed. `holder`: its connection, None while it sleeps."""

    id: str
    resource: Resource
    management: Management
    holder: Holder | None
    timer: asyncio.Handle | None = None  # ends it


class Sessions:
    """All sessions of a server that can be resumed."""

    def __init__(self, hub: Hub, flush: Callable[[], None], seconds: float) -> None:
        self.seconds = seconds
        self._hub = hub
        self._flush = flush  # to be called when something was delivered
        self._kept: dict[str, Kept] = {}
        self._over: OrderedDict[str, tuple[JID, int]] = OrderedDict()  # id → account, h

    def keep(self, resource: Resource, management: Management, holder: Holder) -> Kept:
        """This session can be resumed from now on."""
        kept = Kept(secrets.token_urlsafe(ID_BYTES), resource, management, holder)
        self._kept[kept.id] = kept
        return kept

    def take(self, account: JID, id: str, holder: Holder) -> Kept | int | None:
        """The session goes on in the hands of `holder`. If it is over: how much it had handled, or
        None where we do not know, or where it is somebody else's."""
        kept = self._kept.get(id)
        if kept is None or kept.resource.jid.bare != account:
            owner, h = self._over.get(id, (None, 0))
            return h if owner == account else None
        if kept.holder is not None:
            kept.holder.let_go()
        if kept.timer is not None:
            kept.timer.cancel()
        kept.management.interrupt()
        kept.holder, kept.timer = holder, None
        return kept

    def sleep(self, kept: Kept) -> None:
        """The connection is lost."""
        kept.holder = None
        kept.resource.deliver = lambda stanza: self._write_down(kept, stanza)
        loop = asyncio.get_running_loop()
        kept.timer = loop.call_later(self.seconds, self.end, kept)

    def _write_down(self, kept: Kept, stanza: Stanza) -> None:
        kept.management.record([stanza])
        if len(kept.management.unacknowledged) == ASLEEP_STANZAS:
            assert kept.timer is not None
            kept.timer.cancel()
            # Not now: the routing table is being looked through.
            kept.timer = asyncio.get_running_loop().call_soon(self.end, kept)

    def end(self, kept: Kept) -> None:
        """Nobody can resume it any more."""
        if self._kept.pop(kept.id, None) is None:
            return
        if kept.timer is not None:
            kept.timer.cancel()
        self._over[kept.id] = (kept.resource.jid.bare, kept.management.h)
        if len(self._over) > REMEMBERED:
            self._over.popitem(last=False)
        kept.management.abandon()
        leave(self._hub, kept.resource, kept.management)
        self._flush()

    def make_room(self, bare: JID, resource: str | None, client: str | None = None) -> None:
        """A client wants that resource: if one that sleeps has it, it was the same client. So it
        was if that has the id `client` (XEP-0386 §3.2)."""
        for kept in list(self._kept.values()):
            jid, same = kept.resource.jid, client is not None and kept.resource.client == client
            if kept.holder is None and jid.bare == bare and (same or jid.resource == resource):
                self.end(kept)

    def close(self) -> None:
        """The server stops."""
        for kept in self._kept.values():
            if kept.timer is not None:
                kept.timer.cancel()
        self._kept.clear()


def leave(hub: Hub, resource: Resource, management: Management) -> None:
    """The client is gone for good: what it has not acknowledged is routed as if it had come now."""
    hub.leave(resource)
    for unsent in management.take_lost():
        if unsent.stanza.to_text is not None and unsent.stanza.from_text is not None:
            hub.route_again(unsent.stanza)
