"""Conversions: the table in docs/actions.md is the test, and then what a table cannot hold."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, Optional
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emp.convert import UnknownAnnotation, converter, resolved
from emp.errors import LocalProtocolError
from emp.jid import JID
from emp.lexical import BINARY, LEXICAL, NUMBER, QUOTED, Unfit, text_of
from emp.stanza import Iq, Message, Stanza
from emp.xml import E, Element, parse

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "actions.md"


class Order(enum.Enum):
    NEWEST = "newest"
    BEST = "best"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Shape(enum.Enum):
    DOT = (0, 0)
    LINE = (0, 1)


@dataclasses.dataclass
class Place:
    room: str
    number: int = 0


NAMES: dict[str, Any] = {
    **{cls.__name__: cls for cls in (*LEXICAL, Order, UUID)},
    "Literal": Literal,
    "UTC": UTC,
}


def rows() -> list[tuple[str, list[tuple[str, str]], list[str]]]:
    """The table of conversions: (annotation, [(text, value)], [bad text])."""
    section = GUIDE.read_text().partition("## Conversions")[2].partition("\n## ")[0]
    found = []
    for line in section.splitlines():
        if line.startswith("| `"):
            annotation, good, bad = re.split(r"(?<!\\)\|", line)[1:4]
            pairs = re.findall(r"`([^`]*)` → `([^`]*)`", good)
            assert pairs
            found.append(
                (annotation.strip(" `").replace("\\", ""), pairs, re.findall("`(.*?)`", bad))
            )
    return found


GOOD = [(annotation, text, value) for annotation, pairs, _ in rows() for text, value in pairs]
BAD = [(annotation, text) for annotation, _, texts in rows() for text in texts]


def test_the_table_is_all_there() -> None:
    assert {annotation for annotation, _, _ in GOOD} >= {cls.__name__ for cls in LEXICAL}
    assert len(GOOD) > 25
    assert len(BAD) > 50


@pytest.mark.parametrize(("annotation", "text", "value"), GOOD)
def test_good(annotation: str, text: str, value: str) -> None:
    convert = converter(eval(annotation, NAMES)).convert
    expected = eval(value, NAMES)
    for given_value in (text, E.a(text)):
        found = convert(given_value)
        assert found == expected
        assert type(found) is type(expected)


@pytest.mark.parametrize(("annotation", "text"), BAD)
def test_bad(annotation: str, text: str) -> None:
    found = converter(eval(annotation, NAMES))
    for given_value in (text, E.a(text)):
        with pytest.raises(Unfit, match=re.escape(f"{text!r} is not ")):
            found.convert(given_value)


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "9" * 1_000_000),
        (int, "-" * 1_000_000),
        (int, "0" * (NUMBER + 1)),
        (float, "1" * 1_000_000),
        (float, "1." + "1" * NUMBER),
        (Decimal, "9" * 1_000_000),
        (bytes, "A" * (BINARY * 4 // 3 + 8)),
        (datetime, "1969-07-21T02:56:15." + "9" * 100_000 + "Z"),
        (date, "1" * 100_000),
        (time, "16:00:00." + "1" * 100_000),
        (JID, "a" * 100_000 + "@b"),
        (UUID, "a" * 100_000),
        (bool, "true" * 100_000),
        (Order, "newest" * 100_000),
        (int, "\u20037"),  # an em space
        (int, "7\u0000"),
        (int, "7\n8"),
        (bool, "\u00a0true"),
    ],
)
def test_huge_and_hostile(annotation: Any, text: str) -> None:
    with pytest.raises(Unfit) as caught:
        converter(annotation).convert(text)
    assert len(str(caught.value)) < 4 * QUOTED + 100
    assert "\n" not in str(caught.value)
    assert "\0" not in str(caught.value)


def test_the_longest_that_passes() -> None:
    assert converter(int).convert("9" * NUMBER) == int("9" * NUMBER)
    data = bytes(BINARY)
    assert converter(bytes).convert(text_of(data)) == data


VALUES: dict[type, st.SearchStrategy[Any]] = {
    str: st.text(),
    int: st.integers(-(10**50), 10**50),
    float: st.floats(allow_nan=False, allow_infinity=False),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False, places=3),
    bool: st.booleans(),
    datetime: st.datetimes(timezones=st.just(UTC)),
    date: st.dates(),
    time: st.times(timezones=st.none() | st.just(timezone(timedelta(hours=-5, minutes=-30)))),
    UUID: st.uuids(),
    bytes: st.binary(),
    JID: st.builds(JID, st.from_regex("[a-z]{1,9}", fullmatch=True), st.just("localhost")),
}


@given(st.data())
def test_what_is_written_is_read(data: st.DataObject) -> None:
    assert VALUES.keys() == LEXICAL.keys()
    cls = data.draw(st.sampled_from([*VALUES, Order, Level, Shape]))
    value = data.draw(VALUES[cls] if cls in VALUES else st.sampled_from(list(cls)))
    assert converter(cls).convert(text_of(value)) == value


@given(st.sampled_from([*LEXICAL, Order, Level, list[int]]), st.text(max_size=40))
def test_any_text_converts_or_is_unfit(annotation: Any, text: str) -> None:
    with contextlib.suppress(Unfit):
        converter(annotation).convert(text)


@pytest.mark.parametrize(
    "value",
    [object(), float("nan"), float("inf"), Decimal("NaN"), datetime(1969, 7, 21), [1], None],
)
def test_what_has_no_text(value: Any) -> None:
    with pytest.raises(LocalProtocolError, match="has no text in XML"):
        text_of(value)


def test_a_decimal_that_would_be_endless() -> None:
    with pytest.raises(LocalProtocolError, match="not be read again"):
        text_of(Decimal("1E+999999"))


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (int, 7, 7),  # what count() captures
        (float, 7, 7.0),
        (str, 7, "7"),
        (str, True, "true"),
        (bool, True, True),
        (bool, 1, True),
        (Level, 2, Level.HIGH),
        (Level, "HIGH", Level.HIGH),
        (Shape, "DOT", Shape.DOT),
        (Any, 7, 7),
        (object, "x", "x"),
        (Annotated[int, "doc"], "7", 7),
        (NewType("Id", int), "7", 7),
        (Optional[int], "7", 7),  # noqa: UP045
        (Literal[1, "x", None], "1", 1),
        (list[int], ["1", "2"], [1, 2]),
        (list[Any], "x", ["x"]),
        (list[int] | None, "1", [1]),
    ],
)
def test_captured_values(annotation: Any, value: Any, expected: Any) -> None:
    found = converter(annotation).convert(value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (int, True, "'true' is not an integer"),
        (int, 1.5, "'1.5' is not an integer"),
        (int, ["1", "2"], "there are 2 of it, and one is expected"),
        (Element, ["1", "2"], "there are 2 of it"),
        (Element, "x", "it is a text, and an element is expected"),
        (Place, "x", "it is a text"),
        (list[int], ["1", "x"], "number 2: 'x' is not an integer"),
        (Order, "x", "'x' is not one of 'newest', 'best'"),
        (Message, E.x(xmlns="urn:x"), "not a stanza"),
        (Message, Iq("get", E.x(xmlns="urn:x")), "it is a <iq/>, and a message is expected"),
        (Place, E.x(xmlns="urn:x"), "field 'room': it is missing, and a text is expected"),
        (Place, E.x(room="a", number="b"), "field 'number': 'b' is not an integer"),
    ],
)
def test_unfit_values(annotation: Any, value: Any, message: str) -> None:
    with pytest.raises(Unfit, match=re.escape(message)):
        converter(annotation).convert(value)


def test_the_own_text_of_an_element() -> None:
    element = parse("<a xmlns='urn:x'>1<b>2</b>3<c/></a>")
    assert converter(str).convert(element) == "13"
    assert converter(Element).convert(element) is element


def test_a_stanza_in_an_element_is_a_copy() -> None:
    outer = parse("<f xmlns='urn:x'><message xmlns='jabber:client'><body>hi</body></message></f>")
    found = converter(Message).convert(outer[0])
    assert found.body == "hi"
    assert len(outer) == 1
    assert converter(Stanza).convert(found) is found


def test_absent() -> None:
    assert converter(int | None).absent() is None
    assert converter(Any).absent() is None
    assert converter(list[int]).absent() == []
    with pytest.raises(Unfit, match="it is missing, and an integer is expected"):
        converter(int).absent()


# -- dataclasses ----------------------------------------------------------------------------------


@dataclasses.dataclass
class Author:
    jid: JID
    name: str = "nobody"


@dataclasses.dataclass
class Letter:
    id: int
    class_: str
    author: Author
    place: Place | None
    pages: list[int]
    raw: Element | None = None
    day: date = date(2000, 1, 1)
    made: str = dataclasses.field(default="here", init=False)


@dataclasses.dataclass
class Particular:
    age: int

    def __post_init__(self) -> None:
        if self.age < 0:
            raise ValueError("nobody is that young")


@dataclasses.dataclass
class Endless:
    more: Endless | None


LETTER = """<letter xmlns='urn:x' id='7' xmlns:y='urn:y' y:id='8' author='evil'>
  <class>first</class><author jid='a@b'><name>Al</name></author>
  <place xmlns='urn:y' room='no'/><page>0</page><pages>1</pages><pages> 2 </pages>
  <raw><x/></raw></letter>"""


def test_a_dataclass() -> None:
    letter = converter(Letter).convert(parse(LETTER))
    assert (letter.id, letter.class_, letter.pages) == (7, "first", [1, 2])
    assert letter.author == Author(JID.parse("a@b"), "Al")
    assert letter.place is None  # that in another namespace is none of ours
    assert letter.day == date(2000, 1, 1)
    assert letter.raw[0].tag == "{urn:x}x"


def test_a_dataclass_says_where_it_is_wrong() -> None:
    text = LETTER.replace("a@b", "@")
    with pytest.raises(Unfit, match=r"^field 'author': field 'jid': '@' is not a JID$"):
        converter(Letter).convert(parse(text))
    with pytest.raises(Unfit, match="nobody is that young"):
        converter(Particular).convert(E.x(age="-1"))


# -- what cannot be converted ---------------------------------------------------------------------


@dataclasses.dataclass
class Odd:
    inner: complex


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (complex, "nothing in XML becomes complex"),
        (dict[str, int], r"nothing in XML becomes dict\[str, int\]"),
        (list, "nothing in XML becomes list"),
        (timedelta, "nothing in XML becomes datetime.timedelta|timedelta"),
        (int | str, "there is no telling int or str in XML"),
        (list[list[int]], "a list in XML cannot have"),
        (list[int | None], "a list in XML cannot have"),
        (Odd, "field 'inner' of Odd: nothing in XML becomes complex"),
        (Endless, "Endless holds itself"),
        (7, "nothing in XML becomes 7"),
        ("int", "nothing in XML becomes 'int'"),
    ],
)
def test_unknown_annotations(annotation: Any, message: str) -> None:
    with pytest.raises(UnknownAnnotation, match=message):
        converter(annotation)


def test_annotations_as_text() -> None:
    assert resolved("Order | None", {"Order": Order}, {}) == (Order | None)
    assert resolved(int, {}, {}) is int
    for text in ("Nowhere", "1 +", "1 / 0"):
        with pytest.raises(UnknownAnnotation, match="cannot be resolved"):
            resolved(text, {}, {})
