"""Enabling and resuming (XEP-0198 §3, §5), both halves, with peers that do not keep to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from emp.jid import JID
from emp.stanza import Iq, Message
from emp.stream import ClientStream, ServerStream
from emp.stream.client import EARLY_STANZAS
from emp.stream.events import Ready, Resumed, StanzasReceived, StreamOpened
from emp.stream.features.sm import ID_LENGTH
from emp.stream.management import Management
from emp.xml import E
from tests.emp.stream.law import (
    CLIENT_HEADER,
    TO_SERVER,
    condition_sent,
    failed,
    outcome,
    said,
    server,
)
from tests.emp.stream.managed import (
    SM,
    Keeper,
    Reader,
    feed_to,
    managed_client,
    managed_server,
    numbered,
    stanzas_in,
    talk,
)

BIND = "xmlns='urn:ietf:params:xml:ns:xmpp-bind'"
SESSION = "xmlns='urn:ietf:params:xml:ns:xmpp-session'"
SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
STANZAS = "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'"
OFFER = f"<bind {BIND}/><sm {SM}/>"
JULIET = JID("juliet", "localhost", "x")
MESSAGE = b"<message from='a@localhost/b'><body>early</body></message>"
ENABLED = f"<enabled {SM} id='i' resume='true' max='300' location='[::1]:5222'/>".encode()
ENABLE = f"<enable {SM} resume='true'/>".encode()


def features(inner: str) -> bytes:
    return f"<stream:features>{inner}</stream:features>".encode()


def authenticated(
    offer: str = OFFER, management: Management | None = None, **changes: Any
) -> ClientStream:
    """A client that has seen the features behind the login."""
    stream = managed_client(management, **changes)
    stream.start()
    mechanisms = f"<mechanisms {SASL}><mechanism>PLAIN</mechanism></mechanisms>"
    feed_to(stream, CLIENT_HEADER + features(mechanisms))
    feed_to(stream, f"<success {SASL}/>".encode())
    stream.data_to_send()
    feed_to(stream, CLIENT_HEADER + features(offer))
    return stream


def bound(offer: str = OFFER, **changes: Any) -> ClientStream:
    """… and has its resource."""
    stream = authenticated(offer, **changes)
    stream.data_to_send()
    answer = f"<bind {BIND}><jid>{JULIET}</jid></bind>"
    events = feed_to(stream, f"<iq type='result' id='{stream.request}'>{answer}</iq>".encode())
    assert all(isinstance(event, Ready) for event in events)
    return stream


def enabled() -> ClientStream:
    stream = bound()
    assert stream.receive_data(ENABLED) == [Ready(JULIET)]
    stream.data_to_send()
    return stream


# -- the client enables ---------------------------------------------------------------------------


def test_enabled() -> None:
    stream = bound()
    assert stream.data_to_send() == ENABLE
    assert not stream.ready
    assert stream.receive_data(ENABLED) == [Ready(JULIET)]
    books = stream.management
    assert (books.active, books.id, books.max_seconds, books.jid) == (True, "i", 300, JULIET)
    assert books.location == "[::1]:5222"


@pytest.mark.parametrize(
    ("attributes", "id"),
    [
        ("id='i' resume='1'", "i"),
        ("id='i'", None),
        ("id='i' resume='false'", None),
        ("resume='true'", None),
        ("id='' resume='true'", None),
        (f"id='{'i' * ID_LENGTH}' resume='true'", "i" * ID_LENGTH),
        (f"id='{'i' * (ID_LENGTH + 1)}' resume='true'", None),
        ("", None),
    ],
)
def test_whether_the_session_can_be_resumed(attributes: str, id: str | None) -> None:
    stream = bound()
    assert stream.receive_data(f"<enabled {SM} {attributes}/>".encode()) == [Ready(JULIET)]
    assert stream.management.active
    assert stream.management.id == id


@pytest.mark.parametrize("offer", [f"<bind {BIND}/>", f"<bind {BIND}/><sm xmlns='urn:xmpp:sm:2'/>"])
def test_not_offered(offer: str) -> None:
    stream = bound(offer)
    assert stream.ready
    assert not stream.management.active
    assert stream.data_to_send() == b""


def test_not_wanted() -> None:
    stream = bound(acknowledgements=False)
    assert stream.ready
    assert stream.data_to_send() == b""


def test_refused() -> None:
    stream = bound()
    refusal = f"<failed {SM}><internal-server-error {STANZAS}/></failed>".encode()
    assert stream.receive_data(refusal) == [Ready(JULIET)]
    assert not stream.management.active


def test_after_the_legacy_session() -> None:
    stream = bound(OFFER + f"<session {SESSION}/>")
    sent = stream.data_to_send()
    assert b"<session" in sent
    assert b"<enable" not in sent
    stream.receive_data(MESSAGE)
    stream.receive_data(f"<iq type='result' id='{stream.request}'/>".encode())
    assert stream.data_to_send() == ENABLE
    (ready, early) = stream.receive_data(ENABLED)
    assert ready == Ready(JULIET)
    assert isinstance(early, StanzasReceived)
    assert stream.management.received == 1
    stream.handled(1)
    assert stream.management.h == 0  # it came before <enabled/>


def test_early_stanzas_come_out_in_order_and_do_not_count() -> None:
    def stream() -> ClientStream:
        return bound()

    late = MESSAGE.replace(b"early", b"late")
    told = outcome(stream, MESSAGE + b"<presence/>" + b"<iq type='get' id='1'/>" + ENABLED + late)
    assert told == [
        Ready(JULIET),
        MESSAGE.replace(b"'", b'"'),
        b"<presence/>",
        b'<iq type="get" id="1"/>',
        late.replace(b"'", b'"'),
    ]
    client = stream()
    reader = Reader(client.management)
    client.receive_data(MESSAGE + MESSAGE)
    reader.take(client.receive_data(ENABLED + late + f"<r {SM}/>".encode()))
    assert reader.last == client.management.received == 3
    client.data_to_send()
    client.handled(2)
    assert client.management.h == 0
    client.handled(3)
    assert client.data_to_send() == f"<a {SM} h='1'/>".encode()


FLOOD = MESSAGE * EARLY_STANZAS


def flooded() -> ClientStream:
    """A client that was written to before <enabled/> more than it keeps."""
    stream = bound()
    events = stream.receive_data(FLOOD)
    assert [type(event) for event in events] == [Ready, StanzasReceived]
    assert stream.data_to_send() == ENABLE
    return stream


def test_a_flood_does_not_wait_for_the_answer() -> None:
    """The stream is its caller's, who can pause it; both sides count all the same."""
    stream = bound()
    books, reader = stream.management, Reader(stream.management)
    reader.take(stream.receive_data(FLOOD)[1:])
    assert stream.data_to_send() == ENABLE
    assert (stream.ready, books.active) == (True, False)
    stream.send(numbered(1, 600))  # many: but no ping, whose answer might count or not
    assert stream.data_to_send().count(b"<message") == 600
    reader.take(stream.receive_data(MESSAGE + ENABLED + MESSAGE + f"<r {SM}/>".encode()))
    assert (books.active, books.id, books.jid) == (True, "i", JULIET)
    assert books.received == EARLY_STANZAS + 2
    stream.handled(EARLY_STANZAS + 1)
    assert books.h == 0
    stream.data_to_send()
    stream.handled(EARLY_STANZAS + 2)
    assert stream.data_to_send() == f"<a {SM} h='1'/>".encode()
    assert stream.receive_data(f"<a {SM} h='600'/>".encode()) == []
    assert books.acknowledged == books.sent == 600


def test_a_flood_and_no_counting() -> None:
    stream = flooded()
    refusal = f"<failed {SM}><internal-server-error {STANZAS}/></failed>".encode()
    assert stream.receive_data(refusal) == []
    assert (stream.ready, stream.management.active) == (True, False)
    stream.send(numbered(1, 600))
    assert b"urn:xmpp:ping" in stream.data_to_send()


@pytest.mark.parametrize("name", ["resumed", "sm", "enable", "r", "a"])
def test_nothing_but_the_answer_behind_a_flood(name: str) -> None:
    assert outcome(flooded, f"<{name} {SM} h='0'/>".encode()) == [failed("unsupported-stanza-type")]


def test_one_answer_behind_a_flood() -> None:
    assert outcome(flooded, ENABLED + ENABLED) == [failed("unsupported-stanza-type")]


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (f"<enabled {SM} max='-1'/>", "bad-format"),
        (f"<enabled {SM} max='soon'/>", "bad-format"),
        (f"<resumed {SM} previd='i' h='0'/>", "unsupported-stanza-type"),
        (f"<r {SM}/>", "unsupported-stanza-type"),
        (f"<a {SM} h='0'/>", "unsupported-stanza-type"),
        (f"<sm {SM}/>", "unsupported-stanza-type"),
        ("<stream:features/>", "policy-violation"),
    ],
)
def test_at_the_wrong_time(data: str, condition: str) -> None:
    assert outcome(bound, data.encode()) == [failed(condition)]


@pytest.mark.parametrize("name", ["enabled", "resumed", "failed", "enable", "resume", "x"])
def test_nothing_but_acknowledgements_afterwards(name: str) -> None:
    data = f"<{name} {SM} id='other' previd='i' h='0' resume='true'/>".encode()
    assert outcome(enabled, data) == [failed("unsupported-stanza-type")]
    stream = enabled()
    stream.receive_data(data)
    assert stream.management.id == "i"


@pytest.mark.parametrize("data", [f"<r {SM}/>", f"<a {SM} h='0'/>", f"<failed {SM}/>"])
def test_nothing_at_all_without_it(data: str) -> None:
    def without() -> ClientStream:
        return bound(f"<bind {BIND}/>")

    assert outcome(without, data.encode()) == [failed("unsupported-stanza-type")]


# -- counts that cannot be ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "h", ["", "-1", "+1", " 1", "1.0", "1e3", "4294967296", "\u0663", "9" * 99]
)
def test_what_is_no_count(h: str) -> None:
    assert outcome(enabled, f"<a {SM} h='{h}'/>".encode()) == [failed("bad-format")]
    assert outcome(enabled, f"<a {SM}/>".encode()) == [failed("bad-format")]


@pytest.mark.parametrize("h", [3, 10, 4294967295])
def test_more_than_was_sent(h: int) -> None:
    stream = enabled()
    stream.send(numbered(0, 2))
    stream.data_to_send()
    told = said(stream, stream.receive_data(f"<a {SM} h='{h}'/>".encode()))
    assert told == [failed("undefined-condition")]
    assert (
        stream.data_to_send()
        == (
            "<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
            f"<handled-count-too-high {SM} h='{h}' send-count='2'/></stream:error></stream:stream>"
        ).encode()
    )
    assert stream.management.id == "i"
    assert len(stream.management.unacknowledged) == 2


def test_less_than_before() -> None:
    stream = enabled()
    stream.send(numbered(0, 2))
    told = said(stream, stream.receive_data(f"<a {SM} h='2'/><a {SM} h='1'/>".encode()))
    assert told == [failed("undefined-condition")]


def test_acknowledgements_whatever_the_chunks() -> None:
    def stream() -> ClientStream:
        made = enabled()
        made.send(numbered(0, 2))
        made.data_to_send()
        return made

    wire = MESSAGE + f"<r {SM}/><a {SM} h='1'></a>".encode() + MESSAGE
    assert outcome(stream, wire + b"</stream:stream>")[:2] == [MESSAGE.replace(b"'", b'"')] * 2
    whole = stream()
    whole.receive_data(wire)
    assert whole.data_to_send() == f"<a {SM} h='0'/>".encode()
    assert whole.management.acknowledged == 1


# -- the client resumes ---------------------------------------------------------------------------


def lost(sent: int = 3, received: int = 4, handled: int = 2) -> Management:
    """The books of a session whose connection was lost."""
    stream = enabled()
    stream.send(numbered(0, sent))
    stream.receive_data(MESSAGE * received)
    stream.handled(handled)
    stream.receive_eof()
    return stream.management


def resuming(management: Management | None = None) -> ClientStream:
    return authenticated(management=management or lost())


def test_resumed() -> None:
    books = lost()
    stream = resuming(books)
    assert stream.data_to_send().endswith(f"<resume {SM} h='2' previd='i'/>".encode())
    assert stream.receive_data(f"<resumed {SM} previd='i' h='1'/>".encode()) == [Resumed(JULIET)]
    assert stream.ready
    assert stream.jid == JULIET
    again = b"".join(stanza.to_bytes() for stanza in numbered(1, 2))
    assert stream.data_to_send() == again + f"<r {SM}/>".encode()
    assert books.active
    reader = Reader(books)
    reader._next = reader.last = 4
    reader._generation = books.generation - 1
    reader.take(stream.receive_data(MESSAGE * 3))
    assert (reader.last, len(reader.bodies)) == (5, 1)
    stream.handled(5)
    assert books.h == 5


def test_resumed_with_nothing_to_send_again() -> None:
    stream = resuming()
    stream.data_to_send()
    stream.receive_data(f"<resumed {SM} previd='i' h='3'/>".encode())
    assert stream.data_to_send() == b""
    assert not stream.management.unacknowledged


def test_resumption_whatever_the_chunks() -> None:
    wire = f"<resumed {SM} previd='i' h='1'/>".encode() + MESSAGE
    assert outcome(resuming, wire) == [Resumed(JULIET), MESSAGE.replace(b"'", b'"')]


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (f"<resumed {SM} previd='j' h='0'/>", "undefined-condition"),
        (f"<resumed {SM} h='0'/>", "undefined-condition"),
        (f"<resumed {SM} previd='i'/>", "bad-format"),
        (f"<resumed {SM} previd='i' h='4'/>", "undefined-condition"),
    ],
)
def test_resumptions_that_cannot_be_end_the_session(data: str, condition: str) -> None:
    assert outcome(resuming, data.encode()) == [failed(condition)]
    books = lost()
    resuming(books).receive_data(data.encode())
    assert books.id is None
    assert [(each.number, each.certain) for each in books.take_lost()] == [
        (1, False),
        (2, False),
        (3, False),
    ]


@pytest.mark.parametrize(
    "data", [MESSAGE.decode(), f"<enabled {SM} id='x' resume='true'/>", f"<r {SM}/>"]
)
def test_at_the_wrong_time_of_a_resumption(data: str) -> None:
    books = lost()
    stream = resuming(books)
    assert said(stream, stream.receive_data(data.encode()))[0][0] == "RemoteProtocolError"
    assert books.id == "i"  # nothing was said about the session


@pytest.mark.parametrize(
    ("h", "expected"),
    [
        ("", [(1, False), (2, False), (3, False)]),
        ("h='0'", [(1, True), (2, True), (3, True)]),
        ("h='2'", [(3, True)]),
        ("h='3'", []),
        ("h='4'", [(1, False), (2, False), (3, False)]),
        ("h='x'", [(1, False), (2, False), (3, False)]),
    ],
)
def test_not_resumed(h: str, expected: list[tuple[int, bool]]) -> None:
    books = lost()
    stream = resuming(books)
    stream.data_to_send()
    assert (
        stream.receive_data(f"<failed {SM} {h}><item-not-found {STANZAS}/></failed>".encode()) == []
    )
    assert b"<bind" in stream.data_to_send()
    assert [(each.number, each.certain) for each in books.take_lost()] == expected
    answer = f"<bind {BIND}><jid>{JULIET}</jid></bind>"
    stream.receive_data(f"<iq type='result' id='{stream.request}'>{answer}</iq>".encode())
    assert stream.data_to_send() == ENABLE
    assert stream.receive_data(f"<enabled {SM} id='j' resume='true'/>".encode()) == [Ready(JULIET)]
    stream.send(numbered(0, 1))
    assert (books.id, books.send_count, books.sent, books.h) == ("j", 1, 4, 0)


def test_a_server_that_cannot_resume_any_more() -> None:
    books = lost()
    stream = bound(f"<bind {BIND}/>", management=books)
    assert stream.ready
    assert books.id is None
    assert len(books.take_lost()) == 3


@pytest.mark.parametrize(
    "end",
    [
        lambda stream: stream.receive_eof(),
        lambda stream: (stream.close(), stream.receive_eof()),
        lambda stream: stream.receive_data(b"</stream:stream>"),
        lambda stream: stream.receive_data(b"<!DOCTYPE x>"),
        lambda stream: stream.fail("connection-timeout"),
    ],
)
def test_a_failed_negotiation_does_not_end_the_session(end: Callable[[Any], Any]) -> None:
    books = lost()
    stream = resuming(books)
    end(stream)
    assert stream.closed
    assert (books.id, len(books.unacknowledged)) == ("i", 3)
    assert books.take_lost() == []


# -- the server -----------------------------------------------------------------------------------


def at_server(keeper: Keeper | None, *, after_bind: bool = True, **changes: Any) -> ServerStream:
    """A server to which juliet has logged in."""
    if keeper is None:
        stream = server(mechanisms=("PLAIN",), **changes)
        stream.tls_established()
    else:
        stream = managed_server(keeper, **changes)
    feed_to(stream, TO_SERVER)
    login = "AGp1bGlldAByMG0zMG15cjBtMzA="
    feed_to(stream, f"<auth {SASL} mechanism='PLAIN'>{login}</auth>".encode())
    stream.data_to_send()
    feed_to(stream, TO_SERVER)
    sent = stream.data_to_send()
    assert (f"<sm {SM}/>".encode() in sent) is (keeper is not None)
    if after_bind:
        bind = f"<iq type='set' id='b'><bind {BIND}><resource>x</resource></bind></iq>"
        stream.receive_data(bind.encode())
        assert stream.ready
        stream.data_to_send()
    return stream


def refusal(condition: str, h: str = "") -> bytes:
    return f"<failed {SM}{h}><{condition} {STANZAS}/></failed>".encode()


def test_server_enables() -> None:
    keeper = Keeper()
    stream = at_server(keeper)
    assert stream.receive_data(ENABLE) == []
    (id,) = keeper.sessions
    sent = stream.data_to_send()
    assert b"resume='true' max='300'" in sent
    assert stream.management.active
    assert stream.management.id == id
    client = bound()
    client.receive_data(sent)
    assert client.management.id == id  # however odd it is


@pytest.mark.parametrize(
    ("keeper", "request_"),
    [(Keeper(resumable=False), ENABLE), (Keeper(), f"<enable {SM}/>".encode())],
)
def test_server_enables_without_resumption(keeper: Keeper, request_: bytes) -> None:
    stream = at_server(keeper)
    stream.receive_data(request_)
    assert stream.data_to_send() == f"<enabled {SM}/>".encode()
    assert stream.management.active
    assert stream.management.id is None
    stream.send(numbered(0, 1))
    stream.receive_eof()
    assert len(stream.management.take_lost()) == 1


def test_server_enables_once() -> None:
    def stream() -> ServerStream:
        made = at_server(Keeper())
        made.receive_data(ENABLE)
        return made

    assert outcome(stream, ENABLE) == [failed("policy-violation")]
    assert condition_sent(stream()) is None


RESUME = f"<resume {SM} previd='i' h='0'/>".encode()


@pytest.mark.parametrize(
    ("keeper", "after_bind", "data", "condition"),
    [
        (Keeper(), False, ENABLE, "unexpected-request"),
        (Keeper(), True, RESUME, "unexpected-request"),
        (Keeper(), False, RESUME, "item-not-found"),
        (Keeper(), False, f"<resume {SM} h='0'/>".encode(), "item-not-found"),
        (None, True, ENABLE, "feature-not-implemented"),
        (None, False, RESUME, "feature-not-implemented"),
    ],
)
def test_server_refuses(
    keeper: Keeper | None, after_bind: bool, data: bytes, condition: str
) -> None:
    stream = at_server(keeper, after_bind=after_bind)
    assert stream.receive_data(data) == []
    assert stream.data_to_send() == refusal(condition)
    assert stream.ready is after_bind
    assert not stream.closed


def test_server_refuses_before_the_login() -> None:
    stream = managed_server(Keeper())
    feed_to(stream, TO_SERVER)
    stream.data_to_send()
    for data in (ENABLE, RESUME):
        assert stream.receive_data(data) == []
        assert stream.data_to_send() == refusal("unexpected-request")


@pytest.mark.parametrize(
    "data", [f"<r {SM}/>", f"<a {SM} h='0'/>", f"<enabled {SM}/>", f"<sm {SM}/>"]
)
def test_server_at_the_wrong_time(data: str) -> None:
    for after_bind in (False, True):

        def stream(after_bind: bool = after_bind) -> ServerStream:
            return at_server(Keeper(), after_bind=after_bind)

        assert outcome(stream, data.encode()) == [failed("unsupported-stanza-type")]


def test_server_knows_how_much_a_session_that_is_over_had_handled() -> None:
    keeper = Keeper()
    keeper.over["i"] = 7
    stream = at_server(keeper, after_bind=False)
    stream.receive_data(RESUME)
    assert stream.data_to_send() == refusal("item-not-found", " h='7'")


def test_server_gives_nobody_the_session_of_somebody_else() -> None:
    keeper = Keeper()
    books = Management()
    books.enable("i", 300, None)
    books.jid = JID("bar", "localhost", "x")
    keeper.sessions["i"] = books
    stream = at_server(keeper, after_bind=False)
    stream.receive_data(RESUME)
    assert stream.data_to_send() == refusal("item-not-found")


@pytest.mark.parametrize(
    ("h", "told"), [("3", failed("undefined-condition")), ("x", failed("bad-format"))]
)
def test_server_is_told_nonsense_at_a_resumption(h: str, told: Any) -> None:
    keeper = Keeper()
    stream = at_server(keeper)
    stream.receive_data(ENABLE)
    stream.send(numbered(0, 2))
    stream.receive_eof()
    (id,) = keeper.sessions
    stream = at_server(keeper, after_bind=False)
    previd = id.replace("&", "&amp;").replace("<", "&lt;").replace("'", "&apos;")
    events = stream.receive_data(f"<resume {SM} previd='{previd}' h='{h}'/>".encode())
    assert said(stream, events) == [told]
    assert keeper.sessions[id].id == id
    sent = stream.data_to_send()
    assert (b"<handled-count-too-high" in sent) is (h == "3")


def test_server_counts_what_it_answers_itself() -> None:
    keeper = Keeper()
    stream = at_server(keeper, prompt=True)
    request = Iq("set", E.session(xmlns="urn:ietf:params:xml:ns:xmpp-session"), id="s")
    stream.receive_data(ENABLE)
    stream.data_to_send()
    wire = request.to_bytes() + b"<presence/>" + f"<r {SM}/>".encode()
    (event,) = stream.receive_data(wire)
    assert [each.kind for each in stanzas_in([event])] == ["presence"]
    assert stream.data_to_send().endswith(f"<a {SM} h='2'/>".encode())
    assert stream.management.send_count == 1


def test_both_ends_after_a_cut() -> None:
    keeper, books = Keeper(), Management()
    ends = managed_client(books), managed_server(keeper)
    ends[0].start()
    talk(*ends, lambda end, events: None)
    ends[0].send(numbered(0, 3))
    ends[1].send(numbered(0, 5))
    ends[0].data_to_send()  # both are lost
    for end in ends:
        end.data_to_send()
        end.receive_eof()
    ends = managed_client(books), managed_server(keeper)
    seen: dict[Any, list[Any]] = {end: [] for end in ends}
    ends[0].start()
    talk(*ends, lambda end, events: seen[end].extend(events))
    for end, count in zip(ends, (5, 3), strict=True):
        assert isinstance(seen[end][-2], Resumed)
        bodies = [each.body for each in stanzas_in(seen[end])]
        assert bodies == [str(number) for number in range(count)]
    assert ends[0].jid == books.jid
    ends[0].send([Message("romeo@localhost", "x")])
    assert isinstance(feed_to(ends[1], ends[0].data_to_send())[0], StanzasReceived)
    assert not any(isinstance(event, Ready) for events in seen.values() for event in events)
    assert any(isinstance(event, StreamOpened) for event in seen[ends[0]])
