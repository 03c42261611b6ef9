"""What must always be true, whatever the peer sends.

The byte doors never raise. Nothing follows the one event that ends a stream. The books of XEP-0198
agree with what was reported. What the engine wants to be sent is XML, and so is what it reports.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from lxml import etree

from emp import ns
from emp.errors import AuthenticationError, RemoteProtocolError, StreamError
from emp.stanza import Stanza
from emp.stream import Limits, ServerStream
from emp.stream.engine import Stream
from emp.stream.events import (
    Authenticated,
    Compute,
    Event,
    Ready,
    Resumed,
    StanzaSkipped,
    StanzasReceived,
    StartTLS,
    StreamClosed,
    StreamFailed,
    StreamOpened,
)
from emp.stream.parser import Received, StreamParser
from emp.stream.skipping import NO_STANZA
from emp.view import tree_of
from emp.wire import parse_neutral

_EVENTS: Final = frozenset({Authenticated, Compute, Ready, StartTLS, StreamOpened})
# RFC 6120 §4.9.3
_NAMES_OF_CONDITIONS: Final = """
bad-format bad-namespace-prefix conflict connection-timeout host-gone host-unknown
improper-addressing internal-server-error invalid-from invalid-namespace invalid-xml
not-authorized not-well-formed policy-violation remote-connection-failed reset
resource-constraint restricted-xml see-other-host system-shutdown undefined-condition
unsupported-encoding unsupported-feature unsupported-stanza-type unsupported-version
"""
_CONDITIONS: Final = frozenset(_NAMES_OF_CONDITIONS.split())
_OF_STANZAS: Final = frozenset(
    {"stanza_bytes", "answer_bytes", "attributes", "depth", "name_bytes", "reserved_namespace"}
)
_CLIENT_HEADER: Final = f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAM}'>".encode()
_HEADER: Final = re.compile(rb"<\?xml version='1.0'\?>")
_FOOTER: Final = b"</stream:stream>"
_STRICT: Final = etree.XMLParser(resolve_entities=False, no_network=True)


class Wrong(Exception):
    """Something that must always be true was not. kind: what, in two words; text: how."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind, text)
        self.kind = kind
        self.text = text


class StreamJudge:
    """Watches one stream: judge() after calls that report, acted() after those that do not."""

    def __init__(self, engine: Stream) -> None:
        self.over = engine.closed
        self._engine = engine
        self._books = engine.management
        self._received = self._books.received
        # Servers answer some requests themselves, and count them.
        self._answers = isinstance(engine, ServerStream)

    def acted(self) -> None:
        """Our caller did something."""
        self.over = self.over or self._engine.closed
        self._check_books(0, resumed=False)

    def judge(self, events: Sequence[Event]) -> None:
        """These were reported by one call. Wrong if that cannot be."""
        reported, resumed = 0, False
        for event in events:
            if self.over:
                raise Wrong("after the end", f"{events!r:.500}")
            kind = type(event)
            if isinstance(event, StanzasReceived):
                reported += len(event.stanzas)
                if not event.stanzas:
                    raise Wrong("no stanzas", "an empty list was reported")
            elif isinstance(event, StanzaSkipped):
                reported += 1
                _check_stanza(event.stanza)
            elif kind is Resumed:
                reported, resumed = 0, True
            elif isinstance(event, StreamFailed):
                self.over = True
                _check_error(event.error)
                if self._engine.was_ready:
                    check_limit(event.error)
            elif kind is StreamClosed:
                self.over = True
            elif kind not in _EVENTS:
                raise Wrong("no event", f"{event!r:.500}")
        if self._engine.closed != self.over:
            raise Wrong("the end", f"closed is {self._engine.closed} after {events!r:.500}")
        self._check_books(reported, resumed=resumed)

    def _check_books(self, reported: int, *, resumed: bool) -> None:
        books = self._engine.management
        if books is not self._books and not resumed:
            if not self.over:
                raise Wrong("the books", "they were changed without a resumption")
            return  # the resumption failed, and the stream with it
        start = books.origin if resumed else self._received
        unreported = books.received - start - reported
        if unreported < 0 or (unreported and not self._answers):
            raise Wrong("the books", f"{reported} reported, {books.received - start} received")
        if not 0 <= books.acknowledged <= books.sent:
            raise Wrong("the books", f"acknowledged {books.acknowledged}, sent {books.sent}")
        if books.acknowledged + len(books.unacknowledged) != books.sent:
            raise Wrong("the books", f"{len(books.unacknowledged)} kept, sent {books.sent}")
        self._books, self._received = books, books.received


class ParserJudge:
    """Watches one parser."""

    def __init__(self, parser: StreamParser) -> None:
        self.over = False
        self._parser = parser

    def judge(self, received: Sequence[Received]) -> None:
        """These were returned by one call. Wrong if that cannot be."""
        if self.over and received:
            raise Wrong("after the end", f"{received!r:.500}")
        for each in received:
            if isinstance(each, StanzaSkipped):
                _check_stanza(each.stanza)
                continue
            element = each.tree if isinstance(each, Stanza) else each
            if not isinstance(element.tag, str) or element.tail is not None:
                raise Wrong("no element", f"{element!r:.500}")
        fault = self._parser.fault
        if fault is not None:
            _check_error(fault)
            if self._parser.quick:
                check_limit(fault)
        self.over = self._parser.ended or fault is not None


def _check_error(error: Exception) -> None:
    if not isinstance(error, RemoteProtocolError | StreamError | AuthenticationError):
        raise Wrong("wrong error", repr(error))
    if isinstance(error, RemoteProtocolError) and error.condition not in _CONDITIONS:
        raise Wrong("wrong condition", repr(error))  # it goes out as the name of an element


def check_limit(error: Exception) -> None:
    """Wrong if a stanza that breaks a limit ends a stream in which stanzas flow."""
    if (
        isinstance(error, RemoteProtocolError)
        and error.limit in _OF_STANZAS
        and not error.text.startswith(NO_STANZA)
    ):
        raise Wrong("a stanza ends the stream", f"{error.limit}: {error}")


def check_queued(pieces: Sequence[bytes], *, messages: bool) -> None:
    """Wrong unless that is what may go through the wire: XML streams one after the other, the last
    one perhaps without its end; or messages each of which is a document."""
    documents = pieces if messages else _streams(b"".join(pieces))
    for document in documents:
        try:
            etree.fromstring(document, _STRICT)
        except etree.XMLSyntaxError as error:
            raise Wrong("queued", f"{error.msg}: {document!r:.2000}") from error


def _streams(data: bytes) -> list[bytes]:
    """Each of the streams, complete."""
    if not data:
        return []
    before, *streams = _HEADER.split(data)
    if before:
        raise Wrong("queued", f"before the header: {before!r:.500}")
    return [each if each.endswith(_FOOTER) else each + _FOOTER for each in streams]


def check_reported(events: Iterable[object]) -> None:
    """Wrong unless all stanzas among them can be read, and their bytes are XML that means the
    same."""
    for event in events:
        if isinstance(event, StanzasReceived):
            for stanza in event.stanzas:
                _check_stanza(stanza)


def _check_stanza(stanza: Stanza) -> None:
    _ = stanza.kind, stanza.type, stanza.id, stanza.from_text, stanza.to_text, stanza.payload_name
    wire = stanza.to_bytes()
    try:
        again = parse_neutral(wire)
    except RemoteProtocolError as error:
        raise Wrong("reported", f"{error}: {wire!r:.2000}") from error
    content = content_of(tree_of(stanza))
    if content_of(again) != content:
        raise Wrong("reported", f"{content!r:.1500} became {wire!r:.1500}")
    parser = StreamParser(Limits(stanza_bytes=1_000_000_000))  # a prefix may be shorter
    taken = parser.receive(_CLIENT_HEADER + wire)
    if parser.fault or [
        content_of(each) for each in taken if not isinstance(each, Stanza | StanzaSkipped)
    ] != [content]:
        raise Wrong("written", f"{parser.fault}: {wire!r:.2000}")


def content_of(element: etree._Element) -> list[object]:
    """All that an element says; its own tail is not part of it."""
    return [
        (
            each.tag,
            sorted(each.attrib.items()),
            each.text or "",
            "" if each is element else each.tail or "",
        )
        for each in element.iter()
    ]
