"""The wire of a WebSocket without a socket: any bytes, cut anywhere."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.utils import accept_key

from emp.devserver.web import PATH, ServerWire, documents
from emp.net.endpoint import Endpoint
from emp.net.websocket import ClientWire, Wire
from emp.stream.engine import Stream
from emp.stream.events import Event, StreamClosed, StreamFailed
from emp.stream.framing import WEBSOCKET
from tests.emp.net.test_websocket import frame
from tests.emp.stream.law import client, said, server
from tests.emp.stream.test_framing import CLOSE, GOOD, OPEN, SEEN, TO_SERVER, ready_client

ENDPOINT = Endpoint(True, "im.test", 443, "/ws?a=b")
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
REQUEST = (
    f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n"
).encode()
RESPONSE = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Accept: {accept_key(KEY)}\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n"
).encode()


def client_wire() -> tuple[Wire, Stream]:
    engine = client(framing=WEBSOCKET)
    engine.start()
    wire = ClientWire(engine, ENDPOINT)
    wire._protocol.key = KEY  # type: ignore[attr-defined]
    return wire, engine


def server_wire() -> tuple[Wire, Stream]:
    engine = server(framing=WEBSOCKET)
    return ServerWire(engine, documents("wss://localhost/ws")), engine


def masked(data: bytes) -> bytes:
    """A frame as clients send it, with a mask of zeros."""
    plain = frame(1, data)
    head = 2 if plain[1] < 126 else 10
    return plain[:1] + bytes([plain[1] | 0x80]) + plain[2:head] + bytes(4) + plain[head:]


def frames(*messages: bytes) -> bytes:
    return b"".join(frame(1, message) for message in messages)


CONVERSATIONS: dict[str, tuple[Callable[[], tuple[Wire, Stream]], bytes]] = {
    "client": (client_wire, RESPONSE + frames(OPEN, CLOSE)),
    "client, hostile": (client_wire, RESPONSE + frames(OPEN, *GOOD)),
    "client, binary": (client_wire, RESPONSE + frame(1, OPEN) + frame(2, b"x") + frame(1, CLOSE)),
    "client, pieces": (
        client_wire,
        RESPONSE + frame(1, OPEN[:9], last=False) + frame(9, b"?") + frame(0, OPEN[9:]),
    ),
    "client, refused": (client_wire, b"HTTP/1.1 404 No\r\nContent-Length: 3\r\n\r\nabc"),
    "server": (server_wire, masked(TO_SERVER) + masked(CLOSE)),
    "server, closed": (server_wire, masked(TO_SERVER) + b"\x88\x80\0\0\0\0"),
    "server, no mask": (server_wire, frame(1, TO_SERVER)),
}


def told(make: Callable[[], tuple[Wire, Stream]], pieces: list[bytes]) -> list[Any]:
    """What is reported, and how it ends. A client waits for the answer to its request."""
    wire, engine = make()
    events: list[Event] = []
    if make is server_wire:
        wire.receive_data(REQUEST)
        wire.data_to_send()
    for piece in pieces:
        if piece:
            events += wire.receive_data(piece)
            wire.data_to_send()
    return [*said(engine, events), engine.closed, wire.idle]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_byte_by_byte(name: str) -> None:
    make, data = CONVERSATIONS[name]
    expected = told(make, [data])
    assert len(expected) > 2  # something happens
    assert told(make, [data[at : at + 1] for at in range(len(data))]) == expected


@pytest.mark.parametrize("name", CONVERSATIONS)
@settings(max_examples=25, deadline=None)
@given(places=st.lists(st.integers(0, 10_000), max_size=6))
def test_cuts_make_no_difference(name: str, places: list[int]) -> None:
    make, data = CONVERSATIONS[name]
    assert told(make, cut(data, places)) == told(make, [data])


SOUP = st.lists(
    st.sampled_from(
        [
            *(RESPONSE, REQUEST, RESPONSE[:30], b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n"),
            *(frame(1, message) for message in (OPEN, CLOSE, *GOOD, b"", b"<", b"\xff")),
            *(masked(message) for message in (TO_SERVER, CLOSE, *GOOD)),
            *(frame(opcode, b"?", last=last) for opcode in range(16) for last in (True, False)),
            *(b"\x88\x02\x03\xe8", b"\x88\x00", b"\x88\x01x", b"\x88\x02\0\0", b"\x88\x80\0\0\0\0"),
            *(b"\x81\x7f" + b"\xff" * 8, b"\x81\x7e\0\1x"),
        ]
    )
    | st.binary(max_size=8),
    max_size=12,
)


@pytest.mark.parametrize("make", [client_wire, server_wire])
@settings(max_examples=200, deadline=None)
@given(pieces=SOUP, greeted=st.booleans())
def test_any_bytes(
    make: Callable[[], tuple[Wire, Stream]], pieces: list[bytes], greeted: bool
) -> None:
    """Nothing is raised, and nothing is reported after the end."""
    wire, engine = make()
    if greeted:
        pieces = [RESPONSE if make is client_wire else REQUEST, *pieces]
    over = False
    for piece in [piece for piece in pieces if piece]:
        for event in wire.receive_data(piece):
            assert not over
            over = isinstance(event, StreamClosed | StreamFailed)
        wire.data_to_send()
    rest = wire.receive_eof()
    assert len(rest) == (0 if over else 1)
    assert engine.closed
    wire.data_to_send()


@pytest.mark.parametrize("early", [b"\x88", masked(TO_SERVER), b"\x88\x80\0\0\0\0", b"\0\0"])
def test_a_client_that_does_not_wait(early: bytes) -> None:
    """RFC 6455 §4.1."""
    wire, engine = server_wire()
    (event,) = wire.receive_data(REQUEST + early)
    assert isinstance(event, StreamFailed)
    assert engine.closed
    assert b"101" not in wire.data_to_send()


def test_what_we_ask_for() -> None:
    engine = client(framing=WEBSOCKET)
    wire = ClientWire(engine, ENDPOINT)
    engine.start()
    request = wire.data_to_send()
    assert request.startswith(b"GET /ws?a=b HTTP/1.1\r\nHost: im.test\r\n")
    assert b"<open" not in request
    assert wire.data_to_send() == b""


def test_batches_stay_batches() -> None:
    """What came in one read is reported as one batch."""
    engine = ready_client()
    wire = ClientWire(engine, ENDPOINT)
    wire._protocol.key = KEY  # type: ignore[attr-defined]
    events = wire.receive_data(RESPONSE + b"".join(frame(1, each) for each in GOOD * 10))
    assert len(events) == 1
    assert said(engine, events) == SEEN * 10
