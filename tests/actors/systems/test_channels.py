"""Channels between two ends in one loop: order, bounds, ends, and who is kept out."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import pickle
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from thespian.actors import ActorAddress, ActorExitRequest

from actors.systems import channels as channels_module
from actors.systems import ends
from actors.systems.channels import MOST_UNKNOWN, Channels
from actors.systems.ends import path_of, unix_socket
from actors.systems.frames import LARGEST_FRAME, LENGTH
from actors.systems.stream import Caller
from actors.systems.transport import address_of

KEY = os.urandom(32)
"""Names are for the whole machine, and made of the key: no two runs of the tests share any."""

PATIENCE = 10.0


class End:
    """An actor with channels, of which only what arrives is of interest."""

    def __init__(self, port: int) -> None:
        self.address = address_of(b"127.0.0.1:%d" % port)
        self.received: list[Any] = []
        self.otherwise: list[tuple[ActorAddress, Any]] = []
        self._arrived = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.channels = Channels(KEY, self.address, loop, self._take, self._send_otherwise)

    def _take(self, message: Any, sender: ActorAddress) -> None:
        if message == "fail":
            raise RuntimeError("out of a handler")
        self.received.append((message, sender))
        self._arrived.set()

    def _send_otherwise(self, receiver: ActorAddress, message: Any) -> None:
        self.otherwise.append((receiver, message))
        self._arrived.set()

    def post(self, to: End | ActorAddress, message: object) -> None:
        address = to.address if isinstance(to, End) else to
        self.channels.post(self.address, address, message)

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not done():
                self._arrived.clear()
                await self._arrived.wait()

    async def messages(self, count: int) -> list[Any]:
        await self.until(lambda: len(self.received) >= count)
        return [message for message, _ in self.received]


@pytest.fixture(name="make")
def make_fixture() -> Iterator[Callable[..., End]]:
    made: list[End] = []

    def make(port: int) -> End:
        made.append(End(port))
        return made[-1]

    yield make
    for end in made:
        end.channels.close()


@pytest.fixture(name="anne")
async def anne_fixture(make: Callable[..., End]) -> End:
    return make(1)


@pytest.fixture(name="bob")
async def bob_fixture(make: Callable[..., End]) -> End:
    return make(2)


Make = Callable[..., End]


async def test_messages_arrive_in_order(anne: End, bob: End) -> None:
    sent = [*range(50), b"x" * 3_000_000, *range(50, 100), b"", b"y" * 1_000_000, "last"]
    for message in sent:
        anne.post(bob, message)
        bob.post(anne, message)
    assert await bob.messages(len(sent)) == sent
    assert await anne.messages(len(sent)) == sent
    assert all(sender == anne.address for _, sender in bob.received)
    assert anne.otherwise == bob.otherwise == []


async def test_one_channel_for_each_direction(anne: End, bob: End) -> None:
    anne.post(bob, 1)
    await bob.messages(1)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(100):
        anne.post(bob, number)
    await bob.messages(101)
    assert len(os.listdir("/proc/self/fd")) == before
    bob.post(anne, 1)
    await anne.messages(1)
    assert len(os.listdir("/proc/self/fd")) == before + 2


async def test_a_message_to_oneself(anne: End) -> None:
    anne.post(anne, "hello")
    assert await anne.messages(1) == ["hello"]


async def test_what_no_channel_carries_goes_thespians_way(anne: End, bob: End) -> None:
    nobody = address_of(b"127.0.0.1:99")
    child = ActorAddress("not started yet")
    anne.post(nobody, "to nobody")
    anne.post(child, "to a child")
    anne.post(bob, "first")
    anne.post(bob, ActorExitRequest())
    assert [message for _, message in anne.otherwise[:2]] == ["to nobody", "to a child"]
    assert isinstance(anne.otherwise[2][1], ActorExitRequest)
    assert await bob.messages(1) == ["first"]


async def test_what_cannot_be_pickled_is_the_senders_fault(anne: End, bob: End) -> None:
    with pytest.raises(AttributeError, match="local object"):
        anne.post(bob, lambda: None)
    anne.post(bob, "next")
    assert await bob.messages(1) == ["next"]


async def test_after_the_end_messages_go_thespians_way(anne: End, make: Make) -> None:
    bob = make(3)
    anne.post(bob, "hello")
    await bob.messages(1)
    bob.channels.close()
    await until(lambda: not anne.channels.outgoing)
    anne.post(bob, "are you there?")
    assert anne.otherwise == [(bob.address, "are you there?")]
    successor = make(3)
    anne.post(successor, "who are you?")
    assert await successor.messages(1) == ["who are you?"]


async def test_the_end_before_the_welcome(
    anne: End, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ends, "AGAIN", 0.01)
    bob = make(4)
    anne.post(bob, 1)
    bob.channels.close()
    anne.post(bob, 2)
    await anne.until(lambda: len(anne.otherwise) == 2)
    assert anne.otherwise == [(bob.address, 1), (bob.address, 2)]
    assert anne.channels.outgoing == {}


async def test_closing_writes_what_waits(make: Make) -> None:
    anne, bob = make(5), make(6)
    anne.post(bob, 0)
    await bob.messages(1)
    sent = [(number, b"x" * 100_000) for number in range(20)]
    reading = threading.Thread(target=read_on, args=(bob, len(sent)))
    asyncio.get_running_loop().remove_reader(next(iter(bob.channels._incoming))._socket)
    for message in sent:
        anne.post(bob, message)
    reading.start()
    anne.channels.close()
    reading.join()
    assert [message for message, _ in bob.received] == [0, *sent]


def read_on(end: End, count: int) -> None:
    """Be the loop of another process: read until there are so many messages more."""
    (caller,) = end.channels._incoming
    while len(end.received) <= count:
        select.select([caller._socket], [], [])
        caller._readable()


async def test_closing_does_not_wait_for_ever(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels_module, "LONGEST_FLUSH", 0.01)
    anne, bob = make(7), make(8)
    anne.post(bob, 0)
    await bob.messages(1)
    anne.post(bob, b"x" * 10_000_000)
    anne.channels.close()  # bob has no turn of the loop to read in
    await asyncio.sleep(0)
    assert len(bob.received) == 1


async def test_what_waits_for_one_is_bounded(
    anne: End, bob: End, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ends, "MOST_WAITING", 2_000_000)
    for number in range(10):
        anne.post(bob, (number, b"x" * 1_000_000))
    assert "tuple to" in caplog.text
    assert "bytes wait for it already" in caplog.text
    arrived = await bob.messages(2)
    assert [number for number, _ in arrived] == [0, 1]
    anne.post(bob, "there is room again")
    assert (await bob.messages(3))[2] == "there is room again"


async def test_too_large_a_message_is_not_sent(
    anne: End, bob: End, caplog: pytest.LogCaptureFixture
) -> None:
    anne.post(bob, bytes(LARGEST_FRAME))
    anne.post(bob, "next")
    assert await bob.messages(1) == ["next"]
    assert "too large to be sent" in caplog.text


class Strange:
    """Unpickled, it fails."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("no number",)


async def test_one_bad_message_loses_no_other(
    anne: End, bob: End, caplog: pytest.LogCaptureFixture
) -> None:
    for message in (1, Strange(), 2, "fail", 3):
        anne.post(bob, message)
    assert await bob.messages(3) == [1, 2, 3]
    assert caplog.text.count("was lost") == 2
    assert "out of a handler" in caplog.text


async def test_a_busy_receiver_is_called_again(
    make: Make, anne: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels_module, "BACKLOG", 0)
    monkeypatch.setattr(ends, "AGAIN", 0.01)
    bob = make(9)
    others = [make(number) for number in range(20, 25)]
    for each in (anne, *others):
        each.post(bob, "hello")
    assert await bob.messages(6) == ["hello"] * 6
    assert all(each.otherwise == [] for each in (anne, *others))


async def test_no_descriptor_is_left(
    anne: End, bob: End, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ends, "AGAIN", 0.01)
    monkeypatch.setattr(channels_module, "AGAIN", 0.01)
    failures = [3, 3]

    def exhausted(index: int) -> None:
        if failures[index]:
            failures[index] -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    class Listener:
        def accept(self) -> Any:
            exhausted(0)
            return listener.accept()

        def fileno(self) -> int:
            return listener.fileno()

        def close(self) -> None:
            listener.close()

    def make_socket() -> socket.socket:
        exhausted(1)
        return unix_socket()

    listener = bob.channels._listener
    monkeypatch.setattr(bob.channels, "_listener", Listener())
    monkeypatch.setattr(ends, "unix_socket", make_socket)
    anne.post(bob, "hello")
    anne.post(bob, "again")
    assert await bob.messages(2) == ["hello", "again"]
    assert failures == [0, 0]
    assert "cannot accept a channel: [Errno 24]" in caplog.text


async def test_processes_of_others_get_no_answer(
    anne: End, bob: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ends, "is_ours", lambda connection: False)
    anne.post(bob, "hello")
    assert anne.otherwise == [(bob.address, "hello")]
    monkeypatch.undo()
    monkeypatch.setattr(channels_module, "is_ours", lambda connection: False)
    reader, writer = await call(bob)
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def call(end: End) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    path = path_of(KEY, end.channels.name)
    return await asyncio.open_unix_connection(path)  # type: ignore[arg-type]


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not done():
            await asyncio.sleep(0)


class RunsCode:
    """Unpickled, it makes a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def framed(data: bytes) -> bytes:
    return LENGTH.pack(len(data)) + data


@pytest.mark.parametrize("greeted", [False, True])
async def test_without_the_key_nothing_is_unpickled(
    anne: End, bob: End, tmp_path: Path, greeted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    trap = tmp_path / "code-was-run"
    code = pickle.dumps(RunsCode(trap))
    recorded = Caller(KEY, anne.channels.name, bob.channels.name).hello  # as if overheard
    attacks = [
        framed(code),
        framed(code.ljust(100)),
        Caller(bytes(32), anne.channels.name, bob.channels.name).hello + framed(code),
        LENGTH.pack(0xFFFFFFFF) + b"x" * 1000,
        LENGTH.pack(1000) + b"x" * 1000,
        os.urandom(100_000),
    ]
    for attack in attacks:
        reader, writer = await call(bob)
        writer.write(recorded + framed(code) if greeted else attack)
        # What was not read when it closes makes the kernel reset the connection.
        with suppress(ConnectionResetError):
            assert len(await reader.read()) in ((0, 36) if greeted else (0,))
        writer.close()
        with suppress(ConnectionResetError):
            await writer.wait_closed()
    assert "a channel was refused" in caplog.text
    anne.post(bob, "still here")
    assert await bob.messages(1) == ["still here"]
    assert not trap.exists()


async def test_callers_that_say_nothing_are_bounded(anne: End, bob: End) -> None:
    held = [await call(bob) for _ in range(MOST_UNKNOWN + 5)]
    for reader, _ in held[:5]:
        async with asyncio.timeout(PATIENCE):
            assert await reader.read() == b""
    anne.post(bob, "still here")
    assert await bob.messages(1) == ["still here"]
    for _, writer in held:
        writer.close()
        await writer.wait_closed()
    await until(lambda: len(bob.channels._incoming) == 1)


async def test_an_impostor_learns_nothing(
    anne: End, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody without the key took the name of an actor that is gone."""
    monkeypatch.setattr(ends, "AGAIN", 0.01)
    caplog.set_level(logging.DEBUG)
    heard = bytearray()
    address = address_of(b"127.0.0.1:9")

    async def impostor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(framed(os.urandom(32)))
        heard.extend(await reader.read())
        writer.close()
        await writer.wait_closed()

    path = path_of(KEY, b"127.0.0.1:9")
    server = await asyncio.start_unix_server(impostor, path)  # type: ignore[arg-type]
    anne.post(address, "the words of somebody")
    await until(lambda: len(heard) > 200)
    server.close()
    await server.wait_closed()
    await anne.until(lambda: bool(anne.otherwise))
    assert anne.otherwise == [(address, "the words of somebody")]
    assert b"words" not in heard


async def test_nothing_is_left_behind(make: Make) -> None:
    before = len(os.listdir("/proc/self/fd"))
    anne, bob = make(10), make(11)
    anne.post(bob, 1)
    bob.post(anne, 2)
    await anne.messages(1)
    await bob.messages(1)
    anne.channels.close()
    bob.channels.close()
    assert len(os.listdir("/proc/self/fd")) == before
    anne.post(bob, "after the end")
    assert anne.otherwise == [(bob.address, "after the end")]
