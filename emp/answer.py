"""What an action returned, as the stanzas to send.

    str              the body of a reply, in kind
    element, object with to_xml()
                     the payload of an IQ result, or of a reply
    list of them     the payloads of a reply; in an IQ result, which has one payload at most
                     (RFC 6120 §8.2.3), the children of an element named as the request's payload
    Stanza, or a list of them
                     as they are
    None             an empty result for an IQ request, nothing for anything else

What a view has rendered is one of these. Raising is answering too: a `StanzaError` is the error
reply, where the stanza may be answered with one (`refusal`). Anything else is a mistake of the
action's author, and is told to him.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from lxml import etree

from emp import ns
from emp.errors import StanzaError
from emp.jid import JID
from emp.names import twin
from emp.stanza import Iq, Message, Stanza
from emp.view import tree_of
from emp.xml import Renderable, as_element, build


def answers(request: Stanza, result: Any, *, named: bool = True) -> Sequence[Stanza]:
    """The stanzas that `result` means as the outcome of an action on `request`. named: whether the
    answers that are made of it say whom they are from; those of a client leave that to its server.

    An IQ request is answered whatever comes: stanzas that do not include its answer are followed by
    the empty result. Raises TypeError for a result that means nothing.
    """
    if request.type == "error" and not isinstance(result, (Stanza, list, tuple)):
        return ()  # an error is never answered (RFC 6120 §8.3.1): two programs would go on for ever
    own = request.to_text if named else None
    if result is None:
        return (request._result(own, ()),) if isinstance(request, Iq) and request.is_request else ()
    if isinstance(result, str):
        if not isinstance(request, Message):
            raise TypeError(
                f"the action returned text, which is no answer to <{request.kind}/>: return an"
                " element, or send a message with self.say()"
            )
        return (request._reply(own, result, ()),)
    many = isinstance(result, (list, tuple))
    items = list(result) if many else [result]
    if not items and not (isinstance(request, Iq) and request.is_request):
        return ()
    stanzas = [item for item in items if isinstance(item, Stanza)]
    if stanzas and len(stanzas) == len(items):
        if _answered(request, stanzas):
            return stanzas
        return [*stanzas, *answers(request, None, named=named)]
    for item in items:
        if not _means_something(item):
            raise TypeError(_meaningless(item, item is not result))
    if stanzas:
        raise TypeError(
            "the action returned stanzas and payloads in one list, which is no answer: return one"
            " sort, and send the stanzas with self.send()"
        )
    if isinstance(request, Iq):
        if not request.is_request:
            return ()
        return (request._result(own, (_together(request, items) if many else result,)),)
    if isinstance(request, Message):
        if request.type == "error":
            return ()
        return (request._reply(own, None, tuple(items)),)
    raise TypeError(f"the action returned a payload, which is no answer to <{request.kind}/>")


def _together(request: Iq, items: Iterable[Any]) -> etree._Element:
    """An element like the payload of the request, without its attributes, that holds the items."""
    name = request.payload_name
    assert name is not None  # a request without payload is refused before it is routed
    return build(name, *[twin(as_element(item)) for item in items])


VALUES: Final = (JID, Decimal, date, time, UUID)
"""What has a text, and is none."""

_REMEDIES: Final[tuple[tuple[tuple[type, ...], str], ...]] = (
    ((BaseException,), "raise it"),
    ((type,), "return an object of that class"),
    ((str,), "join the texts, or return messages"),
    ((bytes,), "decode it to return text"),
    ((int, float, *VALUES), "return str(…) for the text of a reply"),
    ((Mapping,), "build an element of it, with emp.xml.E or a view"),
    ((Iterable,), "return list(…)"),
)
_POSSIBLE: Final = (
    "an action returns text, an element, an object with to_xml(), a stanza, a list of these,"
    " or None"
)


def _means_something(item: object) -> bool:
    if isinstance(item, (Stanza, etree._Element)):
        return True
    # A class has to_xml as well, and an error is raised.
    return isinstance(item, Renderable) and not isinstance(item, (type, BaseException))


def remedy_for(cls: type) -> str:
    """What to return instead of an object of that class."""
    if hasattr(cls, "__dataclass_fields__"):
        return "write @payload above the class, or give it a method to_xml()"
    return next((text for classes, text in _REMEDIES if issubclass(cls, classes)), _POSSIBLE)


def _meaningless(item: object, in_list: bool) -> str:
    """What to say of an item that is neither stanza nor payload."""
    name = f"the class {item.__name__}" if isinstance(item, type) else type(item).__name__
    where = f"a list with {name}" if in_list else name
    remedy = next((text for classes, text in _REMEDIES if isinstance(item, classes)), _POSSIBLE)
    return f"the action returned {where}, which is no answer: {remedy}"


def _answered(request: Stanza, items: list[Stanza]) -> bool:
    if not (isinstance(request, Iq) and request.is_request):
        return True
    return any(answers_it(request, item) for item in items)


def answers_it(request: Stanza, stanza: Any) -> bool:
    """Whether it is what answers the request. Peers choose ids: to another one it is another's."""
    return (
        request.is_request
        and isinstance(stanza, Iq)
        and not stanza.is_request
        and stanza.id == request.id
        and (stanza.to_text in (None, request.from_text) or stanza.to == request.from_)
    )


_NO_ERRORS: Final = frozenset({"groupchat", "headline", "error"})
_FROM_ROOM: Final = f"{{{ns.MUC_USER}}}x"


def refusal(request: Stanza, error: StanzaError) -> Sequence[Stanza]:
    """The error reply to `request`, or nothing: errors answer IQ requests, and messages that
    somebody has written to us, of type normal or chat.

    Everybody who answers with an error asks here. Presence, groupchat and headline come unasked;
    an error for an error would go on for ever (RFC 6120 §8.3.1); and a room removes an occupant who
    sends errors (XEP-0045 §9.3.1), also for a private message or an invitation out of it.
    """
    return (request.error(error),) if _gets_errors(request) else ()


def _gets_errors(stanza: Stanza) -> bool:
    if stanza.kind == "iq":  # of a type that RFC 6120 does not know too: it is told so
        return stanza.type not in ("result", "error")
    if stanza.kind == "presence" or stanza.type in _NO_ERRORS:
        return False
    return not stanza.mentions(ns.MUC_USER) or tree_of(stanza).find(_FROM_ROOM) is None
