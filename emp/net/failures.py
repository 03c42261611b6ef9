"""From what went wrong to ConnectionFailed: at which step, why, and whether trying again helps."""

from __future__ import annotations

import errno
import os
import ssl
from typing import Final

from emp.config import ConnectionSettings
from emp.errors import (
    AuthenticationError,
    ConnectionFailed,
    EmpError,
    RemoteProtocolError,
    StanzaError,
    StreamError,
)
from emp.net import names, tls
from emp.net.endpoint import Endpoint

STEPS: Final = ("resolve", "connect", "secure", "upgrade", "authenticate", "bind", "presence")
"""The way to a stream, in order. A component has no "secure" and no "presence"; only a
WebSocket has "upgrade"."""

ESTABLISHED: Final = "stream"
"""The `step` of a failure that ends a stream after all steps were done."""

PEER_TEXT = 300
"""Characters of a peer's explanation that we pass on: enough for two sentences."""

_TRANSIENT_SASL = {"temporary-auth-failure", "aborted"}
"""RFC 6120 §6.5: all other SASL failures repeat themselves until someone changes something."""

_PERMANENT_STREAM = {"host-unknown", "conflict", "not-authorized"}
"""RFC 6120 §4.9.3: the server would say the same again. Conflict: somebody took our place, and
coming back would push them out in turn."""

RIGHT_PORT: Final = {
    "client": 'check port =, which is 5222 for clients (5223 with tls = "direct"), and kind =',
    "component": "check port =, which is 5347 for components in most places, and kind =",
}
"""What to do about a wrong one, by the kind of the connection."""


class LineFault(RemoteProtocolError):
    """What is wrong is the way to the stream, and not what is said on it.

    reason: what the peer did, for people; permanent, remedy: as ConnectionFailed has them.
    """

    def __init__(
        self,
        condition: str,
        reason: str,
        *,
        limit: str | None = None,
        permanent: bool = False,
        remedy: str | None = None,
    ) -> None:
        super().__init__(condition, reason, limit=limit)
        self.permanent = permanent
        self.remedy = remedy


def failed(error: EmpError, step: str, settings: ConnectionSettings, peer: str) -> ConnectionFailed:
    """The failure for what the engine reported while `step` was under way; the cause is kept.

    `peer` says where we are connected to.
    """
    failure = _translate(error, step, settings, peer)
    failure.__cause__ = error
    return failure


def _translate(
    error: EmpError, step: str, settings: ConnectionSettings, peer: str
) -> ConnectionFailed:
    if isinstance(error, AuthenticationError):
        return _authentication(error, settings, peer)
    if isinstance(error, StreamError):
        return _stream_error(error, step, settings, peer)
    if isinstance(error, LineFault):
        return ConnectionFailed(
            step, f"{peer} {error.text}", permanent=error.permanent, remedy=error.remedy
        )
    if isinstance(error, RemoteProtocolError):
        return ConnectionFailed(step, f"{peer} broke the protocol: {one_line(error)}")
    return ConnectionFailed(step, str(error))


def _authentication(
    error: AuthenticationError, settings: ConnectionSettings, peer: str
) -> ConnectionFailed:
    if error.condition == "encryption-required":  # the engine's word for a server without TLS
        return ConnectionFailed(
            "secure",
            f"{peer} does no TLS: {one_line(error.text)}",
            permanent=True,
            remedy='the server must offer STARTTLS, or tls = "none" must allow clear text',
        )
    remedy = {
        "not-authorized": _credentials(settings),
        "credentials-expired": f"{settings.address} needs a new password",
        "account-disabled": "only the server's administrator can change that",
        "invalid-mechanism": "authentication = must allow one that the server offers; PLAIN, which "
        "shows it the password, must be allowed by name",
    }.get(error.condition)
    return ConnectionFailed(
        "authenticate",
        f"{settings.address} at {peer}: {one_line(error)}",
        permanent=error.condition not in _TRANSIENT_SASL,
        remedy=error.remedy or remedy,
    )


def _stream_error(
    error: StreamError, step: str, settings: ConnectionSettings, peer: str
) -> ConnectionFailed:
    if isinstance(error.__cause__, StanzaError):
        return _no_resource(error, step, settings, peer)
    refused = error.condition == "not-authorized" and step != ESTABLISHED
    wrong_port = error.condition == "invalid-namespace" and step != ESTABLISHED
    remedy = {
        "host-unknown": f"check host = {settings.host!r}, or server = and port =",
        "conflict": f"somebody else is connected as {settings.address}",
        "not-authorized": _credentials(settings) if refused else None,
        "invalid-namespace": f"that port is for something else: {RIGHT_PORT[settings.kind]}"
        if wrong_port
        else None,
    }.get(error.condition)
    elsewhere = f", and names {one_line(error.other_host)}" if error.other_host else ""
    return ConnectionFailed(
        "authenticate" if refused else step,
        f"{peer} ended the stream: {one_line(error)}{elsewhere}",
        permanent=error.condition in _PERMANENT_STREAM or wrong_port,
        remedy=remedy,
        other_host=_other_host(error, websocket=settings.websocket is not None),
    )


def _no_resource(
    error: StreamError, step: str, settings: ConnectionSettings, peer: str
) -> ConnectionFailed:
    """The server has refused to bind a resource (RFC 6120 §7); the stream is still up."""
    wanted, other = f"{settings.address}/{settings.resource}", "resource = may name another one"
    if settings.resource_needed:
        other = "the routes name it, and must name another one"
    remedy = {
        "conflict": f"somebody else is connected as {wanted}: {other}",
        "bad-request": other,
        "jid-malformed": other,
        "not-acceptable": other,
        "resource-constraint": f"{settings.address} is connected too often at the same time: end "
        "some of its sessions, or wait until the server does",
        "not-allowed": f"the server's administrator must let {settings.address} have sessions",
    }.get(error.condition)
    what = f"the resource {settings.resource!r}" if settings.resource else "a resource"
    return ConnectionFailed(
        step,
        f"{peer} does not bind {what}: {one_line(error)}",
        permanent=remedy is not None and error.condition != "resource-constraint",
        remedy=remedy,
    )


def _other_host(error: StreamError, *, websocket: bool) -> str | None:
    """Where to go instead, if that is a place at all; from a WebSocket, only to another one that is
    protected (RFC 7395 §3.6.1)."""
    if error.condition != "see-other-host" or not error.other_host:
        return None
    try:
        if not websocket:
            names.host_and_port(error.other_host)
        elif not Endpoint.parse(error.other_host).secure:
            return None
    except ValueError:
        return None
    return error.other_host.strip()


def at_step(failure: ConnectionFailed | None, step: str, peer: str) -> ConnectionFailed:
    """A stream that ended while `step` was under way; `failure` is how, None: in order."""
    if failure is None:
        return ConnectionFailed(step, f"{peer} closed the stream")
    return ConnectionFailed(step, failure.reason, remedy=failure.remedy)


def lost(error: Exception | None, peer: str) -> ConnectionFailed:
    """A connection that is gone; `error` is what asyncio says about it."""
    reason = os_reason(error) if isinstance(error, OSError) else "connection closed"
    remedy = tls.remedy_for(error) if isinstance(error, ssl.SSLError) else None
    return ConnectionFailed(ESTABLISHED, f"{peer}: {reason}", remedy=remedy)


def one_line(words: object) -> str:
    """What a peer says, fit for a terminal and a log: one line of printable characters."""
    line = " ".join(str(words).split())[:PEER_TEXT]
    return "".join(character if character.isprintable() else "?" for character in line)


def _credentials(settings: ConnectionSettings) -> str:
    if settings.kind == "component":
        return f"check secret = against what the server has for {settings.host}"
    return f"check node = {settings.node!r} and password ="


def os_reason(error: OSError) -> str:
    """An error of the operating system in words, the same on every event loop."""
    if isinstance(error, ssl.SSLError):  # its errno is none
        return tls.words(error)
    if isinstance(error, TimeoutError) and not error.errno:
        return "no answer in time"
    name = errno.errorcode.get(error.errno or 0)
    return os.strerror(error.errno).lower() if name and error.errno else str(error)
