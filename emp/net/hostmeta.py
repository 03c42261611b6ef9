"""Where a domain has its WebSocket: XEP-0156, in its host-meta (RFC 6415).

Only over HTTPS that proves to be the domain's (XEP-0156 §2.2), so that the answer is the domain's
own word: whoever it names may show a certificate of that name. Small and slow answers are cut off;
redirections are followed to HTTPS alone.
"""

from __future__ import annotations

import asyncio
import http
import http.client
import io
import json
import socket
import urllib.parse
from collections import deque
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from emp.config import ConnectionSettings
from emp.errors import ConnectionFailed, EmpError, RemoteProtocolError
from emp.net import names, tls
from emp.net.endpoint import Endpoint
from emp.net.failures import one_line, os_reason
from emp.net.lookup import look_up_addresses
from emp.net.race import first_to_answer
from emp.net.resolve import Candidate
from emp.net.trust import web_trust
from emp.xml import parse

PORT: Final = 443

DOCUMENTS: Final = ("/.well-known/host-meta", "/.well-known/host-meta.json")
"""In the order of asking: the first must be there, the second may be (XEP-0156 §2.2)."""

RELATION: Final = "urn:xmpp:alt-connections:websocket"

ANSWER_BYTES: Final = 65_536
"""Of an answer with its headers: those of big sites have some kilobytes."""

REDIRECTIONS: Final = 3
"""From example.org to www.example.org, and room for somebody's reasons."""

ENDPOINTS: Final = 4
"""Links looked at: domains have one or two."""

_LINK: Final = "{http://docs.oasis-open.org/ns/xri/xrd-1.0}Link"
_MOVED: Final = frozenset({301, 302, 303, 307, 308})


class _Useless(Exception):
    """What came is of no use; the reason is for people. lasting: it will be the same tomorrow."""

    def __init__(self, reason: str, *, lasting: bool = True) -> None:
        super().__init__(reason)
        self.lasting = lasting


async def discover(settings: ConnectionSettings, *, port: int | None = None) -> list[Endpoint]:
    """The WebSockets (wss) that the domain names, in its order, never an empty list.

    port: of HTTPS at the domain. Raises ConnectionFailed(step="resolve"), permanent where the
    domain has answered, and names none. The caller bounds the time.
    """
    settings = replace(settings, certificate=None, key=None)  # nobody's business here
    reasons: list[str] = []
    lasting = True
    for path in DOCUMENTS:
        url = f"https://{_authority(settings.host, port or PORT)}{path}"
        try:
            return _links(path, await _fetch(settings, url))
        except _Useless as error:
            lasting &= error.lasting
            reasons.append(f"{url}: {one_line(error)}")
        except (OSError, EmpError, ValueError) as error:
            lasting &= isinstance(error, ConnectionFailed) and error.permanent
            said = os_reason(error) if isinstance(error, OSError) else one_line(error)
            reasons.append(f"{url}: {said}")
    raise ConnectionFailed(
        "resolve",
        "; ".join(reasons),
        permanent=lasting,
        remedy='write the address itself: websocket = "wss://…"',
    )


def _authority(host: str, port: int) -> str:
    name = names.a_label(host)
    name = f"[{name}]" if ":" in name else name
    return name if port == PORT else f"{name}:{port}"


# -- what it says ---------------------------------------------------------------------------------


def _links(path: str, document: bytes) -> list[Endpoint]:
    try:
        given = _of_json(document) if path.endswith(".json") else _of_xml(document)
    except (RemoteProtocolError, ValueError, RecursionError) as error:
        raise _Useless(f"no host-meta: {one_line(error)}") from None
    found = [endpoint for relation, address in given if (endpoint := _endpoint(relation, address))]
    if not found:
        raise _Useless("names no WebSocket")
    return list(dict.fromkeys(found))[:ENDPOINTS]


def _endpoint(relation: object, address: object) -> Endpoint | None:
    if relation != RELATION or not isinstance(address, str):
        return None
    try:
        endpoint = Endpoint.parse(address)
    except ValueError:
        return None
    return endpoint if endpoint.secure else None  # XEP-0156 §2.2


def _of_xml(document: bytes) -> list[tuple[Any, Any]]:
    root = parse(document)
    return [(link.get("rel"), link.get("href")) for link in root.iterchildren(_LINK)]


def _of_json(document: bytes) -> list[tuple[Any, Any]]:
    told = json.loads(document)
    links = told.get("links") if isinstance(told, dict) else None
    if not isinstance(links, list):
        raise ValueError("no links")
    return [(link.get("rel"), link.get("href")) for link in links if isinstance(link, dict)]


# -- HTTPS ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    reason: str
    location: str
    body: bytes


async def _fetch(settings: ConnectionSettings, url: str) -> bytes:
    """The document at the end of the redirections. OSError, EmpError, ValueError, _Useless."""
    for _ in range(REDIRECTIONS + 1):
        response = await _get(settings, url)
        if response.status not in _MOVED:
            break
        url = urllib.parse.urljoin(url, response.location)
    if response.status != http.HTTPStatus.OK:
        lasting = response.status in range(300, 500)
        raise _Useless(f"{response.status} {response.reason}", lasting=lasting)
    return response.body


async def _get(settings: ConnectionSettings, url: str) -> _Response:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.username is not None:
        raise _Useless(f"leads to {url!r:.200}, which is not HTTPS")
    host, port = names.host_and_port(parts.hostname)[0], parts.port or PORT
    path = urllib.parse.quote(f"{parts.path or '/'}?{parts.query}".removesuffix("?"), safe=_SAFE)
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {_authority(host, port)}\r\n"
        "Accept: application/xrd+xml, application/json\r\nConnection: close\r\n\r\n"
    )
    return _response(await _ask(settings, host, port, request.encode("ascii")))


_SAFE: Final = "/?:@!$&'()*+,;=%-._~"


async def _ask(settings: ConnectionSettings, host: str, port: int, request: bytes) -> bytes:
    """All that the server has to say, to somebody who asks it who it is first."""
    places = deque(
        Candidate(host, address, port) for address in await look_up_addresses(host, port)
    )
    reasons: list[str] = []
    found = await first_to_answer(
        places, lambda place, error: reasons.append(f"{place}: {os_reason(error)}")
    )
    if found is None:
        raise OSError("; ".join(reasons) or "no such host")
    trust = web_trust(settings, host)
    try:
        reader, writer = await asyncio.open_connection(
            sock=found[1], ssl=trust.context, server_hostname=trust.name
        )
    except OSError as error:
        raise tls.handshake_failed(error, str(found[0]), trust.ca_file) from None
    try:
        trust.verify(writer.get_extra_info("ssl_object"))
        writer.write(request)
        answer = b""
        while piece := await reader.read(ANSWER_BYTES):
            answer += piece
            if len(answer) > ANSWER_BYTES:
                raise _Useless("the answer is too long")
    finally:
        if not writer.is_closing():
            writer.transport.abort()
    return answer


class _Socket:
    """What http.client wants of a socket: here, one that has been read to its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _response(answer: bytes) -> _Response:
    response = http.client.HTTPResponse(cast(socket.socket, _Socket(answer)))
    try:
        response.begin()
        location = response.getheader("Location") or ""
        return _Response(response.status, response.reason, location, response.read())
    except (http.client.HTTPException, ValueError) as error:
        raise _Useless(f"no HTTP: {type(error).__name__}", lasting=False) from None
