"""The legacy session (RFC 3921 §3): sent where it is offered and not marked optional.

RFC 6121 has no sessions any more; servers offer them as optional for old clients, and so do we.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emp import ns
from emp.stanza import Iq, Stanza
from emp.stream.features.bind import IQ, answer, ask
from emp.stream.features.feature import Feature
from emp.stream.state import Done
from emp.xml import Element

if TYPE_CHECKING:
    from emp.stream.client import ClientStream
    from emp.stream.server import ServerStream

_SESSION: Final = f"{{{ns.SESSION}}}session"


def _offer(stream: ServerStream) -> str:
    return f"<session xmlns='{ns.SESSION}'><optional/></session>"


def _wanted(stream: ClientStream, offer: Element) -> bool:
    return not any(child.tag.rpartition("}")[2] == "optional" for child in offer)


def _begin(stream: ClientStream, offer: Element) -> None:
    ask(stream, f"<session xmlns='{ns.SESSION}'/>")


def _answered(stream: ClientStream, element: Element) -> None:
    if answer(stream, element) is None:
        stream.keep(element)
    else:
        stream.proceed()


def _early(stream: ClientStream, element: Element) -> None:
    # The resource is bound already, so others may write to it.
    stream.keep(element)


def answer_request(stanza: Stanza) -> Stanza | None:
    """The server's result, if the stanza asks for a session; None if not."""
    if isinstance(stanza, Iq) and stanza.type == "set" and stanza.payload_name == _SESSION:
        return stanza.result()
    return None


SESSION: Final = Feature(
    name=_SESSION,
    necessary=Done.AUTHENTICATED,  # not BOUND: servers offer it beside binding
    prohibited=Done.NOTHING,
    offer=_offer,
    wanted=_wanted,
    begin=_begin,
    client={
        IQ: _answered,
        f"{{{ns.CLIENT}}}message": _early,
        f"{{{ns.CLIENT}}}presence": _early,
    },
    server={},  # asked when the stream is ready: see ServerStream
)
