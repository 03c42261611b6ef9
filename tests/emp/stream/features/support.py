"""A client and a server that speak SASL2 under TLS, back to back, and one end by itself."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from emp.jid import JID
from emp.stream import ClientStream, ServerStream
from emp.stream.management import Management
from tests.emp.stream.law import CLIENT_HEADER, TO_SERVER, client, server
from tests.emp.stream.pair import Cut, Pair, whole

S2 = "xmlns='urn:xmpp:sasl:2'"
SM = "xmlns='urn:xmpp:sm:3'"
BIND2 = "xmlns='urn:xmpp:bind:0'"
FAST = "xmlns='urn:xmpp:fast:0'"
SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
BIND = "xmlns='urn:ietf:params:xml:ns:xmpp-bind'"
STANZAS = "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'"
CARBONS = "urn:xmpp:carbons:2"
CSI = "urn:xmpp:csi:0"

EXPORTER = {"tls-exporter": b"e" * 32, "tls-server-end-point": b"p" * 32}
ID = "d4565fa7-4d72-4749-b3d3-740edbf87770"


class Keeper:
    """Keeps every session for ever, in one place for all the streams of a test."""

    def __init__(self) -> None:
        self.kept: dict[str, Management] = {}

    def keep(self, management: Management) -> tuple[str, int]:
        id = f"session{len(self.kept)}"
        self.kept[id] = management
        return id, 60

    def resume(self, account: JID, id: str) -> Management | int | None:
        found = self.kept.get(id)
        if found is None or found.jid is None or found.jid.bare != account:
            return None
        found.interrupt()
        return found


def sasl2_pair(
    cut: Cut = whole,
    /,
    at_server: Mapping[str, Any] | None = None,
    bindings: Mapping[str, bytes] | None = None,
    **changes: Any,
) -> Pair:
    """TLS is there from the first byte, with these bindings."""
    pair = Pair(client(**changes), server(**{"sasl2": True} | dict(at_server or {})), cut)
    for end in pair.ends:
        end.tls_established(bindings)
    return pair


def client_of(pair: Pair) -> ClientStream:
    end = pair.ends[0]
    assert isinstance(end, ClientStream)
    return end


def sent_by_client(pair: Pair) -> bytes:
    return b"".join(pair.sent[0])


def sent_by_server(pair: Pair) -> bytes:
    return b"".join(pair.sent[1])


def features(inner: str) -> bytes:
    return f"<stream:features>{inner}</stream:features>".encode()


def authentication(*mechanisms: str, inline: str = "") -> str:
    names = "".join(f"<mechanism>{name}</mechanism>" for name in mechanisms)
    inline = f"<inline>{inline}</inline>" if inline else ""
    return f"<authentication {S2}>{names}{inline}</authentication>"


def asked(offer: str, **changes: Any) -> ClientStream:
    """A client that has sent <authenticate/> to this offer; what it sent is thrown away."""
    stream = client(**changes)
    stream.tls_established()
    stream.start()
    stream.receive_data(CLIENT_HEADER + features(offer))
    assert b"<authenticate " in stream.data_to_send()
    return stream


def success(inner: str = "", *, jid: str = "juliet@localhost", data: bytes | None = None) -> bytes:
    proof = ""
    if data is not None:
        proof = f"<additional-data>{base64.b64encode(data).decode()}</additional-data>"
    identifier = f"<authorization-identifier>{jid}</authorization-identifier>" if jid else ""
    return f"<success {S2}>{proof}{identifier}{inner}</success>".encode()


def open_server(**changes: Any) -> ServerStream:
    """A server that has sent its features under TLS; what it sent is thrown away."""
    stream = server(**{"sasl2": True} | changes)
    stream.tls_established()
    stream.receive_data(TO_SERVER)
    stream.data_to_send()
    return stream


def authenticate(mechanism: str, initial: bytes | None = None, inner: str = "") -> bytes:
    first = ""
    if initial is not None:
        first = f"<initial-response>{base64.b64encode(initial).decode()}</initial-response>"
    return f"<authenticate {S2} mechanism='{mechanism}'>{first}{inner}</authenticate>".encode()


PLAIN = b"\0juliet\0r0m30myr0m30"
