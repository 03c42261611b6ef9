"""Who answers at a wrong port: told by the first bytes, which no XMPP server would say to us.

A wrong `port =` is the commonest mistake there is, and what comes of it says something else: a
stream error about a namespace or a host, white noise, or nothing at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from typing import Final

from emp import ns
from emp.config import ConnectionSettings
from emp.net.failures import RIGHT_PORT, LineFault, one_line
from emp.net.trust import Trust

HEARD_BYTES: Final = 4096
"""What is kept of the beginning: a stream header and the error behind it."""

NUDGE_SECONDS: Final = 3.0
"""Without a byte, after which white space follows our header: XML does not mind, and to a web
server it ends a request, to which it has something to say."""

LAST_WORDS: Final = 1.0
"""Seconds for the stream error behind a header in a wrong namespace, or the rest of a line."""

PROBE_SECONDS: Final = 5.0
"""For each question of who_is_there()."""

_BANNERS: Final = {
    re.compile(rb"SSH-\d"): "an SSH server",
    re.compile(rb"HTTP/\d"): "a web server (HTTP)",
    re.compile(rb"\s*<(?:!doctype\s+)?html\b", re.I): "a web server (HTTP)",
    re.compile(rb"220[ -]"): "a mail server (SMTP), or one for FTP",
    re.compile(rb"\* (?:OK|BYE|PREAUTH) "): "a mail server (IMAP)",
    re.compile(rb"\+OK "): "a mail server (POP3)",
    re.compile(rb"-ERR "): "a mail server (POP3), or Redis",
}
_PAGE: Final = re.compile(rb"\s*<(?:!|html\b)", re.I)
"""The beginning of a web page, which old servers say without HTTP around it, and of no stream."""
_TLS: Final = "a port for TLS from the first byte"
_RECORD: Final = re.compile(rb"[\x15\x16]\x03[\x00-\x04]")  # an alert, or a handshake

_HEADER: Final = re.compile(rb"<stream:stream\s[^>]*>")
_NAMESPACE: Final = re.compile(rb"\sxmlns=(?:'([^']*)'|\"([^\"]*)\")")
_ERROR: Final = re.compile(rb"<stream:error[\s>].*</stream:error\s*>", re.DOTALL)
_CONDITION: Final = re.compile(rb"<([a-z-]+)[^>]*urn:ietf:params:xml:ns:xmpp-streams")
_TEXT: Final = re.compile(rb"<text[^>]*>([^<]*)</text>")

_PORTS: Final = {
    ns.CLIENT.encode(): "a port for clients (c2s)",
    ns.SERVER.encode(): "a port for other servers (s2s)",
    ns.COMPONENT.encode(): "a port for components (XEP-0114)",
    b"jabber:component:connect": "a port for components that are connected to (XEP-0114)",
}
_OURS: Final = {"client": ns.CLIENT.encode(), "component": ns.COMPONENT.encode()}


def is_odd(heard: bytes, settings: ConnectionSettings) -> bool:
    """Whether that is no beginning of the stream that we want."""
    if not heard.lstrip().startswith(b"<") or _PAGE.match(heard):
        return True
    return _wrong_port(heard, settings) is not None


def has_said_all(heard: bytes) -> bool:
    """Whether no more is to be expected of who begins so: a line, or a stream error."""
    if heard.lstrip().startswith(b"<") and not _PAGE.match(heard):
        return len(heard) >= HEARD_BYTES or _ERROR.search(heard) is not None
    return b"\n" in heard or _RECORD.match(heard) is not None


def fault_of(heard: bytes, settings: ConnectionSettings) -> LineFault | None:
    """Who begins like that, as a fault; None if we don't know."""
    if _RECORD.match(heard):
        return _tls_there(settings)
    for beginning, who in _BANNERS.items():
        if beginning.match(heard):
            said = one_line(heard.split(b"\n")[0].decode("utf-8", "replace"))
            return _fault(f"is {who}: {said!r:.100}", RIGHT_PORT[settings.kind])
    return _wrong_port(heard, settings)


def _tls_there(settings: ConnectionSettings) -> LineFault:
    """The fault of a port at which TLS comes first, where we spoke without."""
    remedy = f'write tls = "direct" if that is meant; else {RIGHT_PORT[settings.kind]}'
    return _fault(f"is {_TLS}", remedy)


def _wrong_port(heard: bytes, settings: ConnectionSettings) -> LineFault | None:
    """The fault of an XMPP server whose header says that the port is for somebody else."""
    header = _HEADER.search(heard)
    if header is None or (found := _NAMESPACE.search(header[0])) is None:
        return None
    namespace = found[1] or found[2]
    if namespace not in _PORTS or namespace == _OURS[settings.kind]:
        return None
    said = _stream_error(heard)
    text = f"is {_PORTS[namespace]}, and not for a {settings.kind}"
    return _fault(f"{text}; it says: {said}" if said else text, RIGHT_PORT[settings.kind])


def _stream_error(heard: bytes) -> str:
    error = _ERROR.search(heard)
    condition = _CONDITION.search(error[0]) if error is not None else None
    if error is None or condition is None:
        return ""
    text = _TEXT.search(error[0])
    words = [condition[1], text[1]] if text is not None else [condition[1]]
    return one_line(": ".join(word.decode("utf-8", "replace") for word in words))


def _fault(text: str, remedy: str) -> LineFault:
    return LineFault("undefined-condition", text, permanent=True, remedy=remedy)


async def who_is_there(
    settings: ConnectionSettings, host: str, port: int, trust: Trust | None
) -> LineFault | None:
    """The fault of who has closed the connection without a word, asked in two other languages;
    None if that is no answer. trust: for TLS, where it stood."""
    if trust is None and _RECORD.match(await _ask(host, port, _hello(host))):
        return _tls_there(settings)
    return fault_of(await _ask(host, port, b"HEAD / HTTP/1.0\r\n\r\n", trust), settings)


def _hello(host: str) -> bytes:
    """Our first words of a TLS handshake."""
    said = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), said, server_hostname=host).do_handshake()
    return said.read()


async def _ask(host: str, port: int, words: bytes, trust: Trust | None = None) -> bytes:
    """The beginning of the answer, nothing where there is none."""
    context, name = (None, None) if trust is None else (trust.context, trust.name)
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=context, server_hostname=name
            )
            try:
                writer.write(words)
                return await reader.read(HEARD_BYTES)
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError):
        return b""
