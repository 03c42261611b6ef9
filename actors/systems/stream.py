"""Sealed streams: what travels on a channel between two processes of a host. No sockets here.

    frame = length (4) · body
    body of a hello = nonce (16) · MAC (16) · name of the caller
    body of a welcome = nonce (16) · MAC (16)
    body of a message = ciphertext · tag (16)

The caller says hello, the other side welcomes it, and from then on messages go from the caller to
the other side only, in order, over a socket that loses nothing.

- The MAC of the hello, with the cluster key, is of the nonce and of both names: the other side
  knows who calls, and that it is meant. That of the welcome is of its own nonce and the hello: the
  caller knows the same. Both nonces make the key of the stream, so nothing that was recorded of
  another stream means anything in this one.
- A message is sealed with ChaCha20-Poly1305 (RFC 8439); the nonce is its number in the stream, and
  is not sent. What is left out, repeated or changed in order does not open. Nothing is unpickled
  before it has opened.

`actors.systems.frames` is the same for Thespian's transport, which sends a frame more than once and
out of order, and therefore needs more than this.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from actors.systems.frames import (
    LARGEST_FRAME,
    LENGTH,
    TAG_BYTES,
    FrameRefusedError,
    FrameTooLargeError,
    derive,
)

NONCE_BYTES: Final = 16
MAC_BYTES: Final = 16
LONGEST_NAME: Final = 128
"""Bytes. "127.0.0.1:65535" has 15."""

LARGEST_GREETING: Final = NONCE_BYTES + MAC_BYTES + LONGEST_NAME
"""More than that is not kept for anybody who has not shown the key."""


class Caller:
    """The side that has something to send. Names are addresses in bytes."""

    def __init__(self, key: bytes, caller: bytes, callee: bytes) -> None:
        self._key = key
        nonce = os.urandom(NONCE_BYTES)
        self._mac = _hello_mac(key, nonce, caller, callee)
        self.hello: Final = _framed(nonce + self._mac + caller)

    def welcomed(self, welcome: bytes) -> Sealer:
        """What seals the messages, given the body of the welcome. Raises `FrameRefusedError`."""
        nonce, mac = welcome[:NONCE_BYTES], welcome[NONCE_BYTES:]
        if not compare_digest(mac, _welcome_mac(self._key, nonce, self._mac)):
            raise FrameRefusedError("the answer of somebody else")
        return Sealer(_stream_key(self._key, nonce, self._mac))


def welcome(key: bytes, callee: bytes, hello: bytes) -> tuple[bytes, bytes, Opener]:
    """The other side's answer to the body of a hello: the name of the caller, the welcome as a
    whole frame, and what opens the messages. Raises `FrameRefusedError`."""
    nonce = hello[:NONCE_BYTES]
    mac = hello[NONCE_BYTES : NONCE_BYTES + MAC_BYTES]
    caller = hello[NONCE_BYTES + MAC_BYTES :]
    if not compare_digest(mac, _hello_mac(key, nonce, caller, callee)):
        raise FrameRefusedError("a hello without the key")
    own = os.urandom(NONCE_BYTES)
    answer = _framed(own + _welcome_mac(key, own, mac))
    return caller, answer, Opener(_stream_key(key, own, mac))


def _hello_mac(key: bytes, nonce: bytes, caller: bytes, callee: bytes) -> bytes:
    whom = blake2b(callee, digest_size=MAC_BYTES).digest()
    return derive(key, b"emp hello", nonce, whom, caller)[:MAC_BYTES]


def _welcome_mac(key: bytes, nonce: bytes, hello: bytes) -> bytes:
    return derive(key, b"emp welcome", nonce, hello)[:MAC_BYTES]


def _stream_key(key: bytes, nonce: bytes, hello: bytes) -> bytes:
    return derive(key, b"emp stream", nonce, hello)


def _framed(body: bytes) -> bytes:
    return LENGTH.pack(len(body)) + body


class Sealer:
    """Seals the messages of one stream."""

    __slots__ = ("_cipher", "_number")

    def __init__(self, key: bytes) -> None:
        self._cipher = ChaCha20Poly1305(key)
        self._number = 0

    def seal(self, plaintext: bytes) -> bytes:
        """The next frame."""
        self._number += 1
        sealed = self._cipher.encrypt(self._number.to_bytes(12, "big"), plaintext, None)
        return LENGTH.pack(len(sealed)) + sealed


class Opener:
    """Opens the messages of one stream."""

    __slots__ = ("_cipher", "_number")

    def __init__(self, key: bytes) -> None:
        self._cipher = ChaCha20Poly1305(key)
        self._number = 0

    def open(self, body: memoryview) -> bytes:
        """The plaintext of the next frame's body. Raises `FrameRefusedError`."""
        self._number += 1
        try:
            return self._cipher.decrypt(self._number.to_bytes(12, "big"), body, None)
        except InvalidTag:
            raise FrameRefusedError("not the next message of this stream") from None


def check_size(plaintext: bytes) -> None:
    """Raises `FrameTooLargeError` for what a `Sealer` must not be given."""
    if len(plaintext) > LARGEST_FRAME - TAG_BYTES:
        raise FrameTooLargeError(f"a message of {len(plaintext)} bytes is too large to be sent")


class Splitter:
    """Cuts what comes in into the bodies of frames."""

    __slots__ = ("_held", "_largest", "_needed")

    def __init__(self) -> None:
        self._held = bytearray()  # the beginning of a frame
        self._needed = LENGTH.size  # bytes that must be held before it is worth looking
        self._largest = LARGEST_GREETING

    def trust(self) -> None:
        """The other side has shown the key: from now on its frames may be large."""
        self._largest = LARGEST_FRAME

    def split(self, data: memoryview) -> Iterator[memoryview]:
        """The bodies of the frames that end in `data`; each is good until the next is asked for.
        Raises `FrameRefusedError` when a length is none."""
        # Hot path: a frame that comes as a whole, as most do, is not copied.
        held = self._held
        if held:
            held += data
            if len(held) < self._needed:
                return
            data = memoryview(bytes(held))
            held.clear()
        start, end, needed = 0, len(data), LENGTH.size
        while end - start >= LENGTH.size:
            (length,) = LENGTH.unpack_from(data, start)
            if not TAG_BYTES <= length <= self._largest:
                raise FrameRefusedError(f"a length of {length} bytes")
            needed = LENGTH.size + length
            if end - start < needed:
                break
            yield data[start + LENGTH.size : start + needed]
            start += needed
            needed = LENGTH.size
        self._needed = needed
        held += data[start:]
