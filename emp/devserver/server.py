"""The development server: two listening sockets on loopback around one routing table."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from emp.devserver.certificate import ensure_certificate
from emp.devserver.hub import Hub
from emp.devserver.session import LINGER_SECONDS, Session
from emp.errors import ConfigError, EmpError, JIDError
from emp.jid import JID
from emp.net import names
from emp.net.failures import os_reason

Tap = Callable[[str, str, bytes], None]
"""Sees every stanza: "in" (from the peer) or "out" (to the peer), the peer's JID, the stanza."""


def _ignore(direction: str, jid: str, stanza: bytes) -> None:
    """Nobody looks."""


class DevServer:
    """An XMPP server on loopback, as `emp.devserver` describes it.

    `accounts` maps user names to passwords, `components` domains to secrets. Port 0 means any free
    one; `port` and `component_port` say which after start(). `directory` gets the certificate.
    Raises ConfigError for a host that is not loopback and for names that are no JIDs.
    """

    def __init__(
        self,
        domain: str = "localhost",
        *,
        directory: Path,
        host: str = "127.0.0.1",
        port: int = 0,
        component_port: int = 0,
        accounts: Mapping[str, str] | None = None,
        components: Mapping[str, str] | None = None,
        tap: Tap = _ignore,
    ) -> None:
        if not names.is_loopback(host):
            raise ConfigError(
                f"the development server does not listen on {host}",
                remedy="it is for this machine only: leave host at 127.0.0.1",
            )
        try:
            self.domain = JID(None, domain).domain
            accounts = {
                JID(user, self.domain).local or "": password
                for user, password in (accounts or {}).items()
            }
            self._secrets = {
                JID(None, name).domain: secret for name, secret in (components or {}).items()
            }
        except JIDError as error:
            raise ConfigError(str(error)) from None
        self.hub = Hub(self.domain, accounts, self._secrets)
        self.sessions: set[Session] = set()
        self.dirty: set[Session] = set()
        self.tap = tap
        self.port, self.component_port = port, component_port
        self.ca_file = directory / "ca.pem"
        self._directory = directory
        self._host = names.LOOPBACK[0] if names.is_localhost(host) else host
        self._listeners: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Make the certificate if there is none, and listen. Raises EmpError when that fails."""
        try:
            files = ensure_certificate(self._directory, self.domain)
        except (OSError, ValueError) as error:
            raise EmpError(f"no certificate for {self.domain}: {error}") from None
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self.tls.load_cert_chain(files.certificate, files.key)
        try:
            self.port = await self._listen(self.port, for_components=False)
            self.component_port = await self._listen(self.component_port, for_components=True)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End all streams in order, and give the ports back."""
        for listener in self._listeners:
            listener.close()
        for session in list(self.sessions):
            session.fail("system-shutdown")
        if self.sessions:
            await asyncio.wait([s.lost for s in self.sessions], timeout=LINGER_SECONDS)
        for session in list(self.sessions):
            session.abort()
        for task in list(self._tasks):
            task.cancel()
        if waiting := [*self._tasks, *(s.lost for s in self.sessions)]:
            await asyncio.wait(waiting, timeout=LINGER_SECONDS)
        for listener in self._listeners:
            await listener.wait_closed()
        self._listeners.clear()

    async def _listen(self, port: int, *, for_components: bool) -> int:
        loop = asyncio.get_running_loop()
        try:
            listener = await loop.create_server(
                lambda: Session(self, for_components=for_components), self._host, port
            )
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            reason = "another program has it" if taken else os_reason(error)
            raise EmpError(f"cannot listen on {self._host}:{port}: {reason}") from None
        self._listeners.append(listener)
        return int(listener.sockets[0].getsockname()[1])

    # -- for sessions -----------------------------------------------------------------------------

    def password_of(self, username: str) -> str | None:
        """The password of an account, None for nobody."""
        account = self.hub.accounts.get(username)
        return account.password if account else None

    def secret_of(self, domain: str) -> str | None:
        """The secret of a component's domain."""
        return self._secrets.get(domain)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do that, and see to it that it ends with the server."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def flush(self, sender: Session | None) -> None:
        """Write what a batch of `sender` led to; it waits for those who cannot take more."""
        while self.dirty:
            receiver = self.dirty.pop()
            receiver.flush()
            if sender is not None:
                receiver.hold_back(sender)
