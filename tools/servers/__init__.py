"""Private Prosody and ejabberd for tests and for trying things out.

    with prosody() as server:
        server.host, server.client_port        # clients, STARTTLS required
        server.component_port, server.component_secret, server.components
        server.ca_file, server.domain          # verify the certificate for the domain
        server.account("alice")                # her password
        server.restart()                       # same ports, same accounts

Each server has a directory and ports of its own, listens on loopback, runs as an unprivileged
user, and is gone with its directory at the end of the block. By hand:

    python -m tools.servers prosody
"""

from contextlib import AbstractContextManager

from tools.servers.recipes import EJABBERD, PROSODY, ServerError
from tools.servers.server import DOMAIN, Server, running

__all__ = ["Server", "ServerError", "ejabberd", "prosody"]


def prosody(domain: str = DOMAIN) -> AbstractContextManager[Server]:
    """A new Prosody, running and ready. Raises ServerError."""
    return running(PROSODY, domain)


def ejabberd(domain: str = DOMAIN) -> AbstractContextManager[Server]:
    """A new ejabberd, running and ready. Raises ServerError."""
    return running(EJABBERD, domain)
