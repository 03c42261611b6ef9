"""One run of one peer under one load."""

import sys
import tempfile
from pathlib import Path

from tools.benchmark import processes
from tools.benchmark.counters import counting
from tools.benchmark.errors import BenchError
from tools.benchmark.peers import ROOT, Peer
from tools.benchmark.report import Measurement
from tools.benchmark.stub import Load, Stub

CACHE = ROOT / "build" / "benchmark"
OUTPUT_TAIL = 15
"""Lines of a failed peer's output that are shown."""


def measure(peer: Peer, program: Path, load: Load) -> Measurement:
    """One run of one peer. Nothing of it is left afterwards. Raises BenchError."""
    with (
        tempfile.TemporaryDirectory(prefix="emp-bench-") as scratch,
        (Path(scratch) / "output").open("w+b") as output,
        Stub(program, load, count_only=peer.count_only) as stub,
    ):
        directory = Path(scratch)
        keep = processes.ours()  # the stub, and whatever else this process has started
        process = processes.start(peer.command(CACHE, directory, stub.port), directory, output)
        try:
            stub.wait_for_flood(process)
            pids = processes.others(keep)
            with counting(pids) as instructions:
                before = processes.cpu_seconds(pids)
                outcome = stub.outcome(process)
                cpu = processes.cpu_seconds(pids) - before
            memory = processes.peak_memory(pids)
            return Measurement(outcome, memory, cpu, instructions.count)
        except BenchError as error:
            output.seek(0)
            tail = output.read().decode(errors="replace").splitlines()[-OUTPUT_TAIL:]
            shown = "".join(f"\n    {line}" for line in tail)
            raise BenchError(f"{peer.name}: {error}{shown}") from None
        finally:
            processes.stop(process, keep)


def progress(text: str) -> None:
    """Tells the person who waits, on stderr."""
    print(text, file=sys.stderr, flush=True)
