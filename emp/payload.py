"""Payload classes: what an element says, as the fields of an object.

    @payload("{urn:example:tweeter}tweet")
    class Tweet(Payload):
        id: int                                   an attribute
        author: JID = child()                     the text of <author/>
        text: str = text()                        the element's own text
        tags: list[str] = children("tag")         the texts of all <tag/>

The class becomes a dataclass. `Tweet.from_xml(element)` reads it, `tweet.to_xml()` builds it, an
action's parameter `tweet: Tweet` gets it, and an action may return it.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, NoReturn, TypeVar, dataclass_transform

from lxml import etree

from emp.convert import POSSIBLE, Converter, UnknownAnnotation
from emp.errors import BadRequest, ConfigError
from emp.lexical import Unfit
from emp.records import Kind, Spot, fields_of, has_default, read, write, xml_name
from emp.xml import Element

_T = TypeVar("_T")
_P = TypeVar("_P", bound="Payload")

_PLACE: Final = "emp.payload"  # in the metadata of a field
_MISSING: Final[Any] = dataclasses.MISSING


class Payload:
    """A base that tells type checkers what @payload adds. It does nothing else."""

    __slots__ = ()

    __xml_tag__: ClassVar[str] = ""  # until the class is decorated
    __xml_spots__: ClassVar[tuple[Spot, ...]] = ()

    @classmethod
    def from_xml(cls: type[_P], element: Element) -> _P:
        """The object that the element describes.

        BadRequest, which names the field, if it is another element or something in it is missing or
        not what it should be. Attributes and elements that no field asks for are ignored.
        """
        if element.tag != cls.__xml_tag__:
            raise BadRequest(f"{_tagged(cls.__xml_tag__)} is expected, not {_tagged(element.tag)}")
        try:
            found: _P = read(cls, cls.__xml_spots__, element)
            return found
        except Unfit as error:
            raise BadRequest(str(error)) from None

    def to_xml(self) -> Element:
        """The element. What is None is left out. LocalProtocolError for what XML cannot hold."""
        return write(self, self.__xml_spots__, self.__xml_tag__)


# -- fields ---------------------------------------------------------------------------------------


def attribute(
    name: str | None = None, *, default: Any = _MISSING, default_factory: Any = _MISSING
) -> Any:
    """A field in an attribute. name: in XML, if not the field's; a Clark name for one with a
    namespace. This is also what a field without descriptor is."""
    return _field("attribute", name, default, default_factory)


def child(
    name: str | None = None, *, default: Any = _MISSING, default_factory: Any = _MISSING
) -> Any:
    """A field in a child element: its text, or the element, or an object of a nested class.

    name: in XML, if not the field's; a Clark name for one in another namespace than the parent's.
    """
    return _field("child", name, default, default_factory)


def children(
    name: str | None = None, *, default: Any = _MISSING, default_factory: Any = _MISSING
) -> Any:
    """A field list[X] in all child elements of that name, as child(). Without any it is empty.

    default_factory=list makes it optional where objects are made in Python, too.
    """
    return _field("children", name, default, default_factory)


def text(*, default: Any = _MISSING, default_factory: Any = _MISSING) -> Any:
    """A field in the element's own text. Where there is none a plain str is "", anything else is
    absent."""
    return _field("text", None, default, default_factory)


def _field(kind: str, name: str | None, default: Any, default_factory: Any) -> Any:
    place = {_PLACE: (kind, name)}
    return dataclasses.field(default=default, default_factory=default_factory, metadata=place)


# -- classes --------------------------------------------------------------------------------------


@dataclass_transform(field_specifiers=(attribute, child, children, text))
def payload(
    tag: str, *, frozen: bool = False, slots: bool = False, kw_only: bool = False
) -> Callable[[type[_T]], type[_T]]:
    """Make the class a dataclass that reads and builds the element `tag` ("{namespace}name").

    frozen, slots, kw_only: as for dataclasses. Raises ConfigError, with the place of the class.
    """
    frame = sys._getframe(1)
    mistakes = _Mistakes(frame.f_code.co_filename, frame.f_lineno)
    names = {**frame.f_globals, **frame.f_locals}  # the class may stand in a function
    if not isinstance(tag, str) or tag[:1] != "{" or not _is_name(tag):
        mistakes.say(f"{tag!r:.80} names no element", 'Write @payload("{namespace}name")')

    def decorate(cls: type[_T]) -> type[_T]:
        made: Any
        if not isinstance(cls, type):
            mistakes.say(f"@payload stands on a {type(cls).__name__}", "Put it above a class")
        try:
            made = dataclasses.dataclass(frozen=frozen, slots=slots, kw_only=kw_only)(cls)
        except (TypeError, ValueError) as error:
            mistakes.say(f"{cls.__qualname__}: {error}")
        made.__xml_tag__ = tag
        made.__xml_spots__ = _spots(made, names, mistakes)
        for method in ("from_xml", "to_xml"):
            if not hasattr(made, method):
                setattr(made, method, vars(Payload)[method])
        result: type[_T] = made
        return result

    return decorate


@dataclasses.dataclass(frozen=True, slots=True)
class _Mistakes:
    """Says what is wrong with a class, and where."""

    file: str
    line: int

    def say(self, message: str, remedy: str | None = None) -> NoReturn:
        raise ConfigError(message, file=self.file, line=self.line, remedy=remedy)


def _spots(cls: Any, local: Mapping[str, Any], mistakes: _Mistakes) -> tuple[Spot, ...]:
    try:
        fields = fields_of(cls, local)
    except UnknownAnnotation as error:
        mistakes.say(str(error), f"A field can be {POSSIBLE}")
    taken: dict[tuple[str, str], str] = {}
    spots = []
    for field, type in fields:
        spot = _spot(field, type)
        if isinstance(spot, str):
            mistakes.say(f"field {field.name!r} of {cls.__qualname__}: {spot}")
        other = taken.setdefault((spot.kind, spot.name), field.name)
        if other != field.name:
            where = f"the {spot.kind} {spot.name}" if spot.name else "the text"
            mistakes.say(f"{cls.__qualname__}: {other!r} and {field.name!r} are both {where}")
        spots.append(spot)
    return tuple(spots)


def _spot(field: dataclasses.Field[Any], type: Converter) -> Spot | str:
    """Where the field stands, or what is wrong with it."""
    nested = type.source in ("element", "stanza")
    kind: Any
    kind, name = field.metadata.get(_PLACE) or ("child" if nested else "attribute", None)
    if type.many != (kind == "children"):
        return "a list stands in children()" if type.many else "children() is for a list[…]"
    if nested and kind in ("attribute", "text"):
        return f"{type.what} is not in {'an attribute' if kind == 'attribute' else 'a text'}"
    own = getattr(type.cls, "__xml_tag__", None)
    if own is not None and name is not None:
        return f"its element has the name that its class gives it, {_tagged(own)}"
    name = own or name or xml_name(field.name)
    if not _is_name(name) or (kind == "attribute" and name.startswith("xmlns")):
        return f"{name!r:.80} is no name in XML"
    place: Kind = "child" if kind == "children" else kind
    return Spot(field.name, place, "" if kind == "text" else name, type, has_default(field))


def _is_name(name: str) -> bool:
    try:
        return bool(etree.QName(name).localname)
    except ValueError:
        return False


def _tagged(tag: str) -> str:
    """An element for people."""
    namespace, _, name = tag.rpartition("}")
    return f"<{name:.80} xmlns='{namespace[1:]:.80}'/>"
