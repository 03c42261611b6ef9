"""Signals that end an application: the first in order, the second at once.

A loop that is held up, by an import or by an action that never returns, cannot stop in order. So a
thread hears of the signals too, and ends the process when the loop does not.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from actors.boot import STOP_GRACE
from actors.lines import leave
from actors.watchdog import at_work

logger = logging.getLogger("emp.actors")

HELD: Final = STOP_GRACE
"""Seconds in which the loop must have run once since the request to stop: what an action may take
to finish, and nobody else can finish anything meanwhile."""

STOP_LIMIT: Final = 20.0
"""Seconds from the signal to the end, whatever happens: all the graces of an orderly stop together,
and two to spare."""

LOOK: Final = 0.2
"""Seconds between looks at the loop while it stops."""

IN_PYTHON: Final = 0x80
"""Marks the byte of a signal that came from its handler."""

HELD_CODE: Final = 1
"""Exit code: it did not stop in order."""


class Stops:
    """SIGINT, SIGTERM and SIGHUP. To be made in the main thread, in the loop."""

    SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(
        self, stop: Callable[[], object], kill: Callable[[], object], say: Callable[[str], object]
    ) -> None:
        """stop: request the orderly stop, called in the loop. kill: release what this process would
        leave behind, called in any thread. say: tell the operator, called in any thread."""
        self._stop, self._kill, self._say = stop, kill, say
        self._loop = asyncio.get_running_loop()
        self._heard = 0.0
        self._armed = False
        self._reading, self._writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._nothing = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        # Two ways, because each fails sometimes: Python's handlers wait for C code that does not
        # return, and the descriptor is taken by whoever calls `loop.add_signal_handler`.
        self._before = {
            number: signal.signal(number, self._handle)
            for number in self.SIGNALS
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN  # nohup
        }
        self._wakeup = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._watch, name="emp-signals", daemon=True)
        self._thread.start()

    def _handle(self, number: int, frame: object) -> None:
        self._arm()
        with suppress(OSError):  # full: there are signals enough in it
            os.write(self._writing, bytes([number | IN_PYTHON]))

    def _arm(self) -> None:
        # For C code that keeps even the thread below from running: its clock needs no Python.
        if not self._armed:
            self._armed = True
            faulthandler.dump_traceback_later(STOP_LIMIT + 1, exit=True, file=self._nothing)

    def _watch(self) -> None:
        counts = {True: 0, False: 0}  # the same signals, by their two ways
        began = 0.0
        while True:
            select.select([self._reading], [], [], LOOK if began else None)
            try:
                data = os.read(self._reading, 64)
            except BlockingIOError:
                data = None
            if data == b"":
                return
            for byte in data or b"":
                counts[byte >= IN_PYTHON] += byte & ~IN_PYTHON in self._before
            signals = max(counts.values())
            if signals > 1 and data:
                self._kill()
                leave(128 + (data[-1] & ~IN_PYTHON))
            if signals and not began:
                began = self._heard = time.monotonic()
                self._arm()
                self._say("stopping; once more stops at once")
                self._in_loop(self._stop)
            if began:
                self._look(began)

    def _look(self, began: float) -> None:
        now = time.monotonic()
        self._in_loop(self._hear)
        if now - self._heard > HELD:
            what = at_work(sys._current_frames().get(threading.main_thread().ident or 0))
            reason = f"{what or 'the application'} holds the loop, which cannot stop in order"
        elif now - began > STOP_LIMIT:
            reason = f"the application has not stopped within {STOP_LIMIT:g} s"
        else:
            return
        logger.critical("%s: it is ended", reason)
        self._kill()
        leave(HELD_CODE)

    def _hear(self) -> None:
        self._heard = time.monotonic()

    def _in_loop(self, work: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # it is closed
            self._loop.call_soon_threadsafe(work)

    def close(self) -> None:
        """Nothing of the application is left: signals mean what they did before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        if self._armed:
            faulthandler.cancel_dump_traceback_later()
        os.close(self._writing)
        self._thread.join()
        os.close(self._reading)
        os.close(self._nothing)
