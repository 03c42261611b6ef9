"""What an action returns, as stanzas."""

from typing import Any

import pytest

from emp import ns
from emp.answer import answers, refusal
from emp.errors import ItemNotFound
from emp.payload import Payload, payload
from emp.stanza import Iq, Message, Presence, Stanza
from emp.xml import E, Element

MESSAGE = Message("foo@localhost/hack", "hi", type="chat", from_="bar@localhost/x", id="m")
GET = Iq("get", E.query(xmlns=ns.VERSION), to="foo@localhost", from_="bar@localhost/x", id="i")
RESULT = Iq("result", to="foo@localhost", from_="bar@localhost/x", id="r")
PRESENCE = Presence("foo@localhost", from_="bar@localhost/x")


class Tweet:
    def to_xml(self) -> Element:
        return E.tweet(xmlns="urn:example:tweeter", id="1")


def wire(stanzas: Any) -> list[str]:
    return [stanza.to_bytes().decode() for stanza in stanzas]


def test_text_is_the_body_of_a_reply() -> None:
    (reply,) = answers(MESSAGE, "Hackity <Hack>!")
    assert isinstance(reply, Message)
    assert reply.body == "Hackity <Hack>!"
    assert (reply.to_text, reply.from_text, reply.type) == (
        "bar@localhost/x",
        "foo@localhost/hack",
        "chat",
    )


def test_nothing() -> None:
    assert list(answers(MESSAGE, None)) == []
    assert list(answers(PRESENCE, None)) == []
    assert list(answers(RESULT, None)) == []
    (result,) = answers(GET, None)
    assert (result.kind, result.type, result.id, result.payload) == ("iq", "result", "i", None)


@pytest.mark.parametrize("result", [E.tweet(xmlns="urn:example:tweeter", id="1"), Tweet()])
def test_payloads(result: Any) -> None:
    (iq,) = answers(GET, result)
    assert (iq.type, iq.payload_name) == ("result", "{urn:example:tweeter}tweet")
    (message,) = answers(MESSAGE, result)
    assert message.payload_name == "{urn:example:tweeter}tweet"


def test_a_list_of_payloads() -> None:
    once = E.tweet(xmlns="urn:example:tweeter", id="1")
    for items in ([Tweet(), once], [once], [], ()):
        (iq,) = answers(GET, items)
        (query,) = iq.xml
        assert (iq.type, iq.payload_name) == ("result", f"{{{ns.VERSION}}}query")
        assert [child.tag for child in query] == ["{urn:example:tweeter}tweet"] * len(items)
    assert once.getparent() is None
    (message,) = answers(MESSAGE, [Tweet(), Tweet()])
    assert len(message.xml) == 2
    assert list(answers(MESSAGE, [])) == []


def test_stanzas_go_as_they_are() -> None:
    stanza = Message("someone@localhost", "hi")
    assert list(answers(MESSAGE, stanza)) == [stanza]
    assert list(answers(MESSAGE, [stanza, stanza])) == [stanza, stanza]


def test_a_request_is_answered_whatever_the_action_sends() -> None:
    aside = Message("someone@localhost", "hi")
    first, second = answers(GET, aside)
    assert first is aside
    assert (second.type, second.id) == ("result", "i")
    own = Iq("result", to="bar@localhost/x", id="i")
    assert list(answers(GET, [own])) == [own]


@payload("{urn:example:tweeter}tweet")
class Declared(Payload):
    id: int


def test_objects_of_payload_classes_are_payloads() -> None:
    (one,) = answers(GET, Declared(7))
    assert one.payload is not None
    assert one.payload.get("id") == "7"
    (several,) = answers(GET, (Declared(7), Tweet(), E.tweet(xmlns="urn:example:tweeter")))
    assert several.payload is not None
    assert len(several.payload) == 3


@pytest.mark.parametrize(
    ("request_", "result", "complaint"),
    [
        (GET, "text", "text, which is no answer to <iq/>"),
        (PRESENCE, "text", "text, which is no answer to <presence/>"),
        (PRESENCE, Tweet(), "a payload, which is no answer to <presence/>"),
        (MESSAGE, 7, r"int, which is no answer: return str\(…\)"),
        (MESSAGE, True, r"bool, which is no answer: return str\(…\)"),
        (MESSAGE, 7.5, r"float, which is no answer: return str\(…\)"),
        (MESSAGE, b"7", "bytes, which is no answer: decode it"),
        (GET, {"id": 7}, "dict, which is no answer: build an element of it"),
        (GET, {7}, r"set, which is no answer: return list\(…\)"),
        (GET, (each for each in ()), r"generator, which is no answer: return list\(…\)"),
        (GET, Tweet, "the class Tweet, which is no answer: return an object of that class"),
        (GET, ItemNotFound(), "ItemNotFound, which is no answer: raise it"),
        (GET, object(), "object, which is no answer: an action returns text, an element, an obj"),
        (GET, [Tweet(), 7], "a list with int, which is no answer"),
        (GET, [Tweet(), None], "a list with NoneType, which is no answer: an action returns"),
        (MESSAGE, ["a", "b"], "a list with str, which is no answer: join the texts"),
        (GET, [[Tweet()]], "a list with list, which is no answer"),
        (GET, [RESULT, Tweet()], "stanzas and payloads in one list, which is no answer: return"),
        (MESSAGE, (Tweet(), MESSAGE), r"stanzas and payloads .* send the stanzas with self\.send"),
    ],
)
def test_what_means_nothing(request_: Stanza, result: Any, complaint: str) -> None:
    with pytest.raises(TypeError, match=f"the action returned {complaint}"):
        answers(request_, result)


def test_refusals() -> None:
    (error,) = refusal(GET, ItemNotFound("no tweet 7"))
    assert (error.type, error.id) == ("error", "i")
    assert isinstance(error.failure, ItemNotFound)


ROOM = f"<x xmlns='{ns.MUC_USER}'/>"


@pytest.mark.parametrize(
    ("wire", "answered"),
    [
        ("<iq type='get' id='1'><q xmlns='u'/></iq>", True),
        ("<iq type='set' id='1'><q xmlns='u'/></iq>", True),
        (f"<iq type='set' id='1'>{ROOM}</iq>", True),
        ("<iq type='SET' id='1'><q xmlns='u'/></iq>", True),
        ("<iq id='1'/>", True),
        ("<iq type='result' id='1'/>", False),
        ("<iq type='error' id='1'/>", False),
        ("<message/>", True),
        ("<message type='normal'/>", True),
        ("<message type='chat'><body>hi</body></message>", True),
        ("<message type='bogus'><body>hi</body></message>", True),
        ("<message type='groupchat'><body>hi</body></message>", False),
        ("<message type='headline'/>", False),
        ("<message type='error'/>", False),
        (f"<message type='chat'><body>psst</body>{ROOM}</message>", False),
        (f"<message>{ROOM.replace('/>', '><invite/></x>')}</message>", False),
        ("<message><x xmlns='http&#x3a;//jabber.org/protocol/muc#user'/></message>", False),
        (f"<message type='chat'><body>{ns.MUC_USER}</body></message>", True),
        (f"<message type='chat'><wrapped xmlns='u'>{ROOM}</wrapped></message>", True),
        ("<presence/>", False),
        ("<presence type='subscribe'/>", False),
        ("<presence type='error'/>", False),
    ],
)
def test_who_gets_errors(wire: str, answered: bool) -> None:
    stanza = Stanza.parse(wire.encode())
    stanza.from_ = "bar@localhost/x"
    for each in (stanza, Stanza.parse(stanza.to_bytes())):  # with a tree, and as it came
        errors = refusal(each, ItemNotFound("no tweet 7"))
        assert [(error.kind, error.type, error.to_text) for error in errors] == (
            [(stanza.kind, "error", "bar@localhost/x")] if answered else []
        )


def test_errors_are_never_answered() -> None:
    bounced = Message("foo@localhost", "hi", type="error", from_="bar@localhost/x")
    for result in ("text", Tweet(), [Tweet()], None):
        assert list(answers(bounced, result)) == []
    aside = Message("someone@localhost", "hi")
    assert list(answers(bounced, aside)) == [aside]


def test_an_answer_to_somebody_else_is_no_answer() -> None:
    other = Iq("result", to="eve@localhost/x", id="i")
    first, second = answers(GET, other)
    assert first is other
    assert (second.to_text, second.id) == ("bar@localhost/x", "i")
