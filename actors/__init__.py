"""The actors of EMP, and what components are made of.

from actors import Component, NoAnswer
"""

from actors.component import Component, NoAnswer

__all__ = ["Component", "NoAnswer"]
