"""Instructions that processes execute, where `perf` can count them: neighbours hardly matter."""

import contextlib
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

EVENT = "instructions:u"
END_SECONDS = 5.0
"""How long perf may take to write down what it has counted."""


class Instructions:
    """The number of instructions, once the `with` block of `counting` has ended; None if nobody can
    tell: there is no perf, it is not allowed, or the (virtual) processor has no counter."""

    def __init__(self) -> None:
        self.count: int | None = None


@contextlib.contextmanager
def counting(pids: list[int]) -> Iterator[Instructions]:
    """Counts what these processes, and the threads that they start, execute in user mode."""
    found = Instructions()
    perf = shutil.which("perf")
    if perf is None or not pids:
        yield found
        return
    with tempfile.TemporaryDirectory(prefix="emp-perf-") as scratch:
        output = Path(scratch) / "counts"
        process = subprocess.Popen(
            [perf, "stat", "-x", ",", "-e", EVENT, "-o", str(output), "-p", _joined(pids)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield found
            process.send_signal(signal.SIGINT)  # the end of counting; perf writes its report
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS)
                found.count = _count(output.read_text(errors="replace") if output.exists() else "")
        finally:
            process.kill()
            process.wait()


def _joined(pids: list[int]) -> str:
    return ",".join(map(str, pids))


def _count(report: str) -> int | None:
    """The count in perf's report: lines of count, unit, event and more, separated by commas."""
    for line in report.splitlines():
        count, _, rest = line.partition(",")
        if count.isdecimal() and EVENT.partition(":")[0] in rest:
            return int(count)
    return None
