"""XEP-0030 and the hash of XEP-0115."""

from __future__ import annotations

import pytest

from emp.stanza import Iq, Presence
from emp.xep import disco
from emp.xep.caps import Capabilities, ver
from emp.xep.disco import Identity, Info
from emp.xml import E, parse

EXODUS = Info(
    (Identity("client", "pc", name="Exodus 0.9.1"),),
    frozenset(
        {
            "http://jabber.org/protocol/caps",
            "http://jabber.org/protocol/disco#info",
            "http://jabber.org/protocol/disco#items",
            "http://jabber.org/protocol/muc",
        }
    ),
)
NODE = "http://code.google.com/p/exodus"
VER = "QgayPKawpkPSDYmwT/WM94uAlu0="


def test_the_verification_string_of_the_xep() -> None:
    assert ver(EXODUS) == VER  # XEP-0115 §5.2


def test_order_does_not_matter_and_language_does() -> None:
    psi = (Identity("client", "pc", "en", "Psi 0.11"), Identity("client", "pc", "el", "Ψ 0.11"))
    features = frozenset({"urn:b", "urn:a"})
    assert ver(Info(psi, features)) == ver(Info(psi[::-1], features))
    assert ver(Info(psi, features)) != ver(Info(psi[:1], features))


def test_presence_carries_node_and_hash() -> None:
    child = Presence(None, Capabilities(NODE, EXODUS)).payload
    assert child is not None
    assert child.tag == "{http://jabber.org/protocol/caps}c"
    assert dict(child.attrib) == {"hash": "sha-1", "node": NODE, "ver": VER}


def test_the_question_for_the_hash_is_answered() -> None:
    capabilities = Capabilities(NODE, EXODUS)
    answer = capabilities.answer(disco.ask("a@b/c", f"{NODE}#{VER}"))
    assert answer is not None
    assert answer.node == f"{NODE}#{VER}"
    assert (answer.identities, answer.features) == (EXODUS.identities, EXODUS.features)


@pytest.mark.parametrize(
    "request_",
    [
        disco.ask("a@b/c"),
        disco.ask("a@b/c", NODE),
        disco.ask("a@b/c", f"{NODE}#"),
        disco.ask("a@b/c", f"{NODE}#AAAA"),
        Iq("get", E.query(xmlns="http://jabber.org/protocol/disco#items", node=f"{NODE}#{VER}")),
        Iq("get", E.ping(xmlns="urn:xmpp:ping")),
    ],
)
def test_other_questions_are_not(request_: Iq) -> None:
    assert Capabilities(NODE, EXODUS).answer(request_) is None


def test_info_there_and_back() -> None:
    info = Info((Identity("client", "bot", "de", "Käfer"),), frozenset({"urn:a", "urn:b"}), "n")
    assert disco.read(parse(Iq("result", info).to_bytes())[0]) == info


def test_incomplete_entries_are_left_out() -> None:
    query = parse(
        "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='client'/>"
        "<identity type='bot'/><feature/><feature var=''/><feature var='urn:a'/><x/></query>"
    )
    assert disco.read(query) == Info((), frozenset({"urn:a"}))
