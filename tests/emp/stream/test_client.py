"""The client against servers that are strange, broken or hostile."""

import base64
from typing import Any

import pytest

from emp.errors import AuthenticationError, StreamError
from emp.jid import JID
from emp.sasl import Authority, Channel
from emp.sasl.scram_server import ScramServer
from emp.stream import ClientStream
from emp.stream.client import EARLY_STANZAS
from emp.stream.events import Authenticated, Ready, StartTLS, StreamFailed, StreamOpened
from tests.emp.stream.law import (
    ACCOUNTS,
    CLIENT_HEADER,
    CLOSED,
    STREAMS,
    client,
    condition_sent,
    failed,
    feed,
    outcome,
    said,
    settle,
    started_client,
)

TLS = "xmlns='urn:ietf:params:xml:ns:xmpp-tls'"
SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
BIND = "xmlns='urn:ietf:params:xml:ns:xmpp-bind'"
SESSION = "xmlns='urn:ietf:params:xml:ns:xmpp-session'"
OPENED = StreamOpened("1", "localhost", None, "1.0", None)


def features(inner: str) -> bytes:
    return f"<stream:features>{inner}</stream:features>".encode()


STARTTLS = f"<starttls {TLS}><required/></starttls>"
MECHANISMS = f"<mechanisms {SASL}><mechanism>{{}}</mechanism></mechanisms>"
PLAIN, SCRAM = MECHANISMS.format("PLAIN"), MECHANISMS.format("SCRAM-SHA-1")
PROCEED = f"<proceed {TLS}/>".encode()
SUCCESS = f"<success {SASL}/>".encode()


def strict_client() -> ClientStream:
    return started_client(require_tls=True, mechanisms=("PLAIN",))


def asking_for_tls() -> ClientStream:
    stream = strict_client()
    stream.receive_data(CLIENT_HEADER + features(STARTTLS))
    assert stream.data_to_send().endswith(f"<starttls {TLS}/>".encode())
    return stream


def authenticating() -> ClientStream:
    """PLAIN under TLS: every server can say yes to it."""
    stream = asking_for_tls()
    stream.receive_data(PROCEED)
    stream.tls_established()
    stream.receive_data(CLIENT_HEADER + features(PLAIN))
    password = base64.b64encode(b"\0juliet\0r0m30myr0m30").decode()
    expected = f"<auth {SASL} mechanism='PLAIN'>{password}</auth>"
    assert stream.data_to_send().endswith(expected.encode())
    return stream


def binding(offers: str = f"<bind {BIND}/>") -> ClientStream:
    stream = authenticating()
    stream.receive_data(SUCCESS)
    stream.receive_data(CLIENT_HEADER + features(offers))
    stream.request = "id"
    assert b"<bind" in stream.data_to_send()
    return stream


def bound(jid: str = "juliet@localhost/x", id: str = "id") -> bytes:
    return f"<iq type='result' id='{id}'><bind {BIND}><jid>{jid}</jid></bind></iq>".encode()


# -- before any credential is sent ----------------------------------------------------------------


@pytest.mark.parametrize(
    "offers", ["", PLAIN, SCRAM, SCRAM + f"<bind {BIND}/>", "<starttls xmlns='urn:other'/>"]
)
def test_stripped_starttls(offers: str) -> None:
    stream, told = feed(strict_client, [CLIENT_HEADER + features(offers)])
    assert told == [OPENED, failed("encryption-required", "AuthenticationError")]
    sent = stream.data_to_send()
    assert sent.endswith(b">" + b"</stream:stream>")
    assert b"auth" not in sent


def test_refused_starttls() -> None:
    refusal = f"<failure {TLS}/></stream:stream>".encode()
    assert outcome(asking_for_tls, refusal) == [
        failed("encryption-required", "AuthenticationError")
    ]


def test_plain_is_never_sent_in_clear() -> None:
    stream, told = feed(started_client, [CLIENT_HEADER + features(PLAIN)])
    assert told == [OPENED, failed("invalid-mechanism", "AuthenticationError")]
    assert b"<auth" not in stream.data_to_send()


def test_success_for_nothing() -> None:
    for early in (SUCCESS, PROCEED, f"<challenge {SASL}/>".encode(), b"<handshake/>"):
        assert outcome(strict_client, CLIENT_HEADER + early) == [
            OPENED,
            failed("unsupported-stanza-type"),
        ]
        assert outcome(asking_for_tls, early if early != PROCEED else b"<handshake/>") == [
            failed("unsupported-stanza-type")
        ]


# -- plaintext injection --------------------------------------------------------------------------

INJECTED = [
    b" ",
    b"\n",
    b"x>",
    b"<",
    b"\xff",
    b"<!--",
    b"<iq/>",
    b"</stream:stream>",
    b"<iq",
    features(PLAIN),
    CLIENT_HEADER,
]


@pytest.mark.parametrize("injected", INJECTED)
def test_nothing_may_follow_proceed(injected: bytes) -> None:
    stream, told = feed(asking_for_tls, [PROCEED + injected])
    assert told == [failed("policy-violation")]
    assert stream.closed
    stream, told = feed(asking_for_tls, [PROCEED, injected])
    assert told == [StartTLS(), failed("policy-violation")]
    assert stream.data_to_send() == b""  # the peer expects TLS


def test_proceed_in_pieces() -> None:
    assert outcome(asking_for_tls, PROCEED) == [StartTLS()]
    assert outcome(asking_for_tls, f"<proceed {TLS}></proceed>".encode()) == [StartTLS()]


@pytest.mark.parametrize("injected", set(INJECTED) - {b" ", b"\n"})
def test_nothing_may_follow_success(injected: bytes) -> None:
    stream, told = feed(authenticating, [SUCCESS + injected])
    assert told == [failed("policy-violation")]
    assert not any(isinstance(event, Authenticated) for event in told)
    assert condition_sent(stream) == "policy-violation"


@pytest.mark.parametrize("space", [b"", b" ", b"\r\n"])
def test_white_space_may_follow_success(space: bytes) -> None:
    stream, told = feed(authenticating, [SUCCESS + space])
    assert told == [Authenticated("juliet", "PLAIN")]
    assert b"<stream:stream to='localhost'" in stream.data_to_send()


def test_features_from_before_tls_are_forgotten() -> None:
    stream = strict_client()
    stream.receive_data(CLIENT_HEADER + features(STARTTLS + PLAIN + f"<bind {BIND}/>"))
    stream.receive_data(PROCEED)
    stream.tls_established()
    stream.data_to_send()
    told = said(stream, stream.receive_data(CLIENT_HEADER + features("")))
    assert told[-1] == failed("invalid-mechanism", "AuthenticationError")


# -- SASL -----------------------------------------------------------------------------------------


def scram_client() -> tuple[ClientStream, ScramServer, bytes]:
    stream = started_client()
    stream.receive_data(CLIENT_HEADER + features(SCRAM))
    sent = stream.data_to_send()
    first = base64.b64decode(sent.partition(b"<auth ")[2].partition(b">")[2].partition(b"<")[0])
    authority = Authority("localhost", ACCOUNTS.get)
    channel = Channel(offered=("SCRAM-SHA-1",))
    return stream, ScramServer(authority, channel, digest="sha1", binds=False), first


def element(name: str, data: bytes) -> bytes:
    return f"<{name} {SASL}>{base64.b64encode(data).decode()}</{name}>".encode()


def answered(stream: ClientStream, server: ScramServer, first: bytes) -> bytes:
    """The conversation up to the client's proof; gives the server's signature."""
    challenge: Any = server.receive(first)
    assert settle(stream, stream.receive_data(element("challenge", challenge.data))) == []
    sent = stream.data_to_send()
    response = base64.b64decode(sent.partition(b">")[2].partition(b"<")[0])
    success: Any = server.receive(response)
    assert success.additional
    return bytes(success.additional)


def test_server_signature_with_success() -> None:
    stream, server, first = scram_client()
    signature = answered(stream, server, first)
    assert stream.receive_data(element("success", signature)) == [
        Authenticated("juliet", "SCRAM-SHA-1")
    ]


def test_server_signature_as_a_challenge() -> None:
    stream, server, first = scram_client()
    signature = answered(stream, server, first)
    assert stream.receive_data(element("challenge", signature)) == []
    assert stream.data_to_send() == f"<response {SASL}/>".encode()
    assert stream.receive_data(SUCCESS) == [Authenticated("juliet", "SCRAM-SHA-1")]


@pytest.mark.parametrize(
    "end",
    [
        SUCCESS,
        f"<success {SASL}>=</success>".encode(),
        element("success", b"v=AAAA"),
        element("success", b""),
        f"<success {SASL}>v=not base64</success>".encode(),
        f"<success {SASL}>é</success>".encode(),
    ],
)
def test_success_without_proof(end: bytes) -> None:
    stream, server, first = scram_client()
    answered(stream, server, first)
    (event,) = stream.receive_data(end)
    assert isinstance(event, StreamFailed)
    assert isinstance(event.error, AuthenticationError)
    assert stream.data_to_send() == b"</stream:stream>"


def test_challenge_from_a_thief() -> None:
    stream, _, _ = scram_client()
    (event,) = stream.receive_data(element("challenge", b"r=other,s=QQ==,i=4096"))
    assert isinstance(event, StreamFailed)
    assert stream.data_to_send() == f"<abort {SASL}/></stream:stream>".encode()


@pytest.mark.parametrize(
    ("inner", "condition", "text"),
    [
        ("<not-authorized/>", "not-authorized", ""),
        ("<account-disabled/><text>gone</text>", "account-disabled", "gone"),
        ("", "not-authorized", ""),
    ],
)
def test_failure(inner: str, condition: str, text: str) -> None:
    (event,) = authenticating().receive_data(f"<failure {SASL}>{inner}</failure>".encode())
    assert isinstance(event, StreamFailed)
    assert (event.error.condition, event.error.text) == (condition, text)


def test_password_that_cannot_be_sent() -> None:
    _, told = feed(lambda: started_client(password="\u0007"), [CLIENT_HEADER + features(SCRAM)])
    assert told == [OPENED, failed("malformed-request", "AuthenticationError")]


# -- binding and session --------------------------------------------------------------------------

READY = Ready(JID("juliet", "localhost", "x"))


def test_bound() -> None:
    assert outcome(binding, bound() + b"<presence/>") == [READY, b"<presence/>"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (bound(id="other"), failed("not-authorized")),
        (b"<message><body>hi</body></message>", failed("not-authorized")),
        (b"<iq type='get' id='id'/>", failed("not-authorized")),
        (bound("juliet@localhost"), failed("bad-format")),
        (bound("localhost/x"), failed("undefined-condition")),
        (bound("romeo@localhost/x"), failed("undefined-condition")),
        (bound("juliet@other.test/x"), failed("undefined-condition")),
        (bound("@/"), failed("bad-format")),
        (b"<iq type='result' id='id'/>", failed("bad-format")),
        (
            b"<iq type='error' id='id'><error type='cancel'><not-allowed "
            b"xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
            failed("not-allowed", "StreamError"),
        ),
        (b"<iq type='error' id='id'/>", failed("undefined-condition", "StreamError")),
    ],
)
def test_bind_answers(answer: bytes, expected: Any) -> None:
    assert outcome(binding, answer) == [expected]


def test_no_binding_offered() -> None:
    stream = authenticating()
    stream.receive_data(SUCCESS)
    told = said(stream, stream.receive_data(CLIENT_HEADER + features("")))
    assert told[-1] == failed("unsupported-feature")


OLD = f"<bind {BIND}/><session {SESSION}/>"


def in_session() -> ClientStream:
    stream = binding(OLD)
    assert stream.receive_data(bound()) == []
    assert f"<session {SESSION}/>".encode() in stream.data_to_send()
    stream.request = "id2"
    return stream


def test_legacy_session_where_it_is_required() -> None:
    told = outcome(in_session, b"<message/><iq type='result' id='id2'/><presence/>")
    assert told == [READY, b"<message/>", b"<presence/>"]


def test_legacy_session_refused() -> None:
    assert outcome(in_session, b"<iq type='error' id='id2'/>") == [
        failed("undefined-condition", "StreamError")
    ]


def test_optional_session_is_not_asked_for() -> None:
    stream = binding(f"<session {SESSION}><optional/></session><bind {BIND}/>")
    assert said(stream, stream.receive_data(bound())) == [READY]
    assert stream.data_to_send() == b""


def test_a_flood_before_the_session_is_for_the_caller_to_hold_up() -> None:
    """Where the answer stands behind more than we keep, the stream is ready without it."""
    flood = b"<message/>" * (EARLY_STANZAS - 1)
    _, told = feed(in_session, [flood])
    assert told == []
    stream, told = feed(
        in_session, [flood, b"<message/><presence/>", b"<iq type='result' id='id2'/>"]
    )
    assert told == [
        READY,
        *[b"<message/>"] * EARLY_STANZAS,
        b"<presence/>",
        b'<iq type="result" id="id2"/>',
    ]
    assert stream.ready


# -- header and errors ----------------------------------------------------------------------------


def header(attributes: str) -> bytes:
    return f"<stream:stream {attributes} xmlns='jabber:client' {STREAMS}>".encode()


@pytest.mark.parametrize(
    ("attributes", "condition"),
    [
        ("from='evil.example' id='1' version='1.0'", "invalid-from"),
        ("from='@' id='1' version='1.0'", "invalid-from"),
        ("from='localhost' id='1'", "unsupported-version"),
        ("from='localhost' id='1' version='0.9'", "unsupported-version"),
        ("from='localhost' id='1' version='10.0'", "unsupported-version"),
    ],
)
def test_headers_that_will_not_do(attributes: str, condition: str) -> None:
    told = outcome(started_client, header(attributes) + features(SCRAM))
    assert told[1:] == [failed(condition)]


@pytest.mark.parametrize("attributes", ["version='1.1'", "from='LOCALHOST' version='1.0'"])
def test_headers_that_will(attributes: str) -> None:
    stream, told = feed(started_client, [header(attributes) + features(SCRAM)])
    assert len(told) == 1
    assert b"<auth " in stream.data_to_send()


def test_component_header() -> None:
    told = outcome(started_client, header("").replace(b"jabber:client", b"jabber:component:accept"))
    assert told[1:] == [failed("invalid-namespace")]


def test_features_twice() -> None:
    assert outcome(asking_for_tls, features(STARTTLS)) == [failed("policy-violation")]


def test_data_before_the_start() -> None:
    assert outcome(client, CLIENT_HEADER) == [failed("policy-violation")]


def stream_error(inner: str) -> bytes:
    return f"<stream:error>{inner}</stream:error></stream:stream>".encode()


ERRORS = "xmlns='urn:ietf:params:xml:ns:xmpp-streams'"


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (f"<conflict {ERRORS}/>", ("conflict", "", None)),
        (f"<text {ERRORS}>why</text><reset {ERRORS}/>", ("reset", "why", None)),
        (
            f"<see-other-host {ERRORS}> [::1]:5222 </see-other-host>",
            ("see-other-host", "", "[::1]:5222"),
        ),
        (f"<see-other-host {ERRORS}/>", ("see-other-host", "", None)),
        ("<app xmlns='urn:app'/>", ("undefined-condition", "", None)),
        ("", ("undefined-condition", "", None)),
    ],
)
def test_stream_errors(inner: str, expected: tuple[str, str, str | None]) -> None:
    assert outcome(started_client, header("") + stream_error(inner))[1] == (
        "StreamError",
        expected[0],
    )
    stream = started_client()
    stream.data_to_send()
    event = stream.receive_data(header("") + stream_error(inner))[-1]
    assert isinstance(event, StreamFailed)
    assert isinstance(event.error, StreamError)
    assert (event.error.condition, event.error.text, event.error.other_host) == expected
    assert stream.data_to_send() == b"</stream:stream>"


def test_orderly_end_during_negotiation() -> None:
    assert outcome(asking_for_tls, b"</stream:stream>") == [CLOSED]


def test_end_of_connection_during_negotiation() -> None:
    (event,) = asking_for_tls().receive_eof()
    assert isinstance(event, StreamFailed)


def test_after_close_the_negotiation_is_ignored() -> None:
    stream = asking_for_tls()
    stream.close()
    assert stream.data_to_send() == b"</stream:stream>"
    assert stream.receive_data(PROCEED) == []
    assert stream.receive_data(b"<message/></stream:stream>") == [CLOSED]
    assert stream.data_to_send() == b""
