"""What a component can hear of its connections: see `Component.on_connected` and its siblings.

`connection` is the name of the connection in the configuration file.
"""

from __future__ import annotations

from dataclasses import dataclass

from emp.jid import JID
from emp.stanza import Stanza


@dataclass(frozen=True, slots=True)
class Connected:
    """A new stream is up, as `jid`: the full JID of a client, the domain of a component.

    Nothing of an earlier session is left: presence that was sent to others is gone with it.
    """

    connection: str
    jid: JID


@dataclass(frozen=True, slots=True)
class Resumed:
    """The session goes on over another connection (XEP-0198 §5): nobody has noticed, nothing is
    lost."""

    connection: str
    jid: JID


@dataclass(frozen=True, slots=True)
class Disconnected:
    """There is no stream. `final`: nobody tries again by itself; the operator has to act."""

    connection: str
    reason: str
    final: bool


@dataclass(frozen=True, slots=True)
class SendFailed:
    """A stanza of this component was not delivered to the server.

    uncertain: it was written before the connection was lost, so the server may have it all the
    same; then sending it once more may make two of it.
    """

    connection: str
    stanza: Stanza
    reason: str
    uncertain: bool


ConnectionEvent = Connected | Resumed | Disconnected
