"""The echo component in EMP that tools/bench measures: one route, one action."""

from actors import Component
from emp.routing import Routes


class Echo(Component):
    """Answers every message."""

    def echo(self, body: str) -> str:
        return f"echo {body}"


routes = Routes()
routes.message().to(Echo.echo)
