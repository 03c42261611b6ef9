"""A TLS server with blocking sockets, in a thread: it sends its alerts; asyncio's does not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator

from tests.emp.net.support import PATIENCE


@contextlib.asynccontextmanager
async def tls_listener(context: ssl.SSLContext) -> AsyncIterator[int]:
    """Does one handshake, and then reads until the other side hangs up; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(PATIENCE)

    def serve() -> None:
        sock, _ = listener.accept()
        sock.settimeout(PATIENCE)
        connection = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        with connection, contextlib.suppress(OSError):
            with contextlib.suppress(ssl.SSLError):  # it fails, as the tests want
                connection.do_handshake()
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):  # else TCP takes the alert back
                pass

    thread = asyncio.create_task(asyncio.to_thread(serve))
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        await thread
