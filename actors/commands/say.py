"""`emp say`: one message to an address, as a user of the development server, and the answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from actors.commands import output
from actors.commands.server import DIRECTORY_OPTION, PORT, pair
from emp.config import ConnectionSettings
from emp.errors import ConfigError, EmpError
from emp.jid import JID
from emp.net import open_stream
from emp.stanza import Message, Stanza

CLOSE = 2.0
"""Seconds for the server's good-bye."""


@click.command()
@click.argument("to")
@click.argument("text")
@click.option(
    "--as", "account", metavar="USER:PASSWORD", default="bar:bar", show_default=True, help="Who."
)
@click.option("--domain", default="localhost", show_default=True, help="The server's domain.")
@click.option("--port", type=PORT, default=5222, show_default=True, help="Its port for clients.")
@DIRECTORY_OPTION
@click.option("--timeout", default=10.0, show_default=True, help="Seconds to wait for an answer.")
def say(
    to: str, text: str, account: str, domain: str, port: int, directory: Path, timeout: float
) -> None:
    """Say TEXT to the address TO, as a user of `emp server`, and print the answer.

    The answer is what is sent to the full JID that has asked, as replies are; what goes to the
    account (foo@localhost) waits for a client of its own.

    \b
    Examples:
      emp say foo@localhost hello
      emp say anybody@hack.localhost hello --as alice:wonder
    """
    user, password = pair(account, "USER:PASSWORD")
    ca_file = directory.expanduser() / "ca.pem"
    if not ca_file.is_file():
        raise ConfigError(f"there is no {ca_file}", remedy="start `emp server` first")
    settings = ConnectionSettings(
        name="say",
        kind="client",
        node=user,
        host=domain,
        password=password,
        server="localhost",
        port=port,
        ca_file=ca_file,
        priority=-1,  # so that what others say, or have said, is not for us (RFC 6121 §8.5.2)
        management=False,
    )
    asyncio.run(_say(settings, to, text, timeout))


async def _say(settings: ConnectionSettings, to: str, text: str, timeout: float) -> None:
    sink = _Sink(JID.parse(to).bare)
    stream = await open_stream(settings, sink)
    try:
        stream.send([Message(to, text, type="chat")])
        async with asyncio.timeout(timeout):
            answer = await sink.answer()
    except TimeoutError:
        raise EmpError(f"no answer from {to} within {timeout:g} s") from None
    finally:
        await stream.close(CLOSE)
    if (error := answer.failure) is not None:
        raise EmpError(f"{answer.from_text}: {error}")
    output.say(f"{answer.from_text}: {answer.body}")


class _Sink:
    def __init__(self, asked: JID) -> None:
        self._asked = asked
        self._heard: asyncio.Queue[Message] = asyncio.Queue()

    async def answer(self) -> Message:
        """The next message that says something."""
        while True:
            message = await self._heard.get()
            if message.body is not None or message.type == "error":
                return message

    def stanzas_received(self, stanzas: list[Stanza]) -> None:
        for stanza in stanzas:
            sender = stanza.from_
            if isinstance(stanza, Message) and sender is not None and sender.bare == self._asked:
                self._heard.put_nowait(stanza)

    def stream_lost(self, error: EmpError | None) -> None:
        """The wait for an answer runs into its timeout."""

    def write_paused(self) -> None:
        """One message fills no socket."""

    def write_resumed(self) -> None:
        """Never paused."""
