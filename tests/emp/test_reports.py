"""What others reported of other programs, tried on the layers that need no server.

The table of docs/interoperability.md tells whose reports these are; most of them are played by the
tests of the layer that they are about.
"""

from __future__ import annotations

import pytest

from emp.errors import JIDError, LocalProtocolError
from emp.jid import JID
from emp.stanza import Message
from tests.emp.stream.features.test_sm import SM, STANZAS, lost, resuming


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<error type='cancel'><item-not-found {0}/><text {0}>Unknown session</text></error>",
        "<item-not-found {0}/><text {0}>gone</text>",
        "<unexpected-request {0}/>",
        "<bogus xmlns='u:v'/>",
        "what?",
    ],
)
def test_a_resumption_is_refused_in_any_words(inner: str) -> None:
    """A new session follows, and what was not acknowledged is given back once."""
    books = lost()
    stream = resuming(books)
    stream.data_to_send()
    refusal = f"<failed {SM}>{inner.format(STANZAS)}</failed>"
    assert stream.receive_data(refusal.encode()) == []
    assert b"<bind" in stream.data_to_send()
    assert [each.number for each in books.take_lost()] == [1, 2, 3]
    assert books.take_lost() == []


@pytest.mark.parametrize(
    "text",
    [
        *("test@/test", "lp@/rp", "@example.net/", "e@example.net/", "test@chat.example.net/"),
        *(f"b{sign}d@example.net" for sign in "\"&':<>"),
        *("foo bar@example.net", "stan@desktop lobby@conference.desktop", "foo@boo@example.net/x"),
    ],
)
def test_addresses_that_are_not_made(text: str) -> None:
    with pytest.raises(JIDError):
        JID.parse(text)
    assert str(JID.parse("foobar@example.net")) == "foobar@example.net"  # nothing sticks


@pytest.mark.parametrize(
    "text",
    ["\x02", "description \x1a of a page", "\ud83d", "\x00", "\ufffe", "\uffff", "\x0b"],
)
def test_text_that_no_stream_can_carry_is_told_to_who_wrote_it(text: str) -> None:
    with pytest.raises(LocalProtocolError, match="XML does not have"):
        Message("a@b.test", text).to_bytes()


@pytest.mark.parametrize(
    "text", ["\U0001f431", "💎" * 3000, "<test>test", "&#xdc31;", "\"'&<>]]>", "\t\n", "\U0010ffff"]
)
def test_text_that_any_stream_can_carry(text: str) -> None:
    wire = Message("a@b.test", text).to_bytes()
    again = Message.parse(wire)
    assert isinstance(again, Message)
    assert again.body == text
