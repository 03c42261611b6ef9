"""Client and component against the server role: the whole conversation, whatever the chunks."""

from typing import Any

import pytest

from emp.errors import (
    AuthenticationError,
    BadRequest,
    Conflict,
    JidMalformed,
    LocalProtocolError,
    NotAcceptable,
    NotAllowed,
    ResourceConstraint,
    StanzaError,
    StreamError,
)
from emp.jid import JID
from emp.stanza import Iq, Message, Presence
from emp.stream.events import (
    Authenticated,
    Ready,
    StanzasReceived,
    StreamClosed,
    StreamFailed,
)
from emp.xml import build
from tests.emp.stream.law import client, component, failed, said, server
from tests.emp.stream.pair import Cut, Pair, byte_by_byte, whole

CUTS = pytest.mark.parametrize("cut", [whole, byte_by_byte])

NEGOTIATION = [
    *("StreamOpened", "StartTLS"),
    *("StreamOpened", "Authenticated"),
    *("StreamOpened", "Ready"),
]


def secure_pair(cut: Cut = whole, /, at_server: Any = None, **changes: Any) -> Pair:
    settings = {"require_tls": True} | changes
    return Pair(client(**settings), server(**{"require_tls": True} | (at_server or {})), cut)


def component_pair(cut: Cut = whole, /, at_server: Any = None, **changes: Any) -> Pair:
    return Pair(component(**changes), server(**at_server or {}), cut)


@CUTS
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_client_logs_in(cut: Cut, mechanism: str) -> None:
    pair = secure_pair(cut, mechanisms=(mechanism,), resource="balcony")
    pair.start()
    jid = JID("juliet", "localhost", "balcony")
    for side in (0, 1):
        assert pair.names(side) == NEGOTIATION
        assert Authenticated("juliet", mechanism) in pair.events[side]
        assert pair.last(side) == Ready(jid)
        assert pair.ends[side].ready
    assert pair.handshakes == 1


def test_client_takes_the_strongest_mechanism() -> None:
    pair = secure_pair()
    pair.start()
    assert Authenticated("juliet", "SCRAM-SHA-512") in pair.events[0]


def test_server_makes_up_a_resource() -> None:
    first, second = secure_pair(), secure_pair()
    for pair in (first, second):
        pair.start()
        assert pair.last(0) == pair.last(1)
    assert first.last(0).jid.bare == second.last(0).jid.bare
    assert first.last(0).jid != second.last(0).jid


def test_prepared_passwords_meet() -> None:
    pair = secure_pair(username="bar", password="tabo")
    pair.start()
    assert pair.last(0) == pair.last(1)
    assert isinstance(pair.last(0), Ready)


def test_without_tls_when_nobody_wants_it() -> None:
    pair = Pair(client(), server(offer_tls=False))
    pair.start()
    assert pair.handshakes == 0
    assert Authenticated("juliet", "SCRAM-SHA-512") in pair.events[0]
    assert pair.ends[0].ready
    assert b"PLAIN" not in pair.sent[1][0]


def test_tls_when_only_the_server_wants_it() -> None:
    pair = Pair(client(), server(require_tls=True))
    pair.start()
    assert pair.handshakes == 1
    assert pair.ends[0].ready


def test_tls_from_the_first_byte() -> None:
    pair = secure_pair()
    for end in pair.ends:
        end.tls_established()
    pair.start()
    assert pair.handshakes == 0
    assert b"starttls" not in b"".join(pair.sent[1])
    assert pair.ends[0].ready


def test_wrong_password() -> None:
    pair = secure_pair(password="wrong")
    pair.start()
    assert said(pair.ends[0], pair.events[0][-1:]) == [
        failed("not-authorized", "AuthenticationError")
    ]
    assert pair.sent[0][-1] == b"</stream:stream>"
    assert pair.last(1) == StreamClosed()
    assert b"wrong" not in repr(pair.ends[0]).encode()


def test_no_common_mechanism() -> None:
    pair = secure_pair(mechanisms=("SCRAM-SHA-1",), at_server={"mechanisms": ("PLAIN",)})
    pair.start()
    error = pair.last(0).error
    assert isinstance(error, AuthenticationError)
    assert "PLAIN" in error.text
    assert not any(b"<auth" in data for data in pair.sent[0])


def test_bind_refused() -> None:
    def refuse(bare: JID, wanted: str | None) -> str:
        raise Conflict("twice")

    pair = secure_pair(at_server={"bind": refuse})
    pair.start()
    assert said(pair.ends[0], pair.events[0][-1:]) == [failed("conflict", "StreamError")]


REFUSALS = (Conflict, BadRequest, JidMalformed, NotAcceptable, NotAllowed, ResourceConstraint)


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("sasl2", [False, True])
def test_a_resource_that_is_only_a_wish(refusal: type[StanzaError], sasl2: bool) -> None:
    """RFC 6120 §7.7.2: the server may make another one; asked once."""
    asked = []

    def bind(bare: JID, wanted: str | None) -> str:
        asked.append(wanted)
        if wanted == "bot":
            raise refusal("taken")
        return "made-up"

    pair = secure_pair(resource="bot", at_server={"bind": bind, "sasl2": sasl2})
    pair.start()
    if refusal in (NotAllowed, ResourceConstraint):  # no other resource would do better
        assert asked == ["bot"]
        assert said(pair.ends[0], pair.events[0][-1:]) == [failed(refusal.condition, "StreamError")]
    else:
        assert asked == ["bot", None]
        assert pair.last(0) == Ready(JID("juliet", "localhost", "made-up"))


@pytest.mark.parametrize("needed", [True, False])
def test_a_resource_is_asked_for_once(needed: bool) -> None:
    asked = []

    def refuse(bare: JID, wanted: str | None) -> str:
        asked.append(wanted)
        raise Conflict("twice")

    pair = secure_pair(resource="bot", resource_needed=needed, at_server={"bind": refuse})
    pair.start()
    assert asked == (["bot"] if needed else ["bot", None])
    assert said(pair.ends[0], pair.events[0][-1:]) == [failed("conflict", "StreamError")]


def test_bind_with_a_resource_of_the_servers_choice() -> None:
    pair = secure_pair(resource="a", at_server={"bind": lambda bare, wanted: f"{wanted}-{bare}"})
    pair.start()
    assert pair.last(0).jid.resource == "a-juliet@localhost"


@CUTS
def test_component_logs_in(cut: Cut) -> None:
    pair = component_pair(cut)
    pair.start()
    for side in (0, 1):
        assert pair.names(side) == ["StreamOpened", "Authenticated", "Ready"]
        assert pair.last(side) == Ready(JID(None, "c.localhost"))
        assert pair.ends[side].ready


@pytest.mark.parametrize(
    ("changes", "condition"),
    [({"secret": "wrong"}, "not-authorized"), ({"domain": "d.localhost"}, "host-unknown")],
)
@CUTS
def test_component_is_refused(changes: dict[str, str], condition: str, cut: Cut) -> None:
    pair = component_pair(cut, **changes)
    pair.start()
    assert said(pair.ends[1], pair.events[1][-1:]) == [failed(condition)]
    assert said(pair.ends[0], pair.events[0][-1:]) == [failed(condition, "StreamError")]
    assert all(end.closed for end in pair.ends)


def test_empty_secrets_open_nothing() -> None:
    pair = component_pair(at_server={"secret_of": lambda domain: None}, secret="")
    pair.start()
    assert said(pair.ends[1], pair.events[1][-1:]) == [failed("host-unknown")]


PAIRS = pytest.mark.parametrize("make", [secure_pair, component_pair])
STANZAS = [
    Message("romeo@localhost", "Wherefore <art> thou & 'who'?"),
    Presence(status="\U0001f600"),
    Iq("get", build("query", xmlns="jabber:iq:version"), to="localhost", id="1"),
]


@PAIRS
@CUTS
def test_stanzas_flow_both_ways(make: Any, cut: Cut) -> None:
    pair = make(cut)
    pair.start()
    for side in (0, 1):
        pair.events[1 - side].clear()
        pair.ends[side].send(STANZAS)
        pair.talk()
        told = said(pair.ends[1 - side], pair.events[1 - side])
        assert told == [stanza.to_bytes() for stanza in STANZAS]


@PAIRS
@pytest.mark.parametrize("side", [0, 1])
def test_close_waits_for_the_other_side(make: Any, side: int) -> None:
    pair = make()
    pair.start()
    here, there = pair.ends[side], pair.ends[1 - side]
    here.close()
    assert not here.ready
    assert not here.closed
    with pytest.raises(LocalProtocolError):
        here.send(STANZAS)
    # What was under way is delivered still.
    there.send(STANZAS)
    assert said(here, here.receive_data(there.data_to_send())) == [
        stanza.to_bytes() for stanza in STANZAS
    ]
    pair.talk()
    assert pair.last(0) == pair.last(1) == StreamClosed()
    assert all(end.closed for end in pair.ends)
    assert pair.sent[0][-1].endswith(b"</stream:stream>")
    assert pair.sent[1][-1].endswith(b"</stream:stream>")
    here.close()
    assert here.data_to_send() == b""


def test_end_of_connection() -> None:
    pair = component_pair()
    pair.start()
    (event,) = pair.ends[0].receive_eof()
    assert isinstance(event, StreamFailed)
    assert "middle of the stream" in event.error.text
    pair.ends[1].close()
    assert pair.ends[1].receive_eof() == [StreamClosed()]
    assert pair.ends[1].receive_eof() == []


def test_end_of_connection_inside_a_stanza_after_our_close() -> None:
    pair = component_pair()
    pair.start()
    pair.ends[0].close()
    pair.ends[0].receive_data(b"<message><body>cut")
    (event,) = pair.ends[0].receive_eof()
    assert isinstance(event, StreamFailed)


def test_fail_tells_the_peer() -> None:
    pair = component_pair()
    pair.start()
    pair.ends[1].fail("system-shutdown", "back at <noon>")
    assert pair.ends[1].closed
    pair.talk()
    error = pair.last(0).error
    assert isinstance(error, StreamError)
    assert (error.condition, error.text) == ("system-shutdown", "back at <noon>")
    assert pair.ends[1].receive_data(b"<message/>") == []


def test_legacy_session_is_answered() -> None:
    pair = secure_pair()
    pair.start()
    request = Iq("set", build("session", xmlns="urn:ietf:params:xml:ns:xmpp-session"), id="s1")
    pair.events[0].clear()
    pair.events[1].clear()
    pair.ends[0].send([request, Presence()])
    pair.talk()
    ((received,), (answer,)) = (pair.events[1], pair.events[0])
    assert isinstance(received, StanzasReceived)
    assert [stanza.kind for stanza in received.stanzas] == ["presence"]
    assert isinstance(answer, StanzasReceived)
    assert [(stanza.type, stanza.id) for stanza in answer.stanzas] == [("result", "s1")]


def test_secrets_never_show() -> None:
    for pair in (secure_pair(), component_pair()):
        pair.start()
        for end in pair.ends:
            shown = repr(end) + repr(end.config)  # type: ignore[attr-defined]
            assert "r0m30" not in shown
            assert "sesame" not in shown
