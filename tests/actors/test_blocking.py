"""Actions in threads: the loop goes on, orders are kept, and nothing of lxml crosses."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest
from thespian.actors import ActorExitRequest

from actors.threads import Threads
from emp import ns
from emp.errors import InternalServerError, ItemNotFound, RemoteServerTimeout, ResourceConstraint
from emp.stanza import Iq, Message, Stanza
from emp.xml import E
from tests.actors.world import SECONDS, World, world

BLOCKING = """
import asyncio
import threading
from actors import Component, NoAnswer, before, blocking, every, rescue
from emp import ns
from emp.errors import ItemNotFound
from emp.routing import Routes
from emp.stanza import Message
from emp.xml import E

gate = threading.Event()
ran = []
here = lambda: threading.current_thread().name

class Blocking(Component):
    threads = 2

    @before(only="waits")
    def checked(self, body):
        ran.append((body, here()))

    @blocking
    def waits(self, body):
        gate.wait(20)
        return f"{body} done"

    @blocking
    def talks(self, sender, stanza, payload):
        self.send(Message(sender, "sent"))
        self.say(sender, "said", "headline")
        payload.append(E.own("made in the thread", xmlns="urn:own"))
        payload.set("seen", "true")
        self.reply(payload)
        mine = self.connection
        self.say(sender, f"{self.stanza.kind} over {mine.name} as {mine.kind}")
        return Message(sender, "returned")

    @blocking
    def asks(self, sender):
        answer = self.wait(self.iq_get(sender, E.ping(xmlns=ns.PING), timeout=15))
        return f"{answer.type} of {here().partition(' ')[0]}"

    @blocking
    def fails(self): self.fail(ItemNotFound, "nothing")

    @blocking
    def breaks(self): return 1 / 0

    @blocking
    def halts(self): self.halt(E.halted(xmlns="urn:example"))

    @blocking
    def skips(self): self.skip()

    @blocking
    def looks_up(self): return {}["x"]

    @rescue(LookupError)
    def rescued(self, error):
        return E.rescued(here().partition(" ")[0], xmlns="urn:example")

    @blocking
    def yields(self, sender):
        yield Message(sender, "first")
        yield E.answer(xmlns="urn:example")
        yield Message(sender, "last")

    def now(self, body): return body

    async def wrong(self):
        self.wait(self.iq_get(None, E.ping(xmlns=ns.PING)))

class Timed(Component):
    blocking = True
    deadline = 0.05
    threads = 1

    def startup(self): self.started_in = here()
    def sticks(self):
        gate.wait(20)
        try:
            self.reply(E.late(xmlns="urn:example"))
        except Exception as error:
            ran.append(str(error))
        return E.late(xmlns="urn:example")
    async def not_in_a_thread(self): return E.loop(here(), xmlns="urn:example")

routes = Routes(namespaces={"e": "urn:example"})
for name in ("talks", "fails", "breaks", "halts", "skips", "looks_up", "yields", "wrong"):
    routes.iq_get(f"e:{name}").to(Blocking, name)
routes.iq_get("e:skips").to(Blocking.halts)
routes.iq_get("e:sticks").to(Timed.sticks)
routes.iq_get("e:not_in_a_thread").to(Timed.not_in_a_thread)
routes.message(body="asks").to(Blocking.asks)
routes.message(type="headline").to(Blocking.now)
routes.message("[body]").to(Blocking.waits)
"""


def get(name: str, *children: object) -> Iq:
    return Iq("get", E(name, *children, xmlns="urn:example"), to="foo@localhost/main")


def body(stanza: Stanza) -> str | None:
    assert isinstance(stanza, Message)
    return stanza.body


def message(text: str, type: str = "chat") -> Message:
    return Message("foo@localhost/main", text, type=type)


def module(here: World) -> Any:
    return sys.modules[type(here.actor("Blocking").component).__module__]


async def until(condition: Any) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0)


def at_rest(here: World) -> bool:
    component = here.actor("Blocking")
    at_work: bool = bool(component.works or component.busy or component.answered)
    return not at_work and not here.actor("main").ledger.held


async def test_the_loop_goes_on_and_each_sender_keeps_his_order(tmp_path: Path) -> None:
    async with world(tmp_path, BLOCKING) as here, here.user() as bar, here.user("baz") as baz:
        bar.say(*[message(str(number)) for number in range(5)])
        await until(lambda: module(here).ran)
        assert body(await baz.ask(message("not held up", "headline"))) == "not held up"
        assert len(module(here).ran) == 1
        module(here).gate.set()
        assert [body(await bar.hear()) for _ in range(5)] == [f"{n} done" for n in range(5)]
        names = {name for _, name in module(here).ran}
        assert all(name.startswith("blocking action of Blocking") for name in names)
        await until(lambda: at_rest(here))


async def test_all_that_an_action_may_say_can_be_said_in_a_thread(tmp_path: Path) -> None:
    async with world(tmp_path, BLOCKING) as here, here.user() as bar:
        bar.say(get("talks", E.child(xmlns="urn:example")))
        heard = [await bar.hear() for _ in range(5)]
        assert [body(one) if isinstance(one, Message) else "answer" for one in heard] == [
            "sent", "said", "answer", "iq over main as client", "returned"
        ]  # fmt: skip
        answer = heard[2].payload
        assert answer is not None
        assert (answer.get("seen"), answer[-1].text) == ("true", "made in the thread")
        await until(lambda: at_rest(here))


async def test_a_thread_may_ask(tmp_path: Path) -> None:
    async with world(tmp_path, BLOCKING) as here, here.user() as bar:
        request = await bar.ask(message("asks"))
        assert isinstance(request, Iq)
        assert request.payload_name == f"{{{ns.PING}}}ping"
        assert body(await bar.ask(request.result())) == "result of blocking"


async def test_what_ends_the_handling(tmp_path: Path) -> None:
    async with world(tmp_path, BLOCKING) as here, here.user() as bar:
        assert isinstance((await bar.ask(get("fails"))).failure, ItemNotFound)
        assert isinstance((await bar.ask(get("breaks"))).failure, InternalServerError)
        assert (await bar.ask(get("halts"))).payload_name == "{urn:example}halted"
        assert (await bar.ask(get("skips"))).payload_name == "{urn:example}halted"
        rescued = (await bar.ask(get("looks_up"))).payload
        assert rescued is not None
        assert rescued.text == "blocking"
        bar.say(get("yields"))
        kinds = [(await bar.hear()).kind for _ in range(3)]
        assert kinds == ["message", "iq", "message"]
        assert isinstance((await bar.ask(get("wrong"))).failure, InternalServerError)
        await until(lambda: at_rest(here))


async def test_the_deadline_of_a_thread(tmp_path: Path) -> None:
    async with world(tmp_path, BLOCKING) as here, here.user() as bar, here.user("baz") as baz:
        assert isinstance((await bar.ask(get("sticks"))).failure, RemoteServerTimeout)
        # Its slot is taken, so nobody else gets a thread …
        assert isinstance((await baz.ask(get("sticks"))).failure, ResourceConstraint)
        loop = (await bar.ask(get("not_in_a_thread"))).payload  # … but its sender may go on
        assert loop is not None
        assert loop.text == threading.current_thread().name
        module(here).gate.set()
        await until(lambda: not here.actor("Timed").works)
        assert "too long" in module(here).ran[-1]
        assert here.actor("Timed").component.started_in.startswith("blocking")
        assert body(await bar.ask(message("nothing came late", "headline"))) == "nothing came late"


@pytest.mark.parametrize("victim", ["Blocking", "main"])
async def test_who_dies_while_a_thread_is_at_work(tmp_path: Path, victim: str) -> None:
    async with world(tmp_path, BLOCKING, "component") as here, here.user() as bar:
        component, gate = here.actor("Blocking"), module(here).gate
        bar.say(Message("x@main.localhost", "lost", type="chat"))
        await until(lambda: module(here).ran)
        assert here.boot.system is not None
        here.boot.system.tell(here.address(victim), ActorExitRequest())
        await here.until("died", victim)
        await here.until("started" if victim == "Blocking" else "connected", victim)
        gate.set()
        await until(lambda: not component.threads._unfinished)
        if victim == "Blocking":
            failure = (await bar.hear()).failure
            assert isinstance(failure, InternalServerError)
            assert failure.type == "wait"
        await until(lambda: victim == "Blocking" or not component.works)
        bar.say(Message("x@main.localhost", "next", type="headline"))
        assert body(await bar.hear()) == "next"


def test_threads_are_started_when_they_are_needed_and_not_more_than_so_many() -> None:
    threads = Threads(3, "test")
    gate, ended = threading.Event(), threading.Semaphore(0)
    names: list[str] = []

    def job() -> None:
        names.append(threading.current_thread().name)
        gate.wait(SECONDS)
        ended.release()

    jobs = [threads.run(job) for _ in range(5)]
    assert threads._started == 3
    while len(names) < 3:
        threading.Event().wait(0.001)
    assert jobs[4].drop()
    assert not jobs[0].drop()
    gate.set()
    assert all(ended.acquire(timeout=SECONDS) for _ in range(4))
    assert len(names) == 4
    assert len(set(names)) == 3
    threads.close()


STUCK = """
import asyncio, sys, threading
from pathlib import Path
from tests.actors.world import world
from emp.stanza import Message

SOURCE = '''
import threading
from actors import Component
from emp.routing import Routes
class Stuck(Component):
    blocking = True
    deadline = 0.05
    def stick(self, body): threading.Event().wait()
routes = Routes()
routes.message("[body]").to(Stuck.stick)
'''

async def main():
    async with world(Path(sys.argv[1]), SOURCE) as here, here.user() as bar:
        bar.say(Message(here.service, "stick", type="chat"))
        while not here.actor("Stuck").overdue:
            await asyncio.sleep(0.01)

asyncio.run(main())
print("ended", len(threading.enumerate()) > 1)
"""


def test_a_thread_that_never_returns_does_not_keep_the_process(tmp_path: Path) -> None:
    environment = {**os.environ, "EMP_RUNTIME_DIR": str(tmp_path / "run")}
    command = [sys.executable, "-c", STUCK, str(tmp_path)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "ended True\n"


STRESS = """
import asyncio, sys
from pathlib import Path
from tests.actors.world import world
from emp.stanza import Iq
from emp.xml import E

SOURCE = '''
import sys
from lxml import etree
from actors import Component
from emp.routing import Routes
from emp.stanza import Message
from emp.xml import parse

sys.setswitchinterval(1e-5)

class Stress(Component):
    blocking = True
    threads = 4
    key = staticmethod(lambda stanza: stanza.id)

    def work(self, stanza, payload, sender, thing):
        number = payload.get("n")
        for each in range(1000):  # names nobody has seen, while the loop parses others
            etree.SubElement(payload, f"{{urn:new}}new{number}-{each}").set(f"a{number}-{each}", "")
        del payload[:-2]
        stanza.xml.set("changed", "true")
        assert thing.get("n") == number
        own = parse(f"<own xmlns='urn:own:{number}'><x{number}/></own>")
        self.send(Message(sender, number))
        return [payload, own, thing]

class Loop(Component):
    def work(self): return None

routes = Routes(namespaces={"e": "urn:example"})
routes.iq_get("e:work", thing="e:work/e:thing").to(Stress.work)
routes.iq_get("e:loop").to(Loop.work)
'''

async def main():
    async with world(Path(sys.argv[1]), SOURCE) as here, here.user() as bar:
        count = 400
        for number in range(count):
            name = "loop" if number % 4 else "work"
            names = [f"c{number}-{n}" for n in range(0 if name == "work" else 200)]
            children = [E(each, {each: ""}, xmlns="urn:c") for each in names]
            payload = E(name, E.thing(n=str(number)), *children, xmlns="urn:example", n=str(number))
            bar.say(Iq("get", payload, to=here.service))
        results = messages = 0
        while results < count or messages < count // 4:
            stanza = await bar.hear()
            if stanza.kind == "message":
                messages += 1
            else:
                assert stanza.type == "result", stanza.to_bytes()
                results += 1
asyncio.run(main())
print("right")
"""


async def test_no_element_passes_into_a_thread_or_out_of_it(tmp_path: Path) -> None:
    source = BLOCKING.replace("def talks(self, sender,", "def talks(self, thing, sender,").replace(
        'routes.iq_get(f"e:{name}").to(Blocking, name)',
        'captures = {"thing": "e:talks/*"} if name == "talks" else {}\n'
        '    routes.iq_get(f"e:{name}", **captures).to(Blocking, name)',
    )
    async with world(tmp_path, source) as here, here.user() as bar:
        component = here.actor("Blocking")
        in_thread, crossed = component._in_thread, []

        def watched(work: Any, item: Any) -> Any:
            began = item[2]._tree, item[4]["thing"]
            outcome = in_thread(work, item)
            crossed.append((work.item, item, began, outcome))
            return outcome

        component._in_thread = watched
        bar.say(get("talks", E.child(xmlns="urn:example")))
        for _ in range(5):
            await bar.hear()
        [(ours, theirs, (tree, thing), outcome)] = crossed
        assert theirs[2] is not ours[2]
        assert tree is None  # it is parsed in the thread
        assert thing is not ours[4]["thing"]
        assert all(reply._tree is None for reply in outcome.replies)


@pytest.mark.parametrize("perturb", ["165"])
def test_memory_stays_whole(tmp_path: Path, perturb: str) -> None:
    """With names that nobody has seen, parsed and made in many threads at a time. What is freed is
    overwritten at once, so whoever still uses it is found out."""
    environment = {
        **os.environ,
        "EMP_RUNTIME_DIR": str(tmp_path / "run"),
        "MALLOC_PERTURB_": perturb,
        "MALLOC_CHECK_": "3",
    }
    command = [sys.executable, "-X", "faulthandler", "-c", STRESS, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (0, "right\n"), done.stderr[-3000:]


def test_what_nobody_wants_any_more_is_not_kept_for_a_thread() -> None:
    """Behind threads that never return it would stay for ever."""

    class Goods:
        def __call__(self) -> None: ...

    gate = threading.Event()
    threads = Threads(1, "test")
    threads.run(lambda: gate.wait(SECONDS) and None)
    goods = Goods()
    kept = weakref.ref(goods)
    job = threads.run(goods)
    assert job.drop()
    del goods
    assert kept() is None
    gate.set()
    threads.close()


async def test_what_is_waited_for_may_fail_in_any_way(tmp_path: Path) -> None:
    source = """
from actors import Component, blocking
from emp.routing import Routes

async def fails():
    raise RecursionError("mine")

class Waiter(Component):
    @blocking
    def waits(self, body):
        try:
            self.wait(fails())
        except RuntimeError as error:
            return repr(error)

routes = Routes()
routes.message("[body]").to(Waiter.waits)
"""
    async with world(tmp_path, source) as here, here.user() as bar:
        answer = await bar.ask(Message(here.service, "?"))
        assert isinstance(answer, Message)
        assert answer.body == "RecursionError('mine')"
