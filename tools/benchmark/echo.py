"""The echo benchmark: every peer answers the same load from the same stub, in turns."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.benchmark import processes
from tools.benchmark.errors import BenchError
from tools.benchmark.peers import PEERS, ROOT, Peer, install_packages
from tools.benchmark.report import Measurement, Summary, summarise
from tools.benchmark.stub import Load, Stub, compile_stub

CACHE = ROOT / "build" / "benchmark"
OUTPUT_TAIL = 15
"""Lines of a failed peer's output that are shown."""


def run(names: Sequence[str], load: Load, runs: int) -> list[Summary]:
    """Measures the peers of these names `runs` times each: A B C A B C …, so that what changes on
    the machine meanwhile meets all of them. Progress goes to stderr. Raises BenchError."""
    install_packages("gcc", "libc6-dev")
    program = compile_stub(CACHE)
    peers = [PEERS[name] for name in names]
    for peer in peers:
        peer.prepare(CACHE)
    versions = {peer.name: peer.version(CACHE) for peer in peers}
    processes.adopt_orphans()
    measured: dict[str, list[Measurement]] = {name: [] for name in names}
    for number in range(1, runs + 1):
        for peer in peers:
            measurement = measure(peer, program, load)
            measured[peer.name].append(measurement)
            _progress(f"run {number}/{runs}  {peer.name:<14}{measurement.outcome.rate:>11,.0f}/s")
    return summarise(measured, versions)


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
            outcome = stub.outcome(process)
            return Measurement(outcome, processes.peak_memory(processes.others(keep)))
        except BenchError as error:
            output.seek(0)
            tail = output.read().decode(errors="replace").splitlines()[-OUTPUT_TAIL:]
            shown = "".join(f"\n    {line}" for line in tail)
            raise BenchError(f"{peer.name}: {error}{shown}") from None
        finally:
            processes.stop(process, keep)


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
