"""What components do wrong, and what dies at the worst time: a request gets one answer anyway."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from thespian.actors import ActorExitRequest

from actors.flow import WINDOW
from actors.messages import (
    ComponentSpec,
    Done,
    Refused,
    RefuseStanzas,
    RouteSpec,
    SpawnComponent,
    StopActor,
)
from emp.errors import InternalServerError, ServiceUnavailable
from emp.stanza import Iq, Message, Stanza
from emp.xml import E
from tests.actors.world import SECONDS, World, world

WRONG = """
import asyncio
from actors import Component
from emp.errors import ItemNotFound
from emp.routing import Routes
from emp.stanza import Iq, Message
from emp.xml import E
from lxml import etree

class Strange:
    def to_xml(self):
        return "this is no element"

class Odd(ItemNotFound):
    def to_xml(self):
        raise ValueError("to_xml")

class Raising:
    def to_xml(self):
        raise SystemExit("to_xml")

class Wrong(Component):
    def exit(self): raise SystemExit(3)
    def interrupt(self): raise KeyboardInterrupt
    def generator_exit(self): raise GeneratorExit
    def cancelled(self): raise asyncio.CancelledError
    def stop(self): raise StopIteration
    def control_text(self): return E.thing("\\x00", xmlns="urn:example")
    def odd(self): self.fail(Odd)
    def strange(self): return Strange()
    def raising(self): return Raising()
    def number(self): return 3.14
    def text(self): return "an iq has no body"
    async def generator(self): yield 1
    def comment(self, stanza):
        answer = stanza.result(E.thing(xmlns="urn:example"))
        answer.xml.append(etree.Comment("XMPP has no comments"))
        return answer
    def huge(self): return E.thing("x" * 5_000_000, xmlns="urn:example")

    async def late_exit(self):
        await asyncio.sleep(0)
        raise SystemExit(3)
    async def late_interrupt(self):
        await asyncio.sleep(0)
        raise KeyboardInterrupt
    async def late_generator_exit(self):
        await asyncio.sleep(0)
        raise GeneratorExit
    async def late_cancelled(self):
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future
    async def cancels_itself(self):
        asyncio.current_task().cancel()
        await asyncio.sleep(0)
    async def late_comment(self, stanza):
        return self.comment(stanza)

    def future(self):
        future = asyncio.get_running_loop().create_future()
        future.set_result(E.right(xmlns="urn:example"))
        return future
    def right(self): return E.right(xmlns="urn:example")
    def two(self, stanza):
        return [Message(stanza.from_, str(n)) for n in range(2000)]

routes = Routes(namespaces={"e": "urn:example"})
for name in [name for name in vars(Wrong) if not name.startswith("_")]:
    routes.iq_get(f"e:{name}").to(Wrong, name)
"""

WRONGS = [
    *("exit", "interrupt", "generator_exit", "cancelled", "stop", "control_text", "odd"),
    *("strange", "raising", "number", "text", "generator", "comment", "huge"),
    *("late_exit", "late_interrupt", "late_generator_exit", "late_cancelled", "cancels_itself"),
    "late_comment",
]


def get(name: str, to: str = "foo@localhost/main") -> Iq:
    return Iq("get", E(name, xmlns="urn:example"), to=to)


def message(body: str, to: str = "foo@localhost/main") -> Message:
    return Message(to, body, type="chat")


def body(stanza: Stanza) -> str | None:
    assert isinstance(stanza, Message)
    return stanza.body


@pytest.mark.parametrize("name", WRONGS)
async def test_whatever_an_action_does_its_request_gets_one_answer(
    tmp_path: Path, name: str
) -> None:
    async with world(tmp_path, WRONG) as here, here.user() as bar:
        wrong, right = get(name), get("right")
        bar.say(wrong, right)  # in one batch: what comes after it is handled as well
        first, second = await bar.hear(), await bar.hear()
        assert (first.id, second.id) == (wrong.id, right.id)
        assert isinstance(first.failure, InternalServerError)
        assert second.type == "result"
        assert here.actor("main").ledger.held == {}
        assert here.actor("Wrong").busy == {}


async def test_an_action_may_return_any_awaitable(tmp_path: Path) -> None:
    async with world(tmp_path, WRONG) as here, here.user() as bar:
        assert (await bar.ask(get("future"))).payload_name == "{urn:example}right"


async def test_many_stanzas_for_one(tmp_path: Path) -> None:
    async with world(tmp_path, WRONG) as here, here.user() as bar:
        bar.say(get("two"))
        heard = [body(await bar.hear()) for _ in range(2000)]
        assert heard == [str(number) for number in range(2000)]
        assert (await bar.hear()).type == "result"


GATE = """
import asyncio
from actors import Component
from emp.routing import Routes
from emp.xml import E

gate = asyncio.Event()
ran = []

class Gate(Component):
    async def hold(self, body, stanza):
        ran.append(body or stanza.id)
        await gate.wait()
        return body if stanza.kind == "message" else E.thing(xmlns="urn:example")

    def now(self, body):
        ran.append(body)
        return body

routes = Routes(namespaces={"e": "urn:example"})
routes.iq_get("e:wait").to(Gate.hold)
routes.message(type="normal").to(Gate.now)
routes.message("[body]").to(Gate.hold)
"""


def module(here: World, name: str = "Gate") -> Any:
    return sys.modules[type(here.actor(name).component).__module__]


async def until(condition: Any) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0)


async def kill(here: World, name: str) -> None:
    assert here.boot.system is not None
    here.boot.system.tell(here.address(name), ActorExitRequest())
    await here.until("died", name)


async def test_given_again_by_a_new_router_and_then_lost(tmp_path: Path) -> None:
    """The new router must know what the component works on since the time of the old one."""
    async with world(tmp_path, GATE) as here, here.user() as bar, here.user("baz") as baz:
        asked = get("wait")
        bar.say(asked, message("behind it"))
        await until(lambda: module(here).ran)
        await kill(here, "router")
        await here.until("started", "router")
        await until(lambda: here.actor("router").routed == 2)
        for _ in range(3 * WINDOW):  # more batches: the component reports what it has handled
            await baz.ask(Message(here.service, "meanwhile", type="normal"))
        await kill(here, "Gate")
        answers = [await bar.hear(), await bar.hear()]
        assert {answer.id for answer in answers} >= {asked.id}
        assert all(isinstance(answer.failure, InternalServerError) for answer in answers)
        assert here.actor("main").ledger.held == {}


async def test_answers_that_did_not_leave_are_not_lost_with_the_component(tmp_path: Path) -> None:
    async with world(tmp_path, GATE) as here, here.user() as bar:
        connection, component = here.actor("main"), here.actor("Gate")
        # A server that doesn't read, and what came before that was noticed: no credit comes back.
        connection.stream._buffer_full = connection.paused = True
        lost = 3
        for number in range(WINDOW + lost):
            bar.say(Message(here.service, str(number), type="normal"))
            await until(lambda n=number: component.handled == n + 1)
        assert len(connection.ledger.held) == lost  # their answers wait in the component
        await kill(here, "Gate")
        connection.stream._buffer_full = False
        heard = [await bar.hear() for _ in range(WINDOW + lost)]
        assert [body(stanza) for stanza in heard[:WINDOW]] == [str(n) for n in range(WINDOW)]
        assert all(isinstance(stanza.failure, InternalServerError) for stanza in heard[WINDOW:])
        assert connection.ledger.held == {}


async def test_credit_kept_back_for_a_full_socket_comes_back_when_the_stream_ends(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, GATE, "component") as here:
        connection = here.actor("main")
        async with here.user() as bar:
            connection.stream._buffer_full = connection.paused = True
            for number in range(2 * WINDOW):
                bar.say(Message("x@main.localhost", str(number), type="normal"))
                await until(lambda n=number: connection.ledger.total == n + 1)
            await until(lambda: connection.owed)
        connection.stream.abort()
        await here.until("connected", "main")
        await until(lambda: not connection.ledger.held)
        async with here.user() as bar:
            bar.say(Message("x@main.localhost", "again", type="normal"))
            assert body(await bar.hear()) == "again"


async def test_a_new_stream_is_paused_while_the_books_are_full(tmp_path: Path) -> None:
    async with world(tmp_path, GATE, "component") as here, here.user() as bar:
        connection = here.actor("main")
        flood = [message(str(number), "x@main.localhost") for number in range(5000)]
        bar.say(*flood)
        await until(lambda: connection.paused)
        connection.stream.abort()
        await here.until("connected", "main")
        assert connection.paused
        assert connection.stream._read_paused
        module(here).gate.set()
        await until(lambda: not connection.paused)
        assert not connection.stream._read_paused


async def test_malformed_addresses_pause_a_full_socket_too(tmp_path: Path) -> None:
    async with world(tmp_path, GATE) as here:
        connection = here.actor("main")
        wrong = Message(here.service, "hello")
        wrong.from_text = "a@b@c"
        connection.stream._buffer_full = True
        connection.stanzas_received([wrong])
        assert connection.paused
        connection.stream._buffer_full = False


async def test_workers_that_come_and_go_keep_the_order_of_a_sender(tmp_path: Path) -> None:
    async with world(tmp_path, GATE, "component") as here:
        spec = here.actor("Gate").spec
        async with here.user() as bar, here.user("baz") as baz, here.user("foo") as foo:
            users = (bar, baz, foo)
            for user in users:
                user.say(*[message(str(n), "x@main.localhost") for n in range(3)])
            await until(lambda: len(module(here).ran) == len(users))
            spawned = await here.ask(SpawnComponent(ComponentSpec("Gate-2", spec.reference)))
            assert isinstance(spawned, Done)
            for user in users:
                user.say(Message("x@main.localhost", "3", type="normal"))
            router = here.actor("router")
            await until(lambda: router.routed == 12)
            module(here).gate.set()
            for user in users:
                assert [body(await user.hear()) for _ in range(4)] == ["0", "1", "2", "3"]
        [crew] = router.calls.crews.values()
        assert len(crew.workers) == 2


async def test_a_new_router_gives_a_sender_to_the_worker_that_has_him(tmp_path: Path) -> None:
    async with world(tmp_path, GATE, "component") as here, here.user() as bar:
        spec = here.actor("Gate").spec
        for number in (2, 3):
            await here.ask(SpawnComponent(ComponentSpec(f"Gate-{number}", spec.reference)))
        await kill(here, "Gate")  # whose place in the list is another now
        await here.until("started", "Gate")
        bar.say(message("once", "x@main.localhost"))
        await until(lambda: module(here).ran)
        await kill(here, "router")
        await here.until("started", "router")
        await until(lambda: here.actor("router").routed == 1)
        module(here).gate.set()
        assert body(await bar.hear()) == "once"
        assert module(here).ran == ["once"]


async def test_stopping_the_last_worker_between_two_lives_refuses_its_stanzas(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, GATE) as here, here.user() as bar:
        supervisor = here.actor("supervisor")
        supervisor.children["Gate"].failures = 100  # it has died often: a long pause comes
        await kill(here, "Gate")
        bar.say(get("wait"))
        assert isinstance(await here.ask(StopActor("Gate")), Done)
        assert isinstance((await bar.hear()).failure, ServiceUnavailable)


async def test_a_new_router_knows_who_is_stopped(tmp_path: Path) -> None:
    async with world(tmp_path, GATE) as here, here.user() as bar:
        assert isinstance(await here.ask(StopActor("Gate")), Done)
        await kill(here, "router")
        await here.until("started", "router")
        assert isinstance((await bar.ask(get("wait"))).failure, ServiceUnavailable)


async def test_a_spawn_that_fails_concerns_nobody_else_and_may_be_repeated(tmp_path: Path) -> None:
    async with world(tmp_path, GATE) as here:
        for _ in range(2):
            refused = await here.ask(SpawnComponent(ComponentSpec("Nope", "nowhere:Nope")))
            assert isinstance(refused, Refused)
            assert "nowhere" in refused.reason
            await until(lambda: "Nope" not in here.actor("supervisor").children)
        assert "failed" not in {event.kind for event in here.actor("supervisor").events}


@pytest.mark.parametrize("fault", ["raise SystemExit(3)", "raise KeyboardInterrupt", "1 / 0"])
async def test_a_constructor_that_fails(tmp_path: Path, fault: str) -> None:
    (tmp_path / "failing.py").write_text(
        "from actors import Component\n"
        "class Failing(Component):\n"
        f"    def __init__(self):\n        {fault}\n"
    )
    sys.modules.pop("failing", None)
    async with world(tmp_path, GATE) as here:
        refused = await here.ask(SpawnComponent(ComponentSpec("Failing", "failing:Failing")))
        assert isinstance(refused, Refused)
        assert "Failing() failed" in refused.reason


async def test_a_name_may_be_spawned_again_with_another_route(tmp_path: Path) -> None:
    source = GATE.replace('"[body]"', '"[body]", type="chat"')
    async with world(tmp_path, source, "component") as here, here.user() as bar:
        reference = here.actor("Gate").spec.reference
        assert isinstance(await here.ask(StopActor("Gate")), Done)
        for thread in ("first", "second"):
            route = RouteSpec(f"/message[thread='{thread}']", "now")
            spec = ComponentSpec("G", reference, (route,))
            assert isinstance(await here.ask(SpawnComponent(spec)), Done)
            bar.say(Message("x@main.localhost", thread, thread=thread))
            assert body(await bar.hear()) == thread
            assert isinstance(await here.ask(StopActor("G")), Done)


async def test_a_connection_that_is_gone_gets_no_lane_again(tmp_path: Path) -> None:
    async with world(tmp_path, GATE, "component") as here, here.user() as bar:
        bar.say(message("lost", "x@main.localhost"))
        await until(lambda: module(here).ran)
        component, gone = here.actor("Gate"), here.actor("main").ref
        await kill(here, "main")
        await here.until("connected", "main")
        module(here).gate.set()
        await until(lambda: not component.tasks and not component.busy)
        bar.say(Message("x@main.localhost", "after", type="normal"))
        assert body(await bar.hear()) == "after"
        component._lane(gone)  # as for stanzas of it that are still on the way
        assert len(component.lanes) == 1


async def test_what_a_request_got_twice_is_sent_once(tmp_path: Path) -> None:
    """The router believes a component dead, and its answer comes in after that."""
    async with world(tmp_path, GATE) as here, here.user() as bar:
        asked = get("wait")
        bar.say(asked)
        await until(lambda: module(here).ran)
        connection = here.actor("main")
        error = InternalServerError("lost", type="wait")
        refusal = RefuseStanzas(connection.incarnation, tuple(connection.ledger.held), error, True)
        connection.on_RefuseStanzas(refusal, None)
        module(here).gate.set()
        await until(lambda: not here.actor("Gate").tasks)
        assert (await bar.hear()).failure is not None
        assert body(await bar.ask(Message(here.service, "next", type="normal"))) == "next"


async def test_who_has_died_without_a_word_is_found(tmp_path: Path) -> None:
    """Of two processes that die at once, Thespian may notice one only."""
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    async with world(tmp_path, GATE) as here:
        supervisor = here.actor("supervisor")
        supervisor.children["Gate"].pid = gone.pid
        supervisor._beat()
        await here.until("died", "Gate")
        await here.until("started", "Gate")
