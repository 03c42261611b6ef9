"""When the other side is asked, and when it is given up: with a clock in the test's hands."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from emp.net.pulse import ACK_DELAY, Pulse
from emp.stream.engine import Stream
from tests.emp.stream.law import ready_component
from tests.emp.stream.managed import numbered, ready_pair

KEEPALIVE, TIMEOUT = 60.0, 20.0


class Alarm:
    """A timer that fires when the test says so."""

    def __init__(self, due: float, ring: Callable[[], None]) -> None:
        self.due, self.ring = due, ring
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Stage:
    """A stream, its pulse, and the time."""

    def __init__(
        self, engine: Stream, keepalive: float = KEEPALIVE, patience: float | None = None
    ) -> None:
        self.engine = engine
        self.now = 1000.0
        self.alarms: list[Alarm] = []
        self.hears = True
        self.asked = 0
        self.given_up = False
        self.pulse = Pulse(self, engine, keepalive=keepalive, ping_timeout=TIMEOUT, clock=self)
        self.pulse.start(patience)

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> Alarm:
        assert delay >= 0
        self.alarms.append(Alarm(self.now + delay, callback))
        return self.alarms[-1]

    def ask(self) -> None:
        self.asked += 1
        self.engine.request_ack()

    def silent(self) -> None:
        self.given_up = True

    def send(self) -> None:
        self.engine.send(numbered(0, 1))
        if not self.pulse.watching:
            self.pulse.wrote()

    def hear(self, data: bytes = b" ") -> None:
        self.pulse.heard = self.now
        self.engine.receive_data(data)

    @property
    def sleeps(self) -> float | None:
        """Seconds to the next tick."""
        self.alarms = [alarm for alarm in self.alarms if not alarm.cancelled]
        assert len(self.alarms) <= 1
        return self.alarms[0].due - self.now if self.alarms else None

    def wait(self, seconds: float) -> None:
        """Time passes, and the timer fires when it is due."""
        until = self.now + seconds
        while (sleeps := self.sleeps) is not None and self.now + sleeps <= until:
            alarm = self.alarms.pop()
            self.now = alarm.due
            alarm.ring()
        self.now = until


ENGINES: dict[str, Callable[[], Stream]] = {
    "component": ready_component,
    "client": lambda: ready_pair()[0],
}


@pytest.fixture(params=ENGINES)
def stage(request: pytest.FixtureRequest) -> Stage:
    return Stage(ENGINES[request.param]())


def test_silence_is_asked_about_and_then_the_end(stage: Stage) -> None:
    assert stage.sleeps == KEEPALIVE
    stage.wait(KEEPALIVE - 1)
    assert stage.asked == 0
    stage.wait(1)
    assert stage.asked == 1
    assert b"urn:xmpp:" in stage.engine.data_to_send()
    stage.wait(TIMEOUT - 1)
    assert not stage.given_up
    stage.wait(1)
    assert stage.given_up
    assert stage.asked == 1
    assert stage.sleeps is None


def test_any_sign_of_life_gives_more_time(stage: Stage) -> None:
    stage.wait(KEEPALIVE)
    for _ in range(10):
        stage.wait(TIMEOUT - 1)
        stage.hear()
    assert not stage.given_up
    stage.wait(TIMEOUT + ACK_DELAY)  # but an answer is due still
    assert stage.given_up


def test_an_answer_ends_the_matter() -> None:
    stage = Stage(ready_pair()[0])
    stage.wait(KEEPALIVE)
    stage.wait(TIMEOUT - 1)
    stage.hear(b"<a xmlns='urn:xmpp:sm:3' h='0'/>")
    stage.wait(KEEPALIVE - 1)
    assert stage.asked == 1
    stage.wait(1)
    assert stage.asked == 2


def test_a_peer_that_talks_is_not_asked(stage: Stage) -> None:
    for _ in range(20):
        stage.wait(KEEPALIVE / 2)
        stage.hear()
    assert stage.asked == 0
    assert stage.sleeps == KEEPALIVE / 2


def test_what_was_sent_is_asked_about_soon_and_once(stage: Stage) -> None:
    stage.send()
    stage.send()
    assert stage.sleeps == ACK_DELAY
    stage.wait(ACK_DELAY)
    assert stage.asked == 1
    stage.wait(TIMEOUT / 2)
    assert stage.asked == 1
    stage.engine.management.prove(2)
    stage.engine.acks._asked = False
    stage.engine.acks._pings.clear()
    stage.hear()
    stage.wait(ACK_DELAY)
    assert not stage.pulse.watching
    assert stage.sleeps is not None
    assert stage.sleeps > KEEPALIVE / 2
    stage.send()
    assert stage.sleeps == ACK_DELAY


def test_the_end_comes_sooner_when_something_is_on_its_way(stage: Stage) -> None:
    stage.send()
    stage.wait(ACK_DELAY + TIMEOUT)
    assert stage.given_up
    assert stage.asked == 1


def test_what_the_engine_asks_by_itself_counts(stage: Stage) -> None:
    stage.send()
    stage.engine.request_ack()
    stage.wait(ACK_DELAY + TIMEOUT)
    assert stage.given_up
    assert stage.asked == 0


def test_whoever_does_not_listen_cannot_complain(stage: Stage) -> None:
    stage.send()
    stage.hears = False
    stage.wait(10 * KEEPALIVE)
    assert not stage.given_up
    stage.hears = True
    stage.wait(2 * KEEPALIVE)
    assert stage.given_up


def test_acknowledgements_are_asked_for_without_keepalive_too() -> None:
    for make in ENGINES.values():
        stage = Stage(make(), keepalive=0)
        assert stage.sleeps is None
        stage.send()
        stage.wait(1000)
        assert stage.asked == 1
        assert not stage.given_up


def test_nothing_happens_after_the_end(stage: Stage) -> None:
    stage.pulse.stop()
    stage.send()
    assert stage.sleeps is None
    stage.pulse.stop()


@pytest.mark.parametrize(("patience", "due"), [(None, 60.0), (300, 60.0), (30, 15.0)])
def test_a_server_that_announces_its_patience_hears_from_us_in_time(
    patience: float | None, due: float
) -> None:
    """XEP-0478."""
    stage = Stage(ready_component(), patience=patience)
    assert stage.alarms[-1].due == stage.now + due
    assert not Stage(ready_component(), keepalive=0, patience=patience).alarms
