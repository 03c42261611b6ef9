"""Who is connected, and which way a stanza goes (RFC 6120 §10, RFC 6121 §8). No sockets here.

A hub is told what came from whom; it hands copies to the `deliver` functions of receivers.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from emp.devserver import answers, messages, presence
from emp.devserver.roster import Contact, Log
from emp.errors import (
    JIDError,
    JidMalformed,
    RemoteServerNotFound,
    ServiceUnavailable,
    StanzaError,
)
from emp.jid import JID
from emp.stanza import Presence, Stanza

Deliver = Callable[[Stanza], None]


@dataclass(slots=True, eq=False)
class Resource:
    """A connected client. `presence`: what it last broadcast, None before and after.

    wants_roster: it is told of changes; wants_versions: … with their versions. carbons: it gets
    copies of what its sisters say and hear. client: the id of its installation (XEP-0388 §2.3).
    """

    jid: JID
    deliver: Deliver
    presence: Presence | None = None
    wants_roster: bool = False
    wants_versions: bool = False
    carbons: bool = False
    client: str | None = None
    directed: set[JID] = field(default_factory=set)

    @property
    def priority(self) -> int:
        """RFC 6121 §4.7.2.3; a resource that is not available has none: below all others."""
        return -129 if self.presence is None else self.presence.priority


@dataclass(slots=True, eq=False)
class Account:
    """A user: roster, what waits for the user (requests for subscription, messages), clients."""

    jid: JID
    password: str = field(repr=False)
    resources: dict[str, Resource] = field(default_factory=dict)
    roster: dict[JID, Contact] = field(default_factory=dict)
    log: Log = field(default_factory=Log)
    requests: dict[JID, Stanza] = field(default_factory=dict)
    offline: list[Stanza] = field(default_factory=list)

    def available(self) -> list[Resource]:
        """Resources that receive what is sent to the bare JID (RFC 6121 §8.5.2): none below 0."""
        return [r for r in self.resources.values() if r.priority >= 0]


class Hub:
    """The routing table of one domain."""

    def __init__(self, domain: str, accounts: Mapping[str, str], components: Iterable[str]) -> None:
        self.domain = domain
        self.accounts = {
            user: Account(JID(user, domain), password) for user, password in accounts.items()
        }
        self.components: dict[str, Deliver | None] = dict.fromkeys(components)

    # -- coming and going -------------------------------------------------------------------------

    def bind(self, bare: JID, requested: str | None, deliver: Deliver) -> Resource:
        """A new client of the account; its resource is the one asked for, made unique."""
        # SASL has let this account in: one that is not here is a guest (XEP-0175).
        guest = Account(bare, password="")
        account = self.accounts.setdefault(bare.local or "", guest)
        name = requested or secrets.token_urlsafe(9)
        while name in account.resources:
            name = f"{requested}-{secrets.token_urlsafe(6)}"
        resource = Resource(bare.replace(resource=name), deliver)
        account.resources[name] = resource
        return resource

    def leave(self, resource: Resource) -> None:
        """The client is gone, in order or not: all who think it is there hear of it."""
        account = self.account_of(resource.jid)
        if account is None or account.resources.get(resource.jid.resource or "") is not resource:
            return
        presence.unavailable(self, account, resource, Presence(type="unavailable"))
        del account.resources[resource.jid.resource or ""]
        if not account.password and not account.resources:
            del self.accounts[account.jid.local or ""]

    def account_of(self, jid: JID) -> Account | None:
        """The account that a JID of this domain belongs to."""
        return self.accounts.get(jid.local or "") if jid.domain == self.domain else None

    # -- stanzas from outside ---------------------------------------------------------------------

    def from_client(self, sender: Resource, stanza: Stanza) -> None:
        """What a client sent. Its `from` is what we say it is (RFC 6120 §8.1.2.1)."""
        stanza.from_ = sender.jid
        try:
            to = stanza.to
        except JIDError as error:
            stanza.to = None
            self.bounce(stanza, JidMalformed(str(error)))
            return
        account = self.accounts[sender.jid.local or ""]
        if stanza.kind == "presence":
            presence.sent(self, account, sender, stanza)
            return
        if to is None:
            stanza.to = account.jid  # RFC 6120 §10.3
        if stanza.kind == "message":
            messages.sent(account, sender, stanza)
        if stanza.kind == "iq" and stanza.to == account.jid:
            answers.for_account(self, account, sender, stanza)
        else:
            self.route(stanza)

    def from_component(self, stanza: Stanza) -> None:
        """What a component sent; its session has looked at `from` already."""
        try:
            if stanza.to is not None:
                self.route(stanza)
        except JIDError as error:
            stanza.to = None
            self.bounce(stanza, JidMalformed(str(error)))

    # -- the way of a stanza ----------------------------------------------------------------------

    def route(self, stanza: Stanza) -> None:
        """Deliver, answer or bounce a stanza that has a valid `to` and `from`."""
        to = stanza.to
        assert to is not None
        if to.domain == self.domain:
            self._local[stanza.kind](self, stanza, to)
        elif to.domain not in self.components:
            self.bounce(stanza, RemoteServerNotFound())
        elif deliver := self.components[to.domain]:
            deliver(stanza)
        else:
            self.bounce(stanza, ServiceUnavailable("the component is not connected", type="wait"))

    def route_again(self, stanza: Stanza) -> None:
        """As route(), for what was on its way to a client that is gone."""
        to = stanza.to
        assert to is not None
        account = self.account_of(to)
        if stanza.kind == "message" and account is not None:
            messages.returned(self, account, stanza, to)
        else:
            self.route(stanza)

    def _message(self, stanza: Stanza, to: JID) -> None:
        messages.received(self, self.account_of(to), stanza, to)

    def _presence(self, stanza: Stanza, to: JID) -> None:
        if account := self.account_of(to):
            presence.received(self, account, stanza, to)

    def _iq(self, stanza: Stanza, to: JID) -> None:
        account = self.account_of(to)
        if account is not None and to.resource in account.resources:
            account.resources[to.resource].deliver(stanza)
        elif account is None and str(to) == self.domain:
            answers.for_server(self, stanza)
        else:
            self.bounce(stanza, ServiceUnavailable())

    _local: ClassVar = {"message": _message, "presence": _presence, "iq": _iq}

    def bounce(self, stanza: Stanza, error: StanzaError) -> None:
        """Return a stanza to its sender with an error, where the RFC wants an answer (§8.3.1)."""
        waits = _WAITS_FOR_ANSWER.get(stanza.kind)
        if stanza.type in waits if waits else stanza.type not in ("error", "headline"):
            self.reply(stanza, stanza.error(error))

    def reply(self, stanza: Stanza, reply: Stanza) -> None:
        """Send an answer to the very peer that asked, whatever presence it has."""
        asker = stanza.from_
        assert asker is not None
        reply.to = asker
        reply.from_ = reply.from_ or JID(None, self.domain)
        account = self.account_of(asker)
        if account is not None and asker.resource in account.resources:
            account.resources[asker.resource].deliver(reply)
        elif account is not None and reply.kind == "presence":  # about a subscription
            presence.received(self, account, reply, asker)
        elif deliver := self.components.get(asker.domain):
            deliver(reply)


_WAITS_FOR_ANSWER = {"iq": {"get", "set"}, "presence": {"available", "subscribe"}}
"""Types that get an error back. Of messages it is all but answers and headlines."""
