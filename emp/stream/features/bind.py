"""Resource binding (RFC 6120 §7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emp import ns
from emp.errors import BadRequest, JIDError, RemoteProtocolError, StanzaError, StreamError
from emp.jid import JID
from emp.stanza import make_id
from emp.stream.events import Ready
from emp.stream.faults import unexpected
from emp.stream.features.feature import Feature
from emp.stream.state import Done
from emp.view import of_element
from emp.xml import Element, escape

if TYPE_CHECKING:
    from emp.stream.client import ClientStream
    from emp.stream.server import ServerStream

IQ: Final = f"{{{ns.CLIENT}}}iq"
_BIND: Final = f"{{{ns.BIND}}}bind"
_RESOURCE: Final = f"{{{ns.BIND}}}resource"
_JID: Final = f"{{{ns.BIND}}}jid"

_OF_THE_RESOURCE: Final = frozenset({"conflict", "bad-request", "jid-malformed", "not-acceptable"})
"""RFC 6120 §7.7.2: the resource will not do; another one may."""


def _offer(stream: ServerStream) -> str:
    return f"<bind xmlns='{ns.BIND}'/>"


# -- client --------------------------------------------------------------------------------------


def _begin(stream: ClientStream, offer: Element) -> None:
    _ask_for(stream, stream.config.resource)


def _ask_for(stream: ClientStream, resource: str | None) -> None:
    stream.resource = resource
    inner = f"<resource>{escape(resource)}</resource>" if resource else ""
    ask(stream, f"<bind xmlns='{ns.BIND}'>{inner}</bind>")


def ask(stream: ClientStream, payload: str) -> None:
    """Sends an iq of type set whose answer the feature awaits."""
    stream.request = make_id()
    stream.queue(f"<iq type='set' id='{stream.request}'>{payload}</iq>")


def answer(stream: ClientStream, element: Element) -> Element | None:
    """The element, if it is the result of the request; None if it is something else.

    StreamError if the server refuses; its cause is what the server says.
    """
    kind = element.get("type")
    if element.get("id") != stream.request or kind not in ("result", "error"):
        return None
    if kind == "result":
        return element
    failure = of_element(element).failure or StanzaError()
    raise StreamError(failure.condition, failure.text) from failure


def _answered(stream: ClientStream, element: Element) -> None:
    try:
        result = answer(stream, element)
    except StreamError as refusal:
        wished = stream.resource is not None and not stream.config.resource_needed
        if not wished or refusal.condition not in _OF_THE_RESOURCE:
            raise
        _ask_for(stream, None)  # once: the server makes one
        return
    if result is None:
        raise unexpected(element)
    try:
        jid = JID.received(result.findtext(f"{_BIND}/{_JID}") or "")
        stream.check_identity(jid)
    except JIDError as error:
        raise RemoteProtocolError("bad-format", "the server bound no valid JID") from error
    if jid.local is None or jid.resource is None:
        raise RemoteProtocolError("bad-format", "the server bound no full JID")
    stream.jid = jid
    stream.done |= Done.BOUND
    stream.proceed()


# -- server --------------------------------------------------------------------------------------


def _asked(stream: ServerStream, element: Element) -> None:
    request = of_element(element)
    payload = request.payload
    if request.type != "set" or request.id is None or payload is None or payload.tag != _BIND:
        raise unexpected(element)
    assert stream.account is not None
    wanted = payload.findtext(_RESOURCE) or None
    try:
        jid = _bind(stream, stream.account, wanted)
    except StanzaError as error:
        stream.queue(request.error(error).to_bytes().decode())
        return
    stream.queue(
        f"<iq type='result' id='{escape(request.id)}'><bind xmlns='{ns.BIND}'>"
        f"<jid>{escape(str(jid))}</jid></bind></iq>"
    )
    stream.done |= Done.BOUND
    stream.management.jid = jid
    stream.become_ready()
    stream.emit(Ready(jid))


def _bind(stream: ServerStream, account: JID, wanted: str | None) -> JID:
    try:
        if wanted is not None:
            wanted = account.replace(resource=wanted).resource  # as RFC 7622 normalises it
        return account.replace(resource=stream.config.bind(account, wanted))
    except JIDError as error:
        raise BadRequest("not a valid resource") from error


BIND: Final = Feature(
    name=_BIND,
    necessary=Done.AUTHENTICATED,
    prohibited=Done.BOUND,
    offer=_offer,
    wanted=lambda stream, offer: True,
    begin=_begin,
    client={IQ: _answered},
    server={IQ: _asked},
)
