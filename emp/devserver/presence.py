"""Presence and subscriptions (RFC 6121 §3 and §4), in memory.

Subscriptions are two halves: what a user's server notes when the user sends (§3, "outbound"), and
what it notes when the other side sends ("inbound"). A contact may be anyone: another user here or a
JID of a component.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emp.devserver import messages
from emp.devserver.roster import ROSTER_ITEMS, Contact, push
from emp.jid import JID
from emp.stanza import Presence, Stanza

if TYPE_CHECKING:
    from emp.devserver.hub import Account, Hub, Resource

_SUBSCRIPTION = {"subscribe", "unsubscribe", "subscribed", "unsubscribed"}

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
        messages.available(account, sender)


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
        push(account, other)
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
    push(account, other)
    _to_available(account, stanza)
