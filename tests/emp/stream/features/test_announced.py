"""Features that are only announced, and the client state of XEP-0352 on the wire."""

import pytest

from emp.stanza import Message
from emp.stream import ClientStream
from emp.stream.events import StanzasReceived, StreamFailed
from emp.stream.features.announced import CLIENT_STATE, ROSTER_VERSIONS
from emp.xep import csi, roster
from tests.emp.stream.law import (
    CLIENT_HEADER,
    TO_SERVER,
    client,
    outcome,
    ready_component,
    server,
    started_client,
)
from tests.emp.stream.pair import Cut, Pair, byte_by_byte, whole

INACTIVE, ACTIVE = csi.nonza("inactive").encode(), csi.nonza("active").encode()


def test_names() -> None:
    assert CLIENT_STATE.name == csi.FEATURE
    assert ROSTER_VERSIONS.name == roster.FEATURE


@pytest.mark.parametrize("cut", [whole, byte_by_byte])
def test_a_client_knows_of_them_and_says_its_state(cut: Cut) -> None:
    one, other = client(), server()
    pair = Pair(one, other, cut)
    pair.start()
    assert one.ready
    assert {csi.FEATURE, roster.FEATURE} <= one.features
    for state in (INACTIVE, INACTIVE, ACTIVE):
        one.queue(state.decode())
    one.send([Message("a@b", "behind")])
    pair.talk()
    assert isinstance(pair.last(1), StanzasReceived)
    assert (one.ready, other.ready) == (True, True)


def test_not_before_the_login() -> None:
    stream = server()
    stream.receive_data(TO_SERVER)
    assert b"urn:xmpp:csi:0" not in stream.data_to_send()
    (failed,) = stream.receive_data(INACTIVE)
    assert isinstance(failed, StreamFailed)


@pytest.mark.parametrize("wire", [INACTIVE, b"<other xmlns='urn:xmpp:csi:0'/>"])
def test_only_clients_say_it_and_nothing_else(wire: bytes) -> None:
    expected = [("RemoteProtocolError", "unsupported-stanza-type")]
    assert outcome(ready_component, wire) == expected

    def opened() -> ClientStream:
        stream = started_client()
        stream.receive_data(CLIENT_HEADER)
        return stream

    assert outcome(opened, wire) == expected


def test_other_elements_of_that_namespace_are_refused() -> None:
    one, other = client(), server()
    pair = Pair(one, other)
    pair.start()
    one.queue("<other xmlns='urn:xmpp:csi:0'/>")
    pair.talk()
    assert isinstance(pair.last(1), StreamFailed)
    assert pair.last(1).error.condition == "unsupported-stanza-type"
