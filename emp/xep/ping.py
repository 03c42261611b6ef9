"""Ping (XEP-0199)."""

from __future__ import annotations

from typing import Final

from emp import ns
from emp.stanza import Iq
from emp.view import Address
from emp.xml import build

PING: Final = f"{{{ns.PING}}}ping"


def ping(to: Address = None) -> Iq:
    """The question whether `to` is there; None asks our own server.

    Any answer says yes, errors of an entity that does not know pings included (§4.2).
    """
    return Iq("get", build(PING), to=to)
