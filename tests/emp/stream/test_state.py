"""The table, and the calls that make no sense."""

from typing import Any

import pytest

from emp.errors import LocalProtocolError
from emp.stanza import Presence
from emp.stream.features import FEATURES
from emp.stream.state import TRANSITIONS, Done, Phase, Signal, move
from tests.emp.stream.law import (
    CLIENT_HEADER,
    COMPONENT_HEADER,
    client,
    component,
    ready_component,
    server,
    started_client,
    started_component,
)


def test_every_phase_is_in_the_table_and_can_end() -> None:
    assert set(TRANSITIONS) == set(Phase)
    for phase in set(Phase) - {Phase.CLOSED}:
        assert move(phase, Signal.OVER) is Phase.CLOSED
    assert TRANSITIONS[Phase.CLOSED] == {}


def test_every_phase_can_be_reached() -> None:
    reached = {target for row in TRANSITIONS.values() for target in row.values()}
    assert reached == set(Phase)


def test_unknown_signal_is_the_callers_mistake() -> None:
    with pytest.raises(LocalProtocolError, match="STARTED makes no sense in phase READY"):
        move(Phase.READY, Signal.STARTED)


def test_wrong_calls() -> None:
    for stream in (started_client(), ready_component(), server()):
        with pytest.raises(LocalProtocolError):
            stream.start()
    for stream in (client(), component(), server(), started_client()):
        with pytest.raises(LocalProtocolError):
            stream.send([Presence()])
    with pytest.raises(LocalProtocolError):
        ready_component().tls_established()


@pytest.mark.parametrize("make", [client, component, server])
def test_close_before_the_first_byte(make) -> None:  # type: ignore[no-untyped-def]
    stream = make()
    stream.close()
    assert stream.closed
    assert stream.data_to_send() == b""
    assert stream.receive_data(b"<stream:stream>") == []


def test_fail_before_the_header_opens_a_stream_for_it() -> None:
    stream = server()
    stream.fail("connection-timeout")
    sent = stream.data_to_send()
    assert sent.startswith(b"<?xml version='1.0'?><stream:stream ")
    assert sent.endswith(b"</stream:error></stream:stream>")
    stream.fail("connection-timeout")
    assert stream.data_to_send() == b""


def test_features_take_turns() -> None:
    def turn(done: Done) -> list[str]:
        names = [each.name.rpartition("}")[2] for each in FEATURES if each.possible(done)]
        told = {"ver", "csi", "limits"}  # … and not negotiated
        return [name for name in names if name not in told]

    authenticated = Done.TRUSTED | Done.SECURE | Done.AUTHENTICATED
    assert turn(Done.NOTHING) == ["starttls"]
    assert turn(Done.TRUSTED) == ["starttls", "sasl-channel-binding", "mechanisms"]
    assert turn(Done.TRUSTED | Done.SECURE) == [
        "sasl-channel-binding",
        "authentication",
        "mechanisms",
    ]
    assert turn(authenticated) == ["sm", "bind", "session"]
    assert turn(authenticated | Done.BOUND) == ["session", "sm"]


@pytest.mark.parametrize(
    ("make", "header"), [(started_component, COMPONENT_HEADER), (started_client, CLIENT_HEADER)]
)
def test_nothing_follows_a_goodbye(make: Any, header: bytes) -> None:
    """The peer's header may come after it."""
    stream = make()
    stream.close()
    assert stream.data_to_send().endswith(b"</stream:stream>")
    stream.receive_data(header + b"<stream:features/>")
    assert stream.data_to_send() == b""
    stream.receive_data(b"</stream:stream>")
    assert stream.data_to_send() == b""
    assert stream.closed
