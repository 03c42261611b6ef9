"""Thespian's TCP transport, made safe: it listens on loopback only, and what it receives is
authenticated before it is unpickled (`actors.systems.frames` has the how and why).

Importing this module changes Thespian in this process: bare pickle stops working on its sockets, so
nothing can fall back to it. All processes of the multiproc system import it before they open one.
"""

from __future__ import annotations

import os
import pickle
import socket
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from logging import ERROR, WARNING
from typing import Any, Final, NoReturn, cast

from thespian.actors import ActorAddress
from thespian.system.transport import (
    ExternalInterfaceTransportInit,
    ReceiveEnvelope,
    SendStatus,
    TransmitIntent,
    asyncTransportBase,
)
from thespian.system.utilis import thesplog

from actors.systems.frames import (
    LENGTH,
    SPOILED,
    TAKEN,
    FrameBuffer,
    FrameRefusedError,
    Opener,
    Sealer,
    answer,
    check_answer,
    is_answer,
)
from actors.systems.offline import IPActorAddress, thisSystem, upstream
from actors.systems.waiting import SELECTORS, wake
from emp.net import names
from emp.net.names import family, own_loopback

LOOPBACK: Final = own_loopback() or names.LOOPBACK[0]
"""127.0.0.1, or ::1 on a machine that has no IPv4."""

LONGEST_RECEIPT: Final = timedelta(seconds=30)
"""For one frame, from accept to its last byte. Upstream's 7 minutes are for slow networks."""

MOST_UNFINISHED: Final = 256
"""Connections that have sent no whole frame yet. Beyond, the oldest is closed: descriptors end at
1,024, and Thespian ends with them."""

LARGE_FRAME: Final = 1024 * 1024
MOST_LARGE: Final = 32
"""So many connections may have more than `LARGE_FRAME` bytes of an unfinished frame here: only when
it is whole, it shows who sent it."""

MOST_PENDING: Final = 400
"""Messages on their way at once, to all receivers together. Upstream's 20 let one receiver that
hangs silence its senders; each receiver costs a descriptor: it must stay well below 1,024."""


KNOWN_ADDRESSES: Final = 1024
"""Addresses that are kept, instead of made anew for each message that has them."""


class LoopbackAddress(IPActorAddress):
    """An address that is listened on, and known to others, as LOOPBACK. Upstream listens on all
    interfaces and tells the address that leads to the Internet."""

    def __init__(self, address: Any = None, port: Any = 0, external: Any = False) -> None:
        super().__init__(
            family(LOOPBACK), socket.SOCK_STREAM, socket.IPPROTO_TCP, LOOPBACK, int(port)
        )

    def _str_kind(self) -> str:
        return "T"


class _NoPickle:
    """Stands where upstream keeps `pickle`."""

    @staticmethod
    def loads(data: bytes) -> NoReturn:
        raise FrameRefusedError("bare pickle")

    dumps = loads


def _identify_intent(intent: Any) -> str:
    return f"{type(intent.message).__name__} to {intent.targetAddr}"


def _identify_envelope(envelope: Any) -> str:
    return f"{type(envelope.message).__name__} from {envelope.sender}"


# Upstream prints the whole message three times on its way, for a log that is switched off: costly,
# and when it is on, passwords and conversations are in it.
TransmitIntent.identify = _identify_intent
ReceiveEnvelope.identify = _identify_envelope

thisSystem.add_local_addr(LOOPBACK)
upstream.ReceiveBuffer = FrameBuffer
upstream.serializer = _NoPickle
upstream.selectors = SELECTORS
upstream.TCPv4ActorAddress = LoopbackAddress
upstream.MAX_INCOMING_SOCKET_PERIOD = LONGEST_RECEIPT
asyncTransportBase.MAX_PENDING_TRANSMITS = MOST_PENDING


class SealedInit(ExternalInterfaceTransportInit):
    """How the process outside of the system gets its transport."""

    def __init__(self, key: bytes) -> None:
        self.key = key


class SealedEndpoint(upstream.TCPEndpoint):
    """How the admin and the actors get theirs: reaches them in memory or through a private pipe,
    and so does the key."""

    def __init__(self, key: bytes, *args: Any) -> None:
        super().__init__(*args)
        self.key = key


class SealedCopy(upstream.ExternalTransportCopy):
    """How each question from outside gets one of its own."""

    def __init__(self, key: bytes) -> None:
        self.key = key


class SealedTransport(upstream.TCPTransport):
    """A transport whose frames are sealed. `init` is a `SealedInit`, `SealedEndpoint` or
    `SealedCopy`; `args` are upstream's."""

    def __init__(self, init: SealedInit | SealedEndpoint | SealedCopy, *args: Any) -> None:
        self.key = init.key
        self._sealer = Sealer(init.key)
        super().__init__(init, *args)
        self._opener = Opener(init.key, name_of(self.myAddress))

    def prepEndpoint(self, assignedLocalAddr: Any, capabilities: Any) -> SealedEndpoint:
        endpoint = super().prepEndpoint(assignedLocalAddr, capabilities)
        return SealedEndpoint(self.key, *endpoint.args)

    def external_transport_clone(self) -> SealedTransport:
        return SealedTransport(SealedCopy(self.key), self._adminAddr, self.txOnly, False)

    def close(self) -> None:
        """Close all sockets. Upstream leaves that to the garbage collector."""
        for intent in [*_take(self, "_transmitIntents"), *_take(self, "_waitingTransmits")]:
            intent.tx_done(SendStatus.Failed)
            if hasattr(intent, "socket"):
                intent.socket.close()
        for connection in [*_take(self, "_incomingSockets"), *_take(self, "_openSockets")]:
            connection.socket.close()
        if "socket" in self.__dict__:
            self.socket.close()

    # Whoever calls these from inside of the loop in which Thespian waits has something new for it.

    def scheduleTransmit(self, *args: Any, **options: Any) -> None:
        super().scheduleTransmit(*args, **options)
        wake()

    def addWakeup(self, *args: Any) -> None:
        super().addWakeup(*args)
        wake()

    def abort_run(self, *args: Any, **options: Any) -> None:
        super().abort_run(*args, **options)
        wake()

    # Sending

    def serializer(self, intent: Any) -> bytes:
        plaintext = pickle.dumps((self.myAddress, intent.message), pickle.HIGHEST_PROTOCOL)
        return self._sealer.seal(name_of(intent.targetAddr), plaintext)

    def _check_XMIT_4_done(self, intent: Any, received: bytes) -> bool:
        # Waiting for an answer. The peer may have sent a message of its own at the same moment.
        # Whatever the peer sends, an exception here would lose the intent: upstream drops it.
        while True:
            try:
                intent.ackbuf.addMore(received)
                if not intent.ackbuf.isDone():
                    return True
                frame, intent.extraRead = intent.ackbuf.completed()
                if is_answer(frame):
                    taken = check_answer(self.key, frame, intent.serMsg[LENGTH.size :])
                    intent.result = SendStatus.Sent if taken else SendStatus.BadPacket
                    intent.stage = self._XMITStepFinishCleanup
                    break
                self._take_frame(frame, intent.socket)
            except FrameRefusedError as error:
                _log_refusal(error)
                intent.backoffPause(True)
                intent.stage = self._XMITStepRetry
                break
            intent.ackbuf = FrameBuffer()
            received, intent.extraRead = intent.extraRead, b""
        return bool(self._nextTransmitStep(intent))

    # Receiving

    def _acceptNewIncoming(self) -> None:
        try:
            connection, _ = self.new_socket(self.socket.accept)
        except OSError as error:
            # Upstream makes this a message that its own actors cannot handle.
            thesplog("cannot accept a connection: %s", error, level=WARNING)
            connection = None
        self._check_indicators()
        if connection is None:
            return
        if len(self._incomingSockets) >= MOST_UNFINISHED:
            self._incomingSockets.pop(next(iter(self._incomingSockets))).close()
        connection.setblocking(False)
        with suppress(OSError):  # the peer is gone already
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        incoming = upstream.TCPIncomingPersistent(ActorAddress(None), connection)
        self._incomingSockets[connection.fileno()] = incoming

    def _handleReadableIncoming(self, inc: Any, has_exclusive_flag: bool = False) -> Any:
        unfinished = super()._handleReadableIncoming(inc, has_exclusive_flag=has_exclusive_flag)
        if unfinished is None or _size(unfinished) <= LARGE_FRAME:
            return unfinished
        if sum(_size(other) > LARGE_FRAME for other in self._incomingSockets.values()) < MOST_LARGE:
            return unfinished
        unfinished.close()
        return None

    def _addedDataToIncoming(
        self,
        incoming: Any,
        skipFinish: bool = False,
        has_exclusive_flag: bool = False,
    ) -> Any:
        # Returns what has to be read on, or None. Upstream's way to do it cannot be kept: it sends
        # a constant as the answer, and delivers a message twice when more bytes follow it.
        while incoming.receivedAllData():
            frame, rest = incoming.data
            try:
                sender = self._take_frame(frame, incoming.socket, has_exclusive_flag)
                following = upstream.TCPIncomingPersistent(sender, incoming.socket)
                following.addData(rest)
            except FrameRefusedError as error:
                _log_refusal(error)
                incoming.close()
                return None
            if not rest:
                if not skipFinish:
                    self._finishIncoming(following, sender)
                return None
            incoming = following
        return incoming

    def _take_frame(self, frame: bytes, connection: Any, exclusive: bool = False) -> ActorAddress:
        """Open, answer and deliver a frame; returns its sender. Raises `FrameRefusedError`."""
        plaintext, new = self._opener.open(frame)
        try:
            # The tag has proved that a process of ours wrote it.
            sender, message = pickle.loads(plaintext)  # noqa: S301
        except Exception as error:  # unpickling runs any constructor: it may raise anything
            thesplog("a message cannot be unpickled: %r", error, level=ERROR)
            _reply(connection, answer(self.key, SPOILED, frame))
            raise FrameRefusedError("cannot be unpickled") from error
        _reply(connection, answer(self.key, TAKEN, frame))
        if new:
            envelope = ReceiveEnvelope(sender, message)
            self._processReceivedEnvelope(envelope, has_exclusive_flag=exclusive)
        else:
            thesplog("a message came twice", level=WARNING)
        return cast(ActorAddress, sender)


def name_of(address: ActorAddress) -> bytes:
    """The name of an address in seals."""
    host, port = address.addressDetails.sockname[:2]
    return f"{host}:{port}".encode()


@lru_cache(KNOWN_ADDRESSES)
def address_of(name: bytes) -> ActorAddress:
    """The address that has this name."""
    _, _, port = name.decode().rpartition(":")
    return ActorAddress(LoopbackAddress(None, int(port)))


# Thespian teaches them to compare with the children of the process that they are in.
os.register_at_fork(after_in_child=address_of.cache_clear)


def _size(incoming: Any) -> int:
    size: int = incoming._rData.size
    return size


def _reply(connection: socket.socket, frame: bytes) -> None:
    # When the answer is lost, the sender repeats its message, and is answered then.
    with suppress(OSError):
        connection.send(frame)


def _log_refusal(error: FrameRefusedError) -> None:
    thesplog("refused a frame: %s", error, level=WARNING)


def _take(transport: SealedTransport, name: str) -> list[Any]:
    held: Any = transport.__dict__.pop(name, ())
    return list(held.values()) if isinstance(held, dict) else list(held)
