"""emp.stanza: two representations that never disagree, answers as the RFC says, pickling."""

from __future__ import annotations

import copy
import itertools
import pickle
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from emp import ns
from emp.columns import pack, unpack
from emp.errors import (
    BadRequest,
    ItemNotFound,
    JIDError,
    LocalProtocolError,
    RemoteProtocolError,
    ServiceUnavailable,
    StanzaError,
    UndefinedCondition,
)
from emp.jid import JID
from emp.stanza import Iq, Message, Presence, Stanza, make_id
from emp.view import payload_of, tree_of, wire_texts
from emp.wire import LANG
from emp.xml import E, parse
from tests.emp.strategies import canonical, forbidden_texts, stanza_trees, texts

CHAT = b'<message type="chat" id="1" from="a@b/c" to="d@e"><body>hi</body></message>'
GET = b'<iq type="get" id="7" from="a@b/c" to="d@e"><query xmlns="jabber:iq:version"/></iq>'


def message(inner: str = "<body>hi</body>", attributes: str = "from='a@b/c' to='d@e'") -> Message:
    stanza = Stanza.parse(f"<message {attributes}>{inner}</message>".encode())
    assert isinstance(stanza, Message)
    return stanza


def iq(type_: str = "get", inner: str = "<ping xmlns='urn:xmpp:ping'/>") -> Iq:
    stanza = Stanza.parse(f"<iq type='{type_}' id='7' from='a@b/c' to='d@e'>{inner}</iq>".encode())
    assert isinstance(stanza, Iq)
    return stanza


def in_stream(wire: bytes, namespace: str = ns.CLIENT) -> etree._Element:
    stream = etree.fromstring(b"<s xmlns='" + namespace.encode() + b"'>" + wire + b"</s>")
    (element,) = stream
    assert stream.text is None
    assert element.tail is None
    return element


def envelope(stanza: Stanza) -> tuple[object, ...]:
    return (
        stanza.__class__,
        stanza.kind,
        stanza.type,
        stanza.id,
        stanza.from_text,
        stanza.to_text,
        stanza.payload_name,
    )


# -- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "cls", "type_", "id_", "from_", "to", "payload"),
    [
        (CHAT, Message, "chat", "1", "a@b/c", "d@e", None),
        (GET, Iq, "get", "7", "a@b/c", "d@e", "{jabber:iq:version}query"),
        (b"<message/>", Message, "normal", None, None, None, None),
        (b"<presence/>", Presence, "available", None, None, None, None),
        (b"<presence type='unavailable'/>", Presence, "unavailable", None, None, None, None),
        (b"<iq/>", Iq, "", None, None, None, None),
        (b"<message type='odd'/>", Message, "normal", None, None, None, None),
        (b"<message type=''/>", Message, "normal", None, None, None, None),
        (b"<iq type='set'><a/></iq>", Iq, "set", None, None, None, "{jabber:client}a"),
        (b"<iq type='set'><a xmlns=''/></iq>", Iq, "set", None, None, None, "a"),
        (b"<message><a/><x xmlns='u'/><y xmlns='v'/></message>", Message, "normal",
         None, None, None, "{u}x"),
        (b"<message><x xmlns='u'/></message>", Message, "normal", None, None, None, "{u}x"),
    ],
)  # fmt: skip
def test_envelope(
    wire: bytes,
    cls: type,
    type_: str,
    id_: str | None,
    from_: str | None,
    to: str | None,
    payload: str | None,
) -> None:
    expected = (cls, cls.kind, type_, id_, from_, to, payload)  # type: ignore[attr-defined]
    stanza = Stanza.parse(wire)
    assert envelope(stanza) == expected
    assert (None if stanza.payload is None else stanza.payload.tag) == payload
    again = Stanza.from_element(parse(b"<x xmlns='jabber:client'>" + wire + b"</x>")[0])
    assert envelope(again) == expected
    assert envelope(pickle.loads(pickle.dumps(again))) == expected


@pytest.mark.parametrize(
    "wire",
    [
        CHAT,
        CHAT + b"\n",
        CHAT.replace(b"<message", b"<message xmlns='jabber:client'"),
        CHAT.replace(b"<message", b"<c:message xmlns:c='jabber:client'")
        .replace(b"</message", b"</c:message")
        .replace(b"body>", b"c:body>"),
        b"<?xml version='1.0'?>" + CHAT.replace(b"<message", b"<message xmlns='jabber:client'"),
    ],
)
def test_parse(wire: bytes) -> None:
    stanza = Stanza.parse(wire)
    assert stanza.to_bytes() == CHAT
    assert stanza.tree.tag == "{jabber:client}message"
    assert stanza.tree.getparent() is None


@pytest.mark.parametrize(
    "tag", ["{jabber:client}message", "{jabber:client}presence", "{jabber:client}iq"]
)
def test_from_element(tag: str) -> None:
    element = etree.Element(tag)
    assert Stanza.from_element(element).tree is element


@pytest.mark.parametrize(
    "tag", ["message", "{jabber:server}message", "{jabber:client}body", "{urn:x}iq"]
)
def test_not_a_stanza(tag: str) -> None:
    with pytest.raises(LocalProtocolError, match="not a stanza"):
        Stanza.from_element(etree.Element(tag))
    with pytest.raises(LocalProtocolError, match="not a stanza"):
        Stanza.from_element(etree.Comment("x"))
    with pytest.raises(LocalProtocolError, match="not a stanza"):
        Stanza.parse(b"<messages/>")


@pytest.mark.parametrize("wire", [b"", b"<message>", b"<message/><iq/>", b"<message/>x", b"<iq"])
def test_parse_refuses(wire: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        Stanza.parse(wire)


def test_an_abstract_stanza_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="Message, a Presence or an Iq"):
        Stanza()


def test_addresses() -> None:
    stanza = message()
    assert stanza.from_ == JID.parse("a@b/c")
    assert stanza.to == JID.parse("d@e")
    assert Message().to is Message().from_ is None
    with pytest.raises(JIDError):
        _ = message(attributes="to='@'").to


def test_the_wire_is_not_serialised_again() -> None:
    stanza = Stanza.parse(CHAT)
    assert wire_texts([stanza])[0] is wire_texts([stanza])[0]
    assert stanza.tree is stanza.tree
    assert stanza.to_bytes() == CHAT


@pytest.mark.parametrize(
    ("inner", "body", "subject", "thread"),
    [
        ("", None, None, None),
        ("<body/>", "", None, None),
        ("<body>a</body><body xml:lang='de'>b</body>", "a", None, None),
        ("<body xml:lang='de'>b</body><body>a</body>", "a", None, None),
        ("<body xml:lang='de'>b</body><body xml:lang='fr'>a</body>", "b", None, None),
        ("<subject>s</subject><thread>t</thread><thread>u</thread>", None, "s", "t"),
        ("<thread/>", None, None, ""),
        ("<body xmlns='urn:x'>b</body><thread xmlns='urn:x'/>", None, None, None),
        ("<x xmlns='u'/><body>&lt;'\"&amp;</body>", "<'\"&", None, None),
    ],
)
def test_message_texts(
    inner: str, body: str | None, subject: str | None, thread: str | None
) -> None:
    stanza = message(inner)
    assert (stanza.body, stanza.subject, stanza.thread) == (body, subject, thread)


@pytest.mark.parametrize(
    ("priority", "value"),
    [
        ("1", 1),
        ("-128", -128),
        (" 5 ", 5),
        ("128", 0),
        ("-129", 0),
        ("x", 0),
        ("", 0),
        ("٣", 0),
        ("1" * 5000, 0),
    ],
)
def test_presence(priority: str, value: int) -> None:
    stanza = Stanza.parse(
        f"<presence><show>dnd</show><status>no</status><priority>{priority}</priority>"
        "</presence>".encode()
    )
    assert isinstance(stanza, Presence)
    assert (stanza.show, stanza.status, stanza.priority) == ("dnd", "no", value)
    assert (Presence().show, Presence().status, Presence().priority) == (None, None, 0)


def test_lang() -> None:
    stanza = message(attributes="xml:lang='de'")
    assert stanza.lang == "de"
    stanza.lang = None
    assert stanza.to_bytes() == b"<message><body>hi</body></message>"
    stanza.lang = "fr"
    assert stanza.to_bytes() == b'<message xml:lang="fr"><body>hi</body></message>'


def test_repr_tells_no_secrets() -> None:
    assert repr(Stanza.parse(CHAT)) == "<message type='chat' id='1' from='a@b/c' to='d@e'>"


# -- making ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stanza", "wire", "payload"),
    [
        (Message(), "<message/>", None),
        (Message("a@B", "hi"), '<message to="a@b"><body>hi</body></message>', None),
        (
            Message(
                JID.parse("a@b"),
                "<hi>",
                E.active(xmlns=ns.CHAT_STATES),
                type="chat",
                id="'1",
                from_="c@d",
                subject="s",
                thread="t",
                lang="de",
            ),
            '<message type="chat" id="&apos;1" from="c@d" to="a@b" xml:lang="de">'
            "<subject>s</subject><body>&lt;hi&gt;</body><thread>t</thread>"
            '<active xmlns="http://jabber.org/protocol/chatstates"/></message>',
            "{http://jabber.org/protocol/chatstates}active",
        ),
        (Message("a@b", None, E.body("x")), '<message to="a@b"><body>x</body></message>', None),
        (Message("a@b", ""), '<message to="a@b"><body></body></message>', None),
        (Presence(), "<presence/>", None),
        (
            Presence("a@b", E.x(xmlns=ns.MUC), show="away", status="&", priority=-1, id="2"),
            '<presence id="2" to="a@b"><show>away</show><status>&amp;</status>'
            '<priority>-1</priority><x xmlns="http://jabber.org/protocol/muc"/></presence>',
            "{http://jabber.org/protocol/muc}x",
        ),
        (
            Presence(type="unavailable", from_="a@b"),
            '<presence type="unavailable" from="a@b"/>',
            None,
        ),
        (
            Iq("get", E.query(E.a(), xmlns=ns.VERSION), to="a@b", id="1", from_="c"),
            '<iq type="get" id="1" from="c" to="a@b">'
            '<query xmlns="jabber:iq:version"><a/></query></iq>',
            "{jabber:iq:version}query",
        ),
        (Iq("result", id="1"), '<iq type="result" id="1"/>', None),
        (
            Iq("set", E.a(E.b()), id="1"),
            '<iq type="set" id="1"><a><b/></a></iq>',
            "{jabber:client}a",
        ),
        (
            Iq("error", ItemNotFound(), id="1"),
            '<iq type="error" id="1"><error type="cancel"><item-not-found'
            ' xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>',
            "{jabber:client}error",
        ),
    ],
)  # fmt: skip
def test_constructors(stanza: Stanza, wire: str, payload: str | None) -> None:
    assert stanza.to_bytes() == wire.encode()
    assert stanza.payload_name == payload
    assert envelope(Stanza.parse(wire.encode())) == envelope(stanza)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Iq("get"),
        lambda: Iq("set"),
        lambda: Iq("error"),
        lambda: Iq("put", E.a()),
        lambda: Presence(priority=128),
        lambda: Presence(priority=-129),
        lambda: Message("a", "\0"),
        lambda: Message("a", "b", "c"),
        lambda: Message("a", 5),  # type: ignore[arg-type]
        lambda: Message("a", E.x(xmlns="urn:x")),  # type: ignore[arg-type]
        lambda: Presence("a", status=b"x"),  # type: ignore[arg-type]
        lambda: setattr(Message("a"), "body", 5),
        lambda: setattr(Message("a"), "id", 5),
        lambda: setattr(Message("a"), "lang", 5),
        lambda: Message("a", "b", etree.Comment("c")),
        lambda: Message("a", type="\ud800"),
        lambda: Message("a").reply("x", object()),
        lambda: Stanza.parse(CHAT).reply("\ufffe"),
    ],
)
def test_what_cannot_be_made(make: object) -> None:
    with pytest.raises(LocalProtocolError):
        make()  # type: ignore[operator]


def test_bad_addresses_are_refused() -> None:
    with pytest.raises(JIDError):
        Message("@")
    with pytest.raises(JIDError):
        Message().from_ = "a@b@c"


def test_ids_are_made_up() -> None:
    ids = {Iq("get", E.a()).id for _ in range(1000)} | {make_id() for _ in range(1000)}
    assert len(ids) == 2000
    assert min(len(each) for each in ids if each) >= 16


# -- changing -------------------------------------------------------------------------------------


def test_the_envelope_reaches_both_representations() -> None:
    stanza = message()
    stanza.type = "chat"
    stanza.id = "new"
    stanza.to = "X@y"
    stanza.from_ = JID.parse("z")
    assert envelope(stanza) == (Message, "message", "chat", "new", "z", "x@y", None)
    assert stanza.to_bytes() == (
        b'<message from="z" to="x@y" type="chat" id="new"><body>hi</body></message>'
    )
    assert dict(stanza.tree.attrib) == {"from": "z", "to": "x@y", "type": "chat", "id": "new"}
    stanza.type = "normal"
    stanza.id = stanza.to = stanza.from_ = None
    assert envelope(stanza) == (Message, "message", "normal", None, None, None, None)
    assert stanza.to_bytes() == b"<message><body>hi</body></message>"


def test_available_is_never_written() -> None:
    stanza = Presence(type="unavailable")
    stanza.type = "available"
    assert stanza.to_bytes() == b"<presence/>"


def test_texts_can_be_changed() -> None:
    stanza = message("<body>old</body><body xml:lang='de'>alt</body><thread>t</thread>")
    assert stanza.thread == "t"
    stanza.body = "<new>"
    stanza.subject = "s"
    stanza.thread = None
    assert stanza.thread is None
    assert stanza.to_bytes() == (
        b'<message from="a@b/c" to="d@e"><body>&lt;new&gt;</body><subject>s</subject></message>'
    )
    presence = Presence()
    presence.show = "xa"
    presence.status = "gone"
    presence.priority = 5
    assert presence.to_bytes() == (
        b"<presence><show>xa</show><status>gone</status><priority>5</priority></presence>"
    )
    with pytest.raises(LocalProtocolError):
        presence.priority = 1000
    with pytest.raises(LocalProtocolError):
        presence.status = "\0"


@pytest.mark.parametrize("name", ["type", "id", "lang"])
def test_forbidden_characters_are_refused_in_assignments(name: str) -> None:
    stanza = message()
    with pytest.raises(LocalProtocolError):
        setattr(stanza, name, "\0")
    assert stanza.type == "normal"
    assert stanza.to_bytes() == b'<message from="a@b/c" to="d@e"><body>hi</body></message>'


def test_unknown_attributes_are_refused() -> None:
    with pytest.raises(AttributeError):
        message().bdoy = "x"  # type: ignore[attr-defined]


def test_changes_of_the_tree_show() -> None:
    stanza = message()
    before = stanza.to_bytes()
    assert stanza.payload_name is None
    tree = stanza.tree
    tree.set("to", "x@y")
    tree.set("id", "9")
    tree.append(E.x(xmlns="urn:x"))
    assert stanza.to == JID.parse("x@y")
    assert stanza.id == "9"
    assert stanza.payload_name == "{urn:x}x"
    wire = stanza.to_bytes()
    assert wire != before
    assert wire == (
        b'<message from="a@b/c" to="x@y" id="9"><body>hi</body><x xmlns="urn:x"/></message>'
    )
    tree.set("to", "later@y")  # the caller still holds it
    assert stanza.to_text == "later@y"
    assert b"later@y" in stanza.to_bytes()
    tree.set("from", "last@y")
    assert stanza.reply("x").to_text == "last@y"
    tree.set("type", "error")
    assert stanza.type == "error"
    assert isinstance(stanza.failure, UndefinedCondition)
    with pytest.raises(LocalProtocolError):
        stanza.error(BadRequest())
    assert pickle.loads(pickle.dumps(stanza)).type == "error"
    assert stanza.xml is stanza.tree is tree


def element(name: str = "x") -> etree._Element:
    return E(name, E.y("deep"), xmlns="urn:x")


LOOKS: dict[str, Callable[[Stanza], object]] = {
    "to_bytes": lambda stanza: stanza.to_bytes(),
    "wire_texts": lambda stanza: wire_texts([stanza]),
    "type": lambda stanza: stanza.type,
    "id": lambda stanza: stanza.id,
    "to": lambda stanza: stanza.to,
    "lang": lambda stanza: stanza.lang,
    "payload_name": lambda stanza: stanza.payload_name,
    "tree": lambda stanza: stanza.tree,
    "payload": lambda stanza: stanza.payload,
    "pickle": lambda stanza: pickle.dumps(stanza),
    "pack": lambda stanza: pack([stanza]),
    "mentions": lambda stanza: stanza.mentions("urn:x"),
    "nothing": lambda stanza: None,
}
"""What somebody may have asked before a change and after it."""


def _remove(stanza: Stanza) -> None:
    for child in list(stanza.tree):
        stanza.tree.remove(child)


def _in_payload(stanza: Stanza) -> None:
    if stanza.payload is not None:
        etree.SubElement(stanza.payload, "{urn:x}more").text = "more"
        stanza.payload.set("changed", "true")


def _body(stanza: Stanza) -> None:
    for body in stanza.tree.findall("{jabber:client}body"):
        body.text = "another body"


def _texts(stanza: Stanza) -> None:
    if isinstance(stanza, Message):
        stanza.body, stanza.subject, stanza.thread = "b<", "s", "t"
    elif isinstance(stanza, Presence):
        stanza.show, stanza.status, stanza.priority = "xa", "s", 3


CHANGES: dict[str, Callable[[Stanza], object]] = {
    "append": lambda stanza: stanza.tree.append(element()),
    "insert": lambda stanza: stanza.tree.insert(0, element("first")),
    "remove": _remove,
    "deep": _in_payload,
    "body": _body,
    "texts": _texts,
    "tree's type": lambda stanza: stanza.tree.set("type", "set"),
    "tree's to": lambda stanza: stanza.tree.set("to", "tree@x"),
    "tree's from": lambda stanza: stanza.tree.set("from", "tree@x/from"),
    "tree's id": lambda stanza: stanza.tree.set("id", "of the tree"),
    "tree's lang": lambda stanza: stanza.tree.set(LANG, "de"),
    "no attributes": lambda stanza: stanza.tree.attrib.clear(),
    "type": lambda stanza: setattr(stanza, "type", "get"),
    "default type": lambda stanza: setattr(stanza, "type", ""),
    "to": lambda stanza: setattr(stanza, "to", "set@x"),
    "no to": lambda stanza: setattr(stanza, "to", None),
    "from_": lambda stanza: setattr(stanza, "from_", JID.parse("set@x/from")),
    "to_text": lambda stanza: setattr(stanza, "to_text", "text@x"),
    "id": lambda stanza: setattr(stanza, "id", "set"),
    "lang": lambda stanza: setattr(stanza, "lang", "fr"),
}

MADE: dict[str, Callable[[], Stanza]] = {
    "message": lambda: Message("a@b/c", "hi", element("given"), thread="t"),
    "presence": lambda: Presence("a@b/c"),
    "iq": lambda: Iq("set", element(), to="a@b", id="1"),
    "received": lambda: Stanza.parse(CHAT),
    "received request": lambda: Stanza.parse(GET),
    "reply": lambda: message().reply("yes"),
    "result": lambda: iq().result(element()),
    "error": lambda: iq().error(ItemNotFound("no")),
    "element": lambda: Stanza.from_element(
        parse(CHAT.replace(b" ", b" xmlns='jabber:client' ", 1))
    ),
    "another process": lambda: pickle.loads(pickle.dumps(message("<body>x</body><z/>"))),
    "columns": lambda: unpack(pickle.loads(pickle.dumps(pack([iq()]))))[0],
    "copy": lambda: copy.copy(message()),
}


def whole(stanza: Stanza) -> tuple[object, ...]:
    """All that a stanza says of itself."""
    texts = (stanza.body, stanza.subject, stanza.thread) if isinstance(stanza, Message) else ()
    name = None if (payload := payload_of(stanza)) is None else payload.tag
    return (*envelope(stanza), name, stanza.lang, stanza.is_request, repr(stanza), texts)


def check(stanza: Stanza) -> None:
    """Nothing is lost: what it says, what is sent and what others get of it are one."""
    said, expected = whole(stanza), canonical(tree_of(stanza))
    sent = Stanza.parse(stanza.to_bytes())
    assert whole(sent) == said
    assert canonical(tree_of(sent)) == expected
    (there,) = unpack(pickle.loads(pickle.dumps(pack([stanza]))))
    for twin in (there, pickle.loads(pickle.dumps(stanza)), copy.copy(stanza)):
        assert whole(twin) == said
        assert canonical(tree_of(twin)) == expected
        assert twin.to_bytes() == stanza.to_bytes() == wire_texts([stanza])[0].encode()


@settings(deadline=None)
@given(
    st.sampled_from(sorted(MADE)),
    st.lists(st.tuples(st.sampled_from(sorted(LOOKS)), st.sampled_from(sorted(CHANGES)))),
)
def test_no_change_is_lost(made: str, steps: list[tuple[str, str]]) -> None:
    stanza = MADE[made]()
    told = Stanza.parse(stanza.to_bytes())  # its twin, which is written anew after each change
    for look, change in steps:
        LOOKS[look](stanza)
        CHANGES[change](stanza)
        CHANGES[change](told)
        told = Stanza.parse(told.to_bytes())
        check(stanza)
        assert canonical(tree_of(stanza)) == canonical(tree_of(told))
        assert isinstance(stanza, told.__class__)


@pytest.mark.parametrize("made", MADE)
def test_each_change_shows_after_each_look(made: str) -> None:
    for look, change in itertools.product(LOOKS, CHANGES):
        stanza = MADE[made]()
        LOOKS[look](stanza)
        CHANGES[change](stanza)
        check(stanza)


def test_what_is_kept_of_a_stanza_changes_it() -> None:
    stanza = Iq("set", E.query(E.item(), xmlns="urn:x"), to="a@b")
    assert stanza.payload is not None
    (item,) = stanza.payload
    sent = stanza.to_bytes()
    item.set("n", "1")
    assert b'<item n="1"/>' in stanza.to_bytes() != sent


def test_an_element_has_one_place() -> None:
    one, other = message("<x xmlns='urn:x'/>"), Presence("a@b")
    assert one.payload is not None
    other.tree.append(copy.copy(one.payload))
    assert (one.payload_name, other.payload_name) == ("{urn:x}x", "{urn:x}x")
    other.tree.append(one.payload)
    assert one.payload_name is None
    assert other.to_bytes().count(b"<x ") == 2
    for stanza in (one, other):
        check(stanza)


def test_a_stanza_in_a_stanza() -> None:
    inner = message()
    outer = Message("z@y", None, E.forwarded(inner.tree, xmlns=ns.FORWARD))
    inner.tree.set("id", "later")
    check(inner)
    check(outer)
    forwarded = outer.tree.find("{*}forwarded/{jabber:client}message")
    assert forwarded is not None
    assert forwarded.get("id") is None  # a payload is copied when the stanza is made
    assert canonical(forwarded) == canonical(tree_of(message()))


def test_a_stanza_is_wrapped_as_a_copy() -> None:
    inner = message()
    (text,) = wire_texts([inner])
    wrapper = E.forwarded(inner, xmlns=ns.FORWARD)
    assert canonical(wrapper[0]) == canonical(tree_of(inner))
    wrapper[0].set("id", "changed")
    assert wire_texts([inner])[0] is text


def test_answers_to_a_changed_stanza() -> None:
    stanza = iq()
    stanza.tree.set("from", "x@y/z")
    stanza.tree.set("id", "8")
    for answer in (stanza.result(), stanza.error(BadRequest())):
        assert (answer.to_text, answer.id) == ("x@y/z", "8")
        check(answer)
    stanza.tree.set("type", "result")
    with pytest.raises(LocalProtocolError):
        stanza.result()
    chat = message()
    chat.tree.set("type", "groupchat")
    assert chat.reply("x").to_text == "a@b"


def test_a_tree_that_is_another_kind_is_refused() -> None:
    stanza = message()
    stanza.tree.tag = "{jabber:client}iq"
    for send in (stanza.to_bytes, lambda: pickle.dumps(stanza), lambda: pack([stanza])):
        with pytest.raises(LocalProtocolError, match="make a new stanza"):
            send()


def test_what_xmpp_does_not_have_is_refused() -> None:
    stanza = message()
    stanza.tree.append(etree.Comment("no"))
    with pytest.raises(LocalProtocolError):
        stanza.to_bytes()


@pytest.mark.parametrize("name", ["type", "id", "to_text", "lang"])
def test_forbidden_characters_are_refused_in_open_stanzas(name: str) -> None:
    stanza = message()
    before = canonical(stanza.tree)
    with pytest.raises(LocalProtocolError):
        setattr(stanza, name, "\0")
    with pytest.raises(AttributeError):
        stanza.bdoy = "x"  # type: ignore[attr-defined]
    assert canonical(stanza.tree) == before


def test_looking_costs_nothing() -> None:
    stanza = Stanza.parse(CHAT)
    (text,) = wire_texts([stanza])
    assert payload_of(stanza) is None
    assert tree_of(stanza).tag == "{jabber:client}message"
    assert (stanza.lang, stanza.mentions("urn:x")) == (None, True)
    assert wire_texts([stanza])[0] is text


# -- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stanza", "wire"),
    [
        (message(), '<message type="normal" from="d@e" to="a@b/c"><body>yes</body></message>'),
        (
            Stanza.parse(CHAT),
            '<message type="chat" from="d@e" to="a@b/c"><body>yes</body></message>',
        ),
        (
            message("<thread>t&lt;1</thread>", "type='chat' from='a' to='b'"),
            '<message type="chat" from="b" to="a"><body>yes</body>'
            "<thread>t&lt;1</thread></message>",
        ),
        (
            message("", "from=\"a@b/'&lt;&quot;\" to='b'"),
            '<message from="b" to="a@b/&apos;&lt;&quot;"><body>yes</body></message>',
        ),
        (
            message("", "from='a@b/é' to='b'"),
            '<message type="normal" from="b" to="a@b/é"><body>yes</body></message>',
        ),
        (message("", "to='b'"), '<message from="b"><body>yes</body></message>'),
        (message("", "from='a'"), '<message to="a"><body>yes</body></message>'),
        (
            message("", "type='groupchat' from='room@muc/nick' to='b'"),
            '<message type="groupchat" from="b" to="room@muc"><body>yes</body></message>',
        ),
    ],
)  # fmt: skip
def test_reply(stanza: Message, wire: str) -> None:
    reply = stanza.reply("yes")
    assert reply.to_bytes() == wire.encode()
    assert envelope(reply) == envelope(Stanza.parse(wire.encode()))
    assert reply.body == "yes"
    assert reply.thread == stanza.thread


def test_reply_with_payloads_and_without_body() -> None:
    reply = message().reply(None, E.x(xmlns="urn:x"))
    assert reply.to_bytes() == b'<message from="d@e" to="a@b/c"><x xmlns="urn:x"/></message>'
    assert reply.payload_name == "{urn:x}x"
    assert message().reply().body is None


def test_no_reply_to_an_error() -> None:
    with pytest.raises(LocalProtocolError):
        message(attributes="type='error' from='a'").reply("loop")


def test_a_reply_can_be_changed() -> None:
    reply = message().reply("a")
    reply.to = "elsewhere"
    reply.body = "b"
    assert reply.to_bytes() == (
        b'<message type="normal" from="d@e" to="elsewhere"><body>b</body></message>'
    )


def test_a_reply_from_bytes_does_not_parse() -> None:
    stanza = pickle.loads(pickle.dumps(message("<body>x</body><thread>t</thread>")))
    assert stanza.reply("y").thread == "t"
    assert stanza.payload_name is None
    assert stanza._tree is None


@pytest.mark.parametrize("type_", ["get", "set"])
def test_result(type_: str) -> None:
    assert iq(type_).result().to_bytes() == b'<iq type="result" id="7" from="d@e" to="a@b/c"/>'
    answer = iq(type_).result(E.query(xmlns="urn:x"), E.b())
    assert answer.to_bytes() == (
        b'<iq type="result" id="7" from="d@e" to="a@b/c"><query xmlns="urn:x"/><b/></iq>'
    )
    assert answer.payload_name == "{urn:x}query"
    assert not answer.is_request


@pytest.mark.parametrize("type_", ["result", "error", "", "odd"])
def test_no_result_to_a_result(type_: str) -> None:
    assert not iq(type_).is_request
    with pytest.raises(LocalProtocolError):
        iq(type_).result()


ERROR = (
    '<error type="wait"><item-not-found xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/>'
    '<text xmlns="urn:ietf:params:xml:ns:xmpp-stanzas">no &lt;tweet&gt;</text></error>'
)


@pytest.mark.parametrize(
    ("stanza", "start", "end"),
    [
        (iq("get"), '<iq type="error" id="7" from="d@e" to="a@b/c">', "</iq>"),
        (iq("set"), '<iq type="error" id="7" from="d@e" to="a@b/c">', "</iq>"),
        (message(), '<message type="error" from="d@e" to="a@b/c">', "</message>"),
        (
            Stanza.parse(b"<presence type='subscribe' from='a' id='1'/>"),
            '<presence type="error" id="1" to="a">',
            "</presence>",
        ),
    ],
)
def test_error(stanza: Stanza, start: str, end: str) -> None:
    answer = stanza.error(ItemNotFound("no <tweet>", type="wait"))
    assert answer.__class__ is stanza.__class__
    assert answer.to_bytes() == f"{start}{ERROR}{end}".encode()
    assert envelope(answer) == envelope(Stanza.parse(answer.to_bytes()))
    failure = answer.failure
    assert isinstance(failure, ItemNotFound)
    assert (failure.text, failure.type) == ("no <tweet>", "wait")


@pytest.mark.parametrize(
    "stanza",
    [
        iq("error", ""),
        iq("result", ""),
        message(attributes="type='error'"),
        Stanza.parse(b"<presence type='error'/>"),
    ],
)
def test_no_error_to_an_error_or_a_result(stanza: Stanza) -> None:
    with pytest.raises(LocalProtocolError):
        stanza.error(ServiceUnavailable())


def test_failure() -> None:
    assert message().failure is None
    assert iq().failure is None
    assert type(iq("error", "").failure) is UndefinedCondition
    assert isinstance(iq("error", "<x xmlns='u'/>" + ERROR).failure, ItemNotFound)


# -- hostile texts, any tree ----------------------------------------------------------------------


@given(texts, texts, texts, texts)
def test_any_text_stays_text(body: str, thread: str, id_: str, resource: str) -> None:
    original = Message("to@x", body, thread=thread, id=id_)
    original.from_text = f"from@x/{resource}"
    for stanza in (original, original.reply(body), Iq("set", E.a(body), id=id_)):
        wire = stanza.to_bytes()
        element = in_stream(wire)
        assert canonical(element) == canonical(stanza.tree)
        assert "".join(element.itertext()).count(body) >= 1
        assert in_stream(wire, ns.COMPONENT).tag == f"{{{ns.COMPONENT}}}{stanza.kind}"
    assert original.reply(body).body == body
    assert original.reply(body).thread == thread
    assert original.reply(body).to_text == f"from@x/{resource}"
    assert in_stream(original.reply(body).to_bytes()).get("to") == f"from@x/{resource}"
    error = original.error(BadRequest(body))
    assert in_stream(error.to_bytes()).get("id") == id_


@given(forbidden_texts)
def test_forbidden_text_never_leaves(text: str) -> None:
    stanza = message()
    for make in (
        lambda: stanza.reply(text),
        lambda: Message("a", text),
        lambda: Message("a", id=text),
        lambda: Message("a", type=text),
        lambda: Iq("get", E.a(), id=text),
        lambda: Presence(status=text),
    ):
        with pytest.raises(LocalProtocolError):
            make()


@given(stanza_trees, st.none() | texts)
def test_any_tree_survives_the_wire(tree: etree._Element, tail: str | None) -> None:
    tree.tail = tail
    stanza = Stanza.from_element(tree)
    expected = canonical(tree)
    wire = stanza.to_bytes()
    assert canonical(in_stream(wire)) == expected
    parsed = Stanza.parse(wire)
    assert canonical(parsed.tree) == expected
    unpickled = pickle.loads(pickle.dumps(Stanza.from_element(tree)))
    assert envelope(unpickled) == envelope(stanza)
    assert unpickled.to_bytes() == wire
    assert canonical(unpickled.tree) == expected


@given(stanza_trees)
def test_in_a_component_stream_all_moves_to_its_namespace(tree: etree._Element) -> None:
    element = in_stream(Stanza.from_element(tree).to_bytes(), ns.COMPONENT)
    renamed = [
        child.tag.replace(f"{{{ns.CLIENT}}}", f"{{{ns.COMPONENT}}}") for child in (tree, *tree)
    ]
    assert [element.tag, *(child.tag for child in element)] == renamed


def test_what_is_mentioned_needs_no_tree() -> None:
    made = Message("a@b", "see urn:y", E.x(xmlns="urn:x"))
    assert made.mentions("urn:z", "urn:x")
    assert made.mentions("urn:y")  # for all we know
    assert not made.mentions("urn:z", "urn:a")
    assert made._tree is None
    assert made.tree[1].tag == "{urn:x}x"
    assert made.mentions("urn:z")


def test_what_is_mentioned_cannot_be_hidden() -> None:
    stanza = Stanza.parse(b"<message><x xmlns='urn:&#x78;'/></message>")
    for each in (stanza, pickle.loads(pickle.dumps(stanza))):
        assert each.mentions("urn:x")
        assert each.payload_name == "{urn:x}x"


# -- pickling -------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "stanza",
    [Stanza.parse(CHAT), Stanza.parse(GET), Presence("a@b"), message("<x xmlns='u'/>")],
    ids=lambda stanza: stanza.kind,
)
def test_pickle(stanza: Stanza, protocol: int) -> None:
    twin = pickle.loads(pickle.dumps(stanza, protocol))
    assert twin._tree is None
    assert envelope(twin) == envelope(stanza)
    assert twin._tree is None
    assert twin.to_bytes() == stanza.to_bytes()
    assert canonical(twin.tree) == canonical(stanza.tree)


def test_pickling_bytes_parses_nothing() -> None:
    twin = pickle.loads(pickle.dumps(Stanza.parse(GET)))
    again = pickle.loads(pickle.dumps(twin))
    assert twin._tree is None
    assert envelope(again) == envelope(twin)


def test_copying_parses_nothing() -> None:
    for stanza in (pickle.loads(pickle.dumps(Stanza.parse(GET))), Message("a@b", "x")):
        twin = copy.copy(stanza)
        assert envelope(twin) == envelope(stanza)
        assert twin.to_bytes() == stanza.to_bytes()
        assert stanza._tree is twin._tree is None


def test_copies_are_independent() -> None:
    stanza = message()
    for twin in (copy.copy(stanza), copy.deepcopy(stanza)):
        twin.body = "other"
        assert stanza.body == "hi"


def test_unpickling_in_a_fresh_process() -> None:
    # The class is named by its module, so nothing has to be imported before.
    script = "import pickle, sys; print(repr(pickle.load(sys.stdin.buffer)))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=pickle.dumps(Stanza.parse(CHAT)),
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().strip() == repr(Stanza.parse(CHAT))


def test_a_namespace_that_is_no_uri_survives() -> None:
    # Streams let it pass, so a component in another process must be able to parse it.
    tree = etree.fromstring(
        "<message xmlns='jabber:client'><x xmlns='&lt;'/></message>", etree.XMLParser(recover=True)
    )
    twin = pickle.loads(pickle.dumps(Stanza.from_element(tree)))
    assert twin.payload.tag == "{<}x"


def test_failures_travel() -> None:
    answer = pickle.loads(pickle.dumps(iq().error(ItemNotFound("no"))))
    failure = pickle.loads(pickle.dumps(answer.failure))
    assert isinstance(failure, StanzaError)
    assert str(failure) == "item-not-found: no"
