"""What the server itself answers to IQ requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from lxml import etree

import emp
from emp import ns
from emp.devserver import roster
from emp.errors import ItemNotFound, ServiceUnavailable, StanzaError
from emp.stanza import Iq, Stanza
from emp.xep import carbons
from emp.xml import E

if TYPE_CHECKING:
    from emp.devserver.hub import Account, Hub, Resource

Answer = etree._Element | None
FEATURES = (
    *(ns.DISCO_INFO, ns.DISCO_ITEMS, ns.PING, ns.VERSION),
    *(ns.CARBONS, "msgoffline"),  # XEP-0160 §4
)
ACCOUNT_FEATURES = (ns.DISCO_INFO, ns.STANZA_ID)  # XEP-0359 §6: who gives the ids announces it


def _info(hub: Hub, iq: Stanza) -> Answer:
    """XEP-0030 §3."""
    _without_node(iq)
    identity = E.identity(category="server", type="im", name="EMP development server")
    return _described(identity, FEATURES)


def _described(identity: etree._Element, features: Iterable[str]) -> etree._Element:
    return E.query(identity, *(E.feature(var=name) for name in features), xmlns=ns.DISCO_INFO)


def _items(hub: Hub, iq: Stanza) -> Answer:
    """XEP-0030 §4: the components that are connected."""
    _without_node(iq)
    connected = (domain for domain, deliver in hub.components.items() if deliver)
    return E.query(*(E.item(jid=domain) for domain in connected), xmlns=ns.DISCO_ITEMS)


def _without_node(iq: Stanza) -> None:
    if iq.payload is not None and iq.payload.get("node"):
        raise ItemNotFound("no such node")


def _ping(hub: Hub, iq: Stanza) -> Answer:
    """XEP-0199 §4."""
    return None


def _version(hub: Hub, iq: Stanza) -> Answer:
    """XEP-0092 §4."""
    name = E.name("EMP development server")
    return E.query(name, E.version(emp.__version__), xmlns=ns.VERSION)


def _account_info(hub: Hub, account: Account, sender: Resource, iq: Stanza) -> Answer:
    """XEP-0030 §3, of the user's own account."""
    _without_node(iq)
    return _described(E.identity(category="account", type="registered"), ACCOUNT_FEATURES)


def _enable_carbons(hub: Hub, account: Account, sender: Resource, iq: Stanza) -> Answer:
    """XEP-0280 §4."""
    sender.carbons = True
    return None


def _disable_carbons(hub: Hub, account: Account, sender: Resource, iq: Stanza) -> Answer:
    """XEP-0280 §5."""
    sender.carbons = False
    return None


def _account_ping(hub: Hub, account: Account, sender: Resource, iq: Stanza) -> Answer:
    """XEP-0199 §4.2, without an address."""
    return None


SERVER: dict[tuple[str, str], Callable[[Hub, Stanza], Answer]] = {
    ("get", f"{{{ns.DISCO_INFO}}}query"): _info,
    ("get", f"{{{ns.DISCO_ITEMS}}}query"): _items,
    ("get", f"{{{ns.PING}}}ping"): _ping,
    ("get", f"{{{ns.VERSION}}}query"): _version,
}

ACCOUNT: dict[tuple[str, str], Callable[[Hub, Account, Resource, Stanza], Answer]] = {
    ("get", f"{{{ns.ROSTER}}}query"): roster.get,
    ("set", f"{{{ns.ROSTER}}}query"): roster.change,
    ("get", f"{{{ns.DISCO_INFO}}}query"): _account_info,
    ("get", f"{{{ns.PING}}}ping"): _account_ping,
    ("set", carbons.ENABLE): _enable_carbons,
    ("set", carbons.DISABLE): _disable_carbons,
}


def for_server(hub: Hub, iq: Stanza) -> None:
    """An IQ to the domain."""
    answer = SERVER.get((iq.type, iq.payload_name or ""))
    _answer(hub, iq, None if answer is None else lambda: answer(hub, iq))


def for_account(hub: Hub, account: Account, sender: Resource, iq: Stanza) -> None:
    """An IQ of a user to the own account, or to nobody, which means the same."""
    answer = ACCOUNT.get((iq.type, iq.payload_name or ""))
    _answer(hub, iq, None if answer is None else lambda: answer(hub, account, sender, iq))
    if answer is roster.get:
        roster.catch_up(account, sender, iq)


def _answer(hub: Hub, iq: Stanza, answer: Callable[[], Answer] | None) -> None:
    if not isinstance(iq, Iq) or not iq.is_request:
        return  # an answer to a roster push, or to nothing
    try:
        if answer is None:
            raise ServiceUnavailable
        payload = answer()
    except StanzaError as error:
        hub.reply(iq, iq.error(error))
        return
    payloads = () if payload is None else (payload,)
    hub.reply(iq, iq.result(*payloads))
