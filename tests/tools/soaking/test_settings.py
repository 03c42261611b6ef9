"""Which faults a seed means."""

from __future__ import annotations

from collections import Counter

from tools.soaking.settings import KEEPALIVE, PING_TIMEOUT, Settings


def test_the_seed_decides() -> None:
    assert Settings(seed=7).faults() == Settings(seed=7).faults()
    assert Settings(seed=7).faults() != Settings(seed=8).faults()


def test_as_many_faults_as_asked_for_within_the_traffic() -> None:
    settings = Settings(messages=1000, cuts=20, stalls=7, seed=1)
    faults = settings.faults()
    kinds = Counter(fault.kind for fault in faults)
    assert kinds["stall"] == 7
    assert kinds["fin"] + kinds["rst"] == 20
    assert min(kinds.values()) > 0
    assert sum(fault.after for fault in faults) < 1000 * 600
    assert {fault.direction for fault in faults} == {"up", "down"}


def test_every_other_stall_must_be_noticed() -> None:
    stalls = [
        fault.seconds
        for fault in Settings(cuts=5, stalls=9, seed=3).faults()
        if fault.kind == "stall"
    ]
    assert sum(seconds > KEEPALIVE + PING_TIMEOUT for seconds in stalls) == 5


def test_everybody_has_as_many_messages() -> None:
    settings = Settings(messages=10, users=4, window=2)
    assert (settings.each, settings.total, settings.window_each) == (3, 12, 1)
    assert Settings(messages=0).faults() != []
