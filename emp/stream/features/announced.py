"""Features that are only announced: there is nothing to negotiate (RFC 6121 §2.6.1, XEP-0352 §4).

Clients find them in ClientStream.features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emp import ns
from emp.stream.features.feature import Feature
from emp.stream.state import Done
from emp.xml import Element

if TYPE_CHECKING:
    from emp.stream.client import ClientStream


def _begin(stream: ClientStream, offer: Element) -> None:
    raise AssertionError("nothing to negotiate")


def _announced(name: str, namespace: str) -> Feature:
    return Feature(
        name=f"{{{namespace}}}{name}",
        necessary=Done.AUTHENTICATED,
        prohibited=Done.NOTHING,
        offer=lambda stream: f"<{name} xmlns='{namespace}'/>",
        wanted=lambda stream, offer: False,
        begin=_begin,
        client={},
        server={},
    )


ROSTER_VERSIONS: Final = _announced("ver", ns.ROSTER_VER)
CLIENT_STATE: Final = _announced("csi", ns.CSI)

CLIENT_STATES: Final = frozenset({f"{{{ns.CSI}}}active", f"{{{ns.CSI}}}inactive"})
"""What clients say where CLIENT_STATE is announced. This server does nothing about it."""
