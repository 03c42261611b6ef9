"""Components: what users' classes derive from.

A `Component` is a plain object; `actors.host.ComponentActor` hosts it. Actions are methods. What an
action returns is sent (`emp.answer`); what it raises is answered; a coroutine goes on while other
stanzas are handled, but stanzas of one sender are handled in the order of their arrival.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from emp.errors import EmpError, StanzaError
from emp.events import Connected, Disconnected, Resumed, SendFailed
from emp.jid import JID
from emp.stanza import Iq, Stanza
from emp.xep.roster import Item

if TYPE_CHECKING:
    from actors.host import ComponentActor

IQ_TIMEOUT = 30.0
"""Seconds to wait for the answer to an IQ request when the action doesn't say."""


class NoAnswer(EmpError):
    """An IQ request got no answer: nobody answered in time, or the connection was lost."""


class Component:
    """The base of users' components. Actions are methods; arguments are bound by name.

    The instance lives as long as its actor: attributes are the component's state. After a crash
    there is a new instance.
    """

    _host: ComponentActor

    def fail(self, error: type[StanzaError], text: str = "") -> NoReturn:
        """Answer with a stanza error: `self.fail(ItemNotFound, "no tweet 7")`."""
        raise error(text)

    def send(self, stanza: Stanza) -> None:
        """Send `stanza` over the connection of the stanza that is being handled.

        It is sent as it is now: what you change afterwards is not seen. A component connection
        (XEP-0114) adds its own domain where `from` is missing. Raises
        LocalProtocolError when 10,000 stanzas wait already, or there is no telling which
        connection is meant.
        """
        self._host.send_stanza(stanza)

    async def iq_get(
        self, to: JID | str | None, payload: Any, *, timeout: float = IQ_TIMEOUT
    ) -> Iq:
        """Ask with an IQ get; returns the result stanza.

        Raises the `StanzaError` that the peer answered with, or `NoAnswer` after `timeout` seconds
        or when the connection is lost. Other stanzas are handled meanwhile.
        """
        return await self._host.ask_iq(Iq("get", payload, to=to), timeout)

    async def iq_set(
        self, to: JID | str | None, payload: Any, *, timeout: float = IQ_TIMEOUT
    ) -> Iq:
        """Ask with an IQ set; see `iq_get`."""
        return await self._host.ask_iq(Iq("set", payload, to=to), timeout)

    async def roster(self, *, timeout: float = IQ_TIMEOUT) -> Mapping[JID, Item]:
        """The contacts of the account whose stanza is being handled (RFC 6121 §2), as the server
        has told them last. Its connection needs `roster = true`.

        Raises `NoAnswer` where there is no roster, or none has come within `timeout` seconds.
        """
        return await self._host.ask_roster(timeout)

    # Hooks: whoever wants to know overrides them. They may be `async def`.

    def on_connected(self, event: Connected) -> Awaitable[None] | None:
        """There is a new session; also called once when the component starts later than that.
        `self.send` goes over this connection here."""

    def on_resumed(self, event: Resumed) -> Awaitable[None] | None:
        """The session goes on, with nothing lost."""

    def on_disconnected(self, event: Disconnected) -> Awaitable[None] | None:
        """There is no stream. What is sent meanwhile waits for the next one, up to a bound."""

    def on_send_failed(self, failure: SendFailed) -> Awaitable[None] | None:
        """A stanza that this component has sent did not reach the server, or may not have."""
