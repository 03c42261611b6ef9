"""Objects whose fields stand in an element: in its attributes, its children, or its text.

A plain dataclass says nothing about XML, so each field is looked for in the attributes and then in
the children; a @payload class (emp.payload) says where each one is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

from emp.convert import Converter, UnknownAnnotation, converter, module_names, resolved, text_in
from emp.errors import StanzaError
from emp.lexical import Unfit, text_of
from emp.xml import Element, Renderable, build

Kind: TypeAlias = Literal["either", "attribute", "child", "text"]

_unfinished: Final[set[type]] = set()


# -- looking --------------------------------------------------------------------------------------


def value_in(element: Element, name: str) -> Any:
    """What the element holds by that local name, as a capture would give it.

    Its attribute without namespace, else its child (several: a list) in its own namespace, else
    None. Other namespaces are other people's: there the name may mean anything.
    """
    value = element.get(name)
    return children_in(element, name) if value is None else value


def children_in(element: Element, name: str) -> Any:
    """The child of that name, as value_in; a Clark name says which namespace."""
    found = list(element.iterchildren(_tag(element.tag, name)))
    return found if len(found) > 1 else (found[0] if found else None)


def _tag(parent: str, name: str) -> str:
    if name[:1] == "{":
        return name
    namespace, brace, _ = parent.rpartition("}")
    return f"{namespace}{brace}{name}"


def xml_name(name: str) -> str:
    """The name in XML for one in Python: from_ and class_ lose what only Python needs."""
    return name.removesuffix("_")


@dataclasses.dataclass(frozen=True, slots=True)
class Spot:
    """A field and where it stands. name: in XML; has_default: the class makes up what is absent."""

    field: str
    kind: Kind
    name: str
    type: Converter
    has_default: bool

    def find(self, element: Element) -> Any:
        """What stands there, as a capture would give it."""
        if self.kind == "attribute":
            return element.get(self.name)
        if self.kind == "child":
            return children_in(element, self.name)
        if self.kind == "either":
            return value_in(element, self.name)
        # An element without text has the empty one, for who can do with it.
        found = text_in(element)
        plain = self.type.cls is str and not self.type.optional and not self.has_default
        return found if found or plain else None


# -- reading and writing --------------------------------------------------------------------------


def read(cls: Any, spots: Iterable[Spot], element: Element) -> Any:
    """The object that the element describes. Raises Unfit, which names the field."""
    values: dict[str, Any] = {}
    for spot in spots:
        try:
            value = spot.find(element)
            if value is not None:
                values[spot.field] = spot.type.convert(value)
            elif not spot.has_default:
                values[spot.field] = spot.type.absent()
        except Unfit as error:
            raise Unfit(f"field {spot.field!r}: {error}") from None
    try:
        return cls(**values)
    except StanzaError as error:  # __post_init__ may be particular
        raise Unfit(error.text) from None
    except ValueError as error:
        raise Unfit(str(error)) from None


def write(record: Any, spots: Iterable[Spot], tag: str) -> Element:
    """The element that describes the object. LocalProtocolError for what XML cannot hold."""
    attributes: dict[str, str] = {}
    children: list[Element | Renderable] = []
    text = None
    for spot in spots:
        value = getattr(record, spot.field)
        if value is None:
            continue
        if spot.kind == "text":
            text = text_of(value)
        elif spot.kind == "child":
            items = value if spot.type.many else (value,)
            children.extend(_child(item, _tag(tag, spot.name)) for item in items)
        else:
            attributes[spot.name] = text_of(value)
    return build(tag, attributes, text or None, children)


def _child(value: Any, tag: str) -> Element | Renderable:
    if isinstance(value, (Element, Renderable)):
        return value
    if dataclasses.is_dataclass(value):
        return write(value, spots_of(type(value)), tag)
    return build(tag, text_of(value) or None)  # <tag/>, not <tag></tag>


# -- plain dataclasses ----------------------------------------------------------------------------


def record(cls: Any) -> Callable[[Any], Any]:
    """What makes an object of a plain dataclass from an element. Raises UnknownAnnotation."""
    spots = spots_of(cls)
    as_element = converter(Element).convert
    return lambda value: read(cls, spots, as_element(value))


def spots_of(cls: Any) -> tuple[Spot, ...]:
    """Where the fields of a plain dataclass stand. Raises UnknownAnnotation.

    In an attribute, else in the text of a child; a field that is an element, a list, or a dataclass
    itself stands in children.
    """
    if cls in _unfinished:
        raise UnknownAnnotation(f"{cls.__qualname__} holds itself, so there is no end to it")
    _unfinished.add(cls)
    try:
        return tuple(
            Spot(
                field.name,
                "child" if type.many or type.source in ("element", "stanza") else "either",
                getattr(type.cls, "__xml_tag__", xml_name(field.name)),
                type,
                has_default(field),
            )
            for field, type in fields_of(cls, {})
        )
    finally:
        _unfinished.discard(cls)


def has_default(field: dataclasses.Field[Any]) -> bool:
    """True if the class makes up a value where none is given."""
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def fields_of(cls: Any, local: Mapping[str, Any]) -> list[tuple[dataclasses.Field[Any], Converter]]:
    """The fields that the class is made with, and their converters. Raises UnknownAnnotation.

    local: names besides those of its module.
    """
    found = []
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        owners = (
            each for each in cls.__mro__ if field.name in vars(each).get("__annotations__", ())
        )
        try:
            hint = resolved(field.type, module_names(next(owners, cls)), local)
            found.append((field, converter(hint)))
        except UnknownAnnotation as error:
            raise UnknownAnnotation(
                f"field {field.name!r} of {cls.__qualname__}: {error}"
            ) from None
    return found
