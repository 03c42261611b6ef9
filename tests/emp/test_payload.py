"""Payload classes: declared, read, built."""

from __future__ import annotations

import dataclasses
import enum
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emp import ns
from emp.answer import answers
from emp.errors import BadRequest, ConfigError, LocalProtocolError
from emp.jid import JID
from emp.payload import Payload, attribute, child, children, payload, text
from emp.stanza import Iq
from emp.xep.forms import Form, submission
from emp.xml import E, Element, parse, serialize
from tests.emp.strategies import texts

LANG = f"{{{ns.XML}}}lang"


class Level(enum.Enum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass(frozen=True)
class Place:
    room: str
    seats: tuple[()] = dataclasses.field(default=(), init=False)
    notes: list[str] = dataclasses.field(default_factory=list)


@payload("{urn:x}person", frozen=True, slots=True)
class Person(Payload):
    jid: JID
    name: str = text()


@payload("{urn:x}guest")
class Guest(Payload):
    name: str


@payload("{urn:x}thing", kw_only=True)
class Thing(Payload):
    KNOWN: ClassVar[int] = 1
    id: int
    class_: str | None = None
    lang: str | None = attribute(LANG, default=None)
    words: str = text(default="nothing")
    sent: datetime | None = child(default=None)
    far: str | None = child("{urn:y}far", default=None)
    owner: Person
    place: Place | None = child("at", default=None)
    tags: list[str] = children("tag")
    levels: list[Level] = children("level", default_factory=list)
    guests: list[Guest] = children(default_factory=list)
    raw: Element | None = child(default=None)
    form: Form | None = None
    flag: bool = attribute(default=False)


XML = """<thing xmlns='urn:x' id='7' class='c' xml:lang='de' flag='true' unknown='x'>
<person jid='a@b'>Al</person><sent>1969-07-21T02:56:15Z</sent><far xmlns='urn:y'>away</far>
<far>near</far><at room='12'><notes>n</notes></at><tag>1</tag><tag/>
<level>2</level><level>LOW</level>
<person xmlns='urn:other' jid='no'/></thing>"""


def test_reading() -> None:
    thing = Thing.from_xml(parse(XML))
    assert thing.id == 7
    assert (thing.class_, thing.lang, thing.flag, thing.far) == ("c", "de", True, "away")
    assert thing.sent == datetime(1969, 7, 21, 2, 56, 15, tzinfo=UTC)
    assert thing.owner == Person(JID.parse("a@b"), "Al")
    assert thing.place == Place("12", ["n"])
    assert thing.tags == ["1", ""]
    assert thing.levels == [Level.HIGH, Level.LOW]
    assert thing.guests == []
    assert thing.raw is thing.form is None


def test_building() -> None:
    thing = Thing(id=7, owner=Person(JID.parse("a@b"), ""), tags=[], form=submission({"a": True}))
    thing.raw = E.raw(E.deep(), xmlns="urn:x")
    thing.place = Place("1", ["x", "y"])
    assert serialize(thing.to_xml()) == (
        '<thing xmlns="urn:x" id="7" flag="false">nothing'
        '<person jid="a@b"/><at room="1"><notes>x</notes><notes>y</notes></at><raw><deep/></raw>'
        '<x xmlns="jabber:x:data" type="submit">'
        '<field var="a"><value>true</value></field></x></thing>'
    )


people = st.builds(Person, st.sampled_from(["a@b", "c"]).map(JID.parse), texts)
things = st.builds(
    Thing,
    id=st.integers(-(10**30), 10**30),
    class_=st.none() | texts,
    lang=st.none() | texts,
    words=texts.filter(bool),
    sent=st.none() | st.datetimes(timezones=st.just(UTC)),
    far=st.none() | texts,
    owner=people,
    place=st.none() | st.builds(Place, texts, st.lists(texts)),
    tags=st.lists(texts),
    levels=st.lists(st.sampled_from(Level)),
    guests=st.lists(st.builds(Guest, texts), max_size=3),
    form=st.none() | st.just(submission({"a": ["1", "2"]}, "urn:x")),
    flag=st.booleans(),
)


@given(things)
def test_what_is_built_is_read(thing: Thing) -> None:
    assert Thing.from_xml(parse(serialize(thing.to_xml()))) == thing


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("id='7'", "", "field 'id': it is missing, and an integer is expected"),
        ("id='7'", "id='x7'", "field 'id': 'x7' is not an integer"),
        ("jid='a@b'", "", "field 'owner': field 'jid': it is missing, and a JID is expected"),
        ("<level>2", "<level>3", "field 'levels': number 1: '3' is not one of '1', '2'"),
        ("<sent>", "<sent/><sent>", "field 'sent': there are 2 of it, and one is expected"),
        ("room='12'", "", "field 'place': field 'room': it is missing, and a text is expected"),
        ("thing", "thong", "<thing xmlns='urn:x'/> is expected, not <thong xmlns='urn:x'/>"),
        ("urn:x", "urn:z", "<thing xmlns='urn:x'/> is expected, not <thing xmlns='urn:z'/>"),
    ],
)
def test_what_is_not_right(old: str, new: str, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        Thing.from_xml(parse(XML.replace(old, new)))
    assert caught.value.text == message


def test_a_huge_value_is_not_repeated() -> None:
    with pytest.raises(BadRequest) as caught:
        Thing.from_xml(parse(XML.replace("'7'", f"'{'x' * 100_000}'")))
    assert len(caught.value.text) < 200


def test_an_element_without_text() -> None:
    @payload("{urn:x}t")
    class Plain(Payload):
        words: str = text()

    @payload("{urn:x}t")
    class Maybe(Payload):
        words: str | None = text()

    @payload("{urn:x}t")
    class Number(Payload):
        number: int = text(default=3)

    empty = parse("<t xmlns='urn:x'/>")
    assert Plain.from_xml(empty).words == ""
    assert Maybe.from_xml(empty).words is None
    assert Number.from_xml(empty).number == 3
    assert Number.from_xml(parse("<t xmlns='urn:x'> 4 </t>")).number == 4


def test_what_the_class_itself_objects_to() -> None:
    @payload("{urn:x}t")
    class Even:
        n: int

        def __post_init__(self) -> None:
            if self.n % 2:
                raise ValueError("it is odd")

    even: Any = Even
    assert even.from_xml(parse("<t xmlns='urn:x' n='2'/>")).n == 2
    with pytest.raises(BadRequest, match="it is odd"):
        even.from_xml(parse("<t xmlns='urn:x' n='3'/>"))


def test_a_class_may_build_itself() -> None:
    @payload("{urn:x}t")
    class Own:
        n: int

        def to_xml(self) -> Element:
            return E.own(xmlns="urn:x")

    assert Own(1).to_xml().tag == "{urn:x}own"


def test_inheritance() -> None:
    @payload("{urn:x}base")
    class Base(Payload):
        id: int

    @payload("{urn:x}derived")
    class Derived(Base):
        more: str = child()

    found = Derived.from_xml(Derived(1, "m").to_xml())
    assert (found.id, found.more) == (1, "m")
    assert Base(1).to_xml().tag == "{urn:x}base"


def test_frozen_and_slots() -> None:
    person = Person(JID.parse("a@b"), "Al")
    assert hash(person) == hash(Person(JID.parse("a@b"), "Al"))
    assert not hasattr(person, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        person.name = "B"  # type: ignore[misc]


def test_it_is_an_answer() -> None:
    request = Iq("get", E.q(xmlns="urn:x"), from_="a@b")
    (answer,) = answers(request, Person(JID.parse("a@b"), "Al"))
    assert answer.payload is not None
    assert answer.payload.tag == "{urn:x}person"


@pytest.mark.parametrize("value", ["\0", "\ud800"])
def test_what_xml_cannot_hold(value: str) -> None:
    with pytest.raises(LocalProtocolError):
        Person(JID.parse("a@b"), value).to_xml()


# -- mistakes in declarations ---------------------------------------------------------------------


def two_texts() -> None:
    @payload("{urn:x}t")
    class Wrong:
        a: str = text()
        b: str = text()


def same_attribute() -> None:
    @payload("{urn:x}t")
    class Wrong:
        a: str = attribute("b")
        b: str


def same_child() -> None:
    @payload("{urn:x}t")
    class Wrong:
        a: Person
        b: Person


def bare_list() -> None:
    @payload("{urn:x}t")
    class Wrong:
        a: list[str]


def children_of_one() -> None:
    @payload("{urn:x}t")
    class Wrong:
        a: str = children()


def unknown() -> None:
    @payload("{urn:x}t")
    class Wrong:
        a: complex


def unresolved() -> None:
    @payload("{urn:x}t")
    class Wrong:
        a: Nowhere  # type: ignore[name-defined] # noqa: F821


def element_in_attribute() -> None:
    @payload("{urn:x}t")
    class Wrong:
        a: Person = attribute()


def element_in_text() -> None:
    @payload("{urn:x}t")
    class Wrong:
        a: Element = text()


def renamed_payload() -> None:
    @payload("{urn:x}t")
    class Wrong:
        a: Person = child("somebody")


def bad_name() -> None:
    @payload("{urn:x}t")
    class Wrong:
        a: str = child("a b")


def order_of_defaults() -> None:
    @payload("{urn:x}t")
    class Wrong:
        a: str = attribute(default="")
        b: str


def no_namespace() -> None:
    @payload("t")
    class Wrong:
        a: str


def bad_tag() -> None:
    @payload("{urn:x}a b")
    class Wrong:
        a: str


class Undecorated(Payload):
    a: str


def undecorated() -> None:
    @payload("{urn:x}t")
    class Wrong:
        a: Undecorated


def holds_itself() -> None:
    @payload("{urn:x}t")
    class Wrong:
        a: Wrong | None


def declares_a_namespace() -> None:
    @payload("{urn:x}t")
    class Wrong:
        a: str = attribute("xmlns")


def on_a_function() -> None:
    @payload("{urn:x}t")
    def wrong() -> None: ...


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (two_texts, "Wrong: 'a' and 'b' are both the text"),
        (same_attribute, "'a' and 'b' are both the attribute b"),
        (same_child, "'a' and 'b' are both the child {urn:x}person"),
        (bare_list, "a list stands in children()"),
        (children_of_one, "children() is for a list[…]"),
        (unknown, "field 'a' of unknown.<locals>.Wrong: nothing in XML becomes complex"),
        (unresolved, "the annotation 'Nowhere' cannot be resolved"),
        (element_in_attribute, "an element that is a Person is not in an attribute"),
        (element_in_text, "an element is not in a text"),
        (renamed_payload, "the name that its class gives it, <person xmlns='urn:x'/>"),
        (bad_name, "'a b' is no name in XML"),
        (declares_a_namespace, "'xmlns' is no name in XML"),
        (on_a_function, "@payload stands on a function"),
        (order_of_defaults, "non-default argument 'b' follows default argument"),
        (no_namespace, "'t' names no element. Write @payload(\"{namespace}name\")"),
        (bad_tag, "'{urn:x}a b' names no element"),
        (undecorated, "Undecorated lacks its @payload("),
        (holds_itself, "the annotation 'Wrong | None' cannot be resolved"),
    ],
)
def test_mistakes(declare: Callable[[], None], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        declare()
    assert message in str(caught.value)
    assert caught.value.file == __file__
    line = Path(__file__).read_text().splitlines()[caught.value.line - 1]  # type: ignore[operator]
    assert re.match(r" +@payload\(", line)


USER = """
from __future__ import annotations
from emp.payload import Payload, attribute, child, children, payload, text

@payload("{urn:x}t", frozen=True)
class T(Payload):
    id: int
    name: str = attribute(default="")
    words: list[str] = children("word", default_factory=list)

t: T = T.from_xml(T(1).to_xml())
reveal_type(t.id)
reveal_type(t.words)
T()
T("x")
t.id = 2
"""


def test_type_checkers_understand(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(USER)
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--cache-dir",
            tmp_path / "c",
            tmp_path / "user.py",
        ],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line.partition("user.py:")[2] for line in run.stdout.splitlines() if "user.py" in line]
    assert [line.split(":")[0] for line in lines] == ["12", "13", "14", "15", "16"], run.stdout
    assert "int" in lines[0]
    assert "list[" in lines[1]
