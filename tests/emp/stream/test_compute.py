"""What takes long is done elsewhere: what the engine does with what comes meanwhile."""

import base64
from typing import Any

import pytest

from emp.errors import LocalProtocolError
from emp.sasl import Authority, Channel, Memory
from emp.sasl.scram_server import ScramServer
from emp.stream import ClientStream
from emp.stream.events import Authenticated, Compute, Event, StreamFailed
from emp.stream.intake import HELD_BYTES
from tests.emp.stream.law import ACCOUNTS, CLIENT_HEADER, CLOSED, failed, said, started_client

SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
STREAMS = "xmlns='urn:ietf:params:xml:ns:xmpp-streams'"
OFFER = (
    f"<stream:features><mechanisms {SASL}><mechanism>SCRAM-SHA-1</mechanism></mechanisms>"
    "</stream:features>"
).encode()
SHUTDOWN = f"<stream:error><system-shutdown {STREAMS}/></stream:error>".encode()


def element(name: str, data: bytes) -> bytes:
    return f"<{name} {SASL}>{base64.b64encode(data).decode()}</{name}>".encode()


def sent(stream: ClientStream, name: str) -> bytes:
    data = stream.data_to_send()
    found = data.partition(f"<{name} ".encode())[2].partition(b">")[2].partition(b"<")[0]
    return base64.b64decode(found)


def challenged(
    authority: Authority | None = None, **changes: Any
) -> tuple[ClientStream, ScramServer, bytes]:
    """A client that is about to get a challenge."""
    stream = started_client(**changes)
    stream.receive_data(CLIENT_HEADER + OFFER)
    authority = authority or Authority("localhost", ACCOUNTS.get)
    server = ScramServer(authority, Channel(offered=("SCRAM-SHA-1",)), digest="sha1", binds=False)
    challenge: Any = server.receive(sent(stream, "auth"))
    return stream, server, element("challenge", challenge.data)


def computing(more: bytes = b"") -> tuple[ClientStream, ScramServer, Compute]:
    stream, server, challenge = challenged()
    (event,) = stream.receive_data(challenge + more)
    assert isinstance(event, Compute)
    assert stream.data_to_send() == b""
    return stream, server, event


def finish(stream: ClientStream, compute: Event) -> list[Any]:
    assert isinstance(compute, Compute)
    compute.work()
    return said(stream, stream.computed())


def test_the_way_it_goes() -> None:
    stream, server, compute = computing()
    assert finish(stream, compute) == []
    success: Any = server.receive(sent(stream, "response"))
    events = stream.receive_data(element("success", success.additional))
    assert events == [Authenticated("juliet", "SCRAM-SHA-1")]


def test_no_work_the_second_time() -> None:
    memory, authority = Memory(), Authority("localhost", ACCOUNTS.get)
    for work in (True, False):
        stream, server, challenge = challenged(authority, memory=memory)
        events = stream.receive_data(challenge)
        assert [isinstance(event, Compute) for event in events] == [True] * work
        if work:
            finish(stream, events[0])
        assert server.receive(sent(stream, "response"))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (b" ", []),
        (b"</stream:stream>", [CLOSED]),
        (SHUTDOWN, [failed("system-shutdown", "StreamError")]),
        (SHUTDOWN + b"</stream:stream>", [failed("system-shutdown", "StreamError")]),
        (
            f"<failure {SASL}><aborted/></failure>".encode(),
            [failed("aborted", "AuthenticationError")],
        ),
        (f"<success {SASL}/>".encode(), [failed("not-authorized", "AuthenticationError")]),
        (b"<message/>", [failed("not-authorized")]),
        (b"<!--", [failed("restricted-xml")]),
        (b"<a:b/>", [failed("not-well-formed")]),
    ],
)
def test_what_comes_meanwhile_is_looked_at_afterwards(more: bytes, told: list[Any]) -> None:
    together, _, compute = computing(more)
    assert finish(together, compute) == told
    apart, _, compute = computing()
    for byte in more:
        assert apart.receive_data(bytes([byte])) == []
    assert finish(apart, compute) == told
    assert together.data_to_send().startswith(b"<response")


def test_patience_has_a_bound() -> None:
    stream, _, _ = computing()
    assert stream.receive_data(b" " * HELD_BYTES) == []
    (event,) = stream.receive_data(b" ")
    assert isinstance(event, StreamFailed)
    assert event.error.condition == "policy-violation"
    assert stream.computed() == []


def test_the_end_comes_first() -> None:
    stream, _, compute = computing()
    (event,) = stream.receive_eof()
    assert isinstance(event, StreamFailed)
    compute.work()
    assert stream.computed() == []


def test_goodbye_while_computing() -> None:
    stream, _, compute = computing()
    stream.close()
    assert stream.receive_data(b"</stream:stream>") == []
    assert finish(stream, compute) == [CLOSED]
    assert stream.data_to_send() == b"</stream:stream>"


def test_computed_without_a_question() -> None:
    with pytest.raises(LocalProtocolError):
        started_client().computed()


def test_a_question_shows_no_secret() -> None:
    _, _, compute = computing()
    assert repr(compute) == "Compute()"
