"""An echo component in Twisted Words with many observers.

Its XPath has no regular expressions, so each of those is an observer of all messages with a text,
which looks for itself.
"""

import functools
import importlib
import re
import sys
from typing import Any

from tools.benchmark.routes.shapes import Shape, chosen

# Twisted is there when this runs, not when types are checked.
component: Any = importlib.import_module("twisted.words.protocols.jabber.component")
domish: Any = importlib.import_module("twisted.words.xish.domish")
reactor: Any = importlib.import_module("twisted.internet.reactor")

ACCEPT = "jabber:component:accept"


def query(shape: Shape) -> str:
    """The XPath of one shape, in the dialect of twisted.words.xish.xpath."""
    conditions = [f"@{name}='{value}'" for name, value in shape.attributes.items()]
    if shape.senders:
        conditions.append(" or ".join(f"@from='{sender}'" for sender in shape.senders))
    path = f"/message[{' and '.join(conditions)}]" if conditions else "/message"
    if shape.pattern:
        return f"{path}/body"
    if shape.body:
        return f"{path}/body[text()='{shape.body}']"
    if shape.payload:
        namespace, name = shape.payload
        node = f" and @node='{shape.node}'" if shape.node else ""
        return f"{path}/{name}[@xmlns='{namespace}'{node}]"
    return path


class Echo(component.Service):  # type: ignore[misc]
    """Answers every message that an observer gets."""

    def componentConnected(self, xs: Any) -> None:
        for shape in chosen():
            pattern = re.compile(shape.pattern) if shape.pattern else None
            # A function of its own, for the same one is not added twice to the same XPath.
            xs.addObserver(query(shape), functools.partial(self.echo, pattern))

    def echo(self, pattern: re.Pattern[str] | None, message: Any) -> None:
        body = str(message.body)
        if pattern is not None and not pattern.search(body):
            return
        reply = domish.Element((ACCEPT, "message"))
        reply["type"] = message["type"]
        reply["to"] = message["from"]
        reply["from"] = message["to"]
        reply.addElement("body", content=f"echo {body}")
        self.send(reply)


def main() -> None:
    manager = component.buildServiceManager(
        "echo.localhost", "secret", f"tcp:127.0.0.1:{sys.argv[1]}"
    )
    Echo().setServiceParent(manager)
    manager.startService()
    reactor.run()


main()
