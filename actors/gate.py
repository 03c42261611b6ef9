"""Which of the incoming stanzas go on to the routes, and which outgoing ones a component may send.

What stops here: answers to our own requests, addresses that are none, what is addressed to or
written in the name of another domain, requests that RFC 6120 does not know, and what is the
session's own business. Plain objects: the connection's actor owns a `Gate` and writes its replies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from actors.base import logger
from actors.requests import Requests
from emp.answer import refusal
from emp.errors import BadRequest, InternalServerError, JIDError, JidMalformed, StanzaError
from emp.jid import JID
from emp.session import ClientSession
from emp.stanza import Iq, Stanza
from emp.view import tree_of

KNOWN: Final = 4096
"""Addresses that were found in order, and need no second look. Peers choose them, so there is a
bound; beyond it they are forgotten, all at once."""

_MISADDRESSED: Final = (
    "%s: the server brings what is for %.200r, but this is %s: nobody answers it. Look for what"
    " joins the two on the server; ejabberd gives every component of a listener the stanzas for all"
    " of its hosts, unless it says global_routes: false. (This line comes once;"
    " `misaddressed` counts.)"
)

Item = tuple[int, Stanza]
"""(sequence number, stanza), see `actors.ledger`."""


class Gate:
    """The gate of one connection. `domain` is that of its account or component."""

    def __init__(
        self,
        name: str,
        domain: str,
        requests: Requests,
        session: ClientSession | None,
        write: Callable[[Sequence[Stanza]], object],
    ) -> None:
        """session: None for a component's connection."""
        self.counts: Counter[str] = Counter()
        self._name, self._domain = name, domain
        self._requests, self._session, self._write = requests, session, write
        self._senders: set[str | None] = {None}
        self._own: set[str | None] = {None}  # addresses in our domain

    def admit(self, items: list[Item]) -> list[Item]:
        """Those that go on; for the others everything is done that there is to do."""
        if self._session is not None:
            return [item for item in items if self._goes_on(item[1])]
        # Hot path: most stanzas to a component are no IQs, and their addresses were seen before.
        senders, own = self._senders, self._own
        return [
            item
            for item in items
            if (
                (stanza := item[1]).from_text in senders
                and stanza.to_text in own
                and stanza.kind != "iq"
            )
            or self._goes_on(stanza)
        ]

    def may_send(self, stanzas: Sequence[Stanza]) -> bool:
        """Whether a component may send all of them: XEP-0114 §3 binds it to its domain, and where
        nobody is addressed the server ends the stream."""
        own = self._own
        return all(
            (stanza.from_text in own or self.owns(stanza.from_text)) and stanza.to_text is not None
            for stanza in stanzas
        )

    def owns(self, address: str | None) -> bool:
        """Whether the address is in our domain; None, for our own, is."""
        try:
            ours = address is None or JID.received(address).domain == self._domain
        except JIDError:
            return False
        if ours:
            _remember(self._own, address)
        return ours

    def refuse(self, stanza: Stanza, error: StanzaError) -> None:
        """`error` for a stanza of which we know no more than its start tag: for its sender, or for
        whoever of us awaits it as an answer."""
        try:
            if isinstance(stanza, Iq) and stanza.type in ("result", "error"):
                answer = Iq("error", error, id=stanza.id)
                answer.from_text, answer.to_text = stanza.from_text, stanza.to_text
                self._answered(answer)
            elif not _fault(stanza.from_text) and self._is_ours(stanza.to_text):
                self._write(refusal(stanza, error))
        except Exception:  # noqa: BLE001 - as below
            logger.exception("%s: a %s was not answered", self._name, stanza.kind)

    # -- inside -------------------------------------------------------------------------------

    def _goes_on(self, stanza: Stanza) -> bool:
        """A fault of ours concerns one stanza, not those behind it."""
        try:
            if isinstance(stanza, Iq) and stanza.type in ("result", "error"):
                self._answered(stanza)
                return False
            return self._is_right(stanza) and self._is_for_routes(stanza)
        except Exception:  # noqa: BLE001 - whatever it is: held for ever, it would stop all acks
            logger.exception("%s: a %s was refused", self._name, stanza.kind)
            self._write(refusal(stanza, InternalServerError("a fault of the service")))
            return False

    def _answered(self, stanza: Iq) -> None:
        """A result or error: to a request of ours, or uninvited."""
        if self._requests.answered(stanza):
            return
        if self._session is None or self._session.receive(stanza).route:
            self.counts["uninvited"] += 1

    def _is_right(self, stanza: Stanza) -> bool:
        sender, receiver = _fault(stanza.from_text), _fault(stanza.to_text)
        if fault := sender or receiver:
            self.counts["malformed"] += 1
            logger.info("%s: refused a stanza: %s", self._name, fault)
            if not sender:  # else nobody could deliver an answer
                self._write(refusal(stanza, JidMalformed(fault)))
            return False
        _remember(self._senders, stanza.from_text)
        if isinstance(stanza, Iq) and (broken := _broken_rule(stanza)):
            self.counts["malformed"] += 1
            self._write(refusal(stanza, BadRequest(broken)))
            return False
        return True

    def _is_ours(self, address: str | None) -> bool:
        return self.owns(address) if self._session is None else not _fault(address)

    def _is_for_routes(self, stanza: Stanza) -> bool:
        if self._session is None:
            ours = self.owns(stanza.to_text)
            if not ours:  # an answer would be in somebody else's name
                self.counts["misaddressed"] += 1
                if self.counts["misaddressed"] == 1:
                    logger.warning(_MISADDRESSED, self._name, stanza.to_text, self._domain)
            return ours
        verdict = self._session.receive(stanza)
        self._write(verdict.replies)
        return verdict.route


def _broken_rule(iq: Iq) -> str:
    """What is wrong with a request, after RFC 6120 §8.1.3 and §8.2.3; "" for nothing."""
    if not iq.is_request:
        return f"an iq has the type get, set, result or error, not {iq.type!r:.40}"
    if iq.id is None:
        return "a request has an id"
    children = len(tree_of(iq))
    return "" if children == 1 else f"a request has one child element, not {children}"


def _fault(address: str | None) -> str:
    """Why nobody can have that address; "" where somebody may."""
    try:
        if address is not None:
            JID.received(address)
    except JIDError as error:
        return str(error)
    return ""


def _remember(known: set[str | None], address: str | None) -> None:
    if len(known) > KNOWN:
        known.clear()
        known.add(None)
    known.add(address)
