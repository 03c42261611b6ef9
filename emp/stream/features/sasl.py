"""SASL (RFC 6120 §6). The mechanisms are in emp.sasl; here is how they travel."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from emp import ns
from emp.errors import AuthenticationError, JIDError, RemoteProtocolError
from emp.jid import JID
from emp.sasl import MECHANISMS, Challenge, acceptable, choose
from emp.stream.events import Authenticated
from emp.stream.features.feature import Feature
from emp.stream.state import Done
from emp.xml import Element, escape

if TYPE_CHECKING:
    from emp.stream.client import ClientStream
    from emp.stream.server import ServerStream

# RFC 6120 §6.4.5 recommends to allow 2 to 5 attempts before the stream is closed.
ATTEMPTS: Final = 3

_MECHANISM: Final = f"{{{ns.SASL}}}mechanism"
_TEXT: Final = f"{{{ns.SASL}}}text"


def _element(name: str, data: bytes | None, attributes: str = "") -> str:
    """One element of the exchange; None is no data, b"" is empty data, written as `=`."""
    start = f"<{name} xmlns='{ns.SASL}'{attributes}"
    if data is None:
        return start + "/>"
    return f"{start}>{base64.b64encode(data).decode() or '='}</{name}>"


def _data(element: Element) -> bytes | None:
    text = element.text
    if text is None or not len(text):
        return None
    if text == "=":
        return b""
    try:
        # lxml's strings may hold any character; base64 refuses all but its own.
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise AuthenticationError("incorrect-encoding", "bad base64") from error


# -- client --------------------------------------------------------------------------------------


def _begin(stream: ClientStream, offer: Element) -> None:
    offered = [(each.text or "").strip() for each in offer.iterchildren(_MECHANISM)]
    secure = Done.SECURE in stream.done
    mechanism = choose(offered, stream.config.mechanisms, secure=secure)
    if mechanism is None:
        raise AuthenticationError(
            "invalid-mechanism", f"no acceptable mechanism; the server offers {offered!r:.200}"
        )
    exchange = mechanism.client(stream.config.username, stream.config.password)
    stream.exchange = exchange
    stream.mechanism = mechanism.name
    attribute = f" mechanism='{mechanism.name}'"
    stream.queue(_element("auth", exchange.initial(), attribute))


def _challenged(stream: ClientStream, element: Element) -> None:
    assert stream.exchange is not None
    try:
        response = stream.exchange.respond(_data(element) or b"")
    except AuthenticationError:
        stream.queue(_element("abort", None))
        raise
    stream.queue(_element("response", response or None))


def _succeeded(stream: ClientStream, element: Element) -> None:
    assert stream.exchange is not None
    stream.exchange.finish(_data(element))
    stream.expect_silence(whitespace=True)
    stream.exchange = None
    stream.done |= Done.AUTHENTICATED
    stream.emit(Authenticated(stream.config.username, stream.mechanism))
    stream.restart()


def _refused(stream: ClientStream, element: Element) -> None:
    names = [child.tag.rpartition("}")[2] for child in element if child.tag != _TEXT]
    text = (element.findtext(_TEXT) or "").strip()
    raise AuthenticationError(names[0] if names else "not-authorized", text)


# -- server --------------------------------------------------------------------------------------


def _offer(stream: ServerStream) -> str:
    secure = Done.SECURE in stream.done
    names = [each.name for each in acceptable(stream.config.mechanisms, secure=secure)]
    inner = "".join([f"<mechanism>{escape(name)}</mechanism>" for name in names])
    return f"<mechanisms xmlns='{ns.SASL}'>{inner}</mechanisms>" if inner else ""


def _auth(stream: ServerStream, element: Element) -> None:
    secure = Done.SECURE in stream.done
    mechanism = MECHANISMS.get(element.get("mechanism", ""))
    if mechanism is None or mechanism not in acceptable(stream.config.mechanisms, secure=secure):
        return _failure(stream, "invalid-mechanism")
    stream.exchange = mechanism.server(stream.config.password_of)
    stream.mechanism = mechanism.name
    return _step(stream, element)


def _response(stream: ServerStream, element: Element) -> None:
    if stream.exchange is None:
        return _failure(stream, "malformed-request")
    return _step(stream, element)


def _step(stream: ServerStream, element: Element) -> None:
    assert stream.exchange is not None
    try:
        data = _data(element)
        if data is None and element.tag == _RESPONSE:
            data = b""
        outcome = stream.exchange.receive(data)
        if isinstance(outcome, Challenge):
            stream.queue(_element("challenge", outcome.data))
            return
        stream.account = JID(outcome.username, stream.config.domain)
    except JIDError:  # a name that SASLprep allows and RFC 7622 does not
        _failure(stream, "not-authorized")
        return
    except AuthenticationError as error:
        _failure(stream, error.condition)
        return
    stream.expect_silence(whitespace=True)
    stream.exchange = None
    stream.done |= Done.AUTHENTICATED
    stream.queue(_element("success", outcome.additional))
    stream.emit(Authenticated(outcome.username, stream.mechanism))
    stream.restart()


def _abort(stream: ServerStream, element: Element) -> None:
    _failure(stream, "aborted")


def _failure(stream: ServerStream, condition: str) -> None:
    stream.exchange = None
    stream.failures += 1
    stream.queue(f"<failure xmlns='{ns.SASL}'><{condition}/></failure>")
    if stream.failures >= ATTEMPTS:
        raise RemoteProtocolError("policy-violation", "too many failed attempts to log in")


_RESPONSE: Final = f"{{{ns.SASL}}}response"

SASL: Final = Feature(
    name=f"{{{ns.SASL}}}mechanisms",
    necessary=Done.TRUSTED,
    prohibited=Done.AUTHENTICATED,
    offer=_offer,
    wanted=lambda stream, offer: True,
    begin=_begin,
    client={
        f"{{{ns.SASL}}}challenge": _challenged,
        f"{{{ns.SASL}}}success": _succeeded,
        f"{{{ns.SASL}}}failure": _refused,
    },
    server={
        f"{{{ns.SASL}}}auth": _auth,
        _RESPONSE: _response,
        f"{{{ns.SASL}}}abort": _abort,
    },
)
