"""Stanzas as columns: what goes in comes out, whatever they have in common."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emp.columns import pack, unpack
from emp.stanza import Iq, Message, Presence, Stanza
from emp.xml import E

BODY = st.sampled_from([None, "", "text", "a < b & c", "ä\n\t€"])
ADDRESS = st.sampled_from([None, "anne@example.org", "bob@example.org/desk", "example.org"])
PAYLOAD = st.sampled_from([(), (E("{urn:x}one"),), (E("{urn:x}two"), E("{urn:x}one"))])

messages = st.builds(
    lambda to, body, payloads, type, id, sender, thread: Message(
        to, body, *payloads, type=type, id=id, from_=sender, thread=thread
    ),
    ADDRESS, BODY, PAYLOAD, st.sampled_from(["chat", "normal", "error"]), BODY, ADDRESS, BODY,
)  # fmt: skip
presences = st.builds(lambda to, status: Presence(to, status=status), ADDRESS, BODY)
iqs = st.builds(lambda to, type: Iq(type, E("{urn:x}q"), to=to), ADDRESS, st.sampled_from(["get"]))
stanzas = st.one_of(messages, presences, iqs)
parsed = stanzas.map(lambda stanza: Stanza.parse(stanza.to_bytes()))


def seen(stanza: Stanza) -> tuple[object, ...]:
    text = (stanza.body, stanza.thread) if isinstance(stanza, Message) else ()
    envelope = (stanza.__class__, stanza.type, stanza.id, stanza.from_text, stanza.to_text)
    return (*envelope, stanza.payload_name, stanza.to_bytes(), *text)


@given(st.lists(st.one_of(stanzas, parsed), min_size=1, max_size=20), st.booleans())
def test_all_comes_out_as_it_went_in(batch: list[Stanza], contents: bool) -> None:
    there = unpack(pickle.loads(pickle.dumps(pack(batch, contents=contents))))
    assert [seen(each) for each in there] == [seen(each) for each in batch]


def test_what_was_changed_goes_as_it_is() -> None:
    stanza = Message("anne@example.org", "old", id="1")
    stanza.body = "new"
    stanza.xml.set("id", "2")
    (there,) = unpack(pack([stanza]))
    assert isinstance(there, Message)
    assert (there.body, there.id, there.payload_name) == ("new", "2", None)


def test_columns_are_smaller_than_stanzas() -> None:
    batch = [Message(f"user{n}@example.org", f"text {n}", type="chat") for n in range(100)]
    assert len(pickle.dumps(pack(batch))) < len(pickle.dumps(batch))


@pytest.mark.parametrize("count", [1, 2, 50])
def test_the_same_over_and_over(count: int) -> None:
    stanza = Message("anne@example.org", "text")
    there = unpack(pack([stanza] * count))
    assert len(there) == count
    assert len({id(each) for each in there}) == count
