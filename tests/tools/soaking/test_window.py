"""Senders wait while too much is unanswered, but not for ever."""

from __future__ import annotations

import asyncio

from tools.soaking.window import Window


async def test_a_full_window_waits_for_an_answer() -> None:
    window = Window(2)
    for number in range(2):
        await window.room()
        window.opened(number)
    waiting = asyncio.create_task(window.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    window.closed(7)  # nobody's
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    window.closed(1)
    await waiting
    assert len(window) == 1


async def test_what_is_never_answered_is_given_up() -> None:
    window = Window(1, patience=0.01)
    await window.room()
    window.opened(0)
    await window.room()
    assert len(window) == 0
