"""Logging, in one process or in many: every process writes its own lines to standard error.

In the processes that Thespian starts, it replaces the root logger and the logger manager by its own
forwarder, which sends each record as a message in the same queue as the stanzas. So the manager
that Python made is kept here when this module is imported, and put back before anything is logged.
"""

from __future__ import annotations

import logging
import sys

_ROOT = logging.getLogger()
_MANAGER = logging.Logger.manager

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def configure_logging(level: str) -> None:
    """Log to standard error from `level` ("debug", "info", "warning" or "error") on. Idempotent."""
    logging.root = _ROOT  # type: ignore[assignment]
    logging.Logger.root = _ROOT  # type: ignore[assignment]
    logging.Logger.manager = _MANAGER
    for handler in _ROOT.handlers[:]:
        _ROOT.removeHandler(handler)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(FORMAT))
    _ROOT.addHandler(handler)
    _ROOT.setLevel(level.upper())
    # Thespian logs every actor that it starts and every message of a dead one at info and warning.
    logging.getLogger("Thespian").setLevel(logging.ERROR)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
