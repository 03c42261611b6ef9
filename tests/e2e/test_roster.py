"""A roster of 20,000 contacts, fetched from a real server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from emp.jid import JID
from emp.xep.roster import Item
from tests.e2e.member import Member, member
from tests.e2e.place import real
from tools import servers
from tools.servers import Server

CONTACTS = 20_000
SECONDS = 240.0
"""For a server to take and give them: far more than it needs."""


def contact(number: int) -> Item:
    return Item(JID(f"contact-{number}", "example.org"), f"It's <{number}>", ("People",))


def write(server: Server) -> None:
    """As Prosody stores them: by requests it would write the whole roster for each."""
    folder = Path(server._plan.directory) / "data" / server.domain.replace(".", "%2e") / "roster"
    folder.mkdir(parents=True, exist_ok=True)
    items = (
        f'["{item.jid}"] = {{ name = "{item.name}"; subscription = "none";'
        ' groups = { ["People"] = true; }; };'
        for item in map(contact, range(CONTACTS))
    )
    text = "\n".join(items)
    (folder / "carol.dat").write_text(f"return {{\n[false] = {{ version = 1; }};\n{text}\n}};\n")


async def fetched(carol: Member) -> int:
    async with asyncio.timeout(SECONDS):
        while carol.session.roster is None:
            carol._changed.clear()
            await carol._changed.wait()
    return len(carol.session.roster)


@pytest.mark.server
async def test_twenty_thousand_contacts() -> None:
    """ejabberd can be given as many by requests only, which takes it minutes."""
    with servers.prosody() as server:
        write(server)
        async with member(real(server), "carol", roster=True) as carol:
            assert await fetched(carol) == CONTACTS
            items = carol.session.roster or {}
            assert items[contact(7).jid] == contact(7)
