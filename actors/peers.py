"""Who is on the other side of a UNIX socket."""

from __future__ import annotations

import os
import socket
import struct
from typing import Final

_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid: ucred in unix(7)


def is_ours(connection: socket.socket) -> bool:
    """Whether the process on the other side belongs to this user."""
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(packed)
    return bool(user == os.geteuid())
