"""Thespian's insides are not typed: what is used of them is Any, or a class to subclass."""

from typing import Any

def __getattr__(name: str) -> Any: ...

class ExternalInterfaceTransportInit: ...
