"""SASL (RFC 6120 §6). The mechanisms are in emp.sasl; here is how they travel."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from emp import ns
from emp.errors import AuthenticationError
from emp.sasl import MECHANISMS, Challenge, ServerExchange
from emp.stream.events import Authenticated
from emp.stream.features import login
from emp.stream.features.channel_binding import authority, channel_of_server
from emp.stream.features.feature import Feature
from emp.stream.state import Done
from emp.xml import Element, escape

if TYPE_CHECKING:
    from emp.stream.client import ClientStream
    from emp.stream.server import ServerStream

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
    return b"" if text == "=" else login.decode(text)


# -- client --------------------------------------------------------------------------------------


def _begin(stream: ClientStream, offer: Element) -> None:
    attempt = login.attempt(stream, offer.iterchildren(_MECHANISM), strict=False)
    exchange = attempt.begin()
    stream.attempt = attempt
    stream.exchange = exchange
    stream.mechanism = attempt.mechanism.name
    attribute = f" mechanism='{attempt.mechanism.name}'"
    stream.queue(_element("auth", exchange.initial(), attribute))


def _challenged(stream: ClientStream, element: Element) -> None:
    exchange = stream.exchange
    assert exchange is not None
    login.respond(
        stream,
        lambda: exchange.respond(_data(element) or b""),
        lambda response: stream.queue(_element("response", response or None)),
        lambda: stream.queue(_element("abort", None)),
    )


def _succeeded(stream: ClientStream, element: Element) -> None:
    assert stream.exchange is not None
    assert stream.attempt is not None
    stream.exchange.finish(_data(element))
    stream.expect_silence(whitespace=True)
    stream.attempt.succeeded()
    stream.exchange = stream.attempt = None
    stream.done |= Done.AUTHENTICATED
    stream.emit(Authenticated(stream.config.username, stream.mechanism))
    stream.restart()


def _refused(stream: ClientStream, element: Element) -> None:
    raise login.refusal(element, _TEXT)


# -- server --------------------------------------------------------------------------------------


def _offer(stream: ServerStream) -> str:
    names = channel_of_server(stream).offered
    inner = "".join([f"<mechanism>{escape(name)}</mechanism>" for name in names])
    return f"<mechanisms xmlns='{ns.SASL}'>{inner}</mechanisms>" if inner else ""


def _auth(stream: ServerStream, element: Element) -> None:
    name = element.get("mechanism", "")
    channel = channel_of_server(stream)
    if name not in channel.offered:
        return _failure(stream, "invalid-mechanism")
    stream.exchange = MECHANISMS[name].server(authority(stream), channel)
    stream.mechanism = name
    return _step(stream, element, stream.exchange)


def _response(stream: ServerStream, element: Element) -> None:
    if stream.exchange is None:
        return _failure(stream, "malformed-request")
    return _step(stream, element, stream.exchange)


def _step(stream: ServerStream, element: Element, exchange: ServerExchange) -> None:
    try:
        data = _data(element)
        if data is None and element.tag == _RESPONSE:
            data = b""
        outcome = exchange.receive(data)
        if isinstance(outcome, Challenge):
            stream.queue(_element("challenge", outcome.data))
            return
        stream.account = login.account(stream, outcome)
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
    stream.queue(f"<failure xmlns='{ns.SASL}'><{condition}/></failure>")
    login.count_failure(stream)


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
