"""Presence, subscriptions and rosters (RFC 6121 §2 to §4), in memory.

Subscriptions are two halves: what a user's server notes when the user sends (§3, "outbound"), and
what it notes when the other side sends ("inbound"). A contact may be anyone: another user here or a
JID of a component.
"""

from __future__ import annotations

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
_SUBSCRIPTION = {"subscribe", "unsubscribe", "subscribed", "unsubscribed"}


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


# -- presence -------------------------------------------------------------------------------------


def sent(hub: Hub, account: Account, sender: Resource, stanza: Stanza) -> None:
    """A client's presence: a broadcast, a word to one, or a matter of subscription."""
    if stanza.type in _SUBSCRIPTION:
        if stanza.to is not None:
            _outbound(hub, account, stanza, stanza.to.bare)
    elif stanza.to is not None:  # directed presence, RFC 6121 §4.6
        if stanza.type == "available" and len(sender.directed) < ROSTER_ITEMS:
            sender.directed.add(stanza.to)
        elif stanza.type == "unavailable":
            sender.directed.discard(stanza.to)
        hub.route(stanza)
    elif stanza.type == "unavailable":
        unavailable(hub, account, sender, stanza)
    elif stanza.type == "available" and isinstance(stanza, Presence):
        first = sender.presence is None
        sender.presence = stanza
        _broadcast(hub, account, sender, stanza)
        if first:
            _welcome(hub, account, sender)


def received(hub: Hub, account: Account, stanza: Stanza, to: JID) -> None:
    """Presence for a user here, from wherever."""
    sender = stanza.from_
    assert sender is not None
    if stanza.type in _SUBSCRIPTION:
        _inbound(hub, account, stanza, sender.bare)
    elif stanza.type == "probe":
        contact = account.roster.get(sender.bare)
        if sender.bare == account.jid or (contact is not None and contact.from_):
            _show(hub, account, sender)
    elif to.is_bare:
        _to_available(account, stanza)
    elif to.resource in account.resources:
        account.resources[to.resource].deliver(stanza)


def unavailable(hub: Hub, account: Account, sender: Resource, stanza: Stanza) -> None:
    """A client goes: those who saw its presence, and those who got it directly, hear of it."""
    was_available, directed = sender.presence is not None, sender.directed
    sender.presence, sender.directed = None, set()
    if was_available:
        _broadcast(hub, account, sender, stanza)
    seen = {jid for jid, contact in account.roster.items() if contact.from_ and was_available}
    for to in directed:
        if to.bare not in seen:
            hub.route(_copy(stanza, to=to, from_=sender.jid))


def _broadcast(hub: Hub, account: Account, sender: Resource, stanza: Stanza) -> None:
    """To all who subscribed, and to the user's other resources (RFC 6121 §4.2.2)."""
    watchers = [contact.jid for contact in account.roster.values() if contact.from_]
    for to in (*watchers, account.jid):
        hub.route(_copy(stanza, to=to, from_=sender.jid))


def _welcome(hub: Hub, account: Account, newcomer: Resource) -> None:
    """Show a client that became available who else is there, and which requests wait."""
    for other in account.resources.values():
        if other.presence is not None and other is not newcomer:
            newcomer.deliver(_copy(other.presence, to=newcomer.jid))
    for contact in account.roster.values():
        if contact.to:
            hub.route(Presence(contact.jid, type="probe", from_=newcomer.jid))
    for request in account.requests.values():
        newcomer.deliver(request)


def _show(hub: Hub, account: Account, to: JID) -> None:
    """The presence of all resources of the account, for one who may see it."""
    for resource in account.resources.values():
        if resource.presence is not None:
            hub.route(_copy(resource.presence, to=to, from_=resource.jid))


def _to_available(account: Account, stanza: Stanza) -> None:
    for resource in account.resources.values():
        if resource.presence is not None:
            resource.deliver(_copy(stanza, to=resource.jid))


def _copy(stanza: Stanza, *, to: JID, from_: JID | None = None) -> Stanza:
    """The same stanza for one more receiver."""
    twin = Stanza.parse(stanza.to_bytes())
    twin.to = to
    if from_ is not None:
        twin.from_ = from_
    return twin


# -- subscriptions --------------------------------------------------------------------------------


def _outbound(hub: Hub, account: Account, stanza: Stanza, other: JID) -> None:
    """A user asks, allows, or takes back (RFC 6121 §3.1.2, §3.1.5, §3.2.2, §3.3.2)."""
    stanza.from_, stanza.to = account.jid, other
    contact = account.roster.get(other)
    if contact is None:
        if stanza.type.startswith("un") or len(account.roster) >= ROSTER_ITEMS:
            contact = Contact(other)  # for the answer only, not in the roster
        elif stanza.type == "subscribe" or other in account.requests:
            contact = account.roster[other] = Contact(other)
        else:
            return  # allows what nobody asked for
    asked = account.requests.pop(other, None) if stanza.type.endswith("d") else None
    match stanza.type:
        case "subscribe":
            contact.ask = not contact.to
        case "unsubscribe":
            contact.to = contact.ask = False
        case "subscribed":
            if asked is None:
                return
            contact.from_ = True
        case "unsubscribed":
            contact.from_ = False
    if other in account.roster:
        _push(account, contact)
    hub.route(stanza)
    if stanza.type == "subscribed":
        _show(hub, account, other)


def _inbound(hub: Hub, account: Account, stanza: Stanza, other: JID) -> None:
    """The other side asks, allows, or takes back (RFC 6121 §3.1.3, §3.1.6, §3.2.3, §3.3.3)."""
    stanza.from_, stanza.to = other, account.jid
    contact = account.roster.get(other)
    match stanza.type:
        case "subscribe" if contact is not None and contact.from_:
            hub.route(Presence(other, type="subscribed", from_=account.jid))
            return
        case "subscribe":
            if len(account.requests) < ROSTER_ITEMS:
                account.requests[other] = stanza
                _to_available(account, stanza)
            return
        case "subscribed" if contact is not None and contact.ask:
            contact.to, contact.ask = True, False
        case "unsubscribed" if contact is not None and (contact.to or contact.ask):
            contact.to = contact.ask = False
        case "unsubscribe" if contact is not None and contact.from_:
            contact.from_ = False
        case _:
            account.requests.pop(other, None)
            return
    _push(account, contact)
    _to_available(account, stanza)


# -- roster ---------------------------------------------------------------------------------------


def roster_get(hub: Hub, account: Account, sender: Resource, iq: Stanza) -> etree._Element:
    """RFC 6121 §2.1.3. From now on the client is told about changes."""
    sender.wants_roster = True
    return E.query(*account.roster.values(), xmlns=ns.ROSTER)


def roster_set(hub: Hub, account: Account, sender: Resource, iq: Stanza) -> None:
    """Add, change or remove one item (RFC 6121 §2.3, §2.4, §2.5)."""
    assert iq.payload is not None
    items = iq.payload.findall(_ITEM)
    if len(items) != 1 or not items[0].get("jid"):
        raise BadRequest("one item with a jid, please")
    try:
        other = JID.parse(items[0].get("jid", "")).bare
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
    _push(account, contact)


def _remove(hub: Hub, account: Account, other: JID) -> None:
    contact = account.roster.pop(other, None)
    if contact is None:
        raise ItemNotFound(f"{other} is not in the roster")
    if contact.to or contact.ask:
        hub.route(Presence(other, type="unsubscribe", from_=account.jid))
    if contact.from_:
        hub.route(Presence(other, type="unsubscribed", from_=account.jid))
    _push(account, E.item(jid=other, subscription="remove"))


def _push(account: Account, item: Contact | etree._Element) -> None:
    """RFC 6121 §2.1.6: to the resources that asked for the roster."""
    for resource in account.resources.values():
        if resource.wants_roster:
            resource.deliver(Iq("set", E.query(item, xmlns=ns.ROSTER), to=resource.jid))
