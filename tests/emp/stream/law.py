"""The any-chunk law: what a stream says does not depend on how its bytes were cut.

`outcome` feeds bytes to engines made afresh, whole, byte by byte and with trailing bytes, checks
that all of them tell the same, and returns it in a form that compares: stanzas one by one as wire
bytes, errors as (class, condition).
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from emp.stanza import Stanza
from emp.stream import (
    ClientConfig,
    ClientStream,
    ComponentConfig,
    ComponentStream,
    ServerConfig,
    ServerStream,
)
from emp.stream.engine import Stream
from emp.stream.events import (
    Authenticated,
    Compute,
    Event,
    StanzaSkipped,
    StanzasReceived,
    StartTLS,
    StreamClosed,
    StreamFailed,
)
from emp.stream.handshake import MECHANISM
from emp.wire import parse_neutral

STREAMS = "xmlns:stream='http://etherx.jabber.org/streams'"
CLIENT_HEADER = (
    f"<stream:stream from='localhost' id='1' version='1.0' xmlns='jabber:client' {STREAMS}>"
).encode()
TO_SERVER = f"<stream:stream to='localhost' version='1.0' xmlns='jabber:client' {STREAMS}>".encode()
COMPONENT_HEADER = (
    f"<stream:stream from='c.localhost' id='1' xmlns='jabber:component:accept' {STREAMS}>".encode()
)
TO_SERVER_FROM_COMPONENT = (
    f"<stream:stream to='c.localhost' xmlns='jabber:component:accept' {STREAMS}>".encode()
)
ACCOUNTS = {"juliet": "r0m30myr0m30", "bar": "tab\u00ado"}
SECRETS = {"c.localhost": "sesame"}

_TRAILING = (b" ", b"<", b"\xc3", b"<presence/>", b"</stream:stream>", b"\xff")


def client(**changes: Any) -> ClientStream:
    settings: dict[str, Any] = {
        "domain": "localhost",
        "username": "juliet",
        "password": "r0m30myr0m30",
        "require_tls": False,
    }
    return ClientStream(ClientConfig(**settings | changes))


def started_client(**changes: Any) -> ClientStream:
    stream = client(**changes)
    stream.start()
    return stream


def component(**changes: Any) -> ComponentStream:
    return ComponentStream(
        ComponentConfig(**{"domain": "c.localhost", "secret": "sesame"} | changes)
    )


def started_component(**changes: Any) -> ComponentStream:
    stream = component(**changes)
    stream.start()
    return stream


def ready_component(**changes: Any) -> ComponentStream:
    stream = started_component(**changes)
    stream.receive_data(COMPONENT_HEADER + b"<handshake/>")
    assert stream.ready
    stream.data_to_send()
    return stream


def server(**changes: Any) -> ServerStream:
    settings: dict[str, Any] = {
        "domain": "localhost",
        "require_tls": False,
        "password_of": ACCOUNTS.get,
        "secret_of": SECRETS.get,
        "sasl2": False,  # tests/emp/stream/features/test_sasl2.py is for that
    }
    return ServerStream(ServerConfig(**settings | changes))


def said(stream: Stream, events: Iterable[Event]) -> list[Any]:
    """Events in a form that compares, then what the stream wants to send, without its secrets."""
    told: list[Any] = []
    for event in events:
        if isinstance(event, StanzasReceived):
            assert event.stanzas
            told += [_wire(stanza) for stanza in event.stanzas]
        elif isinstance(event, StanzaSkipped):
            told.append(("skipped", event.limit, event.size, _wire(event.stanza)))
        elif isinstance(event, StreamFailed):
            told.append((type(event.error).__name__, event.error.condition))
        else:
            told.append(event)
    return told


def _wire(stanza: Stanza) -> bytes:
    """Its wire bytes as we would write them. Those of a plain stanza are as they came
    (emp.stream.shortcut), and whether there is a shortcut depends on the chunks."""
    return Stanza.from_element(parse_neutral(stanza.to_bytes())).to_bytes()


def settle(stream: Stream, events: list[Event]) -> list[Event]:
    """The events, with those of computed() in the place of each Compute."""
    settled: list[Event] = []
    for event in events:
        if isinstance(event, Compute):
            event.work()
            settled += settle(stream, stream.computed())
        else:
            settled.append(event)
    return settled


def feed(make: Callable[[], Stream], pieces: Iterable[bytes]) -> tuple[Stream, list[Any]]:
    """A new stream and what it said about the pieces, one read for each."""
    stream = make()
    events: list[Event] = []
    for piece in pieces:
        events += settle(stream, stream.receive_data(piece))
    return stream, said(stream, events)


def condition_sent(stream: Stream) -> str | None:
    """The condition of the stream error that the stream has queued, None without one."""
    data = stream.data_to_send()
    if b"<stream:error>" not in data:
        return None
    assert data.endswith(b"</stream:error></stream:stream>")
    found = re.search(
        rb"<stream:error><([a-z-]+) xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>", data
    )
    assert found
    return found[1].decode()


def outcome(make: Callable[[], Stream], data: bytes, *, restarts: bool | None = None) -> list[Any]:
    """What every way to feed `data` says. restarts: whether the stream does so, if it logs in."""
    whole, expected = feed(make, [data])
    single, told = feed(make, [data[i : i + 1] for i in range(len(data))])
    assert mask(told) == mask(expected), "byte by byte"
    assert (single.ready, single.closed) == (whole.ready, whole.closed)
    assert condition_sent(single) == condition_sent(whole)
    # After a restart it matters what came in the same read: that is the rule.
    if restarts is None:
        restarts = any(
            isinstance(event, StartTLS)
            or (isinstance(event, Authenticated) and event.mechanism != MECHANISM)
            for event in expected
        )
    for trailing in () if restarts else _TRAILING:
        _, told = feed(make, [data, trailing])
        assert mask(told)[: len(expected)] == mask(expected), f"then {trailing!r}"
        if whole.closed:
            assert len(told) == len(expected)
        _, together = feed(make, [data + trailing])
        assert mask(together) == mask(told), f"with {trailing!r}"
    return expected


def mask(told: list[Any]) -> list[str]:
    """Ids of stanzas and streams are random."""
    return [re.sub(r"id='[^']*'", "id=''", repr(each)) for each in told]


CLOSED = StreamClosed()


def skipped(stanza: bytes, limit: str, size: int) -> tuple[str, str, int, bytes]:
    """How `said` shows a StanzaSkipped. stanza: what its start tag said."""
    return "skipped", limit, size, stanza


def failed(condition: str, kind: str = "RemoteProtocolError") -> tuple[str, str]:
    """How `said` shows a StreamFailed."""
    return kind, condition
