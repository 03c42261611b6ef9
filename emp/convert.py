"""From a type annotation to the function that makes such a value of what stands in XML.

What comes in is what captures, attributes and children give: a text, a number or boolean of XPath,
an element, a list of these where there are several, None where there is none. Everything that an
annotation says is worked out once, at start-up.
"""

from __future__ import annotations

import builtins
import dataclasses
import sys
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, Literal, NoReturn, TypeAlias

from lxml import etree

from emp.errors import LocalProtocolError, StanzaError
from emp.lexical import LEXICAL, Lexical, Unfit, choices, enumeration, quoted, text_of
from emp.names import twin
from emp.stanza import Iq, Message, Presence, Stanza
from emp.view import of_element

Source: TypeAlias = Literal["any", "text", "element", "stanza"]

POSSIBLE: Final = (
    "str, int, float, bool, datetime, date, time, JID, bytes, Decimal, UUID, an Enum, Literal, "
    "Element, a stanza class, a @payload class, a dataclass, Any, list[…] of them, or … | None"
)
"""What an annotation may be, for messages."""

_STANZAS: Final = {Stanza: "a stanza", Message: "a message", Presence: "a presence", Iq: "an iq"}


class UnknownAnnotation(TypeError):
    """An annotation that says nothing about XML; str() says what is wrong with it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Converter:
    """How to make the value that an annotation promises.

    convert: raises Unfit; it is never given None. what: is expected, for messages. source: what it
    can be made of. optional: None is as good; many: it is a list, which may be empty. cls: the
    class behind the annotation, where it is one.
    """

    convert: Callable[[Any], Any]
    what: str
    source: Source
    optional: bool = False
    many: bool = False
    cls: type | None = None

    @property
    def as_is(self) -> bool:
        """True if every value will do."""
        return self.source == "any" and not self.many

    @property
    def may_be_none(self) -> bool:
        """True if absent() is None."""
        return self.optional and not self.many

    def absent(self) -> Any:
        """The value where there is none. Raises Unfit if there must be one."""
        if self.many:
            return []
        if self.optional:
            return None
        raise Unfit(f"it is missing, and {self.what} is expected")


def converter(annotation: Any) -> Converter:
    """The converter for an annotation, which is no text any more (see `resolved`).

    Raises UnknownAnnotation.
    """
    if annotation is Any or annotation is object:
        return Converter(_same, "a value", "any", optional=True)
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return _union(typing.get_args(annotation))
    if origin is typing.Annotated:
        return converter(typing.get_args(annotation)[0])
    if isinstance(annotation, typing.NewType):
        return converter(annotation.__supertype__)
    if origin is Literal:
        return _literal(typing.get_args(annotation))
    if origin is list:
        return _several(*typing.get_args(annotation))
    if isinstance(annotation, type) and origin is None:
        return _of_class(annotation)
    raise UnknownAnnotation(f"nothing in XML becomes {_shown(annotation)}")


def resolved(annotation: Any, names: Mapping[str, Any], local: Mapping[str, Any]) -> Any:
    """The annotation, evaluated if it is written as a text. Raises UnknownAnnotation.

    names, local: what the user's module and class have.
    """
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        found = typing.get_type_hints(
            holder, {**vars(builtins), **names}, dict(local), include_extras=True
        )
    except Exception as error:  # noqa: BLE001 - a text in an annotation may do anything
        raise UnknownAnnotation(
            f"the annotation {_shown(annotation)} cannot be resolved: {error}"
        ) from None
    return found["it"]


def _shown(annotation: Any) -> str:
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        return annotation.__qualname__
    return f"{annotation!r:.80}"


def _same(value: Any) -> Any:
    return value


# -- texts ----------------------------------------------------------------------------------------


def text_in(element: etree._Element) -> str:
    """The element's own text, without that of elements in it."""
    if not len(element):
        return element.text or ""
    return (element.text or "") + "".join([child.tail or "" for child in element])


def as_text(value: Any) -> str:
    """The text that a captured value is. Raises Unfit for several."""
    if type(value) is str:
        return value
    if isinstance(value, etree._Element):
        return text_in(value)
    if isinstance(value, list):
        _too_many(value)
    try:
        return text_of(value)
    except LocalProtocolError as error:
        raise Unfit(str(error)) from None


def _too_many(values: list[Any]) -> NoReturn:
    raise Unfit(f"there are {len(values)} of it, and one is expected")


def _lexical(form: Lexical, cls: type | None = None) -> Converter:
    read, what = form

    def convert(value: Any) -> Any:
        text = as_text(value)
        try:
            return read(text)
        except ValueError:
            raise Unfit(f"{quoted(text)} is not {what}") from None

    return Converter(as_text if read is str else convert, what, "text", cls=cls)


def _literal(values: tuple[Any, ...]) -> Converter:
    texts = {text_of(value): value for value in values if value is not None}
    found = _lexical(choices(texts))
    return dataclasses.replace(found, optional=None in values)


# -- classes --------------------------------------------------------------------------------------


def _of_class(cls: type) -> Converter:
    if cls in LEXICAL:
        return _lexical(LEXICAL[cls], cls)
    if issubclass(cls, Enum):
        return _lexical(enumeration(cls), cls)
    if cls is etree._Element:
        return Converter(_element, "an element", "element", cls=cls)
    if issubclass(cls, Stanza):
        return Converter(_stanza(cls), _STANZAS[cls], "stanza", cls=cls)
    if getattr(cls, "__xml_tag__", None) == "":
        raise UnknownAnnotation(f'{_shown(cls)} lacks its @payload("{{namespace}}name")')
    if callable(getattr(cls, "from_xml", None)):
        return Converter(_from_xml(cls), f"an element that is a {cls.__name__}", "element", cls=cls)
    if dataclasses.is_dataclass(cls):
        from emp.records import record  # here, because its fields need converters

        return Converter(record(cls), f"an element with a {cls.__name__}", "element", cls=cls)
    raise UnknownAnnotation(f"nothing in XML becomes {_shown(cls)}")


def _element(value: Any) -> etree._Element:
    if isinstance(value, etree._Element):
        return value
    if isinstance(value, list):
        _too_many(value)
    raise Unfit("it is a text, and an element is expected")


def _stanza(cls: type[Stanza]) -> Callable[[Any], Stanza]:
    what = _STANZAS[cls]

    def convert(value: Any) -> Stanza:
        if not isinstance(value, Stanza):
            try:
                value = of_element(twin(_element(value)))
            except LocalProtocolError as error:
                raise Unfit(str(error)) from None
        if not isinstance(value, cls):
            raise Unfit(f"it is a <{value.kind}/>, and {what} is expected")
        return value

    return convert


def _from_xml(cls: Any) -> Callable[[Any], Any]:
    from_xml = cls.from_xml

    def convert(value: Any) -> Any:
        try:
            return from_xml(_element(value))
        except StanzaError as error:
            raise Unfit(error.text) from None
        except ValueError as error:
            raise Unfit(str(error)) from None

    return convert


# -- several --------------------------------------------------------------------------------------


def _union(members: tuple[Any, ...]) -> Converter:
    others = [member for member in members if member is not type(None)]
    if len(others) != 1:
        names = " or ".join(map(_shown, others))
        raise UnknownAnnotation(
            f"there is no telling {names} in XML: one of them and None, at most"
        )
    return dataclasses.replace(converter(others[0]), optional=True)


def _several(item: Any) -> Converter:
    each = converter(item)
    if each.many or (each.optional and not each.as_is):
        raise UnknownAnnotation(f"a list in XML cannot have {_shown(item)} in it")
    convert = each.convert

    def convert_all(value: Any) -> list[Any]:
        if not isinstance(value, list):
            return [convert(value)]
        found = []
        for number, one in enumerate(value, 1):
            try:
                found.append(convert(one))
            except Unfit as error:
                raise Unfit(f"number {number}: {error}") from None
        return found

    return Converter(convert_all, f"a list, each {each.what}", each.source, many=True, cls=each.cls)


def module_names(cls: type) -> dict[str, Any]:
    """What the module of the class has."""
    module = sys.modules.get(cls.__module__)
    return vars(module) if module else {}
