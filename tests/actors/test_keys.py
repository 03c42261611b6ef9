"""The key of a stanza: whose stanzas stay in order."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from actors.keys import LENGTH, key_of
from emp.stanza import Message, Stanza


def message(sender: str | None, thread: str | None = None) -> Stanza:
    stanza = Message("to@localhost", "hello", thread=thread)
    stanza.from_text = sender
    return stanza


def component(key: Any) -> type:
    return type("Chat", (), {"key": staticmethod(key) if callable(key) else key})


@pytest.mark.parametrize(
    ("key", "sender", "expected"),
    [
        ("session", "a@b/c", "a@b/c"),
        ("session", "a@b", "a@b"),
        ("session", None, ""),
        ("sender", "a@b/c", "a@b"),
        ("sender", "a@b/c/d", "a@b"),
        ("sender", "a@b", "a@b"),
        ("sender", "b", "b"),
        ("sender", None, ""),
    ],
)
def test_words(key: str, sender: str | None, expected: str) -> None:
    assert key_of(component(key))(message(sender)) == expected


def test_who_says_nothing_has_the_session() -> None:
    assert key_of(object)(message("a@b/c")) == "a@b/c"


def test_a_function_of_the_stanza() -> None:
    key = key_of(component(lambda stanza: stanza.thread))
    assert key(message("a@b/c", "one")) == "one"


@pytest.mark.parametrize("fault", [lambda stanza: 1 / 0, lambda stanza: None, lambda: "no stanza"])
def test_a_function_that_fails_is_reported_once(
    fault: Any, caplog: pytest.LogCaptureFixture
) -> None:
    key = key_of(component(fault))
    with caplog.at_level(logging.ERROR):
        assert [key(message("a@b/c")) for _ in range(3)] == ["a@b/c"] * 3
    [record] = caplog.records
    assert "Chat.key" in record.getMessage()


def test_what_peers_may_write_at_length_is_not_kept_at_length() -> None:
    key = key_of(component(lambda stanza: stanza.thread))
    one, other = "x" * LENGTH + "1", "x" * LENGTH + "2"
    found = {key(message("a@b", thread)) for thread in (one, other, one)}
    assert len(found) == 2
    assert max(map(len, found)) < LENGTH
    assert key(message("a@b", "x" * LENGTH)) == "x" * LENGTH
