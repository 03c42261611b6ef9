"""Components in processes of their own: what they do on one loop, they do there."""

from __future__ import annotations

import asyncio
from pathlib import Path

from actors.messages import StopSystem
from emp import ns
from emp.errors import RemoteServerTimeout
from emp.stanza import Iq, Message, Stanza
from emp.xml import E
from tests.actors.world import world

APART = """
import actors
import os
import threading
import time
from actors import Component, blocking, every
from emp import ns
from emp.routing import Routes
from emp.xml import E

class First(Component):
    def pass_on(self, body): self.skip()

class Apart(Component):
    def __init__(self):
        self.ticks = 0
    async def startup(self):
        self.pid = os.getpid()
    def shutdown(self):
        self.say("bar@localhost", "good-bye")
    @every(0.01, first=0)
    def tick(self): self.ticks += 1

    @blocking
    def slow(self, sender):
        while not self.ticks:  # the loop goes on
            time.sleep(0.001)
        self.say(sender, threading.current_thread().name.partition(" ")[0])
        answer = self.wait(self.iq_get(sender, E.ping(xmlns=ns.PING), timeout=15))
        return answer.type

    def many(self):
        for number in range(3000):
            yield str(number)

    @actors.deadline(0.05)
    @blocking
    def stuck(self): threading.Event().wait()

    def take(self, body): return f"{body} {self.connection.jid} {self.pid == os.getpid()}"

routes = Routes(namespaces={"e": "urn:example"})
routes.iq_get("e:stuck").to(Apart.stuck)
routes.message(body="slow").to(Apart.slow)
routes.message(body="many").to(Apart.many)
routes.message("[body]").to(First.pass_on)
routes.message("[body]").to(Apart.take)
"""


def body(stanza: Stanza) -> str | None:
    assert isinstance(stanza, Message)
    return stanza.body


def message(text: str) -> Message:
    return Message("foo@localhost/main", text, type="chat")


async def test_in_processes(tmp_path: Path) -> None:
    extra = '[system]\nbase = "multiproc"'
    async with world(tmp_path, APART, extra=extra) as here, here.user() as bar:
        assert body(await bar.ask(message("skipped"))) == "skipped foo@localhost/main True"
        assert body(await bar.ask(message("slow"))) == "blocking"
        request = await bar.hear()
        assert isinstance(request, Iq)
        assert request.payload_name == f"{{{ns.PING}}}ping"
        assert body(await bar.ask(request.result())) == "result"
        bar.say(message("many"))
        assert [body(await bar.hear()) for _ in range(3000)] == [str(n) for n in range(3000)]
        stuck = Iq("get", E.stuck(xmlns="urn:example"), to=here.service)
        assert isinstance((await bar.ask(stuck)).failure, RemoteServerTimeout)
        stopping = asyncio.create_task(here.ask(StopSystem(5.0)))
        assert body(await bar.hear()) == "good-bye"
        await stopping
