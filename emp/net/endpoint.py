"""The address of a WebSocket, as `websocket =` and host-meta have it (RFC 6455 §3)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from emp.net import names

URL_LENGTH = 2000
"""Characters: what HTTP servers take (RFC 9110 §4.1 asks for 8,000), and more than any has."""

_URL = re.compile(
    r"(?P<scheme>wss?)://"
    r"(?P<host>\[[0-9a-f:.]+\]|[^\s/?#@:\[\]]+)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:/[!-\"$-~]*)?)",  # what HTTP takes as it is; a fragment is none (RFC 6455 §3)
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to speak WebSocket. `host`: in A-labels, or an IP address; `path`: with the query."""

    secure: bool
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """ValueError for anything but ws://… and wss://… without name, password and fragment."""
        match = _URL.fullmatch(text) if len(text) <= URL_LENGTH else None
        if match is None:
            raise ValueError(f"{text!r:.200} is no address of a WebSocket")
        host, port = names.host_and_port(
            match["host"] + (f":{match['port']}" * bool(match["port"]))
        )
        secure = match["scheme"].lower() == "wss"
        return cls(secure, host, port or (443 if secure else 80), match["path"] or "/")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == (443 if self.secure else 80) else f":{self.port}"
        return f"{'wss' if self.secure else 'ws'}://{host}{port}{self.path}"
