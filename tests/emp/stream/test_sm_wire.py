"""Stream management under fire: a wire that is cut anywhere, and two ends that go on."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from emp.stream.engine import Stream
from emp.stream.events import Event
from emp.stream.management import MODULUS, Management
from tests.emp.stream.managed import (
    Keeper,
    Reader,
    feed_to,
    managed_client,
    managed_server,
    numbered,
    shift,
    talk,
)

CLIENT, SERVER = 0, 1
SIDES = st.sampled_from([CLIENT, SERVER])
COUNTS = st.integers(1, 150)


class Wire(RuleBasedStateMachine):
    """Client and server send numbered messages; what each of them handles is up to chance."""

    def __init__(self) -> None:
        super().__init__()
        self.keeper = Keeper()
        self.books = [Management(), Management()]
        self.sent = [0, 0]  # messages by each side
        self.handled = [0, 0]  # of what each side read
        self.pipes = [b"", b""]  # what each side wrote and the other has not read
        self.ends: list[Stream] = []

    @initialize(start=st.sampled_from([0, 1, 100, MODULUS - 1, MODULUS - 70]))
    def log_in(self, start: int) -> None:
        self._connect()
        talk(self.ends[CLIENT], self.ends[SERVER], lambda end, events: None)
        (kept,) = self.keeper.sessions.values()
        self.books[SERVER] = kept
        self.readers = [Reader(books) for books in self.books]
        for books in self.books:
            assert books.active
            shift(books, start)

    def _connect(self) -> None:
        self.ends = [managed_client(self.books[CLIENT]), managed_server(self.keeper)]
        self.pipes = [b"", b""]
        self.ends[CLIENT].start()

    def _hear(self, end: Stream, events: list[Event]) -> None:
        self.readers[self.ends.index(end)].take(events)

    def _write(self, side: int) -> None:
        self.pipes[side] += self.ends[side].data_to_send()

    # -- what can happen ---------------------------------------------------------------------

    @rule(side=SIDES, count=COUNTS)
    def send(self, side: int, count: int) -> None:
        stanzas = numbered(self.sent[side], count)
        if self.ends[side].ready:
            self.ends[side].send(stanzas)
        elif side == SERVER:  # its session sleeps
            self.books[SERVER].record(stanzas)
        else:
            return
        self.sent[side] += count

    @rule(side=SIDES, size=st.integers(0, 20_000))
    def carry(self, side: int, size: int) -> None:
        self._write(side)
        piece, self.pipes[side] = self.pipes[side][:size], self.pipes[side][size:]
        self._hear(self.ends[1 - side], feed_to(self.ends[1 - side], piece))

    @rule(side=SIDES, count=COUNTS)
    def handle(self, side: int, count: int) -> None:
        self.handled[side] = min(self.handled[side] + count, self.readers[side].last)
        self.ends[side].handled(self.handled[side])

    @rule(side=SIDES)
    def ask(self, side: int) -> None:
        self.ends[side].request_ack()

    @rule(sizes=st.tuples(st.integers(0, 20_000), st.integers(0, 20_000)))
    def cut(self, sizes: tuple[int, int]) -> None:
        for side in (CLIENT, SERVER):
            self.carry(side, sizes[side])
        for end in self.ends:
            end.receive_eof()
        self._connect()

    @precondition(lambda self: not self.ends[CLIENT].ready)
    @rule()
    def come_back(self) -> None:
        self._settle()
        assert all(end.ready for end in self.ends)

    # -- what must be ------------------------------------------------------------------------

    @invariant()
    def nothing_is_lost_doubled_or_out_of_order(self) -> None:
        for side in (CLIENT, SERVER) if self.ends else ():
            bodies = self.readers[side].bodies
            assert bodies == [str(number) for number in range(len(bodies))]

    @invariant()
    def nobody_acknowledged_what_was_not_handled(self) -> None:
        for side in (CLIENT, SERVER) if self.ends else ():
            kept = len(self.books[side].unacknowledged)
            assert self.sent[side] - kept <= self.handled[1 - side]

    def _settle(self) -> None:
        for side in (CLIENT, SERVER):
            self._write(side)
            self._hear(self.ends[1 - side], feed_to(self.ends[1 - side], self.pipes[side]))
            self.pipes[side] = b""
        talk(self.ends[CLIENT], self.ends[SERVER], self._hear)

    def teardown(self) -> None:
        if not self.ends:
            return
        self._settle()
        for side in (CLIENT, SERVER):
            self.handle(side, 1_000_000)
        for end in self.ends:
            end.request_ack()
        talk(self.ends[CLIENT], self.ends[SERVER], self._hear)
        for side in (CLIENT, SERVER):
            assert len(self.readers[side].bodies) == self.sent[1 - side]
            assert not self.books[side].unacknowledged
            assert not self.books[side].lost


TestWire = Wire.TestCase
TestWire.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
