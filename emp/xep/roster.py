"""The roster (RFC 6121 §2): items, and what a client remembers of it between streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, cast, get_args

from emp import ns
from emp.errors import BadRequest, JIDError, JidMalformed
from emp.jid import JID
from emp.stanza import Iq
from emp.xml import Element, build

Subscription = Literal["none", "to", "from", "both", "remove"]

QUERY: Final = f"{{{ns.ROSTER}}}query"
FEATURE: Final = f"{{{ns.ROSTER_VER}}}ver"
_ITEM: Final = f"{{{ns.ROSTER}}}item"
_GROUP: Final = f"{{{ns.ROSTER}}}group"
_SUBSCRIPTIONS: Final = frozenset(get_args(Subscription))

ITEMS: Final = 50_000
"""Contacts that are remembered: a hundred times what people have, some 30 MB. It is our own server
that sends them, but memory is bounded all the same."""


@dataclass(frozen=True, slots=True)
class Item:
    """A contact (RFC 6121 §2.1.2).

    subscription: "to": we see its presence, "from": it sees ours, "both", "none"; "remove" only to
    take it out. ask: we have asked to see its presence. approved: it will be allowed to see ours
    when it asks (§3.4). groups: sorted.
    """

    jid: JID
    name: str | None = None
    groups: tuple[str, ...] = ()
    subscription: Subscription = "none"
    ask: bool = False
    approved: bool = False

    def to_xml(self) -> Element:
        """The <item/>."""
        return build(
            _ITEM,
            (build(_GROUP, group) for group in self.groups),
            jid=self.jid,
            name=self.name,
            subscription=self.subscription,
            ask="subscribe" if self.ask else None,
            approved=True if self.approved else None,
        )

    @classmethod
    def parse(cls, element: Element) -> Item:
        """The contact that an <item/> describes.

        JidMalformed without a valid `jid`. A subscription that the RFC does not know is "none"
        (§2.1.2.5).
        """
        try:
            jid = JID.received(element.get("jid") or "")
        except JIDError as error:
            raise JidMalformed(str(error)) from None
        subscription = element.get("subscription")
        return cls(
            jid,
            element.get("name") or None,
            tuple(sorted({group.text for group in element.iterchildren(_GROUP) if group.text})),
            cast(Subscription, subscription) if subscription in _SUBSCRIPTIONS else "none",
            element.get("ask") == "subscribe",
            element.get("approved") in ("true", "1"),
        )


def set_item(item: Item) -> Iq:
    """The request to add or change a contact's name and groups (RFC 6121 §2.3, §2.4)."""
    return Iq("set", build(QUERY, Item(item.jid, item.name, item.groups)))


def remove_item(jid: JID) -> Iq:
    """The request to take a contact out, with all subscriptions (§2.5)."""
    return Iq("set", build(QUERY, Item(jid, subscription="remove")))


class Roster:
    """The roster as a client knows it. Survives streams, so that the next get is a small one.

    items: None until it was fetched. ver: the version of these items, None where the server has no
    versions. changes: grows with each change.
    """

    def __init__(self) -> None:
        self._items: dict[JID, Item] | None = None
        self.ver: str | None = None
        self.changes = 0

    @property
    def items(self) -> Mapping[JID, Item] | None:
        """Contacts by JID, for reading."""
        return None if self._items is None else MappingProxyType(self._items)

    def get(self, *, versions: bool) -> Iq:
        """The request for the roster, or for what has changed since (§2.1.3, §2.6).

        versions: whether the server offers {urn:xmpp:features:rosterver}ver.
        """
        return Iq("get", build(QUERY, ver=(self.ver or "") if versions else None))

    def fetched(self, query: Element | None) -> None:
        """The result of get(): everything, or None if nothing has changed (§2.6.3)."""
        if query is None:
            self._items = {} if self._items is None else self._items
            return
        items: dict[JID, Item] = {}
        for element in query.iterchildren(_ITEM):
            try:
                item = Item.parse(element)
            except JidMalformed:
                continue
            if item.subscription != "remove" and len(items) < ITEMS:  # §2.1.4
                items[item.jid] = item
        self._items, self.ver = items, query.get("ver")
        self.changes += 1

    def pushed(self, query: Element) -> None:
        """One contact has changed (§2.1.6). The caller has checked where this comes from.

        BadRequest or JidMalformed, and no change, for what is no push.
        """
        elements = query.findall(_ITEM)
        if len(elements) != 1:
            raise BadRequest("a roster push has one item")
        item = Item.parse(elements[0])
        if self._items is None:
            return  # not fetched: the result will have it
        if item.subscription == "remove":
            self._items.pop(item.jid, None)
        elif item.jid in self._items or len(self._items) < ITEMS:
            self._items[item.jid] = item
        self.ver = query.get("ver", self.ver)
        self.changes += 1
