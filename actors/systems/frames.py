"""Sealed frames: what travels between the processes of a system. No sockets, no Thespian here.

    frame = length (4) · kind (1) · body
    body of a message = session (16) · counter (8) · stamp (8) · ciphertext · tag (16)
    body of an answer = MAC (16)

- A message is sealed with ChaCha20-Poly1305 (RFC 8439) under a key derived, with keyed BLAKE2b (RFC
  7693), from the cluster key, the session and the destination. Nothing of it is looked at, and in
  particular nothing is unpickled, before the tag has proved that it comes from a holder of the
  cluster key, unchanged, for this destination.
- A session is a random number of each sender, made anew in a forked process and when its table is
  full; the nonce is a counter for each session and destination, so no nonce is used twice.
- Thespian seals a frame once and sends it again, unchanged, until it is acknowledged. The receiver
  remembers the counters it has seen: a frame that comes a second time, from Thespian or from an
  attacker, is acknowledged again and delivered never.
- A frame that is older than its receiver was meant for a predecessor on the same port; one that is
  older than the memory of counters cannot be told from a repetition. Both are refused. The stamp is
  of the monotonic clock, which all processes of one host share and nobody sets back.
- The answer (taken or spoiled) is a MAC of the frame it answers: a stranger on the port of a dead
  actor can neither read messages nor make them count as delivered.
"""

from __future__ import annotations

import os
import struct
import time
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

LENGTH: Final = struct.Struct(">I")
HEADER: Final = struct.Struct(">c16sQQ")
MESSAGE: Final = b"m"
TAKEN: Final = b"+"
SPOILED: Final = b"-"
TAG_BYTES: Final = 16
SESSION_BYTES: Final = 16

LARGEST_FRAME: Final = 16 * 1024 * 1024
"""Bytes. A batch has 4 MiB (`actors.flow`), or one answer of 8 MiB (`emp.stream.limits`)."""

SMALLEST_FRAME: Final = 1 + TAG_BYTES
READ_BYTES: Final = 65_536
"""Bytes to ask the socket for while the length is unknown: most frames arrive in one read."""

MEMORY_SECONDS: Final = 600
"""How long counters are remembered. Longer than the five minutes that Thespian repeats a frame."""

MEMORY_COUNTERS: Final = 65_536
"""Counters remembered beyond a gap: five minutes of 200 batches a second from one sender."""

LARGEST_TABLE: Final = 4096
"""Destinations of one session. Every question from outside has an address of its own."""

FEW_SENDERS: Final = 64
"""Up to so many sessions are remembered without looking for forgotten ones."""


class FrameRefusedError(Exception):
    """The frame is not for us, not from us, too late or too large; str() says which."""


class FrameTooLargeError(Exception):
    """Our own message exceeds `LARGEST_FRAME`."""


def derive(key: bytes, purpose: bytes, *parts: bytes) -> bytes:
    """32 bytes that depend on all of it. Only the last of `parts` may be of any length."""
    # All parts but the last have a fixed length, so that no two lists give the same input.
    return blake2b(b"".join(parts), key=key, person=purpose, digest_size=32).digest()


class Sealer:
    """Seals what one process sends. Input: the cluster key (32 bytes)."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._renew()

    def _renew(self) -> None:
        self._process = os.getpid()
        self._session = os.urandom(SESSION_BYTES)
        self._destinations: dict[bytes, tuple[ChaCha20Poly1305, int]] = {}

    def seal(self, destination: bytes, plaintext: bytes) -> bytes:
        """The frame that carries `plaintext` to `destination` (the receiver's address in bytes)."""
        if len(plaintext) > LARGEST_FRAME - HEADER.size - TAG_BYTES:
            raise FrameTooLargeError(f"a message of {len(plaintext)} bytes is too large to be sent")
        # A session that came here through fork would repeat the nonces of the parent.
        if self._process != os.getpid() or len(self._destinations) >= LARGEST_TABLE:
            self._renew()
        cipher, counter = self._destinations.get(destination) or (
            ChaCha20Poly1305(derive(self._key, b"emp message", self._session, destination)),
            0,
        )
        counter += 1
        self._destinations[destination] = cipher, counter
        header = HEADER.pack(MESSAGE, self._session, counter, time.monotonic_ns())
        sealed = cipher.encrypt(_nonce(counter), plaintext, header)
        return b"".join((LENGTH.pack(len(header) + len(sealed)), header, sealed))


class Opener:
    """Opens what one process receives at one address. Input: the cluster key, the own address."""

    def __init__(self, key: bytes, address: bytes) -> None:
        self._key = key
        self._address = address
        self._born = time.monotonic_ns()
        self._senders: dict[bytes, _Sender] = {}

    def open(self, frame: bytes) -> tuple[bytes, bool]:
        """The plaintext of a frame (without its length), and whether it comes for the first time.

        Raises `FrameRefusedError`.
        """
        if len(frame) < HEADER.size + TAG_BYTES:
            raise FrameRefusedError("too short")
        kind, session, counter, stamp = HEADER.unpack_from(frame)
        if kind != MESSAGE:
            raise FrameRefusedError("not a message")
        sender = self._senders.get(session)
        cipher = sender.cipher if sender else self._cipher(session)
        try:
            plaintext = cipher.decrypt(_nonce(counter), frame[HEADER.size :], frame[: HEADER.size])
        except InvalidTag:
            raise FrameRefusedError("not sealed with this key for this address") from None
        now = time.monotonic_ns()
        if stamp < self._born:
            raise FrameRefusedError("older than this process")
        if now - stamp > MEMORY_SECONDS * 1_000_000_000:
            raise FrameRefusedError("too old")
        if sender is None:
            self._forget_senders(now)
            sender = self._senders[session] = _Sender(cipher)
        sender.seen_at = now
        return plaintext, sender.counters.add(counter)

    def _cipher(self, session: bytes) -> ChaCha20Poly1305:
        return ChaCha20Poly1305(derive(self._key, b"emp message", session, self._address))

    def _forget_senders(self, now: int) -> None:
        # Whoever was silent for so long: its repeated frames are refused for their age.
        if len(self._senders) >= FEW_SENDERS:
            oldest = now - MEMORY_SECONDS * 1_000_000_000
            self._senders = {
                session: sender
                for session, sender in self._senders.items()
                if sender.seen_at >= oldest
            }


class _Sender:
    __slots__ = ("cipher", "counters", "seen_at")

    def __init__(self, cipher: ChaCha20Poly1305) -> None:
        self.cipher = cipher
        self.counters = CounterMemory()
        self.seen_at = 0


class CounterMemory:
    """Which counters of a sender have been seen: all up to a floor, and some beyond."""

    __slots__ = ("_beyond", "_floor", "_limit", "_unknown")

    def __init__(self, limit: int = MEMORY_COUNTERS) -> None:
        self._limit = limit
        self._floor = 0
        self._unknown = 0
        self._beyond: set[int] = set()

    def add(self, counter: int) -> bool:
        """True when `counter` is new. Raises `FrameRefusedError` when that is forgotten."""
        if counter <= self._unknown:
            raise FrameRefusedError("overtaken by too many others")
        if counter <= self._floor or counter in self._beyond:
            return False
        self._beyond.add(counter)
        if len(self._beyond) > self._limit:
            self._floor = self._unknown = min(self._beyond) - 1
        while self._floor + 1 in self._beyond:
            self._floor += 1
            self._beyond.remove(self._floor)
        return True


def _nonce(counter: int) -> bytes:
    return counter.to_bytes(12, "big")


def answer(key: bytes, verdict: bytes, frame: bytes) -> bytes:
    """The frame that answers a message. `verdict`: `TAKEN` or `SPOILED`; `frame`: the message's
    frame without its length."""
    # Header and tag identify the frame: the header is unique, and the tag is of all the rest.
    mac = derive(key, b"emp answer", verdict, frame[: HEADER.size], frame[-TAG_BYTES:])[:TAG_BYTES]
    return LENGTH.pack(SMALLEST_FRAME) + verdict + mac


def is_answer(frame: bytes) -> bool:
    """True for what `answer` makes, without its length; it may still be a wrong one."""
    return frame[:1] in (TAKEN, SPOILED)


def check_answer(key: bytes, received: bytes, sent: bytes) -> bool:
    """True when `received` says that `sent` was taken, False when it was spoiled. Both without
    their length. Raises `FrameRefusedError` when it is not the answer to this frame."""
    verdict = received[:1]
    if not compare_digest(answer(key, verdict, sent)[LENGTH.size :], received):
        raise FrameRefusedError("not the answer to this message")
    return verdict == TAKEN


class FrameBuffer:
    """Collects the bytes of one frame. The names of its methods are those of Thespian's
    `ReceiveBuffer`, whose place it takes."""

    def __init__(self, *_: object) -> None:
        self._bytes = bytearray()
        self._end: int | None = None

    def addMore(self, data: bytes) -> None:
        """Raises `FrameRefusedError` when the frame's length is none."""
        self._bytes += data
        if self._end is None and len(self._bytes) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._bytes)
            if not SMALLEST_FRAME <= length <= LARGEST_FRAME:
                raise FrameRefusedError(f"a length of {length} bytes")
            self._end = LENGTH.size + length

    @property
    def size(self) -> int:
        """How many bytes are held."""
        return len(self._bytes)

    def remainingAmount(self) -> int:
        """How many bytes to ask the socket for."""
        return READ_BYTES if self._end is None else max(0, self._end - len(self._bytes))

    def isDone(self) -> bool:
        return self._end is not None and len(self._bytes) >= self._end

    def completed(self) -> tuple[bytes, bytes] | None:
        """The frame without its length, and what came after it; None while it is not all there."""
        if self._end is None or not self.isDone():
            return None
        return bytes(self._bytes[LENGTH.size : self._end]), bytes(self._bytes[self._end :])
