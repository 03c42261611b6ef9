"""Socket options of an XMPP connection: long-lived, mostly silent, small messages."""

from __future__ import annotations

import socket
from typing import Protocol

KEEPALIVE_IDLE = 60
"""Seconds of silence before TCP probes the peer: below the idle limits of common NAT boxes."""

KEEPALIVE_INTERVAL = 15
"""Seconds between probes."""

KEEPALIVE_COUNT = 4
"""Probes without an answer before the connection is dead: with the above, two minutes."""

UNACKNOWLEDGED_MS = 120_000
"""Milliseconds that sent data may stay unacknowledged: the same two minutes (RFC 5482)."""

# Not every system has every option; a missing one costs only a later notice of a dead peer.
_OPTIONS = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", KEEPALIVE_IDLE),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", KEEPALIVE_INTERVAL),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", KEEPALIVE_COUNT),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", UNACKNOWLEDGED_MS),
)


class HasOptions(Protocol):
    """What both socket.socket and the TransportSocket of asyncio have."""

    def setsockopt(self, level: int, name: int, value: int, /) -> None: ...


def set_options(sock: HasOptions) -> None:
    """Small packets leave at once, and a peer that vanished is noticed within two minutes."""
    for level, name, value in _OPTIONS:
        option = getattr(socket, name, None)
        if option is None:
            continue
        try:
            sock.setsockopt(level, option, value)
        except OSError:  # known to Python but not to this kernel, or the peer is gone already
            continue
