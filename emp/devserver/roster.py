"""Rosters (RFC 6121 §2), in memory, with versions (§2.6)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lxml import etree

from emp import ns
from emp.errors import BadRequest, ItemNotFound, JIDError, JidMalformed, NotAllowed
from emp.jid import JID
from emp.stanza import Iq, Presence, Stanza
from emp.xml import E

if TYPE_CHECKING:
    from emp.devserver.hub import Account, Hub, Resource

ROSTER_ITEMS = 1000
"""Contacts, waiting requests and addresses of directed presence that one account may pile up."""

_ITEM = f"{{{ns.ROSTER}}}item"
_GROUP = f"{{{ns.ROSTER}}}group"


@dataclass(slots=True, eq=False)
class Contact:
    """An item of a roster. `to`: we see its presence; `from_`: it sees ours; `ask`: we asked."""

    jid: JID
    name: str | None = None
    groups: tuple[str, ...] = ()
    to: bool = False
    from_: bool = False
    ask: bool = False

    def to_xml(self) -> etree._Element:
        """RFC 6121 §2.1.2."""
        state = {(0, 0): "none", (1, 0): "to", (0, 1): "from", (1, 1): "both"}
        return E.item(
            *(E.group(group) for group in self.groups),
            jid=self.jid,
            name=self.name,
            subscription=state[self.to, self.from_],
            ask="subscribe" if self.ask else None,
        )


class Log:
    """When which contact changed last: what a client has to be told that knows a version."""

    def __init__(self) -> None:
        self._run = secrets.token_hex(4)  # a client may know versions of a run that is over
        self._number = 0
        self._complete_since = 0
        self._changed: dict[JID, int] = {}  # in order

    @property
    def ver(self) -> str:
        """The version of the roster as it is."""
        return self._name(self._number)

    def note(self, jid: JID) -> None:
        """The contact has changed, come or gone."""
        self._number += 1
        self._changed.pop(jid, None)
        self._changed[jid] = self._number
        if len(self._changed) > ROSTER_ITEMS:
            self._complete_since = self._changed.pop(next(iter(self._changed)))

    def since(self, ver: str) -> list[tuple[JID, str]] | None:
        """Who has changed after that version, each with its own version; None: nobody knows."""
        run, _, text = ver.partition("-")
        known = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
        if run != self._run or not self._complete_since <= known <= self._number:
            return None
        return [(jid, self._name(n)) for jid, n in self._changed.items() if n > known]

    def _name(self, number: int) -> str:
        return f"{self._run}-{number}"


def get(hub: Hub, account: Account, sender: Resource, iq: Stanza) -> etree._Element | None:
    """RFC 6121 §2.1.3. From now on the client is told about changes."""
    known = _known(iq)
    sender.wants_roster = True
    sender.wants_versions = known is not None
    if known is not None and account.log.since(known) is not None:
        return None  # what has changed follows
    ver = None if known is None else account.log.ver
    return E.query(*account.roster.values(), xmlns=ns.ROSTER, ver=ver)


def catch_up(account: Account, sender: Resource, iq: Stanza) -> None:
    """Behind the answer to get(): the changes since the version that the client has (§2.6.3)."""
    known = _known(iq)
    for jid, ver in (account.log.since(known) or ()) if known is not None else ():
        _push_to(sender, account.roster.get(jid) or _removed(jid), ver)


def _known(iq: Stanza) -> str | None:
    return None if iq.payload is None else iq.payload.get("ver")


def change(hub: Hub, account: Account, sender: Resource, iq: Stanza) -> None:
    """Add, change or remove one item (RFC 6121 §2.3, §2.4, §2.5)."""
    assert iq.payload is not None
    items = iq.payload.findall(_ITEM)
    if len(items) != 1 or not items[0].get("jid"):
        raise BadRequest("one item with a jid, please")
    try:
        other = JID.received(items[0].get("jid", "")).bare
    except JIDError as error:
        raise JidMalformed(str(error)) from None
    if items[0].get("subscription") == "remove":
        _remove(hub, account, other)
        return
    contact = account.roster.get(other)
    if contact is None:
        if len(account.roster) >= ROSTER_ITEMS:
            raise NotAllowed("the roster is full")
        contact = account.roster[other] = Contact(other)
    contact.name = items[0].get("name")
    contact.groups = tuple(group.text or "" for group in items[0].findall(_GROUP))
    push(account, other)


def _remove(hub: Hub, account: Account, other: JID) -> None:
    contact = account.roster.pop(other, None)
    if contact is None:
        raise ItemNotFound(f"{other} is not in the roster")
    if contact.to or contact.ask:
        hub.route(Presence(other, type="unsubscribe", from_=account.jid))
    if contact.from_:
        hub.route(Presence(other, type="unsubscribed", from_=account.jid))
    push(account, other)


def push(account: Account, jid: JID) -> None:
    """RFC 6121 §2.1.6: the contact as it is now, to the resources that asked for the roster."""
    account.log.note(jid)
    for resource in account.resources.values():
        if resource.wants_roster:
            _push_to(resource, account.roster.get(jid) or _removed(jid), account.log.ver)


def _push_to(resource: Resource, item: Contact | etree._Element, ver: str) -> None:
    query = E.query(item, xmlns=ns.ROSTER, ver=ver if resource.wants_versions else None)
    resource.deliver(Iq("set", query, to=resource.jid))


def _removed(jid: JID) -> etree._Element:
    return E.item(jid=jid, subscription="remove")
