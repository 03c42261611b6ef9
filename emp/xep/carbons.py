"""Message carbons (XEP-0280): copies of what other clients of our account send and receive."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Final, Literal, cast

from emp import ns
from emp.errors import JIDError, RemoteProtocolError
from emp.stanza import Iq, Message, Stanza
from emp.view import of_element, tree_of
from emp.xep.delay import Delay, first_delay
from emp.xml import Element, build

RECEIVED: Final = f"{{{ns.CARBONS}}}received"
SENT: Final = f"{{{ns.CARBONS}}}sent"
PRIVATE: Final = f"{{{ns.CARBONS}}}private"
NO_COPY: Final = f"{{{ns.HINTS}}}no-copy"  # XEP-0334 §4.3
WRAPPERS: Final = frozenset({RECEIVED, SENT})
ENABLE: Final = f"{{{ns.CARBONS}}}enable"
DISABLE: Final = f"{{{ns.CARBONS}}}disable"
FORWARDED: Final = f"{{{ns.FORWARD}}}forwarded"
_MESSAGE: Final = f"{{{ns.CLIENT}}}message"


def enable() -> Iq:
    """The request for copies, to our own server (§4)."""
    return Iq("set", build(ENABLE))


def disable() -> Iq:
    """The request for no more copies (§5)."""
    return Iq("set", build(DISABLE))


def private() -> tuple[Element, Element]:
    """Payloads of a message that shall not be copied (§9)."""
    return build(PRIVATE), build(NO_COPY)


@dataclass(frozen=True, slots=True)
class Carbon:
    """A copy of a message that another client of our account received or sent.

    Who answers automatically must not answer what was sent, and should not answer what was received
    for somebody else (§10.4).
    """

    direction: Literal["received", "sent"]
    message: Message
    delay: Delay | None


def unwrap(stanza: Stanza) -> Carbon:
    """The copy in a wrapper that came from our own account.

    RemoteProtocolError for anything else: wrappers from strangers above all (§11, CVE-2017-5589),
    whose contents nobody has vouched for. Sessions let none of those through; this looks again.
    """
    wrapper = next(tree_of(stanza).iterchildren(*WRAPPERS), None)
    if wrapper is None or stanza.kind != "message" or stanza.type == "error":
        raise RemoteProtocolError("bad-format", "not a carbon copy")
    if not _from_own_account(stanza):
        raise RemoteProtocolError("invalid-from", "a carbon copy from a stranger")
    forwarded = wrapper.find(FORWARDED)
    inner = None if forwarded is None else forwarded.find(_MESSAGE)
    if forwarded is None or inner is None:
        raise RemoteProtocolError("bad-format", "a carbon copy without message")
    twin = copy(inner)  # free of the wrapper, which would stay alive with it
    twin.tail = None
    message = cast(Message, of_element(twin))
    direction: Literal["received", "sent"] = "received" if wrapper.tag == RECEIVED else "sent"
    return Carbon(direction, message, first_delay(forwarded))


def _from_own_account(stanza: Stanza) -> bool:
    """Copies come from the bare JID of the account to which they go (§7, §8)."""
    try:
        return stanza.from_ is not None and stanza.to is not None and stanza.from_ == stanza.to.bare
    except JIDError:
        return False
