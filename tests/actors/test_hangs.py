"""What hangs is healed as what dies is: processes of the multiproc system."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from actors import rundir
from actors.child import Child
from actors.ledger import HELD_STANZAS
from actors.messages import (
    ActorRow,
    ComponentSpec,
    Done,
    ListActors,
    ReloadRoutes,
    RoutesReloaded,
    SpawnComponent,
    StopActor,
)
from emp.errors import InternalServerError
from emp.stanza import Iq, Message, Stanza
from emp.xml import E
from tests.actors.systems.processes import all_ended
from tests.actors.world import World, world

HANGING = """
import time
from actors import Component
from emp.routing import Routes

class Bad(Component):
    def spin(self):
        while True:
            pass
    def sleep(self):
        time.sleep(1e6)
    def slow(self, body):
        time.sleep(0.3)
        return f"slow, {body}"
    def well(self, body):
        return f"well, {body}"

class Echo(Component):
    def echo(self, body):
        return f"you said {body}"

routes = Routes(namespaces={"e": "urn:example"})
routes.iq_get("e:spin").to(Bad.spin)
routes.iq_get("e:sleep").to(Bad.sleep)
routes.message("[starts-with(body, 'slow')]").to(Bad.slow)
routes.message("[starts-with(body, 'bad')]").to(Bad.well)
routes.message("[body]").to(Echo.echo)
"""


def get(name: str) -> Iq:
    return Iq("get", E(name, xmlns="urn:example"), to="foo@localhost/main")


def message(body: str) -> Message:
    return Message("foo@localhost/main", body, type="chat")


def body(stanza: Stanza) -> str | None:
    assert isinstance(stanza, Message), stanza
    return stanza.body


@asynccontextmanager
async def hanging(tmp_path: Path, limit: float = 2) -> AsyncIterator[World]:
    extra = f'[system]\nbase = "multiproc"\nhang_limit = {limit}'
    async with world(tmp_path, HANGING, extra=extra) as here:
        yield here


async def rows(here: World) -> dict[str, ActorRow]:
    return {row.name: row for row in (await here.ask(ListActors())).rows}


@pytest.mark.parametrize("how", ["spin", "sleep"])
async def test_an_action_that_hangs_and_a_flood_behind_it(
    tmp_path: Path, how: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async with (
        hanging(tmp_path) as here,
        here.user() as bar,
        here.user("baz") as baz,
    ):
        request = get(how)
        bar.say(request)
        bar.say(*[message(f"bad {number}") for number in range(HELD_STANZAS + 50)])
        await here.until("hung", "Bad")
        await here.until("started", "Bad")
        assert body(await baz.ask(message("hello"))) == "you said hello"
        answers = []
        while not answers or answers[-1].type != "chat" or body(answers[-1]) != "well, bad last":
            if len(answers) == HELD_STANZAS + 51:
                bar.say(message("bad last"))
            answers.append(await bar.hear())
        failed = [answer for answer in answers if answer.id == request.id]
        assert len(failed) == 1  # and of the others each got one answer
        assert isinstance(failed[0].failure, InternalServerError)
    said = capfd.readouterr().err
    assert "component Bad, process" in said
    assert "is hung and is killed: no answer for" in said
    assert f"Bad, action Bad.{how}, with iq of type get from bar@localhost/test" in said
    assert re.search(rf'File "{tmp_path}.*", line \d+ in {how}$', said, re.MULTILINE)


@pytest.mark.parametrize("name", ["router", "main", "Bad"])
async def test_a_process_that_is_stopped_is_replaced(tmp_path: Path, name: str) -> None:
    async with hanging(tmp_path) as here, here.user() as bar:
        before = (await rows(here))[name].pid
        os.kill(before, signal.SIGSTOP)
        await here.until("hung", name)
        await here.until("connected" if name == "main" else "started", name)
        assert body(await bar.ask(message("bad luck"))) == "well, bad luck"
        after = await rows(here)
        assert after[name].pid != before
        assert {each: row.restarts for each, row in after.items() if row.restarts} == {name: 1}
        assert all_ended([before])


async def test_slow_actions_are_no_hang(tmp_path: Path) -> None:
    """A batch of them takes longer than the limit, but each has its answer when it is over."""
    async with hanging(tmp_path, 1) as here, here.user() as bar:
        bar.say(*[message(f"slow {number}") for number in range(12)])
        for number in range(12):
            assert body(await bar.hear()) == f"slow, slow {number}"
        assert (await rows(here))["Bad"].restarts == 0


async def test_a_router_that_reads_many_routes_does_not_hang(tmp_path: Path) -> None:
    async with hanging(tmp_path, 1) as here, here.user() as bar:
        pid = (await rows(here))["router"].pid
        file = next(tmp_path.glob("app*.py"))
        file.write_text(f"import time\ntime.sleep(3)\n{file.read_text()}")  # beyond the limit
        assert isinstance(await here.ask(ReloadRoutes()), RoutesReloaded)
        assert body(await bar.ask(message("hello"))) == "you said hello"
        assert (await rows(here))["router"].pid == pid
        os.kill(pid, signal.SIGSTOP)  # the patience is over
        await here.until("hung", "router")


@pytest.mark.parametrize(
    ("state", "worked", "starved"),
    [
        ("R", 0.9, True),
        ("R", 1.1, False),
        ("D", 0.0, True),
        ("S", 0.0, False),
        ("T", 0.0, False),
        ("Z", 0.0, False),
    ],
)
def test_who_had_no_time_from_the_machine_is_slow(
    monkeypatch: pytest.MonkeyPatch, state: str, worked: float, starved: bool
) -> None:
    child = Child("Bad", "component", None, pid=4711)
    ticks = os.sysconf("SC_CLK_TCK")

    def told(state: str, seconds: float) -> None:
        fields = [state, *["0"] * 10, str(int(seconds * ticks)), "0"]
        monkeypatch.setattr(rundir, "stat_of", lambda pid: fields if pid == 4711 else None)

    told("R", 7.0)
    assert child.miss() == 1
    told(state, 7.0 + worked)
    assert child.miss() == 2
    assert child.starved(1.0) is starved
    child.pid = 4712  # gone
    assert not child.starved(1.0)


async def test_a_pause_that_lasts_is_told_with_who_holds_it_up(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with hanging(tmp_path, 8) as here, here.user() as bar, here.user("baz") as baz:
        bar.say(get("sleep"))
        bar.say(*[message(f"bad {number}") for number in range(HELD_STANZAS + 500)])
        await here.until("paused", "main")
        row = (await rows(here))["main"]
        assert row.state == "paused"
        assert re.search(r"stanzas are not handled; in hand: Bad \d+$", row.detail)
        await here.until("connected", "main")
        assert body(await baz.ask(message("hello"))) == "you said hello"
        assert (await rows(here))["main"].detail == "foo@localhost/main"
    said = capfd.readouterr().err
    assert re.search(r"main: nothing has been read for 5 s: \d+ stanzas .* in hand: Bad", said)
    assert re.search(r"main: reading goes on after \d+ s", said)


async def test_a_supervisor_that_was_stopped_kills_nobody(tmp_path: Path) -> None:
    async with hanging(tmp_path, 1) as here, here.user() as bar:
        before = await rows(here)
        os.kill(before["supervisor"].pid, signal.SIGSTOP)
        await asyncio.sleep(2)  # what it missed is what is tested
        os.kill(before["supervisor"].pid, signal.SIGCONT)
        assert body(await bar.ask(message("hello"))) == "you said hello"
        after = await rows(here)
        assert {name: row.pid for name, row in after.items()} == {
            name: row.pid for name, row in before.items()
        }


async def test_who_hangs_is_stopped_by_force_and_comes_back_when_wanted(tmp_path: Path) -> None:
    async with hanging(tmp_path, 0) as here, here.user() as bar:
        pid = (await rows(here))["Bad"].pid
        os.kill(pid, signal.SIGSTOP)
        assert isinstance(await here.ask(StopActor("Bad")), Done)
        assert all_ended([pid])
        assert "Bad" not in await rows(here)
        module = next(tmp_path.glob("app*.py")).stem
        spawned = await here.ask(SpawnComponent(ComponentSpec("Bad", f"{module}:Bad")))
        assert isinstance(spawned, Done)
        assert body(await bar.ask(message("bad luck"))) == "well, bad luck"


@pytest.mark.parametrize("name", ["router", "main", "Bad", "supervisor"])
async def test_the_system_stops_whoever_hangs(tmp_path: Path, name: str) -> None:
    async with hanging(tmp_path, 0) as here:
        pids = {each: row.pid for each, row in (await rows(here)).items()}
        os.kill(pids[name], signal.SIGSTOP)
        async with asyncio.timeout(30):
            killed = await here.boot.shut_down(0.5)
        here.boot.system = None  # it is gone
        assert killed
        assert any(str(pids[name]) in each for each in killed)
        assert all_ended(pids.values())
