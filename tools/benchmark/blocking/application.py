"""An echo of a component of its own, and an echo beside an action that sleeps in a thread."""

import os
import time

from actors import Component, blocking
from emp.routing import Routes


class Sleeper(Component):
    """One action sleeps in a thread, the other does not."""

    threads = int(os.environ["EMP_BENCH_THREADS"])

    @blocking
    def sleep(self) -> str:
        time.sleep(float(os.environ["EMP_BENCH_SLEEP"]))
        return "slept"

    def echo(self, body: str) -> str:
        return f"echo {body}"


class Echo(Component):
    """Answers every message."""

    def echo(self, body: str) -> str:
        return f"echo {body}"


routes = Routes()
routes.message(to="sleep@echo.localhost").to(Sleeper.sleep)
routes.message(to="same@echo.localhost").to(Sleeper.echo)
routes.message(to="other@echo.localhost").to(Echo.echo)
