"""Unique and stable stanza ids (XEP-0359)."""

from __future__ import annotations

from typing import Final

from emp import ns
from emp.errors import JIDError
from emp.jid import JID
from emp.stanza import Stanza
from emp.view import tree_of
from emp.xml import Element, build

STANZA_ID: Final = f"{{{ns.STANZA_ID}}}stanza-id"
ORIGIN_ID: Final = f"{{{ns.STANZA_ID}}}origin-id"


def stanza_id(id: str, by: JID) -> Element:
    """What `by` adds to a message that it delivers or reflects."""
    return build(STANZA_ID, id=id, by=by)


def stanza_id_of(stanza: Stanza, by: JID) -> str | None:
    """The id that `by` gave to the message, None without one.

    Trust it only for a `by` that removes what others wrote in its name (XEP-0359 §7): our own
    account or a room whose server announces urn:xmpp:sid:0.
    """
    for child in tree_of(stanza).iterchildren(STANZA_ID):
        if id := given_by(child, by):
            return id
    return None


def given_by(element: Element, by: JID) -> str | None:
    """The id in a <stanza-id/>, if it is `by` who gave it, else None."""
    return element.get("id") or None if _is(element.get("by"), by) else None


def origin_id_of(stanza: Stanza) -> str | None:
    """The id that the sender itself gave, None without one. Anyone may write anything here."""
    found = tree_of(stanza).find(ORIGIN_ID)
    return None if found is None else found.get("id") or None


def remove(stanza: Stanza, by: JID) -> None:
    """Take out what others wrote in the name of `by` (XEP-0359 §5, rule 2)."""
    for child in tree_of(stanza).findall(STANZA_ID):
        if _is(child.get("by"), by):
            stanza.tree.remove(child)


def _is(text: str | None, jid: JID) -> bool:
    try:
        return text is not None and JID.received(text) == jid
    except JIDError:
        return False
