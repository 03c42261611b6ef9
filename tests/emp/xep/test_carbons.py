"""XEP-0280: whose copies are taken for copies."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from emp import ns
from emp.errors import RemoteProtocolError
from emp.stanza import Message, Stanza
from emp.xep import carbons
from emp.xep.delay import Delay

OWN, FULL = "romeo@montague.example", "romeo@montague.example/home"
INNER = (
    "<message xmlns='jabber:client' from='juliet@capulet.example/balcony'"
    " to='romeo@montague.example/garden' type='chat'><body>What man art thou</body></message>"
)
STAMP = "<delay xmlns='urn:xmpp:delay' stamp='2002-09-10T23:08:25Z'/>"


def wrapped(
    from_: str | None = OWN,
    to: str | None = FULL,
    *,
    direction: str = "received",
    inner: str = INNER,
    type: str = "chat",
    kind: str = "message",
    namespace: str = ns.CARBONS,
    before: str = "",
) -> Stanza:
    addresses = "".join(
        f" {name}='{value}'" for name, value in (("from", from_), ("to", to)) if value
    )
    return Stanza.parse(
        f"<{kind} type='{type}'{addresses}>{before}<{direction} xmlns='{namespace}'>"
        f"<forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded></{direction}></{kind}>".encode()
    )


@pytest.mark.parametrize(
    "from_",
    [
        "tybalt@capulet.example/home",  # XEP-0280 §7, example 7
        "tybalt@capulet.example",
        FULL,  # another client of the same account: not the account itself
        "romeo@montague.example/garden",
        "montague.example",
        "romeo@montague.example.evil",
        "romeo@@montague.example",
        None,
    ],
)
@pytest.mark.parametrize("direction", ["received", "sent"])
def test_copies_from_others_are_refused(from_: str | None, direction: str) -> None:
    with pytest.raises(RemoteProtocolError, match="invalid-from"):
        carbons.unwrap(wrapped(from_, direction=direction))


def test_a_copy_to_somebody_else_is_refused() -> None:
    for to in ("tybalt@capulet.example/home", None, "@"):
        with pytest.raises(RemoteProtocolError, match="invalid-from"):
            carbons.unwrap(wrapped(to=to))


@pytest.mark.parametrize(
    "stanza",
    [
        Message("a@b", "hi"),
        wrapped(direction="private"),
        wrapped(namespace="urn:xmpp:carbons:1"),
        wrapped(inner=""),
        wrapped(inner="<presence xmlns='jabber:client'/>"),
        wrapped(inner=INNER.replace("jabber:client", "jabber:server")),
        wrapped(type="error"),
        wrapped(kind="presence"),
        wrapped(kind="iq", type="set"),
    ],
)
def test_what_is_no_copy_is_refused(stanza: Stanza) -> None:
    with pytest.raises(RemoteProtocolError, match="bad-format"):
        carbons.unwrap(stanza)


@pytest.mark.parametrize("direction", ["received", "sent"])
def test_unwrap(direction: str) -> None:
    carbon = carbons.unwrap(wrapped(direction=direction, inner=STAMP + INNER, before="<body/>"))
    assert carbon.direction == direction
    assert carbon.message.body == "What man art thou"
    assert carbon.message.from_text == "juliet@capulet.example/balcony"
    assert carbon.message.type == "chat"
    assert carbon.delay == Delay(datetime(2002, 9, 10, 23, 8, 25, tzinfo=UTC))


def test_the_message_is_free_of_its_wrapper() -> None:
    stanza = wrapped(inner=f"{INNER} tail")
    message = carbons.unwrap(stanza).message
    assert (message.tree.getparent(), message.tree.tail) == (None, None)
    assert Stanza.parse(message.to_bytes()).to_bytes() == message.to_bytes()
    message.body = "changed"
    assert b"changed" not in stanza.to_bytes()


def test_requests_and_hints() -> None:
    assert [iq.payload_name for iq in (carbons.enable(), carbons.disable())] == [
        carbons.ENABLE,
        carbons.DISABLE,
    ]
    assert [child.tag for child in carbons.private()] == [carbons.PRIVATE, carbons.NO_COPY]
