"""SASL2: the login and what goes with it, between our own ends, and against strange ones."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emp.errors import AuthenticationError, Conflict, RemoteProtocolError
from emp.jid import JID
from emp.sasl import Memory
from emp.stanza import Message
from emp.stream import ClientStream, ServerStream
from emp.stream.events import Authenticated, Ready, Resumed, StreamFailed
from emp.stream.features.login import ATTEMPTS
from emp.stream.management import Management
from tests.emp.stream.features.support import (
    BIND,
    BIND2,
    CARBONS,
    CSI,
    EXPORTER,
    ID,
    PLAIN,
    S2,
    SASL,
    SM,
    STANZAS,
    Keeper,
    asked,
    authenticate,
    authentication,
    features,
    open_server,
    sasl2_pair,
    sent_by_client,
    sent_by_server,
    success,
)
from tests.emp.stream.law import (
    CLIENT_HEADER,
    TO_SERVER,
    client,
    failed,
    feed,
    outcome,
    said,
    server,
)
from tests.emp.stream.pair import Cut, Pair, byte_by_byte, whole

CUTS = pytest.mark.parametrize("cut", [whole, byte_by_byte])
JULIET = JID("juliet", "localhost")


# -- both our ends ---------------------------------------------------------------------------------


@CUTS
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256-PLUS"])
def test_one_stream_from_the_login_to_the_session(cut: Cut, mechanism: str) -> None:
    pair = sasl2_pair(cut, bindings=EXPORTER, mechanisms=(mechanism,))
    pair.start()
    for side in (0, 1):
        assert pair.names(side) == ["StreamOpened", "Authenticated", "Ready"]
        assert Authenticated("juliet", mechanism) in pair.events[side]
    jid = pair.last(0).jid
    assert pair.last(1) == Ready(jid)
    assert jid.bare == JULIET
    assert jid.resource.startswith("EMP/")
    assert sent_by_client(pair).count(b"<stream:stream") == 1
    assert b"<iq" not in sent_by_client(pair)


@CUTS
def test_a_configured_resource_is_bound_as_rfc_6120_has_it(cut: Cut) -> None:
    pair = sasl2_pair(cut, resource="main")
    pair.start()
    assert pair.last(0) == pair.last(1) == Ready(JULIET.replace(resource="main"))
    assert BIND2.encode() not in sent_by_client(pair)
    assert f"<bind {BIND}>".encode() in sent_by_client(pair)
    assert sent_by_client(pair).count(b"<stream:stream") == 1


@CUTS
@pytest.mark.parametrize("resource", [None, "main"])
def test_stream_management_from_the_start(cut: Cut, resource: str | None) -> None:
    management = Management()
    pair = sasl2_pair(cut, at_server={"keeper": Keeper()}, management=management, resource=resource)
    pair.start()
    assert isinstance(pair.last(0), Ready)
    assert management.active
    assert management.id == "session0"
    assert management.jid == pair.last(0).jid
    inline = f"<bound {BIND2}><enabled ".encode() in sent_by_server(pair)
    assert inline is (resource is None)
    # Some clients would enable it once more.
    offered = sent_by_server(pair).partition(b"</success>")[2].count(f"<sm {SM}/>".encode())
    assert offered == int(resource is not None)
    pair.ends[0].send([Message("romeo@localhost", "hi")])
    pair.ends[0].request_ack()
    pair.talk()
    pair.ends[1].handled(pair.ends[1].management.received)
    pair.talk()
    assert management.acknowledged == 1


def test_what_the_session_begins_with() -> None:
    pair = sasl2_pair(at_server={"inline": (CARBONS, CSI)}, carbons=True, client_state="inactive")
    pair.start()
    end = pair.ends[1]
    assert isinstance(end, ServerStream)
    assert end.wishes == {f"{{{CARBONS}}}enable", f"{{{CSI}}}inactive"}
    assert isinstance(pair.last(0), Ready)


def test_nothing_is_asked_for_that_the_server_does_not_have() -> None:
    pair = sasl2_pair(carbons=True, client_state="inactive")
    pair.start()
    assert f"<bind {BIND2}><tag>EMP</tag></bind>".encode() in sent_by_client(pair)


def test_no_acknowledgements_where_they_are_not_wanted() -> None:
    pair = sasl2_pair(at_server={"keeper": Keeper()}, acknowledgements=False)
    pair.start()
    assert isinstance(pair.last(0), Ready)
    assert b"<enable" not in sent_by_client(pair)


def test_wrong_password() -> None:
    pair = sasl2_pair(password="wrong")
    pair.start()
    assert said(pair.ends[0], pair.events[0][-1:]) == [
        failed("not-authorized", "AuthenticationError")
    ]
    assert not any(isinstance(event, Authenticated) for event in pair.events[1])
    assert pair.ends[1].closed


def test_bind_refused_inline_says_why_afterwards() -> None:
    def refuse(bare: JID, wanted: str | None) -> str:
        raise Conflict("twice")

    pair = sasl2_pair(at_server={"bind": refuse})
    pair.start()
    assert b"<bound" not in sent_by_server(pair)
    assert said(pair.ends[0], pair.events[0][-1:]) == [failed("conflict", "StreamError")]


@pytest.mark.parametrize("tag", ["", " ", "\u2028", "x" * 5000, "/", "a b"])
def test_any_tag_is_fit_for_a_resource_or_left_out(tag: str) -> None:
    stream = open_server()
    inner = f"<bind {BIND2}><tag>{tag}</tag></bind>"
    *_, last = stream.receive_data(authenticate("PLAIN", PLAIN, inner))
    assert isinstance(last, Ready)
    assert last.jid.resource is not None
    assert last.jid.resource.startswith(tag.strip()[:100]) or tag == "\u2028"


# -- which profile ---------------------------------------------------------------------------------


class Stripped(Pair):
    """Somebody on the way takes away what a pattern matches in what the server sends."""

    def __init__(self, pair: Pair, pattern: bytes) -> None:
        super().__init__(*pair.ends)
        self._pattern = pattern
        self.stripped = 0

    def talk(self) -> None:
        original = self.ends[1].data_to_send

        def data_to_send() -> bytes:
            data, count = re.subn(self._pattern, b"", original())
            self.stripped += count
            return data

        self.ends[1].data_to_send = data_to_send  # type: ignore[method-assign]
        super().talk()


def test_without_tls_there_is_no_sasl2() -> None:
    pair = Pair(client(), server(sasl2=True, offer_tls=False))
    pair.start()
    assert isinstance(pair.last(0), Ready)
    assert b"urn:xmpp:sasl:2" not in sent_by_server(pair) + sent_by_client(pair)


@pytest.mark.parametrize(("ours", "theirs"), [(False, True), (True, False)])
def test_sasl_1_where_one_of_the_two_has_no_sasl2(ours: bool, theirs: bool) -> None:
    pair = sasl2_pair(sasl2=ours, at_server={"sasl2": theirs})
    pair.start()
    assert isinstance(pair.last(0), Ready)
    assert b"<auth " in sent_by_client(pair)
    assert b"<authenticate " not in sent_by_client(pair)


SASL2_OFFER = b"<authentication .*?</authentication>"


def test_sasl2_stripped_is_sasl_1_which_is_verified_as_well() -> None:
    pair = Stripped(sasl2_pair(bindings=EXPORTER), SASL2_OFFER)
    pair.start()
    assert pair.stripped == 1
    assert Authenticated("juliet", "SCRAM-SHA-512-PLUS") in pair.events[0]
    assert isinstance(pair.last(0), Ready)


@pytest.mark.parametrize("pattern", [b"<mechanism>[A-Z0-9-]*-PLUS</mechanism>"])
@pytest.mark.parametrize("sasl2", [True, False])
def test_what_was_better_before_is_remembered_across_the_profiles(
    pattern: bytes, sasl2: bool
) -> None:
    memory = Memory()
    before = sasl2_pair(bindings=EXPORTER, memory=memory, sasl2=not sasl2)
    before.start()
    assert isinstance(before.last(0), Ready)
    assert memory.best is not None
    assert memory.best[0].endswith("-PLUS")
    types = b"|<sasl-channel-binding.*?</sasl-channel-binding>"
    pair = Stripped(sasl2_pair(bindings=EXPORTER, memory=memory, sasl2=sasl2), pattern + types)
    pair.start()
    assert pair.stripped > 1
    error = pair.last(0).error
    assert isinstance(error, AuthenticationError)
    assert not any(isinstance(event, Authenticated) for event in pair.events[0])


@pytest.mark.parametrize(
    "pattern",
    [
        b"<sasl-channel-binding.*?</sasl-channel-binding>",  # XEP-0440 §3, rule 4
        b"<mechanism>[A-Z0-9-]*-PLUS</mechanism>",  # rule 5
    ],
)
def test_an_offer_that_contradicts_itself(pattern: bytes) -> None:
    pair = Stripped(sasl2_pair(bindings=EXPORTER), pattern)
    pair.start()
    assert pair.stripped
    assert isinstance(pair.last(0), StreamFailed)
    assert isinstance(pair.last(0).error, AuthenticationError)
    assert b"<authenticate" not in sent_by_client(pair)


# -- resumption with the login ---------------------------------------------------------------------


def broken_session(keeper: Keeper, management: Management, **changes: Any) -> Pair:
    """A session that was lost with messages under way in both directions."""
    pair = sasl2_pair(at_server={"keeper": keeper}, management=management, **changes)
    pair.start()
    assert management.active
    pair.ends[0].send([Message("romeo@localhost", "from the client", id="c1")])
    pair.ends[1].send([Message("juliet@localhost", "from the server", id="s1")])
    for end in pair.ends:
        end.receive_eof()
    assert management.id is not None
    return pair


@CUTS
@pytest.mark.parametrize("resource", [None, "main"])
def test_resumed_with_the_login(cut: Cut, resource: str | None) -> None:
    keeper, management = Keeper(), Management()
    before = broken_session(keeper, management, resource=resource)
    pair = sasl2_pair(cut, at_server={"keeper": keeper}, management=management, resource=resource)
    pair.start()
    (own,) = [event.jid for event in before.events[0] if isinstance(event, Ready)]
    for side, id in ((0, b"s1"), (1, b"c1")):
        told = said(pair.ends[side], pair.events[side])
        assert told[-2] == Resumed(own)
        assert b'id="%s"' % id in told[-1]
        assert pair.ends[side].ready
    assert b"<stream:features" not in sent_by_server(pair).partition(b"<success")[2]
    assert management.active


@CUTS
@pytest.mark.parametrize("resource", [None, "main"])
def test_a_session_that_is_over_gives_way_to_a_new_one(cut: Cut, resource: str | None) -> None:
    keeper, management = Keeper(), Management()
    broken_session(keeper, management, resource=resource)
    keeper.kept = {"another": Management()}
    pair = sasl2_pair(cut, at_server={"keeper": keeper}, management=management, resource=resource)
    pair.start()
    assert isinstance(pair.last(0), Ready)
    assert pair.last(0) == pair.last(1)
    assert management.active
    assert management.id == "session1"
    assert [each.stanza.id for each in management.take_lost()] == ["c1"]


def test_the_session_of_somebody_else_is_not_resumed() -> None:
    keeper, management = Keeper(), Management()
    broken_session(keeper, management)
    keeper.kept["session0"].jid = JID("romeo", "localhost", "x")
    pair = sasl2_pair(at_server={"keeper": keeper}, management=management)
    pair.start()
    assert isinstance(pair.last(0), Ready)
    assert b"<resumed" not in sent_by_server(pair)


def test_a_connection_lost_between_success_and_features_leaves_the_session() -> None:
    management = Management()
    stream = with_plain(management=management)
    stream.receive_data(success(f"<bound {BIND2}>{ENABLED}</bound>", jid=FULL))
    assert management.active
    stream.receive_eof()
    assert not management.active
    assert management.id == "i"
    again = with_plain(management=management)
    resumed = f"<resumed {SM} h='0' previd='i'/>"
    assert again.receive_data(success(resumed, jid=FULL)) == [
        WELCOME,
        Resumed(JID.parse(FULL)),
    ]


# -- servers that are strange or hostile -----------------------------------------------------------

INLINE = f"<sm {SM}/><bind {BIND2}><inline><feature var='urn:xmpp:sm:3'/></inline></bind>"
FULL = "juliet@localhost/EMP/x"
BOUND = f"<bound {BIND2}/>"
ENABLED = f"<enabled {SM} id='i' resume='true'/>"


def with_plain(inline: str = INLINE, **changes: Any) -> ClientStream:
    return asked(authentication("PLAIN", inline=inline), mechanisms=("PLAIN",), **changes)


def resuming(**changes: Any) -> ClientStream:
    management = Management()
    management.jid = JID.parse(FULL)
    management.enable("old", None, None)
    management.record([Message("romeo@localhost", "1"), Message("romeo@localhost", "2")])
    management.interrupt()
    return with_plain(management=management, **changes)


def with_scram() -> ClientStream:
    return asked(authentication("SCRAM-SHA-256"))


WELCOME = Authenticated("juliet", "PLAIN")
READY = Ready(JID.parse(FULL))


@pytest.mark.parametrize(
    ("inner", "jid", "more", "expected"),
    [
        (BOUND, FULL, features(""), [WELCOME, READY]),
        (BOUND, f"\n {FULL}\n", features(""), [WELCOME, READY]),
        (BOUND, FULL, features("") + b"<presence/>", [WELCOME, READY, b"<presence/>"]),
        (BOUND, FULL, b"", [WELCOME]),
        (f"<bound {BIND2}>{ENABLED}</bound>", FULL, features(""), [WELCOME, READY]),
        (f"<bound {BIND2}><failed {SM}/></bound>", FULL, features(""), [WELCOME, READY]),
        ("<other xmlns='urn:other'/>" + BOUND, FULL, features(""), [WELCOME, READY]),
        # Nobody bound us, and nobody wants to.
        ("", "juliet@localhost", features(""), [WELCOME, failed("unsupported-feature")]),
        # Bound twice, enabled twice, unasked for, as somebody else, as nobody in particular
        (BOUND * 2, FULL, b"", [failed("bad-format")]),
        (f"<bound {BIND2}>{ENABLED * 2}</bound>", FULL, b"", [WELCOME, failed("bad-format")]),
        (f"<resumed {SM} h='0' previd='i'/>", FULL, b"", [failed("bad-format")]),
        (f"<failed {SM}/>", FULL, b"", [failed("bad-format")]),
        (BOUND, "romeo@localhost/x", b"", [failed("undefined-condition")]),
        (BOUND, "juliet@evil.example/x", b"", [failed("undefined-condition")]),
        (BOUND, "localhost/x", b"", [failed("undefined-condition")]),
        (BOUND, "juliet@localhost", b"", [WELCOME, failed("bad-format")]),
        (BOUND, "", b"", [failed("bad-format")]),
        (BOUND, "@", b"", [failed("bad-format")]),
        # The login is over: no second one, and nothing else of it.
        (BOUND, FULL, success(BOUND, jid=FULL), [WELCOME, failed("unsupported-stanza-type")]),
        (BOUND, FULL, f"<failure {S2}/>".encode(), [WELCOME, failed("unsupported-stanza-type")]),
        (BOUND, FULL, b"<message/>", [WELCOME, failed("not-authorized")]),
        # Enabled once more, on the stream that is ready
        (
            f"<bound {BIND2}>{ENABLED}</bound>",
            FULL,
            features("") + ENABLED.encode(),
            [WELCOME, READY, failed("unsupported-stanza-type")],
        ),
    ],
)
def test_success(inner: str, jid: str, more: bytes, expected: list[Any]) -> None:
    data = success(inner, jid=jid) + more
    assert outcome(with_plain, data, restarts=False) == expected


@pytest.mark.parametrize(
    ("inner", "jid", "expected"),
    [
        (f"<resumed {SM} h='1' previd='old'/>", FULL, [WELCOME, Resumed(JID.parse(FULL))]),
        (
            f"<resumed {SM} h='2' previd='old'/>",
            "juliet@localhost",
            [WELCOME, Resumed(JID.parse(FULL))],
        ),
        (f"<resumed {SM} h='3' previd='old'/>", FULL, [WELCOME, failed("undefined-condition")]),
        (f"<resumed {SM} h='1' previd='new'/>", FULL, [WELCOME, failed("undefined-condition")]),
        (f"<resumed {SM} h='x' previd='old'/>", FULL, [WELCOME, failed("bad-format")]),
        (f"<resumed {SM} h='1' previd='old'/>" * 2, FULL, [failed("bad-format")]),
        (f"<resumed {SM} h='1' previd='old'/>{BOUND}", FULL, [failed("bad-format")]),
        (f"<resumed {SM} h='1' previd='old'/><failed {SM}/>", FULL, [failed("bad-format")]),
        (
            f"<resumed {SM} h='1' previd='old'/>",
            "juliet@localhost/other",
            [WELCOME, failed("undefined-condition")],
        ),
        (f"<failed {SM} h='1'/>{BOUND}", FULL, [WELCOME]),
        (BOUND, FULL, [WELCOME]),
    ],
)
def test_success_with_a_session_to_resume(inner: str, jid: str, expected: list[Any]) -> None:
    assert outcome(resuming, success(inner, jid=jid), restarts=False) == expected


@pytest.mark.parametrize(
    ("inner", "certain", "lost"),
    [
        (f"<failed {SM} h='1'><item-not-found {STANZAS}/></failed>{BOUND}", True, 1),
        (f"<failed {SM}/>{BOUND}", False, 2),
        (BOUND, False, 2),  # not a word about it
    ],
)
def test_what_was_under_way_when_a_session_is_not_resumed(
    inner: str, certain: bool, lost: int
) -> None:
    stream = resuming()
    stream.receive_data(success(inner, jid=FULL) + features(""))
    assert stream.ready
    left = stream.management.take_lost()
    assert [each.certain for each in left] == [certain] * lost


def test_resumed_stanzas_follow_in_the_same_read() -> None:
    data = success(f"<resumed {SM} h='2' previd='old'/>", jid=FULL) + b"<presence/>"
    assert outcome(resuming, data, restarts=False) == [
        WELCOME,
        Resumed(JID.parse(FULL)),
        b"<presence/>",
    ]


@pytest.mark.parametrize("data", [None, b"", b"v=", b"v=AAAA", b"e=invalid-proof", b"\xff"])
def test_success_without_the_servers_proof(data: bytes | None) -> None:
    """Also when a challenge was answered rightly before: see test_wrong_signature."""
    told = outcome(with_scram, success(BOUND, jid=FULL, data=data), restarts=False)
    assert len(told) == 1
    assert told[0][0] == "AuthenticationError"


def test_wrong_signature() -> None:
    pair = sasl2_pair()
    end = pair.ends[1]
    original = end.data_to_send

    def forge() -> bytes:
        return re.sub(
            b"<additional-data>[^<]*",
            b"<additional-data>" + base64.b64encode(b"v=" + base64.b64encode(bytes(64))),
            original(),
        )

    end.data_to_send = forge  # type: ignore[method-assign]
    pair.start()
    assert said(pair.ends[0], pair.events[0][-1:]) == [
        failed("not-authorized", "AuthenticationError")
    ]
    assert not any(isinstance(event, Authenticated) for event in pair.events[0])


@pytest.mark.parametrize(
    ("answer", "condition"),
    [
        (f"<failure {S2}><not-authorized {SASL}/></failure>", "not-authorized"),
        (f"<failure {S2}><account-disabled {SASL}/><text>no</text></failure>", "account-disabled"),
        (f"<failure {S2}><x xmlns='urn:x'/><aborted {SASL}/></failure>", "aborted"),
        (f"<failure {S2}/>", "not-authorized"),
        (f"<continue {S2}><tasks><task>TOTP</task></tasks></continue>", "not-authorized"),
        (f"<challenge {S2}>!</challenge>", "incorrect-encoding"),
        (f"<challenge {S2}>AAAA</challenge>", "malformed-request"),
        (f"<success {S2}><additional-data>!</additional-data></success>", "incorrect-encoding"),
    ],
)
def test_refusals(answer: str, condition: str) -> None:
    assert outcome(with_plain, answer.encode(), restarts=False) == [
        failed(condition, "AuthenticationError")
    ]


def test_what_a_task_is_called() -> None:
    stream = with_plain()
    tasks = f"<continue {S2}><tasks><task>TOTP</task></tasks></continue>".encode()
    (event,) = stream.receive_data(tasks)
    assert isinstance(event, StreamFailed)
    assert "TOTP" in str(event.error)
    assert f"<abort {S2}>".encode() in stream.data_to_send()


@pytest.mark.parametrize(
    ("answer", "condition"),
    [
        (features(authentication("PLAIN")), "policy-violation"),
        (f"<success {SASL}/>".encode(), "unsupported-stanza-type"),
        (f"<response {S2}/>".encode(), "unsupported-stanza-type"),
        (f"<enabled {SM}/>".encode(), "unsupported-stanza-type"),
        (f"<resumed {SM} h='0' previd='old'/>".encode(), "unsupported-stanza-type"),
        (b"<message/>", "not-authorized"),
        (b"<iq type='result' id='1'/>", "not-authorized"),
    ],
)
def test_nothing_else_may_come_during_the_login(answer: bytes, condition: str) -> None:
    assert outcome(resuming, answer, restarts=False) == [failed(condition)]


def test_no_common_mechanism() -> None:
    stream = client()
    stream.tls_established()
    stream.start()
    stream.data_to_send()
    *_, event = stream.receive_data(CLIENT_HEADER + features(authentication("X-OTHER")))
    assert isinstance(event, StreamFailed)
    assert isinstance(event.error, AuthenticationError)
    assert b"<authenticate" not in stream.data_to_send()


CHILDREN = st.lists(
    st.sampled_from(
        [
            BOUND,
            f"<bound {BIND2}>{ENABLED}</bound>",
            f"<bound {BIND2}><failed {SM}/></bound>",
            f"<resumed {SM} h='1' previd='old'/>",
            f"<resumed {SM}/>",
            f"<failed {SM} h='9'/>",
            "<additional-data/>",
            "<token xmlns='urn:xmpp:fast:0'/>",
            f"<authorization-identifier>{FULL}</authorization-identifier>",
            "<x xmlns='urn:x'/>",
        ]
    ),
    max_size=5,
)


@settings(max_examples=150, deadline=None)
@given(children=CHILDREN, jid=st.sampled_from([FULL, "juliet@localhost", "romeo@localhost", ""]))
def test_any_success_is_taken_or_refused_in_order(children: list[str], jid: str) -> None:
    stream, told = feed(resuming, [success("".join(children), jid=jid) + features("")])
    assert stream.ready or stream.closed
    if stream.ready:
        assert told[0] == WELCOME
        assert stream.jid is not None  # type: ignore[attr-defined]
        assert stream.jid.bare == JULIET  # type: ignore[attr-defined]
    else:
        assert told[-1][0] in ("RemoteProtocolError", "AuthenticationError")


# -- clients that are strange or hostile -----------------------------------------------------------


def test_server_and_plain() -> None:
    told = outcome(open_server, authenticate("PLAIN", PLAIN), restarts=False)
    assert told == [WELCOME]


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (b"<message/>", "not-authorized"),
        (f"<response {S2}/>".encode(), "policy-violation"),
        (f"<next {S2} task='TOTP'/>".encode(), "unsupported-stanza-type"),
        (f"<success {S2}/>".encode(), "unsupported-stanza-type"),
        (authenticate("SCRAM-SHA-1") * 2, "policy-violation"),
        (authenticate("SCRAM-SHA-1") + b"<message/>", "policy-violation"),
        (authenticate("SCRAM-SHA-1") + f"<auth {SASL} mechanism='PLAIN'/>".encode(), None),
        (authenticate("SCRAM-SHA-1") + f"<response {SASL}/>".encode(), None),
        (authenticate("SCRAM-SHA-1") + f"<enable {SM}/>".encode(), None),
        (authenticate("NOT-KNOWN") * ATTEMPTS, "policy-violation"),
        (authenticate("HT-SHA-256-NONE", b"x") * ATTEMPTS, "policy-violation"),
        (authenticate("PLAIN", b"\0juliet\0wrong") * ATTEMPTS, "policy-violation"),
        (f"<authenticate {S2}/>".encode() * ATTEMPTS, "policy-violation"),
        (f"<abort {S2}/>".encode() * ATTEMPTS, "policy-violation"),
    ],
)
def test_clients_out_of_order(data: bytes, condition: str | None) -> None:
    assert outcome(open_server, data, restarts=False) == [failed(condition or "policy-violation")]


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (authenticate("NOT-KNOWN"), "invalid-mechanism"),
        (authenticate("PLAIN", b"\0juliet\0wrong"), "not-authorized"),
        (authenticate("PLAIN", b"\0nobody\0wrong"), "not-authorized"),
        (authenticate("PLAIN", b"x"), "malformed-request"),
        (authenticate("SCRAM-SHA-1", b"n,,n=juliet,r=x") + f"<abort {S2}/>".encode(), "aborted"),
        (
            f"<authenticate {S2} mechanism='PLAIN'><initial-response>!</initial-response>"
            f"</authenticate>".encode(),
            "incorrect-encoding",
        ),
    ],
)
def test_a_failure_leaves_the_stream_as_it_was(data: bytes, condition: str) -> None:
    stream = open_server()
    assert stream.receive_data(data) == []
    failure = f"<failure {S2}><{condition} {SASL}/></failure>".encode()
    assert stream.data_to_send().endswith(failure)
    assert stream.receive_data(authenticate("PLAIN", PLAIN)) == [WELCOME]


def test_a_failed_login_binds_nothing() -> None:
    bound: list[JID] = []

    def bind(bare: JID, wanted: str | None) -> str:
        bound.append(bare)
        return "x"

    keeper = Keeper()
    stream = open_server(bind=bind, keeper=keeper)
    inner = f"<bind {BIND2}><enable {SM}/></bind>"
    stream.receive_data(authenticate("PLAIN", b"\0juliet\0wrong", inner))
    assert (bound, keeper.kept) == ([], {})
    stream.receive_data(authenticate("PLAIN", PLAIN, inner))
    assert bound == [JULIET]


def test_a_second_login_ends_the_stream() -> None:
    again = authenticate("PLAIN", PLAIN)
    assert outcome(open_server, again + again, restarts=False) == [
        WELCOME,
        failed("policy-violation"),
    ]


def from_(sender: str) -> bytes:
    return TO_SERVER.replace(b"<stream:stream ", f"<stream:stream from='{sender}' ".encode())


@pytest.mark.parametrize(
    ("sender", "ok"),
    [("juliet@localhost", True), ("juliet@LOCALHOST/x", True), ("romeo@localhost", False)],
)
def test_who_the_header_says_must_be_who_logs_in(sender: str, ok: bool) -> None:
    stream = server(sasl2=True)
    stream.tls_established()
    stream.receive_data(from_(sender))
    stream.data_to_send()
    stream.receive_data(authenticate("PLAIN", PLAIN))
    sent = stream.data_to_send()
    assert (b"<success" in sent) is ok
    assert (b"<invalid-authzid" in sent) is not ok


@pytest.mark.parametrize("sender", ["juliet@evil.example", "@", "evil.example"])
def test_headers_from_elsewhere(sender: str) -> None:
    stream = server(sasl2=True)
    stream.tls_established()
    *_, event = stream.receive_data(from_(sender))
    assert isinstance(event, StreamFailed)
    assert isinstance(event.error, RemoteProtocolError)
    assert event.error.condition == "invalid-from"


def test_the_resource_does_not_tell_the_clients_id() -> None:
    stream = open_server()
    inner = f"<user-agent id='{ID}'/><bind {BIND2}><tag>t</tag></bind>"
    *_, last = stream.receive_data(authenticate("PLAIN", PLAIN, inner))
    assert isinstance(last, Ready)
    assert stream.client == ID
    assert ID not in str(last.jid)


def test_no_sasl2_where_it_is_switched_off() -> None:
    stream = open_server(sasl2=False)
    told = stream.receive_data(authenticate("PLAIN", PLAIN))
    assert said(stream, told) == [failed("policy-violation")]
