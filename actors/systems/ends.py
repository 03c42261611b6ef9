"""The two ends of a channel: UNIX sockets in a loop (`actors.systems.channels` says what for)."""

from __future__ import annotations

import logging
import pickle
import socket
import time
from collections import deque
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from thespian.actors import ActorAddress

import actors.systems.pickling  # noqa: F401  what it registers
from actors.peers import is_ours
from actors.systems.frames import FrameRefusedError, FrameTooLargeError
from actors.systems.stream import (
    LARGEST_GREETING,
    Caller,
    Opener,
    Sealer,
    Splitter,
    check_size,
    welcome,
)
from actors.systems.transport import address_of, name_of

if TYPE_CHECKING:
    from actors.systems.channels import Channels

logger = logging.getLogger("emp.actors")

BUFFER: Final = 1024 * 1024
"""Bytes that the kernel is asked to hold for each channel: a full batch of usual stanzas, so that
it leaves in one piece. Linux gives what its limit allows."""

AGAIN: Final = 0.05
"""Seconds until a receiver that had no room is called again."""

MOST_WAITING: Final = 64 * 1024 * 1024
"""Bytes that wait for one receiver to read: many times what all credits together allow. Beyond,
messages are lost."""


class Outgoing:
    """The messages to one actor: they wait for the welcome, then for the socket to take them."""

    def __init__(self, channels: Channels, receiver: ActorAddress) -> None:
        self._channels = channels
        self._receiver = receiver
        self._where = receiver.addressDetails.sockname
        self._socket: socket.socket | None = None
        self._caller: Caller
        self._sealer: Sealer | None = None
        self._splitter = Splitter()
        self._unsealed: deque[bytes] = deque()  # before the welcome
        self._frames: deque[memoryview] = deque()  # not taken by the socket
        self._size = 0  # bytes of both

    def connect(self) -> bool:
        """False when nobody listens who could be meant."""
        channels = self._channels
        callee = name_of(self._receiver)
        try:
            self._socket = connection = unix_socket()
            connection.connect(path_of(channels.key, callee))
            if not is_ours(connection):
                raise ConnectionRefusedError
            self._caller = Caller(channels.key, channels.name, callee)
            self._splitter = Splitter()
            connection.send(self._caller.hello)
        except ConnectionError:
            self._disconnect()
            return False
        except OSError:  # too many are calling it, or no descriptor is left
            self._call_again()
            return True
        channels.loop.add_reader(connection, self._readable)
        return True

    def _call_again(self) -> None:
        self._disconnect()
        self._channels.loop.call_later(AGAIN, self._connect_again)

    def _connect_again(self) -> None:
        if self._channels.outgoing.get(self._where) is not self or self.connect():
            return
        del self._channels.outgoing[self._where]
        for plaintext in self._unsealed:
            self._channels.otherwise(self._receiver, pickle.loads(plaintext))  # noqa: S301 our own

    def _readable(self) -> None:
        """The welcome, or the end."""
        assert self._socket is not None
        try:
            data = self._socket.recv(LARGEST_GREETING)
            for body in self._splitter.split(memoryview(data)):
                if self._sealer is None:
                    self._sealer = self._caller.welcomed(bytes(body))
        except BlockingIOError:
            return
        except (OSError, FrameRefusedError):
            data = b""
        if not data:
            self._ended()
        elif self._sealer is not None:
            while self._unsealed:
                plaintext = self._unsealed.popleft()
                self._size -= len(plaintext)
                self._write(self._sealer.seal(plaintext))

    def _ended(self) -> None:
        if self._sealer is None:  # it had no room for us, or has ended
            self._call_again()
            return
        if self._frames:
            logger.info("%s has ended with %d bytes unread", self._receiver, self._size)
        self.close()

    def send(self, message: object) -> None:
        """Raises what pickling raises."""
        plaintext = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        try:
            check_size(plaintext)
            if self._size > MOST_WAITING:
                raise FrameTooLargeError(f"{self._size} bytes wait for it already")
        except FrameTooLargeError as error:
            name = type(message).__name__
            logger.error("%s to %s was not sent: %s", name, self._receiver, error)
            return
        if self._sealer is None:
            self._unsealed.append(plaintext)
            self._size += len(plaintext)
        else:
            self._write(self._sealer.seal(plaintext))

    def _write(self, frame: bytes) -> None:
        # Hot path: no turn of the loop lies between an actor's send and the other's epoll.
        assert self._socket is not None
        taken = 0
        if not self._frames:
            try:
                taken = self._socket.send(frame)
            except BlockingIOError:
                pass
            except OSError:  # the other side has ended, which _readable is about to see
                return
            if taken == len(frame):
                return
            self._channels.loop.add_writer(self._socket, self._writable)
        rest = memoryview(frame)[taken:]
        self._frames.append(rest)
        self._size += len(rest)

    def _writable(self) -> None:
        assert self._socket is not None
        frames = self._frames
        try:
            while frames:
                taken = self._socket.send(frames[0])
                self._size -= taken
                if taken < len(frames[0]):
                    frames[0] = frames[0][taken:]
                    return
                frames.popleft()
        except BlockingIOError:
            return
        except OSError:  # see _write
            pass
        self._channels.loop.remove_writer(self._socket)

    def flush(self, deadline: float) -> None:
        """Write what waits, until the monotonic time `deadline`."""
        assert self._socket is not None or not self._frames
        with suppress(OSError):
            for frame in self._frames:
                self._socket.settimeout(max(0.001, deadline - time.monotonic()))  # type: ignore[union-attr]
                self._socket.sendall(frame)  # type: ignore[union-attr]

    def close(self) -> None:
        self._channels.outgoing.pop(self._where, None)
        self._disconnect()

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._channels.loop.remove_reader(self._socket)
            self._channels.loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None


class Incoming:
    """The messages from one actor."""

    def __init__(self, channels: Channels, connection: socket.socket) -> None:
        self._channels = channels
        self._space = channels.space
        self._socket = connection
        self._splitter = Splitter()
        self._opener: Opener | None = None
        self._sender: ActorAddress
        channels.loop.add_reader(connection, self._readable)

    @property
    def unknown(self) -> bool:
        """True until the other side has shown the key."""
        return self._opener is None

    def _readable(self) -> None:
        # Hot path: one system call for each turn of the loop, and mostly one whole message in it.
        try:
            size = self._socket.recv_into(self._space)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size:
            self.close()
            return
        try:
            for body in self._splitter.split(self._space[:size]):
                if self._opener is None:
                    self._greet(bytes(body))
                else:
                    self._deliver(self._opener.open(body))
        except FrameRefusedError as error:
            logger.error("a channel was refused: %s", error)
            self.close()

    def _greet(self, hello: bytes) -> None:
        channels = self._channels
        caller, answer, self._opener = welcome(channels.key, channels.name, hello)
        self._sender = address_of(caller)
        self._splitter.trust()
        with suppress(OSError):  # it has ended: the next read shows it
            self._socket.send(answer)

    def _deliver(self, plaintext: bytes) -> None:
        try:
            # The tag has proved that a process of ours wrote it.
            message = pickle.loads(plaintext)  # noqa: S301
            self._channels.deliver(message, self._sender)
        except Exception:  # unpickling runs any constructor, which may raise anything
            logger.exception("a message from %s was lost", self._sender)

    def close(self) -> None:
        self._channels.forget(self)
        self._channels.loop.remove_reader(self._socket)
        self._socket.close()


def path_of(key: bytes, name: bytes) -> bytes:
    """Where the actor of that name listens, in the abstract namespace. Only who has the key knows
    it before it is in use."""
    digest = blake2b(name, key=key, person=b"emp channel", digest_size=16).hexdigest()
    return b"\0emp-" + digest.encode()


def unix_socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    return made
