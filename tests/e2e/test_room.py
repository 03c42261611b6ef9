"""The guide's example of a chat room, in a real one: one "hi" gets one answer."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.e2e.application import ROOT, UP_SECONDS, application
from tests.e2e.person import Person
from tests.e2e.test_hack import bar, configuration
from tools.servers import Server

MUC = "http://jabber.org/protocol/muc"


def example(room: str) -> str:
    """greeter.py of the guide, for that room."""
    found = re.search(
        r"```python\n(# greeter\.py\n.*?)```", (ROOT / "docs/routing.md").read_text(), re.S
    )
    assert found is not None
    assert "tea@rooms.localhost" in found[1]
    return found[1].replace("tea@rooms.localhost", room)


async def open_room(user: Person, room: str) -> None:
    """A room of its own, which a new one is only when it was configured (XEP-0045 §10.1.2)."""
    client = user.client
    entered = asyncio.Event()
    client.add_event_handler("presence_available", lambda _: entered.set())
    client.send_raw(f"<presence to='{room}/bar'><x xmlns='{MUC}'/></presence>")
    async with asyncio.timeout(UP_SECONDS):
        await entered.wait()
    submitted = ElementTree.Element(f"{{{MUC}#owner}}query")
    ElementTree.SubElement(submitted, "{jabber:x:data}x", {"type": "submit"})
    form: Any = client.make_iq_set(sub=submitted, ito=room)
    await form.send(timeout=UP_SECONDS)


async def until(user: Person, body: str) -> list[str]:
    """What is heard, up to that."""
    heard: list[str] = []
    while body not in heard[-1:]:
        text = (await user.hear(UP_SECONDS)).body
        heard += [text] if text else []
    return heard


@pytest.mark.parametrize("kind", ["client", "component"])
async def test_one_hi_gets_one_answer(local_server: Server, kind: str, tmp_path: Path) -> None:
    room = f"tea-{kind}@{local_server.conference}"
    (tmp_path / "greeter.py").write_text(example(room))
    async with bar(local_server) as user:
        await open_room(user, room)
        user.say(room, "hi", "groupchat")  # history
        await until(user, "hi")
        there = asyncio.Event()

        def seen(presence: Any) -> None:
            if str(presence["from"]) == f"{room}/greeter":
                there.set()

        user.client.add_event_handler("presence_available", seen)
        config = configuration(local_server, kind, tmp_path)
        async with application(str(tmp_path / "greeter.py"), "--config", config) as greeter:
            async with asyncio.timeout(UP_SECONDS):
                await there.wait()
            user.say(room, "hi", "groupchat")
            assert await until(user, "hello, bar") == ["hi", "hello, bar"]
            user.say(room, "hi", "groupchat")
            assert await until(user, "hello, bar") == ["hi", "hello, bar"]
            user.say(room, "bye", "groupchat")
            assert await until(user, "bye") == ["bye"]
            assert await greeter.stop() == 0
