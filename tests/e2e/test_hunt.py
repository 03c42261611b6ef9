"""A hunt for stanzas that a server passes on and that a bot cannot bear.

Each run plays the same ones. A longer hunt, by hand:

    EMP_HUNT=5000 EMP_HUNT_SEED=7 pytest tests/e2e/test_hunt.py
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.e2e.oddities import oddity
from tests.e2e.stranger import Bot, Refused, bot, stranger
from tools.servers import Server

STANZAS = int(os.environ.get("EMP_HUNT", "60"))
SEED = int(os.environ.get("EMP_HUNT_SEED", "1"))
BATCH = 5
"""Stanzas between two questions: what one that the server refuses takes with it is not played."""


async def disturbs(here: Bot, server: Server, stanzas: list[str]) -> bool | None:
    """Whether the bot minds; None: the server has refused it."""
    try:
        async with stranger(server, "bob") as someone:
            for stanza in stanzas:
                await someone.send(stanza)
            await here.answers(someone)
    except Refused:
        return None if here.is_undisturbed() else True
    except TimeoutError:
        return True
    return not here.is_undisturbed()


@pytest.mark.timeout(120 + STANZAS)
@pytest.mark.parametrize("kind", ["client", "component"])
async def test_nothing_that_a_server_passes_on_disturbs(
    real_server: Server, kind: str, tmp_path: Path
) -> None:
    chance = random.Random(f"{SEED} {real_server.name} {kind}")
    played = asked = 0
    guilty: list[str] = []
    async with bot(tmp_path, real_server, kind) as here:
        while asked < STANZAS and not guilty:
            batch = [oddity(chance, here.address) for _ in range(BATCH)]
            asked += BATCH
            verdict = await disturbs(here, real_server, batch)
            played += BATCH if verdict is not None else 0
            if verdict:
                guilty = batch
    assert not guilty, await culprits(tmp_path, real_server, kind, guilty)
    assert played > STANZAS / 3


async def culprits(tmp_path: Path, server: Server, kind: str, batch: list[str]) -> str:
    """Which stanzas of the batch it was, for a new bot; all of them when none does it alone."""
    found = []
    for stanza in batch:
        async with bot(tmp_path, server, kind) as here:
            if await disturbs(here, server, [stanza]):
                found.append(stanza)
    return f"seed {SEED}:\n" + "\n".join(found or ["all of these:", *batch])
