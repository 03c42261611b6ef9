"""What an action returned, as the stanzas to send.

    str              the body of a reply, in kind
    element, object with to_xml(), or a list of them
                     the payload of an IQ result, or of a reply
    Stanza, or a list of them
                     as they are
    None             an empty result for an IQ request, nothing for anything else

Raising is answering too: a `StanzaError` is the error reply.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lxml import etree

from emp.errors import LocalProtocolError, StanzaError
from emp.stanza import Iq, Message, Stanza


def answers(request: Stanza, result: Any) -> Sequence[Stanza]:
    """The stanzas that `result` means as the outcome of an action on `request`.

    An IQ request is answered whatever comes: stanzas that do not include its answer are followed by
    the empty result. Raises TypeError for a result that means nothing.
    """
    if result is None:
        return (request.result(),) if isinstance(request, Iq) and request.is_request else ()
    if isinstance(result, str):
        if not isinstance(request, Message):
            raise TypeError(f"the action returned text, which is no answer to <{request.kind}/>")
        return (request.reply(result),)
    items = list(result) if isinstance(result, (list, tuple)) else [result]
    if not items:
        return answers(request, None)
    if all(isinstance(item, Stanza) for item in items):
        return items if _answered(request, items) else [*items, *answers(request, None)]
    for item in items:
        if not (isinstance(item, etree._Element) or hasattr(item, "to_xml")):
            raise TypeError(f"the action returned {type(item).__name__}, which is no answer")
    if isinstance(request, Iq):
        return (request.result(*items),) if request.is_request else ()
    if isinstance(request, Message):
        return (request.reply(None, *items),)
    raise TypeError(f"the action returned a payload, which is no answer to <{request.kind}/>")


def _answered(request: Stanza, items: list[Stanza]) -> bool:
    if not (isinstance(request, Iq) and request.is_request):
        return True
    return any(
        isinstance(item, Iq) and not item.is_request and item.id == request.id for item in items
    )


def refusal(request: Stanza, error: StanzaError) -> Sequence[Stanza]:
    """The error reply to `request`, or nothing where RFC 6120 §8.3.1 forbids one."""
    try:
        return (request.error(error),)
    except LocalProtocolError:
        return ()
