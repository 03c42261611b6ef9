"""Actions whose annotation says that they return no answer are mistakes."""

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypedDict
from uuid import UUID

import pytest
from lxml import etree

from emp.errors import RouteError
from emp.jid import JID
from emp.results import check_result
from emp.stanza import Iq, Message, Stanza


@dataclasses.dataclass
class Bare:
    x: int


@dataclasses.dataclass
class Rendered:
    x: int

    def to_xml(self) -> etree._Element:
        return etree.Element("x")


class Typed(TypedDict):
    x: int


def action(annotation: Any) -> Callable[..., Any]:
    def act(self: object) -> None: ...

    act.__annotations__["return"] = annotation
    return act


@pytest.mark.parametrize(
    "annotation",
    [
        dict, dict[str, Any], Mapping[str, int], int, float, bool, bytes, set, set[str], frozenset,
        dict | None, str | int, list[int], list[str], list[dict[str, int]], tuple[bytes, ...],
        Awaitable[dict[str, int]], Iterator[int], AsyncIterator[dict[str, int]], Bare, Typed,
        ValueError, Literal[1], JID, UUID, Decimal, datetime, list[JID],
        "dict[str, int]", "int | None",
    ],
)  # fmt: skip
def test_what_is_no_answer_is_told_with_its_place(annotation: Any) -> None:
    with pytest.raises(RouteError, match="annotated to return") as caught:
        check_result(action(annotation), "routes.py:7")
    assert (caught.value.file, caught.value.line) == ("routes.py", 7)
    assert caught.value.remedy


def test_a_list_of_texts_is_told_as_such() -> None:
    with pytest.raises(RouteError, match="annotated to return a list of str, which"):
        check_result(action(list[str]), "routes.py:7")


@pytest.mark.parametrize(
    "annotation",
    [
        None, str, str | None, Message, Iq, Stanza, etree._Element, list[Stanza], list, object, Any,
        list[etree._Element], tuple[Stanza, ...], Iterator[str], AsyncIterator[str | None],
        Awaitable[str], Rendered, list[Rendered], Literal["a"], "nowhere.Unknown",
    ],
)  # fmt: skip
def test_what_may_be_an_answer_passes(annotation: Any) -> None:
    check_result(action(annotation), "routes.py:7")


def test_without_annotation_nothing_is_certain() -> None:
    check_result(lambda self: {}, "routes.py:7")
