"""Where accounts are: a real server or the development server, seen alike."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emp.config import ConnectionSettings
from emp.devserver import DevServer
from tests.e2e.person import Person, person
from tools.servers import Server


@dataclass(frozen=True, slots=True)
class Place:
    """A server, with the accounts alice, bob and carol."""

    name: str
    domain: str
    host: str
    port: int
    ca_file: Path
    password: Callable[[str], str]

    def settings(self, user: str, **more: Any) -> ConnectionSettings:
        """For a client of that user; `more` goes over them."""
        values: dict[str, Any] = {
            "name": user,
            "kind": "client",
            "node": user,
            "host": self.domain,
            "password": self.password(user),
            "server": self.host,
            "port": self.port,
            "ca_file": self.ca_file,
            "resource": "emp",
        }
        return ConnectionSettings(**(values | more))

    def person(self, user: str, resource: str = "test") -> AbstractAsyncContextManager[Person]:
        """That user, with another library."""
        return person(
            f"{user}@{self.domain}/{resource}",
            self.password(user),
            host=self.host,
            port=self.port,
            ca_file=self.ca_file,
        )


def real(server: Server) -> Place:
    """A real server."""
    return Place(
        server.name,
        server.domain,
        server.host,
        server.client_port,
        server.ca_file,
        server.account,
    )


def ours(server: DevServer) -> Place:
    """The development server, which was started with these accounts."""
    passwords = {str(account.jid): account.password for account in server.hub.accounts.values()}
    return Place(
        "devserver",
        server.domain,
        "127.0.0.1",
        server.port,
        server.ca_file,
        lambda user: passwords[f"{user}@{server.domain}"],
    )
