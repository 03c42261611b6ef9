"""A result as text."""

from __future__ import annotations

from tools.benchmark.report import table
from tools.soaking.run import Result

NAMES = {
    "in": "users → application",
    "answer": "  its answers",
    "out": "application → users",
    "ack": "  their answers",
}


def render(result: Result) -> str:
    """What was done, the figures, and what is wrong, if anything."""
    settings, faults, life = result.settings, result.faults, result.life
    head = ["messages", *next(iter(result.accounts.values())).figures()]
    rows = [head] + [
        [NAMES.get(topic, topic), *(f"{number:,}" for number in account.figures().values())]
        for topic, account in result.accounts.items()
    ]
    lines = [
        f"{settings.kind} on {settings.server}, {settings.system}, seed {settings.seed}:"
        f" {result.seconds:.0f} s",
        f"faults: {faults['fin']} FIN, {faults['rst']} RST, {faults['stall']} stalls;"
        f" {result.connections} connections",
        f"sessions: {life['connected']} new, {life['resumed']} resumed,"
        f" {life['disconnected']} interruptions",
        "",
        table(rows),
        "",
    ]
    return "\n".join([*lines, *(result.complaints or ["all is well"])])
