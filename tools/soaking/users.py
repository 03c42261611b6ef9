"""The other side: users of slixmpp, whose connections nobody cuts."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import slixmpp

from tools.soaking.errors import SoakError
from tools.soaking.history import Journal, Note
from tools.soaking.window import Window

LOG_IN_SECONDS = 30.0
BOUNCE_SECONDS = 1.0
"""Pause of a user who heard that the application is not there, before every message until an answer
comes: without it, all the messages of a run would come back within one interruption."""

APP = "app"


class User:
    """Sends `messages` numbered messages to the application, and answers those it gets.

    `seen` and `sent` count by topic; `bounced` are messages that the server gave back.
    """

    def __init__(self, name: str, jid: str, password: str, journal: Journal, window: int) -> None:
        self.name, self.jid = name, jid
        self.sent = {"in": 0, "ack": 0}
        self.seen = {"out": 0, "answer": 0}
        self.bounced = 0
        self._journal = journal
        self._window = Window(window)
        self._client = slixmpp.ClientXMPP(jid, password)
        self._online: asyncio.Future[None] | None = None
        self._in_vain = False

    async def log_in(self, host: str, port: int, ca_file: Path) -> None:
        """Raises SoakError when that fails."""
        loop = asyncio.get_running_loop()
        self._online = loop.create_future()
        client = self._client
        client.loop = loop
        client.ca_certs = ca_file
        client.enable_direct_tls = False
        client.enable_plaintext = False
        client.add_event_handler("session_start", self._started)
        client.add_event_handler("message", self._heard)
        client.add_event_handler("message_error", self._bounced)
        client.add_event_handler("failed_all_auth", self._failed)
        client.add_event_handler("connection_failed", self._failed)
        client.connect(host, port)
        try:
            async with asyncio.timeout(LOG_IN_SECONDS):
                await self._online
        except TimeoutError:
            raise SoakError(f"{self.jid} could not log in within {LOG_IN_SECONDS:g} s") from None

    async def log_out(self) -> None:
        self._client.cancel_connection_attempt()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOG_IN_SECONDS):
                await self._client.disconnect()

    async def talk(self, to: str, messages: int) -> None:
        """Say the numbered messages, as fast as answers come."""
        for number in range(messages):
            await self._window.room()
            if self._in_vain:
                await asyncio.sleep(BOUNCE_SECONDS)
            self._window.opened(number)
            self._say(to, Note("in", self.name, APP, number))
            await asyncio.sleep(0)  # slixmpp's own tasks, and everybody else

    def _say(self, to: str, note: Note) -> None:
        self.sent[note.topic] += 1
        self._journal.note("sent", self.name, note)
        message = self._client.make_message(mto=to, mbody=note.text(), mtype="chat")
        message["id"] = f"{note.topic}-{note.number}"
        message.send()

    def _heard(self, message: slixmpp.Message) -> None:
        if message["type"] == "error":  # ejabberd gives the body back with it
            return
        note = Note.parse(message["body"])
        if note is None:
            self._journal.remark("strange", f"{self.name} got {str(message)!r}")
            return
        self._journal.note("seen", self.name, note)
        self.seen[note.topic] = self.seen.get(note.topic, 0) + 1
        if note.topic == "out":
            self._say(str(message["from"]), note.answer())
        else:
            self._in_vain = False
            self._window.closed(note.number)

    def _bounced(self, message: slixmpp.Message) -> None:
        topic, _, number = str(message["id"]).partition("-")
        self.bounced += 1
        self._journal.remark("bounced", f"{self.name} {topic} {number}")
        if number.isdigit():
            self._journal.note("failed", self.name, Note(topic, self.name, APP, int(number)))
            if topic == "in":
                self._window.closed(int(number))
        self._in_vain = True

    def _started(self, _event: object) -> None:
        self._client.send_presence()
        if self._online is not None and not self._online.done():
            self._online.set_result(None)

    def _failed(self, reason: object = "") -> None:
        if self._online is not None and not self._online.done():
            self._online.set_exception(SoakError(f"{self.jid} could not log in: {reason}"))
