import os
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.systems import frames
from actors.systems.frames import (
    LENGTH,
    SPOILED,
    TAKEN,
    CounterMemory,
    FrameBuffer,
    FrameRefusedError,
    FrameTooLargeError,
    Opener,
    Sealer,
    answer,
    check_answer,
    is_answer,
)

KEY = bytes(range(32))
HERE = b"127.0.0.1:4000"


def sealed(sealer: Sealer, text: bytes = b"hello", to: bytes = HERE) -> bytes:
    return sealer.seal(to, text)[LENGTH.size :]


def test_a_frame_opens_once_and_is_known_afterwards() -> None:
    opener, sealer = Opener(KEY, HERE), Sealer(KEY)
    frame = sealed(sealer)
    assert opener.open(frame) == (b"hello", True)
    assert opener.open(frame) == (b"hello", False)
    assert opener.open(sealed(sealer, b"")) == (b"", True)


def test_every_changed_byte_is_noticed() -> None:
    opener = Opener(KEY, HERE)
    frame = sealed(Sealer(KEY))
    for position in range(len(frame)):
        changed = bytearray(frame)
        changed[position] ^= 1
        with pytest.raises(FrameRefusedError):
            opener.open(bytes(changed))
    for length in range(len(frame)):
        with pytest.raises(FrameRefusedError):
            opener.open(frame[:length])
    assert opener.open(frame) == (b"hello", True)


def test_another_key_or_another_destination_is_refused() -> None:
    opener = Opener(KEY, HERE)
    with pytest.raises(FrameRefusedError, match="not sealed"):
        opener.open(sealed(Sealer(bytes(32))))
    with pytest.raises(FrameRefusedError, match="not sealed"):
        opener.open(sealed(Sealer(KEY), to=b"127.0.0.1:4001"))


def test_a_frame_for_a_predecessor_on_the_same_port_is_refused() -> None:
    frame = sealed(Sealer(KEY))
    with pytest.raises(FrameRefusedError, match="older than this process"):
        Opener(KEY, HERE).open(frame)


def test_a_frame_that_is_too_old_to_be_remembered_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opener = Opener(KEY, HERE)
    frame = sealed(Sealer(KEY))
    later = time.monotonic_ns() + (frames.MEMORY_SECONDS + 1) * 1_000_000_000
    monkeypatch.setattr(frames.time, "monotonic_ns", lambda: later)
    with pytest.raises(FrameRefusedError, match="too old"):
        opener.open(frame)


def test_silent_senders_are_forgotten_and_their_frames_stay_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opener = Opener(KEY, HERE)
    early = [sealed(Sealer(KEY)) for _ in range(frames.FEW_SENDERS)]
    for frame in early:
        opener.open(frame)
    later = time.monotonic_ns() + (frames.MEMORY_SECONDS + 1) * 1_000_000_000
    monkeypatch.setattr(frames.time, "monotonic_ns", lambda: later)
    assert opener.open(sealed(Sealer(KEY))) == (b"hello", True)
    assert len(opener._senders) == 1
    for frame in early:
        with pytest.raises(FrameRefusedError, match="too old"):
            opener.open(frame)


def test_a_session_is_not_continued_in_a_forked_process(monkeypatch: pytest.MonkeyPatch) -> None:
    sealer = Sealer(KEY)
    before = sealed(sealer)
    session = slice(1, 1 + frames.SESSION_BYTES)
    assert sealed(sealer)[session] == before[session]
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert sealed(sealer)[session] != before[session]


def test_many_destinations_begin_a_new_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "LARGEST_TABLE", 2)
    opener, sealer = Opener(KEY, HERE), Sealer(KEY)
    heads = set()
    for other in (b"127.0.0.1:1", b"127.0.0.1:2", b"127.0.0.1:3"):
        sealed(sealer, to=other)
        frame = sealed(sealer)
        assert opener.open(frame) == (b"hello", True)
        heads.add(frame[: frames.HEADER.size - 8])
    assert len(heads) == 3


def test_too_large_is_the_senders_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "LARGEST_FRAME", 100)
    with pytest.raises(FrameTooLargeError, match="101 bytes"):
        Sealer(KEY).seal(HERE, b"x" * 101)


def test_an_answer_counts_only_for_its_own_message() -> None:
    sealer = Sealer(KEY)
    first, second = sealed(sealer), sealed(sealer)
    taken, spoiled = (answer(KEY, v, first)[LENGTH.size :] for v in (TAKEN, SPOILED))
    assert is_answer(taken)
    assert is_answer(spoiled)
    assert not is_answer(first)
    assert check_answer(KEY, taken, first) is True
    assert check_answer(KEY, spoiled, first) is False
    forged = (TAKEN + spoiled[1:], taken[:-1], taken + b"x", TAKEN + bytes(16))
    for wrong in forged:
        with pytest.raises(FrameRefusedError):
            check_answer(KEY, wrong, first)
    with pytest.raises(FrameRefusedError):
        check_answer(KEY, taken, second)
    with pytest.raises(FrameRefusedError):
        check_answer(bytes(32), taken, first)


@given(st.lists(st.integers(1, 60), max_size=120))
def test_the_memory_says_of_each_counter_once_that_it_is_new(counters: list[int]) -> None:
    memory = CounterMemory(limit=1000)
    seen: set[int] = set()
    for counter in counters:
        assert memory.add(counter) is (counter not in seen)
        seen.add(counter)


def test_the_memory_is_bounded_and_refuses_what_it_cannot_know() -> None:
    memory = CounterMemory(limit=4)
    for counter in (3, 5, 7, 9, 11):
        assert memory.add(counter)
    with pytest.raises(FrameRefusedError, match="overtaken"):
        memory.add(1)
    assert not memory.add(3)
    assert memory.add(4)
    assert not memory.add(5)


FRAME = answer(KEY, TAKEN, sealed(Sealer(KEY)))


@pytest.mark.parametrize("trailing", [b"", b"x", FRAME])
def test_a_buffer_collects_one_frame_however_it_is_cut(trailing: bytes) -> None:
    data = FRAME + trailing
    whole = FrameBuffer()
    whole.addMore(data)
    assert whole.completed() == (FRAME[LENGTH.size :], trailing)

    single = FrameBuffer()
    for position in range(len(FRAME)):
        assert single.completed() is None
        assert not single.isDone()
        assert single.remainingAmount() > 0
        single.addMore(FRAME[position : position + 1])
    assert single.isDone()
    assert single.completed() == (FRAME[LENGTH.size :], b"")


@given(st.lists(st.integers(0, len(FRAME)), max_size=6))
def test_a_buffer_collects_one_frame_in_any_chunks(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(FRAME)]
    buffer = FrameBuffer()
    for start, end in pairwise(edges):
        buffer.addMore(FRAME[start:end])
    assert buffer.completed() == (FRAME[LENGTH.size :], b"")


@pytest.mark.parametrize("length", [0, 1, frames.SMALLEST_FRAME - 1, frames.LARGEST_FRAME + 1])
def test_a_length_that_is_none_is_refused_at_once(length: int) -> None:
    with pytest.raises(FrameRefusedError, match="length"):
        FrameBuffer().addMore(LENGTH.pack(length))


def test_upstreams_frames_are_refused_at_once() -> None:
    with pytest.raises(FrameRefusedError, match="length"):
        FrameBuffer().addMore(b"57>\x80\x04\x95")
