"""Messages to and from accounts: who gets them, copies, ids, and what waits for who is away.

RFC 6121 §8.5, carbons (XEP-0280), stanza-ids (XEP-0359), offline messages (XEP-0160).
"""

from __future__ import annotations

from copy import copy
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from emp import ns
from emp.errors import ServiceUnavailable
from emp.jid import JID
from emp.stanza import Message, Stanza, make_id
from emp.view import tree_of
from emp.xep import carbons
from emp.xep.delay import DELAY, Delay
from emp.xep.stanza_id import remove, stanza_id
from emp.xml import E

if TYPE_CHECKING:
    from emp.devserver.hub import Account, Hub, Resource

OFFLINE_MESSAGES = 100
"""Messages that wait for one account; who sends more hears that the receiver is away."""

_BODY = f"{{{ns.CLIENT}}}body"
_NO_STORE = f"{{{ns.HINTS}}}no-store"  # XEP-0334 §4.2
_SPOKEN = {"chat", "normal"}
"""Types of what people say to each other: it gets an id, is copied, and waits for who is away."""


def received(hub: Hub, account: Account | None, stanza: Stanza, to: JID) -> None:
    """A message to an address of this domain, from wherever (RFC 6121 §8.5)."""
    if account is None:
        hub.bounce(stanza, ServiceUnavailable())
        return
    remove(stanza, account.jid)  # XEP-0359 §5, rule 2
    if stanza.type in _SPOKEN:
        stanza.tree.append(stanza_id(make_id(), account.jid))
    receivers = _deliver(hub, account, stanza, to)
    if receivers:
        _copies(account, stanza, "received", receivers)


def returned(hub: Hub, account: Account, stanza: Stanza, to: JID) -> None:
    """A message that was on its way to a client here which is gone.

    It keeps its id, so that who has got it after all can tell. Its copies were made before, and the
    copies that did not arrive are not for anybody else.
    """
    if carbons.WRAPPERS.isdisjoint(child.tag for child in tree_of(stanza)):
        _deliver(hub, account, stanza, to)


def _deliver(hub: Hub, account: Account, stanza: Stanza, to: JID) -> list[Resource]:
    """Hand a message to those it is for, who are returned, or keep it, or bounce it."""
    receivers = _receivers(account, stanza, to)
    for receiver in receivers:
        receiver.deliver(stanza)
    if not receivers and not _keep(account, stanza, to):
        hub.bounce(stanza, ServiceUnavailable())
    return receivers


def sent(account: Account, sender: Resource, stanza: Stanza) -> None:
    """A message that a client here is about to send: its sisters get copies (XEP-0280 §8)."""
    if stanza.to is not None and stanza.to.bare != account.jid:  # else they get what is received
        _copies(account, stanza, "sent", [sender])


def _receivers(account: Account, stanza: Stanza, to: JID) -> list[Resource]:
    """RFC 6121 §8.5.2.1.1, §8.5.3.1 and §8.5.3.2.1."""
    if to.resource in account.resources:
        return [account.resources[to.resource]]
    if stanza.type == "groupchat" or not (to.is_bare or stanza.type == "chat"):
        return []
    available = account.available()
    if stanza.type == "headline":  # those go to all, others to the most available
        return available
    return sorted(available, key=lambda resource: resource.priority)[-1:]


# -- carbons --------------------------------------------------------------------------------------

_TALK = {ns.CHAT_STATES, ns.RECEIPTS, "urn:xmpp:chat-markers:0"}
_ROOM = f"{{{ns.MUC_USER}}}x"


def _copies(account: Account, stanza: Stanza, direction: str, without: list[Resource]) -> None:
    others = [r for r in account.resources.values() if r.carbons and r not in without]
    if not others or not _is_copied(stanza, direction):
        return
    for resource in others:
        forwarded = E.forwarded(copy(tree_of(stanza)), xmlns=ns.FORWARD)
        wrapper = E(direction, forwarded, xmlns=ns.CARBONS)
        resource.deliver(Message(resource.jid, None, wrapper, type=stanza.type, from_=account.jid))


def _is_copied(stanza: Stanza, direction: str) -> bool:
    """XEP-0280 §6.1 and §9."""
    names = {child.tag for child in tree_of(stanza)}
    if stanza.type not in _SPOKEN or names & {carbons.PRIVATE, carbons.NO_COPY}:
        return False
    if direction == "received" and _ROOM in names and stanza.from_ and stanza.from_.resource:
        return False  # rooms send these to all clients themselves
    namespaces = {name[1:].partition("}")[0] for name in names}
    return stanza.type == "chat" or _BODY in names or not namespaces.isdisjoint(_TALK)


# -- offline --------------------------------------------------------------------------------------


def _keep(account: Account, stanza: Stanza, to: JID) -> bool:
    """XEP-0160 §3: whether the message waits for the receiver now."""
    names = {child.tag for child in tree_of(stanza)}
    if (
        stanza.type not in _SPOKEN
        or (stanza.type == "normal" and not to.is_bare)
        or _NO_STORE in names
        or _BODY not in names
        or len(account.offline) >= OFFLINE_MESSAGES
    ):
        return False
    twin = Stanza.parse(stanza.to_bytes())
    if DELAY not in names:
        domain = JID(None, account.jid.domain)
        twin.tree.append(Delay(datetime.now(UTC), domain, "Offline Storage").to_xml())
    account.offline.append(twin)
    return True


def available(account: Account, newcomer: Resource) -> None:
    """What has waited goes to the first client that takes messages."""
    if newcomer.priority >= 0:
        waiting, account.offline = account.offline, []
        for stanza in waiting:
            newcomer.deliver(stanza)
