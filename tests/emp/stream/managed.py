"""What the tests of stream management share: a keeper of sessions, readers, and two engines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from emp.jid import JID
from emp.stanza import Message, Stanza
from emp.stream import ClientStream, ServerStream
from emp.stream.engine import Stream
from emp.stream.events import Event, StanzasReceived
from emp.stream.management import Management
from tests.emp.stream.law import client, server, settle

SM = "xmlns='urn:xmpp:sm:3'"


class Keeper:
    """The sessions of a server that consists of one stream at a time."""

    def __init__(self, *, resumable: bool = True) -> None:
        self.resumable = resumable
        self.sessions: dict[str, Management] = {}
        self.over: dict[str, int] = {}

    def keep(self, management: Management) -> tuple[str, int] | None:
        if not self.resumable:
            return None
        id = f"it's <{len(self.sessions)}> & \N{SNOWMAN}"
        self.sessions[id] = management
        return id, 300

    def resume(self, account: JID, id: str) -> Management | int | None:
        management = self.sessions.get(id)
        if management is None or management.jid is None or management.jid.bare != account:
            return self.over.get(id)
        management.interrupt()
        return management


def managed_client(management: Management | None = None, **changes: Any) -> ClientStream:
    """A client on a connection that is protected already; PLAIN, for it is quick."""
    stream = client(mechanisms=("PLAIN",), management=management, **changes)
    stream.tls_established()
    return stream


def managed_server(keeper: Keeper, **changes: Any) -> ServerStream:
    stream = server(keeper=keeper, mechanisms=("PLAIN",), **changes)
    stream.tls_established()
    return stream


def feed_to(stream: Stream, data: bytes) -> list[Event]:
    """As receive_data, with everything computed that is to be computed."""
    return settle(stream, stream.receive_data(data))


def stanzas_in(events: Iterable[Event]) -> list[Stanza]:
    return [
        each for event in events if isinstance(event, StanzasReceived) for each in event.stanzas
    ]


class Reader:
    """One end's caller: knows by the books which stanzas it has seen already."""

    def __init__(self, management: Management) -> None:
        self.management = management
        self.bodies: list[str | None] = []
        self.last = 0
        self._next = 0
        self._generation = 0

    def take(self, events: Iterable[Event]) -> None:
        """What was reported; only news are remembered."""
        stanzas = stanzas_in(events)
        if not stanzas:
            return
        if self.management.generation != self._generation:
            self._generation = self.management.generation
            self._next = self.management.origin
        for stanza in stanzas:
            self._next += 1
            if self._next > self.last:
                self.last = self._next
                assert isinstance(stanza, Message)
                self.bodies.append(stanza.body)
        assert self.management.received == self._next


def numbered(first: int, count: int) -> list[Stanza]:
    return [Message("romeo@localhost", str(number)) for number in range(first, first + count)]


def shift(management: Management, by: int) -> None:
    """As if `by` stanzas had gone each way in this session already."""
    management._sent_base -= by
    management._handled_base -= by


def talk(one: Stream, other: Stream, hear: Callable[[Stream, list[Event]], None]) -> None:
    """Carries bytes to and fro until both are silent."""
    moved = True
    while moved:
        moved = False
        for sender, receiver in ((one, other), (other, one)):
            if data := sender.data_to_send():
                moved = True
                hear(receiver, feed_to(receiver, data))


def ready_pair() -> tuple[ClientStream, ServerStream]:
    """Both ends of a stream with acknowledgements, nothing said yet."""
    ends = managed_client(), managed_server(Keeper())
    ends[0].start()
    talk(*ends, lambda end, events: None)
    assert all(end.management.active for end in ends)
    return ends
