"""How much memory names leave behind: a program of its own, so that nothing else counts.

    python -m tests.emp.stream.memory_of_names ROUTE KIND STANZAS [DICTIONARY_BYTES]

prints by how many KiB the process grew while that many stanzas, each with a new name of the kind,
took the route, after a tenth of them had taken it to warm up.
"""

import itertools
import sys
from collections.abc import Callable

from lxml import etree

from emp import names, xml
from emp.errors import StanzaError
from emp.stanza import Iq, Message, Stanza
from emp.stream import Limits, body
from emp.stream.parser import StreamParser
from emp.xml import E, serialize
from tests.emp.stream.law import COMPONENT_HEADER

BATCH = 200

KINDS: dict[str, str] = {
    "element": "<iq type='get' id='1'><n{0} xmlns='urn:example:x'><a{0}/></n{0}></iq>",
    "attribute": "<iq type='get' id='1'><x xmlns='urn:example:x' a{0}='1'/></iq>",
    "namespace": "<iq type='get' id='1'><x xmlns='urn:example:{0}'/></iq>",
    "prefix": "<iq type='get' id='1'><p{0}:x xmlns:p{0}='urn:example:x'/></iq>",
    "top": "<iq type='get' id='1' a{0}='1'><x xmlns='urn:example:x'/></iq>",
}


def resident() -> int:
    """KiB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4


class Stream:
    """A stream that rests after each batch, or never."""

    def __init__(self, *, rests: bool = True) -> None:
        self._parser = StreamParser(Limits())
        self._parser.receive(COMPONENT_HEADER)
        # The parser guesses that the next piece has a stanza that ends as the last one did.
        self._last = itertools.cycle(("message", "presence"))
        self._rests = rests
        if not rests:
            self._parser.receive(b"<iq>")

    def __call__(self, stanzas: list[bytes]) -> list[Stanza]:
        data = b"".join(stanzas)
        if not self._rests:
            last = next(self._last)
            data = f"<x/></iq>{data.decode()}<{last}><x/></{last}><iq>".encode()
        elements = self._parser.receive(data)
        assert self._parser.fault is None
        return [Stanza.from_element(each) for each in elements]


def _connections(stanzas: list[bytes]) -> None:
    Stream()(stanzas)


def _answers(stream: Stream, stanzas: list[bytes]) -> None:
    """What an application does: answers with what it got, in all ways."""
    for iq in stream(stanzas):
        assert isinstance(iq, Iq)
        payload = iq.payload
        assert payload is not None
        iq.result(payload).to_bytes()
        iq.result(E.list(payload, xmlns="urn:example:y")).to_bytes()
        E(etree.QName(payload).localname, dict.fromkeys(payload.attrib, "1"))
        Message("a@b", None, payload).to_bytes()
        StanzaError(application=payload).to_xml()
        StanzaError.from_xml(E.error(payload))
        iq.xml.append(E.more())
        iq.to_bytes()


def _texts(stanzas: list[bytes]) -> None:
    """What crosses to another process."""
    for wire in stanzas:
        stanza = Stanza.parse(wire)
        payload = stanza.payload
        assert payload is not None
        xml.parse(serialize(payload))


ROUTES: dict[str, Callable[[], Callable[[list[bytes]], object]]] = {
    "stream": Stream,
    "restless": lambda: Stream(rests=False),
    "connections": lambda: _connections,
    "answers": lambda: (lambda stream: lambda stanzas: _answers(stream, stanzas))(Stream()),
    "texts": lambda: _texts,
}


def grown(route: str, kind: str, stanzas: int) -> int:
    """KiB by which this process grew."""
    take = ROUTES[route]()
    form = KINDS[kind]

    def send(start: int, end: int) -> None:
        for first in range(start, end, BATCH):
            take([form.format(number).encode() for number in range(first, first + BATCH)])

    warm = stanzas // 10
    send(0, warm)
    before = resident()
    send(warm, warm + stanzas)
    return resident() - before


def use(size: int) -> None:
    """Dictionaries of that many bytes, in proportion with all that depends on it."""
    share = size * body.SHARE_BYTES // names.DICTIONARY_BYTES
    body.SHARE_BYTES = min(share, body.SHARE_BYTES)  # type: ignore[misc]
    names.DICTIONARY_BYTES = size  # type: ignore[misc]
    names.renew()


if __name__ == "__main__":
    if sys.argv[4:]:
        use(int(sys.argv[4]))
    print(grown(sys.argv[1], sys.argv[2], int(sys.argv[3])))
