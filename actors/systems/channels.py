"""Channels: the short way of messages between two actors of one host.

Thespian's way takes a message through queues, turns of a selector and an acknowledgement, which
costs some hundred microseconds. A channel is a UNIX socket from one process to another, one way,
which the sender writes to at once and the receiver reads in its asyncio loop. What travels on it is
sealed (`actors.systems.stream`). Thespian goes on to start, supervise and end the actors, and
carries what no channel can: to actors that have none (the supervisor, which forks; the admin; who
asks from outside; other hosts), and before they have one.

- **Who has one** shows at the first message: every process with channels listens in the abstract
  namespace, under a name that only holders of the cluster key can make out of its address. Where
  nobody listens, the message goes Thespian's way. An actor listens from its first message on, and
  its siblings hear of it later, so all their messages take the same way, and stay in order.
- **Who is it?** The kernel tells the user of the other side, the seals whether it has the key.
- **Lost receivers.** When a process dies, the kernel closes its sockets. What was not read is lost,
  as it is on Thespian's way, and the actors have credits and incarnations for that. What is sent
  afterwards finds nobody listening, and so becomes a dead letter of Thespian's.
- **Bounds.** A descriptor for each actor that sends to this one, and for each that it sends to. The
  senders' credits (`actors.flow`) bound what waits; `MOST_WAITING` is for what has none.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from thespian.actors import ActorAddress, ActorSystemMessage

from actors.peers import is_ours
from actors.systems.ends import AGAIN, Incoming, Outgoing, path_of, unix_socket
from actors.systems.transport import name_of

logger = logging.getLogger("emp.actors")

READ: Final = 1024 * 1024
"""Bytes that are read at once, into the one place that there is for it: `recv` would map memory and
give it back each time."""

BACKLOG: Final = 4096
"""Callers that wait to be accepted; Linux has a limit of its own."""

MOST_UNKNOWN: Final = 64
"""Callers that have not shown the key. Beyond, the oldest is closed."""

LONGEST_FLUSH: Final = 1.0
"""Seconds at the end of an actor to write what still waits."""


class Channels:
    """The channels of one process. To be used in its loop only."""

    def __init__(
        self,
        key: bytes,
        own: ActorAddress,
        loop: asyncio.AbstractEventLoop,
        deliver: Callable[[Any, ActorAddress], object],
        otherwise: Callable[[ActorAddress, Any], None],
    ) -> None:
        """own: the address of the actor. deliver: takes (message, sender). otherwise: sends
        (receiver, message) on Thespian's way. Raises OSError when its name is taken."""
        self.key = key
        self.name = name_of(own)
        self.loop = loop
        self.deliver = deliver
        self.otherwise = otherwise
        self.space = memoryview(bytearray(READ))
        self.outgoing: dict[Any, Outgoing] = {}
        self._incoming: dict[Incoming, None] = {}  # in the order of their coming
        self._closed = False
        self._listener = unix_socket()
        try:
            self._listener.bind(path_of(key, self.name))
        except OSError:
            self._listener.close()
            raise
        self._listener.listen(BACKLOG)
        loop.add_reader(self._listener, self._accept)

    def post(self, sender: ActorAddress, receiver: ActorAddress, message: object) -> None:
        """What `Actor.send` does. Raises what pickling raises."""
        # Hot path: three of these for each batch of stanzas.
        where = getattr(receiver.addressDetails, "sockname", None)
        channel = self.outgoing.get(where)
        if isinstance(message, ActorSystemMessage):
            channel = None
        elif channel is None:
            channel = self._call(where, receiver)
        if channel is None:
            self.otherwise(receiver, message)
        else:
            channel.send(message)

    def _call(self, where: Any, receiver: ActorAddress) -> Outgoing | None:
        if where is None or self._closed:  # no address: a child that is about to start
            return None
        channel = Outgoing(self, receiver)
        if not channel.connect():
            return None
        self.outgoing[where] = channel
        return channel

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:  # no descriptor is left
            logger.error("cannot accept a channel: %s", error)
            self.loop.remove_reader(self._listener)
            self.loop.call_later(AGAIN, self._accept_again)
            return
        connection.setblocking(False)
        if not is_ours(connection):
            connection.close()
            return
        unknown = [caller for caller in self._incoming if caller.unknown]
        if len(unknown) >= MOST_UNKNOWN:
            unknown[0].close()
        self._incoming[Incoming(self, connection)] = None

    def _accept_again(self) -> None:
        if not self._closed:
            self.loop.add_reader(self._listener, self._accept)

    def forget(self, caller: Incoming) -> None:
        self._incoming.pop(caller, None)

    def close(self) -> None:
        """Write what waits, for `LONGEST_FLUSH` seconds at most, and close everything."""
        self._closed = True
        self.loop.remove_reader(self._listener)
        self._listener.close()
        deadline = time.monotonic() + LONGEST_FLUSH
        for channel in list(self.outgoing.values()):
            channel.flush(deadline)
            channel.close()
        for caller in list(self._incoming):
            caller.close()
