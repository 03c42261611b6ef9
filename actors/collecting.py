"""Python's garbage collector, set for what actors do.

Stanzas make many small objects, and hardly any of them refer to each other in circles: reference
counts free them. The collector would look for circles among them a hundred times a second, and
among everything that the application has loaded every few seconds: an eighth of the time of a
flood.
"""

from __future__ import annotations

import gc
from typing import Final

OBJECTS: Final = 20_000
"""New containers after which the collector looks at the new ones (Python's own value is 700): some
megabytes at most."""


def settle() -> None:
    """The application has started: what is in memory now will stay, and needs no more looks.

    A last look at it would stop everything for a second where there are ten thousand routes, just
    when the first stanzas come.
    """
    gc.freeze()
    gc.set_threshold(OBJECTS, 10, 10)
