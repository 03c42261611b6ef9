"""Private Prosody and ejabberd for tests and for trying things out.

    with prosody() as server:
        server.host, server.client_port        # clients, STARTTLS required
        server.direct_port                     # TLS from the first byte
        server.websocket                       # wss://…
        server.component_port, server.component_secret, server.components
        server.ca_file, server.domain          # verify the certificate for the domain
        server.account("alice")                # her password
        server.restart()                       # same ports, same accounts
    with ejabberd(tls="1.2", mechanisms=["SCRAM-SHA-512-PLUS"]) as server: ...

Each server has a directory and ports of its own, listens on loopback, runs as an unprivileged
user, and is gone with its directory at the end of the block. By hand:

    python -m tools.servers prosody
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from tools.servers.recipes import EJABBERD, PROSODY, Options, ServerError
from tools.servers.server import DOMAIN, Server, running

__all__ = ["DOMAIN", "Options", "Server", "ServerError", "ejabberd", "prosody"]


def prosody(
    domain: str = DOMAIN, *, mechanisms: Sequence[str] | None = None, **options: Any
) -> AbstractContextManager[Server]:
    """A new Prosody, running and ready; the rest are fields of `Options`. Raises ServerError."""
    return running(PROSODY, domain, _options(mechanisms, options))


def ejabberd(
    domain: str = DOMAIN, *, mechanisms: Sequence[str] | None = None, **options: Any
) -> AbstractContextManager[Server]:
    """A new ejabberd, running and ready; the rest are fields of `Options`. Raises ServerError."""
    return running(EJABBERD, domain, _options(mechanisms, options))


def _options(mechanisms: Sequence[str] | None, options: dict[str, Any]) -> Options:
    return Options(mechanisms=None if mechanisms is None else tuple(mechanisms), **options)
