"""Whose stanzas stay in order: the key of a stanza, as a component class wants it.

Stanzas with the same key are handled in the order of their arrival, by one worker. The router
chooses the worker by it, and the worker keeps the order by it: both ask here.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final, TypeAlias

from actors.base import logger
from emp.stanza import Stanza

Key: TypeAlias = Callable[[Stanza], str]

LENGTH: Final = 3071
"""Characters of a key, as of the longest JID (RFC 7622 §3.1). Keys are remembered, and peers may
write what a key is made of: what is longer counts by its hash."""


def key_of(component: Any) -> Key:
    """The function that gives the key of a stanza, after the attribute `key` of a component class.

    "session" (the default) is the full JID of the sender; "sender" is the bare JID, so that all
    devices of a user have one order; a function of the stanza says it itself, and where it raises
    or returns no text, the session is the key. Never raises.
    """
    key = getattr(component, "key", "session")
    if callable(key):
        return _own(component, key)
    return _sender if key == "sender" else _session


def _session(stanza: Stanza) -> str:
    return stanza.from_text or ""


def _sender(stanza: Stanza) -> str:
    # Addresses that come from a server are normalised already, so no JID has to be made.
    return (stanza.from_text or "").partition("/")[0]


def _own(component: Any, key: Callable[[Stanza], object]) -> Key:
    reported = False

    def own(stanza: Stanza) -> str:
        nonlocal reported
        fault: BaseException | None = None
        try:
            value = key(stanza)
            if isinstance(value, str):
                return value if len(value) <= LENGTH else _hashed(value)
            problem = f"returned {type(value).__name__}, not str"
        except Exception as error:  # noqa: BLE001 - the user's function may raise anything
            problem, fault = "failed", error
        if not reported:  # what one stanza can do, each of a flood can
            reported = True
            name = component.__qualname__
            logger.error(
                "%s.key %s; the sender's session is the key then (reported once)",
                name,
                problem,
                exc_info=fault,
            )
        return _session(stanza)

    return own


def _hashed(key: str) -> str:
    return blake2b(key.encode(errors="surrogatepass")).hexdigest()
