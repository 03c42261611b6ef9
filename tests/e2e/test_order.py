"""Order through a pool on both systems, and reloads under load between processes."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import defaultdict
from pathlib import Path

import pytest

from actors import control
from tests.e2e.application import application
from tests.e2e.stub import Stub

SENDERS, MESSAGES = 100, 1000
PIECE = 500
"""Messages that are written at once."""

RELOADS = 20

CHAT = """
import asyncio, random
from actors import Component
from emp.routing import Routes

class Chat(Component):
    pool = 4
    key = "sender"

    def now(self, body):
        return body

    async def later(self, body):
        for _ in range(random.randrange(3)):
            await asyncio.sleep(0)
        if body.endswith("77"):
            await asyncio.sleep(0.001)
        return body

routes = Routes()
routes.message("[re:test(body, '[05]$')]").to(Chat.later)
routes.message("[body]").to(Chat.now)
"""

# The same, but what ends in 3 or 6 is passed on, and by the second of them what ends in 6.
SKIPPING = """
import asyncio
from actors import Component
from emp.routing import Routes

class Chat(Component):
    pool = 4
    key = "sender"
    async def now(self, body):
        if body[-1] in "36":
            self.skip()
        if body[-1] == "7":
            await asyncio.sleep(0)
        return body

class Other(Component):
    key = "sender"
    mailbox = 16
    def threes(self, body):
        if body.endswith("6"):
            self.skip()
        return body
    async def sixes(self, body):
        await asyncio.sleep(0)
        return body

routes = Routes()
routes.message("[body]").to(Chat.now)
routes.message("[body]").to(Other.threes)
routes.message("[body]").to(Other.sixes)
"""

ECHO = """
from actors import Component
from emp.routing import Routes

class Echo(Component):
    pool = 2
    def one(self, body):
        return body + " one"
    def two(self, body):
        return body + " two"

routes = Routes()
routes.message("[body]").to(Echo.{action})
"""


def script(messages: int) -> list[str]:
    """What all of them say, as it comes in: one here, another there, each from two devices."""
    chance = random.Random(7)
    turns = [f"user{number}@users.test" for number in range(SENDERS)] * messages
    chance.shuffle(turns)
    said: dict[str, int] = defaultdict(int)
    bodies = []
    for user in turns:
        bodies.append(f"{user}/{chance.choice('ab')} {said[user]}")
        said[user] += 1
    return bodies


@pytest.mark.timeout(300)
@pytest.mark.parametrize("system", ["embedded", "multiproc"])
@pytest.mark.parametrize(("text", "messages"), [(CHAT, MESSAGES), (SKIPPING, 100)])
async def test_every_sender_in_order(text: str, messages: int, system: str, tmp_path: Path) -> None:
    (tmp_path / "chat.py").write_text(text)
    async with Stub() as stub:
        (tmp_path / "emp.toml").write_text(stub.config())
        path = str(tmp_path / "chat.py")
        async with application(path, "--system", system) as running:
            bodies = script(messages)
            for start in range(0, len(bodies), PIECE):
                await stub.say("", bodies[start : start + PIECE])
            await stub.heard(len(bodies))
            heard: dict[str, list[int]] = defaultdict(list)
            for to, body in stub.answers:
                sender, number = body.split()
                assert sender == to
                heard[sender.partition("/")[0]].append(int(number))
            assert len(heard) == SENDERS
            assert all(numbers == list(range(messages)) for numbers in heard.values())
            rows = await running.actors()
            workers = {name: row["pid"] for name, row in rows.items() if row["kind"] == "component"}
            assert set(workers) - {"Other"} == {"Chat", "Chat-2", "Chat-3", "Chat-4"}
            assert len(set(workers.values())) == (len(workers) if system == "multiproc" else 1)
            assert await running.stop() == 0


@pytest.mark.timeout(300)
async def test_reloads_under_load(tmp_path: Path) -> None:
    file = tmp_path / "echo.py"
    file.write_text(ECHO.format(action="one"))
    async with Stub() as stub:
        (tmp_path / "emp.toml").write_text(stub.config())
        async with application(str(file), "--system", "multiproc") as running:
            [socket] = running.runtime.glob("*/control.sock")
            said, done = 0, asyncio.Event()

            async def talk() -> None:
                nonlocal said
                while not done.is_set():
                    await stub.say("a@users.test/x", [str(said + n) for n in range(PIECE)])
                    said += PIECE
                    await stub.heard(said - 4 * PIECE)

            talking = asyncio.create_task(talk())
            await stub.heard(1)
            for number in range(RELOADS):
                action = ("two", "one")[number % 2]
                file.write_text("#\n" * number + ECHO.format(action=action))
                answer = await asyncio.to_thread(control.request, socket, {"command": "reload"})
                assert answer == {"routes": 1, "started": [], "idle": []}
            done.set()
            await talking
            await stub.heard(said)
            heard = [body.split() for _, body in stub.answers]
            assert [number for number, _ in heard] == [str(number) for number in range(said)]
            words = [word for _, word in heard]
            assert set(words) == {"one", "two"}
            # Each reload has taken effect, at a point: from then on it is the other word.
            changes = [b for a, b in itertools.pairwise(words) if a != b]
            assert changes == ["two", "one"] * (RELOADS // 2)
            file.write_text("routes = None\n")
            assert "`routes`" in await running.admin("reload", expect=1)
            file.write_text(ECHO.format(action="one"))
            assert "1 route is in use" in await running.admin("reload")
            assert await running.stop() == 0
