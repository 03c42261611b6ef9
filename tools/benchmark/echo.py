"""The echo benchmark: every peer answers the same load from the same stub, in turns."""

from collections.abc import Sequence

from tools.benchmark import processes
from tools.benchmark.measuring import CACHE, measure, progress
from tools.benchmark.peers import PEERS, install_packages
from tools.benchmark.report import Measurement, Summary, summarise
from tools.benchmark.stub import Load, compile_stub


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
            progress(
                f"run {number}/{runs}  {peer.name:<14}{measurement.outcome.rate:>11,.0f}/s"
                f"{measurement.cpu_us:>8.1f} µs of processor each"
            )
    return summarise(measured, versions)
