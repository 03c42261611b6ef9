"""Components: what users' classes derive from.

A `Component` is a plain object; `actors.host.ComponentActor` hosts it. Actions are methods. What an
action returns is sent (`emp.answer`); what it raises is answered; a coroutine goes on while other
stanzas are handled, but stanzas of one sender are handled in the order of their arrival.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, TypeVar

from actors.background import Background, Restart
from actors.handling import Halt, Skip
from emp.errors import EmpError, StanzaError
from emp.events import Connected, Disconnected, Resumed, SendFailed
from emp.jid import JID
from emp.stanza import Iq, Message, Stanza
from emp.xep.roster import Item

if TYPE_CHECKING:
    from actors.host import ComponentActor
    from emp.views import Rendered

IQ_TIMEOUT = 30.0
"""Seconds to wait for the answer to an IQ request when the action doesn't say."""

T = TypeVar("T")


class NoAnswer(EmpError):
    """An IQ request got no answer: nobody answered in time, or the connection was lost.

    request: what we had asked, where it was an IQ.
    """

    request: Iq | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """What a component may know of a connection: its `name` and `kind` in the configuration, the
    XMPP `domain`, and as what it is connected: the full JID of a client, the domain of a component;
    None before it is known."""

    name: str
    kind: Literal["client", "component"]
    domain: str
    jid: JID | None


class Component:
    """The base of users' components. Actions are methods; arguments are bound by name.

    The instance lives as long as its actor: attributes are the component's state. After a crash
    there is a new instance.
    """

    pool: ClassVar[int] = 1
    """How many workers share the stanzas of this class, each with an instance of its own (and in
    multiproc with a process of its own)."""

    key: ClassVar[Literal["session", "sender"] | Callable[[Stanza], str]] = "session"
    """What is handled in order, by one worker: the stanzas of a session ("session", the sender's
    full JID), of a user ("sender", the bare JID), or those for which a function of the stanza
    returns the same text."""

    mailbox: ClassVar[int] = 4096
    """Stanzas that one worker has waiting or at work."""

    when_full: ClassVar[Literal["block", "shed"]] = "block"
    """What happens beyond that: "block" holds the stanzas back, and in the end the server; "shed"
    answers them with resource-constraint, type wait."""

    deadline: ClassVar[float | None] = 60.0
    """Seconds that an action may take that awaits, yields or runs in a thread; None: no limit."""

    blocking: ClassVar[bool] = False
    """Whether the actions that are no coroutines run in threads."""

    threads: ClassVar[int] = 8
    """How many of them run at a time."""

    _host: ComponentActor

    # ── what is being handled ───────────────────────────────────────────────────────────────────

    @property
    def stanza(self) -> Stanza:
        """The stanza that is being handled. Raises LocalProtocolError where there is none, as in
        timers and hooks."""
        stanza: Stanza = self._host.item[2]
        return stanza

    @property
    def connection(self) -> Connection:
        """Where it came from; in a timer, the only connection. Raises LocalProtocolError when
        there is no telling."""
        return self._host.connection()

    # ── ending the handling ─────────────────────────────────────────────────────────────────────

    def fail(self, error: type[StanzaError], text: str = "") -> NoReturn:
        """Answer with a stanza error: `self.fail(ItemNotFound, "no tweet 7")`."""
        raise error(text)

    def halt(self, result: Any = None) -> NoReturn:
        """End the handling here, in a filter for instance: `result` is the answer, as if the action
        had returned it. Raises what `except Exception` does not catch."""
        raise Halt(result)

    def skip(self) -> NoReturn:
        """Pass the stanza on to the next route that matches. Raises what `except Exception` does
        not catch. Too late, and an error, once something was answered."""
        raise Skip

    # ── sending ─────────────────────────────────────────────────────────────────────────────────

    def reply(self, result: Any) -> None:
        """Answer the stanza now, and go on: `result` means what it means when it is returned.

        An IQ request is answered by that. Raises LocalProtocolError for another answer to it, and
        when the action's time is up.
        """
        self._host.reply(result)

    def say(
        self,
        to: JID | str,
        text: str,
        type: Literal["chat", "groupchat", "headline", "normal"] = "chat",
        *,
        connection: str | None = None,
        from_: JID | str | None = None,
    ) -> None:
        """Send a message with that text; see `send`. from_: in whose name, in a component's domain;
        a client's is its server's business."""
        self.send(Message(to, text, type=type, from_=from_), connection)

    def send(self, stanza: Stanza, connection: str | None = None) -> None:
        """Send `stanza` over the connection of that name, else over that of the stanza that is
        being handled.

        It is sent as it is now: what you change afterwards is not seen. Over a component's
        connection (XEP-0114) it must have a `to`, and where it has no `from` it is in the name that
        the stanza is addressed to which is being handled, or else of the domain. A client's goes
        without `from`. Raises LocalProtocolError when 10,000 stanzas wait already, or there is no
        telling which connection is meant.
        """
        self._host.send_stanza(stanza, connection)

    async def iq_get(
        self,
        to: JID | str | None,
        payload: Any,
        *,
        timeout: float = IQ_TIMEOUT,
        connection: str | None = None,
        from_: JID | str | None = None,
    ) -> Iq:
        """Ask with an IQ get; returns the result stanza. It goes after what was sent before.

        from_: in whose name, in a component's domain; None: as with `send`.

        Raises the `StanzaError` that the peer answered with, or `NoAnswer` after `timeout` seconds
        or when the connection is lost. Other stanzas are handled meanwhile.
        """
        return await self._host.ask_iq(Iq("get", payload, to=to, from_=from_), timeout, connection)

    async def iq_set(
        self,
        to: JID | str | None,
        payload: Any,
        *,
        timeout: float = IQ_TIMEOUT,
        connection: str | None = None,
        from_: JID | str | None = None,
    ) -> Iq:
        """Ask with an IQ set; see `iq_get`."""
        return await self._host.ask_iq(Iq("set", payload, to=to, from_=from_), timeout, connection)

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """In a blocking action: what `await` gives elsewhere, as in `self.wait(self.iq_get(…))`.

        Raises what the coroutine raises, and LocalProtocolError outside of such an action.
        """
        result: T = self._host.wait(coroutine)
        return result

    async def roster(self, *, timeout: float = IQ_TIMEOUT) -> Mapping[JID, Item]:
        """The contacts of the account whose stanza is being handled (RFC 6121 §2), as the server
        has told them last. Its connection needs `roster = true`.

        Raises `NoAnswer` where there is no roster, or none has come within `timeout` seconds.
        """
        return await self._host.ask_roster(timeout)

    def spawn(
        self,
        work: Awaitable[Any] | Callable[[], Awaitable[Any]],
        *,
        restart: Restart = "never",
        name: str | None = None,
    ) -> asyncio.Task[None]:
        """Run a coroutine beside the actions, until the component ends: then it is cancelled.

        What it raises is logged. restart: "on-failure" starts it again when it has raised,
        "always" also when it has returned, with growing pauses while it keeps failing; both need a
        function that makes the coroutine. name: what the log and `emp-admin inspect` call it.
        Cancelling the task that is returned ends it for good.
        """
        host = getattr(self, "_host", None)
        if host is not None:
            task: asyncio.Task[None] = host.in_loop(self._background.spawn, work, name, restart)
            return task
        return self._background.spawn(work, name, restart)  # in the constructor, or in a test

    @property
    def _background(self) -> Background:
        found: Background | None = self.__dict__.get("_spawned")
        if found is None:
            found = self.__dict__["_spawned"] = Background(type(self).__qualname__)
        return found

    def render(self, name: str, /, **values: Any) -> Rendered:
        """What the view `name` gives with these values, to be returned or sent. Raises ViewError
        for what is wrong with the view."""
        return self._host.views.render(name, **values)

    # Hooks: whoever wants to know overrides them. They may be `async def`.

    def startup(self) -> Awaitable[None] | None:
        """Runs before the first stanza is handled. If it raises, the component does not start."""

    def shutdown(self) -> Awaitable[None] | None:
        """Runs when the component is stopped in order, after the last stanza was handled. What it
        sends is still sent; only `on_send_failed` may come after it."""

    def on_connected(self, event: Connected) -> Awaitable[None] | None:
        """There is a new session; also called once when the component starts later than that.
        `self.send` goes over this connection here."""

    def on_resumed(self, event: Resumed) -> Awaitable[None] | None:
        """The session goes on, with nothing lost."""

    def on_disconnected(self, event: Disconnected) -> Awaitable[None] | None:
        """There is no stream. What is sent meanwhile waits for the next one, up to a bound."""

    def on_send_failed(self, failure: SendFailed) -> Awaitable[None] | None:
        """A stanza that this component has sent did not reach the server, or may not have."""
