"""Bounds before authentication, and the limits that the peers tell each other (XEP-0478)."""

import pickle
from typing import Any

import pytest

from emp import ns
from emp.errors import LocalProtocolError, RemoteProtocolError, StanzasTooLarge
from emp.stanza import Message
from emp.stream import Limits
from emp.stream.events import StanzaSkipped, StanzasReceived, StreamFailed
from emp.stream.limits import PeerLimits
from emp.stream.parser import StreamParser
from tests.emp.stream.law import (
    CLIENT_HEADER,
    COMPONENT_HEADER,
    STREAMS,
    TO_SERVER,
    TO_SERVER_FROM_COMPONENT,
    client,
    failed,
    feed,
    outcome,
    ready_component,
    server,
    started_client,
    started_component,
)
from tests.emp.stream.pair import Pair

EARLY = 1000
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"

# Who gets what before it is authenticated: the start of a stream, and something that may come again
# and again.
EARLY_PEERS: dict[str, tuple[Any, bytes, bytes]] = {
    "client": (
        started_client,
        CLIENT_HEADER
        + f"<stream:features><mechanisms xmlns='{SASL}'><mechanism>PLAIN</mechanism>"
        "</mechanisms>".encode(),
        b"<x xmlns='u'/>",
    ),
    "component": (started_component, COMPONENT_HEADER, b" "),
    "server": (server, TO_SERVER, b"\n"),
    "server of a component": (server, TO_SERVER_FROM_COMPONENT, b" "),
}


@pytest.mark.parametrize("name", EARLY_PEERS)
@pytest.mark.parametrize("step", [1, 13, 10_000])
def test_early_bytes_are_counted_exactly(name: str, step: int) -> None:
    make, start, more = EARLY_PEERS[name]
    data = start + more * EARLY
    data = data[: EARLY + 1]
    pieces = [data[i : i + step] for i in range(0, len(data), step)]
    limits = Limits(early_bytes=EARLY)
    stream, told = feed(lambda: make(limits=limits), [data[:EARLY]])
    assert not stream.closed
    expected = [*told, failed("policy-violation")]
    stream, told = feed(lambda: make(limits=limits), pieces)
    assert [repr(each) for each in told] == [repr(each) for each in expected]


@pytest.mark.parametrize("name", EARLY_PEERS)
def test_early_bytes_have_a_name(name: str) -> None:
    make, start, more = EARLY_PEERS[name]
    stream = make(limits=Limits(early_bytes=EARLY))
    event = stream.receive_data(start + more * EARLY)[-1]
    assert isinstance(event, StreamFailed)
    assert isinstance(event.error, RemoteProtocolError)
    assert event.error.limit == "early_bytes"


def test_what_comes_with_the_last_early_byte_is_not_early() -> None:
    limits = Limits(early_bytes=len(COMPONENT_HEADER) + 12)
    stanza = b"<message><body>" + b"x" * 5000 + b"</body></message>"
    told = outcome(
        lambda: started_component(limits=limits), COMPONENT_HEADER + b"<handshake/>" + stanza
    )
    assert told[-1] == stanza


def test_early_bytes_of_all_streams_count_together() -> None:
    stream = server(limits=Limits(early_bytes=EARLY), offer_tls=True)
    starttls = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
    before = TO_SERVER + b" " * (EARLY - len(TO_SERVER + starttls) - 10) + starttls
    stream.receive_data(before)
    stream.tls_established()
    assert not stream.receive_data(b" " * 10)
    (event,) = stream.receive_data(b" ")
    assert isinstance(event, StreamFailed)


def test_a_ready_stream_has_no_such_bound() -> None:
    stream = ready_component(limits=Limits(early_bytes=EARLY))
    for _ in range(10):
        (event,) = stream.receive_data(b"<iq>" + b"x" * EARLY + b"</iq>")
        assert isinstance(event, StanzasReceived)


def test_namespaces_of_a_header() -> None:
    def header(count: int) -> bytes:
        declared = b" ".join(b"xmlns:p%d='u'" % i for i in range(count - 2))
        return COMPONENT_HEADER[:-1] + b" " + declared + b">"

    _, told = feed(started_component, [header(50)])
    assert len(told) == 1
    assert outcome(started_component, header(51))[-1] == failed("policy-violation")


@pytest.mark.parametrize("declared", [b"xmlns", b"xmlns:a"])
@pytest.mark.parametrize("uri", [ns.XML.encode(), b"http://www.w3.org/2000/xmlns/"])
def test_what_no_header_may_declare_is_no_limit_of_a_stanza(declared: bytes, uri: bytes) -> None:
    header = COMPONENT_HEADER.replace(b" xmlns='jabber:component:accept'", b"")
    parser = StreamParser(Limits())
    parser.receive(header[:-1] + b" %s='%s'>" % (declared, uri))
    assert parser.fault is not None
    assert (parser.fault.condition, parser.fault.limit) == ("not-well-formed", None)
    assert not parser.stalled


def test_a_dribbling_peer_holds_no_more_than_the_bounds() -> None:
    stream = ready_component(limits=Limits(stanza_bytes=2000))
    stream.receive_data(b"<iq>")
    body = stream._intake._parser._body  # type: ignore[attr-defined]
    for _ in range(2000):
        assert not stream.receive_data(b"<")
        assert not stream.receive_data(b"a/>")
        assert len(body._pending) <= 2000
    (event,) = stream.receive_data(b"</iq>")
    assert isinstance(event, StanzaSkipped)
    assert (event.limit, event.size) == ("stanza_bytes", 4 + 2000 * 4 + 5)


# -- XEP-0478 -------------------------------------------------------------------------------------


def connected(**of_server: Any) -> Pair:
    pair = Pair(client(mechanisms=("SCRAM-SHA-1",)), server(**of_server))
    pair.start()
    assert pair.ends[0].ready
    return pair


def test_the_server_announces_what_it_takes() -> None:
    limits = Limits(stanza_bytes=100_000, early_bytes=20_000)
    pair = connected(limits=limits, idle_seconds=900)
    sent = b"".join(pair.sent[1])
    element = b"<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>%d</max-bytes>"
    assert sent.index(element % 20_000) < sent.index(element % 100_000)
    assert pair.ends[0].peer_limits == PeerLimits(100_000, 900)
    assert pair.ends[1].peer_limits == PeerLimits()


def test_no_promise_about_idleness_without_need() -> None:
    assert connected().ends[0].peer_limits.idle_seconds is None


def test_what_is_too_large_is_not_sent_and_nothing_with_it() -> None:
    pair = connected(limits=Limits(stanza_bytes=10_000))
    stream = pair.ends[0]
    fits = Message("a@b", "x" * (10_000 - len(Message("a@b", "").to_bytes())))
    assert len(fits.to_bytes()) == 10_000
    large = [Message("a@b", "x" * 10_000), Message("a@b", "x" * 20_000)]
    before = stream.management.sent
    with pytest.raises(StanzasTooLarge, match=r"takes 10000 at most") as caught:
        stream.send([fits, *large])
    assert isinstance(caught.value, LocalProtocolError)
    assert list(caught.value.stanzas) == large
    assert (caught.value.size, caught.value.limit) == (len(large[1].to_bytes()), 10_000)
    assert stream.data_to_send() == b""
    assert stream.management.sent == before
    stream.send([fits])
    assert fits.to_bytes() in stream.data_to_send()
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<max-bytes>10000</max-bytes>", PeerLimits(10_000)),
        ("<max-bytes> 10000\n</max-bytes>", PeerLimits(10_000)),
        ("<idle-seconds>600</idle-seconds>", PeerLimits(None, 600)),
        ("<idle-seconds>1</idle-seconds>", PeerLimits(None, 10)),
        ("<max-bytes>4294967295</max-bytes>", PeerLimits(4_294_967_295)),
        ("<max-bytes>4294967296</max-bytes>", PeerLimits()),
        ("<max-bytes>" + "9" * 5000 + "</max-bytes>", PeerLimits()),
        ("<max-bytes>0</max-bytes>", PeerLimits()),
        ("<max-bytes>-1</max-bytes>", PeerLimits()),
        ("<max-bytes>1e4</max-bytes>", PeerLimits()),
        ("<max-bytes>१००००</max-bytes>", PeerLimits()),
        ("<max-bytes/><idle-seconds/>", PeerLimits()),
        ("<max-bytes xmlns='u'>10000</max-bytes>", PeerLimits()),
        ("", PeerLimits()),
    ],
)
def test_what_servers_may_write(inner: str, expected: PeerLimits) -> None:
    stream = started_client()
    stream.receive_data(
        f"<stream:stream from='localhost' id='1' version='1.0' xmlns='jabber:client' {STREAMS}>"
        f"<stream:features><mechanisms xmlns='{SASL}'><mechanism>SCRAM-SHA-1</mechanism>"
        f"</mechanisms><limits xmlns='urn:xmpp:stream-limits:0'>{inner}</limits>"
        "</stream:features>".encode()
    )
    assert stream.peer_limits == expected
    assert not stream.closed
