"""What a routes file is written with.

    routes = Routes(namespaces={"tw": "urn:example:tweeter"})
    with routes.resource("tweets"):
        routes.iq_get("tw:tweet[@id]", id="tw:tweet/@id").to(Tweets.show)
    routes.message("[@type='chat']", from_="bar@localhost").to(Hackity.hack)
    routes.route("/message[re:test(body, '^!')]").to(Bot.command)
    routes.include(moderation, "[@type='groupchat']")
    routes.fallback().to(Bot.bewildered)

The order counts: the first route that matches wins, and fallbacks come after all others. Here
routes are only written down, each with its place in the user's file; compile_routes() reads them,
and reports all mistakes at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from emp.errors import JIDError, RouteError
from emp.jid import JID
from emp.routing.builder import RouteBuilder, checked_defaults, namespace_problem
from emp.routing.conditions import FIELDS, Wanted
from emp.routing.declarations import Declaration, Place, Prefix, caller, place_of
from emp.routing.guards import Guard, check_guard
from emp.routing.packs import Inclusion, included, no_pack

__all__ = ["Declaration", "Place", "Prefix", "RouteBuilder", "Routes"]


class Routes:
    """An ordered list of routes.

    The first argument of each method is XPath, in one of three forms: "[@type='chat']" is a
    predicate on the stanza, "tw:tweet[@id]" a path from the stanza (for an IQ get or set: to its
    one payload), "/message/body" a path from outside. The keywords in emp.routing.conditions
    narrow it further. `if_` is a function that takes the stanza and has the last word; `defaults`
    gives arguments of the action that nothing else fills. Every other keyword is a capture, an
    XPath from the stanza whose value the action gets by that name.
    """

    def __init__(self, namespaces: Mapping[str, str] | None = None) -> None:
        """namespaces: prefix → URI. No prefix means jabber:client; `re` and `jid` are there."""
        self.namespaces: Final[dict[str, str]] = {}
        self.declarations: Final[list[Declaration]] = []
        self.mistakes: Final[list[RouteError]] = []
        self._packs: Final[list[tuple[Routes, Place]]] = []
        self._included: Place | None = None  # where these were first included themselves
        self._scopes: Final[dict[str, str]] = {}
        here = place_of(caller())
        for prefix, uri in (namespaces or {}).items():
            if problem := namespace_problem(prefix, uri):
                self.mistakes.append(here.error(*problem))
            else:
                self.namespaces[prefix] = uri

    def all_mistakes(self) -> list[RouteError]:
        """What is known to be wrong before anything is compiled, also in packs."""
        found = list(self.mistakes)
        for pack, include in self._packs:
            found += map(include.reached, pack.all_mistakes())
        return found

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
        if_: Guard | None = None,
        defaults: Mapping[str, Any] | None = None,
        **captures: str,
    ) -> RouteBuilder:
        """A route for messages. An absent type, or one that nobody knows, counts as "normal" (RFC
        6121 §5.2.2). Where neither `type` nor the XPath says anything of types, it is for normal
        messages and chat; type="*" is for all.
        """
        wanted = {
            "from_": from_, "to": to, "type": type, "id_": id_,
            "body": body, "subject": subject, "thread": thread,
        }  # fmt: skip
        return self._declare("message", xpath, wanted, captures, if_, defaults)

    def presence(
        self,
        xpath: str | None = None,
        /,
        *,
        from_: Wanted | None = None,
        to: Wanted | None = None,
        type: Wanted | None = None,
        id_: Wanted | None = None,
        if_: Guard | None = None,
        defaults: Mapping[str, Any] | None = None,
        **captures: str,
    ) -> RouteBuilder:
        """A route for presences. An absent type counts as "available"."""
        wanted = {"from_": from_, "to": to, "type": type, "id_": id_}
        return self._declare("presence", xpath, wanted, captures, if_, defaults)

    def iq(
        self,
        xpath: str | None = None,
        /,
        *,
        from_: Wanted | None = None,
        to: Wanted | None = None,
        type: Wanted | None = None,
        id_: Wanted | None = None,
        if_: Guard | None = None,
        defaults: Mapping[str, Any] | None = None,
        **captures: str,
    ) -> RouteBuilder:
        """A route for IQs of any type."""
        wanted = {"from_": from_, "to": to, "type": type, "id_": id_}
        return self._declare("iq", xpath, wanted, captures, if_, defaults)

    def iq_get(
        self,
        xpath: str | None = None,
        /,
        *,
        from_: Wanted | None = None,
        to: Wanted | None = None,
        id_: Wanted | None = None,
        if_: Guard | None = None,
        defaults: Mapping[str, Any] | None = None,
        **captures: str,
    ) -> RouteBuilder:
        """A route for IQs of type get."""
        wanted = {"from_": from_, "to": to, "type": "get", "id_": id_}
        return self._declare("iq", xpath, wanted, captures, if_, defaults)

    def iq_set(
        self,
        xpath: str | None = None,
        /,
        *,
        from_: Wanted | None = None,
        to: Wanted | None = None,
        id_: Wanted | None = None,
        if_: Guard | None = None,
        defaults: Mapping[str, Any] | None = None,
        **captures: str,
    ) -> RouteBuilder:
        """A route for IQs of type set."""
        wanted = {"from_": from_, "to": to, "type": "set", "id_": id_}
        return self._declare("iq", xpath, wanted, captures, if_, defaults)

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
        if_: Guard | None = None,
        defaults: Mapping[str, Any] | None = None,
        **captures: str,
    ) -> RouteBuilder:
        """A route for any stanza: "/message[re:test(body, '^!')]", "//x:form", or all of them; of
        messages, as message() is."""
        wanted = {
            "from_": from_, "to": to, "type": type, "id_": id_,
            "body": body, "subject": subject, "thread": thread,
        }  # fmt: skip
        return self._declare(None, xpath, wanted, captures, if_, defaults)

    def fallback(
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
        if_: Guard | None = None,
        defaults: Mapping[str, Any] | None = None,
        **captures: str,
    ) -> RouteBuilder:
        """A route for what no other route catches, wherever this one stands; of messages, as
        message() is."""
        wanted = {
            "from_": from_, "to": to, "type": type, "id_": id_,
            "body": body, "subject": subject, "thread": thread,
        }  # fmt: skip
        return self._declare(None, xpath, wanted, captures, if_, defaults, fallback=True)

    def include(
        self,
        other: Routes,
        prefix: str | None = None,
        *,
        from_: Wanted | None = None,
        to: Wanted | None = None,
        type: Wanted | None = None,
        if_: Guard | None = None,
    ) -> None:
        """The routes of a pack, at this place of the order and in the present scopes.

        They keep their own namespaces and conditions, and match only where these hold too: the
        prefix, "[@type='groupchat']" or "/message[…]", in our namespaces; the keywords; the guard.
        A pack must be complete before it is included: what is added later is a mistake.
        """
        here = place_of(caller())
        if not self._is_pack(other, here) or self._is_closed(here):
            return
        if other._included is None:
            other._included = here
        if all(pack is not other for pack, _ in self._packs):
            self._packs.append((other, here))
        named = {"from_": from_, "to": to, "type": type}
        inclusion = Inclusion(
            here,
            None if prefix is None else Prefix(prefix, self.namespaces),
            {name: value for name, value in named.items() if value is not None},
            if_,
            self._scopes.get("resource"),
            self._scopes.get("connection"),
        )
        try:
            inclusion.check()
        except RouteError as error:
            self.mistakes.append(here.error(error.message, error.remedy))
            return
        for declaration in other.declarations:
            try:
                self.declarations.append(included(declaration, inclusion))
            except RouteError as error:
                place = declaration.place.within(here)
                self.mistakes.append(place.error(error.message, error.remedy))

    def _is_pack(self, other: object, here: Place) -> bool:
        if isinstance(other, Routes) and other is not self:
            return True
        if other is self:
            self.mistakes.append(here.error("these routes include themselves", "Name another"))
        else:
            self.mistakes.append(here.error(*no_pack(other, Routes)))
        return False

    def _is_closed(self, here: Place) -> bool:
        """Whether others have included these routes, so that nothing may be added any more."""
        if self._included is not None:
            self.mistakes.append(
                here.error(
                    f"this comes too late: the pack was included at {self._included} already",
                    "Complete a pack before it is included",
                )
            )
        return self._included is not None

    def resource(self, name: str) -> AbstractContextManager[None]:
        """`with routes.resource("tweets"):` routes only for what comes to that resource.

        For a client: to the connection that is bound to it. For a component, whose users' stanzas
        may or may not name a resource: to this one or to none.
        """
        here = place_of(caller())
        try:
            resource = JID.parse(f"localhost/{name}").resource or ""
        except JIDError as error:
            self.mistakes.append(here.error(f"{name!r} is not a resource: {error}"))
            resource = str(name)  # so that its routes do not hide those outside
        return self._scope("resource", resource, here)

    def connection(self, name: str) -> AbstractContextManager[None]:
        """`with routes.connection("main"):` routes only for what comes by [connections.main].

        It may stand in resource(), and resource() in it.
        """
        here = place_of(caller())
        if not isinstance(name, str) or not name:
            remedy = "Write the NAME of [connections.NAME]"
            self.mistakes.append(here.error(f"{name!r} is not the name of a connection", remedy))
        return self._scope("connection", str(name), here)

    @contextmanager
    def _scope(self, what: str, name: str, here: Place) -> Iterator[None]:
        outer = self._scopes.get(what)
        if outer is not None:
            message = f"{what} {name!r} inside of {what} {outer!r}: a stanza comes to one"
            self.mistakes.append(here.error(message, "Write the two side by side"))
        self._scopes[what] = name
        try:
            yield
        finally:
            if outer is None:
                self._scopes.pop(what, None)
            else:
                self._scopes[what] = outer

    def _declare(
        self,
        kind: str | None,
        predicate: Any,
        wanted: Mapping[str, Any],
        captures: dict[str, Any],
        guard: Any,
        defaults: Any,
        fallback: bool = False,
    ) -> RouteBuilder:
        here = place_of(caller())
        declaration = Declaration(
            here,
            kind,
            predicate,
            {name: wanted[name] for name in FIELDS if wanted.get(name) is not None},
            captures,
            self._scopes.get("resource"),
            self.namespaces,
            connection=self._scopes.get("connection"),
            fallback=fallback,
        )
        try:
            if guard is not None:
                declaration.guard = bool  # if it is wrong: without one the route could hide others
                check_guard(guard)
                declaration.guard = guard
            if defaults is not None:
                declaration.defaults = checked_defaults(defaults)
        except RouteError as error:
            self.mistakes.append(here.error(error.message, error.remedy))
        if not self._is_closed(here):
            self.declarations.append(declaration)
        return RouteBuilder(declaration, self.mistakes)
