"""The shape of a stream feature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emp.stream.state import Done
from emp.xml import Element

if TYPE_CHECKING:
    from emp.stream.client import ClientStream
    from emp.stream.server import ServerStream


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature, both halves.

    name: Clark name of its element in <stream:features/>.
    necessary, prohibited: bits of Done without which, or with which, it makes no sense.
    offer: the element as text, "" for no offer; wanted: whether the client takes the offer;
    begin: the client's first step; client, server: what to do with the peer's elements, by name.
    """

    name: str
    necessary: Done
    prohibited: Done
    offer: Callable[[ServerStream], str]
    wanted: Callable[[ClientStream, Element], bool]
    begin: Callable[[ClientStream, Element], None]
    client: Mapping[str, Callable[[ClientStream, Element], None]]
    server: Mapping[str, Callable[[ServerStream, Element], None]]

    def possible(self, done: Done) -> bool:
        """Whether its turn has come."""
        return self.necessary in done and not self.prohibited & done
