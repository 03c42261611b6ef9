"""Stream management (XEP-0198): enabling, acknowledgements, resumption.

Two features share one offer: before a resource is bound it means "resume", afterwards "enable".
The books are emp.stream.management, who asks when is emp.stream.acks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

from emp import ns
from emp.errors import RemoteProtocolError
from emp.stanza import Stanza
from emp.stream.faults import unexpected
from emp.stream.features.bind import IQ
from emp.stream.features.feature import Feature
from emp.stream.management import MODULUS, Management
from emp.stream.state import Done
from emp.xml import Element, escape

if TYPE_CHECKING:
    from emp.stream.client import ClientStream
    from emp.stream.engine import Stream
    from emp.stream.server import ServerStream

_T = TypeVar("_T")

ID_LENGTH: Final = 4000
"""Characters of the longest id that we keep: XEP-0198 §5 says that it should not be longer."""

_NAME: Final = f"{{{ns.SM}}}sm"
_TRUE: Final = ("true", "1")


def _number(text: str | None) -> int:
    """An xs:unsignedInt. RemoteProtocolError if it is none."""
    digits = text or ""
    if digits.isascii() and digits.isdigit() and len(digits) <= len(str(MODULUS)):
        number = int(digits)
        if number < MODULUS:
            return number
    raise RemoteProtocolError("bad-format", f"not a count of stanzas: {text!r:.80}")


# -- acknowledgements, both sides ----------------------------------------------------------------


def _asked(stream: Stream, element: Element) -> None:
    if not stream.management.active:
        raise unexpected(element)
    if stream.ready:
        stream.acks.asked()


def _answered(stream: Stream, element: Element) -> None:
    if not stream.management.active:
        raise unexpected(element)
    _count(stream, _number(element.get("h")), stream.acks.answered)


def _count(stream: Stream, h: int, count: Callable[[int], _T]) -> _T:
    """Does that with `h`; if it is impossible, our stream error will say so (XEP-0198 §6)."""
    try:
        return count(h)
    except RemoteProtocolError:
        sent = stream.management.send_count
        stream.detail = f"<handled-count-too-high xmlns='{ns.SM}' h='{h}' send-count='{sent}'/>"
        raise


# -- client --------------------------------------------------------------------------------------


def enable_request() -> str:
    """<enable/>, for a session that can be resumed."""
    return f"<enable xmlns='{ns.SM}' resume='true'/>"


def resume_request(management: Management) -> str:
    """<resume/>, for the session of these books."""
    h, id = management.ask_to_resume(), escape(management.id or "")
    return f"<resume xmlns='{ns.SM}' h='{h}' previd='{id}'/>"


def enabled(stream: ClientStream, element: Element) -> None:
    """<enabled/> came: from here on both sides count. RemoteProtocolError if it is nonsense."""
    id = element.get("id") or ""
    resumable = element.get("resume") in _TRUE and 0 < len(id) <= ID_LENGTH
    seconds = element.get("max")
    management = stream.management
    stream.acks.enabling = False
    begin = management.count if stream.was_ready else management.enable
    begin(
        id if resumable else None,
        None if seconds is None else _number(seconds),
        element.get("location") or None,
        early=len(stream.early),
    )
    management.jid = stream.jid


def resumed(stream: ClientStream, element: Element) -> None:
    """<resumed/> came: the stream is ready, and goes on where the last one ended.

    RemoteProtocolError if that cannot be; the session is given up then, or we would try for ever.
    """
    management = stream.management
    try:
        if element.get("previd") != management.id:
            raise RemoteProtocolError("undefined-condition", "another session was resumed")
        resend = _count(stream, _number(element.get("h")), management.resume)
    except RemoteProtocolError:
        management.abandon()
        raise
    stream.jid = management.jid
    stream.take_up(resend)


def not_resumed(stream: ClientStream, element: Element) -> None:
    """<failed/> came for <resume/>: the session is over.

    With h the server says what it had handled: the rest certainly did not arrive.
    """
    management = stream.management
    certain = element.get("h") is not None
    if certain:
        try:
            management.acknowledge(_number(element.get("h")))
        except RemoteProtocolError:
            certain = False  # nonsense, about a session that does not matter any more
    management.abandon(certain=certain)


def client(stream: ClientStream, element: Element) -> None:
    """An element that is no stanza, on a stream that is ready."""
    handlers: Mapping[str, Callable[[ClientStream, Element], None]] = _ACKNOWLEDGEMENTS
    if stream.acks.enabling:  # it was ready too early to wait for the answer
        handlers = _ANSWERS
    if element.tag not in handlers:
        raise unexpected(element)
    handlers[element.tag](stream, element)


def _can_resume(stream: ClientStream, offer: Element) -> bool:
    return stream.config.acknowledgements and stream.management.id is not None


def _resume(stream: ClientStream, offer: Element) -> None:
    stream.queue(resume_request(stream.management))


def _refused(stream: ClientStream, element: Element) -> None:
    not_resumed(stream, element)
    stream.proceed()


def _can_enable(stream: ClientStream, offer: Element) -> bool:
    return stream.config.acknowledgements and not stream.management.active


def _enable(stream: ClientStream, offer: Element) -> None:
    stream.queue(enable_request())
    stream.acks.enabling = True


def _enabled(stream: ClientStream, element: Element) -> None:
    enabled(stream, element)
    if not stream.was_ready:
        stream.proceed()


def _not_enabled(stream: ClientStream, element: Element) -> None:
    stream.acks.enabling = False
    if not stream.was_ready:
        stream.proceed()


def _keep(stream: ClientStream, element: Element) -> None:
    stream.keep(element)  # the resource is bound already, so others may write to it


# -- server --------------------------------------------------------------------------------------


def server(stream: ServerStream, element: Element) -> None:
    """An element of this namespace, at any time."""
    handler = _COMMANDS.get(element.tag)
    if handler is None:
        raise unexpected(element)
    handler(stream, element)


def _offer(stream: ServerStream) -> str:
    if stream.config.keeper is None or stream.management.active:  # with the login, by SASL2
        return ""
    return f"<sm xmlns='{ns.SM}'/>"


def enable(stream: ServerStream, element: Element) -> str:
    """The answer to <enable/>. RemoteProtocolError for a second one (XEP-0198 §3)."""
    keeper, management = stream.config.keeper, stream.management
    if keeper is None:
        return _failed("feature-not-implemented")
    if Done.BOUND not in stream.done:
        return _failed("unexpected-request")
    if management.active:
        raise RemoteProtocolError("policy-violation", "enabled twice")
    kept = keeper.keep(management) if element.get("resume") in _TRUE else None
    id, seconds = kept or (None, None)
    management.enable(id, seconds, None)
    resume = f" id='{escape(id)}' resume='true' max='{seconds}'" if id else ""
    return f"<enabled xmlns='{ns.SM}'{resume}/>"


def resume(stream: ServerStream, element: Element) -> tuple[str, list[Stanza] | None]:
    """The answer to <resume/>, and what is to be sent once more; None: nothing is resumed.

    With the latter, `Stream.take_up` makes the stream ready.
    """
    keeper = stream.config.keeper
    if keeper is None:
        return _failed("feature-not-implemented"), None
    if stream.account is None or Done.AUTHENTICATED not in stream.done or Done.BOUND in stream.done:
        return _failed("unexpected-request"), None
    h = _number(element.get("h"))
    found = keeper.resume(stream.account, element.get("previd") or "")
    if not isinstance(found, Management):
        return _failed("item-not-found", "" if found is None else f" h='{found}'"), None
    stream.acks.adopt(found)
    handled, id = found.ask_to_resume(), escape(found.id or "")
    resend = _count(stream, h, found.resume)
    return f"<resumed xmlns='{ns.SM}' h='{handled}' previd='{id}'/>", resend


def _failed(condition: str, h: str = "") -> str:
    return f"<failed xmlns='{ns.SM}'{h}><{condition} xmlns='{ns.STANZAS}'/></failed>"


def _enable_asked(stream: ServerStream, element: Element) -> None:
    if not stream.closing:
        stream.queue(enable(stream, element))


def _resume_asked(stream: ServerStream, element: Element) -> None:
    if stream.closing:
        return
    answer, resend = resume(stream, element)
    stream.queue(answer)
    if resend is not None:
        stream.take_up(resend)


# -- both ----------------------------------------------------------------------------------------

_ACKNOWLEDGEMENTS: Final[Mapping[str, Callable[[Stream, Element], None]]] = {
    f"{{{ns.SM}}}r": _asked,
    f"{{{ns.SM}}}a": _answered,
}

_ANSWERS: Final[Mapping[str, Callable[[ClientStream, Element], None]]] = {
    f"{{{ns.SM}}}enabled": _enabled,
    f"{{{ns.SM}}}failed": _not_enabled,
}

_COMMANDS: Final[Mapping[str, Callable[[ServerStream, Element], None]]] = {
    **_ACKNOWLEDGEMENTS,
    f"{{{ns.SM}}}enable": _enable_asked,
    f"{{{ns.SM}}}resume": _resume_asked,
}

RESUMPTION: Final = Feature(
    name=_NAME,
    necessary=Done.AUTHENTICATED,
    prohibited=Done.BOUND,
    offer=_offer,
    wanted=_can_resume,
    begin=_resume,
    client={f"{{{ns.SM}}}resumed": resumed, f"{{{ns.SM}}}failed": _refused},
    server={},  # at any time: see ServerStream
)

ENABLING: Final = Feature(
    name=_NAME,
    necessary=Done.BOUND,
    prohibited=Done.NOTHING,
    offer=_offer,  # where the resource was bound with the login; else RESUMPTION's is for both
    wanted=_can_enable,
    begin=_enable,
    client={
        **_ANSWERS,
        IQ: _keep,
        f"{{{ns.CLIENT}}}message": _keep,
        f"{{{ns.CLIENT}}}presence": _keep,
    },
    server={},
)
