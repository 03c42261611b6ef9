"""The watchdog of a process whose actors share one loop: says who holds the loop, and for how long.

A thread looks now and then whether the loop has turned since the last time. That costs a stanza
nothing, and an idle process one turn a second. Time is counted in these looks: a process that was
stopped, or a machine that was suspended, has missed one, however long it took. So has a loop whose
thread is in C code that does not release the interpreter's lock: then nobody can look.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

from actors.lines import leave

logger = logging.getLogger("emp.actors")

LOOK: Final = 1.0
"""Seconds between two looks."""

LOOKS: Final = 5
"""Looks within a limit, at least."""

HELD: Final = 5.0
"""Seconds after which it is said that the loop is held: twice the time in which an action that
computes would annoy people, and below the time limits of those who wait."""

FLUSH_SECONDS: Final = 2.0
"""Seconds that a last line has to be written before the loop goes on to its end."""

HUNG: Final = 1
"""Exit code of a process that has been ended because it hung."""


class Watchdog:
    """Watches the running loop, from the thread that makes it.

    limit: seconds after which the process is ended; 0: never. directory: where the application's
    own code is. last: called before the end.
    """

    def __init__(
        self,
        limit: float = 0.0,
        directory: Path | None = None,
        last: Callable[[], object] | None = None,
        *,
        held: float = HELD,
        look: float = LOOK,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        self._limit, self._directory, self._last = limit, directory, last
        self._held = min(held, limit) if limit else held
        self._look = min(look, self._held / LOOKS)
        self._turned = True
        self._since = 0.0  # when the loop was found to be held and it was said, else 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="emp watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(FLUSH_SECONDS)  # it may be about to write to a log that takes nothing

    def _watch(self) -> None:
        missed = 0
        while not self._over.wait(self._look):
            if self._turned:
                self._turned, missed = False, 0
                try:
                    self._loop.call_soon_threadsafe(self._turn)
                except RuntimeError:  # it is closed
                    return
                continue
            missed += 1
            seconds = missed * self._look
            if seconds >= self._held and not self._since:
                self._since = time.monotonic() - seconds
                self._tell(seconds)
            if self._limit and seconds >= self._limit:
                self._end(seconds)

    def _turn(self) -> None:
        """In the loop."""
        self._turned = True
        if self._since:
            seconds, self._since = time.monotonic() - self._since, 0.0
            logger.warning("the loop goes on: it was held for %.1f s", seconds)

    def _tell(self, seconds: float) -> None:
        frame = sys._current_frames().get(self._watched)
        if frame is None:
            return
        logger.error(
            "the loop has been held for %.0f s, and with it everything else, by %s, in %s\n%s",
            seconds,
            at_work(frame) or "no action",
            self._place(frame),
            "".join(traceback.format_stack(frame)).rstrip(),
            extra={"multiline": True},
        )

    def _place(self, frame: FrameType) -> str:
        """FILE:LINE of the innermost frame in the application's code, else of the innermost."""
        inner: FrameType | None = frame
        while inner is not None:
            if self._directory and Path(inner.f_code.co_filename).is_relative_to(self._directory):
                return f"{inner.f_code.co_filename}:{inner.f_lineno}"
            inner = inner.f_back
        return f"{frame.f_code.co_filename}:{frame.f_lineno}"

    def _end(self, seconds: float) -> None:
        logger.critical("the loop has been held for %.0f s (hang_limit): the process ends", seconds)
        if self._last is not None:
            self._last()
        leave(HUNG)


# ── what is at work ─────────────────────────────────────────────────────────────────────────────


def at_work(frame: FrameType | None) -> str:
    """What of a component runs in this frame: the action and whose stanza, or the hook; "" where
    nothing of one does. Never raises, and shows no contents of stanzas."""
    while frame is not None:
        describe = _AT_WORK.get(frame.f_code.co_qualname)
        if describe is not None and frame.f_globals.get("__name__", "").startswith("actors."):
            try:
                return describe(frame.f_locals)
            except Exception:  # noqa: BLE001 - it is being changed while we look
                return ""
        frame = frame.f_back
    return ""


def _action(actor: Any, item: Any) -> str:
    stanza, handling = item[2], actor.source.handlings.get(item[3])
    action = handling.action if handling is not None else actor.name
    kind = stanza.kind if stanza.type is None else f"{stanza.kind} of type {stanza.type}"
    return f"{actor.name}, action {action}, with {kind} from {stanza.from_text}"


_AT_WORK: Final[dict[str, Callable[[Any], str]]] = {
    "Runner._act": lambda here: _action(here["self"], here["item"]),
    "Continuer._go_on": lambda here: _action(here["self"], here["work"].item),
    "ComponentActor._start_hook": lambda here: f"{here['self'].name}, {here['name']}()",
    "ComponentActor._finish_hook": lambda here: f"{here['self'].name}, {here['hook']}()",
    "ComponentActor._perform": lambda here: f"{here['self'].name}, {here['name']}()",
    "ComponentActor._make": lambda here: f"{here['self'].name}, its constructor",
}
"""Qualified name of what calls code of the user's → what its local variables say about it."""
