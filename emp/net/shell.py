"""What both ends of a connection do alike: clear text that turns into TLS, and reading that pauses.

emp.net.XMPPStream and the sessions of emp.devserver are shells around an engine; this is the part
of them in which a mistake would be a hole: nothing that came before the handshake may count as
protected by it (CVE-2011-0411), and nothing that came right behind it may get lost.
"""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod

ABORT_TURNS = 4
"""Turns of the event loop in which an aborted connection closes its socket; TLS takes two."""


class Shell(asyncio.Protocol, ABC):
    """A connection that can be upgraded to TLS. `buffer` is what writers may have outstanding."""

    def __init__(self, buffer: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = buffer
        self._securing = False
        self._early = b""  # decrypted before start_tls() returned

    @abstractmethod
    def _received(self, data: bytes) -> None:
        """Bytes of XML came in."""

    @property
    @abstractmethod
    def _held(self) -> bool:
        """Whether nothing more may be taken off the socket for now."""

    def data_received(self, data: bytes) -> None:
        if self._securing:  # TLS is up, but start_tls() has not returned yet
            self._early += data
        else:
            self._received(data)

    def _use(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(self._buffer)
        self._apply_reading()

    def _apply_reading(self) -> None:
        transport = self._transport
        if transport is None or self._securing or transport.is_closing():
            return  # start_tls() pauses and resumes by itself; _use() catches up after it
        if self._held:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def _expect_tls(self) -> None:
        """Nothing may be taken for clear text any more; `_start_tls` resumes reading."""
        self._securing = True
        if self._transport is not None:
            self._transport.pause_reading()

    async def _start_tls(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        timeout: float,
        shutdown_timeout: float,
    ) -> ssl.SSLObject:
        """The handshake, in at most `timeout` seconds; gives the TLS connection to look at.

        What was decrypted meanwhile waits for `_take_early`. Raises OSError (ssl.SSLError is one);
        then the connection is aborted, and nothing that comes is looked at any more.
        """
        plain = self._transport
        assert plain is not None
        secured: asyncio.Transport | None = None
        try:
            secured = await self._loop.start_tls(
                plain,
                self,
                context,
                server_side=server_side,
                server_hostname=server_hostname,
                ssl_handshake_timeout=timeout,
                ssl_shutdown_timeout=shutdown_timeout,
            )
        finally:
            if secured is None:  # whether connection_lost() comes now depends on the event loop
                plain.abort()
        if secured is None:  # documented: the transport was closing
            raise ConnectionAbortedError("the connection was closed")
        self._transport = secured
        tls: ssl.SSLObject = secured.get_extra_info("ssl_object")
        return tls

    def _take_early(self) -> None:
        """The engine knows of TLS: go on, with what the peer said right behind the handshake."""
        self._securing = False
        if self._transport is not None:
            self._use(self._transport)
        early, self._early = self._early, b""
        if early:
            self._received(early)

    async def _dispose(self) -> None:
        """Abort, and let the event loop do its part of it; `connection_lost` was called then."""
        for _ in range(ABORT_TURNS):
            if self._transport is None:
                return
            self._transport.abort()
            await asyncio.sleep(0)
        self.connection_lost(None)  # start_tls() that failed kept it for itself
