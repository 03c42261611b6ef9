"""`Component.spawn`: tasks of a component's own that nobody has to look after."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from actors import Component
from actors.background import MOST
from actors.messages import Done, InspectActor, StopActor
from emp.errors import LocalProtocolError
from emp.stanza import Message, Stanza
from tests.actors.world import world


class Plain(Component):
    """Constructed as a test does: without actors."""

    def __init__(self) -> None:
        self.calls = 0
        self.done = asyncio.Event()

    async def fail(self) -> None:
        raise ValueError("no luck")

    async def fail_twice(self) -> None:
        self.calls += 1
        if self.calls < 3:
            raise ValueError(f"no luck {self.calls}")
        self.done.set()

    async def return_twice(self) -> None:
        self.calls += 1
        if self.calls == 3:
            self.done.set()

    async def wait(self) -> None:
        await asyncio.Event().wait()

    async def exit(self) -> None:
        raise SystemExit(3)

    async def cancelled(self) -> None:
        raise asyncio.CancelledError

    def plain(self) -> None: ...


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.background.backoff", lambda failures: 0.0)


@pytest.mark.parametrize("name", ["fail", "exit", "cancelled"])
async def test_a_failure_is_logged_at_once_and_harms_nobody(log: list[str], name: str) -> None:
    task = Plain().spawn(getattr(Plain(), name)())  # the reference is kept: nothing is collected
    await task
    assert log == [f"Plain: Plain.{name} failed"]


@pytest.mark.parametrize(
    ("restart", "name"), [("on-failure", "fail_twice"), ("always", "return_twice")]
)
async def test_it_is_started_again(log: list[str], restart: Any, name: str) -> None:
    plain = Plain()
    task = plain.spawn(getattr(plain, name), restart=restart, name="work")
    await asyncio.wait_for(plain.done.wait(), 10)
    assert plain.calls >= 3
    assert len(log) == (2 if restart == "on-failure" else 0)
    assert all(line == "Plain: work failed; it is started again" for line in log)
    if restart == "always":
        assert plain._background.facts()["work"]["restarts"] >= 2
        task.cancel()
    await asyncio.wait([task])
    assert plain._background.facts() == {}


async def test_who_is_cancelled_is_not_started_again(log: list[str]) -> None:
    plain = Plain()
    task = plain.spawn(plain.wait, restart="always")
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert log == []


@pytest.mark.parametrize("error", [None, ValueError("late"), SystemExit(3), KeyboardInterrupt()])
@pytest.mark.parametrize("ended", [False, True])
async def test_whatever_it_makes_of_being_cancelled(
    log: list[str], error: BaseException | None, ended: bool
) -> None:
    plain, begun = Plain(), []

    async def work() -> None:
        begun.append(1)
        try:
            await plain.wait()
        except asyncio.CancelledError:
            if error is not None:
                raise error from None

    task = plain.spawn(work, restart="always", name="work")
    await asyncio.sleep(0)
    if ended:
        await plain._background.end()
    task.cancel()
    await asyncio.wait([task])
    assert (begun, plain._background.facts()) == ([1], {})
    assert log == ([] if error is None else ["Plain: work failed"])


async def test_what_the_function_itself_raises_is_the_callers() -> None:
    def work() -> None:
        raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"):
        Plain().spawn(work)


@pytest.mark.parametrize(
    ("work", "restart", "words"),
    [
        (lambda plain: plain.wait(), "always", "needs a function"),
        (lambda plain: plain.wait, "sometimes", "restart is one of"),
        (lambda plain: plain.plain, "never", "async def"),
        (lambda plain: 7, "never", "async def"),
    ],
)
@pytest.mark.filterwarnings("error")
async def test_mistakes(work: Any, restart: Any, words: str) -> None:
    plain = Plain()
    with pytest.raises(LocalProtocolError, match=words):
        plain.spawn(work(plain), restart=restart)


@pytest.mark.filterwarnings("error")
def test_without_a_loop() -> None:
    plain = Plain()
    with pytest.raises(LocalProtocolError, match="no running event loop"):
        plain.spawn(plain.wait())


async def test_there_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.background.MOST", 2)
    assert MOST > 2
    plain = Plain()
    tasks = [plain.spawn(plain.wait) for _ in range(2)]
    with pytest.raises(LocalProtocolError, match="are going on"):
        plain.spawn(plain.wait)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    plain.spawn(plain.wait).cancel()


SPAWNING = """
import asyncio
from actors import Component, blocking
from emp.routing import Routes

class Spawning(Component):
    def __init__(self):
        self.queue = asyncio.Queue()
        self.spawn(self.work, restart="on-failure", name="worker")

    async def startup(self):
        self.spawn(self.linger())

    async def work(self):
        while True:
            to, text = await self.queue.get()
            if text == "fail":
                self.say(to, "failing")
                raise ValueError(text)
            self.say(to, f"worked on {text}", connection="main")

    async def linger(self):
        try:
            await asyncio.Event().wait()
        finally:
            self.say("bar@localhost", "cancelled", connection="main")

    async def shutdown(self):
        self.say("bar@localhost", "shutdown", connection="main")

    def begin(self, sender, body):
        self.queue.put_nowait((sender, body))

    def here(self, sender):
        async def later():
            try:
                self.stanza
            except Exception as error:
                self.say(sender, str(error))
        self.spawn(later)

    @blocking
    def thread(self, sender):
        async def later():
            self.say(sender, "from a thread")
        self.spawn(later())

routes = Routes()
routes.message(body="here").to(Spawning.here)
routes.message(body="thread").to(Spawning.thread)
routes.message("[body]").to(Spawning.begin)
"""


def body(stanza: Stanza) -> str | None:
    assert isinstance(stanza, Message), stanza
    return stanza.body


def message(text: str) -> Message:
    return Message("foo@localhost/main", text, type="chat")


@pytest.mark.parametrize("system", ["embedded", "multiproc"])
async def test_in_a_component(tmp_path: Path, system: str) -> None:
    extra = f'[system]\nbase = "{system}"'
    async with world(tmp_path, SPAWNING, extra=extra) as here, here.user() as bar:
        assert body(await bar.ask(message("one"))) == "worked on one"
        assert body(await bar.ask(message("here"))) == "no stanza is being handled here"
        assert body(await bar.ask(message("thread"))) == "from a thread"
        facts = (await here.ask(InspectActor("Spawning"))).facts
        assert set(facts["spawned"]) == {"worker", "Spawning.linger"}
        assert facts["spawned"]["worker"]["state"] == "running"
        if system == "embedded":
            bar.say(message("fail"))
            assert body(await bar.ask(message("two"))) == "failing"
            assert body(await bar.hear()) == "worked on two"
            facts = (await here.ask(InspectActor("Spawning"))).facts
            assert (facts["spawned"]["worker"]["restarts"], facts["spawned_failed"]) == (1, 1)
        assert isinstance(await here.ask(StopActor("Spawning")), Done)
        assert [body(await bar.hear()) for _ in range(2)] == ["cancelled", "shutdown"]
