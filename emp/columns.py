"""Many stanzas as few columns, for the way to another process.

A stanza pickled by itself costs more than all that is in it: a call, a class and seven values, each
in a frame of its own. What the stanzas of a batch have in common goes once, and the rest in lists
of texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any, Final, TypeAlias

from emp.view import UNREAD, Slots, Stanza, wire_texts

Column: TypeAlias = list[Any] | tuple[Any]
"""The values, or in a tuple the one that all of them are."""

Columns: TypeAlias = tuple[Column, ...]

UNKNOWN: Final = (None,)

_new = object.__new__


def pack(stanzas: Sequence[Stanza], *, contents: bool = True) -> Columns:
    """The columns of `stanzas`. Without `contents`, who unpacks them looks for those anew if ever
    asked for them: right for stanzas that are only to be written.

    LocalProtocolError as `Stanza.to_bytes`.
    """
    texts = wire_texts(stanzas)
    if contents:
        looked = [each._contents or each._look() for each in stanzas]
        of_contents = [_column(list(part)) for part in zip(*looked, strict=True)]
    else:
        of_contents = [UNKNOWN]
    return (
        _column([each.__class__ for each in stanzas]),
        texts,
        _column([each.type for each in stanzas]),
        _column(
            [
                each.id if each._id is UNREAD else each._id  # .id is a call
                for each in stanzas
            ]
        ),
        _column([each.from_text for each in stanzas]),
        _column([each.to_text for each in stanzas]),
        *of_contents,
    )


def unpack(columns: Columns) -> list[Stanza]:
    """The stanzas again."""
    classes, texts, types, ids, senders, receivers, *of_contents = map(_values, columns)
    contents = zip(*of_contents, strict=False) if len(of_contents) > 1 else repeat(None)
    stanzas = []
    # Hot path: three times for each stanza that passes through the system.
    for cls, text, type, id, sender, receiver, content in zip(
        classes, texts, types, ids, senders, receivers, contents, strict=False
    ):
        stanza = _new(Slots)
        stanza._tree = None
        stanza._text = text
        stanza._contents = content
        stanza._id = id
        stanza.type = type
        stanza.from_text = sender
        stanza.to_text = receiver
        stanza.__class__ = cls
        stanzas.append(stanza)
    return stanzas  # type: ignore[return-value]  # they are stanzas by now, as in emp.view


def _column(values: list[Any]) -> Column:
    first = values[0]
    return (first,) if values.count(first) == len(values) else values


def _values(column: Column) -> Iterable[Any]:
    return column if isinstance(column, list) else repeat(column[0])
