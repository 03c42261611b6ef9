"""Channel binding on the stream: what is announced, and what happens to who changes it."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from emp.sasl import MECHANISMS, Memory
from emp.stream.events import Authenticated, StreamFailed
from tests.emp.sasl.support import BINDINGS
from tests.emp.stream.law import client, server
from tests.emp.stream.pair import Cut, Pair, byte_by_byte, whole

LIST = b"<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'>"


def bound_pair(
    cut: Cut = whole, bindings: Mapping[str, bytes] | None = BINDINGS, /, **changes: Any
) -> Pair:
    """Under TLS from the first byte; both ends know the same bindings."""
    pair = Pair(client(**{"require_tls": True} | changes), server(require_tls=True), cut)
    for end in pair.ends:
        end.tls_established(bindings)
    pair.start()
    return pair


def taken(pair: Pair) -> str | None:
    events = [event for event in pair.events[0] if isinstance(event, Authenticated)]
    return events[0].mechanism if events else None


def changing(old: bytes, new: bytes) -> Cut:
    """A man in the middle who replaces what he sees."""

    def cut(data: bytes) -> Iterator[bytes]:
        yield data.replace(old, new)

    return cut


@pytest.mark.parametrize("cut", [whole, byte_by_byte])
@pytest.mark.parametrize("name", [name for name in MECHANISMS if name.endswith("-PLUS")])
def test_bound(cut: Cut, name: str) -> None:
    memory = Memory()
    pair = bound_pair(cut, mechanisms=(name,), memory=memory)
    assert taken(pair) == name
    assert memory.best == (name, "p=tls-exporter")
    assert pair.ends[0].ready
    assert pair.ends[1].ready


def test_the_strongest_of_all_is_the_default() -> None:
    assert taken(bound_pair()) == "SCRAM-SHA-512-PLUS"
    assert taken(bound_pair(whole, None)) == "SCRAM-SHA-512"
    assert taken(bound_pair(whole, {})) == "SCRAM-SHA-512"


def test_the_announcement() -> None:
    sent = bound_pair().sent[1]
    types = "".join(f"<channel-binding type='{kind}'/>" for kind in BINDINGS).encode()
    assert LIST + types + b"</sasl-channel-binding>" in sent[0]
    assert LIST not in b"".join(sent[1:])  # not again after the login


def test_nothing_is_announced_that_nothing_could_use() -> None:
    assert LIST not in b"".join(bound_pair(whole, None).sent[1])
    clear = Pair(client(), server(offer_tls=False))
    clear.start()
    assert clear.ends[0].ready
    assert LIST not in b"".join(clear.sent[1])
    plain = Pair(client(mechanisms=("PLAIN",)), server(mechanisms=("PLAIN",)))
    for end in plain.ends:
        end.tls_established(BINDINGS)
    plain.start()
    assert plain.ends[0].ready
    assert LIST not in b"".join(plain.sent[1])


def test_a_client_without_binding_logs_in_to_a_server_with_it() -> None:
    pair = Pair(client(), server())
    pair.ends[0].tls_established()
    pair.ends[1].tls_established(BINDINGS)
    pair.start()
    assert taken(pair) == "SCRAM-SHA-512"


@pytest.mark.parametrize("kind", BINDINGS)
def test_two_connections_spliced(kind: str) -> None:
    pair = Pair(client(), server())
    pair.ends[0].tls_established({kind: b"here"})
    pair.ends[1].tls_established({kind: b"there"})
    pair.start()
    failure = pair.last(0)
    assert isinstance(failure, StreamFailed)
    assert failure.error.condition == "not-authorized"


EXPORTER = b"<channel-binding type='tls-exporter'/>"


@pytest.mark.parametrize(
    ("old", "new", "condition"),
    [
        # Every -PLUS is gone, the list is not.
        (b"-PLUS</mechanism>", b"-MINUS</mechanism>", "mechanism-too-weak"),
        # The types that we know are gone: the server's hash tells.
        (b"type='tls-", b"type='tlz-", "not-authorized"),
        # The best type is gone, or the best mechanism.
        (EXPORTER, b"", "not-authorized"),
        (b"<mechanism>SCRAM-SHA-512-PLUS</mechanism>", b"", "not-authorized"),
        # The whole list is gone: where nothing else is left, tls-unique is tried.
        (LIST, b"<gone xmlns='urn:x'>", None),
    ],
)
def test_a_changed_offer(old: bytes, new: bytes, condition: str | None) -> None:
    if condition is None:
        pair = bound_pair(_both((old, new), (b"</sasl-channel-binding>", b"</gone>")))
        condition = "not-authorized"
    else:
        pair = bound_pair(changing(old, new))
    failure = pair.last(0)
    assert isinstance(failure, StreamFailed)
    assert failure.error.condition == condition
    assert not any(isinstance(event, Authenticated) for event in pair.events[1])
    assert b"<response" not in b"".join(pair.sent[0])  # no proof for somebody to work on


def _both(*changes: tuple[bytes, bytes]) -> Cut:
    def cut(data: bytes) -> Iterator[bytes]:
        for old, new in changes:
            data = data.replace(old, new)
        yield data

    return cut


def test_the_list_and_every_plus_stripped() -> None:
    """Nothing contradicts itself then: `y` tells the server."""
    pair = bound_pair(
        _both(
            (LIST, b"<gone xmlns='urn:x'>"),
            (b"</sasl-channel-binding>", b"</gone>"),
            (b"-PLUS</mechanism>", b"-MINUS</mechanism>"),
        )
    )
    failure = pair.last(0)
    assert isinstance(failure, StreamFailed)
    assert not any(isinstance(event, Authenticated) for event in pair.events[1])
    assert b"<response" not in b"".join(pair.sent[0])
