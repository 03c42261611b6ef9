"""The development server: listening sockets on loopback around one routing table."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from emp.devserver.certificate import CertificateFiles, ensure_certificate
from emp.devserver.hub import Hub
from emp.devserver.resumption import RESUME_SECONDS, Sessions
from emp.devserver.session import HANDSHAKE_SECONDS, LINGER_SECONDS, Session
from emp.devserver.web import PATH, Web
from emp.errors import ConfigError, EmpError, JIDError
from emp.jid import JID
from emp.net import names, openssl
from emp.net.failures import os_reason
from emp.net.tls import ALPN, WEB_ALPN
from emp.sasl import StoredKeys
from emp.sasl.issued import IssuedTokens

Tap = Callable[[str, str, bytes], None]
"""Sees every stanza: "in" (from the peer) or "out" (to the peer), the peer's JID, the stanza."""


def _ignore(direction: str, jid: str, stanza: bytes) -> None:
    """Nobody looks."""


class DevServer:
    """An XMPP server on loopback, as `emp.devserver` describes it.

    `accounts` maps user names to passwords, `components` domains to secrets. Port 0 means any free
    one; `port` and `component_port` say which after start(). `direct_port`: where clients find TLS
    from the first byte (XEP-0368), None for nowhere; `component_tls`: whether components must begin
    with TLS. `websocket_port`: where they find WebSocket (RFC 7395) and host-meta, None for
    nowhere; with TLS unless `websocket_tls` is false; `websocket` is its address. `directory` gets
    the certificate.
    Clients may log in with a certificate that names them (SASL EXTERNAL) and that an authority in
    `client_ca_file` has signed. `management`: whether to offer XEP-0198; sessions can be resumed
    for `resume_seconds`. `mechanisms` are those of SASL to offer; None: emp.sasl.SERVED. `sasl2`:
    whether to offer SASL2, Bind 2 and tokens, which are kept in memory.
    Raises ConfigError for a host that is not loopback and for names that are no JIDs.
    """

    def __init__(
        self,
        domain: str = "localhost",
        *,
        directory: Path,
        host: str = "localhost",
        port: int = 0,
        component_port: int = 0,
        direct_port: int | None = None,
        component_tls: bool = False,
        websocket_port: int | None = None,
        websocket_tls: bool = True,
        accounts: Mapping[str, str] | None = None,
        components: Mapping[str, str] | None = None,
        tap: Tap = _ignore,
        client_ca_file: Path | None = None,
        mechanisms: tuple[str, ...] | None = None,
        management: bool = True,
        resume_seconds: float = RESUME_SECONDS,
        sasl2: bool = True,
    ) -> None:
        if not names.is_loopback(host):
            raise ConfigError(
                f"the development server does not listen on {host}",
                remedy="it is for this machine only: leave host at localhost",
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
        self.management = management
        self.resumable = Sessions(self.hub, lambda: self.flush(None), resume_seconds)
        self.sessions: set[Session] = set()
        self.dirty: set[Session] = set()
        self.tap = tap
        self.port, self.component_port, self.direct_port = port, component_port, direct_port
        self.component_tls = component_tls
        self.websocket_port, self._websocket_tls = websocket_port, websocket_tls
        self.ca_file = directory / "ca.pem"
        self.mechanisms = mechanisms
        self.keys = StoredKeys()
        self.sasl2 = sasl2
        self.tokens = IssuedTokens()
        self._client_ca_file = client_ca_file
        self._directory = directory
        if names.is_localhost(host):
            host = names.own_loopback() or names.LOOPBACK[0]
        self.host = host
        self._listeners: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Make the certificate if there is none, and listen. Raises EmpError when that fails."""
        try:
            files = ensure_certificate(self._directory, self.domain)
        except (OSError, ValueError) as error:
            raise EmpError(f"no certificate for {self.domain}: {error}") from None
        self.tls = self._tls_context(files, ALPN)
        self.own_certificate = ssl.PEM_cert_to_DER_cert(files.certificate.read_text())
        try:
            self.port = await self._listen(self.port)
            if self.direct_port is not None:
                self.direct_port = await self._listen(self.direct_port, tls=self.tls)
            self.component_port = await self._listen(
                self.component_port,
                lambda: Session(self, for_components=True),
                self.tls if self.component_tls else None,
            )
            if self.websocket_port is not None:
                await self._listen_for_web(files)
        except BaseException:
            await self.stop()
            raise

    @property
    def websocket(self) -> str:
        """The address of the WebSocket; the certificate is for localhost too."""
        scheme = "wss" if self._websocket_tls else "ws"
        return f"{scheme}://localhost:{self.websocket_port}{PATH}"

    async def _listen_for_web(self, files: CertificateFiles) -> None:
        tls = self._tls_context(files, WEB_ALPN) if self._websocket_tls else None
        self.websocket_port = await self._listen(
            self.websocket_port or 0, lambda: Session(self, web=self._web), tls
        )
        self._web = Web(self.websocket)

    def _tls_context(self, files: CertificateFiles, alpn: str) -> ssl.SSLContext:
        context = openssl.new_context(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(files.certificate, files.key)
        context.set_alpn_protocols([alpn])
        if self._client_ca_file is not None:
            context.load_verify_locations(self._client_ca_file)
            context.verify_mode = ssl.CERT_OPTIONAL
        return context

    async def stop(self) -> None:
        """End all streams in order, and give the ports back."""
        for listener in self._listeners:
            listener.close()
        for session in list(self.sessions):
            session.fail("system-shutdown")
        self.resumable.close()
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

    def cut(self, jid: str) -> None:
        """Drop the connections of a JID, full or bare, without a word: as a network does."""
        for session in list(self.sessions):
            if session.is_of(jid):
                session.abort()

    async def _listen(
        self,
        port: int,
        make: Callable[[], Session] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> int:
        loop = asyncio.get_running_loop()
        try:
            listener = await loop.create_server(
                make or (lambda: Session(self)),
                self.host,
                port,
                ssl=tls,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if tls else None,
                ssl_shutdown_timeout=LINGER_SECONDS if tls else None,
            )
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            reason = "another program has it" if taken else os_reason(error)
            raise EmpError(f"cannot listen on {self.host}:{port}: {reason}") from None
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
