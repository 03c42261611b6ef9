"""What a component can say and know beside its answers, and how it begins and ends."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from thespian.actors import ActorExitRequest

from actors import host
from actors.answering import Work
from actors.boot import Boot, boot_up
from actors.flow import WINDOW
from actors.messages import Done, StopActor, StopSystem
from emp import ns
from emp.errors import InternalServerError, ServiceUnavailable
from emp.stanza import Iq, Message, Stanza
from emp.xml import E
from tests.actors.world import SECONDS, World, world

SAYING = """
import asyncio
from actors import Component
from emp import ns
from emp.errors import LocalProtocolError
from emp.routing import Routes
from emp.stanza import Message
from emp.xml import E

def thing(name, text=""): return E(name, text, xmlns="urn:example")

class Saying(Component):
    def __init__(self):
        self.gate = asyncio.Event()
        self.tasks = []
        self.faults = []

    def early(self, sender):
        self.reply(thing("early"))
        self.say(sender, "and then")
        return None

    async def late(self, sender):
        self.reply(thing("early"))
        await self.gate.wait()
        return Message(sender, "in the end")

    def twice(self):
        self.reply(thing("once"))
        self.reply(thing("twice"))

    def and_again(self):
        self.reply(thing("once"))
        return thing("again")

    def fails_behind(self):
        self.reply(thing("once"))
        1 / 0

    async def later(self):
        async def answer():
            await self.gate.wait()
            try:
                self.reply(thing("late"))
            except LocalProtocolError as error:
                self.faults.append(str(error))
        self.tasks.append(asyncio.ensure_future(answer()))
        return thing("now")

    def two(self):
        self.reply("one")
        return "two"

    async def where(self, sender, connection):
        await asyncio.sleep(0)
        mine = self.connection
        assert mine == connection
        return f"{mine.name} {mine.kind} {mine.domain} {mine.jid} {self.stanza.id}"

    def elsewhere(self, sender):
        self.send(Message(sender, "by name"), "main")
        try:
            self.say(sender, "nowhere", connection="man")
        except LocalProtocolError as error:
            return str(error)

    async def asks(self, sender):
        for number in range(3):
            self.say(sender, str(number))
        asking = asyncio.ensure_future(self.iq_get(sender, E.ping(xmlns=ns.PING), timeout=15))
        await asyncio.sleep(0)
        self.say(sender, "behind")
        await asking
        return "answered"

    def now(self, body): return body

routes = Routes(namespaces={"e": "urn:example"})
for name in ("early", "late", "twice", "and_again", "fails_behind", "later"):
    routes.iq_get(f"e:{name}").to(Saying, name)
for name in ("two", "where", "elsewhere", "asks"):
    routes.message(body=name).to(Saying, name)
routes.message("[body]").to(Saying.now)
"""


def get(name: str) -> Iq:
    return Iq("get", E(name, xmlns="urn:example"), to="foo@localhost/main")


def body(stanza: Stanza) -> str | None:
    assert isinstance(stanza, Message)
    return stanza.body


def message(text: str, type: str = "chat", id: str | None = None) -> Message:
    return Message("foo@localhost/main", text, type=type, id=id)


async def until(condition: Any) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0)


def at_rest(here: World) -> bool:
    component = here.actor("Saying")
    at_work: bool = bool(component.works or component.busy or component.answered)
    return not at_work and not here.actor("main").ledger.held


async def test_an_answer_before_the_end(tmp_path: Path) -> None:
    async with world(tmp_path, SAYING) as here, here.user() as bar:
        bar.say(get("early"))
        assert (await bar.hear()).payload_name == "{urn:example}early"
        assert body(await bar.hear()) == "and then"
        assert (await bar.ask(get("late"))).payload_name == "{urn:example}early"
        assert here.actor("main").ledger.held == {}  # handled, though its action goes on
        here.actor("Saying").component.gate.set()
        assert body(await bar.hear()) == "in the end"
        bar.say(message("two"))
        assert [body(await bar.hear()) for _ in range(2)] == ["one", "two"]
        await until(lambda: at_rest(here))


@pytest.mark.parametrize("name", ["twice", "and_again", "fails_behind"])
async def test_a_request_gets_one_answer(tmp_path: Path, name: str) -> None:
    async with world(tmp_path, SAYING) as here, here.user() as bar:
        assert (await bar.ask(get(name))).payload_name == "{urn:example}once"
        assert body(await bar.ask(message("next"))) == "next"
        assert here.actor("Saying").failed == 1
        assert at_rest(here)


async def test_no_answer_after_the_end(tmp_path: Path) -> None:
    async with world(tmp_path, SAYING) as here, here.user() as bar:
        component = here.actor("Saying").component
        assert (await bar.ask(get("later"))).payload_name == "{urn:example}now"
        component.gate.set()
        await until(lambda: component.faults)
        assert component.faults == ["the request is answered already: its action is over"]
        assert body(await bar.ask(message("next"))) == "next"


async def test_answered_and_then_lost(tmp_path: Path) -> None:
    """The router does not know that it was answered; the connection does."""
    async with world(tmp_path, SAYING) as here, here.user() as bar:
        assert (await bar.ask(get("late"))).payload_name == "{urn:example}early"
        assert here.boot.system is not None
        here.boot.system.tell(here.address("Saying"), ActorExitRequest())
        await here.until("died", "Saying")
        await here.until("started", "Saying")
        assert body(await bar.ask(message("next"))) == "next"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("client", "main client localhost foo@localhost/main x1"),
        ("component", "main component main.localhost main.localhost x1"),
    ],
)
async def test_what_it_knows_of_the_connection(tmp_path: Path, kind: str, expected: str) -> None:
    async with world(tmp_path, SAYING, kind) as here, here.user() as bar:
        asked = message("where", id="x1")
        asked.to = here.service if kind == "client" else "x@main.localhost"
        assert body(await bar.ask(asked)) == expected


async def test_sending_over_a_named_connection(tmp_path: Path) -> None:
    async with world(tmp_path, SAYING) as here, here.user() as bar:
        bar.say(message("elsewhere"))
        assert body(await bar.hear()) == "by name"
        assert body(await bar.hear()) == "there is no connection 'man'; there are now: main"


async def test_a_request_does_not_overtake_what_was_sent_before(tmp_path: Path) -> None:
    async with world(tmp_path, SAYING) as here, here.user() as bar:
        connection, component = here.actor("main"), here.actor("Saying")
        connection.stream._buffer_full = connection.paused = True  # no credit comes back
        for number in range(WINDOW):
            bar.say(message(f"before {number}"))
            await until(lambda n=number: component.handled == n + 1)
        bar.say(message("asks"))
        await until(lambda: component.asks)
        assert not len(connection.requests)
        connection.stream._buffer_full = False
        connection.write_resumed()
        heard = [await bar.hear() for _ in range(WINDOW + 5)]
        kinds = [body(one) if isinstance(one, Message) else one.payload_name for one in heard]
        assert kinds[WINDOW:] == ["0", "1", "2", f"{{{ns.PING}}}ping", "behind"]
        [request] = [one for one in heard if isinstance(one, Iq)]
        assert body(await bar.ask(request.result())) == "answered"
        await until(lambda: at_rest(here))


HOOKED = """
import asyncio
from pathlib import Path
from actors import Component
from emp.errors import LocalProtocolError
from emp.routing import Routes

log = []

class Hooked(Component):
    BLOCKING
    ASYNC def startup(self):
        log.append("startup")
        if Path(__file__).with_name("broken").exists():
            raise OSError("no database")
        try:
            self.stanza
        except LocalProtocolError as error:
            log.append(str(error))

    ASYNC def shutdown(self):
        self.say("bar@localhost", "good-bye")
        log.append("shutdown")

    def now(self, body):
        log.append(body)
        return body

    async def never(self):
        await asyncio.Event().wait()

routes = Routes()
routes.message(body="never").to(Hooked.never)
routes.message("[body]").to(Hooked.now)
"""
VARIANTS = {
    "sync": ("", ""),
    "async": ("async", ""),
    "thread": ("", "blocking = True"),
}


@pytest.mark.parametrize("variant", VARIANTS)
async def test_hooks_at_the_beginning_and_the_end(tmp_path: Path, variant: str) -> None:
    asynchronous, blocking = VARIANTS[variant]
    source = HOOKED.replace("ASYNC ", f"{asynchronous} ".lstrip()).replace("BLOCKING", blocking)
    async with world(tmp_path, source) as here, here.user() as bar:
        log = sys.modules[type(here.actor("Hooked").component).__module__].log
        assert body(await bar.ask(message("hello"))) == "hello"
        outside = "no stanza is being handled here"
        assert log == ["startup", outside, "hello"]
        stopping = asyncio.create_task(here.ask(StopSystem(5.0)))
        assert body(await bar.hear()) == "good-bye"  # the connection has waited for it
        await stopping
        assert log == ["startup", outside, "hello", "shutdown"]


async def test_a_component_that_is_stopped_alone_says_good_bye_too(tmp_path: Path) -> None:
    source = HOOKED.replace("ASYNC ", "async ").replace("BLOCKING", "")
    async with world(tmp_path, source) as here, here.user() as bar:
        stopping = asyncio.create_task(here.ask(StopActor("Hooked")))
        assert body(await bar.hear()) == "good-bye"
        assert isinstance(await stopping, Done)
        log = sys.modules[[name for name in sys.modules if name.startswith("app")][-1]].log
        assert log[-1] == "shutdown"


async def test_what_comes_while_it_stops_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "SHUTDOWN", 0.5)
    source = (
        HOOKED.replace("ASYNC ", "async ")
        .replace("BLOCKING", "")
        .replace('log.append("shutdown")', "await asyncio.Event().wait()")
    )
    async with world(tmp_path, source) as here, here.user() as bar:
        component = here.actor("Hooked")
        stopping = asyncio.create_task(here.ask(StopActor("Hooked")))
        assert body(await bar.hear()) == "good-bye"
        assert component.stopping
        assert isinstance((await bar.ask(message("late"))).failure, ServiceUnavailable)
        assert isinstance(await stopping, Done)  # the hook has a limit


async def test_a_startup_that_fails_keeps_the_component_from_starting(tmp_path: Path) -> None:
    source = HOOKED.replace("ASYNC ", "async ").replace("BLOCKING", "")
    async with world(tmp_path, source) as here, here.user() as bar:
        broken = tmp_path / "broken"
        broken.touch()
        assert here.boot.system is not None
        here.boot.system.tell(here.address("Hooked"), ActorExitRequest())
        await here.until("died", "Hooked")
        await here.until("died", "Hooked")  # it was tried again, and is
        broken.unlink()
        await here.until("started", "Hooked")
        assert body(await bar.ask(message("again"))) == "again"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise OSError('no database')", "startup() failed: OSError('no database')"),
        ("await asyncio.Event().wait()", "startup() is not over after 0.05 s"),
    ],
)
async def test_a_startup_that_fails_at_boot_says_why(
    tmp_path: Path, code: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "STARTUP", 0.05)
    (tmp_path / "emp.toml").write_text('[connections.main]\nhost = "x.localhost"\nsecret = "s"\n')
    module = tmp_path / f"failing_startup_{len(code)}.py"
    module.write_text(
        HOOKED.replace("ASYNC ", "async ")
        .replace("BLOCKING", "")
        .replace('log.append("startup")', code)
    )
    boot = Boot(module)
    try:
        with pytest.raises(Exception, match="Hooked") as failed:
            await boot_up(boot, lambda report: None)
        assert reason in str(failed.value)
    finally:
        await boot.shut_down()


async def test_an_action_that_never_ends_does_not_keep_it_from_stopping(tmp_path: Path) -> None:
    source = HOOKED.replace("ASYNC ", "").replace("BLOCKING", "")
    async with world(tmp_path, source) as here, here.user() as bar:
        bar.say(message("never"))
        await until(lambda: here.actor("Hooked").works)
        stopping = asyncio.create_task(here.ask(StopSystem(0.1)))
        refused = await bar.hear()
        assert isinstance(refused.failure, ServiceUnavailable | InternalServerError)
        assert body(await bar.hear()) == "good-bye"
        await stopping


BY_HAND = """
import asyncio
from actors import Component
from emp import ns
from emp.routing import Routes
from emp.stanza import Iq, Message

class ByHand(Component):
    def now(self, stanza, sender):
        self.send(stanza.result())
        self.say(sender, "now")
    async def later(self, stanza, sender):
        await asyncio.sleep(0)
        self.send(Iq("result", to=sender, id=stanza.id))
        self.say(sender, "later")
    def another(self, stanza, sender):
        self.send(Iq("result", to="nobody@localhost", id=stanza.id))

routes = Routes(namespaces={"x": "urn:example:x"})
routes.iq_get("x:now").to(ByHand.now)
routes.iq_get("x:later").to(ByHand.later)
routes.iq_get("x:another").to(ByHand.another)
"""


async def test_an_answer_that_is_sent_by_hand_is_the_only_one(tmp_path: Path) -> None:
    async with world(tmp_path, BY_HAND) as here, here.user() as bar:
        for name in ("now", "later"):
            request = Iq("get", E(f"{{urn:example:x}}{name}"), to=here.service)
            answer = await bar.ask(request)
            assert (answer.type, answer.id) == ("result", request.id)
            assert body(await bar.hear()) == name
        request = Iq("get", E("{urn:example:x}another"), to=here.service)
        answer = await bar.ask(request)
        assert (answer.type, answer.id) == ("result", request.id)


async def test_an_action_that_has_ended_ends_no_other(tmp_path: Path) -> None:
    """A stanza that was passed on may be back before its first action is quite over."""
    async with world(tmp_path, HOOKED.replace("ASYNC ", "").replace("BLOCKING", "")) as here:
        host_of = here.actor("Hooked")
        connection = here.actor("main")
        connection.stanzas_received([Message(here.service, "never", from_="bar@localhost")])
        async with asyncio.timeout(SECONDS):
            while not host_of.works:
                await asyncio.sleep(0)
        (name, work), *_ = host_of.works.items()
        host_of._cancelled_early(Work(work.lane, work.item, work.handling, work.key), None)
        assert host_of.works == {name: work}
        assert work.timer is not None
        host_of.exit()
        assert work.timer is None  # a dead one answers nothing, and begins nothing
