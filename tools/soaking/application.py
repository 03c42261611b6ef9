"""The process of the application under fire: `emp start`, as a user runs it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tools.soaking.errors import SoakError
from tools.soaking.place import ACCOUNT, DOMAIN, Place
from tools.soaking.settings import KEEPALIVE, PING_TIMEOUT, Settings

ROOT = Path(__file__).resolve().parents[2]
SUBJECT = Path(__file__).parent / "subject" / "soaked.py"
STOP_SECONDS = 20.0
LOG_TAIL = 20
"""Lines of its output that an error shows."""

CONNECTION = f"""\
[connections.soak]
server = "127.0.0.1"
port = {{port}}
keepalive = {KEEPALIVE}
ping_timeout = {PING_TIMEOUT}
connect_timeout = 15
"""

KINDS = {
    "client": f"""\
kind = "client"
node = "{ACCOUNT}"
host = "{DOMAIN}"
password = "pw-{ACCOUNT}"
ca_file = "{{place.ca_file}}"
""",
    "component": """\
host = "{place.component}"
secret = "{place.secret}"
""",
}


class Application:
    """Connects to `port` of loopback, which is the proxy's. Its journal is `journal`."""

    def __init__(
        self, settings: Settings, place: Place, port: int, users: dict[str, str], directory: Path
    ) -> None:
        self.address = (
            f"{ACCOUNT}@{DOMAIN}/soak" if settings.kind == "client" else f"app@{place.component}"
        )
        self.journal = directory / "application.journal"
        self._log = directory / "application.log"
        self.journal.touch()
        config = directory / "emp.toml"
        config.write_text((CONNECTION + KINDS[settings.kind]).format(port=port, place=place))
        told = {
            "users": users,
            "messages": settings.each,
            "window": settings.window_each,
            "seed": settings.seed,
            "journal": str(self.journal),
        }
        runtime = directory / "runtime"
        runtime.mkdir(mode=0o700)
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [
                    # It ends with us, whatever ends us.
                    *("setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "emp"),
                    *("start", str(SUBJECT), "--config", str(config)),
                    *("--system", settings.system),
                ],
                cwd=ROOT,
                env={
                    **os.environ,
                    "EMP_SOAK": json.dumps(told),
                    "EMP_RUNTIME_DIR": str(runtime),
                    "PYTHONUNBUFFERED": "1",
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def require(self) -> None:
        """Raises SoakError when it does not run any more."""
        code = self._process.poll()
        if code is not None:
            raise SoakError(f"the application ended with exit code {code}\n{self.tail()}")

    def tail(self) -> str:
        """The end of what it said."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-LOG_TAIL:])

    def stop(self) -> int:
        """Stop it in order, or else by force; returns its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()
