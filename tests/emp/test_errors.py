"""emp.errors: texts for people, pickling, and the stanza errors of RFC 6120 §8.3."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from lxml import etree

from emp import errors, ns
from emp.errors import (
    AuthenticationError,
    ConfigError,
    ConnectionFailed,
    EmpError,
    Gone,
    InternalServerError,
    ItemNotFound,
    JIDError,
    LocalProtocolError,
    RemoteProtocolError,
    RouteError,
    ServiceUnavailable,
    StanzaError,
    StreamError,
    UndefinedCondition,
)
from emp.jid import JID
from emp.xml import E, parse

# RFC 6120 §8.3.3.1 to §8.3.3.22, with the error type that each section names first.
CONDITIONS = {
    "bad-request": "modify",
    "conflict": "cancel",
    "feature-not-implemented": "cancel",
    "forbidden": "auth",
    "gone": "cancel",
    "internal-server-error": "cancel",
    "item-not-found": "cancel",
    "jid-malformed": "modify",
    "not-acceptable": "modify",
    "not-allowed": "cancel",
    "not-authorized": "auth",
    "policy-violation": "modify",
    "recipient-unavailable": "wait",
    "redirect": "modify",
    "registration-required": "auth",
    "remote-server-not-found": "cancel",
    "remote-server-timeout": "wait",
    "resource-constraint": "wait",
    "service-unavailable": "cancel",
    "subscription-required": "auth",
    "undefined-condition": "cancel",
    "unexpected-request": "wait",
}


class NoSuchTweet(ItemNotFound):
    """An application's own kind of a defined condition."""


def error_xml(inner: str, attributes: str = "type='cancel'") -> etree._Element:
    return parse(f"<error xmlns='jabber:client' {attributes}>{inner}</error>")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConfigError("bad"), "bad"),
        (ConfigError("bad", file="a.toml"), "a.toml: bad"),
        (ConfigError("bad", file=Path("a.toml"), line=3), "a.toml:3: bad"),
        (
            ConfigError("unknown key 'nod'", file="a.toml", line=3, remedy="Did you mean 'node'?"),
            "a.toml:3: unknown key 'nod'. Did you mean 'node'?",
        ),
        (ConfigError("Bad.", remedy="Try."), "Bad. Try."),
        (RouteError("bad XPath", file="r.py", line=1), "r.py:1: bad XPath"),
        (RemoteProtocolError("not-well-formed"), "not-well-formed"),
        (RemoteProtocolError("not-well-formed", "line 3"), "not-well-formed: line 3"),
        (StreamError("see-other-host", "go", "other:9222"), "see-other-host: go"),
        (AuthenticationError("not-authorized"), "not-authorized"),
        (ConnectionFailed("connect", "refused"), "connect: refused"),
        (ConnectionFailed("connect", "refused", remedy="Start it."), "connect: refused. Start it."),
        (ItemNotFound("no tweet 7"), "item-not-found: no tweet 7"),
        (ItemNotFound(), "item-not-found"),
    ],
)
def test_text_for_people(error: EmpError, text: str) -> None:
    assert str(error) == text


@pytest.mark.parametrize(
    "error",
    [
        EmpError("x"),
        ConfigError("bad", file=Path("a.toml"), line=3, remedy="Try."),
        RouteError("bad", line=2),
        JIDError("no"),
        LocalProtocolError("no"),
        RemoteProtocolError("not-well-formed", "text"),
        StreamError("see-other-host", "text", other_host="h:1"),
        AuthenticationError("not-authorized", "text"),
        ConnectionFailed("resolve", "no such host", permanent=True, remedy="Check it."),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(error: EmpError, protocol: int) -> None:
    twin = pickle.loads(pickle.dumps(error, protocol))
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert twin.args == error.args
    assert vars(twin) == vars(error)


def test_jid_error_is_a_value_error() -> None:
    assert issubclass(JIDError, ValueError)


def test_every_condition_of_the_rfc_has_a_class() -> None:
    assert {name: cls.default_type for name, cls in errors.CONDITIONS.items()} == CONDITIONS


@pytest.mark.parametrize("condition", CONDITIONS)
def test_round_trip(condition: str) -> None:
    cls = errors.CONDITIONS[condition]
    error = cls(
        "what's <up> & so",
        type="wait",
        application=E("too-many", {"limit": 3}, xmlns="urn:example"),
        by=JID.parse("room@muc.example"),
    )
    element = error.to_xml()
    assert element.tag == f"{{{ns.CLIENT}}}error"
    assert element[0].tag == f"{{{ns.STANZAS}}}{condition}"
    found = StanzaError.from_xml(parse(etree.tostring(element)))
    assert type(found) is cls
    assert (found.text, found.type, found.by) == (error.text, "wait", error.by)
    assert found.application is not None
    assert etree.tostring(found.application) == b'<too-many xmlns="urn:example" limit="3"/>'


@pytest.mark.parametrize("condition", CONDITIONS)
def test_minimal(condition: str) -> None:
    error = errors.CONDITIONS[condition]()
    assert (
        etree.tostring(error.to_xml())
        == (
            f'<error xmlns="jabber:client" type="{CONDITIONS[condition]}">'
            f'<{condition} xmlns="{ns.STANZAS}"/></error>'
        ).encode()
    )


def test_the_address_of_gone() -> None:
    error = Gone("moved", address="xmpp:romeo@afterlife.example.net")
    assert error.to_xml()[0].text == "xmpp:romeo@afterlife.example.net"
    assert StanzaError.from_xml(error.to_xml()).address == "xmpp:romeo@afterlife.example.net"


def test_unknown_condition_keeps_text_and_application_element() -> None:
    error = StanzaError.from_xml(
        error_xml(
            f"<text xmlns='{ns.STANZAS}'>odd</text><fancy-new xmlns='{ns.STANZAS}'/>"
            "<mine xmlns='urn:x'>1</mine> tail"
        )
    )
    assert type(error) is UndefinedCondition
    assert error.text == "odd"
    assert error.application is not None
    assert etree.tostring(error.application) == b'<mine xmlns="urn:x">1</mine>'


@pytest.mark.parametrize(
    ("inner", "attributes", "cls", "type_"),
    [
        ("", "", UndefinedCondition, "cancel"),
        ("", "code='404'", UndefinedCondition, "cancel"),
        (f"<item-not-found xmlns='{ns.STANZAS}'/>", "code='501'", ItemNotFound, "cancel"),
        (f"<not-authorized xmlns='{ns.STANZAS}'/>", "type='fatal'", errors.NotAuthorized, "auth"),
        (f"<conflict xmlns='{ns.STANZAS}'/>", "type='modify'", errors.Conflict, "modify"),
        ("<item-not-found xmlns='urn:other'/>", "", UndefinedCondition, "cancel"),
        ("<item-not-found/>", "by='@@@'", UndefinedCondition, "cancel"),
    ],
)
def test_what_peers_send(inner: str, attributes: str, cls: type, type_: str) -> None:
    error = StanzaError.from_xml(error_xml(inner, attributes))
    assert type(error) is cls
    assert error.type == type_
    assert error.by is None


def test_application_element_is_a_copy() -> None:
    application = E.mine(xmlns="urn:x")
    application.tail = "behind"
    error = ItemNotFound(application=application)
    xml = error.to_xml()
    assert application.getparent() is None
    assert xml[-1].tail is None
    found = StanzaError.from_xml(xml)
    assert found.application is not None
    assert found.application.getparent() is None


def test_a_text_that_xml_cannot_hold_does_not_lose_the_error() -> None:
    element = InternalServerError("odd \0 \ud800 \ufffe text").to_xml()
    assert element[1].text == "odd � � � text"


def test_unknown_type_is_refused() -> None:
    with pytest.raises(ValueError, match="not a stanza error type: 'fatal'"):
        ServiceUnavailable(type="fatal")  # type: ignore[arg-type]


@pytest.mark.parametrize("cls", [StanzaError, ItemNotFound, NoSuchTweet])
def test_stanza_errors_pickle(cls: type[StanzaError]) -> None:
    error = cls("no", type="wait", application=E.mine(xmlns="urn:x"), by=JID.parse("a@b"))
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is cls
    assert (twin.text, twin.type, twin.by, twin.args) == ("no", "wait", error.by, ("no",))
    assert twin.application.tag == "{urn:x}mine"


def test_a_subclass_has_the_condition_of_its_parent() -> None:
    assert NoSuchTweet().to_xml()[0].tag == f"{{{ns.STANZAS}}}item-not-found"
    assert type(StanzaError.from_xml(NoSuchTweet().to_xml())) is ItemNotFound
