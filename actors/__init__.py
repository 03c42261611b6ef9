"""The actors of EMP, and what components are made of.

from actors import Component, NoAnswer
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.component import Component, NoAnswer

__all__ = ["Component", "NoAnswer"]


def __getattr__(name: str) -> Any:
    # Late, because commands and processes that need no component start faster without all that
    # one needs.
    if name in __all__:
        from actors import component

        return getattr(component, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
