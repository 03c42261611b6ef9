"""Whether the other side is still there, and whether it has what we sent: when to ask.

One timer that looks at the clock. Reads only leave the time, writes only wake the timer when it
sleeps long; neither sets it anew, for that would cost more than the rest of a small write.

    idle      sleeps until `keepalive` seconds after the last read, then asks
    watching  ticks once a second, because stanzas were written: asks what is not acknowledged, and
              falls asleep when everything is

Whoever was asked has `ping_timeout` seconds to say anything at all. That the answer cannot get out,
because our own bytes are stuck, is no excuse: a peer that takes nothing and says nothing is gone.
While we do not read we cannot know, and say nothing; a peer that takes nothing meanwhile is found
out by TCP (emp.net.sockets.UNACKNOWLEDGED_MS).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from emp.stream.engine import Stream

ACK_DELAY: Final = 1.0
"""Seconds after which stanzas that are not acknowledged are asked for: the peer has had the time to
do so by itself, and we need not remember them for long."""


class Watched(Protocol):
    """What a Pulse has to know of its stream."""

    @property
    def hears(self) -> bool:
        """Whether we read what comes."""

    def ask(self) -> None:
        """Send a question: Stream.request_ack()."""

    def silent(self) -> None:
        """There was no answer; nothing is called afterwards."""


class Timer(Protocol):
    """Something that will happen."""

    def cancel(self) -> None:
        """Or not."""


class Clock(Protocol):
    """What an event loop says about time, in seconds."""

    def time(self) -> float: ...

    def call_later(self, delay: float, callback: Callable[[], None], /) -> Timer: ...


class Pulse:
    """Watches over one stream between start() and stop(). Times in seconds; keepalive 0: never
    asks because of silence, and never gives up."""

    def __init__(
        self,
        watched: Watched,
        engine: Stream,
        *,
        keepalive: float,
        ping_timeout: float,
        clock: Clock,
    ) -> None:
        self.heard = 0.0  # when bytes came last that completed something, or white space
        self.watching = True  # nothing to do for whoever writes; also before the start
        self._watched, self._engine = watched, engine
        self._keepalive, self._ping_timeout = keepalive, ping_timeout
        self._clock = clock
        self._asked: float | None = None  # when the question was put that awaits a sign of life
        self._timer: Timer | None = None

    def start(self, patience: float | None = None) -> None:
        """The stream is ready. patience: seconds of silence after which the peer takes us for gone
        (XEP-0478): it gets a question when half of them are over."""
        if patience is not None and self._keepalive:
            self._keepalive = min(self._keepalive, patience / 2)
        self.heard = now = self._clock.time()
        self._sleep_until_next(now)

    def stop(self) -> None:
        """The stream is closing, or over."""
        self.watching = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def wrote(self) -> None:
        """Stanzas were written; to be called only where not `watching`."""
        self.watching = True
        self._sleep(ACK_DELAY)

    def tick(self) -> None:
        """Ask, or give up, if it is time."""
        now = self._clock.time()
        if not self._watched.hears:
            self.heard = now
        # Clocks may be coarse: an answer in the same millisecond is one. What came just before the
        # question is taken for an answer too; if none comes, the next tick counts from there.
        if self._asked is not None and self.heard >= self._asked:
            self._asked = None
        if self._asked is None:
            self._ask(now)
        elif self._keepalive and now >= self._asked + self._ping_timeout:
            self.stop()
            self._watched.silent()
            return
        self._sleep_until_next(now)

    def _ask(self, now: float) -> None:
        quiet = self._keepalive and now >= self.heard + self._keepalive
        open_question = self._engine.ack_requested
        if quiet or (self._engine.management.unacknowledged and not open_question):
            self._watched.ask()
            self._asked = now
        elif open_question:  # the engine has asked by itself, meanwhile
            self._asked = now

    def _sleep_until_next(self, now: float) -> None:
        times = []
        self.watching = bool(self._asked is not None or self._engine.management.unacknowledged)
        if self.watching:
            times.append(now + ACK_DELAY)
        if self._keepalive:
            asked = self._asked
            times.append(
                self.heard + self._keepalive if asked is None else asked + self._ping_timeout
            )
        if times:
            self._sleep(max(min(times) - now, 0.0))

    def _sleep(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.call_later(seconds, self.tick)
