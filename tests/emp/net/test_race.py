"""Happy eyeballs (RFC 8305): who wins, who hears of it, and that no socket is left."""

import asyncio
import contextlib
import socket
from collections import deque

import pytest

import emp.net.race
from emp.net.race import first_to_answer
from emp.net.resolve import Candidate
from tests.emp.net.support import PATIENCE, scripted


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accepts, no more."""


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def at(port: int, address: str = "127.0.0.1") -> Candidate:
    return Candidate("im.test", address, port)


class Race:
    """A race, and what came of it. Addresses in `dead` never answer and never refuse."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *dead: Candidate) -> None:
        self.failed: list[tuple[Candidate, int | None]] = []
        self.started: list[Candidate] = []
        self.hanging = asyncio.Event()
        self.cancelled: list[Candidate] = []
        connect = emp.net.race._connect

        async def watched(candidate: Candidate) -> socket.socket:
            self.started.append(candidate)
            if candidate not in dead:
                return await connect(candidate)
            self.hanging.set()
            try:
                return await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                self.cancelled.append(candidate)
                raise

        monkeypatch.setattr(emp.net.race, "_connect", watched)

    async def run(self, *candidates: Candidate, head_start: float = 0.01) -> Candidate | None:
        self.left = deque(candidates)
        async with asyncio.timeout(PATIENCE):
            found = await first_to_answer(
                self.left,
                lambda candidate, error: self.failed.append((candidate, error.errno)),
                head_start=head_start,
            )
        if found is None:
            return None
        with found[1]:
            assert found[1].getpeername()[1] == found[0].port
        return found[0]


async def test_a_dead_address_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(hang_up) as port:
        dead, good = at(port, "192.0.2.1"), at(port)
        race = Race(monkeypatch, dead)
        assert await race.run(dead, good) == good
        assert race.failed == []
        assert list(race.left) == [dead], "it may still be tried"
        await asyncio.sleep(0)
        assert race.cancelled == [dead]


async def test_a_refusal_costs_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one starts at once: with a head start of a day, waiting would fail the test."""
    async with scripted(hang_up) as port:
        refusing, good = at(closed_port()), at(port)
        race = Race(monkeypatch)
        assert await race.run(refusing, good, head_start=86_400) == good
        assert [candidate for candidate, _ in race.failed] == [refusing]
        assert not race.left


async def test_the_first_one_wins_when_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(hang_up) as port, scripted(hang_up) as other:
        race = Race(monkeypatch)
        assert await race.run(at(port), at(other), head_start=86_400) == at(port)
        assert race.started == [at(port)]


async def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = [at(closed_port()), at(closed_port())]
    race = Race(monkeypatch)
    assert await race.run(*ports) is None
    assert [candidate for candidate, _ in race.failed] == ports
    assert not race.left


async def test_ipv6_and_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(hang_up) as port:
        race = Race(monkeypatch)
        assert await race.run(at(port, "::1"), at(port), head_start=86_400) == at(port)
        assert race.started[0].address == "::1"


async def test_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = at(1, "192.0.2.1")
    race = Race(monkeypatch, dead)
    task = asyncio.create_task(race.run(dead))
    await race.hanging.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert race.cancelled == [dead]


async def test_two_that_connect_in_the_same_turn_leave_one_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[socket.socket] = []
    gate = asyncio.Event()
    race = Race(monkeypatch)

    async def connect(candidate: Candidate) -> socket.socket:
        if candidate.port == 2:
            gate.set()
        await gate.wait()
        made.append(socket.socket())
        return made[-1]

    monkeypatch.setattr(emp.net.race, "_connect", connect)
    with contextlib.ExitStack() as stack:
        found = await first_to_answer(deque([at(1), at(2)]), lambda c, e: None, head_start=0)
        assert found is not None
        stack.enter_context(found[1])
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(made) == 2
        assert [sock.fileno() == -1 for sock in made].count(True) == 1
    assert race.failed == []


async def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(candidate: Candidate) -> socket.socket:
        raise ZeroDivisionError

    monkeypatch.setattr(emp.net.race, "_connect", broken)
    with pytest.raises(ZeroDivisionError):
        await first_to_answer(deque([at(1)]), lambda c, e: None)
