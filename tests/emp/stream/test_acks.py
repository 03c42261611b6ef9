"""Who asks when, and what pings prove where there is no XEP-0198."""

from __future__ import annotations

import re
from typing import Any

import pytest

from emp.stanza import Iq, Message
from emp.stream import ComponentStream
from emp.stream.acks import ASK_AFTER, ASK_BYTES, PING_AFTER, PINGS, TELL_AFTER, Acks
from emp.stream.engine import Stream
from emp.stream.management import Management
from emp.xml import E
from tests.emp.stream.law import failed, ready_component, said, started_component
from tests.emp.stream.managed import (
    SM,
    Keeper,
    managed_client,
    managed_server,
    numbered,
    ready_pair,
    stanzas_in,
    talk,
)

REQUEST = f"<r {SM}/>".encode()


def answer(h: int) -> bytes:
    return f"<a {SM} h='{h}'/>".encode()


def message(number: int) -> bytes:
    return f"<message from='a@localhost/b'><body>{number}</body></message>".encode()


def pair(**changes: Any) -> tuple[Stream, Stream]:
    client, server = managed_client(**changes), managed_server(Keeper())
    client.start()
    talk(client, server, lambda end, events: None)
    assert client.ready
    return client, server


@pytest.fixture
def stream() -> Stream:
    return ready_pair()[0]


# -- asking ---------------------------------------------------------------------------------------


def test_asked_once_for_many(stream: Stream) -> None:
    stream.send(numbered(0, ASK_AFTER - 1))
    assert REQUEST not in stream.data_to_send()
    assert not stream.ack_requested
    stream.send(numbered(0, 1))
    assert stream.data_to_send().endswith(REQUEST)
    assert stream.ack_requested
    stream.send(numbered(0, 10 * ASK_AFTER))
    assert REQUEST not in stream.data_to_send()


def test_the_answer_leads_to_the_next_question(stream: Stream) -> None:
    stream.send(numbered(0, ASK_AFTER))
    stream.send(numbered(0, ASK_AFTER))
    stream.data_to_send()
    stream.receive_data(answer(ASK_AFTER))
    assert stream.data_to_send() == REQUEST
    stream.receive_data(answer(2 * ASK_AFTER))
    assert stream.data_to_send() == b""
    assert not stream.ack_requested
    assert not stream.management.unacknowledged


def test_a_peer_that_is_slow_is_not_asked_again_and_again(stream: Stream) -> None:
    stream.send(numbered(0, 2 * ASK_AFTER))
    stream.data_to_send()
    for h in (0, 0, 3):
        stream.receive_data(answer(h))
        assert stream.data_to_send() == b""
        assert not stream.acks.unasked
    assert len(stream.management.unacknowledged) == 2 * ASK_AFTER - 3
    stream.request_ack()
    assert stream.data_to_send() == REQUEST


@pytest.mark.parametrize("at_once", [True, False])
def test_no_question_stands_behind_all_that_is_on_its_way(stream: Stream, at_once: bool) -> None:
    """A server that reads slowly says something before it has read it all."""
    batch = [Message("a@b", "x" * 1000) for _ in range(200)]
    for part in [batch] if at_once else [[each] for each in batch]:
        stream.send(part)
    *asked, rest = stream.data_to_send().split(REQUEST)
    assert len(asked) >= 200_000 // (ASK_BYTES + 2000)
    assert max(map(len, [*asked, rest])) < ASK_BYTES + 2000
    assert b"".join([*asked, rest]).count(b"<message") == len(batch)
    assert list(stream.management.unacknowledged) == batch


def test_what_was_not_asked_for(stream: Stream) -> None:
    assert not stream.acks.unasked
    stream.send(numbered(0, 1))
    assert stream.acks.unasked
    stream.request_ack()
    stream.send(numbered(0, 1))
    assert not stream.acks.unasked  # a question is open
    stream.receive_data(answer(1))
    assert stream.acks.unasked
    stream.receive_data(answer(2))
    assert not stream.acks.unasked


# -- answering ------------------------------------------------------------------------------------


def test_answers_at_once_and_again_when_the_rest_is_handled(stream: Stream) -> None:
    first = stream.management.received
    stream.receive_data(message(1) + message(2) + REQUEST + message(3))
    assert stream.data_to_send() == answer(0)
    stream.handled(first + 1)
    assert stream.data_to_send() == b""
    stream.handled(first + 2)
    assert stream.data_to_send() == answer(2)
    stream.handled(first + 3)
    stream.handled(first + 1)
    assert stream.data_to_send() == b""
    stream.receive_data(REQUEST)
    assert stream.data_to_send() == answer(3)


def test_what_is_owed_survives_another_answer(stream: Stream) -> None:
    stream.receive_data(message(0) * (TELL_AFTER + 5) + REQUEST)
    assert stream.data_to_send() == answer(0)
    stream.handled(TELL_AFTER)
    assert stream.data_to_send() == answer(TELL_AFTER)  # unasked
    stream.handled(TELL_AFTER + 4)
    assert stream.data_to_send() == b""
    stream.handled(TELL_AFTER + 5)
    assert stream.data_to_send() == answer(TELL_AFTER + 5)


def test_answers_unasked(stream: Stream) -> None:
    stream.receive_data(message(0) * 2 * TELL_AFTER)
    for number in range(1, TELL_AFTER):
        stream.handled(number)
    assert stream.data_to_send() == b""
    stream.handled(TELL_AFTER)
    assert stream.data_to_send() == answer(TELL_AFTER)
    stream.handled(2 * TELL_AFTER - 1)
    assert stream.data_to_send() == b""
    stream.handled(2 * TELL_AFTER)
    assert stream.data_to_send() == answer(2 * TELL_AFTER)


def test_one_batch_whatever_stands_between(stream: Stream) -> None:
    events = stream.receive_data(message(1) + REQUEST + message(2) + answer(0) + message(3))
    assert len(events) == 1
    assert [each.body for each in stanzas_in(events)] == ["1", "2", "3"]  # type: ignore[attr-defined]


def test_the_last_word(stream: Stream) -> None:
    stream.receive_data(message(1))
    stream.handled(1)
    stream.send(numbered(0, 1))
    stream.data_to_send()
    stream.close()
    assert stream.data_to_send() == answer(1) + REQUEST + b"</stream:stream>"
    stream.handled(2)
    stream.request_ack()
    stream.receive_data(REQUEST)
    assert stream.data_to_send() == b""  # too late
    stream.receive_data(answer(1) + b"</stream:stream>")
    assert stream.closed
    assert stream.management.take_lost() == []


def test_what_was_not_acknowledged_at_the_end_is_lost(stream: Stream) -> None:
    stream.send(numbered(0, 2))
    stream.close()
    stream.receive_data(answer(1) + b"</stream:stream>")
    assert [each.number for each in stream.management.take_lost()] == [2]
    assert stream.management.id is None


@pytest.mark.parametrize(
    ("end", "resumable"),
    [
        (lambda stream: stream.receive_eof(), True),
        (lambda stream: stream.receive_data(b"<!DOCTYPE x>"), True),
        (lambda stream: stream.fail("connection-timeout"), True),
        (lambda stream: stream.receive_data(b"</stream:stream>"), False),
        (lambda stream: (stream.close(), stream.receive_eof()), False),
        (lambda stream: (stream.close(), stream.receive_data(b"<!DOCTYPE x>")), False),
    ],
)
def test_which_ends_end_the_session(end: Any, resumable: bool, stream: Stream) -> None:
    stream.send(numbered(0, 1))
    end(stream)
    assert stream.closed
    assert not stream.management.active
    assert (stream.management.id is not None) is resumable
    assert len(stream.management.take_lost()) == (0 if resumable else 1)


# -- a peer that does not read our answers --------------------------------------------------------


def test_one_answer_for_all_questions_while_our_bytes_do_not_leave() -> None:
    sent: list[str] = []
    management = Management()
    management.enable(None, None, None)
    acks = Acks(management, sent.append)
    acks.asked()
    acks.hush(True)
    for _ in range(1000):
        acks.asked()
    management.received = management.handled = 7
    assert [text.count("h='0'") for text in sent] == [1]
    acks.hush(False)
    assert [text.count("h='7'") for text in sent] == [0, 1]
    acks.hush(False)
    assert len(sent) == 2


def test_the_answer_is_not_put_off_beyond_our_good_bye(stream: Stream) -> None:
    stream.acks.hush(True)
    stream.receive_data(REQUEST)
    stream.close()
    stream.acks.hush(False)
    assert stream.data_to_send() == answer(0) + b"</stream:stream>"


def test_nothing_is_said_where_nothing_was_asked() -> None:
    sent: list[str] = []
    acks = Acks(Management(), sent.append)
    acks.hush(True)
    acks.hush(False)
    assert sent == []


# -- pings ----------------------------------------------------------------------------------------


def ping_in(data: bytes) -> tuple[bytes, str]:
    """The ping that was sent, and its id."""
    found = re.search(rb"<iq type='get' id='([^']+)'[^>]*><ping xmlns='urn:xmpp:ping'/></iq>", data)
    assert found, data
    return found[0], found[1].decode()


def component(management: Management | None = None) -> ComponentStream:
    return ready_component(management=management)


def test_a_component_pings_itself_through_its_server() -> None:
    stream = component()
    stream.send(numbered(0, PING_AFTER - 1))
    assert b"urn:xmpp:ping" not in stream.data_to_send()
    stream.send(numbered(0, 1))
    ping, _ = ping_in(stream.data_to_send())
    assert b"from='c.localhost' to='c.localhost'" in ping
    assert stream.ack_requested
    stream.send(numbered(0, 2 * PING_AFTER))
    assert b"urn:xmpp:ping" not in stream.data_to_send()
    assert len(stream.management.unacknowledged) == 3 * PING_AFTER
    events = stream.receive_data(message(1) + ping + message(2))
    assert len(stanzas_in(events)) == 2
    assert stream.management.received == 2
    assert stream.management.acknowledged == PING_AFTER
    ping_in(stream.data_to_send())  # for the others
    assert stream.management.sent == 3 * PING_AFTER


@pytest.mark.parametrize("type", ["result", "error", "get"])
def test_whatever_comes_back_is_proof(type: str) -> None:
    stream = component()
    stream.send(numbered(0, 3))
    stream.request_ack()
    _, id = ping_in(stream.data_to_send())
    reply = f"<iq type='{type}' id='{id}' from='C.localhost' to='c.localhost'/>"
    assert stream.receive_data(reply.encode()) == []
    assert not stream.management.unacknowledged
    assert not stream.ack_requested
    # Once; the next one with that id is not ours any more.
    assert len(stanzas_in(stream.receive_data(reply.encode()))) == 1


@pytest.mark.parametrize(
    "stanza",
    [
        "<iq type='result' id='{id}' from='evil.localhost'/>",
        "<iq type='result' id='{id}' from='a@c.localhost'/>",
        "<iq type='result' id='{id}' from='@@'/>",
        "<iq type='result' id='{id}'/>",
        "<iq type='result' id='' from='c.localhost'/>",
        "<iq type='result' from='c.localhost'/>",
        "<iq type='result' id='{id}0' from='c.localhost'/>",
        "<message id='{id}' from='c.localhost'/>",
    ],
)
def test_what_is_no_proof_is_a_stanza_like_any_other(stanza: str) -> None:
    stream = component()
    stream.send(numbered(0, 1))
    stream.request_ack()
    _, id = ping_in(stream.data_to_send())
    events = stream.receive_data(stanza.format(id=id).encode())
    assert len(stanzas_in(events)) == stream.management.received == 1
    assert stream.management.unacknowledged
    assert stream.ack_requested


def test_ids_cannot_be_guessed() -> None:
    ids = set()
    stream = component()
    for _ in range(5):
        stream.request_ack()
        ids.add(ping_in(stream.data_to_send())[1])
    assert len(ids) == 5
    assert all(len(id) >= 16 for id in ids)


def test_a_later_answer_is_for_all_before_and_the_number_is_bounded() -> None:
    stream = component()
    ids = []
    for _ in range(PINGS + 2):
        stream.send(numbered(0, 1))
        stream.request_ack()
        ids.append(ping_in(stream.data_to_send())[1])

    def back(id: str) -> list[Any]:
        return stanzas_in(
            stream.receive_data(f"<iq type='get' id='{id}' from='c.localhost'/>".encode())
        )

    assert len(back(ids[1])) == 1  # forgotten
    assert back(ids[4]) == []
    assert stream.management.acknowledged == 5
    assert len(back(ids[3])) == 1
    assert back(ids[-1]) == []
    assert not stream.ack_requested


def test_nothing_is_asked_before_the_stream_is_ready_or_after() -> None:
    stream = started_component()
    stream.data_to_send()
    stream.request_ack()
    assert stream.data_to_send() == b""
    stream = component()
    stream.close()
    stream.data_to_send()
    stream.request_ack()
    assert stream.data_to_send() == b""


def test_a_client_pings_its_server() -> None:
    client, server = pair(acknowledgements=False)
    assert not client.management.active
    client.send([Message("a@localhost", "x")])
    for sender in ("from='localhost'", ""):
        client.request_ack()
        _, id = ping_in(client.data_to_send())
        reply = f"<iq type='error' id='{id}' {sender}/>".encode()
        assert client.receive_data(reply) == []
    assert not client.management.unacknowledged
    server.request_ack()
    assert server.data_to_send() == b""


def test_the_peers_good_bye_in_answer_to_ours_is_proof() -> None:
    stream = component()
    stream.send(numbered(0, 2))
    stream.close()
    stream.receive_data(b"</stream:stream>")
    assert stream.management.take_lost() == []
    stream = component()
    stream.send(numbered(0, 2))
    stream.receive_data(b"</stream:stream>")
    assert len(stream.management.take_lost()) == 2


def test_the_books_of_a_component_outlive_its_streams() -> None:
    books = Management()
    stream = component(books)
    stream.receive_data(message(1) * 3)
    stream.send(numbered(0, 2))
    stream.receive_eof()
    assert [(each.number, each.certain) for each in books.take_lost()] == [(1, False), (2, False)]
    stream = component(books)
    stream.receive_data(message(1))
    stream.send(numbered(0, 1))
    assert (books.received, books.sent, books.acknowledged) == (4, 3, 2)


def test_elements_of_stream_management_have_no_place_in_a_component_stream() -> None:
    for element in (REQUEST, answer(0), f"<enable {SM}/>".encode()):
        stream = component()
        told = said(stream, stream.receive_data(element))
        assert told == [failed("unsupported-stanza-type")]


def test_answers_to_pings_of_our_caller_are_the_callers() -> None:
    stream = component()
    stream.send([Iq("get", E.ping(xmlns="urn:xmpp:ping"), to="localhost", id="p1")])
    stream.request_ack()
    events = stream.receive_data(b"<iq type='result' id='p1' from='localhost'/>")
    assert [each.id for each in stanzas_in(events)] == ["p1"]
