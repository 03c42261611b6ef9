"""Happy eyeballs (RFC 8305 §5): the addresses of one machine race, with a head start for the first.

Written here, since what the standard library has for it takes names and not addresses, is missing
from uvloop, and does not say which address failed how.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable

from emp.net.resolve import Candidate

HEAD_START = 0.25
"""Seconds until the next address joins, unless the one before failed earlier (RFC 8305 §5)."""


async def first_to_answer(
    candidates: deque[Candidate],
    failed: Callable[[Candidate, OSError], None],
    *,
    head_start: float = HEAD_START,
) -> tuple[Candidate, socket.socket] | None:
    """The first of `candidates` that accepts a TCP connection; None when none does.

    Those that failed, and the winner, are taken out of `candidates`; `failed` hears of the former.
    The losers' sockets are closed, and cancelled the same.
    """
    waiting = deque(candidates)
    running: dict[asyncio.Task[socket.socket], Candidate] = {}
    try:
        while waiting or running:
            if waiting:
                candidate = waiting.popleft()
                running[asyncio.create_task(_connect(candidate))] = candidate
            done, _ = await asyncio.wait(
                running,
                timeout=head_start if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                candidate, error = running[task], task.exception()
                if error is not None and not isinstance(error, OSError):
                    raise error
                del running[task]
                candidates.remove(candidate)
                if error is None:
                    return candidate, task.result()
                failed(candidate, error)
        return None
    finally:
        for task in running:
            task.add_done_callback(_close)  # it may have connected in the same turn as the winner
            task.cancel()


async def _connect(candidate: Candidate) -> socket.socket:
    # A literal: this asks nobody, and knows the scope of fe80::1%eth0.
    entry = socket.getaddrinfo(
        candidate.address,
        candidate.port,
        type=socket.SOCK_STREAM,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )[0]
    sock = socket.socket(*entry[:3])
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, entry[4])
    except BaseException:
        sock.close()
        raise
    return sock


def _close(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()
