"""Smaller and faster pickles of what actors say to each other.

By default a frozen dataclass pickles through functions written in Python, an address with all of
its insides, sockets' constants included, and a batch stanza by stanza: several times the work of
what is in them.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from itertools import repeat
from operator import attrgetter, is_
from typing import Any

from thespian.actors import ActorAddress

from actors import messages
from actors.messages import RouteStanzas, RunActions, SendStanzas
from actors.systems.transport import LoopbackAddress, address_of, name_of
from emp.columns import Columns, pack, unpack

FEW = 4
"""Stanzas that are not worth it: one by one, they cost less than columns do."""


def _reduce_address(address: ActorAddress) -> Any:
    if type(address.addressDetails) is LoopbackAddress:
        return address_of, (name_of(address),)
    return address.__reduce_ex__(4)  # those that cannot be pickled say so


def _reducer(cls: type) -> Callable[[Any], Any]:
    get = _values_of(cls)
    return lambda message: (cls, get(message))


def _values_of(cls: type) -> Callable[[Any], tuple[Any, ...]]:
    names = [field.name for field in fields(cls)]
    if len(names) > 1:
        return attrgetter(*names)
    return lambda message: tuple(getattr(message, name) for name in names)


def _rows_reducer(cls: type, place: int) -> Callable[[Any], Any]:
    """For messages whose `items` are rows with a stanza at `place` in each."""
    names = [field.name for field in fields(cls)]
    get, index = _values_of(cls), names.index("items")

    def reduce(message: Any) -> Any:
        values = list(get(message))
        if len(values[index]) < FEW:
            return cls, tuple(values)
        columns = list(zip(*values[index], strict=True))
        stanzas = pack(columns[place])
        rest = [_column(column) for column in columns[:place] + columns[place + 1 :]]
        values[index] = None
        return _with_rows, (cls, values, index, place, stanzas, rest)

    return reduce


def _with_rows(
    cls: type, values: list[Any], index: int, place: int, stanzas: Columns, rest: list[Any]
) -> Any:
    columns: list[Iterable[Any]] = [
        repeat(column[0]) if isinstance(column, list) else column for column in rest
    ]
    columns.insert(place, unpack(stanzas))
    values[index] = tuple(zip(*columns, strict=False))
    return cls(*values)


def _column(values: tuple[Any, ...]) -> tuple[Any, ...] | list[Any]:
    """In a list, the one object that all of them are. Captures that are equal may differ: True is
    1, but not in an answer."""
    return [values[0]] if all(map(is_, values, repeat(values[0]))) else values


def _reduce_sending(message: SendStanzas) -> Any:
    if len(message.stanzas) < FEW:
        return SendStanzas, _sending(message)
    sender, incarnation, batch, stanzas, handled = _sending(message)
    return _send, (sender, incarnation, batch, pack(stanzas, contents=False), handled)


def _send(sender: Any, incarnation: int, batch: int, stanzas: Columns, handled: Any) -> SendStanzas:
    return SendStanzas(sender, incarnation, batch, tuple(unpack(stanzas)), handled)


_sending = _values_of(SendStanzas)

copyreg.pickle(ActorAddress, _reduce_address)
for _found in vars(messages).values():
    if isinstance(_found, type) and is_dataclass(_found) and _found.__module__ == messages.__name__:
        copyreg.pickle(_found, _reducer(_found))
copyreg.pickle(RouteStanzas, _rows_reducer(RouteStanzas, 1))
copyreg.pickle(RunActions, _rows_reducer(RunActions, 2))
copyreg.pickle(SendStanzas, _reduce_sending)
