"""What stops at the gate, and what is said of it."""

from __future__ import annotations

import logging
from typing import Any, cast

import pytest

from actors.gate import Gate
from emp.stanza import Message, Stanza


def test_what_is_for_another_domain_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    written: list[Stanza] = []
    gate = Gate("main", "ours.test", cast(Any, None), None, written.extend)
    caplog.set_level(logging.INFO)
    stanzas = [
        Message(to, "hi", from_="bar@localhost/x") for to in ("a@other.test", "b@other.test")
    ]
    assert (
        gate.admit([(1, stanzas[0]), (2, stanzas[1]), (3, Message("c@ours.test", "hi"))])[0][0] == 3
    )
    (line,) = caplog.messages
    assert "'a@other.test', but this is ours.test" in line
    assert "global_routes: false" in line
    assert gate.counts["misaddressed"] == 2
    assert written == []  # an answer would be in somebody else's name
