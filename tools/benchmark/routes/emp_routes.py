"""An echo component in EMP with many routes."""

import re

from actors import Component
from emp.routing import Routes
from tools.benchmark.routes.shapes import NAMESPACES, Shape, chosen

PREFIXES = {namespace: f"n{number}" for number, namespace in enumerate(NAMESPACES)}
routes = Routes(namespaces={prefix: namespace for namespace, prefix in PREFIXES.items()})


class Echo(Component):
    """Answers every message that a route sends here."""

    def echo(self, body: str) -> str:
        return f"echo {body}"


def add(shape: Shape) -> None:
    """One route."""
    xpath = None
    if shape.payload:
        namespace, name = shape.payload
        xpath = f"{PREFIXES[namespace]}:{name}" + (f"[@node='{shape.node}']" if shape.node else "")
    elif shape.senders:
        xpath = "[" + " or ".join(f"@from='{sender}'" for sender in shape.senders) + "]"
    routes.message(
        xpath,
        type=shape.attributes.get("type"),
        from_=shape.attributes.get("from"),
        to=shape.attributes.get("to"),
        id_=shape.attributes.get("id"),
        body=re.compile(shape.pattern) if shape.pattern else shape.body,
    ).to(Echo.echo)


for each in chosen():
    add(each)
