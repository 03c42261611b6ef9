"""The server role against clients and components that are strange, broken or hostile."""

import base64
from typing import Any

import pytest

from emp import ns
from emp.errors import NotAllowed
from emp.jid import JID
from emp.stream import ServerStream
from emp.stream.config import ServerConfig
from emp.stream.events import Authenticated, Ready, StartTLS, StreamClosed, StreamFailed
from emp.stream.features.login import ATTEMPTS
from tests.emp.stream.law import (
    STREAMS,
    TO_SERVER,
    TO_SERVER_FROM_COMPONENT,
    condition_sent,
    failed,
    feed,
    outcome,
    said,
    server,
)

TLS = "xmlns='urn:ietf:params:xml:ns:xmpp-tls'"
SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
BIND = "xmlns='urn:ietf:params:xml:ns:xmpp-bind'"
STARTTLS = f"<starttls {TLS}/>".encode()


def strict() -> ServerStream:
    return server(require_tls=True)


def opened() -> ServerStream:
    stream = strict()
    stream.receive_data(TO_SERVER)
    sent = stream.data_to_send()
    assert b"<required/>" in sent
    assert b"mechanism" not in sent
    return stream


def secured() -> ServerStream:
    stream = opened()
    assert stream.receive_data(STARTTLS) == [StartTLS()]
    assert stream.data_to_send() == f"<proceed {TLS}/>".encode()
    stream.tls_established()
    assert stream.data_to_send() == b""
    stream.receive_data(TO_SERVER)
    sent = stream.data_to_send()
    assert b"starttls" not in sent
    assert b"<mechanism>PLAIN</mechanism>" in sent
    return stream


def auth(text: str, mechanism: str = "PLAIN") -> bytes:
    return f"<auth {SASL} mechanism='{mechanism}'>{text}</auth>".encode()


def plain(username: str, password: str) -> bytes:
    return auth(base64.b64encode(f"\0{username}\0{password}".encode()).decode())


GOOD = plain("juliet", "r0m30myr0m30")


def authenticated() -> ServerStream:
    stream = secured()
    assert stream.receive_data(GOOD) == [Authenticated("juliet", "PLAIN")]
    assert stream.data_to_send() == f"<success {SASL}/>".encode()
    stream.receive_data(TO_SERVER)
    assert b"<bind" in stream.data_to_send()
    return stream


def bind(resource: str = "", id: str = "b") -> bytes:
    inner = f"<resource>{resource}</resource>" if resource else ""
    return f"<iq type='set' id='{id}'><bind {BIND}>{inner}</bind></iq>".encode()


# -- headers --------------------------------------------------------------------------------------


def header(attributes: str) -> bytes:
    return f"<stream:stream {attributes} xmlns='jabber:client' {STREAMS}>".encode()


@pytest.mark.parametrize(
    ("attributes", "condition"),
    [
        ("version='1.0'", "improper-addressing"),
        ("to='' version='1.0'", "improper-addressing"),
        ("to='other.example' version='1.0'", "host-unknown"),
        ("to='@@' version='1.0'", "host-unknown"),
        ("to='localhost'", "unsupported-version"),
        ("to='localhost' version='0.9'", "unsupported-version"),
    ],
)
def test_headers_that_will_not_do(attributes: str, condition: str) -> None:
    assert outcome(server, header(attributes))[1:] == [failed(condition)]


@pytest.mark.parametrize("to", ["", "nobody.localhost", "@@", "a'b"])
def test_unknown_components(to: str) -> None:
    data = TO_SERVER_FROM_COMPONENT.replace(b"'c.localhost'", f'"{to}"'.encode())
    assert outcome(server, data)[1:] == [failed("host-unknown")]


def test_stream_ids_are_never_the_same() -> None:
    ids = set()
    for _ in range(3):
        stream = strict()
        stream.receive_data(TO_SERVER)
        ids.add(stream.data_to_send().partition(b"id='")[2][:32])
    stream = secured()
    assert len(ids) == 3
    assert not stream.ready


# -- before authentication ------------------------------------------------------------------------


@pytest.mark.parametrize("make", [opened, secured])
@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (b"<message to='a'><body>hi</body></message>", "not-authorized"),
        (b"<presence/>", "not-authorized"),
        (bind(), "not-authorized"),
        (b"<handshake/>", "unsupported-stanza-type"),
        (b"<stream:features/>", "unsupported-stanza-type"),
    ],
)
def test_too_early(make: Any, data: bytes, condition: str) -> None:
    assert outcome(make, data) == [failed(condition)]


def test_no_password_in_clear() -> None:
    assert outcome(opened, GOOD) == [failed("policy-violation")]


def test_starttls_twice() -> None:
    assert outcome(secured, STARTTLS) == [failed("policy-violation")]


def test_starttls_where_it_is_not_offered() -> None:
    stream, told = feed(lambda: server(offer_tls=False), [TO_SERVER + STARTTLS])
    assert told[1:] == [failed("unsupported-feature")]
    assert f"<failure {TLS}/>".encode() in stream.data_to_send()


INJECTED = [b"x>", b"<", b"\xff", b"<iq/>", b"</stream:stream>", TO_SERVER, bind()]


@pytest.mark.parametrize("injected", [*INJECTED, b" "])
def test_nothing_may_follow_starttls(injected: bytes) -> None:
    stream, told = feed(opened, [STARTTLS + injected])
    assert told == [failed("policy-violation")]
    assert b"proceed" not in stream.data_to_send()


@pytest.mark.parametrize("injected", INJECTED)
def test_nothing_may_follow_the_last_response(injected: bytes) -> None:
    stream, told = feed(secured, [GOOD + injected])
    assert told == [failed("policy-violation")]
    assert b"success" not in stream.data_to_send()


# -- SASL -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (plain("juliet", "wrong"), "not-authorized"),
        (plain("nobody", "wrong"), "not-authorized"),
        (auth("====", "PLAIN"), "incorrect-encoding"),
        (auth("a b"), "incorrect-encoding"),
        (auth("é"), "incorrect-encoding"),
        (auth("QQ=="), "malformed-request"),
        (auth("=", "SCRAM-SHA-1"), "malformed-request"),
        (auth("", "DIGEST-MD5"), "invalid-mechanism"),
        (f"<auth {SASL}/>".encode(), "invalid-mechanism"),
        (f"<abort {SASL}/>".encode(), "aborted"),
        (f"<response {SASL}/>".encode(), "malformed-request"),
    ],
)
def test_failures_can_be_repaired_twice(data: bytes, condition: str) -> None:
    stream = secured()
    for _ in range(ATTEMPTS - 1):
        assert stream.receive_data(data) == []
        expected = f"<failure {SASL}><{condition}/></failure>"
        assert stream.data_to_send() == expected.encode()
    assert stream.receive_data(GOOD) == [Authenticated("juliet", "PLAIN")]
    assert outcome(secured, data * ATTEMPTS) == [failed("policy-violation")]


def test_password_asked_for() -> None:
    stream = secured()
    assert stream.receive_data(f"<auth {SASL} mechanism='PLAIN'/>".encode()) == []
    assert stream.data_to_send() == f"<challenge {SASL}>=</challenge>".encode()
    response = GOOD.replace(b"auth", b"response")
    assert stream.receive_data(response) == [Authenticated("juliet", "PLAIN")]


def test_names_that_are_no_jids() -> None:
    stream = server(password_of={"a/b": "x"}.get)
    stream.tls_established()
    stream.receive_data(TO_SERVER)
    stream.data_to_send()
    assert stream.receive_data(plain("a/b", "x")) == []
    assert b"<not-authorized/>" in stream.data_to_send()


# -- binding --------------------------------------------------------------------------------------


def test_bind_normalises_the_resource() -> None:
    stream = authenticated()
    (event,) = stream.receive_data(bind("e\u0301"))
    assert event == Ready(JID("juliet", "localhost", "é"))
    sent = stream.data_to_send().decode()
    assert "<jid>juliet@localhost/é</jid>" in sent
    assert "id='b'" in sent


def test_bind_again_after_an_error() -> None:
    def only_x(bare: JID, wanted: str | None) -> str:
        if wanted != "x":
            raise NotAllowed("x only")
        return wanted

    stream = server(bind=only_x)
    stream.tls_established()
    stream.receive_data(TO_SERVER)
    stream.receive_data(GOOD)
    stream.receive_data(TO_SERVER)
    stream.data_to_send()
    assert stream.receive_data(bind("y")) == []
    assert b"not-allowed" in stream.data_to_send()
    assert stream.receive_data(bind("&#x2028;")) == []
    assert b"bad-request" in stream.data_to_send()
    assert stream.receive_data(bind("x")) == [Ready(JID("juliet", "localhost", "x"))]


@pytest.mark.parametrize(
    "data",
    [
        b"<message/>",
        b"<iq type='get' id='1'><query xmlns='jabber:iq:version'/></iq>",
        bind().replace(b"type='set'", b"type='get'"),
        bind().replace(b" id='b'", b""),
        b"<iq type='set' id='1'/>",
    ],
)
def test_stanzas_before_binding(data: bytes) -> None:
    assert outcome(authenticated, data) == [failed("not-authorized")]


def test_bind_twice_is_an_ordinary_stanza_then() -> None:
    stream = authenticated()
    stream.receive_data(bind("x"))
    told = said(stream, stream.receive_data(bind("y")))
    assert len(told) == 1
    assert isinstance(told[0], bytes)


# -- components -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (b"<handshake/>", "not-authorized"),
        (b"<handshake>0123</handshake>", "not-authorized"),
        ("<handshake>é</handshake>".encode(), "not-authorized"),
        (b"<message/>", "not-authorized"),
        (GOOD, "unsupported-stanza-type"),
        (STARTTLS, "unsupported-stanza-type"),
    ],
)
def test_components_that_may_not_enter(data: bytes, condition: str) -> None:
    stream, told = feed(server, [TO_SERVER_FROM_COMPONENT + data])
    assert told[1:] == [failed(condition)]
    assert condition_sent(stream) == condition
    assert outcome(server, TO_SERVER_FROM_COMPONENT + data)[1:] == [failed(condition)]


def test_component_header_has_no_version() -> None:
    stream, _ = feed(server, [TO_SERVER_FROM_COMPONENT])
    sent = stream.data_to_send()
    assert b" xmlns='jabber:component:accept'" in sent
    assert b"from='c.localhost'" in sent
    assert b"version='1.0' xml" not in sent.partition(b"?>")[2]
    assert stream.component


def test_end_before_anything() -> None:
    stream = strict()
    assert stream.receive_eof()[0] != StreamClosed()
    assert stream.closed
    assert stream.data_to_send() == b""


@pytest.mark.parametrize(
    ("accepts", "other"), [(ns.COMPONENT, "jabber:client"), (ns.CLIENT, "jabber:component:accept")]
)
def test_peers_of_a_kind_that_is_not_served(accepts: str, other: str) -> None:
    server = ServerStream(ServerConfig("localhost", accepts=frozenset({accepts})))
    header = f"<stream:stream xmlns='{other}' xmlns:stream='{ns.STREAM}' to='localhost'>"
    event = server.receive_data(header.encode())[-1]
    assert isinstance(event, StreamFailed)
    assert event.error.condition == "invalid-namespace"
