"""What a client's account does by itself: roster, presence, subscriptions, carbons, duplicates.

A `ClientSession` belongs to one connection and outlives its streams. It is told what comes in and
says what to do with it; it has no I/O and no clock. Most stanzas are none of its business, and pass
after a look at their kind and payload.

Whom it believes: roster pushes and carbons change what we think others said or are, so they count
from our own account only (RFC 6121 §2.1.6, XEP-0280 §11; CVE-2015-8688, CVE-2017-5589).
"""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from emp import ns
from emp.answer import refusal
from emp.config import ConnectionSettings
from emp.errors import JIDError, RemoteProtocolError, ServiceUnavailable, StanzaError
from emp.iq import PendingIqs
from emp.jid import JID
from emp.stanza import Iq, Presence, Stanza
from emp.view import payload_of, tree_of
from emp.xep import carbons, csi, disco
from emp.xep.caps import Capabilities
from emp.xep.roster import FEATURE as VERSIONS
from emp.xep.roster import QUERY as ROSTER
from emp.xep.roster import Item, Roster
from emp.xep.stanza_id import STANZA_ID, given_by, stanza_id_of

_log: Final = logging.getLogger("emp.session")

SEEN_IDS: Final = 1024
"""Stanza-ids that are remembered. Duplicates come when a stream breaks, and what the server can
have under way then is less."""

RECIPROCATED: Final = 1024
"""Contacts that we asked in return, for whom that is remembered until the roster says so."""

IDENTITY: Final = disco.Identity("client", "bot", name="EMP")
FEATURES: Final = frozenset({ns.DISCO_INFO, ns.CAPS})
"""What every client session can do; the application may add what its routes answer."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a stanza. route: pass it on; replies: send these."""

    route: bool
    replies: tuple[Stanza, ...] = ()


ROUTE: Final = Verdict(True)
CONSUMED: Final = Verdict(False)


class _Memory:
    """The newest `limit` keys."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._keys: OrderedDict[Hashable, None] = OrderedDict()

    def add(self, key: Hashable) -> bool:
        """Remember the key; False if it was known."""
        known = key in self._keys
        self._keys[key] = None
        if len(self._keys) > self._limit:
            self._keys.popitem(last=False)
        return not known

    def forget(self, key: Hashable) -> None:
        self._keys.pop(key, None)


class ClientSession:
    """The account's side of a client connection.

    features: names for disco#info beyond FEATURES. Only where `settings.caps` names the software
    does anybody learn of them.
    """

    def __init__(self, settings: ConnectionSettings, features: Collection[str] = ()) -> None:
        self.client_state = settings.client_state
        self._settings = settings
        self._own = JID.parse(settings.address)
        self._caps: Capabilities | None = None
        if settings.caps is not None:
            info = disco.Info((IDENTITY,), FEATURES.union(features))
            self._caps = Capabilities(settings.caps, info)
        self._roster = Roster()
        self._asked: PendingIqs[Callable[[Iq], None]] = PendingIqs()
        self._seen = _Memory(SEEN_IDS)
        self._reciprocated = _Memory(RECIPROCATED)
        self._offers_csi = False
        self._carbons = False
        self._warned: set[str] = set()
        self._counts = dict.fromkeys(_COUNTS, 0)

    # -- what we send ------------------------------------------------------------------------

    def opened(self, jid: JID, resumed: bool, features: Collection[str]) -> list[Stanza]:
        """What to send on a stream that is ready, before anything else; then nonzas().

        jid: as bound; features: Clark names of the stream features that the server offered last.
        Nothing on a resumed stream: the server remembers.
        """
        self._own = jid.bare
        if resumed:
            return []  # what it can do is known: with SASL2 it does not say it again
        self._offers_csi = csi.FEATURE in features
        self._asked.clear()
        self._carbons = False
        settings = self._settings
        stanzas: list[Stanza] = []
        if settings.carbons:
            stanzas.append(self._ask(carbons.enable(), jid, self._carbons_answered))
        if settings.roster:  # before presence: RFC 6121 §2.2
            get = self._roster.get(versions=VERSIONS in features)
            stanzas.append(self._ask(get, jid, self._roster_answered))
        if settings.presence:
            stanzas.append(self.presence())
        return stanzas

    def nonzas(self) -> list[str]:
        """What to send behind opened() that is no stanza, also on resumed streams (XEP-0352 §5).

        Call it again when `client_state` was changed.
        """
        state = self.client_state
        return [csi.nonza(state)] if state is not None and self._offers_csi else []

    def presence(self) -> Presence:
        """Our presence as configured, with capabilities."""
        settings = self._settings
        caps = () if self._caps is None else (self._caps,)
        return Presence(
            None, *caps, show=settings.show, status=settings.status, priority=settings.priority
        )

    def _ask(self, iq: Iq, own: JID, then: Callable[[Iq], None]) -> Iq:
        # Without deadline: the server answers, or the stream ends.
        self._asked.add(iq, own, then, math.inf)
        return iq

    def awaits(self, id: str) -> bool:
        """Whether the result of a request of ours with this id is due."""
        return id in self._asked

    # -- what we know ------------------------------------------------------------------------

    @property
    def roster(self) -> Mapping[JID, Item] | None:
        """Contacts, or None before they were fetched. While there is no stream, as they were."""
        return self._roster.items

    @property
    def roster_changes(self) -> int:
        """Grows with each change of the roster."""
        return self._roster.changes

    def facts(self) -> dict[str, Any]:
        """For people who look after the service."""
        items = self._roster.items
        return {
            "roster_items": None if items is None else len(items),
            "carbons": self._carbons,
            "client_state": self.client_state if self._offers_csi else None,
            **self._counts,
        }

    # -- what comes in -----------------------------------------------------------------------

    def receive(self, stanza: Stanza) -> Verdict:
        """What to do with a stanza from the server. Never raises on what peers wrote."""
        kind = stanza.kind
        if kind == "message":
            # A payload is a child outside jabber:client; without one there is nothing for us.
            return ROUTE if stanza.payload_name is None else self._message(stanza)
        if kind == "presence":
            handler = self._presences.get(stanza.type)
            return ROUTE if handler is None else handler(self, stanza)
        if stanza.is_request:
            request = self._requests.get((stanza.type, stanza.payload_name))
            return ROUTE if request is None else request(self, stanza)
        return self._answer(stanza) if self._asked else ROUTE

    def _message(self, stanza: Stanza) -> Verdict:
        if not stanza.mentions(ns.CARBONS, ns.STANZA_ID):
            return ROUTE
        # All children: what stands first is for the sender to choose.
        id = None
        for child in tree_of(stanza):
            tag = child.tag
            if tag in carbons.WRAPPERS:
                return self._carbon(stanza)
            if tag == STANZA_ID and id is None:
                id = given_by(child, self._own)
        return ROUTE if id is None else self._identified(id, stanza.from_text)

    def _carbon(self, stanza: Stanza) -> Verdict:
        """Genuine copies are routed as they came, for emp.xep.carbons.unwrap()."""
        if not self._is_own(stanza):
            self._refuse("spoofed_carbons", stanza)
            return CONSUMED
        try:
            message = carbons.unwrap(stanza).message
        except RemoteProtocolError:
            return ROUTE  # whoever unwraps it will see what is wrong
        id = stanza_id_of(message, self._own)
        return ROUTE if id is None else self._identified(id, message.from_text)

    def _identified(self, id: str, sender: str | None) -> Verdict:
        """XEP-0359: a server that sends a message again, as its acknowledgement got lost, gives it
        the same id.

        The sender belongs to the key, so that where a server lets ids in its name pass nobody can
        suppress the messages of others.
        """
        if self._seen.add((id, sender)):
            return ROUTE
        self._counts["duplicates"] += 1
        return CONSUMED

    # -- roster ------------------------------------------------------------------------------

    def _push(self, stanza: Stanza) -> Verdict:
        """RFC 6121 §2.1.6."""
        if stanza.from_text is not None and not self._is_own(stanza):
            self._refuse("spoofed_pushes", stanza)
            return Verdict(False, tuple(refusal(stanza, ServiceUnavailable())))
        payload = payload_of(stanza)
        assert payload is not None
        assert isinstance(stanza, Iq)
        try:
            self._roster.pushed(payload)
        except StanzaError as error:
            return Verdict(False, tuple(refusal(stanza, error)))
        return Verdict(False, (stanza.result(),))

    def _answer(self, stanza: Stanza) -> Verdict:
        try:
            then = self._asked.answered(stanza)
        except JIDError:
            return ROUTE
        if then is None:
            return ROUTE
        assert isinstance(stanza, Iq)
        then(stanza)
        return CONSUMED

    def _roster_answered(self, answer: Iq) -> None:
        if answer.type == "result":
            self._roster.fetched(tree_of(answer).find(ROSTER))
        else:
            _log.warning("%s: no roster: %s", self._own, answer.failure)

    def _carbons_answered(self, answer: Iq) -> None:
        self._carbons = answer.type == "result"
        if not self._carbons:
            _log.warning("%s: no carbons: %s", self._own, answer.failure)

    # -- subscriptions -----------------------------------------------------------------------

    def _subscribe(self, stanza: Stanza) -> Verdict:
        """RFC 6121 §3.1.3: somebody wants to see our presence."""
        try:
            sender = stanza.from_
        except JIDError:
            return ROUTE  # what has no valid address is refused for all kinds alike
        if sender is None or sender.bare == self._own:
            return CONSUMED  # we see our own presence anyway
        return self._policies[self._settings.subscriptions](self, sender.bare)

    def _asks(self, contact: JID) -> Verdict:
        return ROUTE

    def _accept(self, contact: JID) -> Verdict:
        return Verdict(True, (Presence(contact, type="subscribed"),))

    def _reciprocate(self, contact: JID) -> Verdict:
        replies = [Presence(contact, type="subscribed")]
        item = (self._roster.items or {}).get(contact)
        known = item is not None and (item.ask or item.subscription in ("to", "both"))
        # Own memory as well: the push that shows what we asked comes after the next request.
        if self._reciprocated.add(contact) and not known:
            replies.append(Presence(contact, type="subscribe"))
        return Verdict(True, tuple(replies))

    def _deny(self, contact: JID) -> Verdict:
        self._counts["refused_subscriptions"] += 1
        return Verdict(False, (Presence(contact, type="unsubscribed"),))

    def _unsubscribed(self, stanza: Stanza) -> Verdict:
        """RFC 6121 §3.2.3: asked again one day, we may ask in return again."""
        try:
            if stanza.from_ is not None:
                self._reciprocated.forget(stanza.from_.bare)
        except JIDError:
            pass
        return ROUTE

    # -- capabilities ------------------------------------------------------------------------

    def _info(self, stanza: Stanza) -> Verdict:
        """XEP-0115 §6.2: the answer is the same for all, and stands in our presence by its hash."""
        info = None if self._caps is None else self._caps.answer(stanza)
        if info is None:
            return ROUTE
        assert isinstance(stanza, Iq)
        return Verdict(False, (stanza.result(info),))

    # -- inside ------------------------------------------------------------------------------

    def _is_own(self, stanza: Stanza) -> bool:
        """Whether it comes from our account itself: our bare JID, no resource."""
        try:
            return stanza.from_ == self._own
        except JIDError:
            return False

    def _refuse(self, what: str, stanza: Stanza) -> None:
        """Count it; log it once, for who floods us shall not fill the disk."""
        self._counts[what] += 1
        if what not in self._warned:
            self._warned.add(what)
            _log.warning(
                "%s: %s from %.200r; further ones are counted only",
                self._own,
                _COUNTS[what],
                stanza.from_text,
            )

    _presences: ClassVar[dict[str, Callable[[ClientSession, Stanza], Verdict]]] = {
        "subscribe": _subscribe,
        "unsubscribed": _unsubscribed,
    }
    _requests: ClassVar[
        dict[tuple[str, str | None], Callable[[ClientSession, Stanza], Verdict]]
    ] = {
        ("set", ROSTER): _push,
        ("get", disco.INFO): _info,
    }
    _policies: ClassVar[dict[str, Callable[[ClientSession, JID], Verdict]]] = {
        "ask": _asks,
        "accept": _accept,
        "accept-and-reciprocate": _reciprocate,
        "deny": _deny,
    }


_COUNTS: Final = {
    "spoofed_pushes": "a roster push in our server's name",
    "spoofed_carbons": "a carbon copy in our server's name",
    "duplicates": "a message that came twice",
    "refused_subscriptions": "a request to see our presence",
}
