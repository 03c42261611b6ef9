"""The black box of a worker: what it was about to do, in a file that outlives it."""

from __future__ import annotations

import marshal
import mmap
import struct
from pathlib import Path
from typing import Final

from tools.fuzzing.case import Case, Step

SIZE: Final = 4_194_304
"""Bytes: twice what the longest stream can take. What does not fit is not remembered."""

_LENGTH: Final = struct.Struct("<I")


class BlackBox:
    """Written to by one process; costs a microsecond for each step."""

    def __init__(self, file: Path) -> None:
        with file.open("w+b") as opened:
            opened.truncate(SIZE)
            self._map = mmap.mmap(opened.fileno(), SIZE)
        self._end = _LENGTH.size

    def begin(self, case: Case) -> None:
        """This case is begun; what was before is forgotten."""
        self._end = _LENGTH.size
        self._append((case.subject, case.lazy, case.steps))

    def add(self, step: Step) -> None:
        """This is its next step."""
        self._append(step)

    def _append(self, value: tuple[str | bool | tuple[Step, ...], ...]) -> None:
        data = marshal.dumps(value)
        end = self._end + len(data)
        if end <= SIZE:
            self._map[self._end : end] = data
            _LENGTH.pack_into(self._map, 0, end)
            self._end = end


def read_box(file: Path) -> Case | None:
    """The case that was under way, None where there was none."""
    if not file.exists():  # gone before it could open it
        return None
    data = file.read_bytes()
    (end,) = _LENGTH.unpack_from(data)
    with file.open("rb") as opened:
        opened.seek(_LENGTH.size)
        if not end:
            return None
        subject, lazy, steps = marshal.load(opened)
        more: list[Step] = []
        while opened.tell() < end:
            more.append(marshal.load(opened))
    return Case(subject, steps + tuple(more), lazy)
