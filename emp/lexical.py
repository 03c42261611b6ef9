"""Values as text in XML, and back: one table, in the lexical forms of XML Schema.

Around numbers, booleans, dates, UUIDs and base64 the white space of XML (space, tab, line ends) is
of no account, as XML Schema has it (part 2 §4.3.6); any other white space is a mistake. Texts and
JIDs are taken as they are. All that is read comes from strangers, so its length is bounded before
work is spent on it.
"""

from __future__ import annotations

import binascii
import math
import re
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, Final, NamedTuple
from uuid import UUID

from emp.errors import LocalProtocolError
from emp.jid import JID
from emp.xep.timestamps import (
    format_date,
    format_datetime,
    format_time,
    parse_date,
    parse_datetime,
    parse_time,
)

# Characters of a number. A number of 64 bits has 20, a double 25; int() takes a time that grows
# with the square of the length.
NUMBER: Final = 100
# Bytes behind base64. The largest stanza that servers take from clients has a quarter of that.
BINARY: Final = 1_048_576
# Characters of a value that an error message repeats: enough to recognise it by.
QUOTED: Final = 60

_SPACE: Final = " \t\r\n"
_NO_SPACE: Final = str.maketrans("", "", _SPACE)
_is_integer: Final = re.compile(r"[+-]?[0-9]+").fullmatch
_is_decimal: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)").fullmatch
_is_double: Final = re.compile(
    r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
).fullmatch
_is_uuid: Final = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
).fullmatch
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


class Unfit(ValueError):
    """A value from outside that is not what was expected; str() says so, for whoever sent it."""


def quoted(value: str) -> str:
    """What a stranger wrote, for a message: on one line, and of bounded length."""
    text = repr(value[:QUOTED])
    return f"{text}…" if len(value) > QUOTED else text


class Lexical(NamedTuple):
    """How a type is read: `read` raises ValueError; `what` it is, for messages."""

    read: Callable[[str], Any]
    what: str


def _integer(text: str) -> int:
    if len(text) > NUMBER or not _is_integer(text):
        raise ValueError
    return int(text)


def _double(text: str) -> float:
    if len(text) > NUMBER or not _is_double(text):
        raise ValueError
    value = float(text)
    if math.isinf(value):  # too large for a double
        raise ValueError
    return value


def _decimal(text: str) -> Decimal:
    if len(text) > NUMBER or not _is_decimal(text):
        raise ValueError
    return Decimal(text)


def _boolean(text: str) -> bool:
    value = _BOOLEANS.get(text)
    if value is None:
        raise ValueError
    return value


def _moment(text: str) -> datetime:
    try:
        return parse_datetime(text).astimezone(UTC)
    except OverflowError as error:  # the first and the last hours of the calendar
        raise ValueError from error


def _uuid(text: str) -> UUID:
    if not _is_uuid(text):
        raise ValueError
    return UUID(text)


def _binary(text: str) -> bytes:
    """Strict (RFC 4648 §3): XML Schema allows white space, and one text only for some bytes."""
    text = text.translate(_NO_SPACE)
    if len(text) > BINARY * 4 // 3 + 4:
        raise ValueError
    data = binascii.a2b_base64(text, strict_mode=True)
    if len(data) > BINARY or b64encode(data) != text.encode():
        raise ValueError
    return data


def _collapsed(read: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: read(text.strip(_SPACE))


LEXICAL: Final[dict[type, Lexical]] = {
    str: Lexical(str, "a text"),
    int: Lexical(_collapsed(_integer), "an integer"),
    float: Lexical(_collapsed(_double), "a finite number"),
    Decimal: Lexical(_collapsed(_decimal), "a decimal number"),
    bool: Lexical(_collapsed(_boolean), "a boolean (true, false, 1 or 0)"),
    datetime: Lexical(_collapsed(_moment), "a date and time with zone, as 1969-07-21T02:56:15Z"),
    date: Lexical(_collapsed(parse_date), "a date, as 1969-07-21"),
    time: Lexical(_collapsed(parse_time), "a time, as 16:00:00"),
    UUID: Lexical(_collapsed(_uuid), "a UUID"),
    bytes: Lexical(_binary, "base64"),
    JID: Lexical(JID.received, "a JID"),
}
"""Type → how it is read from text. Exactly these classes: heirs of them are not meant."""


def choices(values: dict[str, Any]) -> Lexical:
    """One of these texts, which stand for these values."""
    known = ", ".join(map(repr, list(values)[:10]))
    more = " …" if len(values) > 10 else ""

    def read(text: str) -> Any:
        if text not in values:
            raise ValueError
        return values[text]

    return Lexical(read, f"one of {known}{more}")


def enumeration(enum: type[Enum]) -> Lexical:
    """The members of an Enum by value where that has a text, and by name."""
    values = {text_of(member.value): member for member in enum if type(member.value) in _WRITERS}
    shown = choices({text_of(member): member for member in enum})
    return Lexical(choices({**enum.__members__, **values}).read, shown.what)


def text_of(value: object) -> str:
    """The value as text in XML, which the same type reads again.

    LocalProtocolError for a type that has no text in LEXICAL, for a datetime without time zone, and
    for a number that is infinite or none.
    """
    if isinstance(value, Enum):
        return text_of(value.value) if type(value.value) in _WRITERS else value.name
    for cls in type(value).__mro__:
        if cls in _WRITERS:
            try:
                return _WRITERS[cls](value)
            except ValueError as error:
                raise LocalProtocolError(f"{value!r:.80} has no text in XML: {error}") from None
    raise LocalProtocolError(f"{type(value).__name__} has no text in XML: {value!r:.80}")


def _finite(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError("only finite numbers are read again")
    return float.__repr__(value)


def _fixed(value: Decimal) -> str:
    """Without exponent. A small one may have a huge number behind it."""
    if not value.is_finite() or abs(value.adjusted()) > NUMBER:
        raise ValueError("it would not be read again")
    return format(value, "f")


_WRITERS: Final[dict[type, Callable[[Any], str]]] = {
    str: str,
    int: int.__repr__,
    float: _finite,
    Decimal: _fixed,
    bool: lambda value: "true" if value else "false",
    datetime: format_datetime,
    date: format_date,
    time: format_time,
    UUID: str,
    bytes: lambda value: b64encode(value).decode(),
    JID: str,
}
