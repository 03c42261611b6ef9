"""The actors of EMP, and what components are made of.

from actors import Component, NoAnswer, before, every
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.component import Component, Connection, NoAnswer
    from actors.declarations import after, around, before, blocking, deadline, every, rescue

__all__ = [
    "Component",
    "Connection",
    "NoAnswer",
    "after",
    "around",
    "before",
    "blocking",
    "deadline",
    "every",
    "rescue",
]

_OF_COMPONENT = frozenset({"Component", "Connection", "NoAnswer"})


def __getattr__(name: str) -> Any:
    # Late, because commands and processes that need no component start faster without all that
    # one needs.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from actors import component, declarations

    return getattr(component if name in _OF_COMPONENT else declarations, name)
