"""`emp server` as a user starts it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path


def test_it_says_where_it_listens_and_stops_in_order(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "emp", "server", "--directory", str(tmp_path)]
    for option in ("--port", "--component-port", "--direct-port", "--websocket-port"):
        command += [option, "0"]
    process = subprocess.Popen([*command, "--component-tls"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if line.startswith("Ctrl-C"):
            break
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=20)
    shown = "\n".join(lines)
    assert "STARTTLS" in shown
    assert shown.count("TLS from the first byte") == 2
    assert "wss://localhost:" in shown
    assert (rest, process.returncode) == ("stopped\n", 0)
