"""The application under fire: answers every message, and sends numbered ones at its own pace.

What it is told stands in the environment variable EMP_SOAK, as JSON; what it sees and does goes to
a journal. It knows nothing of the faults.
"""

import asyncio
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

from actors import Component
from emp.errors import LocalProtocolError
from emp.events import Connected, Disconnected, Resumed, SendFailed
from emp.routing import Routes
from emp.stanza import Message

# An application's folder is all that it can import from; these are the project's own tools.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tools.soaking.history import Journal, Note
from tools.soaking.window import Window

ME = "app"
RETRY_SECONDS = 0.2
"""When the connection takes no more."""
VAIN_SECONDS = 1.0
"""Before every message after one that failed, until an answer comes: without it, all messages of a
run would fail within one interruption."""


class Soaked(Component):
    def __init__(self) -> None:
        told = json.loads(os.environ["EMP_SOAK"])
        self.users: dict[str, str] = told["users"]  # name → address
        self.messages: int = told["messages"]  # to each of them
        self.window: int = told["window"]
        self.chance = random.Random(told["seed"])
        self.journal = Journal(Path(told["journal"]))
        self.windows: dict[str, Window] = {}
        self.in_vain = False
        self.pacing: list[asyncio.Task[None]] = []

    def take(self, body: str) -> str | None:
        note = Note.parse(body)
        if note is None:
            self.journal.remark("strange", repr(body))
            return None
        self.journal.note("seen", ME, note)
        if note.topic == "ack":
            self.in_vain = False
            self.windows[note.sender].closed(note.number)
            return None
        answer = note.answer()
        self.journal.note("sent", ME, answer)
        return answer.text()

    async def on_connected(self, event: Connected) -> None:
        self.journal.remark("connected", f"{time.monotonic()}")
        if self.pacing:
            return
        for user, address in self.users.items():
            self.windows[user] = Window(self.window)
            self.pacing.append(asyncio.create_task(self.talk(user, address)))

    def on_resumed(self, event: Resumed) -> None:
        self.journal.remark("resumed", f"{time.monotonic()}")

    def on_disconnected(self, event: Disconnected) -> None:
        self.journal.remark("disconnected", event.reason.replace("\n", " "))

    def on_send_failed(self, failure: SendFailed) -> None:
        note = Note.parse(_body(failure.stanza))
        if note is None:
            self.journal.remark("strange", f"SendFailed for {failure.stanza!r}")
            return
        self.journal.note("failed", ME, note)
        self.in_vain = True
        if note.topic == "out":
            self.windows[note.receiver].closed(note.number)

    async def talk(self, user: str, address: str) -> None:
        """Bursts, with short breaks."""
        window, number = self.windows[user], 0
        while number < self.messages:
            for _ in range(self.chance.randint(1, 10)):
                if number == self.messages:
                    break
                await window.room()
                if self.in_vain:
                    await asyncio.sleep(VAIN_SECONDS)
                note = Note("out", ME, user, number)
                window.opened(number)
                self.journal.note("sent", ME, note)
                await self.post(Message(address, note.text(), type="chat"))
                number += 1
            await asyncio.sleep(self.chance.uniform(0, 0.02))

    async def post(self, message: Message) -> None:
        while True:
            try:
                return self.send(message)
            except LocalProtocolError:
                await asyncio.sleep(RETRY_SECONDS)


def _body(stanza: Any) -> str:
    return str(getattr(stanza, "body", "") or "")


routes = Routes()
with routes.resource("soak"):
    routes.message("[body][not(@type='error')]").to(Soaked.take)
