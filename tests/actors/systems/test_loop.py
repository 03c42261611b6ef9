"""The loop in which Thespian waits, against a stand-in for Thespian."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from thespian.actors import Actor

from actors.systems import loop as loop_module
from actors.systems import waiting
from actors.systems.channels import Channels
from actors.systems.loop import LoopDriver
from actors.systems.transport import address_of
from actors.systems.waiting import WaitingSelector

NEVER = 30.0
KEY = os.urandom(32)


def nothing() -> None:
    pass


class Host:
    """What the driver sees of an actor, and how Thespian waits: for one socket."""

    forks_children = True

    def __init__(self) -> None:
        self._myRef = None
        self.driver = LoopDriver(cast(Actor, self))
        self.mailbox, self.postman = socket.socketpair()

    def mail(self) -> None:
        self.postman.send(b"!")

    def wait(self, seconds: float | None = NEVER) -> bool:
        """One turn of Thespian's; True when there is mail."""
        selector = WaitingSelector()
        try:
            selector.register(self.mailbox, 1)
            ready = selector.select(seconds)
        finally:
            selector.close()
        if ready:
            assert self.mailbox.recv(1) == b"!"
        return bool(ready)

    def end(self) -> None:
        self.driver.close()
        self.mailbox.close()
        self.postman.close()


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.end()


def test_a_handler_runs_inside_the_loop(host: Host) -> None:
    seen: list[Any] = []

    async def work() -> None:
        await asyncio.sleep(0)
        host.mail()

    def handler() -> None:
        seen.append(asyncio.get_running_loop())
        seen.append(asyncio.get_running_loop().create_task(work()))

    host.driver.run(handler)
    assert seen[0] is host.driver.loop
    assert host.wait()
    assert seen[1].done()


def test_a_handler_in_the_running_loop_runs_at_once(host: Host) -> None:
    seen: list[str] = []

    def outer() -> None:
        host.driver.run(lambda: seen.append("inner"))
        seen.append("outer")

    host.driver.run(outer)
    host.driver.turn(seen.append, "turn")
    assert seen == ["inner", "outer", "turn"]


def test_mail_ends_the_wait(host: Host) -> None:
    host.driver.run(nothing)
    thread = threading.Thread(target=host.mail)
    thread.start()
    assert host.wait()
    thread.join()


def test_the_wait_ends_in_time(host: Host) -> None:
    assert not host.wait(0)
    assert not host.wait(0.01)
    host.mail()
    assert host.wait(0)


def test_timers_and_threads_run_while_thespian_waits(host: Host) -> None:
    fired: list[int] = []
    loop = host.driver.loop

    def start() -> None:
        for number, delay in enumerate((0.03, 0.01, 0.02, 0.0)):
            loop.call_later(delay, fired.append, number)
        loop.call_later(0.04, loop.run_in_executor, None, loop.call_soon_threadsafe, host.mail)

    host.driver.run(start)
    assert host.wait()
    assert fired == [3, 1, 2, 0]
    host.driver.run(lambda: loop.create_task(loop.shutdown_default_executor()))
    host.wait(0.01)


def test_sockets_are_served_while_thespian_waits(host: Host) -> None:
    ours, theirs = socket.socketpair()
    received: list[bytes] = []

    async def read() -> None:
        reader, writer = await asyncio.open_connection(sock=ours)
        received.append(await reader.readexactly(5))
        writer.close()
        await writer.wait_closed()
        host.mail()

    tasks: list[asyncio.Task[None]] = []
    host.driver.run(lambda: tasks.append(host.driver.loop.create_task(read())))
    theirs.sendall(b"hello")
    assert host.wait()
    assert received == [b"hello"]
    theirs.close()


def test_a_loop_that_never_idles_lets_mail_through(host: Host) -> None:
    loop = host.driver.loop

    def spin() -> None:
        loop.call_soon(spin)

    host.driver.run(spin)
    for _ in range(3):
        host.mail()
        assert host.wait()


def test_what_is_new_for_thespian_ends_the_wait(host: Host) -> None:
    host.driver.run(lambda: host.driver.loop.call_later(0.01, waiting.wake))
    assert not host.wait()
    waiting.wake()  # nobody waits, and the next wait is none the shorter
    host.driver.run(lambda: host.driver.loop.call_later(0.01, host.mail))
    assert host.wait()


def test_waiting_inside_of_a_handler_is_waiting(host: Host) -> None:
    seen: list[bool] = []

    def handler() -> None:
        threading.Timer(0.01, host.mail).start()
        seen.append(host.wait())

    host.driver.run(handler)
    assert seen == [True]


def test_exceptions_go_to_the_log_and_no_further(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("out of a handler")

    with caplog.at_level(logging.ERROR, "asyncio"):
        host.driver.run(fail)
        host.driver.run(lambda: host.driver.loop.call_soon(fail))
        host.wait(0)
    assert caplog.text.count("RuntimeError: out of a handler") == 2


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_waits_for_itself(host: Host) -> None:
    reader, writer = os.pipe()

    def fork() -> None:
        pid = os.fork()
        if not pid:
            with WaitingSelector() as selector:
                selector.register(host.mailbox, 1)
                os.write(writer, b"1" if selector.select(NEVER) else b"0")
            os._exit(0)
        host.mail()
        os.waitpid(pid, 0)

    host.driver.run(fork)
    assert os.read(reader, 1) == b"1"
    assert host.wait()
    os.close(reader)
    os.close(writer)


async def forever(log: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        log.append("cancelled")


@pytest.mark.parametrize("place", ["handler", "wait", "outside"])
def test_close_cancels_and_leaves_nothing(place: str) -> None:
    host = Host()
    log: list[str] = []
    loop = host.driver.loop
    host.driver.run(lambda: loop.create_task(forever(log)))
    host.driver.run(lambda: loop.call_later(1000, nothing))
    if place == "handler":
        host.driver.run(host.driver.close)
    elif place == "wait":
        host.driver.run(lambda: loop.call_soon(loop.call_soon, host.driver.close))
        assert not host.wait()
    host.end()
    assert log == ["cancelled"]
    assert loop.is_closed()


def test_after_close_handlers_still_run_and_thespian_still_waits() -> None:
    host = Host()
    host.driver.close()
    called: list[int] = []
    host.driver.run(lambda: called.append(1))
    assert called == [1]
    host.mail()
    assert host.wait()
    assert not host.wait(0)
    host.end()


def test_close_does_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loop_module, "LONGEST_CLOSE", 0.01)
    host = Host()
    release: list[asyncio.Future[None]] = []

    async def stubborn() -> None:
        release.append(host.driver.loop.create_future())
        for _ in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if release[0].done():
                    raise

    host.driver.run(lambda: host.driver.loop.create_task(stubborn()))
    host.driver.run(nothing)
    host.end()
    assert host.driver.loop.is_closed()
    assert "did not end when cancelled" in caplog.text


class Listening(Host):
    """An actor that has channels."""

    forks_children = False

    def __init__(self, port: int) -> None:
        self.received: list[Any] = []
        self.otherwise: list[Any] = []
        transport = SimpleNamespace(key=KEY, myAddress=address_of(b"127.0.0.1:%d" % port))
        manager = SimpleNamespace(
            transport=transport, actor_send=lambda to, message: self.otherwise.append(message)
        )
        self.address = transport.myAddress
        self._myRef = manager  # type: ignore[assignment]
        self.driver = LoopDriver(cast(Actor, self))
        self.mailbox, self.postman = socket.socketpair()

    def receiveMessage(self, message: Any, sender: Any) -> None:
        self.driver.run(lambda: self.received.append((message, sender)))
        self.mail()


def test_channels_deliver_while_thespian_waits() -> None:
    host = Listening(1)
    post = host.driver.post
    assert post is not None
    host.driver.run(lambda: post(host.address, host.address, "to myself"))
    assert host.wait()
    assert host.received == [("to myself", host.address)]
    host.end()
    post(host.address, host.address, "too late")
    assert host.otherwise == ["too late"]


def test_without_a_name_of_its_own_there_are_no_channels(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = Listening(2)
    second = Listening(2)
    assert second.driver.post is None
    assert "has no channels: [Errno 98]" in caplog.text
    second.end()
    first.end()


def test_who_forks_has_no_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Callable[[], None]:
        raise AssertionError("channels were made")

    monkeypatch.setattr(Channels, "__init__", never)
    host = Host()
    assert host.driver.post is None
    host.end()
