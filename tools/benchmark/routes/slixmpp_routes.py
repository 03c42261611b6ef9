"""An echo component in slixmpp with many handlers.

Payloads are matched as its own plugins do it, with MatchXPath. Its StanzaPath cannot say a JID with
a resource, so attributes and texts have matchers of their own, which is also the quickest.
"""

import asyncio
import re
import sys
from typing import Any

from slixmpp.componentxmpp import ComponentXMPP
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatcherId, MatchXPath
from slixmpp.xmlstream.matcher.base import MatcherBase

from tools.benchmark.routes.shapes import Shape, chosen

ACCEPT = "jabber:component:accept"


class MatchAttributes(MatcherBase):
    """Attributes of the stanza that have these values."""

    def match(self, xml: Any) -> bool:
        get = xml.xml.get
        return all(get(name) == value for name, value in self._criteria.items())


class MatchSender(MatcherBase):
    """The sender is one of several."""

    def match(self, xml: Any) -> bool:
        return xml.xml.get("from") in self._criteria


class MatchText(MatcherBase):
    """The body is this."""

    def match(self, xml: Any) -> bool:
        return bool(xml.xml.findtext(f"{{{ACCEPT}}}body") == self._criteria)


class MatchBody(MatcherBase):
    """A regular expression is found in the body."""

    def match(self, xml: Any) -> bool:
        return self._criteria.search(xml.xml.findtext(f"{{{ACCEPT}}}body") or "") is not None


class MatchAll(MatcherBase):
    """All of several matchers."""

    def match(self, xml: Any) -> bool:
        return all(matcher.match(xml) for matcher in self._criteria)


def matcher(shape: Shape) -> Any:
    """The matcher for one shape."""
    if shape.pattern:
        return MatchBody(re.compile(shape.pattern))
    if shape.senders:
        return MatchSender(shape.senders)
    if shape.body:
        return MatchText(shape.body)
    found: list[Any] = []
    if set(shape.attributes) == {"id"}:
        found.append(MatcherId(shape.attributes["id"]))
    elif shape.attributes:
        found.append(MatchAttributes(shape.attributes))
    if shape.payload:
        namespace, name = shape.payload
        node = f"[@node='{shape.node}']" if shape.node else ""
        found.append(MatchXPath(f"{{{ACCEPT}}}message/{{{namespace}}}{name}{node}"))
    return found[0] if len(found) == 1 else MatchAll(found)


class Echo(ComponentXMPP):
    """Answers every message that a handler gets."""

    def __init__(self, port: int) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            "echo.localhost", "secret", "127.0.0.1", port
        )
        for number, shape in enumerate(chosen()):
            self.register_handler(Callback(f"route {number}", matcher(shape), self.echo))

    def echo(self, message: Any) -> None:
        message.reply("echo " + message["body"]).send()


async def main() -> None:
    echo = Echo(int(sys.argv[1]))
    echo.connect()
    await echo.disconnected


asyncio.run(main())
