"""The person at the other end: a chatting user made with another library (slixmpp)."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import slixmpp

STEP_SECONDS = 20.0
"""A log-in or an answer that takes longer is not coming; test machines are slow and shared."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One message that a person got."""

    sender: str
    body: str
    type: str


class Person:
    """A user who is online. Made by `person`."""

    def __init__(self, client: slixmpp.ClientXMPP, heard: "asyncio.Queue[Heard]") -> None:
        self._client = client
        self._heard = heard

    @property
    def client(self) -> slixmpp.ClientXMPP:
        """The library's own, for what has no method here."""
        return self._client

    @property
    def jid(self) -> str:
        """The full JID that the server has given."""
        return str(self._client.boundjid.full)

    @property
    def tls(self) -> ssl.SSLObject | None:
        """What the transport knows about its TLS; None when there is none."""
        found: ssl.SSLObject | None = self._client.transport.get_extra_info("ssl_object")
        return found

    def say(self, to: str, body: str, type: str = "chat") -> None:
        """Sends a message."""
        self._client.send_message(mto=to, mbody=body, mtype=type)

    async def hear(self, seconds: float = STEP_SECONDS) -> Heard:
        """The next message that has not been heard yet. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            return await self._heard.get()


class LogInFailed(Exception):
    """The user did not get in; the argument says what slixmpp reported."""


@contextlib.asynccontextmanager
async def person(
    jid: str, password: str, *, host: str, port: int, ca_file: Path
) -> AsyncIterator[Person]:
    """Logs in over verified STARTTLS, sends presence, and logs out at the end.

    Raises LogInFailed, or TimeoutError after STEP_SECONDS.
    """
    loop = asyncio.get_running_loop()
    online: asyncio.Future[None] = loop.create_future()
    heard: asyncio.Queue[Heard] = asyncio.Queue()

    def fail(reason: object = "") -> None:
        if not online.done():
            online.set_exception(LogInFailed(reason))

    def start(_event: object) -> None:
        if not online.done():
            client.send_presence()
            online.set_result(None)

    def hear(message: slixmpp.Message) -> None:
        heard.put_nowait(Heard(str(message["from"]), message["body"], message["type"]))

    client = slixmpp.ClientXMPP(jid, password)
    client.loop = loop
    client.ca_certs = ca_file
    client.enable_direct_tls = False
    client.enable_plaintext = False
    client.add_event_handler("session_start", start)
    client.add_event_handler("message", hear)
    for event in ("failed_all_auth", "ssl_invalid_chain", "connection_failed"):
        client.add_event_handler(event, fail)
    client.connect(host, port)
    try:
        async with asyncio.timeout(STEP_SECONDS):
            await online
        yield Person(client, heard)
    finally:
        client.cancel_connection_attempt()
        await client.disconnect()
