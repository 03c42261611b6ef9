"""Applications on the embedded system, against the development server: the way of a stanza."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from actors.ledger import HELD_STANZAS, OVERFULL
from actors.messages import (
    ActorInspected,
    ActorList,
    ComponentSpec,
    Done,
    InspectActor,
    ListActors,
    Refused,
    RouteSpec,
    SpawnComponent,
    StopActor,
    StopSystem,
)
from actors.sending import OUTGOING_STANZAS
from emp import ns
from emp.errors import (
    InternalServerError,
    ItemNotFound,
    ResourceConstraint,
    ServiceUnavailable,
)
from emp.stanza import Iq, Message
from emp.xml import E
from tests.actors.world import World, world

ECHO = """
from actors import Component
from emp.routing import Routes

class Echo(Component):
    def echo(self, body):
        return f"you said {body}"

routes = Routes()
routes.message("[body]").to(Echo.echo)
"""

MANY = """
import asyncio
from actors import Component, NoAnswer
from emp import ns
from emp.errors import ItemNotFound
from emp.routing import Routes
from emp.stanza import Message
from emp.xml import E

class Many(Component):
    def __init__(self):
        self.count = 0

    def result(self, id):
        return E.thing(xmlns="urn:example", id=id)

    def nothing(self):
        return None

    def missing(self):
        self.fail(ItemNotFound, "no such thing")

    def broken(self):
        return 1 / 0

    def strange(self):
        return 3.14

    async def later(self, body):
        await asyncio.sleep(0)
        self.count += 1
        return f"{self.count}: {body}"

    async def late_failure(self):
        await asyncio.sleep(0)
        raise ItemNotFound("later")

    async def ping(self, sender):
        await self.iq_get(sender, E.ping(xmlns=ns.PING), timeout=5)
        return "pong"

    async def ask_nobody(self, sender):
        try:
            await self.iq_get("baz@localhost/nobody", E.ping(xmlns=ns.PING), timeout=5)
        except Exception as error:
            return type(error).__name__

    async def ask_the_deaf(self, sender):
        try:
            await self.iq_get(sender, E.ping(xmlns=ns.PING), timeout=0.3)
        except NoAnswer as error:
            return str(error)

    def two(self, sender):
        self.send(Message(sender, "first"))
        return "second"

routes = Routes(namespaces={"e": "urn:example"})
routes.iq_get("e:thing", id="e:thing/@id").to(Many.result)
routes.iq_set("e:thing").to(Many.nothing)
routes.iq_get("e:missing").to(Many.missing)
routes.iq_get("e:broken").to(Many.broken)
routes.iq_get("e:strange").to(Many.strange)
routes.iq_get("e:late").to(Many.late_failure)
routes.message(body="ping").to(Many.ping)
routes.message(body="nobody").to(Many.ask_nobody)
routes.message(body="deaf").to(Many.ask_the_deaf)
routes.message(body="two").to(Many.two)
routes.message(body="broken").to(Many.broken)
routes.message("[body]").to(Many.later)
"""


def get(name: str, **attributes: str) -> Iq:
    return Iq("get", E(name, xmlns="urn:example", **attributes), to="foo@localhost/main")


def message(body: str, to: str = "foo@localhost/main") -> Message:
    return Message(to, body, type="chat")


@pytest.mark.parametrize("kind", ["client", "component"])
async def test_a_stanza_goes_all_the_way(tmp_path: Path, kind: str) -> None:
    async with world(tmp_path, ECHO, kind) as here, here.user() as bar:
        to = here.service if kind == "client" else "somebody@main.localhost"
        answer = await bar.ask(message("hello", to))
        assert isinstance(answer, Message)
        assert (answer.body, answer.from_text, answer.type) == ("you said hello", to, "chat")


async def test_the_boot_is_reported_step_by_step(tmp_path: Path) -> None:
    async with world(tmp_path, ECHO) as here:
        names = [report.name for report in here.reports]
        chatter = [f"main: {step}" for step in ("resolve", "connect", "secure", "authenticate")]
        assert names[:6] == ["configuration", "routes", "plan", "system", "supervisor", "control"]
        assert names[6:] == ["router", "Echo", *chatter, "main: bind", "main: presence"]
        assert all(report.ok for report in here.reports)


async def test_results_and_errors(tmp_path: Path) -> None:
    async with world(tmp_path, MANY) as here, here.user() as bar:
        result = await bar.ask(get("thing", id="7"))
        assert (result.type, result.payload_name) == ("result", "{urn:example}thing")
        empty = await bar.ask(Iq("set", E.thing(xmlns="urn:example"), to=here.service))
        assert (empty.type, empty.payload) == ("result", None)
        missing = (await bar.ask(get("missing"))).failure
        assert isinstance(missing, ItemNotFound)
        assert missing.text == "no such thing"
        late = (await bar.ask(get("late"))).failure
        assert isinstance(late, ItemNotFound)


@pytest.mark.parametrize("name", ["broken", "strange"])
async def test_a_failing_action_is_answered_with_an_incident(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(tmp_path, MANY) as here, here.user() as bar:
        error = (await bar.ask(get(name))).failure
        assert isinstance(error, InternalServerError)
        assert error.text.startswith("incident ")
        assert "ZeroDivisionError" not in error.text
        again = await bar.ask(get("thing", id="7"))
        assert again.type == "result"


async def test_unrouted_requests_are_answered_and_messages_are_not(tmp_path: Path) -> None:
    async with world(tmp_path, MANY) as here, here.user() as bar:
        bar.say(Message(here.service, type="chat", id="nobody-answers"))
        error = (await bar.ask(get("unknown"))).failure
        assert isinstance(error, ServiceUnavailable)
        facts = (await here.ask(InspectActor("router"))).facts
        assert facts["unrouted"] >= 2


async def test_one_senders_stanzas_keep_their_order(tmp_path: Path) -> None:
    async with world(tmp_path, MANY) as here, here.user() as bar:
        bar.say(*[message(f"m{number}") for number in range(200)])
        bodies = [(await bar.hear()).body for _ in range(200)]  # type: ignore[attr-defined]
        assert bodies == [f"{number + 1}: m{number}" for number in range(200)]


async def test_their_order_is_kept_when_a_batch_takes_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.running.TURN", -1.0)  # every action is too long
    source = MANY.replace(
        "    async def later(self, body):\n        await asyncio.sleep(0)\n",
        """
    async def later(self, body):
        if not self.count % 3:
            await asyncio.sleep(0)
""",
    ).replace(
        'routes.message(body="ping")',
        'routes.message(body="now").to(Many.nothing)\nroutes.message(body="ping")',
    )
    async with world(tmp_path, source) as here, here.user() as bar:
        said = [text for number in range(100) for text in (f"m{number}", "now")]
        bar.say(*[message(text) for text in said])
        bodies = [(await bar.hear()).body for _ in range(100)]  # type: ignore[attr-defined]
        assert bodies == [f"{number + 1}: m{number}" for number in range(100)]
        actor = here.actor("Many")
        async with asyncio.timeout(20):
            while here.actor("main").ledger.held:
                await asyncio.sleep(0)
        assert not actor.busy
        assert not actor.put_off
        assert not actor.source.remaining


async def test_an_action_asks_and_gets_its_answer(tmp_path: Path) -> None:
    async with world(tmp_path, MANY) as here, here.user() as bar:
        request = await bar.ask(message("ping"))
        assert isinstance(request, Iq)
        assert request.payload_name == f"{{{ns.PING}}}ping"
        answer = await bar.ask(request.result())
        assert isinstance(answer, Message)
        assert answer.body == "pong"


async def test_an_answer_from_a_stranger_does_not_count(tmp_path: Path) -> None:
    async with world(tmp_path, MANY) as here, here.user() as bar, here.user("baz") as baz:
        request = await bar.ask(message("ping"))
        forged = Iq("result", to=here.service, id=request.id)
        baz.say(forged, message("later"))
        assert (await baz.hear()).body == "1: later"  # type: ignore[attr-defined]
        assert here.actor("main").gate.counts["uninvited"] == 1
        assert isinstance(request, Iq)
        assert (await bar.ask(request.result())).body == "pong"  # type: ignore[attr-defined]


async def test_errors_and_silence_reach_the_asker(tmp_path: Path) -> None:
    async with world(tmp_path, MANY) as here, here.user() as bar:
        assert (await bar.ask(message("nobody"))).body == "ServiceUnavailable"  # type: ignore[attr-defined]
        await bar.ask(message("deaf"))  # the request, which stays without an answer
        assert "no answer within 0.3 s" in (await bar.hear()).body  # type: ignore[attr-defined]


async def test_sending_beside_answering(tmp_path: Path) -> None:
    async with world(tmp_path, MANY) as here, here.user() as bar:
        bar.say(message("two"))
        bodies = [(await bar.hear()).body for _ in range(2)]  # type: ignore[attr-defined]
        assert sorted(bodies) == ["first", "second"]


SLEEPY = """
import asyncio
from actors import Component
from emp.routing import Routes

gate = asyncio.Event()

class Sleepy(Component):
    async def sleep(self, body):
        await gate.wait()
        return body

routes = Routes()
routes.message("[body]").to(Sleepy.sleep)
"""


async def test_a_flood_into_a_sleeping_component_pauses_the_socket(tmp_path: Path) -> None:
    async with world(tmp_path, SLEEPY, "component") as here, here.user() as bar:
        flood = 3 * HELD_STANZAS
        bar.say(*[message(str(number), "x@main.localhost") for number in range(flood)])
        connection, component = here.actor("main"), here.actor("Sleepy")
        async with asyncio.timeout(20):
            while not connection.paused:
                await asyncio.sleep(0)
        held = len(connection.ledger.held)
        assert HELD_STANZAS <= held < flood
        assert sum(len(queue) for queue in component.busy.values()) < flood
        import sys

        sys.modules[type(component.component).__module__].gate.set()
        heard = [(await bar.hear()).body for _ in range(flood)]  # type: ignore[attr-defined]
        assert heard == [str(number) for number in range(flood)]
        assert not connection.paused


async def test_actors_are_listed_and_inspected(tmp_path: Path) -> None:
    async with world(tmp_path, ECHO) as here, here.user() as bar:
        await bar.ask(message("hello"))
        listed = await here.ask(ListActors())
        assert isinstance(listed, ActorList)
        rows = {row.name: row for row in listed.rows}
        assert list(rows) == ["supervisor", "router", "Echo", "main"]
        assert (rows["main"].state, rows["main"].detail) == ("connected", here.service)
        assert {row.parent for row in listed.rows} == {None, "supervisor"}
        inspected = await here.ask(InspectActor("Echo"))
        assert isinstance(inspected, ActorInspected)
        assert inspected.facts["handled"] == 1
        supervisor = await here.ask(InspectActor("supervisor"))
        assert supervisor.facts["children"] == 3
        unknown = await here.ask(InspectActor("nobody"))
        assert isinstance(unknown, Refused)


def reference(here: World, name: str) -> str:
    spec = here.actor(name).spec
    assert isinstance(spec, ComponentSpec)
    return spec.reference


async def test_a_second_worker_takes_its_share_in_order(tmp_path: Path) -> None:
    async with world(tmp_path, ECHO, "component") as here:
        spawned = await here.ask(SpawnComponent(ComponentSpec("Echo-2", reference(here, "Echo"))))
        assert isinstance(spawned, Done)
        async with here.user() as bar, here.user("baz") as baz, here.user("foo") as foo:
            for user in (bar, baz, foo):
                user.say(*[message(str(n), "x@main.localhost") for n in range(50)])
                bodies = [(await user.hear()).body for _ in range(50)]  # type: ignore[attr-defined]
                assert bodies == [f"you said {n}" for n in range(50)]
        handled = [here.actor(name).handled for name in ("Echo", "Echo-2")]
        assert sum(handled) == 150
        assert all(handled)


async def test_a_spawned_class_brings_its_route(tmp_path: Path) -> None:
    (tmp_path / "extra.py").write_text(
        "from actors import Component\n"
        "class Extra(Component):\n"
        "    def shout(self, body):\n"
        "        return (body or '').upper() + '!'\n"
    )
    source = ECHO.replace('"[body]"', '"[body]", type="chat"')
    async with world(tmp_path, source) as here, here.user() as bar:
        route = RouteSpec("/message[@type='headline']", "shout")
        spec = ComponentSpec("Extra", "extra:Extra", (route,))
        assert isinstance(await here.ask(SpawnComponent(spec)), Done)
        answer = await bar.ask(Message(here.service, "hello", type="headline"))
        assert answer.body == "HELLO!"  # type: ignore[attr-defined]
        again = await here.ask(SpawnComponent(spec))
        assert isinstance(again, Refused)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (ComponentSpec("A", "nowhere:A"), "No module named 'nowhere'"),
        (ComponentSpec("A", "nonsense"), "names no class"),
        (ComponentSpec("A", "decimal:Decimal"), "not a Component"),
        (ComponentSpec("A", "decimal:Nope"), "has no class"),
    ],
)
async def test_what_cannot_be_spawned(tmp_path: Path, spec: ComponentSpec, reason: str) -> None:
    async with world(tmp_path, ECHO) as here:
        refused = await here.ask(SpawnComponent(spec))
        assert isinstance(refused, Refused)
        assert reason in refused.reason


async def test_a_stopped_component_is_not_restarted_and_its_stanzas_are_refused(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, MANY) as here, here.user() as bar:
        assert isinstance(await here.ask(StopActor("Many")), Done)
        error = (await bar.ask(get("thing", id="7"))).failure
        assert isinstance(error, ServiceUnavailable)
        listed = await here.ask(ListActors())
        assert "Many" not in [row.name for row in listed.rows]


@pytest.mark.parametrize("name", ["router", "supervisor"])
async def test_what_cannot_be_stopped_alone(tmp_path: Path, name: str) -> None:
    async with world(tmp_path, ECHO) as here:
        refused = await here.ask(StopActor(name))
        assert isinstance(refused, Refused)
        assert "emp-admin stop" in (refused.remedy or "")


async def test_a_component_that_dies_is_replaced(tmp_path: Path) -> None:
    async with world(tmp_path, MANY) as here, here.user() as bar:
        await bar.ask(message("one"))
        await kill(here, "Many")
        await here.until("started", "Many")
        assert (await bar.ask(message("two again"))).body == "1: two again"  # type: ignore[attr-defined]
        listed = await here.ask(ListActors())
        assert {row.name: row.restarts for row in listed.rows}["Many"] == 1


async def test_what_a_dead_component_was_given_gets_an_error(tmp_path: Path) -> None:
    async with world(tmp_path, SLEEPY) as here, here.user() as bar:
        bar.say(message("you will never answer"))
        async with asyncio.timeout(20):
            while not here.actor("Sleepy").tasks:
                await asyncio.sleep(0)
        await kill(here, "Sleepy")
        error = (await bar.hear()).failure
        assert isinstance(error, InternalServerError)
        assert error.type == "wait"


async def test_a_router_that_dies_is_replaced_and_nothing_is_handled_twice(tmp_path: Path) -> None:
    async with world(tmp_path, SLEEPY) as here, here.user() as bar:
        bar.say(*[message(str(number)) for number in range(10)])
        component = here.actor("Sleepy")
        async with asyncio.timeout(20):
            while len(here.actor("main").ledger.held) < 10 or not component.tasks:
                await asyncio.sleep(0)
        await kill(here, "router")
        await here.until("started", "router")
        import sys

        sys.modules[type(component.component).__module__].gate.set()
        bar.say(message("after"))
        heard = [(await bar.hear()).body for _ in range(11)]  # type: ignore[attr-defined]
        assert heard == [*(str(number) for number in range(10)), "after"]


async def kill(here: World, name: str) -> None:
    """What comes nearest to a crash in one process: it ends without having been told to."""
    from thespian.actors import ActorExitRequest

    assert here.boot.system is not None
    here.boot.system.tell(here.address(name), ActorExitRequest())
    await here.until("died", name)


async def test_the_server_goes_away_and_comes_back(tmp_path: Path) -> None:
    async with world(tmp_path, ECHO) as here:
        await here.server.stop()
        await here.until("waiting", "main")
        await here.server.start()
        await here.until("connected", "main")
        async with here.user() as bar:
            assert (await bar.ask(message("back?"))).body == "you said back?"  # type: ignore[attr-defined]


async def test_an_answer_counts_although_the_loop_was_held_up_meanwhile(tmp_path: Path) -> None:
    async with world(tmp_path, ECHO) as here:
        asking = asyncio.create_task(here.boot.ask(ListActors(), 0.01))
        await asyncio.sleep(0)  # it has asked
        time.sleep(0.05)  # an action that blocks
        assert isinstance(await asking, ActorList)


ASKING = """
from actors import Component
from emp import ns
from emp.routing import Routes
from emp.xml import E

class Asking(Component):
    async def ask(self, sender, body):
        await self.iq_get(sender, E.ping(xmlns=ns.PING), timeout=15)
        return body

routes = Routes()
routes.message("[body]").to(Asking.ask)
"""


async def test_awaited_answers_come_in_although_the_books_are_full(tmp_path: Path) -> None:
    """Or the actions that fill the books would wait for ever for what stands in the socket."""
    async with world(tmp_path, ASKING, "component") as here, here.user() as bar:
        flood = HELD_STANZAS + 500
        bar.say(*[message(str(number), "x@main.localhost") for number in range(flood)])
        answered = 0
        while answered < flood:
            stanza = await bar.hear()
            if isinstance(stanza, Iq):
                bar.say(stanza.result())
            else:
                assert isinstance(stanza, Message)
                assert stanza.body == str(answered)
                answered += 1
        assert not here.actor("main").ledger.held


async def test_beyond_the_second_bound_stanzas_are_refused(tmp_path: Path) -> None:
    async with world(tmp_path, ASKING, "component") as here, here.user() as bar:
        flood = OVERFULL * HELD_STANZAS + 4000
        bar.say(*[message(str(number), "x@main.localhost") for number in range(flood)])
        refused = answered = 0
        while answered + refused < flood:
            stanza = await bar.hear()
            if isinstance(stanza, Iq):
                bar.say(stanza.result())
            elif stanza.type == "error":
                assert isinstance(stanza.failure, ResourceConstraint)
                refused += 1
            else:
                answered += 1
        assert refused > 0
        assert answered >= HELD_STANZAS


async def test_sending_has_a_bound(tmp_path: Path) -> None:
    source = ECHO.replace(
        'return f"you said {body}"',
        "[self.send(Message('bar@localhost', body)) for _ in range(100_000)]",
    ).replace("from actors", "from emp.stanza import Message\nfrom actors")
    async with world(tmp_path, source) as here, here.user() as bar:
        bar.say(message("flood"))
        heard = [await bar.hear() for _ in range(OUTGOING_STANZAS + 1)]
        errors = [stanza for stanza in heard if stanza.type == "error"]
        assert len(errors) == 1
        assert isinstance(errors[0].failure, InternalServerError)


async def test_a_spawned_route_goes_with_its_component(tmp_path: Path) -> None:
    (tmp_path / "passing.py").write_text(
        "from actors import Component\n"
        "class Passing(Component):\n"
        "    def first(self):\n"
        "        return 'first'\n"
        "    def second(self):\n"
        "        return 'second'\n"
    )
    source = ECHO.replace('"[body]"', '"[body]", type="chat"')
    async with world(tmp_path, source) as here, here.user() as bar:
        headline = Message(here.service, "hello", type="headline")
        for action, xpath in (("first", "/*[@type]"), ("second", "/message[@type='headline']")):
            spec = ComponentSpec("Passing", "passing:Passing", (RouteSpec(xpath, action),))
            assert isinstance(await here.ask(SpawnComponent(spec)), Done)
            assert (await bar.ask(headline)).body == action  # type: ignore[attr-defined]
            assert isinstance(await here.ask(StopActor("Passing")), Done)
        facts = (await here.ask(InspectActor("router"))).facts
        assert facts["routes"] == 1


async def test_a_class_that_no_route_leads_to_is_not_spawned(tmp_path: Path) -> None:
    (tmp_path / "lonely.py").write_text(
        "from actors import Component\nclass Lonely(Component):\n    pass\n"
    )
    async with world(tmp_path, ECHO) as here:
        refused = await here.ask(SpawnComponent(ComponentSpec("Lonely", "lonely:Lonely")))
        assert isinstance(refused, Refused)
        assert "--route" in refused.reason


async def test_a_constructor_that_fails_later_is_tried_again(tmp_path: Path) -> None:
    source = """
import pathlib
from actors import Component
from emp.routing import Routes

class Needy(Component):
    def __init__(self):
        if pathlib.Path(__file__).with_name("away").exists():
            raise OSError("the database is away")

    def echo(self, body):
        return body

routes = Routes()
routes.message("[body]").to(Needy.echo)
"""
    async with world(tmp_path, source) as here, here.user() as bar:
        away = tmp_path / "away"
        away.touch()
        await kill(here, "Needy")
        await here.until("died", "Needy")
        away.unlink()
        await here.until("started", "Needy")
        assert (await bar.ask(message("back"))).body == "back"  # type: ignore[attr-defined]


async def test_a_stop_waits_for_an_answer_that_is_under_way(tmp_path: Path) -> None:
    async with world(tmp_path, MANY) as here, here.user() as bar:
        request = await bar.ask(message("ping"))
        assert isinstance(request, Iq)
        stopping = asyncio.create_task(here.boot.ask(StopSystem(20.0), 30.0))
        async with asyncio.timeout(20):
            while not here.actor("main").closing:
                await asyncio.sleep(0)
        late = await bar.ask(get("thing", id="7"))
        assert isinstance(late.failure, ServiceUnavailable)
        answer = await bar.ask(request.result())
        assert isinstance(answer, Message)
        assert answer.body == "pong"
        assert isinstance(await stopping, Done)


async def test_what_is_sent_first_arrives_first(tmp_path: Path) -> None:
    source = MANY.replace(
        "await self.iq_get(sender, E.ping(xmlns=ns.PING), timeout=5)",
        "self.send(Message(sender, 'first'))\n"
        "        await self.iq_get(sender, E.ping(xmlns=ns.PING), timeout=5)",
    )
    async with world(tmp_path, source) as here, here.user() as bar:
        assert (await bar.ask(message("ping"))).body == "first"  # type: ignore[attr-defined]
        request = await bar.hear()
        assert isinstance(request, Iq)
        assert (await bar.ask(request.result())).body == "pong"  # type: ignore[attr-defined]
