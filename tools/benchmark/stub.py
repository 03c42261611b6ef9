"""The server stub (stub.c): compiled when needed, run once per measurement."""

import hashlib
import json
import os
import select
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.benchmark.errors import BenchError

SOURCE = Path(__file__).with_name("stub.c")
FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror", "-std=gnu11")


@dataclass(frozen=True, slots=True)
class Load:
    """What the component is given to do.

    warm_up: messages before anything is measured, for warm_up_seconds at most. round_trips:
    messages of the latency phase, of which in_flight are on their way at any time, and besides them
    one of each of the sleepers. Then the flood: `stanzas` messages, or as many as go out in
    `seconds` when stanzas is None. window: how many may be on their way in warm-up and flood; None:
    as many as the socket takes. users: different senders. to: the local part of the address that
    messages go to. stall: seconds without any answer after which the component counts as dead.
    """

    warm_up: int = 20_000
    round_trips: int = 5_000
    in_flight: int = 1
    stanzas: int | None = None
    seconds: float = 5.0
    stall: int = 20
    warm_up_seconds: float | None = None
    sleepers: int = 0
    window: int | None = None
    users: int | None = None
    to: str | None = None

    def arguments(self) -> list[str]:
        """The stub's command line."""
        pairs = [
            ("--warm-up", self.warm_up),
            ("--warm-up-seconds", self.warm_up_seconds),
            ("--round-trips", self.round_trips),
            ("--in-flight", self.in_flight),
            ("--sleepers", self.sleepers),
            ("--stanzas", self.stanzas),
            ("--seconds", self.seconds if self.stanzas is None else None),
            ("--window", self.window),
            ("--users", self.users),
            ("--to", self.to),
            ("--stall", self.stall),
        ]
        return [str(word) for pair in pairs if pair[1] is not None for word in pair]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run has shown. `stub_cpu` is the share of one core that the stub itself took in the
    flood: near 1.0, the stub and not the component is what was measured. `slept`: messages of
    sleepers that were answered in the latency phase, which took `latency_seconds`."""

    stanzas: int
    seconds: float
    stub_cpu: float
    round_trips_ns: tuple[int, ...]
    slept: int = 0
    latency_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answered stanzas per second of the flood."""
        return self.stanzas / self.seconds


def compile_stub(cache: Path) -> Path:
    """The compiled stub in the directory `cache`, made when the source has changed.

    Raises BenchError when there is no C compiler or it refuses the source.
    """
    key = hashlib.sha256(SOURCE.read_bytes() + repr(FLAGS).encode()).hexdigest()[:16]
    program = cache / f"stub-{key}"
    if program.exists():
        return program
    cache.mkdir(parents=True, exist_ok=True)
    # Compiled beside it and then renamed: another benchmark may be starting at the same time.
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        made = Path(scratch) / "stub"
        try:
            done = subprocess.run(
                ["cc", *FLAGS, "-o", str(made), str(SOURCE)],
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            raise BenchError("there is no C compiler: apt-get install gcc libc6-dev") from None
        if done.returncode:
            raise BenchError(f"cc refuses {SOURCE.name}:\n{done.stderr}")
        made.replace(program)
    return program


class Stub:
    """A running stub that waits for its component on `port`. Use it in a `with` block."""

    def __init__(self, program: Path, load: Load, *, count_only: bool = False) -> None:
        self._process = subprocess.Popen(
            [str(program), *load.arguments(), *(["--count-only"] if count_only else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # a line that a buffer holds already would not wake the poll
            start_new_session=True,
        )
        try:
            self.port = int(self._line().removeprefix("port "))
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> "Stub":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def wait_for_flood(self, component: "subprocess.Popen[bytes]") -> None:
        """Waits until the flood begins. Raises BenchError when that will never be."""
        if self._next(component) != "flood":
            raise BenchError("the stub does not speak as it should")

    def outcome(self, component: "subprocess.Popen[bytes]") -> Outcome:
        """Waits, after wait_for_flood, until the component has done all.

        The stream stays open afterwards: the component lives until the `with` block ends or it is
        stopped. Raises BenchError when it failed or answered wrongly.
        """
        return read_outcome(json.loads(self._next(component)))

    def _next(self, component: "subprocess.Popen[bytes]") -> str:
        """The next line. Raises BenchError when stub or component have ended instead."""
        assert self._process.stdout is not None
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN)
        component_end = os.pidfd_open(component.pid)
        poll.register(component_end, select.POLLIN)
        try:
            ready = {descriptor for descriptor, _ in poll.poll()}
        finally:
            os.close(component_end)
        if self._process.stdout.fileno() not in ready:
            raise BenchError(f"ended by itself with code {component.wait()}")
        return self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        if line := self._process.stdout.readline():
            return line.decode().rstrip()
        raise BenchError(self._process.stderr.read().decode().strip().removeprefix("stub: "))


def read_outcome(data: dict[str, Any]) -> Outcome:
    """The stub's line of JSON as an Outcome. Raises BenchError when there were wrong answers."""
    if data["wrong"]:
        raise BenchError(f"{data['wrong']} wrong answers, the first: {data['first_wrong']}")
    return Outcome(
        stanzas=data["stanzas"],
        seconds=data["seconds"],
        stub_cpu=data["stub_cpu"],
        round_trips_ns=tuple(data["round_trips_ns"]),
        slept=data["slept"],
        latency_seconds=data["latency_seconds"],
    )
