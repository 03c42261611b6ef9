"""The server of a run: a private Prosody or ejabberd, or EMP's own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from emp.devserver import DevServer
from tools import servers

USERS = ("alice", "bob", "carol", "bar")
ACCOUNT = "foo"
"""Of the application, where it is a client."""
DOMAIN = servers.DOMAIN


@dataclass(frozen=True, slots=True)
class Place:
    """Where everybody connects, and what they log in with. Passwords are "pw-" + user name."""

    host: str
    client_port: int
    component_port: int
    component: str
    secret: str
    ca_file: Path


@contextlib.asynccontextmanager
async def place(kind: str, directory: Path, *, mended: bool = True) -> AsyncIterator[Place]:
    """The server `kind`, running. Raises ServerError, EmpError. mended: see tools.servers."""
    if kind == "embedded":
        async with _embedded(directory) as found:
            yield found
        return
    with getattr(servers, kind)(mended=mended, archive=False, load=True) as server:
        try:
            yield Place(
                server.host,
                server.client_port,
                server.component_port,
                server.components[0],
                server.component_secret,
                server.ca_file,
            )
        finally:
            (directory / "server.log").write_text(server.log())


@contextlib.asynccontextmanager
async def _embedded(directory: Path) -> AsyncIterator[Place]:
    component, secret = f"emp.{DOMAIN}", "s3cret"
    server = DevServer(
        DOMAIN,
        directory=directory / "server",
        accounts={user: f"pw-{user}" for user in (*USERS, ACCOUNT)},
        components={component: secret},
    )
    await server.start()
    try:
        yield Place(
            "127.0.0.1", server.port, server.component_port, component, secret, server.ca_file
        )
    finally:
        await server.stop()
