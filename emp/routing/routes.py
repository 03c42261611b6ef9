"""What a routes file is written with.

    routes = Routes(namespaces={"tw": "urn:example:tweeter"})
    with routes.resource("tweets"):
        routes.iq_get("tw:tweet[@id]", id="tw:tweet/@id").to(Tweets.show)
    routes.message("[@type='chat']", from_="bar@localhost").to(Hackity.hack)
    routes.route("/message[re:test(body, '^!')]").to(Bot.command)

The order counts: the first route that matches wins. Here routes are only written down, each with
its place in the user's file; compile_routes() reads them, and reports all mistakes at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final

from emp.errors import JIDError, RouteError
from emp.jid import JID
from emp.routing.actions import resolve
from emp.routing.conditions import FIELDS, Wanted
from emp.routing.functions import PREDECLARED
from emp.routing.tokens import is_ncname
from emp.routing.xpath import CLIENT_PREFIX
from emp.stanza import Stanza

_OWN_PACKAGE: Final = __name__.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the user's files something was written."""

    file: str
    line: int

    def error(self, message: str, remedy: str | None = None) -> RouteError:
        """A RouteError about this place."""
        return RouteError(message, file=self.file, line=self.line, remedy=remedy)


@dataclass(slots=True)
class Declaration:
    """One route as it was written.

    wanted: keyword → value (`from_` and `to` may be templates, "{channel}@chat.example.org");
    namespaces: those of its Routes, which may have been included into others; target: class and
    action; prefixes: predicates "[…]" of include(), outermost first, that must hold too;
    connection: the scope; guard: `if_=`; defaults: values for arguments that nothing else fills;
    fallback: it comes after all routes that are none.
    """

    place: Place
    kind: str | None
    predicate: str | None
    wanted: dict[str, Any]
    captures: dict[str, Any]
    resource: str | None
    namespaces: Mapping[str, str]
    target: tuple[type, str] | None = None
    routed: bool = False  # .to() was called, rightly or wrongly
    connection: str | None = None
    guard: Callable[[Stanza], object] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    prefixes: tuple[str, ...] = ()
    fallback: bool = False


class RouteBuilder:
    """What the methods of Routes return: only `.to()` completes a route."""

    __slots__ = ("_declaration", "_mistakes")

    def __init__(self, declaration: Declaration, mistakes: list[RouteError]) -> None:
        self._declaration = declaration
        self._mistakes = mistakes

    def to(self, action: Callable[..., Any] | type, name: str | None = None) -> None:
        """Send what matches to an action: `.to(Tweets.show)`.

        Where Tweets only inherits `show`, write `.to(Tweets, "show")`: a reference to a function
        does not say by which class it was reached. Mistakes are reported by compile_routes().
        """
        declaration = self._declaration
        frame = _caller()
        here = _place(frame)
        if declaration.routed:
            self._mistakes.append(here.error("this route has its .to() already"))
            return
        declaration.routed = True
        try:
            declaration.target = resolve(action, name, {**frame.f_globals, **frame.f_locals})
        except RouteError as error:
            self._mistakes.append(here.error(error.message, error.remedy))


class Routes:
    """An ordered list of routes.

    The first argument of each method is XPath, in one of three forms: "[@type='chat']" is a
    predicate on the stanza, "tw:tweet[@id]" a path from the stanza (for an IQ get or set: to its
    one payload), "/message/body" a path from outside. The keywords in emp.routing.conditions
    narrow it further; every other keyword is a capture, an XPath from the stanza whose value the
    action gets by that name.
    """

    def __init__(self, namespaces: Mapping[str, str] | None = None) -> None:
        """namespaces: prefix → URI. No prefix means jabber:client; `re` and `jid` are there."""
        self.namespaces: Final[dict[str, str]] = {}
        self.declarations: Final[list[Declaration]] = []
        self.mistakes: Final[list[RouteError]] = []
        self._resource: str | None = None
        here = _place(_caller())
        for prefix, uri in (namespaces or {}).items():
            if problem := _namespace_problem(prefix, uri):
                self.mistakes.append(here.error(*problem))
            else:
                self.namespaces[prefix] = uri

    def message(
        self,
        xpath: str | None = None,
        /,
        *,
        from_: Wanted | None = None,
        to: Wanted | None = None,
        type: Wanted | None = None,
        id_: Wanted | None = None,
        body: Wanted | None = None,
        subject: Wanted | None = None,
        thread: Wanted | None = None,
        **captures: str,
    ) -> RouteBuilder:
        """A route for messages. An absent type counts as "normal" (RFC 6121 §5.2.2)."""
        wanted = {
            "from_": from_, "to": to, "type": type, "id_": id_,
            "body": body, "subject": subject, "thread": thread,
        }  # fmt: skip
        return self._declare("message", xpath, wanted, captures)

    def presence(
        self,
        xpath: str | None = None,
        /,
        *,
        from_: Wanted | None = None,
        to: Wanted | None = None,
        type: Wanted | None = None,
        id_: Wanted | None = None,
        **captures: str,
    ) -> RouteBuilder:
        """A route for presences. An absent type counts as "available"."""
        wanted = {"from_": from_, "to": to, "type": type, "id_": id_}
        return self._declare("presence", xpath, wanted, captures)

    def iq(
        self,
        xpath: str | None = None,
        /,
        *,
        from_: Wanted | None = None,
        to: Wanted | None = None,
        type: Wanted | None = None,
        id_: Wanted | None = None,
        **captures: str,
    ) -> RouteBuilder:
        """A route for IQs of any type."""
        wanted = {"from_": from_, "to": to, "type": type, "id_": id_}
        return self._declare("iq", xpath, wanted, captures)

    def iq_get(
        self,
        xpath: str | None = None,
        /,
        *,
        from_: Wanted | None = None,
        to: Wanted | None = None,
        id_: Wanted | None = None,
        **captures: str,
    ) -> RouteBuilder:
        """A route for IQs of type get."""
        wanted = {"from_": from_, "to": to, "type": "get", "id_": id_}
        return self._declare("iq", xpath, wanted, captures)

    def iq_set(
        self,
        xpath: str | None = None,
        /,
        *,
        from_: Wanted | None = None,
        to: Wanted | None = None,
        id_: Wanted | None = None,
        **captures: str,
    ) -> RouteBuilder:
        """A route for IQs of type set."""
        wanted = {"from_": from_, "to": to, "type": "set", "id_": id_}
        return self._declare("iq", xpath, wanted, captures)

    def route(
        self,
        xpath: str | None = None,
        /,
        *,
        from_: Wanted | None = None,
        to: Wanted | None = None,
        type: Wanted | None = None,
        id_: Wanted | None = None,
        body: Wanted | None = None,
        subject: Wanted | None = None,
        thread: Wanted | None = None,
        **captures: str,
    ) -> RouteBuilder:
        """A route for any stanza: "/message[re:test(body, '^!')]", "//x:form", or all of them."""
        wanted = {
            "from_": from_, "to": to, "type": type, "id_": id_,
            "body": body, "subject": subject, "thread": thread,
        }  # fmt: skip
        return self._declare(None, xpath, wanted, captures)

    def resource(self, name: str) -> AbstractContextManager[None]:
        """`with routes.resource("tweets"):` routes only for what comes to that resource.

        For a client: to the connection that is bound to it. For a component, whose users' stanzas
        may or may not name a resource: to this one or to none.
        """
        return self._scope(name, _place(_caller()))

    @contextmanager
    def _scope(self, name: str, here: Place) -> Iterator[None]:
        outer = self._resource
        if outer is not None:
            self.mistakes.append(
                here.error(
                    f"resource {name!r} inside of resource {outer!r}: a stanza comes to one",
                    "Write the two side by side",
                )
            )
        try:
            self._resource = JID.parse(f"localhost/{name}").resource
        except JIDError as error:
            self.mistakes.append(here.error(f"{name!r} is not a resource: {error}"))
        try:
            yield
        finally:
            self._resource = outer

    def _declare(
        self, kind: str | None, predicate: Any, wanted: dict[str, Any], captures: dict[str, Any]
    ) -> RouteBuilder:
        given = {name: wanted[name] for name in FIELDS if wanted.get(name) is not None}
        declaration = Declaration(
            _place(_caller()), kind, predicate, given, captures, self._resource, self.namespaces
        )
        self.declarations.append(declaration)
        return RouteBuilder(declaration, self.mistakes)


def _caller() -> FrameType:
    """The nearest frame outside of this package."""
    frame = sys._getframe(1)
    while frame.f_back and f"{frame.f_globals.get('__name__')}.".startswith(f"{_OWN_PACKAGE}."):
        frame = frame.f_back
    return frame


def _place(frame: FrameType) -> Place:
    return Place(frame.f_code.co_filename, frame.f_lineno)


def _namespace_problem(prefix: object, uri: object) -> tuple[str, str | None] | None:
    """(message, remedy) if the declaration cannot be right."""
    if not prefix:
        return (
            "there is no declaring a default namespace: no prefix means jabber:client",
            "Choose a prefix",
        )
    if not isinstance(prefix, str) or not is_ncname(prefix) or prefix == CLIENT_PREFIX:
        return f"{prefix!r} cannot be a namespace prefix", None
    if not isinstance(uri, str) or not uri:
        return f"the namespace of {prefix!r} is {uri!r}, not a text", None
    if PREDECLARED.get(prefix, uri) != uri:
        return f"the prefix {prefix!r} always stands for {PREDECLARED[prefix]}", "Choose another"
    return None
