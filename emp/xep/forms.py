"""Data forms (XEP-0004), and the names of their fields (XEP-0068)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, TypeAlias, cast, get_args

from emp import ns
from emp.errors import BadRequest, JIDError, LocalProtocolError
from emp.jid import JID
from emp.lexical import quoted, text_of
from emp.stanza import Iq, Stanza
from emp.view import payload_of, tree_of
from emp.xml import Element, build

FormType: TypeAlias = Literal["form", "submit", "cancel", "result"]
FieldType: TypeAlias = Literal[
    "boolean", "fixed", "hidden", "jid-multi", "jid-single", "list-multi", "list-single",
    "text-multi", "text-private", "text-single",
]  # fmt: skip
Values: TypeAlias = Mapping[str, object]
"""var → str, bool, int, JID … (what emp.lexical can write), or an iterable of these; None: none."""

FORM: Final = f"{{{ns.DATA_FORMS}}}x"
FORM_TYPE: Final = "FORM_TYPE"

# Elements in a form. Configurations have some hundreds, pages of search results some thousands. A
# stanza could hold three times as many, each of which costs fifty times its bytes as an object.
PARTS: Final = 10_000

_FORM_TYPES: Final = frozenset(get_args(FormType))
_FIELD_TYPES: Final = frozenset(get_args(FieldType))
_MULTI: Final = frozenset({"jid-multi", "list-multi", "text-multi"})
_SEVERAL: Final = _MULTI | {"hidden"}  # may have more than one value, §3.2


def _name(local: str) -> str:
    return f"{{{ns.DATA_FORMS}}}{local}"


_FIELD: Final = _name("field")
_VALUE: Final = _name("value")
_OPTION: Final = _name("option")
_ITEM: Final = _name("item")


@dataclass(frozen=True, slots=True)
class Option:
    """One of the values to choose from, and what people see for it."""

    value: str
    label: str | None = None

    def to_xml(self) -> Element:
        """The <option/>."""
        return build(_OPTION, build(_VALUE, self.value), label=self.label)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a form (XEP-0004 §3.2).

    var: its name, None only for type "fixed"; type: None where it is not said, which means
    "text-single" in a form; label, desc: for people; values: for a form the defaults.
    """

    var: str | None = None
    type: FieldType | None = None
    label: str | None = None
    values: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    required: bool = False
    desc: str | None = None

    @property
    def value(self) -> str | None:
        """The first value, None without one."""
        return self.values[0] if self.values else None

    @property
    def is_multi(self) -> bool:
        """True if it can have several values, or has."""
        return self.type in _MULTI or len(self.values) > 1

    def to_xml(self) -> Element:
        """The <field/>. LocalProtocolError for a field that XEP-0004 does not allow."""
        if self.var is None and self.type != "fixed":
            raise LocalProtocolError("a field without var is of type 'fixed'")
        if len(self.values) > 1 and self.type is not None and self.type not in _SEVERAL:
            raise LocalProtocolError(f"field {self.var!r}: type {self.type!r} has one value")
        return build(
            _FIELD,
            None if self.desc is None else build(_name("desc"), self.desc),
            build(_name("required")) if self.required else None,
            [build(_VALUE, value) for value in self.values],
            self.options,
            var=self.var,
            type=self.type,
            label=self.label,
        )


@dataclass(frozen=True, slots=True)
class Form:
    """A form (XEP-0004): to be filled in, filled in, or full of results.

    reported: what the columns of a table of results are, items: its rows (§3.4).
    """

    type: FormType
    fields: tuple[Field, ...] = ()
    title: str | None = None
    instructions: tuple[str, ...] = ()
    reported: tuple[Field, ...] = ()
    items: tuple[tuple[Field, ...], ...] = ()

    __xml_tag__: ClassVar[str] = FORM

    def field(self, var: str) -> Field | None:
        """The field of that name, None without one."""
        return next((field for field in self.fields if field.var == var), None)

    @property
    def values(self) -> dict[str, str | list[str]]:
        """var → its value; a list where it is of a type that can have several, or has several.

        Fields without value are left out.
        """
        return _values(self.fields)

    @property
    def rows(self) -> list[dict[str, str | list[str]]]:
        """The rows of a table of results, each as `values`."""
        return [_values(item) for item in self.items]

    @property
    def form_type(self) -> str | None:
        """What the names of the fields mean (XEP-0068): the value of the hidden field FORM_TYPE.

        None without one. Submissions need not repeat that the field is hidden.
        """
        field = self.field(FORM_TYPE)
        hidden = field and (field.type == "hidden" or (self.type == "submit" and not field.type))
        return field.value if field and hidden else None

    def submit(self, values: Values) -> Form:
        """This form, filled in (§3.1): values for its fields, and the defaults of all others.

        LocalProtocolError where a required field stays empty, or for what is no option.
        """
        given = dict(values)
        filled = []
        for field in self.fields:
            if field.var is None or field.type == "fixed":
                continue
            texts = _texts(given.pop(field.var), field) if field.var in given else field.values
            _check(field, texts)
            filled.append(Field(field.var, field.type, values=texts))
        return Form("submit", (*filled, *_fields(given)))

    def cancel(self) -> Form:
        """The answer that nothing will be filled in."""
        return Form("cancel")

    def to_xml(self) -> Element:
        """The <x/>. LocalProtocolError as Field.to_xml()."""
        return build(
            FORM,
            None if self.title is None else build(_name("title"), self.title),
            [build(_name("instructions"), text) for text in self.instructions],
            self.fields,
            build(_name("reported"), self.reported) if self.reported else None,
            [build(_ITEM, item) for item in self.items],
            type=self.type,
        )

    @classmethod
    def from_xml(cls, element: Element) -> Form:
        """The form that an <x/> is. BadRequest if it is none, or has two fields of one name.

        A type of a field that XEP-0004 does not know is "text-single", as it demands.
        """
        type = element.get("type")
        if element.tag != FORM or type not in _FORM_TYPES:
            raise BadRequest("not a form of XEP-0004")
        if sum(1 for _ in element.iterdescendants()) > PARTS:
            raise BadRequest(f"a form of more than {PARTS} elements")
        reported = element.find(_name("reported"))
        return cls(
            cast(FormType, type),
            _parse_fields(element),
            element.findtext(_name("title")),
            tuple(child.text or "" for child in element.iterchildren(_name("instructions"))),
            () if reported is None else _parse_fields(reported),
            tuple(_parse_fields(item) for item in element.iterchildren(_ITEM)),
        )


def submission(values: Values, form_type: str | None = None) -> Form:
    """A submission to a form that need not be asked for, as its fields are known."""
    kind = () if form_type is None else (Field(FORM_TYPE, "hidden", values=(form_type,)),)
    return Form("submit", (*kind, *_fields(values)))


def form_of(stanza: Stanza) -> Form | None:
    """The form in the stanza (§3): in the payload of an IQ, among the children of others.

    None without one, BadRequest as Form.from_xml().
    """
    parent: Element | None = tree_of(stanza)
    if isinstance(stanza, Iq):
        parent = payload_of(stanza)
        if parent is not None and parent.tag == FORM:
            return Form.from_xml(parent)
    found = None if parent is None else parent.find(FORM)
    return None if found is None else Form.from_xml(found)


# -- reading --------------------------------------------------------------------------------------


def _parse_fields(parent: Element) -> tuple[Field, ...]:
    fields = tuple(_parse_field(child) for child in parent.iterchildren(_FIELD))
    names: set[str] = set()
    for field in fields:
        if field.var is not None:
            if field.var in names:
                raise BadRequest(f"a form with two fields {quoted(field.var)}")
            names.add(field.var)
    return fields


def _parse_field(element: Element) -> Field:
    type = element.get("type")
    if type is not None and type not in _FIELD_TYPES:
        type = "text-single"
    values: Iterable[str] = (value.text or "" for value in element.iterchildren(_VALUE))
    return Field(
        element.get("var"),
        cast("FieldType | None", type),
        element.get("label"),
        tuple(_distinct(values) if type == "jid-multi" else values),
        tuple(
            Option(option.findtext(_VALUE) or "", option.get("label"))
            for option in element.iterchildren(_OPTION)
        ),
        element.find(_name("required")) is not None,
        element.findtext(_name("desc")),
    )


def _distinct(texts: Iterable[str]) -> Iterable[str]:
    """Without those that are the same address again (§3.3)."""
    found: dict[JID | str, str] = {}
    for text in texts:
        try:
            found.setdefault(JID.parse(text), text)
        except JIDError:
            found.setdefault(text, text)
    return found.values()


def _values(fields: Iterable[Field]) -> dict[str, str | list[str]]:
    return {
        field.var: list(field.values) if field.is_multi else field.values[0]
        for field in fields
        if field.var is not None and field.values
    }


# -- filling in -----------------------------------------------------------------------------------


def _fields(values: Values) -> list[Field]:
    return [Field(var, values=_texts(value, None)) for var, value in values.items()]


def _texts(value: Any, field: Field | None) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return tuple(map(text_of, value))
    text = text_of(value)
    if field is not None and field.type == "text-multi":
        return tuple(text.splitlines())  # §3.3: a value for each line
    return (text,)


def _check(field: Field, texts: tuple[str, ...]) -> None:
    if field.required and not texts:
        raise LocalProtocolError(f"the form requires a value for {field.var!r}")
    if field.type in ("list-single", "list-multi"):
        options = [option.value for option in field.options]
        for text in texts:
            if options and text not in options:
                raise LocalProtocolError(f"field {field.var!r} has no option {quoted(text)}")
