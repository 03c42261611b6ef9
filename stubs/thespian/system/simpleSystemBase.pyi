"""Thespian's insides are not typed: subclasses see everything as Any."""

from typing import Any

def __getattr__(name: str) -> Any: ...

class ActorSystemBase:
    _pendingSends: Any
    _private_count: int
    def __init__(self, system: Any, logDefs: Any = None) -> None: ...
    def __getattr__(self, name: str) -> Any: ...
