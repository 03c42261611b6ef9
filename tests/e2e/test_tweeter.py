"""The tweeter application on real servers: routes, captures, payload classes, filters, views."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from slixmpp.exceptions import IqError

from tests.e2e.application import application
from tests.e2e.person import Person, person
from tools.servers import Server

TW = "urn:example:tweeter"
TEXT = f"{{{TW}}}text"


class Reader:
    """Bar, and the address of the service."""

    def __init__(self, user: Person, service: str) -> None:
        self.user, self.service = user, service

    async def ask(
        self, kind: str, name: str, text: str = "", **attributes: str
    ) -> list[ElementTree.Element]:
        """An IQ to the service; the elements of the result. Raises IqError."""
        payload = ElementTree.Element(f"{{{TW}}}{name}", attributes)
        if text:
            ElementTree.SubElement(payload, TEXT).text = text
        iq = self.user.client.make_iq(itype=kind, ito=self.service)
        iq.append(payload)
        answer = await asyncio.wait_for(iq.send(), 20)
        return list(answer.xml)

    async def condition(
        self, kind: str, name: str, text: str = "", **attributes: str
    ) -> tuple[str, str]:
        """The error of an IQ: its condition and text."""
        with pytest.raises(IqError) as refused:
            await self.ask(kind, name, text, **attributes)
        return refused.value.condition, refused.value.text

    async def tells(self, to: str, body: str) -> str:
        self.user.say(to, body)
        return (await self.user.hear()).body


@pytest.fixture(params=["embedded", "multiproc"])
async def reader(
    request: pytest.FixtureRequest, local_server: Server, tmp_path: Path
) -> AsyncIterator[Reader]:
    server = local_server
    config = tmp_path / "emp.toml"
    config.write_text(
        f'[connections.tweeter]\nserver = "{server.host}"\nhost = "{server.components[0]}"\n'
        f'secret = "{server.component_secret}"\nport = {server.component_port}\n'
    )
    system = ("--config", str(config), "--system", request.param)
    async with (
        application("apps/tweeter", *system) as tweeter,
        person(
            "bar@localhost/test",
            server.account("bar"),
            host=server.host,
            port=server.client_port,
            ca_file=server.ca_file,
        ) as user,
    ):
        yield Reader(user, server.components[0])
        assert await tweeter.stop() == 0


async def test_tweeter(reader: Reader) -> None:
    (posted,) = await reader.ask("set", "tweet", "first & <best>")
    assert (posted.tag, posted.get("id"), posted.get("author")) == (
        f"{{{TW}}}tweet",
        "1",
        "bar@localhost",
    )
    assert posted.findtext(TEXT) == "first & <best>"
    assert await reader.tells(reader.service, "!tweet  the second ") == "#2 is posted"
    (tweets,) = await reader.ask("get", "tweets")
    assert tweets.tag == f"{{{TW}}}tweets"
    assert [tweet.findtext(TEXT) for tweet in tweets] == ["the second", "first & <best>"]
    assert [len(each) for each in await reader.ask("get", "tweets", limit="1")] == [1]
    assert [len(each) for each in await reader.ask("get", "tweets", author="foo@localhost")] == [0]
    (shown,) = await reader.ask("get", "tweet", id="1")
    assert shown.findtext(TEXT) == "first & <best>"

    assert await reader.tells(f"foo@{reader.service}", "?") == "foo has not said anything yet"
    assert await reader.tells(f"bar@{reader.service}", "what?") == "#2: the second"
    assert (await reader.user.hear()).body == "#1: first & <best>"
    assert "!tweet TEXT" in await reader.tells(reader.service, "what?")

    assert (await reader.condition("get", "tweet", id="9"))[0] == "item-not-found"
    condition, text = await reader.condition("get", "tweet", id="x")
    assert condition == "bad-request"
    assert "id" in text
    assert "integer" in text
    assert (await reader.condition("set", "tweet", "x" * 141))[0] == "not-acceptable"
    assert (await reader.condition("set", "tweet"))[0] == "bad-request"
    assert (await reader.condition("get", "nonsense"))[0] == "service-unavailable"

    await reader.ask("set", "tweet", id="1")
    assert (await reader.condition("get", "tweet", id="1"))[0] == "item-not-found"
