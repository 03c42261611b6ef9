"""Components for the tests of routes: classes with actions, as users write them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def logged(action: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(action)
    def wrapper(*arguments: Any) -> Any:
        return action(*arguments)

    return wrapper


class Tweets:
    def index(self) -> None: ...

    def show(self, id: str) -> None: ...

    @logged
    def destroy(self) -> None: ...

    async def version(self) -> None: ...

    def _secret(self) -> None: ...

    @classmethod
    def about(cls) -> None: ...

    @property
    def count(self) -> int:
        return 0

    class Admin:
        def reset(self) -> None: ...


class Base:
    def ping(self) -> None: ...


class Special(Base):
    """Inherits ping."""


class Other(Base):
    def ping(self) -> None: ...
