"""What pickles here is what comes out there."""

from __future__ import annotations

import pickle
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from thespian.actors import ActorAddress
from thespian.system.addressManager import ActorAddressManager, CannotPickleAddress

from actors import messages
from actors.messages import ActionCall, BatchTaken, Ping, Ref, RouteStanzas, RunActions, SendStanzas
from actors.systems.pickling import FEW
from actors.systems.transport import address_of
from emp.stanza import Iq, Message, Presence, Stanza
from emp.xml import E

ADDRESS = address_of(b"127.0.0.1:4711")
REF = Ref("echo", ADDRESS, 2**62)
OTHER = Ref("other", address_of(b"127.0.0.1:4712"), 2**61)

BATCHES = (RouteStanzas, RunActions, SendStanzas)
OTHERS = [each for each in vars(messages).values() if is_dataclass(each) and each not in BATCHES]


def again(message: Any) -> Any:
    return pickle.loads(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))


def stanzas(count: int) -> tuple[Stanza, ...]:
    kinds = (
        lambda n: Message("anne@example.org", f"text {n}", type="chat", id=str(n)),
        lambda n: Presence(status=f"status {n}"),
        lambda n: Iq("get", E("{urn:x}q"), to="bob@example.org", id=str(n)),
    )
    return tuple(kinds[n % 3](n) for n in range(count))


def shown(value: Any) -> Any:
    """With stanzas by their text: they have no equality of their own."""
    if isinstance(value, Stanza):
        return type(value), value.to_bytes(), value.id, value.type, value.from_text, value.to_text
    if isinstance(value, tuple):
        return tuple(shown(each) for each in value)
    if isinstance(value, ActorAddress):
        return str(value)
    if is_dataclass(value):
        return tuple(shown(getattr(value, field.name)) for field in fields(value))
    return value


@pytest.mark.parametrize("count", [0, 1, FEW - 1, FEW, 100])
@pytest.mark.parametrize(
    "make",
    [
        lambda many: RouteStanzas(REF, 7, "echo", "desk", True, tuple(enumerate(many))),
        lambda many: RunActions(
            REF,
            7,
            tuple((REF, n, stanza, 1, {}) for n, stanza in enumerate(many)),
            (ActionCall(1, "echo"),),
        ),
        lambda many: RunActions(
            REF,
            7,
            tuple(
                ((REF, OTHER)[n % 2], n, stanza, n % 3, {"a": (True, 1.0, "1")[n % 3]})
                for n, stanza in enumerate(many)
            ),
        ),
        lambda many: SendStanzas(REF, 5, 7, many, tuple(range(len(many)))),
    ],
    ids=["route", "run", "run mixed", "send"],
)
def test_batches(make: Any, count: int) -> None:
    message = make(stanzas(count))
    there = again(message)
    assert type(there) is type(message)
    assert repr(shown(there)) == repr(shown(message))


def test_batches_have_the_contents_that_are_asked_for() -> None:
    sent = tuple(Message("anne@example.org", f"text {n}", thread="t") for n in range(10))
    routed = again(RouteStanzas(REF, 1, "echo", None, True, tuple(enumerate(sent))))
    written = again(SendStanzas(REF, 1, 1, sent, ()))
    for there in ([stanza for _, stanza in routed.items], written.stanzas):
        assert [each.body for each in there] == [f"text {n}" for n in range(10)]
        assert {each.thread for each in there} == {"t"}


def test_addresses_are_made_once() -> None:
    first, second = again(ADDRESS), again((ADDRESS, [ADDRESS]))
    assert first is second[0] is second[1][0]
    assert first == ADDRESS
    assert str(first) == str(ADDRESS)


def test_addresses_that_mean_nothing_elsewhere_are_refused() -> None:
    local = ActorAddressManager(OTHER.address, ADDRESS).createLocalAddress()
    with pytest.raises(CannotPickleAddress):
        pickle.dumps(local)


@pytest.mark.parametrize("message", [Ping(), BatchTaken(1, 2, 3, (4, 5)), REF])
def test_small_messages(message: Any) -> None:
    assert again(message) == message


@pytest.mark.parametrize("found", OTHERS, ids=lambda found: found.__name__)
def test_every_message_keeps_its_fields(found: Any) -> None:
    message = found(*(f"value of {field.name}" for field in fields(found)))
    assert again(message) == message
    assert len(pickle.dumps(message)) < 1000
