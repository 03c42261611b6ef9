"""Sealed streams: only who has the key gets anything opened, and only in order."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.systems import stream
from actors.systems.frames import LARGEST_FRAME, LENGTH, FrameRefusedError, FrameTooLargeError
from actors.systems.stream import (
    LARGEST_GREETING,
    MAC_BYTES,
    NONCE_BYTES,
    Caller,
    Opener,
    Sealer,
    Splitter,
    check_size,
    welcome,
)

KEY = bytes(range(32))
ANNE, BOB = b"127.0.0.1:1001", b"127.0.0.1:1002"


def body(frame: bytes) -> bytes:
    assert LENGTH.unpack_from(frame) == (len(frame) - LENGTH.size,)
    return frame[LENGTH.size :]


def open_frame(opener: Opener, frame: bytes) -> bytes:
    return opener.open(memoryview(body(frame)))


def meet(key: bytes = KEY, callee: bytes = BOB, meant: bytes = BOB) -> tuple[Sealer, Opener]:
    caller = Caller(KEY, ANNE, meant)
    name, answer, opener = welcome(key, callee, body(caller.hello))
    assert name == ANNE
    return caller.welcomed(body(answer)), opener


def test_messages_arrive_in_order() -> None:
    sealer, opener = meet()
    messages = [b"", b"one", b"two" * 100_000]
    frames = [sealer.seal(message) for message in messages]
    assert [open_frame(opener, frame) for frame in frames] == messages


def test_what_travels_shows_nothing() -> None:
    sealer, _ = meet()
    secret = b"the words of somebody"
    assert secret not in sealer.seal(secret)
    assert sealer.seal(secret) != sealer.seal(secret)


@pytest.mark.parametrize(
    "meeting",
    [
        lambda: meet(key=bytes(32)),
        lambda: meet(callee=b"127.0.0.1:1003"),
        lambda: meet(meant=b"127.0.0.1:1003"),
    ],
    ids=["another key", "another actor", "another is meant"],
)
def test_hello_to_the_wrong_one(meeting: Callable[[], object]) -> None:
    with pytest.raises(FrameRefusedError, match="without the key"):
        meeting()


@given(st.binary(max_size=LARGEST_GREETING))
def test_random_greetings(data: bytes) -> None:
    with pytest.raises(FrameRefusedError):
        welcome(KEY, BOB, data)
    with pytest.raises(FrameRefusedError):
        Caller(KEY, ANNE, BOB).welcomed(data)


@given(st.data())
def test_a_changed_hello(data: st.DataObject) -> None:
    hello = bytearray(body(Caller(KEY, ANNE, BOB).hello))
    place = data.draw(st.integers(0, len(hello) - 1))
    hello[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(FrameRefusedError):
        welcome(KEY, BOB, bytes(hello))


def test_a_welcome_is_for_one_hello() -> None:
    first, second = Caller(KEY, ANNE, BOB), Caller(KEY, ANNE, BOB)
    _, answer, _ = welcome(KEY, BOB, body(first.hello))
    with pytest.raises(FrameRefusedError, match="somebody else"):
        second.welcomed(body(answer))
    own = os.urandom(NONCE_BYTES)
    with pytest.raises(FrameRefusedError, match="somebody else"):
        second.welcomed(own + body(second.hello)[NONCE_BYTES : NONCE_BYTES + MAC_BYTES])


def test_a_recorded_stream_opens_nowhere_else() -> None:
    caller = Caller(KEY, ANNE, BOB)
    _, answer, _ = welcome(KEY, BOB, body(caller.hello))
    frame = caller.welcomed(body(answer)).seal(b"once")
    _, _, again = welcome(KEY, BOB, body(caller.hello))  # the same hello, recorded and repeated
    with pytest.raises(FrameRefusedError, match="not the next message"):
        open_frame(again, frame)


@pytest.mark.parametrize(("before", "number"), [(1, 0), (0, 1), (1, 2)])
def test_repeated_or_left_out(before: int, number: int) -> None:
    sealer, opener = meet()
    frames = [sealer.seal(b"%d" % each) for each in range(3)]
    assert [open_frame(opener, frame) for frame in frames[:before]] == [b"0"][:before]
    with pytest.raises(FrameRefusedError):
        open_frame(opener, frames[number])


@given(st.data())
def test_a_changed_message(data: st.DataObject) -> None:
    sealer, opener = meet()
    changed = bytearray(body(sealer.seal(b"message")))
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(FrameRefusedError):
        opener.open(memoryview(changed))


def test_too_large_is_for_the_sender_to_know() -> None:
    check_size(bytes(LARGEST_FRAME - 16))
    with pytest.raises(FrameTooLargeError, match="16777201 bytes"):
        check_size(bytes(LARGEST_FRAME - 15))


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    splitter = Splitter()
    splitter.trust()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        found += [bytes(each) for each in splitter.split(memoryview(data[start:end]))]
    return found


BODIES = [b"x" * 16, b"y" * 17, b"z" * 1000]
FRAMES = b"".join(LENGTH.pack(len(each)) + each for each in BODIES)


def test_frames_as_a_whole_and_byte_by_byte() -> None:
    assert split(FRAMES, []) == BODIES
    assert split(FRAMES, list(range(1, len(FRAMES)))) == BODIES
    assert split(FRAMES[:-1], []) == BODIES[:-1]


@given(st.lists(st.integers(0, len(FRAMES))).map(sorted))
def test_frames_in_any_pieces(cuts: list[int]) -> None:
    assert split(FRAMES, cuts) == BODIES


@pytest.mark.parametrize("length", [0, 15, LARGEST_FRAME + 1, 0xFFFFFFFF])
def test_impossible_lengths(length: int) -> None:
    with pytest.raises(FrameRefusedError, match=f"a length of {length} bytes"):
        split(LENGTH.pack(length), [2])


def test_nothing_large_for_who_has_not_shown_the_key() -> None:
    splitter = Splitter()
    large = LENGTH.pack(LARGEST_GREETING + 1)
    with pytest.raises(FrameRefusedError):
        list(splitter.split(memoryview(large)))
    assert stream.LARGEST_GREETING < 1000
