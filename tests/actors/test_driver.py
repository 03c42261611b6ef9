"""The stepped driver against a stand-in for Thespian, which watches descriptors and wakes up."""

from __future__ import annotations

import asyncio
import logging
import select
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from thespian.actors import Actor, ThespianWatch

from actors import driver as driver_module
from actors.driver import WAKEUP, Driver, EmbeddedDriver, SteppedDriver, driver_for


def nothing() -> None:
    pass


class Host:
    """What the driver sees of an actor, and what Thespian does for one."""

    def __init__(self) -> None:
        self.wakeups: list[float] = []
        self.driver: Driver = driver_for(cast(Actor, self))

    def wakeupAfter(self, timePeriod: timedelta, payload: object = None) -> None:
        assert payload == WAKEUP
        self.wakeups.append(timePeriod.total_seconds())

    def run(self, handler: Callable[[], object] = nothing) -> list[int]:
        watch = self.driver.run(cast(Callable[[], None], handler))
        assert isinstance(watch, ThespianWatch)
        return list(watch.filenos)

    def due(self, timeout: float = 0) -> bool:
        """Whether Thespian would call again: the watched descriptor is readable."""
        return bool(select.select(self.filenos, [], [], timeout)[0])

    @property
    def filenos(self) -> list[int]:
        return list(cast(SteppedDriver, self.driver)._watch.filenos)

    def serve(self, done: Callable[[], bool], timeout: float = 5) -> None:
        """Be Thespian until `done`."""
        while not done():
            wait = min([timeout, *self.wakeups])
            self.wakeups.clear()
            assert select.select(self.filenos, [], [], wait)[0] or wait < timeout
            self.run()


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.driver.close()


async def test_inside_a_running_loop_there_is_nothing_to_do() -> None:
    called = []
    base = SimpleNamespace(post=None, turn=lambda work, argument: work(argument))
    system = SimpleNamespace(_system=SimpleNamespace(_systemBase=base))
    driver = driver_for(cast(Actor, SimpleNamespace(_myRef=system)))
    assert isinstance(driver, EmbeddedDriver)
    assert driver.embedded
    assert driver.loop is asyncio.get_running_loop()
    assert driver.run(lambda: called.append(1)) is None
    assert called == [1]
    driver.close()
    assert not driver.loop.is_closed()


def test_a_handler_runs_inside_the_loop(host: Host) -> None:
    seen: list[Any] = []

    async def work() -> None:
        await asyncio.sleep(0)
        seen.append("task")

    def handler() -> None:
        seen.append(asyncio.get_running_loop())
        seen.append(asyncio.get_running_loop().create_task(work()))

    watched = host.run(handler)
    assert len(watched) == 1
    assert seen[0] is host.driver.loop
    host.serve(lambda: bool(seen[1].done()))
    assert seen[2] == "task"
    assert not host.driver.embedded
    assert host.wakeups == []
    assert not host.due()


def test_the_next_timer_becomes_one_wakeup(host: Host) -> None:
    loop = host.driver.loop
    host.run(lambda: [loop.call_later(10, nothing), loop.call_later(20, nothing)])
    assert host.wakeups == [pytest.approx(10, abs=1)]
    host.run()
    host.run(lambda: loop.call_later(15, nothing))
    assert len(host.wakeups) == 1
    host.run(lambda: loop.call_later(5, nothing))
    assert host.wakeups[1:] == [pytest.approx(5, abs=1)]


def test_timers_fire_in_order(host: Host) -> None:
    fired: list[int] = []
    loop = host.driver.loop

    def start() -> None:
        for number, delay in enumerate((0.03, 0.01, 0.02, 0.0, 0.0004)):
            loop.call_later(delay, fired.append, number)

    host.run(start)
    host.serve(lambda: len(fired) == 5)
    assert fired == [3, 4, 1, 2, 0]


def test_sockets_wake_the_actor(host: Host) -> None:
    ours, theirs = socket.socketpair()
    received: list[bytes] = []

    async def read() -> None:
        reader, writer = await asyncio.open_connection(sock=ours)
        received.append(await reader.readexactly(5))
        writer.close()
        await writer.wait_closed()

    task: list[asyncio.Task[None]] = []
    host.run(lambda: task.append(host.driver.loop.create_task(read())))
    assert not host.due()
    theirs.sendall(b"hello")
    assert host.due()
    host.serve(lambda: task[0].done())
    assert received == [b"hello"]
    theirs.close()


def test_threads_wake_the_actor(host: Host) -> None:
    called = threading.Event()
    host.run()
    thread = threading.Thread(target=host.driver.loop.call_soon_threadsafe, args=[called.set])
    thread.start()
    thread.join()
    assert host.due()
    host.run()
    assert called.is_set()
    assert not host.due()


def test_a_turn_is_bounded_and_asks_for_the_next(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_module, "SECONDS_PER_MESSAGE", 1000.0)
    loop = host.driver.loop
    turns = 0

    def spin() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(spin)

    host.run(lambda: loop.call_soon(spin))
    first = turns
    assert 0 < first <= driver_module.TURNS_PER_MESSAGE
    assert host.due()
    assert host.wakeups == []  # a wakeup of zero seconds would shut the mailbox
    host.run()
    assert 0 < turns - first <= driver_module.TURNS_PER_MESSAGE


def test_a_turn_is_bounded_in_time(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "SECONDS_PER_MESSAGE", -1.0)
    loop = host.driver.loop
    seen: list[int] = []

    def again(left: int) -> None:
        seen.append(left)
        if left:
            loop.call_soon(again, left - 1)

    host.run(lambda: again(3))
    assert seen == [3]
    assert host.due()
    for _ in range(5):
        host.run()
    assert seen == [3, 2, 1, 0]


def test_exceptions_go_to_the_log_and_no_further(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("out of a handler")

    with caplog.at_level(logging.ERROR, "asyncio"):
        host.run(fail)
        host.run(lambda: host.driver.loop.call_soon(fail))
    assert caplog.text.count("RuntimeError: out of a handler") == 2
    assert host.run()


async def forever(log: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        log.append("cancelled")


@pytest.mark.parametrize("inside", [True, False])
def test_close_cancels_and_leaves_nothing(inside: bool) -> None:
    host = Host()
    log: list[str] = []
    loop = host.driver.loop
    host.run(lambda: loop.create_task(forever(log)))
    host.run(lambda: loop.call_later(1000, nothing))
    if inside:
        assert host.run(host.driver.close) == []
    else:
        host.driver.close()
    assert log == ["cancelled"]
    assert loop.is_closed()
    host.driver.close()


def test_after_close_handlers_still_run() -> None:
    host = Host()
    host.driver.close()
    called: list[int] = []
    assert host.run(lambda: called.append(1)) == []
    assert called == [1]


def test_close_does_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(driver_module, "LONGEST_CLOSE", 0.01)
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

    host.run(lambda: host.driver.loop.create_task(stubborn()))
    host.driver.close()
    assert host.driver.loop.is_closed()
    assert "did not end when cancelled" in caplog.text
