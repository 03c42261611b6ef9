"""Thespian's transport and its addresses, imported without asking DNS.

It looks up the names of this machine when it is imported, to know which addresses are its own. Ours
is loopback; where no name server answers, each process of a system would take a minute to start.
"""

from __future__ import annotations

import socket
from typing import Any


def _nothing(*args: Any, **options: Any) -> Any:
    return []


_asking, socket.getaddrinfo = socket.getaddrinfo, _nothing
_naming, socket.getfqdn = socket.getfqdn, lambda name="": "localhost"
try:
    from thespian.system.transport import TCPTransport as upstream
    from thespian.system.transport.IPBase import IPActorAddress, thisSystem
finally:
    socket.getaddrinfo, socket.getfqdn = _asking, _naming

__all__ = ["IPActorAddress", "thisSystem", "upstream"]
