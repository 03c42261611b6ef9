"""The payloads that need a line or two: ping, client state, stanza ids."""

from __future__ import annotations

import pytest

from emp.jid import JID
from emp.stanza import Message, Stanza
from emp.xep import csi, ping
from emp.xep.stanza_id import origin_id_of, remove, stanza_id, stanza_id_of
from emp.xml import E, parse

ROOM = JID.parse("room@muc.example.com")
SID = "urn:xmpp:sid:0"


def test_ping() -> None:
    asked = ping.ping("capulet.lit")
    assert (asked.type, asked.to_text, asked.payload_name) == ("get", "capulet.lit", ping.PING)
    assert ping.ping().to_text is None


@pytest.mark.parametrize(("state", "tag"), [("active", csi.ACTIVE), ("inactive", csi.INACTIVE)])
def test_client_states_are_whole_elements(state: csi.ClientState, tag: str) -> None:
    assert parse(csi.nonza(state)).tag == tag


def with_ids(*ids: tuple[str | None, str | None]) -> Stanza:
    children = [E("stanza-id", xmlns=SID, id=id, by=by) for id, by in ids]
    return Stanza.parse(Message("a@b", "hi", *children).to_bytes())


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        ([("1", "room@muc.example.com")], "1"),
        ([("1", "Room@MUC.example.com")], "1"),  # addresses are normalised (§5, rule 7)
        ([("0", "other@muc.example.com"), ("1", "room@muc.example.com")], "1"),
        ([("1", "room@muc.example.com/nick")], None),
        ([("1", "muc.example.com")], None),
        ([("1", None)], None),
        ([("1", "@@")], None),
        ([(None, "room@muc.example.com")], None),
        ([("", "room@muc.example.com")], None),
        ([], None),
    ],
)
def test_ids_count_from_their_giver_only(
    ids: list[tuple[str | None, str | None]], found: str | None
) -> None:
    assert stanza_id_of(with_ids(*ids), ROOM) == found


def test_an_id_inside_another_element_is_not_the_stanzas() -> None:
    inner = E.forwarded(stanza_id("1", ROOM), xmlns="urn:xmpp:forward:0")
    assert stanza_id_of(Message("a@b", "hi", inner), ROOM) is None


def test_what_others_wrote_in_our_name_is_removed() -> None:
    stanza = with_ids(
        ("1", "room@muc.example.com"), ("2", "other@x"), ("3", "ROOM@muc.example.com"), ("4", "@")
    )
    remove(stanza, ROOM)
    ids = [child.get("id") for child in stanza.tree if child.tag.endswith("stanza-id")]
    assert ids == ["2", "4"]
    assert b"room" not in stanza.to_bytes().lower()


def test_origin_id() -> None:
    assert origin_id_of(Message("a@b", "hi", E("origin-id", xmlns=SID, id="7"))) == "7"
    assert origin_id_of(Message("a@b", "hi", E("origin-id", xmlns=SID))) is None
    assert origin_id_of(Message("a@b", "hi")) is None
